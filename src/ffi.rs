//! The C ABI: argument checks, the panic guard, status codes, and the one session of the process.
//!
//! An exported function is a shell: it guards, converts its arguments into types, calls a safe method of
//! [`Session`] and turns the outcome into a status. The rules for callers stand at the head of the generated header
//! `include/vms_telemetry.h` (their text is in `xtask/src/header.rs`).

use std::cell::{Cell, RefCell};
use std::ffi::{OsString, c_char};
use std::mem::MaybeUninit;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::Duration;

use uuid::Uuid;
use zeroize::Zeroizing;

use crate::config::Environment;
use crate::error::{Error, Result};
use crate::event::{Field, USER_TYPES};
use crate::paths::Paths;
use crate::session::{self, Change, Connection, HostFacts, Outcome, Session, State, UsageDataPolicy};
use crate::transport::ProxyChoice;
use crate::vms::{BasicUser, Credential, Logon, Site, Stage};
use crate::{sender, vms};

/// Done.
pub const VMS_OK: i32 = 0;
/// Done, and nothing was recorded: telemetry is off, or this connection sends nothing. Not an error.
pub const VMS_OFF: i32 = 1;
/// A pointer is NULL, or a field of a record cannot be used. Nothing was done. The message names the field.
pub const VMS_ERROR_ARGUMENT: i32 = 10;
/// The call needs a session, and init_session was not called yet.
pub const VMS_ERROR_NO_SESSION: i32 = 11;
/// The connection is not open: closed already, or never opened.
pub const VMS_ERROR_NO_CONNECTION: i32 = 12;
/// 1,024 connections are open in this process: the host does not close them.
pub const VMS_ERROR_TOO_MANY_CONNECTIONS: i32 = 13;
/// The buffer is too small; the length that is needed was written.
pub const VMS_ERROR_BUFFER_TOO_SMALL: i32 = 14;
/// A file or folder could not be used. Nothing was recorded. The message names it.
pub const VMS_ERROR_FILE: i32 = 20;
/// The settings file cannot be parsed. It was left as it is. The message names file, line and column.
pub const VMS_ERROR_SETTINGS: i32 = 21;
/// connect_vms: no connection came about: refused, unknown name, cut off.
pub const VMS_ERROR_UNREACHABLE: i32 = 40;
/// connect_vms: time is over.
pub const VMS_ERROR_TIMEOUT: i32 = 41;
/// connect_vms: this computer does not trust the server's certificate.
pub const VMS_ERROR_CERTIFICATE: i32 = 42;
/// connect_vms: HTTPS was asked for, and the address is for plain HTTP.
pub const VMS_ERROR_NOT_ENCRYPTED: i32 = 43;
/// connect_vms: the server points to another one.
pub const VMS_ERROR_REDIRECTED: i32 = 44;
/// connect_vms: name, password or token were refused.
pub const VMS_ERROR_LOGON_REFUSED: i32 = 45;
/// connect_vms: the user is locked.
pub const VMS_ERROR_LOCKED_OUT: i32 = 46;
/// connect_vms: the user must choose a new password first.
pub const VMS_ERROR_PASSWORD_EXPIRED: i32 = 47;
/// connect_vms: the user may log on, and not read what is needed.
pub const VMS_ERROR_ACCESS_DENIED: i32 = 48;
/// connect_vms: the server says that it failed.
pub const VMS_ERROR_SERVER: i32 = 49;
/// connect_vms: the answer is not that of an XProtect API.
pub const VMS_ERROR_ANSWER: i32 = 50;
/// A defect of this library. Nothing was recorded; the host goes on as if telemetry were off.
pub const VMS_ERROR_INTERNAL: i32 = 30;

/// A truth value that is not given.
pub const VMS_UNSET: u32 = 0;
/// No.
pub const VMS_FALSE: u32 = 1;
/// Yes.
pub const VMS_TRUE: u32 = 2;

/// A basic user of the VMS.
pub const VMS_USER_BASIC: u32 = 1;
/// A Windows or Active Directory user.
pub const VMS_USER_WINDOWS: u32 = 2;
/// A user of an external identity provider.
pub const VMS_USER_OAUTH: u32 = 3;

/// The option "Enable usage data collection" could not be read: nothing of this connection is sent.
pub const VMS_POLICY_UNKNOWN: u32 = 0;
/// The option is on.
pub const VMS_POLICY_ON: u32 = 1;
/// The option is off: telemetry is switched off for this user, in this session and in all later ones.
pub const VMS_POLICY_OFF: u32 = 2;
/// The VMS does not have the option: as if it were on.
pub const VMS_POLICY_NOT_OFFERED: u32 = 3;

/// Nobody said anything: the default holds.
pub const VMS_LAYER_DEFAULT: u32 = 0;
/// The user's settings file decided.
pub const VMS_LAYER_SETTINGS_FILE: u32 = 1;
/// An environment variable VMS_ApplicationInsights__* decided.
pub const VMS_LAYER_ENVIRONMENT: u32 = 2;
/// The environment variable DO_NOT_TRACK decided.
pub const VMS_LAYER_DO_NOT_TRACK: u32 = 3;
/// The administrator of a VMS decided, with its option "Enable usage data collection".
pub const VMS_LAYER_VMS_POLICY: u32 = 4;
/// Telemetry cannot work here: no folder, a broken settings file, an unusable connection string.
pub const VMS_LAYER_UNUSABLE: u32 = 5;

