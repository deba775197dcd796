//! The numbers and structs of the C header `include/vms_telemetry.h`, and what they mean. Its functions are in `src/ffi.rs`.
//!
//! Numbers are never reused, and structs grow at their end only.

use std::ffi::c_char;
use std::time::Duration;

use uuid::Uuid;

use crate::error::{Error, Result};
use crate::event::UserType;
use crate::session::{Clear, Outcome, UsageDataPolicy};
use crate::vms::Counts;

/// Done.
pub const VMS_OK: i32 = 0;
/// Done, and nothing was recorded: telemetry is off, or this connection sends nothing. Not an error.
pub const VMS_OFF: i32 = 1;
/// Done, and nothing was recorded: it is not known now whether the user has opted out, for example because the settings
/// file is locked. Pending events are kept. Not an error. VMS_TEXT_TELEMETRY_REASON has the reason.
pub const VMS_UNSURE: i32 = 2;
/// set_config: done, with a warning for the user. last_error has the warning.
pub const VMS_WARNING: i32 = 3;
/// A pointer is NULL, or a field of a struct cannot be used. Nothing was done. The message names the field.
pub const VMS_ERROR_ARGUMENT: i32 = 10;
/// The call needs a session, and init_session has not returned yet.
pub const VMS_ERROR_NO_SESSION: i32 = 11;
/// The connection is not open: it was closed, or never opened.
pub const VMS_ERROR_NO_CONNECTION: i32 = 12;
/// 1,024 connections are open in this process. The host program has to close them.
pub const VMS_ERROR_TOO_MANY_CONNECTIONS: i32 = 13;
/// The buffer is too small. The length that is needed was written.
pub const VMS_ERROR_BUFFER_TOO_SMALL: i32 = 14;
/// A file or folder could not be used. Nothing was recorded. The message names it.
pub const VMS_ERROR_FILE: i32 = 20;
/// The settings file cannot be parsed. It was left as it is. The message names file, line and column.
pub const VMS_ERROR_SETTINGS: i32 = 21;
/// The operating system has no resources left: no thread could be started.
pub const VMS_ERROR_RESOURCES: i32 = 22;
/// set_config: the administrator of this computer has opted out, and no user can opt in. Nothing was changed.
pub const VMS_ERROR_POLICY: i32 = 23;
/// A defect of this library. Nothing was recorded. The host program continues as if telemetry were off.
pub const VMS_ERROR_INTERNAL: i32 = 30;
/// The connection failed: name not found, refused, no route, or reset.
pub const VMS_ERROR_UNREACHABLE: i32 = 40;
/// Timed out.
pub const VMS_ERROR_TIMEOUT: i32 = 41;
/// The server's certificate is not trusted.
pub const VMS_ERROR_CERTIFICATE: i32 = 42;
/// The server does not answer over HTTPS, or HTTPS was required and the address is for plain HTTP.
pub const VMS_ERROR_NOT_ENCRYPTED: i32 = 43;
/// The server redirects to another server. Such a redirect is not followed.
pub const VMS_ERROR_REDIRECTED: i32 = 44;
/// The server rejected the user name, the password or the token.
pub const VMS_ERROR_LOGON_REFUSED: i32 = 45;
/// The user is locked.
pub const VMS_ERROR_LOCKED_OUT: i32 = 46;
/// The user must choose a new password first.
pub const VMS_ERROR_PASSWORD_EXPIRED: i32 = 47;
/// The user may log on, but may not read what is needed.
pub const VMS_ERROR_ACCESS_DENIED: i32 = 48;
/// The server reported an internal error.
pub const VMS_ERROR_SERVER: i32 = 49;
/// The response is not that of an XProtect API.
pub const VMS_ERROR_ANSWER: i32 = 50;
/// Another thread cancelled the call with on_disconnect.
pub const VMS_ERROR_CANCELLED: i32 = 51;

/// Not given, or not known. A struct that is all zero has this value in each field, so false and true are 1 and 2.
pub const VMS_UNSET: u32 = 0;
/// False.
pub const VMS_FALSE: u32 = 1;
/// True.
pub const VMS_TRUE: u32 = 2;
/// set_config: the user's choice is taken back.
pub const VMS_RESET: u32 = 3;

