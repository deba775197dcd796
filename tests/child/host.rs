//! A host as a process of its own: it does through the C ABI what a test tells it, line by line (`tests/it/common/child.rs`).
//!
//! An example, because cargo builds those together with the tests and runs none of them as a test.

use std::ffi::{CString, c_char};
use std::io::Write;
use std::ptr::null;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use vms_telemetry::abi::{
    self, VmsConfig, VmsConfigChange, VmsConnectionInfo, VmsCount, VmsLogon, VmsServer, VmsSessionInfo,
};
use vms_telemetry::ffi;
use vms_telemetry::files::{self, LockMode};

/// As in `tests/it/common/child.rs`.
const EVERY_TEXT: &str = "TEST_EVERY_TEXT";
const SITE: &str = "dddddddd-0000-4000-8000-00000000000d";

/// Does what standard input says, up to its end. The argument is the connection string.
fn main() {
    let destination = std::env::args().nth(1).expect("a test starts this program");
    // The standard library finds out once whether the system has `statx`: that is none of our calls (D11).
    std::fs::metadata("/").unwrap();
    say("ready");
    let (mut connection, mut locks, mut finding) = (0, Vec::new(), Vec::new());
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
        say(&match verb {
            "init" => outcome(init(&destination, rest)),
            "connect" => outcome(connect(abi::VMS_POLICY_ON, SITE, rest, &mut connection)),
            "connect-site" => outcome(connect(abi::VMS_POLICY_ON, rest, "", &mut connection)),
            "connect-policy" => outcome(connect(rest.parse().unwrap(), SITE, "", &mut connection)),
            "disconnect" => outcome(ffi::on_disconnect(connection)),
            "record" => outcome(
                (0..rest.parse().unwrap())
                    .map(|_| connect(abi::VMS_POLICY_ON, SITE, "", &mut connection).max(ffi::on_disconnect(connection)))
                    .fold(0, i32::max),
            ),
            // Connections that are told apart by their count of cameras; each number is an answer, if it was recorded.
            "number" => {
                let (first, end) = rest.split_once(' ').unwrap();
                for number in first.parse().unwrap()..end.parse().unwrap() {
                    let status = connect_with(number, abi::VMS_POLICY_ON, SITE, "", &mut connection);
                    say(&if status == abi::VMS_OK { number.to_string() } else { format!("not {number}: {status}") });
                }
                "0".to_owned()
            }
            // Looks for a VMS, on a thread of its own.
            "find" => {
                finding.push(find(rest.to_owned()));
                "0".to_owned()
            }
            // Ends all that look for a VMS, and gives what each call returned.
            "end" => format!(
                "{:?}",
                finding
                    .drain(..)
                    .map(|(number, call)| {
                        assert_eq!(ffi::on_disconnect(number), abi::VMS_OFF);
                        call.join().unwrap()
                    })
                    .collect::<Vec<i32>>()
            ),
            "log-on" | "replace" => {
                let (address, password) = rest.split_once(' ').unwrap();
                let replaces = if verb == "replace" { connection } else { 0 };
                outcome(log_on(address, password, replaces, &mut connection))
            }
            "telemetry" => outcome(change(truth(rest), 0, 0, None)),
            "log" => outcome(change(0, truth(rest), 0, None)),
            "hold" => outcome(change(0, 0, truth(rest), None)),
            "proxy" => outcome(change(0, 0, 0, Some(rest))),
            // Many changes of both kinds; a test kills it on the way.
            "churn" => outcome(
                (0..rest.parse().unwrap())
                    .map(|turn| change(1 + turn % 2, 1 + turn / 2 % 2, 0, None))
                    .fold(0, i32::max),
            ),
            "set" => {
                let (name, value) = rest.split_once('=').unwrap();
                // SAFETY: no other thread of this process reads or writes the environment now.
                unsafe { std::env::set_var(name, value) };
                "0".to_owned()
            }
            "config" => config(),
            "text" => text(rest.parse().unwrap()),
            // How many events there would be.
            "preview" => (0..).map_while(preview).count().to_string(),
            "settle" => settle(),
            // Takes a lock, and keeps it until the process ends.
            "lock" => {
                let (mode, path) = rest.split_once(' ').unwrap();
                let mode = if mode == "shared" { LockMode::Shared } else { LockMode::Exclusive };
                locks.push(files::lock(path.as_ref(), mode, Instant::now()).unwrap());
                "0".to_owned()
            }
            // Has a folder of the user's own part of the registry for that of the computer, in this process alone.
            #[cfg(windows)]
            "machine" => machine(rest),
            #[cfg(unix)]
            "files" => limit(rustix::process::Resource::Nofile, rest),
            #[cfg(unix)]
            "disk" => limit(rustix::process::Resource::Fsize, rest),
            #[cfg(unix)]
            "threads" => limit(rustix::process::Resource::Nproc, rest),
            // A server that accepts connections and never reads.
            "deaf" => {
                let server = std::net::TcpListener::bind(("127.0.0.1", rest.parse().unwrap())).unwrap();
                std::thread::spawn(move || server.incoming().collect::<Vec<_>>());
                "0".to_owned()
            }
            // Leaves a mark in a system-call trace.
            "mark" => format!("{}", std::fs::exists(format!("/vms-mark-{rest}")).unwrap()),
            _ => panic!("{line}"),
        });
    }
}