/// get_text: the version of this library.
pub const VMS_TEXT_LIBRARY_VERSION: u32 = 1;
/// get_text: who decided whether telemetry is on, and why; a sentence without its full stop.
pub const VMS_TEXT_TELEMETRY_REASON: u32 = 2;
/// get_text: who decided whether events go to the raw log.
pub const VMS_TEXT_LOG_REASON: u32 = 3;
/// get_text: path of the settings file.
pub const VMS_TEXT_SETTINGS_FILE: u32 = 4;
/// get_text: path of the folder with the random ids and the events that wait.
pub const VMS_TEXT_DATA_FOLDER: u32 = 5;
/// get_text: path of the raw log's folder.
pub const VMS_TEXT_LOG_FOLDER: u32 = 6;
/// get_text: the random id of this session.
pub const VMS_TEXT_SESSION_ID: u32 = 7;
/// get_text: what last failed on this computer, as a file that could not be written; empty if nothing did.
pub const VMS_TEXT_LAST_FAILURE: u32 = 8;
/// get_text: why the last attempt to send failed; empty if it did not.
pub const VMS_TEXT_DELIVERY_FAILURE: u32 = 9;
/// get_text: when the service last took events (ISO 8601, UTC); empty if it never did.
pub const VMS_TEXT_LAST_SENT: u32 = 10;

/// get_text: why nothing of the last connection is sent although telemetry is on; empty if it is.
pub const VMS_TEXT_CONNECTION_REASON: u32 = 11;

/// The server is sought.
pub const VMS_STAGE_FINDING: u32 = 1;
/// A Windows user: the host gets a token at VMS_CONNECTION_TOKEN_ENDPOINT and hands it over with give_token.
pub const VMS_STAGE_TOKEN_NEEDED: u32 = 2;
/// A token is asked for.
pub const VMS_STAGE_LOGGING_ON: u32 = 3;
/// Logged on; site, product and child sites are read.
pub const VMS_STAGE_READING: u32 = 4;
/// The connection stands; privacy option and counts are read in the background.
pub const VMS_STAGE_COUNTING: u32 = 5;
/// The connection stands, and nothing goes on any more.
pub const VMS_STAGE_CONNECTED: u32 = 6;
/// There is no connection: see the failure and VMS_CONNECTION_FAILURE.
pub const VMS_STAGE_FAILED: u32 = 7;

/// get_connection_text: the server as it is really spoken to, as "https://host:port/".
pub const VMS_CONNECTION_ADDRESS: u32 = 1;
/// get_connection_text: the actual id of the site.
pub const VMS_CONNECTION_SITE_ID: u32 = 2;
/// get_connection_text: the name of the site.
pub const VMS_CONNECTION_SITE_NAME: u32 = 3;
/// get_connection_text: the name of the product.
pub const VMS_CONNECTION_PRODUCT_NAME: u32 = 4;
/// get_connection_text: the version of the product.
pub const VMS_CONNECTION_PRODUCT_VERSION: u32 = 5;
/// get_connection_text: where the host logs a Windows user on: it posts the form
/// grant_type=windows_credentials&client_id=GrantValidatorClient there, with the handshake of HTTP (Negotiate, NTLM).
pub const VMS_CONNECTION_TOKEN_ENDPOINT: u32 = 6;
/// get_connection_text: why there is no connection: what happened, to which server, and what to do.
pub const VMS_CONNECTION_FAILURE: u32 = 7;
/// get_connection_text: the child sites, a line each, as id, version and name with a TAB between them.
pub const VMS_CONNECTION_CHILD_SITES: u32 = 8;

/// Longest text in a record, in bytes without the NUL. A longer one is an error, and no more of it is read.
pub const VMS_TEXT_LIMIT: usize = 8192;
/// Most entries of an environment that are read.
pub const VMS_ENVIRONMENT_LIMIT: usize = 4096;

/// What the host says of itself, for init_session. All texts may be NULL but assembly_version.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct VmsSessionInfo {
    /// sizeof(VmsSessionInfo).
    pub size: u32,
    /// VMS_TRUE: the host will name the proxy with set_config, and nothing is sent before it did. Otherwise the proxy
    /// comes from HTTPS_PROXY, ALL_PROXY, HTTP_PROXY and NO_PROXY.
    pub names_proxy: u32,
    /// ProductVersion of the module's assembly, or the version of the host program. Required.
    pub assembly_version: *const c_char,
    /// Name and version of the framework, as .NET's RuntimeInformation.FrameworkDescription; NULL: there is none.
    pub framework_description: *const c_char,
    /// Name and version of the operating system; NULL: the library finds its own.
    pub os_description: *const c_char,
    /// Application Insights connection string; NULL: the built-in one. VMS_ApplicationInsights__ConnectionString
    /// goes before it. HTTPS is required, but for this computer itself.
    pub connection_string: *const c_char,
    /// The environment as "NAME=value" texts, ended by a NULL pointer, for hosts whose runtime keeps an environment of
    /// its own, as .NET does on Linux; NULL: the library reads that of the process. A value that is too long or not UTF-8
    /// cannot be used: where it could say yes or no, that is a no.
    pub environment: *const *const c_char,
}

/// A count, or the fact that it is not known. All zero: not known, and left out.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct VmsCount {
    /// VMS_TRUE: value is the count.
    pub known: u32,
    /// The count.
    pub value: u32,
}

/// The facts of a connection to an XProtect VMS, for on_connect.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct VmsConnectionInfo {
    /// sizeof(VmsConnectionInfo).
    pub size: u32,
    /// VMS_USER_*. Required.
    pub user_type: u32,
    /// Whether the connection uses OAuth. VMS_UNSET: left out.
    pub is_oauth_connection: u32,
    /// Whether the connection uses HTTPS. VMS_UNSET: left out.
    pub encryption_enabled: u32,
    /// What the VMS says of its option "Enable usage data collection for XProtect Smart Client": VMS_POLICY_*.
    pub usage_data_policy: u32,
    /// Zero.
    pub reserved: u32,
    /// The actual id of the site, a GUID. It never leaves this computer: a random id stands for it. Required.
    pub site_id: *const c_char,
    /// Version of the VMS; NULL: left out.
    pub product_version: *const c_char,
    /// Product name of the VMS; NULL: left out.
    pub product_name: *const c_char,
    /// Child sites.
    pub child_sites: VmsCount,
    /// Recording servers.
    pub recorders: VmsCount,
    /// Hardware devices.
    pub hardware_count: VmsCount,
    /// Enabled cameras.
    pub camera_count: VmsCount,
    /// Enabled microphones.
    pub microphone_count: VmsCount,
    /// Enabled speakers.
    pub speaker_count: VmsCount,
    /// Enabled metadata channels.
    pub metadata_count: VmsCount,
    /// Enabled inputs.
    pub input_count: VmsCount,
    /// Enabled outputs.
    pub output_count: VmsCount,
}

