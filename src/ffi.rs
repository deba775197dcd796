//! The functions of the C ABI: argument checks, the panic guard, status codes, and the one session of the process.
//!
//! An exported function is a shell: it guards, converts its arguments into types, calls a safe method of
//! [`Session`] and turns the outcome into a status. The rules for callers are at the head of the generated header
//! `include/vms_telemetry.h` (their text is in `xtask/src/header.rs`); its numbers and structs are in `src/abi.rs`.

use std::cell::{Cell, RefCell};
use std::ffi::{OsString, c_char};
use std::mem::MaybeUninit;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Once};
use std::time::Duration;

use once_cell::sync::OnceCell;
use zeroize::Zeroizing;

use crate::abi::*;
use crate::consent::{Decisions, Verdict};
use crate::endpoint::Step;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::event::UserType;
use crate::paths::Paths;
use crate::proxy::ProxyChoice;
use crate::session::{Change, ConnectionFacts, HostFacts, Session, UsageDataPolicy};
use crate::vms::{BasicUser, Credential, Logon};
use crate::{connections, sender};

/// Starts the session of this process. Records NewSession if telemetry is on. Does not wait for the network or for
/// another process.
///
/// A process has one session. A further call joins it, checks its argument and ignores it. VMS_OFF, VMS_UNSURE: there is a
/// session, and NewSession is not recorded. get_config and get_text have the reason.
///
/// # Safety
/// `info` is NULL or points to a struct that begins with its size. Its strings are NULL or end with a NUL. All is
/// borrowed for the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn init_session(info: *const VmsSessionInfo) -> i32 {
    guard(|| {
        // SAFETY: as the caller promised.
        let info = unsafe { record(info, "info") }?;
        let facts = HostFacts {
            // SAFETY: as the caller promised, for each of the strings.
            assembly_version: unsafe { required(info.assembly_version, "assembly_version") }?,
            // SAFETY: as above.
            framework_description: unsafe { text(info.framework_description, "framework_description") }?,
            // SAFETY: as above.
            os_description: unsafe { text(info.os_description, "os_description") }?,
            // SAFETY: as above.
            connection_string: unsafe { text(info.connection_string, "connection_string") }?,
            names_proxy: flag(info.names_proxy, "names_proxy")? == Some(true),
            hold: Duration::from_secs(info.hold_seconds.into()),
        };
        // SAFETY: as the caller promised.
        let environment = match unsafe { variables(info.environment) }? {
            Some(variables) => Environment::read(variables.into_iter()),
            None => Environment::read(std::env::vars_os()),
        };
        let start = || {
            let paths = Paths::of_current_user(&environment);
            Session::start(facts, environment, paths).map(Arc::new)
        };
        Ok(status(SESSION.get_or_try_init(start)?.record_session_start()))
    })
}