/// A basic user of the VMS.
pub const VMS_USER_BASIC: u32 = 1;
/// A Windows or Active Directory user.
pub const VMS_USER_WINDOWS: u32 = 2;
/// A user of an external identity provider.
pub const VMS_USER_OAUTH: u32 = 3;

/// The option "Enable usage data collection" could not be read: no event of this connection is sent.
pub const VMS_POLICY_UNKNOWN: u32 = 0;
/// The option is on.
pub const VMS_POLICY_ON: u32 = 1;
/// The option is off: this opts the user out, in this session and in all later ones.
pub const VMS_POLICY_OFF: u32 = 2;
/// The VMS does not have the option: treated as on.
pub const VMS_POLICY_NOT_OFFERED: u32 = 3;

/// The default: nobody has opted in or out.
pub const VMS_LAYER_DEFAULT: u32 = 0;
/// The user's settings file.
pub const VMS_LAYER_SETTINGS_FILE: u32 = 1;
/// An environment variable VMS_ApplicationInsights__* (or VMS_ApplicationInsights:*).
pub const VMS_LAYER_ENVIRONMENT: u32 = 2;
/// The environment variable DO_NOT_TRACK.
pub const VMS_LAYER_DO_NOT_TRACK: u32 = 3;
/// The administrator of a VMS, with its option "Enable usage data collection".
pub const VMS_LAYER_VMS_POLICY: u32 = 4;
/// Telemetry cannot work in this process: no folder, an unusable connection string.
pub const VMS_LAYER_UNUSABLE: u32 = 5;
/// The administrator of this computer: HKLM\SOFTWARE\Policies\Milestone\MilestonePSTools, EnableTelemetry; elsewhere
/// /etc/milestone/milestonepstools.json.
pub const VMS_LAYER_MACHINE_POLICY: u32 = 6;
/// The user opted out in this session, and that could not be stored. It is in effect until the process ends.
pub const VMS_LAYER_SESSION: u32 = 7;
/// It is not known now whether there is an opt-out: the settings file or the machine policy cannot be read.
pub const VMS_LAYER_UNSURE: u32 = 8;

/// get_text: the version of this library.
pub const VMS_TEXT_LIBRARY_VERSION: u32 = 1;
/// get_text: why telemetry is on or off, and who decided that. A sentence without its full stop.
pub const VMS_TEXT_TELEMETRY_REASON: u32 = 2;
/// get_text: who decided whether events are written to the telemetry log.
pub const VMS_TEXT_LOG_REASON: u32 = 3;
/// get_text: path of the settings file.
pub const VMS_TEXT_SETTINGS_FILE: u32 = 4;
/// get_text: path of the folder with the random ids and the pending events.
pub const VMS_TEXT_DATA_FOLDER: u32 = 5;
/// get_text: path of the telemetry log's folder.
pub const VMS_TEXT_LOG_FOLDER: u32 = 6;
/// get_text: the random id of this session.
pub const VMS_TEXT_SESSION_ID: u32 = 7;
/// get_text: the last local error, for example a file that could not be written. Empty if there was none.
pub const VMS_TEXT_LAST_FAILURE: u32 = 8;
/// get_text: why the last attempt to send failed. Empty if it did not.
pub const VMS_TEXT_DELIVERY_FAILURE: u32 = 9;
/// get_text: when Application Insights last accepted events (ISO 8601, UTC). Empty if it never did.
pub const VMS_TEXT_LAST_SENT: u32 = 10;
/// get_text: why no event of the last connection is sent although telemetry is on. Empty if they are sent.
pub const VMS_TEXT_CONNECTION_REASON: u32 = 11;

/// get_text: the connection string in use, as "InstrumentationKey=...;IngestionEndpoint=...". Empty if none can be used.
pub const VMS_TEXT_CONNECTION_STRING: u32 = 12;

/// get_text: the random id of the user, as it is stored. Empty if there is none.
pub const VMS_TEXT_USER_ID: u32 = 13;
/// get_text: what each layer of consent says, one in a line: "SettingsFile=off".
pub const VMS_TEXT_LAYERS: u32 = 14;

/// get_text: the steps of the last test_endpoint, one in a line, with tabs between: its name, ok, failed or untried,
/// milliseconds, what happened, and what to do.
pub const VMS_TEXT_ENDPOINT_TEST: u32 = 15;