/// A change of the configuration, for set_config. All zero but the size: nothing changes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct VmsConfigChange {
    /// sizeof(VmsConfigChange).
    pub size: u32,
    /// Whether events are recorded and sent. VMS_UNSET: as it is. Stored for every later session of the user.
    pub enable_telemetry: u32,
    /// Whether events are written to the raw log. VMS_UNSET: as it is. Stored as well.
    pub log_telemetry: u32,
    /// Zero.
    pub reserved: u32,
    /// The proxy for this session, as "http://host:port"; "": none; NULL: as it is. Not stored.
    pub proxy: *const c_char,
}

/// What holds at this moment, from get_config.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct VmsConfig {
    /// sizeof(VmsConfig), set by the caller.
    pub size: u32,
    /// VMS_TRUE or VMS_FALSE.
    pub telemetry_enabled: u32,
    /// Who decided it: VMS_LAYER_*.
    pub telemetry_layer: u32,
    /// VMS_TRUE or VMS_FALSE. With telemetry off nothing is logged.
    pub log_telemetry: u32,
    /// Who decided it: VMS_LAYER_*.
    pub log_layer: u32,
    /// Events that wait to be sent.
    pub pending_events: u32,
}

/// A logon to an XProtect management server, for connect_vms. Texts that the user_type does not need may be NULL.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct VmsLogon {
    /// sizeof(VmsLogon).
    pub size: u32,
    /// VMS_USER_BASIC: with user_name and password. VMS_USER_WINDOWS: the host brings the token (give_token).
    /// VMS_USER_OAUTH: with access_token. Required.
    pub user_type: u32,
    /// VMS_TRUE: HTTPS or nothing.
    pub secure_only: u32,
    /// VMS_TRUE: any certificate is taken.
    pub skip_certificate_check: u32,
    /// VMS_TRUE: the child sites are listed as a part of the logon.
    pub include_child_sites: u32,
    /// Longest time for the logon as a whole, in seconds, at most 3,600; 0: 60.
    pub timeout_seconds: u32,
    /// "https://host", "http://host:port", or a bare host name: HTTPS, and where nothing answers there HTTP, unless
    /// secure_only says no. Required.
    pub server_address: *const c_char,
    /// Name of a basic user.
    pub user_name: *const c_char,
    /// Its password. The library's copy is wiped after the logon.
    pub password: *const c_char,
    /// A token that the VMS's identity provider gave out. The library's copy is wiped with the connection.
    pub access_token: *const c_char,
    /// An open connection that is closed before this one begins, as by on_disconnect; 0: none. Where this record cannot be
    /// used, it stays open.
    pub replaces: u64,
}

/// What holds of a connection of connect_vms, from get_connection.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct VmsConnectionState {
    /// sizeof(VmsConnectionState), set by the caller.
    pub size: u32,
    /// VMS_STAGE_*.
    pub stage: u32,
    /// At VMS_STAGE_FAILED: VMS_ERROR_UNREACHABLE to VMS_ERROR_ANSWER, or VMS_ERROR_INTERNAL. Else VMS_OK.
    pub failure: i32,
    /// VMS_TRUE: HTTPS. VMS_UNSET: not known yet.
    pub encryption_enabled: u32,
    /// VMS_POLICY_*. Unknown until it was read; with telemetry off it is not read.
    pub usage_data_policy: u32,
    /// VMS_TRUE: NewVmsSession was recorded. VMS_FALSE: nothing of this connection is sent. VMS_UNSET: not decided yet.
    pub reported: u32,
    /// Items that were counted so far.
    pub items_counted: u32,
}

/// Starts the session of this process and records NewSession, unless somebody said no. Never waits for the network.
///
/// A process has one session: a further call joins the running one and ignores its argument. VMS_OFF: there is a session,
/// and NewSession is not recorded, because telemetry is off or nothing can be stored; get_config and get_text tell why.
///
/// # Safety
/// `info` is NULL or points to a record whose first field says how large it is; its texts are NULL or end with a NUL.
/// All is borrowed for the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn init_session(info: *const VmsSessionInfo) -> i32 {
    guard(|| {
        // SAFETY: as the caller promised.
        let info = unsafe { record(info, "info") }?;
        let facts = HostFacts {
            // SAFETY: as the caller promised, for each of the texts.
            assembly_version: unsafe { required(info.assembly_version, "assembly_version") }?,
            // SAFETY: as above.
            framework_description: unsafe { text(info.framework_description, "framework_description") }?,
            // SAFETY: as above.
            os_description: unsafe { text(info.os_description, "os_description") }?,
            // SAFETY: as above.
            connection_string: unsafe { text(info.connection_string, "connection_string") }?,
            names_proxy: flag(info.names_proxy, "names_proxy")? == Some(true),
        };
        // SAFETY: as the caller promised.
        let environment = match unsafe { variables(info.environment) }? {
            Some(variables) => Environment::read(variables.into_iter()),
            None => Environment::read(std::env::vars_os()),
        };
        let mut session = SESSION.lock().unwrap_or_else(PoisonError::into_inner);
        if session.is_none() {
            *session = Some(Arc::new(Session::start(facts, environment, Paths::of_current_user())?));
        }
        let is_announced = session.as_ref().is_some_and(|session| session.is_announced());
        Ok(if is_announced { VMS_OK } else { VMS_OFF })
    })
}