fn say(answer: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{answer}").unwrap();
    out.flush().unwrap();
}

/// Gives a status as an answer, an error with its message.
fn outcome(status: i32) -> String {
    match status {
        abi::VMS_OK | abi::VMS_OFF | abi::VMS_UNSURE => status.to_string(),
        // SAFETY: the buffer has the capacity that is said, and the length can be written to.
        _ => format!(
            "{status} {}",
            given(|buffer, capacity, length| unsafe { ffi::last_error(buffer, capacity, length) })
        ),
    }
}

/// Gives the text that a function writes.
fn given(give: impl Fn(*mut c_char, usize, *mut usize) -> i32) -> String {
    let (mut buffer, mut length) = (vec![0_u8; 16_384], 0);
    assert_eq!(give(buffer.as_mut_ptr().cast::<c_char>(), buffer.len(), &raw mut length), abi::VMS_OK);
    buffer.truncate(length);
    String::from_utf8(buffer).unwrap()
}

/// Gives the event that the session would record, if there are so many.
fn preview(index: u32) -> Option<String> {
    let mut length = 0;
    // SAFETY: the length can be written to.
    let status = unsafe { ffi::get_event(abi::VMS_EVENT_PREVIEW, index, std::ptr::null_mut(), 0, &raw mut length) };
    // SAFETY: the buffer has the capacity that is said, and the length can be written to.
    let give =
        |buffer, capacity, length| unsafe { ffi::get_event(abi::VMS_EVENT_PREVIEW, index, buffer, capacity, length) };
    (status == abi::VMS_ERROR_BUFFER_TOO_SMALL).then(|| given(give))
}

fn truth(text: &str) -> u32 {
    if text == "true" { abi::VMS_TRUE } else { abi::VMS_FALSE }
}

/// Lets this process have no more of something ("none"), or as much as ever.
#[cfg(unix)]
fn limit(resource: rustix::process::Resource, much: &str) -> String {
    let before = rustix::process::getrlimit(resource);
    let current = if much == "none" { Some(0) } else { before.maximum };
    rustix::process::setrlimit(resource, rustix::process::Rlimit { current, ..before }).unwrap();
    "0".to_owned()
}