/// get_event: a pending event as it would be sent now: its envelope, the JSON object of the wire. The oldest first.
pub const VMS_EVENT_PENDING: u32 = 1;
/// get_event: the receipt of a request that the service answered, the newest first: a line with the JSON object {"time",
/// "destination", "status", "items"}, then the body as it left, an envelope in each line. Of each item, items says
/// accepted, refused, retry or tooLarge.
pub const VMS_EVENT_RECEIPT: u32 = 2;
/// get_event: what this session would record now, whether or not telemetry is on. Touches neither disk nor network. Ids
/// that the session has not read are zero.
pub const VMS_EVENT_PREVIEW: u32 = 3;

/// clear_data: the random ids of the user and of the sites. They are new from then on, in every process of the user, and so
/// is the id of the session. Deletes the rest as well, except the settings: it has the ids in it.
pub const VMS_CLEAR_IDS: u32 = 1;
/// clear_data: pending events.
pub const VMS_CLEAR_PENDING: u32 = 2;
/// clear_data: receipts.
pub const VMS_CLEAR_SENT: u32 = 4;
/// clear_data: the telemetry log.
pub const VMS_CLEAR_LOG: u32 = 8;

/// timeout_seconds: no timeout. hold_seconds: no end.
pub const VMS_NO_TIMEOUT: u32 = 0xFFFF_FFFF;
/// Longest string in a struct, in bytes without the NUL. A longer one is an error, and the rest of it is not read.
pub const VMS_TEXT_LIMIT: usize = 8192;
/// Most entries that are read from an environment.
pub const VMS_ENVIRONMENT_LIMIT: usize = 4096;

/// Describes the host program, for init_session. All strings except assembly_version may be NULL.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct VmsSessionInfo {
    /// sizeof(VmsSessionInfo).
    pub size: u32,
    /// VMS_TRUE: the host program sets the proxy with set_config, and nothing is sent before. Otherwise the proxy comes
    /// from HTTPS_PROXY, ALL_PROXY, HTTP_PROXY and NO_PROXY.
    pub names_proxy: u32,
    /// ProductVersion of the module's assembly, or the version of the host program. Required. It is sent if it has at most
    /// 64 characters out of 0-9, A-Z, a-z, '.', '+' and '-'.
    pub assembly_version: *const c_char,
    /// Name and version of the framework, such as .NET's RuntimeInformation.FrameworkDescription. NULL: there is none.
    pub framework_description: *const c_char,
    /// Name and version of the operating system. NULL: the library asks the system.
    pub os_description: *const c_char,
    /// Application Insights connection string. NULL: the built-in one. The environment variable
    /// VMS_ApplicationInsights__ConnectionString takes precedence. HTTPS is required, except to this computer itself.
    pub connection_string: *const c_char,
    /// The environment as "NAME=value" strings, ended by a NULL pointer. For host programs whose runtime has its own
    /// environment, such as .NET on Linux. NULL: the library reads the environment of the process. The library reads
    /// the variables VMS_ApplicationInsights__* and VMS_ApplicationInsights:*, DO_NOT_TRACK, HTTPS_PROXY, ALL_PROXY,
    /// HTTP_PROXY, NO_PROXY, HOME, XDG_DATA_HOME and XDG_STATE_HOME. A value that is too long or not UTF-8 cannot be
    /// used: if it could opt out, it does.
    pub environment: *const *const c_char,
    /// For so many seconds no request begins, so that a command that opts out comes first. A call of set_config with
    /// hold_sending VMS_FALSE ends it. VMS_NO_TIMEOUT: only that call does. A request never begins sooner than 1 second
    /// after the start.
    pub hold_seconds: u32,
}

/// A count that may be unknown. All zero: not known, and left out of the event.
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
    /// Value of the VMS option "Enable usage data collection for XProtect Smart Client": VMS_POLICY_*.
    pub usage_data_policy: u32,
    /// Zero.
    pub reserved: u32,
    /// The actual id of the site, a GUID. It is not sent: the event has a random id instead. Required.
    pub site_id: *const c_char,
    /// Version of the VMS. NULL: left out. The rule for assembly_version applies.
    pub product_version: *const c_char,
    /// Product name of the VMS. NULL: left out. It is sent if it has at most 128 printable characters, without '\',
    /// '/', '@' and ':', and contains no IP address and no GUID.
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