/// Records NewVmsSession and writes the connection's number, by which on_disconnect closes it. Never waits for the
/// network. VMS_OFF: there is a connection, and nothing of it is sent.
///
/// # Safety
/// `info` as for init_session; `connection` is NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn on_connect(info: *const VmsConnectionInfo, connection: *mut u64) -> i32 {
    guard(|| {
        let session = session()?;
        not_null(connection, "connection")?;
        // SAFETY: as the caller promised.
        let info = unsafe { record(info, "info") }?;
        let facts = Connection {
            // SAFETY: as the caller promised, for each of the texts.
            site: site(&unsafe { required(info.site_id, "site_id") }?)?,
            user_type: user_type(info.user_type)?,
            is_oauth: flag(info.is_oauth_connection, "is_oauth_connection")?,
            is_encrypted: flag(info.encryption_enabled, "encryption_enabled")?,
            // SAFETY: as above.
            product_version: unsafe { text(info.product_version, "product_version") }?,
            // SAFETY: as above.
            product_name: unsafe { text(info.product_name, "product_name") }?,
            policy: policy(info.usage_data_policy)?,
            counts: counts(&info)?,
        };
        let (number, outcome) = session.connect(&facts)?;
        // SAFETY: not NULL, and writable as the caller promised.
        unsafe { connection.write_unaligned(number) };
        Ok(status(outcome))
    })
}

/// Begins to log on to a VMS, in the background, and writes the connection's number. Returns at once. Works whether or not
/// telemetry is on; where it is, NewVmsSession is recorded as soon as the VMS is counted, and the host does not call
/// on_connect. With `replaces` it may take a second, as on_disconnect does. The connection is closed with on_disconnect,
/// also where the logon failed.
///
/// # Safety
/// `logon` as `info` for init_session; `connection` is NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connect_vms(logon: *const VmsLogon, connection: *mut u64) -> i32 {
    guard(|| {
        let session = session()?;
        not_null(connection, "connection")?;
        // SAFETY: as the caller promised.
        let logon = unsafe { record(logon, "logon") }?;
        let credential = match logon.user_type {
            VMS_USER_BASIC => Credential::Basic(BasicUser {
                // SAFETY: as the caller promised, for each of the texts.
                name: Zeroizing::new(unsafe { required(logon.user_name, "user_name") }?),
                // SAFETY: as above.
                password: Zeroizing::new(unsafe { text(logon.password, "password") }?.unwrap_or_default()),
            }),
            VMS_USER_WINDOWS => Credential::Windows,
            VMS_USER_OAUTH => {
                // SAFETY: as above.
                Credential::Token(Zeroizing::new(unsafe { required(logon.access_token, "access_token") }?))
            }
            other => return user_type(other).map(|_| VMS_ERROR_INTERNAL),
        };
        // SAFETY: as above.
        let address = unsafe { required(logon.server_address, "server_address") }?;
        let wanted = Logon {
            address: address.parse().map_err(|problem: &str| Error::argument("server_address", problem))?,
            credential,
            is_secure_only: flag(logon.secure_only, "secure_only")? == Some(true),
            skips_certificate_check: flag(logon.skip_certificate_check, "skip_certificate_check")? == Some(true),
            includes_child_sites: flag(logon.include_child_sites, "include_child_sites")? == Some(true),
            timeout: timeout(logon.timeout_seconds)?,
        };
        if logon.replaces != 0 {
            // A connection that is not there any more stands in nobody's way.
            let _ = session.disconnect(logon.replaces);
        }
        let number = session.connect_vms(wanted)?;
        // SAFETY: not NULL, and writable as the caller promised.
        unsafe { connection.write_unaligned(number) };
        Ok(VMS_OK)
    })
}

/// Hands over the token that the host got for a Windows user, at VMS_STAGE_TOKEN_NEEDED.
///
/// # Safety
/// `token` is NULL or a text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn give_token(connection: u64, token: *const c_char) -> i32 {
    guard(|| {
        let client = session()?.client(connection)?;
        // SAFETY: as the caller promised.
        let token = Zeroizing::new(unsafe { required(token, "token") }?);
        match client.give_token(token) {
            true => Ok(VMS_OK),
            false => Err(Error::argument("connection", "it does not need a token now")),
        }
    })
}

/// Writes what holds of a connection of connect_vms: as much of the record as the caller's size says. For as long as the
/// connection is at `stage` (VMS_STAGE_*), waits for the next one, at most so many milliseconds; 0: does not wait.
///
/// # Safety
/// `state` as `config` for get_config.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn get_connection(
    connection: u64,
    stage: u32,
    wait_milliseconds: u32,
    state: *mut VmsConnectionState,
) -> i32 {
    guard(|| {
        let client = session()?.client(connection)?;
        // SAFETY: as the caller promised.
        let size = unsafe { record(state, "state") }?.size;
        let known = client.wait(|now| now as u32 == stage, Duration::from_millis(wait_milliseconds.into()));
        let failure = match (known.stage, &known.failure) {
            (Stage::Failed, Some(failure)) => failure.kind as i32,
            (Stage::Failed, None) => VMS_ERROR_INTERNAL,
            _ => VMS_OK,
        };
        let answer = VmsConnectionState {
            size,
            stage: known.stage as u32,
            failure,
            encryption_enabled: known.origin.as_ref().map_or(VMS_UNSET, |origin| truth(origin.is_encrypted())),
            usage_data_policy: match known.policy {
                None | Some(UsageDataPolicy::Unknown) => VMS_POLICY_UNKNOWN,
                Some(UsageDataPolicy::On) => VMS_POLICY_ON,
                Some(UsageDataPolicy::Off) => VMS_POLICY_OFF,
                Some(UsageDataPolicy::NotOffered) => VMS_POLICY_NOT_OFFERED,
            },
            reported: known.reported.map_or(VMS_UNSET, truth),
            items_counted: client.items(),
        };
        drop(known);
        // SAFETY: not NULL and of `size` bytes, as `record` checked and the caller promised.
        unsafe { write_record(&answer, state, size) };
        Ok(VMS_OK)
    })
}