/// Records NewVmsSession for a connection that the host program made. Writes the number of the connection, for
/// on_disconnect. Does not wait for the network or for another process. VMS_OFF, VMS_UNSURE: there is a connection, and
/// no event of it is sent.
///
/// # Safety
/// `info` as for init_session. `connection` is NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn on_connect(info: *const VmsConnectionInfo, connection: *mut u64) -> i32 {
    guard(|| {
        let session = session()?;
        not_null(connection, "connection")?;
        // SAFETY: as the caller promised.
        let info = unsafe { record(info, "info") }?;
        let facts = ConnectionFacts {
            // SAFETY: as the caller promised, for each of the strings.
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

/// Closes a connection and records CloseVmsSession. Call it when the user disconnects. Do not call it when the process
/// ends: such an end is not recorded. If connect_vms made the connection and its devices are still being counted, waits
/// at most 1 second for the count. Cancels a call of find_vms or connect_vms that is in progress.
#[unsafe(no_mangle)]
pub extern "C" fn on_disconnect(connection: u64) -> i32 {
    guard(|| Ok(status(session()?.disconnect(connection)?)))
}

/// Changes the configuration. The change is in effect when this returns. After an opt-out, no request begins and
/// pending events are deleted. Waits at most 2 seconds for another process. After that time an opt-out is stored
/// without waiting (VMS_WARNING). If an opt-out cannot be stored (VMS_ERROR_FILE, VMS_ERROR_SETTINGS), it is in effect
/// until the process ends.
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
        let (telemetry, resets_telemetry) = choice(change.enable_telemetry, "enable_telemetry")?;
        let (log, resets_log) = choice(change.log_telemetry, "log_telemetry")?;
        let is_for_session = flag(change.this_session_only, "this_session_only")? == Some(true);
        if is_for_session && (log.is_some() || resets_log || resets_telemetry) {
            return Err(Error::argument("this_session_only", "only enable_telemetry can be chosen for a session"));
        }
        let warning = session.set_config(Change {
            telemetry,
            log,
            is_for_session,
            resets_telemetry,
            resets_log,
            hold: flag(change.hold_sending, "hold_sending")?,
            proxy,
        })?;
        Ok(warning.map_or(VMS_OK, |warning| {
            remember(LastError { message: warning, advice: String::new() });
            VMS_WARNING
        }))
    })
}

/// Writes the configuration in effect now, as much of the struct as the caller's size says. Does not wait.
///
/// # Safety
/// `config` is NULL or points to a writable struct that begins with its size.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn get_config(config: *mut VmsConfig) -> i32 {
    guard(|| {
        let session = session()?;
        let Decisions { telemetry, log } = session.decisions();
        let answer = VmsConfig {
            size: 0,
            telemetry_enabled: match telemetry.verdict {
                Verdict::On => VMS_TRUE,
                Verdict::Off => VMS_FALSE,
                Verdict::Unsure => VMS_UNSET,
            },
            telemetry_layer: telemetry.layer as u32,
            log_telemetry: truth(log.is_on()),
            log_layer: log.layer as u32,
            pending_events: u32::try_from(session.pending()).unwrap_or(u32::MAX),
        };
        // SAFETY: as the caller promised.
        unsafe { fill(config, "config", &answer) }
    })
}

/// Writes one of VMS_TEXT_* as UTF-8 with its NUL, and its length in bytes without the NUL. If the buffer is too small
/// (it may be NULL with capacity 0), only the length is written and the status is VMS_ERROR_BUFFER_TOO_SMALL.
///
/// # Safety
/// `buffer` is NULL with `capacity` 0, or has `capacity` writable bytes. `length` is NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn get_text(which: u32, buffer: *mut c_char, capacity: usize, length: *mut usize) -> i32 {
    guard(|| {
        let session = session()?;
        let path = |path: fn(&Paths) -> std::path::PathBuf| {
            session.paths().map(|paths| path(paths).display().to_string()).unwrap_or_default()
        };
        let text = match which {
            VMS_TEXT_LIBRARY_VERSION => env!("CARGO_PKG_VERSION").to_owned(),
            VMS_TEXT_SETTINGS_FILE => path(Paths::settings),
            VMS_TEXT_DATA_FOLDER => path(|paths| paths.folder().to_owned()),
            VMS_TEXT_LOG_FOLDER => path(|paths| paths.log_folder().to_owned()),
            VMS_TEXT_SESSION_ID => session.id().to_string(),
            VMS_TEXT_TELEMETRY_REASON => session.decisions().telemetry.reason,
            VMS_TEXT_LOG_REASON => session.decisions().log.reason,
            VMS_TEXT_LAST_FAILURE => session.failure().unwrap_or_default(),
            VMS_TEXT_USER_ID => session.user().map(|id| id.to_string()).unwrap_or_default(),
            VMS_TEXT_LAYERS => {
                let lines = session.layers().into_iter().map(|(layer, value)| format!("{layer}={value}\n"));
                lines.collect()
            }
            VMS_TEXT_ENDPOINT_TEST => {
                let word = |is_ok| match is_ok {
                    Some(true) => "ok",
                    Some(false) => "failed",
                    None => "untried",
                };
                let line = |step: Step| {
                    let detail = step.detail.replace(['\t', '\n'], " ");
                    let took = step.took.as_millis();
                    format!("{}\t{}\t{took}\t{detail}\t{}\n", step.name, word(step.is_ok), step.advice)
                };
                session.endpoint_test().into_iter().map(line).collect()
            }
            VMS_TEXT_CONNECTION_STRING => session.destination().map(|to| to.connection_string()).unwrap_or_default(),
            VMS_TEXT_CONNECTION_REASON => session.unreported().unwrap_or_default(),
            VMS_TEXT_DELIVERY_FAILURE => session.retry_state().last_failure.unwrap_or_default(),
            VMS_TEXT_LAST_SENT => {
                let time = |seconds| chrono::DateTime::from_timestamp(seconds, 0).map(|time| time.to_rfc3339());
                session.retry_state().last_sent.and_then(time).unwrap_or_default()
            }
            _ => return Err(Error::argument("which", "it is none of VMS_TEXT_*")),
        };
        // SAFETY: as the caller promised.
        unsafe { give(&text, buffer, capacity, length) }
    })
}