/// A change of the configuration, for set_config. All zero except the size: nothing changes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct VmsConfigChange {
    /// sizeof(VmsConfigChange).
    pub size: u32,
    /// Whether events are recorded and sent. VMS_UNSET: no change. Stored for all later sessions of the user. VMS_RESET:
    /// takes back what the user chose, so that the default is in effect again. An opt-out by a VMS stays, with a warning.
    pub enable_telemetry: u32,
    /// Whether events are written to the telemetry log. VMS_UNSET: no change. Stored as well. VMS_RESET: takes back what
    /// the user chose.
    pub log_telemetry: u32,
    /// VMS_TRUE: the host program is about to change the configuration, for example while it asks the user to confirm.
    /// No request begins until a call with VMS_FALSE. Calls nest: each VMS_TRUE needs its own VMS_FALSE. VMS_UNSET: no
    /// change.
    pub hold_sending: u32,
    /// The proxy for this session, such as "http://host:port". "": no proxy. NULL: no change. Not stored.
    pub proxy: *const c_char,
    /// VMS_TRUE: enable_telemetry is for this session only, and nothing is stored. VMS_FALSE of it opts out until the
    /// process ends; VMS_TRUE takes that back, and overrides no other opt-out. Nothing else can be chosen with it.
    pub this_session_only: u32,
}

/// The configuration in effect now, from get_config.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct VmsConfig {
    /// sizeof(VmsConfig), set by the caller.
    pub size: u32,
    /// VMS_TRUE: on. VMS_FALSE: off. VMS_UNSET: not known now (VMS_LAYER_UNSURE), and nothing is recorded or sent.
    pub telemetry_enabled: u32,
    /// Who decided it: VMS_LAYER_*.
    pub telemetry_layer: u32,
    /// VMS_TRUE or VMS_FALSE. When telemetry is off, nothing is logged.
    pub log_telemetry: u32,
    /// Who decided it: VMS_LAYER_*.
    pub log_layer: u32,
    /// Events pending for the destination of this session.
    pub pending_events: u32,
}

/// A logon to an XProtect management server, for find_vms and connect_vms. Strings that the user_type does not need may be
/// NULL.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct VmsLogon {
    /// sizeof(VmsLogon).
    pub size: u32,
    /// VMS_USER_BASIC: with user_name and password. VMS_USER_WINDOWS: with access_token, which the host program gets
    /// from the token endpoint of find_vms. VMS_USER_OAUTH: with access_token. Required. find_vms needs none of these
    /// strings.
    pub user_type: u32,
    /// VMS_TRUE: HTTPS is required. An address with http:// is an error.
    pub secure_only: u32,
    /// VMS_TRUE: any certificate is accepted. This allows man-in-the-middle attacks.
    pub skip_certificate_check: u32,
    /// VMS_TRUE: the child sites are listed as part of the logon.
    pub include_child_sites: u32,
    /// Timeout of the whole call in seconds, at most 3,600, or VMS_NO_TIMEOUT. 0: 60 seconds.
    pub timeout_seconds: u32,
    /// "https://host", "http://host:port", or a host name without a scheme, which means HTTPS. A path is ignored.
    /// Required.
    pub server_address: *const c_char,
    /// Name of a basic user.
    pub user_name: *const c_char,
    /// Password of the basic user. The library's copy is wiped from memory after the logon.
    pub password: *const c_char,
    /// A token of the VMS's identity provider. The library's copy is wiped from memory when the connection is closed.
    pub access_token: *const c_char,
    /// An open connection to close before the logon, as on_disconnect does. 0: none. If a field of this struct cannot
    /// be used, that connection stays open.
    pub replaces: u64,
}

/// A site of a VMS. Strings are UTF-8, end with a NUL and are empty if not known.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct VmsSite {
    /// sizeof(VmsSite), set by the caller.
    pub size: u32,
    /// Zero.
    pub reserved: u32,
    /// The actual id, a GUID in lower case with hyphens.
    pub id: [c_char; 40],
    /// Version of its product.
    pub version: [c_char; 136],
    /// Its name.
    pub name: [c_char; 1032],
}