/// Writes one of VMS_CONNECTION_* of a connection of connect_vms, in the manner of get_text; empty: not known (yet).
///
/// # Safety
/// As for get_text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn get_connection_text(
    connection: u64,
    which: u32,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> i32 {
    guard(|| {
        let client = session()?.client(connection)?;
        let known = client.known();
        let site = known.site.as_ref();
        let line =
            |site: &Site| format!("{}\t{}\t{}\n", site.id, site.version.as_deref().unwrap_or_default(), site.name);
        let text = match which {
            VMS_CONNECTION_ADDRESS => known.origin.as_ref().map(|origin| format!("{origin}/")),
            VMS_CONNECTION_SITE_ID => site.map(|site| site.id.to_string()),
            VMS_CONNECTION_SITE_NAME => site.map(|site| site.name.clone()),
            VMS_CONNECTION_PRODUCT_NAME => known.product.clone(),
            VMS_CONNECTION_PRODUCT_VERSION => site.and_then(|site| site.version.clone()),
            VMS_CONNECTION_TOKEN_ENDPOINT => known.token_endpoint.clone(),
            VMS_CONNECTION_FAILURE => match &known.failure {
                Some(failure) => Some(failure.to_string()),
                None => (known.stage == Stage::Failed).then(|| DEFECT.to_owned()),
            },
            VMS_CONNECTION_CHILD_SITES => Some(known.child_sites.iter().map(line).collect()),
            _ => return Err(Error::argument("which", "it is none of VMS_CONNECTION_*")),
        };
        drop(known);
        // SAFETY: as the caller promised.
        unsafe { give(&text.unwrap_or_default(), buffer, capacity, length) }
    })
}

/// Waits until a connection of connect_vms is counted, at most so many milliseconds, and records its NewVmsSession with
/// what is known by then, where it was not recorded yet. For the end of a process that does not disconnect;
/// on_disconnect does the same, and waits for a second.
#[unsafe(no_mangle)]
pub extern "C" fn settle_connection(connection: u64, wait_milliseconds: u32) -> i32 {
    guard(|| Ok(status(session()?.settle(connection, Duration::from_millis(wait_milliseconds.into()))?)))
}

/// Closes a connection and records CloseVmsSession. Call it only for a graceful end (`Disconnect-Vms`): a connection
/// that just ends with its process is not reported.
#[unsafe(no_mangle)]
pub extern "C" fn on_disconnect(connection: u64) -> i32 {
    guard(|| Ok(status(session()?.disconnect(connection)?)))
}

/// Changes the configuration. The choice holds when this returns: after a "no" nothing more is sent, and what waited is
/// deleted.
///
/// # Safety
/// `change` as `info` for init_session.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn set_config(change: *const VmsConfigChange) -> i32 {
    guard(|| {
        let session = session()?;
        // SAFETY: as the caller promised.
        let change = unsafe { record(change, "change") }?;
        // SAFETY: as the caller promised.
        let proxy = unsafe { text(change.proxy, "proxy") }?.map(|address| match address.as_str() {
            "" => ProxyChoice::Direct,
            _ => ProxyChoice::Address(address),
        });
        session.set_config(Change {
            telemetry: flag(change.enable_telemetry, "enable_telemetry")?,
            log: flag(change.log_telemetry, "log_telemetry")?,
            proxy,
        })?;
        Ok(VMS_OK)
    })
}

/// Writes what holds at this moment: as much of the record as the caller's size says.
///
/// # Safety
/// `config` is NULL or points to a writable record whose first field says how large it is.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn get_config(config: *mut VmsConfig) -> i32 {
    guard(|| {
        let session = session()?;
        // SAFETY: as the caller promised.
        let size = unsafe { record(config, "config") }?.size;
        let State { telemetry, log, pending, .. } = session.state();
        let answer = VmsConfig {
            size,
            telemetry_enabled: truth(telemetry.on),
            telemetry_layer: telemetry.layer as u32,
            log_telemetry: truth(log.on),
            log_layer: log.layer as u32,
            pending_events: u32::try_from(pending).unwrap_or(u32::MAX),
        };
        // SAFETY: not NULL and of `size` bytes, as `record` checked and the caller promised.
        unsafe { write_record(&answer, config, size) };
        Ok(VMS_OK)
    })
}

/// Writes one of VMS_TEXT_* as UTF-8 with its NUL, and its length in bytes without the NUL. Where the buffer is too
/// small (it may be NULL with capacity 0), only the length is written and the status is VMS_ERROR_BUFFER_TOO_SMALL.
///
/// # Safety
/// `buffer` is NULL with `capacity` 0, or has `capacity` writable bytes; `length` is NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn get_text(which: u32, buffer: *mut c_char, capacity: usize, length: *mut usize) -> i32 {
    guard(|| {
        let session = session()?;
        let path = |path: fn(&Paths) -> std::path::PathBuf| {
            session.paths().map(|paths| path(paths).display().to_string()).unwrap_or_default()
        };
        let text = match which {
            VMS_TEXT_LIBRARY_VERSION => env!("CARGO_PKG_VERSION").to_owned(),
            VMS_TEXT_TELEMETRY_REASON => session.state().telemetry.words,
            VMS_TEXT_LOG_REASON => session.state().log.words,
            VMS_TEXT_SETTINGS_FILE => path(Paths::settings),
            VMS_TEXT_DATA_FOLDER => path(|paths| paths.folder().to_owned()),
            VMS_TEXT_LOG_FOLDER => path(|paths| paths.log_folder().to_owned()),
            VMS_TEXT_SESSION_ID => session.id().to_string(),
            VMS_TEXT_LAST_FAILURE => session.state().failure.unwrap_or_default(),
            VMS_TEXT_DELIVERY_FAILURE => session.state().delivery.last_failure.unwrap_or_default(),
            VMS_TEXT_CONNECTION_REASON => session.state().unreported.unwrap_or_default(),
            VMS_TEXT_LAST_SENT => session.state().delivery.last_sent.and_then(session::moment).unwrap_or_default(),
            _ => return Err(Error::argument("which", "it is none of VMS_TEXT_*")),
        };
        // SAFETY: as the caller promised.
        unsafe { give(&text, buffer, capacity, length) }
    })
}