/// Starts the session. `how` is empty, "awaiting" (a proxy is named later) or "own NAME=value|NAME=value" (the same, and the host has
/// an environment of its own).
fn init(destination: &str, how: &str) -> i32 {
    let own = how.strip_prefix("own").map(|entries| entries.trim_start().split('|'));
    let own: Option<Vec<_>> = own.map(|entries| entries.map(|entry| CString::new(entry).unwrap()).collect());
    let entries: Vec<_> = own.iter().flatten().map(|entry| entry.as_ptr()).chain([null()]).collect();
    let (version, destination) = (CString::new("1.2.3").unwrap(), CString::new(destination).unwrap());
    let text = every_text();
    let text = text.as_ref().map(|text| text.as_ptr());
    let info = VmsSessionInfo {
        size: size_of::<VmsSessionInfo>() as u32,
        names_proxy: u32::from(!how.is_empty()) * abi::VMS_TRUE,
        assembly_version: text.unwrap_or(version.as_ptr()),
        framework_description: text.unwrap_or(null()),
        os_description: text.unwrap_or(null()),
        connection_string: destination.as_ptr(),
        hold_seconds: 0,
        environment: if own.is_some() { entries.as_ptr() } else { null() },
    };
    // SAFETY: the record has its size, and its texts live for the call.
    unsafe { ffi::init_session(&raw const info) }
}

/// Returns what the host hands over as each text that it may choose, if a test wants that.
fn every_text() -> Option<CString> {
    std::env::var(EVERY_TEXT).ok().map(|text| CString::new(text).unwrap())
}

fn connect(policy: u32, site: &str, product: &str, connection: &mut u64) -> i32 {
    connect_with(4, policy, site, product, connection)
}

fn connect_with(cameras: u32, policy: u32, site: &str, product: &str, connection: &mut u64) -> i32 {
    let (site, product) = (CString::new(site).unwrap(), CString::new(product).unwrap());
    let text = every_text();
    let text = text.as_ref().map(|text| text.as_ptr());
    let none = VmsCount { known: 0, value: 0 };
    let info = VmsConnectionInfo {
        size: size_of::<VmsConnectionInfo>() as u32,
        user_type: abi::VMS_USER_WINDOWS,
        is_oauth_connection: abi::VMS_TRUE,
        encryption_enabled: abi::VMS_TRUE,
        usage_data_policy: policy,
        reserved: 0,
        site_id: site.as_ptr(),
        product_version: text.unwrap_or(null()),
        product_name: text.unwrap_or(product.as_ptr()),
        child_sites: none,
        recorders: none,
        hardware_count: none,
        camera_count: VmsCount { known: abi::VMS_TRUE, value: cameras },
        microphone_count: none,
        speaker_count: none,
        metadata_count: none,
        input_count: none,
        output_count: none,
    };
    // SAFETY: the record has its size, its texts live for the call, and the number can be written to.
    unsafe { ffi::on_connect(&raw const info, connection) }
}

fn change(telemetry: u32, log: u32, hold: u32, proxy: Option<&str>) -> i32 {
    let proxy = proxy.map(|proxy| CString::new(proxy).unwrap());
    let change = VmsConfigChange {
        size: size_of::<VmsConfigChange>() as u32,
        enable_telemetry: telemetry,
        log_telemetry: log,
        hold_sending: hold,
        proxy: proxy.as_ref().map_or(null(), |proxy| proxy.as_ptr()),
        this_session_only: abi::VMS_UNSET,
    };
    // SAFETY: the record has its size, and its text lives for the call.
    unsafe { ffi::set_config(&raw const change) }
}

/// Gives whether telemetry is on, the layer that decided it, and how many events wait.
fn config() -> String {
    let mut config = VmsConfig {
        size: size_of::<VmsConfig>() as u32,
        telemetry_enabled: 0,
        telemetry_layer: 0,
        log_telemetry: 0,
        log_layer: 0,
        pending_events: 0,
    };
    // SAFETY: the record has its size and can be written to.
    assert_eq!(unsafe { ffi::get_config(&raw mut config) }, abi::VMS_OK);
    let on = match config.telemetry_enabled {
        abi::VMS_TRUE => "on",
        abi::VMS_FALSE => "off",
        _ => "unsure",
    };
    format!("{on} layer {} pending {}", config.telemetry_layer, config.pending_events)
}

fn text(which: u32) -> String {
    // SAFETY: the buffer has the capacity that is said, and the length can be written to.
    given(|buffer, capacity, length| unsafe { ffi::get_text(which, buffer, capacity, length) })
}