/// Writes the index-th event of VMS_EVENT_*, from 0 on, as get_text writes. VMS_ERROR_ARGUMENT: there are fewer. Empty: its
/// file cannot be read; go on with the next. Works whether or not telemetry is on. Does not wait for the network or for
/// another process.
///
/// # Safety
/// As for get_text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn get_event(
    which: u32,
    index: u32,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> i32 {
    guard(|| {
        let session = session()?;
        let event = match which {
            VMS_EVENT_PENDING => session.pending_event(index as usize)?,
            VMS_EVENT_RECEIPT => session.receipt(index as usize)?,
            VMS_EVENT_PREVIEW => session.preview(index as usize)?,
            _ => return Err(Error::argument("which", "it is none of VMS_EVENT_*")),
        };
        let event = event.ok_or_else(|| Error::argument("index", "there is no such event"))?;
        // SAFETY: as the caller promised.
        unsafe { give(&event, buffer, capacity, length) }
    })
}

/// Tries the way to Application Insights step by step: name, proxy, connection, certificate, answer. get_text has the steps
/// (VMS_TEXT_ENDPOINT_TEST). Blocks the calling thread, 20 seconds at most. Works whether or not telemetry is on. Sends no
/// event.
#[unsafe(no_mangle)]
pub extern "C" fn test_endpoint() -> i32 {
    guard(|| session()?.test_endpoint().map(|()| VMS_OK))
}

/// Deletes what is stored of telemetry: a sum of VMS_CLEAR_*. The settings stay. It is in effect when this returns. Waits at
/// most 2 seconds for another process.
#[unsafe(no_mangle)]
pub extern "C" fn clear_data(what: u32) -> i32 {
    guard(|| session()?.clear(clear(what)?).map(|()| VMS_OK))
}

/// Writes the message of the last call of this thread that returned an error or VMS_WARNING, as get_text writes. The
/// message stays until the next such call of the thread. If this call fails, the message does not change.
///
/// # Safety
/// As for get_text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn last_error(buffer: *mut c_char, capacity: usize, length: *mut usize) -> i32 {
    let last = LAST_ERROR.try_with(|last| last.borrow().message.clone()).unwrap_or_default();
    // SAFETY: as the caller promised.
    unsafe { give_last(&last, buffer, capacity, length) }
}