/// Writes the message of the last call of this thread that returned an error, in the manner of get_text. It stays until
/// the next error of the thread. A failure of this call leaves it as it is.
///
/// # Safety
/// As for get_text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn last_error(buffer: *mut c_char, capacity: usize, length: *mut usize) -> i32 {
    let message = LAST_ERROR.try_with(|message| message.borrow().clone()).unwrap_or_default();
    // SAFETY: as the caller promised.
    let given = panic::catch_unwind(AssertUnwindSafe(|| unsafe { give(&message, buffer, capacity, length) }));
    given.map_or(VMS_ERROR_INTERNAL, |outcome| outcome.unwrap_or_else(|error| code(&error)))
}

/// The one session of the process.
static SESSION: Mutex<Option<Arc<Session>>> = Mutex::new(None);

const DEFECT: &str = "a defect of the telemetry library; nothing was recorded";

thread_local! {
    static LAST_ERROR: RefCell<String> = const { RefCell::new(String::new()) };
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

fn session() -> Result<Arc<Session>> {
    SESSION.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or(Error::NotStarted)
}

/// Runs the safe part of an exported function. No panic gets past this, and none is printed on the host's console.
fn guard(body: impl FnOnce() -> Result<i32>) -> i32 {
    static FIRST_CALL: Once = Once::new();
    FIRST_CALL.call_once(|| {
        crate::platform::stay_loaded();
        let loud = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            let ours = GUARDED.try_with(Cell::get).unwrap_or(true)
                || std::thread::current().name().is_some_and(|name| [sender::THREAD, vms::THREAD].contains(&name));
            if !ours {
                loud(panic);
            }
        }));
    });
    let _ = GUARDED.try_with(|guarded| guarded.set(true));
    let outcome = panic::catch_unwind(AssertUnwindSafe(body));
    let _ = GUARDED.try_with(|guarded| guarded.set(false));
    let (status, message) = match outcome {
        Ok(Ok(status)) => return status,
        Ok(Err(error)) => (code(&error), error.to_string()),
        Err(_) => (VMS_ERROR_INTERNAL, DEFECT.to_owned()),
    };
    let _ = LAST_ERROR.try_with(|last| *last.borrow_mut() = message);
    status
}

fn code(error: &Error) -> i32 {
    match error {
        Error::Argument { .. } => VMS_ERROR_ARGUMENT,
        Error::NotStarted => VMS_ERROR_NO_SESSION,
        Error::NoSuchConnection => VMS_ERROR_NO_CONNECTION,
        Error::TooManyConnections => VMS_ERROR_TOO_MANY_CONNECTIONS,
        Error::BufferTooSmall { .. } => VMS_ERROR_BUFFER_TOO_SMALL,
        Error::NoFolder | Error::Unusable(_) | Error::File { .. } => VMS_ERROR_FILE,
        Error::Settings { .. } => VMS_ERROR_SETTINGS,
    }
}

fn status(outcome: Outcome) -> i32 {
    match outcome {
        Outcome::Recorded => VMS_OK,
        Outcome::Off => VMS_OFF,
    }
}

fn truth(on: bool) -> u32 {
    if on { VMS_TRUE } else { VMS_FALSE }
}

fn flag(value: u32, field: &'static str) -> Result<Option<bool>> {
    match value {
        VMS_UNSET => Ok(None),
        VMS_FALSE => Ok(Some(false)),
        VMS_TRUE => Ok(Some(true)),
        _ => Err(Error::argument(field, "it is none of VMS_UNSET, VMS_FALSE and VMS_TRUE")),
    }
}

fn user_type(value: u32) -> Result<&'static str> {
    let index = (value as usize).wrapping_sub(VMS_USER_BASIC as usize);
    USER_TYPES.get(index).copied().ok_or_else(|| Error::argument("user_type", "it is none of VMS_USER_*"))
}

fn policy(value: u32) -> Result<UsageDataPolicy> {
    match value {
        VMS_POLICY_UNKNOWN => Ok(UsageDataPolicy::Unknown),
        VMS_POLICY_ON => Ok(UsageDataPolicy::On),
        VMS_POLICY_OFF => Ok(UsageDataPolicy::Off),
        VMS_POLICY_NOT_OFFERED => Ok(UsageDataPolicy::NotOffered),
        _ => Err(Error::argument("usage_data_policy", "it is none of VMS_POLICY_*")),
    }
}

fn timeout(seconds: u32) -> Result<Duration> {
    match seconds {
        0 => Ok(Duration::from_secs(60)),
        1..=3_600 => Ok(Duration::from_secs(seconds.into())),
        _ => Err(Error::argument("timeout_seconds", "it is more than 3,600")),
    }
}

/// Parses a site id: only a GUID becomes part of a file's name (I6). The message never holds the value.
fn site(text: &str) -> Result<Uuid> {
    Uuid::try_parse(text.trim()).map_err(|_| Error::argument("site_id", "it is not a GUID"))
}

fn counts(info: &VmsConnectionInfo) -> Result<Vec<(Field, Option<u32>)>> {
    let counts = [
        (Field::ChildSites, info.child_sites, "child_sites"),
        (Field::Recorders, info.recorders, "recorders"),
        (Field::HardwareCount, info.hardware_count, "hardware_count"),
        (Field::CameraCount, info.camera_count, "camera_count"),
        (Field::MicrophoneCount, info.microphone_count, "microphone_count"),
        (Field::SpeakerCount, info.speaker_count, "speaker_count"),
        (Field::MetadataCount, info.metadata_count, "metadata_count"),
        (Field::InputCount, info.input_count, "input_count"),
        (Field::OutputCount, info.output_count, "output_count"),
    ];
    let known = |(field, count, name): (Field, VmsCount, &'static str)| {
        Ok((field, (flag(count.known, name)? == Some(true)).then_some(count.value)))
    };
    counts.into_iter().map(known).collect()
}