/// What is known of a VMS, from find_vms and connect_vms. Strings are UTF-8, end with a NUL and are empty if not known.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct VmsServer {
    /// sizeof(VmsServer), set by the caller.
    pub size: u32,
    /// VMS_TRUE: HTTPS.
    pub encryption_enabled: u32,
    /// connect_vms with include_child_sites: number of child sites that get_child_site can return.
    pub child_sites: u32,
    /// Zero.
    pub reserved: u32,
    /// The address in use, such as "https://host:port/".
    pub address: [c_char; 280],
    /// find_vms: the URL where the host program logs on a Windows user. Post the form
    /// grant_type=windows_credentials&client_id=GrantValidatorClient there, with HTTP authentication (Negotiate, NTLM).
    pub token_endpoint: [c_char; 1032],
    /// connect_vms: name of the product.
    pub product_name: [c_char; 1032],
    /// connect_vms: actual id of the site, a GUID in lower case with hyphens.
    pub site_id: [c_char; 40],
    /// connect_vms: name of the site.
    pub site_name: [c_char; 1032],
    /// connect_vms: version of the product.
    pub product_version: [c_char; 136],
    /// The address of the API Gateway.
    pub gateway: [c_char; 280],
    /// Such as "TLS 1.3". Empty on Windows, where the system does not say.
    pub tls_version: [c_char; 16],
}

/// The state of a connection of connect_vms, from get_connection.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct VmsConnectionState {
    /// sizeof(VmsConnectionState), set by the caller.
    pub size: u32,
    /// VMS_TRUE: the usage data option or the devices are being read in the background. VMS_FALSE: done.
    pub counting: u32,
    /// VMS_POLICY_*. Unknown until it was read. When telemetry is off, it is not read.
    pub usage_data_policy: u32,
    /// VMS_TRUE: NewVmsSession was recorded. VMS_FALSE: no event of this connection is sent. VMS_UNSET: not decided
    /// yet.
    pub reported: u32,
    /// Items counted so far.
    pub items_counted: u32,
}

/// Returns the status of an error.
pub(crate) fn code(error: &Error) -> i32 {
    match error {
        Error::Argument { .. } => VMS_ERROR_ARGUMENT,
        Error::NotStarted => VMS_ERROR_NO_SESSION,
        Error::NoSuchConnection => VMS_ERROR_NO_CONNECTION,
        Error::TooManyConnections => VMS_ERROR_TOO_MANY_CONNECTIONS,
        Error::BufferTooSmall { .. } => VMS_ERROR_BUFFER_TOO_SMALL,
        Error::NoFolder | Error::Unusable(_) | Error::File { .. } => VMS_ERROR_FILE,
        Error::Settings { .. } => VMS_ERROR_SETTINGS,
        Error::Resources(_) => VMS_ERROR_RESOURCES,
        Error::Policy(_) => VMS_ERROR_POLICY,
        Error::NotStored(cause) => code(cause),
        Error::Vms(failure) => failure.kind as i32,
        Error::Cancelled => VMS_ERROR_CANCELLED,
    }
}

/// Returns the status of a call that has an outcome.
pub(crate) fn status(outcome: Outcome) -> i32 {
    match outcome {
        Outcome::Recorded => VMS_OK,
        Outcome::Off => VMS_OFF,
        Outcome::Unsure => VMS_UNSURE,
    }
}

pub(crate) fn truth(on: bool) -> u32 {
    if on { VMS_TRUE } else { VMS_FALSE }
}

pub(crate) fn flag(value: u32, field: &'static str) -> Result<Option<bool>> {
    match value {
        VMS_UNSET => Ok(None),
        VMS_FALSE => Ok(Some(false)),
        VMS_TRUE => Ok(Some(true)),
        _ => Err(Error::argument(field, "it is none of VMS_UNSET, VMS_FALSE and VMS_TRUE")),
    }
}

pub(crate) fn clear(flags: u32) -> Result<Clear> {
    let all = VMS_CLEAR_IDS | VMS_CLEAR_PENDING | VMS_CLEAR_SENT | VMS_CLEAR_LOG;
    if flags == 0 || flags & !all != 0 {
        return Err(Error::argument("what", "it is no sum of VMS_CLEAR_*"));
    }
    let has = |flag| flags & flag != 0;
    Ok(Clear {
        ids: has(VMS_CLEAR_IDS),
        pending: has(VMS_CLEAR_PENDING),
        sent: has(VMS_CLEAR_SENT),
        log: has(VMS_CLEAR_LOG),
    })
}