/// Writes what the user can do about the message of last_error, as get_text writes. The message ends with the same words.
/// Empty if it has no such end.
///
/// # Safety
/// As for get_text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn last_advice(buffer: *mut c_char, capacity: usize, length: *mut usize) -> i32 {
    let last = LAST_ERROR.try_with(|last| last.borrow().advice.clone()).unwrap_or_default();
    // SAFETY: as the caller promised.
    unsafe { give_last(&last, buffer, capacity, length) }
}

/// Writes a number for find_vms and connect_vms. With it, on_disconnect cancels the call from another thread, and later
/// closes the connection. The host program releases each number with on_disconnect, also if the call failed.
///
/// # Safety
/// `connection` is NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reserve_connection(connection: *mut u64) -> i32 {
    guard(|| {
        let session = session()?;
        not_null(connection, "connection")?;
        let number = session.reserve()?;
        // SAFETY: not NULL, and writable as the caller promised.
        unsafe { connection.write_unaligned(number) };
        Ok(VMS_OK)
    })
}

/// Finds the server. Writes its address and token endpoint, as much of the struct as the caller's size says. Blocks the
/// calling thread until it is done, until the timeout, or until another thread calls on_disconnect
/// (VMS_ERROR_CANCELLED). Sends no credential.
///
/// # Safety
/// `logon` as `info` for init_session. `server` as `config` for get_config.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn find_vms(connection: u64, logon: *const VmsLogon, server: *mut VmsServer) -> i32 {
    guard(|| {
        let session = session()?;
        // SAFETY: as the caller promised.
        unsafe { size(server, "server") }?;
        // SAFETY: as the caller promised.
        let logon = unsafe { record(logon, "logon") }?;
        // SAFETY: as the caller promised.
        let wanted = unsafe { wanted(&logon) }?;
        replace(&session, &logon);
        let found = session.find_vms(connection, wanted)?;
        let mut answer =
            VmsServer::of(found.origin.is_encrypted(), &found.origin.to_string(), &found.gateway, found.tls);
        copy(&found.token_endpoint, &mut answer.token_endpoint);
        // SAFETY: as the caller promised.
        unsafe { fill(server, "server", &answer) }
    })
}

/// Logs on, and writes what is known of the VMS. Blocks like find_vms. Works whether or not telemetry is on. If it is
/// on, the usage data option and the devices are read in the background, and NewVmsSession is recorded after that. The
/// host program does not call on_connect.
///
/// # Safety
/// As for find_vms.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connect_vms(connection: u64, logon: *const VmsLogon, server: *mut VmsServer) -> i32 {
    guard(|| {
        let session = session()?;
        // SAFETY: as the caller promised.
        unsafe { size(server, "server") }?;
        // SAFETY: as the caller promised.
        let logon = unsafe { record(logon, "logon") }?;
        let user_type = user_type(logon.user_type)?;
        let credential = match user_type {
            UserType::BasicUser => Credential::Basic(BasicUser {
                // SAFETY: as the caller promised, for each of the strings.
                name: Zeroizing::new(unsafe { required(logon.user_name, "user_name") }?),
                // SAFETY: as above.
                password: Zeroizing::new(unsafe { text(logon.password, "password") }?.unwrap_or_default()),
            }),
            UserType::WindowsUser | UserType::OAuthUser => {
                // SAFETY: as above.
                Credential::Token(Zeroizing::new(unsafe { required(logon.access_token, "access_token") }?))
            }
        };
        // SAFETY: as above.
        let wanted = unsafe { wanted(&logon) }?;
        replace(&session, &logon);
        let facts = session.connect_vms(connection, wanted, credential, user_type)?;
        let mut answer =
            VmsServer::of(facts.origin.is_encrypted(), &facts.origin.to_string(), &facts.gateway, facts.tls);
        answer.child_sites = u32::try_from(facts.child_sites.len()).unwrap_or(u32::MAX);
        copy(facts.product.as_deref().unwrap_or_default(), &mut answer.product_name);
        copy(&facts.site.id.to_string(), &mut answer.site_id);
        copy(&facts.site.name, &mut answer.site_name);
        copy(facts.site.version.as_deref().unwrap_or_default(), &mut answer.product_version);
        // SAFETY: as the caller promised.
        unsafe { fill(server, "server", &answer) }
    })
}