fn not_null<T>(pointer: *const T, field: &'static str) -> Result<()> {
    if pointer.is_null() { Err(Error::argument(field, "it is NULL")) } else { Ok(()) }
}

/// A record that begins with its size in bytes.
///
/// # Safety
/// The type is `repr(C)`, its first field is that `u32`, and all bits zero is a value of it.
unsafe trait Record: Copy {
    /// Size of the record's first version: no caller can have a smaller one.
    const FIRST: usize;
}

// SAFETY: `repr(C)`, begins with `size: u32`; integers and pointers may be zero. So for the next five.
unsafe impl Record for VmsSessionInfo {
    const FIRST: usize = 8 + 5 * size_of::<usize>();
}
// SAFETY: as above.
unsafe impl Record for VmsConnectionInfo {
    const FIRST: usize = 24 + 3 * size_of::<usize>() + 9 * 8;
}
// SAFETY: as above.
unsafe impl Record for VmsConfigChange {
    const FIRST: usize = 16 + size_of::<usize>();
}
// SAFETY: as above.
unsafe impl Record for VmsConfig {
    const FIRST: usize = 24;
}
// SAFETY: as above.
unsafe impl Record for VmsLogon {
    const FIRST: usize = 24 + 4 * size_of::<usize>() + 8;
}
// SAFETY: as above.
unsafe impl Record for VmsConnectionState {
    const FIRST: usize = 28;
}

/// No record will ever be larger: a size beyond it is garbage.
const RECORD_LIMIT: usize = 4096;

/// Copies a caller's record: what an older caller does not have is zero, what a newer one has beyond ours is not read.
///
/// # Safety
/// `pointer` is NULL, or its first four bytes can be read, and as many bytes as they say.
unsafe fn record<T: Record>(pointer: *const T, field: &'static str) -> Result<T> {
    not_null(pointer, field)?;
    // SAFETY: four bytes can be read, as the caller promised; they need no alignment.
    let size = unsafe { pointer.cast::<u32>().read_unaligned() } as usize;
    if !(T::FIRST..=RECORD_LIMIT).contains(&size) {
        return Err(Error::argument(field, "its size is not that of the record"));
    }
    let mut copy = MaybeUninit::<T>::zeroed();
    let length = size_of::<T>().min(size);
    // SAFETY:
    // - the source has `size` readable bytes, as the caller promised;
    // - the target is a local of `size_of::<T>()` bytes; bytes have no alignment.
    unsafe { std::ptr::copy_nonoverlapping(pointer.cast::<u8>(), copy.as_mut_ptr().cast::<u8>(), length) };
    // SAFETY: `Record` promises that zero bits are a value, and any bits of its integers and pointers are.
    Ok(unsafe { copy.assume_init() })
}

/// Writes a record to a caller who has `size` bytes for it: no more than both have.
///
/// # Safety
/// `target` has `size` writable bytes.
unsafe fn write_record<T: Record>(answer: &T, target: *mut T, size: u32) {
    let length = size_of::<T>().min(size as usize);
    // SAFETY:
    // - the source has at least `length` bytes, and bytes have no alignment;
    // - the target has `size` bytes, as the caller promised, and is none of ours.
    unsafe { std::ptr::copy_nonoverlapping(std::ptr::from_ref(answer).cast::<u8>(), target.cast::<u8>(), length) };
}

/// Copies a caller's text of at most [`VMS_TEXT_LIMIT`] bytes.
///
/// # Safety
/// `pointer` is NULL, or bytes can be read from it up to a NUL or up to the limit.
unsafe fn text(pointer: *const c_char, field: &'static str) -> Result<Option<String>> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: not NULL, and as the caller promised.
    let (text, is_whole) = unsafe { bytes(pointer) };
    if !is_whole {
        return Err(Error::argument(field, format!("it is longer than {VMS_TEXT_LIMIT} bytes")));
    }
    let text = std::str::from_utf8(text).map_err(|_| Error::argument(field, "it is not UTF-8"))?;
    Ok(Some(text.to_owned()))
}

/// Gives a text's bytes up to its NUL or the limit, and whether that is all of it.
///
/// # Safety
/// Bytes can be read from `pointer` up to a NUL or up to [`VMS_TEXT_LIMIT`], and stay as they are for `'a`.
unsafe fn bytes<'a>(pointer: *const c_char) -> (&'a [u8], bool) {
    let is_end = |index: &usize| {
        // SAFETY: no byte before this one was NUL, so it lies in the text or is its NUL, as the caller promised.
        let byte = unsafe { pointer.add(*index) };
        // SAFETY: as above; it can be read.
        unsafe { byte.read() == 0 }
    };
    let end = (0..=VMS_TEXT_LIMIT).find(is_end);
    // SAFETY: all bytes before the end, or before the limit, were read above.
    let bytes = unsafe { std::slice::from_raw_parts(pointer.cast::<u8>(), end.unwrap_or(VMS_TEXT_LIMIT)) };
    (bytes, end.is_some())
}

/// Copies a text that must be there and not be empty.
///
/// # Safety
/// As for [`text`].
unsafe fn required(pointer: *const c_char, field: &'static str) -> Result<String> {
    // SAFETY: as the caller promised.
    let text = unsafe { text(pointer, field) }?;
    text.filter(|text| !text.trim().is_empty()).ok_or_else(|| Error::argument(field, "it is required"))
}