/// Reads a choice of the user, and whether it is taken back.
pub(crate) fn choice(value: u32, field: &'static str) -> Result<(Option<bool>, bool)> {
    if value == VMS_RESET { Ok((None, true)) } else { flag(value, field).map(|choice| (choice, false)) }
}

pub(crate) fn user_type(value: u32) -> Result<UserType> {
    match value {
        VMS_USER_BASIC => Ok(UserType::BasicUser),
        VMS_USER_WINDOWS => Ok(UserType::WindowsUser),
        VMS_USER_OAUTH => Ok(UserType::OAuthUser),
        _ => Err(Error::argument("user_type", "it is none of VMS_USER_*")),
    }
}

pub(crate) fn policy(value: u32) -> Result<UsageDataPolicy> {
    match value {
        VMS_POLICY_UNKNOWN => Ok(UsageDataPolicy::Unknown),
        VMS_POLICY_ON => Ok(UsageDataPolicy::On),
        VMS_POLICY_OFF => Ok(UsageDataPolicy::Off),
        VMS_POLICY_NOT_OFFERED => Ok(UsageDataPolicy::NotOffered),
        _ => Err(Error::argument("usage_data_policy", "it is none of VMS_POLICY_*")),
    }
}

pub(crate) fn timeout(seconds: u32) -> Result<Duration> {
    match seconds {
        0 => Ok(Duration::from_secs(60)),
        // No timeout: no process lives longer.
        1..=3_600 | VMS_NO_TIMEOUT => Ok(Duration::from_secs(seconds.into())),
        _ => Err(Error::argument("timeout_seconds", "it is more than 3,600")),
    }
}

/// Parses a site id: only a GUID becomes part of a file's name (I6). The message does not repeat the value.
pub(crate) fn site(text: &str) -> Result<Uuid> {
    Uuid::try_parse(text.trim()).map_err(|_| Error::argument("site_id", "it is not a GUID"))
}

pub(crate) fn counts(info: &VmsConnectionInfo) -> Result<Counts> {
    let known = |count: VmsCount, name| Ok((flag(count.known, name)? == Some(true)).then_some(count.value));
    Ok(Counts {
        child_sites: known(info.child_sites, "child_sites")?,
        recorders: known(info.recorders, "recorders")?,
        hardware: known(info.hardware_count, "hardware_count")?,
        cameras: known(info.camera_count, "camera_count")?,
        microphones: known(info.microphone_count, "microphone_count")?,
        speakers: known(info.speaker_count, "speaker_count")?,
        metadata: known(info.metadata_count, "metadata_count")?,
        inputs: known(info.input_count, "input_count")?,
        outputs: known(info.output_count, "output_count")?,
    })
}

impl VmsServer {
    /// Returns what is known of a server that was found.
    pub(crate) fn of(is_encrypted: bool, origin: &str, gateway: &str, tls: Option<&str>) -> Self {
        let mut server = Self {
            size: 0,
            encryption_enabled: truth(is_encrypted),
            child_sites: 0,
            reserved: 0,
            address: [0; 280],
            token_endpoint: [0; 1032],
            product_name: [0; 1032],
            site_id: [0; 40],
            site_name: [0; 1032],
            product_version: [0; 136],
            gateway: [0; 280],
            tls_version: [0; 16],
        };
        copy(gateway, &mut server.gateway);
        copy(tls.unwrap_or_default(), &mut server.tls_version);
        copy(&format!("{}/", origin.trim_end_matches('/')), &mut server.address);
        server
    }
}

/// Copies a string into a member of a struct, with its NUL. What is too long is cut at a character.
pub(crate) fn copy(text: &str, member: &mut [c_char]) {
    let text = text.get(..text.floor_char_boundary(member.len().saturating_sub(1))).unwrap_or_default();
    for (target, byte) in member.iter_mut().zip(text.bytes().chain([0])) {
        *target = byte.cast_signed() as c_char;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i6_only_a_guid_is_a_site_and_the_message_does_not_repeat_it() {
        assert!(site(" {DDDDDDDD-0000-4000-8000-00000000000D} ").is_ok());
        for text in ["..\\..\\x", "", "dddddddd", "dddddddd-0000-4000-8000-00000000000d/../x"] {
            let words = site(text).unwrap_err().to_string();
            assert_eq!(words, "site_id: it is not a GUID");
        }
    }
}