/// Writes a child site of a connection of connect_vms, from index 0 on.
///
/// # Safety
/// `site` as `config` for get_config.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn get_child_site(connection: u64, index: u32, site: *mut VmsSite) -> i32 {
    guard(|| {
        let session = session()?;
        let found = session.child_site(connection, index as usize)?;
        let found = found.ok_or_else(|| Error::argument("index", "the connection has no such child site"))?;
        let mut answer = VmsSite { size: 0, reserved: 0, id: [0; 40], version: [0; 136], name: [0; 1032] };
        copy(&found.id.to_string(), &mut answer.id);
        copy(found.version.as_deref().unwrap_or_default(), &mut answer.version);
        copy(&found.name, &mut answer.name);
        // SAFETY: as the caller promised.
        unsafe { fill(site, "site", &answer) }
    })
}

/// Writes the state of a connection of connect_vms, as much of the struct as the caller's size says. Does not wait.
///
/// # Safety
/// `state` as `config` for get_config.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn get_connection(connection: u64, state: *mut VmsConnectionState) -> i32 {
    guard(|| {
        let session = session()?;
        let status = session.connection(connection)?;
        let answer = VmsConnectionState {
            size: 0,
            counting: truth(status.is_counting),
            usage_data_policy: match status.policy {
                UsageDataPolicy::Unknown => VMS_POLICY_UNKNOWN,
                UsageDataPolicy::On => VMS_POLICY_ON,
                UsageDataPolicy::Off => VMS_POLICY_OFF,
                UsageDataPolicy::NotOffered => VMS_POLICY_NOT_OFFERED,
            },
            reported: status.reported.map_or(VMS_UNSET, truth),
            items_counted: status.items,
        };
        // SAFETY: as the caller promised.
        unsafe { fill(state, "state", &answer) }
    })
}

/// Waits until the devices of a connection of connect_vms are counted, at most this many milliseconds. Then records
/// NewVmsSession with the counts that are known, unless it was recorded before. For the end of a process that does not
/// disconnect. on_disconnect does the same, and waits at most 1 second.
#[unsafe(no_mangle)]
pub extern "C" fn settle_connection(connection: u64, wait_milliseconds: u32) -> i32 {
    guard(|| Ok(status(session()?.settle(connection, Duration::from_millis(wait_milliseconds.into()))?)))
}

/// The one session of the process.
static SESSION: OnceCell<Arc<Session>> = OnceCell::new();

const DEFECT: &str = "a defect of the telemetry library; nothing was recorded";