/// Waits until nothing is left to be sent and the library's thread is gone, or until an attempt failed. With telemetry off
/// nothing is sent, whatever is pending. The ABI does not tell whether there is a thread, and only Linux makes it easy to find
/// out.
fn settle() -> String {
    let is_ours = |task: std::io::Result<std::fs::DirEntry>| {
        let name = task.and_then(|task| std::fs::read_to_string(task.path().join("comm"))).unwrap_or_default();
        name.trim_end() == vms_telemetry::sender::THREAD
    };
    let runs = || cfg!(target_os = "linux") && std::fs::read_dir("/proc/self/task").unwrap().any(is_ours);
    let rests = || {
        let config = config();
        (config.starts_with("off") || config.ends_with(" pending 0")) && !runs()
    };
    let stop = Instant::now() + Duration::from_secs(60);
    while !rests() && text(abi::VMS_TEXT_DELIVERY_FAILURE).is_empty() {
        assert!(Instant::now() < stop, "events are still pending");
        std::thread::sleep(Duration::from_millis(2));
    }
    "settled".to_owned()
}

/// A logon for any kind of call; without a name and password it is none.
fn logon(address: &CString, user: Option<(&CString, &CString)>) -> VmsLogon {
    VmsLogon {
        size: size_of::<VmsLogon>() as u32,
        user_type: abi::VMS_USER_BASIC,
        secure_only: 0,
        skip_certificate_check: 0,
        include_child_sites: 0,
        timeout_seconds: 20,
        server_address: address.as_ptr(),
        user_name: user.map_or(null(), |(name, _)| name.as_ptr()),
        password: user.map_or(null(), |(_, password)| password.as_ptr()),
        access_token: null(),
        replaces: 0,
    }
}

fn reserve() -> u64 {
    let mut number = 0;
    // SAFETY: the number can be written to.
    assert_eq!(unsafe { ffi::reserve_connection(&raw mut number) }, abi::VMS_OK);
    number
}

/// Returns room for what is said of a VMS.
fn server() -> Box<VmsServer> {
    // SAFETY: it is made of numbers, which may be zero.
    let mut server: Box<VmsServer> = Box::new(unsafe { std::mem::zeroed() });
    server.size = size_of::<VmsServer>() as u32;
    server
}

fn find(address: String) -> (u64, JoinHandle<i32>) {
    let number = reserve();
    let call = std::thread::spawn(move || {
        let address = CString::new(address).unwrap();
        // SAFETY: the records have their sizes, the text lives for the call, and the answer can be written to.
        unsafe { ffi::find_vms(number, &raw const *Box::new(logon(&address, None)), &raw mut *server()) }
    });
    (number, call)
}

fn log_on(address: &str, password: &str, replaces: u64, connection: &mut u64) -> i32 {
    *connection = reserve();
    let texts = [address, "reader", password].map(|text| CString::new(text).unwrap());
    let logon = VmsLogon { replaces, ..logon(&texts[0], Some((&texts[1], &texts[2]))) };
    // SAFETY: the records have their sizes, the texts live for the call, and the answer can be written to.
    unsafe { ffi::connect_vms(*connection, &raw const logon, &raw mut *server()) }
}

#[cfg(windows)]
fn machine(folder: &str) -> String {
    use windows_sys::Win32::System::Registry::{
        HKEY_CURRENT_USER, HKEY_LOCAL_MACHINE, RegCreateKeyW, RegOverridePredefKey,
    };
    let folder: Vec<u16> = folder.encode_utf16().chain([0]).collect();
    let mut key = std::ptr::null_mut();
    // SAFETY: the text ends with a NUL, and the handle can be written to.
    assert_eq!(unsafe { RegCreateKeyW(HKEY_CURRENT_USER, folder.as_ptr(), &raw mut key) }, 0);
    // SAFETY: the handle is open and stays so.
    assert_eq!(unsafe { RegOverridePredefKey(HKEY_LOCAL_MACHINE, key) }, 0);
    "0".to_owned()
}