/// Copies a caller's environment.
///
/// # Safety
/// `entries` is NULL, or points to texts as for [`text`], ended by a NULL pointer.
unsafe fn variables(entries: *const *const c_char) -> Result<Option<Vec<(OsString, OsString)>>> {
    if entries.is_null() {
        return Ok(None);
    }
    let mut variables = Vec::new();
    for index in 0..VMS_ENVIRONMENT_LIMIT {
        // SAFETY: no entry before this one was NULL, so it can be computed, as the caller promised.
        let entry = unsafe { entries.add(index) };
        // SAFETY: and be read; it needs no alignment.
        let entry = unsafe { entry.read_unaligned() };
        if entry.is_null() {
            return Ok(Some(variables));
        }
        // SAFETY: not NULL, and as the caller promised.
        let (entry, is_whole) = unsafe { bytes(entry) };
        let mut entry = String::from_utf8_lossy(entry).into_owned();
        if !is_whole {
            // The sign of damage, as for bytes that are not UTF-8: a part must not pass for another value.
            entry.push(char::REPLACEMENT_CHARACTER);
        }
        variables.extend(entry.split_once('=').map(|(name, value)| (name.into(), value.into())));
    }
    Err(Error::argument(
        "environment",
        format!("it has {VMS_ENVIRONMENT_LIMIT} entries or more, or no NULL at its end"),
    ))
}

/// Writes a text with its NUL into a caller's buffer.
///
/// # Safety
/// `buffer` is NULL or has `capacity` writable bytes; `length` is NULL or can be written to.
unsafe fn give(text: &str, buffer: *mut c_char, capacity: usize, length: *mut usize) -> Result<i32> {
    not_null(length, "length")?;
    if capacity > 0 {
        not_null(buffer, "buffer")?;
    }
    // A NUL inside would end the text early for the caller: the file system and we put none in.
    let text = text.replace('\0', "");
    // SAFETY: not NULL, and writable as the caller promised.
    unsafe { length.write_unaligned(text.len()) };
    if capacity <= text.len() {
        return Err(Error::BufferTooSmall { needed: text.len() + 1 });
    }
    // SAFETY: the buffer has `capacity` bytes, more than the text; the text is ours, so they do not overlap.
    unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), buffer.cast::<u8>(), text.len()) };
    // SAFETY: `text.len()` is below `capacity`.
    let end = unsafe { buffer.add(text.len()) };
    // SAFETY: as above.
    unsafe { end.write(0) };
    Ok(VMS_OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a3_no_panic_crosses_the_boundary_and_the_next_call_works() {
        let status = guard(|| {
            let nothing: [i32; 0] = [];
            Ok(nothing[usize::from(std::hint::black_box(false))])
        });
        assert_eq!(status, VMS_ERROR_INTERNAL);
        assert!(LAST_ERROR.with(|message| message.borrow().contains("defect")));
        assert_eq!(guard(|| Ok(VMS_OK)), VMS_OK);
    }

    #[test]
    fn a2_the_records_have_the_sizes_that_the_header_promised_first() {
        assert_eq!(size_of::<VmsSessionInfo>(), VmsSessionInfo::FIRST);
        assert_eq!(size_of::<VmsConnectionInfo>(), VmsConnectionInfo::FIRST);
        assert_eq!(size_of::<VmsConfigChange>(), VmsConfigChange::FIRST);
        assert_eq!(size_of::<VmsConfig>(), VmsConfig::FIRST);
        assert_eq!(size_of::<VmsLogon>(), VmsLogon::FIRST);
        assert_eq!(size_of::<VmsConnectionState>(), VmsConnectionState::FIRST);
    }

    /// Reads an environment as a host hands it over.
    fn environment(entries: &[Vec<u8>]) -> Environment {
        let entries: Vec<_> = entries.iter().map(|entry| std::ffi::CString::new(&entry[..]).unwrap()).collect();
        let pointers: Vec<_> = entries.iter().map(|entry| entry.as_ptr()).chain([std::ptr::null()]).collect();
        // SAFETY: the texts live until the end of this function, and a NULL pointer ends them.
        let variables = unsafe { variables(pointers.as_ptr()) }.unwrap().unwrap();
        Environment::read(variables.into_iter())
    }

    #[test]
    fn c1_c2_d5_an_entry_that_is_too_long_or_no_text_is_never_a_yes_and_never_another_place() {
        let blanks = " ".repeat(VMS_TEXT_LIMIT);
        for begin in ["VMS_ApplicationInsights__Enabled=true", "vms_applicationinsights__enabled=", "DO_NOT_TRACK=0"] {
            for end in [blanks.as_bytes(), b"\xFF"] {
                assert!(environment(&[[begin.as_bytes(), end].concat()]).forbids(), "{begin}");
            }
        }
        let limit = VMS_TEXT_LIMIT - "DO_NOT_TRACK=".len();
        assert!(!environment(&[format!("DO_NOT_TRACK={}", &blanks[..limit]).into()]).forbids());
        for (name, value) in
            [("VMS_ApplicationInsights__ConnectionString", "InstrumentationKey=x;Pad="), ("HTTPS_PROXY", "http://a/")]
        {
            for end in ["x".repeat(VMS_TEXT_LIMIT).as_bytes(), b"\xFF"] {
                let environment = environment(&[[name.as_bytes(), b"=", value.as_bytes(), end].concat()]);
                assert_eq!(environment.connection_string().or(environment.proxy()), Some(""), "{name}");
            }
        }
        // What cannot be read exempts no host from the proxy.
        let exempt = environment(&[format!("NO_PROXY=a.example,{}", "x".repeat(VMS_TEXT_LIMIT)).into()]);
        assert_eq!(exempt.no_proxy().collect::<Vec<_>>(), [""]);
        // Entries of others cost nothing, whatever they are.
        let others = [vec![b'x'; 2 * VMS_TEXT_LIMIT], b"=::=::\\".to_vec(), b"\xFF=1".to_vec(), b"no sign".to_vec()];
        assert_eq!(environment(&others), Environment::default());
    }

    #[test]
    fn i6_only_a_guid_is_a_site_and_the_message_does_not_repeat_it() {
        assert!(site(" {DDDDDDDD-0000-4000-8000-00000000000D} ").is_ok());
        for text in ["..\\..\\x", "", "dddddddd", "dddddddd-0000-4000-8000-00000000000d/../x"] {
            let words = site(text).unwrap_err().to_string();
            assert_eq!(words, "site_id: it is not a GUID");
        }
    }
}