thread_local! {
    static LAST_ERROR: RefCell<LastError> = const { RefCell::new(LastError { message: String::new(), advice: String::new() }) };
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// What [`last_error`] and [`last_advice`] give.
struct LastError {
    message: String,
    advice: String,
}

fn session() -> Result<Arc<Session>> {
    SESSION.get().cloned().ok_or(Error::NotStarted)
}

/// Runs the safe part of an exported function. No panic gets past this, and none is printed on the host's console: the hook of the
/// process is replaced by one that is silent for panics of this library alone, and calls the one before for all others.
fn guard(body: impl FnOnce() -> Result<i32>) -> i32 {
    static FIRST_CALL: Once = Once::new();
    FIRST_CALL.call_once(|| {
        crate::platform::stay_loaded();
        let loud = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            let ours = GUARDED.try_with(Cell::get).unwrap_or(true)
                || std::thread::current()
                    .name()
                    .is_some_and(|name| [sender::THREAD, connections::THREAD].contains(&name));
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
        Ok(Err(error)) => (code(&error), LastError { message: error.to_string(), advice: error.advice().to_owned() }),
        Err(_) => (VMS_ERROR_INTERNAL, LastError { message: DEFECT.to_owned(), advice: String::new() }),
    };
    remember(message);
    status
}

/// Keeps a message for [`last_error`].
fn remember(message: LastError) {
    let _ = LAST_ERROR.try_with(|last| *last.borrow_mut() = message);
}

/// Writes a text of [`LastError`]. Not within [`guard`], which would replace the text by the failure to write it.
///
/// # Safety
/// As for [`give`].
unsafe fn give_last(text: &str, buffer: *mut c_char, capacity: usize, length: *mut usize) -> i32 {
    // SAFETY: as the caller promised.
    let given = panic::catch_unwind(AssertUnwindSafe(|| unsafe { give(text, buffer, capacity, length) }));
    given.map_or(VMS_ERROR_INTERNAL, |outcome| outcome.unwrap_or_else(|error| code(&error)))
}

/// Reads where and how to log on.
///
/// # Safety
/// The strings are as for [`text`].
unsafe fn wanted(logon: &VmsLogon) -> Result<Logon> {
    // SAFETY: as the caller promised.
    let address = unsafe { required(logon.server_address, "server_address") }?;
    Ok(Logon {
        address: address.parse().map_err(|problem: &str| Error::argument("server_address", problem))?,
        is_secure_only: flag(logon.secure_only, "secure_only")? == Some(true),
        skips_certificate_check: flag(logon.skip_certificate_check, "skip_certificate_check")? == Some(true),
        includes_child_sites: flag(logon.include_child_sites, "include_child_sites")? == Some(true),
        timeout: timeout(logon.timeout_seconds)?,
    })
}

/// Closes the connection that a logon replaces. One that is closed already is no failure.
fn replace(session: &Session, logon: &VmsLogon) {
    if logon.replaces != 0 {
        let _ = session.disconnect(logon.replaces);
    }
}

fn not_null<T>(pointer: *const T, field: &'static str) -> Result<()> {
    if pointer.is_null() { Err(Error::argument(field, "it is NULL")) } else { Ok(()) }
}

/// A struct that begins with its size in bytes.
///
/// # Safety
/// The type is `repr(C)`, its first field is that `u32`, and all bits zero is a value of it.
unsafe trait Record: Copy {
    /// Size of the struct's first version: no caller can have a smaller one.
    const FIRST: usize = size_of::<Self>();
}

// SAFETY: `repr(C)`, begins with `size: u32`; integers and pointers may be zero. So for all that follow.
unsafe impl Record for VmsSessionInfo {}
// SAFETY: as above.
unsafe impl Record for VmsConnectionInfo {}
// SAFETY: as above.
unsafe impl Record for VmsConfigChange {}
// SAFETY: as above.
unsafe impl Record for VmsConfig {}
// SAFETY: as above.
unsafe impl Record for VmsLogon {}
// SAFETY: as above.
unsafe impl Record for VmsSite {}
// SAFETY: as above.
unsafe impl Record for VmsServer {}
// SAFETY: as above.
unsafe impl Record for VmsConnectionState {}

/// No record will ever be larger: a size beyond it is garbage.
const RECORD_LIMIT: usize = 4096;

/// Returns the size of a caller's struct, as its first member says.
///
/// # Safety
/// `pointer` is NULL, or its first four bytes can be read.
unsafe fn size<T: Record>(pointer: *const T, field: &'static str) -> Result<usize> {
    not_null(pointer, field)?;
    // SAFETY: four bytes can be read, as the caller promised; they need no alignment.
    let size = unsafe { pointer.cast::<u32>().read_unaligned() } as usize;
    let fits = (T::FIRST..=RECORD_LIMIT).contains(&size);
    if fits { Ok(size) } else { Err(Error::argument(field, "its size is not that of the struct")) }
}

/// Copies a caller's struct: what an older caller does not have is zero, what a newer one has beyond ours is not read.
///
/// # Safety
/// As for [`size`], and as many bytes as it says can be read.
unsafe fn record<T: Record>(pointer: *const T, field: &'static str) -> Result<T> {
    // SAFETY: as the caller promised.
    let length = size_of::<T>().min(unsafe { size(pointer, field) }?);
    let mut copy = MaybeUninit::<T>::zeroed();
    // SAFETY:
    // - the source has at least `length` readable bytes, as the caller promised;
    // - the target is a local of `size_of::<T>()` bytes; bytes have no alignment.
    unsafe { std::ptr::copy_nonoverlapping(pointer.cast::<u8>(), copy.as_mut_ptr().cast::<u8>(), length) };
    // SAFETY: `Record` promises that zero bits are a value, and any bits of its integers and pointers are.
    Ok(unsafe { copy.assume_init() })
}

/// Writes a struct to a caller: as much of it as both have. The caller's size stays.
///
/// # Safety
/// As for [`size`], and as many bytes as it says can be written to.
unsafe fn fill<T: Record>(target: *mut T, field: &'static str, answer: &T) -> Result<i32> {
    const SIZE: usize = size_of::<u32>();
    // SAFETY: as the caller promised.
    let length = size_of::<T>().min(unsafe { size(target, field) }?);
    // SAFETY: a struct has more than its size.
    let source = unsafe { std::ptr::from_ref(answer).cast::<u8>().add(SIZE) };
    // SAFETY: as above.
    let target = unsafe { target.cast::<u8>().add(SIZE) };
    // SAFETY:
    // - both have at least `length` bytes, as the caller promised; bytes have no alignment;
    // - the source is ours, so they do not overlap.
    unsafe { std::ptr::copy_nonoverlapping(source, target, length - SIZE) };
    Ok(VMS_OK)
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
        assert!(LAST_ERROR.with(|last| last.borrow().message.contains("defect")));
        assert_eq!(guard(|| Ok(VMS_OK)), VMS_OK);
    }

    /// Reads an environment as a host hands it over.
    fn environment(entries: &[Vec<u8>]) -> Environment {
        let entries: Vec<_> = entries.iter().map(|entry| std::ffi::CString::new(&entry[..]).unwrap()).collect();
        let pointers: Vec<_> = entries.iter().map(|entry| entry.as_ptr()).chain([std::ptr::null()]).collect();
        // SAFETY: the texts live until the end of this function, and a NULL pointer ends them.
        let variables = unsafe { variables(pointers.as_ptr()) }.unwrap().unwrap();
        Environment::read(variables.into_iter())
    }

    fn opts_out(environment: &Environment) -> bool {
        environment.telemetry().is_some_and(|(on, _)| !on) || environment.do_not_track()
    }

    #[test]
    fn c1_c2_d5_an_entry_that_is_too_long_or_no_text_is_never_a_yes_and_never_another_place() {
        let blanks = " ".repeat(VMS_TEXT_LIMIT);
        for begin in ["VMS_ApplicationInsights__Enabled=true", "vms_applicationinsights__enabled=", "DO_NOT_TRACK=0"] {
            for end in [blanks.as_bytes(), b"\xFF"] {
                assert!(opts_out(&environment(&[[begin.as_bytes(), end].concat()])), "{begin}");
            }
        }
        let limit = VMS_TEXT_LIMIT - "DO_NOT_TRACK=".len();
        assert!(!opts_out(&environment(&[format!("DO_NOT_TRACK={}", &blanks[..limit]).into()])));
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
        assert_eq!(exempt.no_proxy(), "");
        // Entries of others cost nothing, whatever they are.
        let others = [vec![b'x'; 2 * VMS_TEXT_LIMIT], b"=::=::\\".to_vec(), b"\xFF=1".to_vec(), b"no sign".to_vec()];
        assert_eq!(environment(&others), Environment::default());
    }
}
