//! Off means silent: what a process does to the system after an opt-out, or while that cannot be found out.

use std::process::Command;

use crate::common::child::{self, Host};
use crate::common::{Home, key};
use vms_collector::Collector;

/// A way to opt out: what stands in the environment, and what in the settings file.
type OptOut = (&'static str, &'static [(&'static str, &'static str)], Option<&'static str>);

const OPT_OUTS: &[OptOut] = &[
    ("the variable says false", &[("vms_applicationinsights__ENABLED", "False")], None),
    // A shell cannot set it; `env` and services can.
    ("the variable with a colon", &[("VMS_ApplicationInsights:Enabled", "false")], None),
    ("the variable says neither", &[("VMS_ApplicationInsights__Enabled", "perhaps")], None),
    ("DO_NOT_TRACK", &[("DO_NOT_TRACK", "1")], None),
    ("the user opted out", &[], Some(r#"{"ApplicationInsights":{"Enabled":false}}"#)),
    ("the user opted out, as text", &[], Some(r#"{"applicationInsights":{"enabled":"False"}}"#)),
    ("the user opted out, flat", &[], Some(r#"{"ApplicationInsights:Enabled":false}"#)),
    ("a VMS opted out", &[], Some(r#"{"ApplicationInsights":{"Enabled":false,"DisabledBy":"VmsPolicy"}}"#)),
    ("an unusable destination", &[("VMS_ApplicationInsights__ConnectionString", "InstrumentationKey=x")], None),
    #[cfg(unix)]
    ("no folder", &[("HOME", "~"), ("XDG_DATA_HOME", ""), ("XDG_STATE_HOME", "")], None),
];

/// Ways to be unsure.
const UNSURE: &[OptOut] = &[
    ("a broken settings file", &[], Some("{ \"ApplicationInsights\": ")),
    ("an empty settings file", &[("VMS_ApplicationInsights__Enabled", "true")], Some("")),
];

/// Does all that a host can do; the telemetry log is wanted. `status` is what calls that record return.
fn live(command: &mut Command, status: &str) {
    let (verdict, policy) = match status {
        "0" => ("on", "1"),
        // A connection to a VMS that opts out as well: there is nothing to switch off any more.
        "1" => ("off", "2"),
        // A VMS that opts out would be obeyed.
        _ => ("unsure", "1"),
    };
    let mut host = Host::start(command);
    host.ask("mark begin");
    assert_eq!(host.ask("init"), status);
    assert_eq!(host.ask("connect"), status);
    // A connection of which nothing is sent is closed without an event.
    assert_eq!(host.ask("disconnect"), if status == "0" { "0" } else { "1" });
    assert_eq!(host.ask(&format!("connect-policy {policy}")), status);
    assert_eq!(host.ask("hold true"), "0");
    assert_eq!(host.ask("hold false"), "0");
    assert_eq!(host.ask("proxy"), "0");
    assert!(host.ask("config").starts_with(verdict));
    // Without a folder there is no destination.
    let has_folder = !host.ask("text 5").is_empty();
    assert_eq!(host.ask("preview"), if has_folder { "1" } else { "0" });
    host.ask("settle");
    host.ask("mark end");
    host.end();
}

/// Prepares a profile with these settings, and gives all that is in it.
fn profile(settings: Option<&str>) -> (Home, Vec<String>) {
    let home = Home::new();
    std::fs::create_dir_all(home.paths().folder()).unwrap();
    settings.into_iter().for_each(|text| std::fs::write(home.paths().settings(), text).unwrap());
    let files = home.files();
    (home, files)
}

/// All ways, with the status that calls return.
fn ways() -> impl Iterator<Item = (&'static str, OptOut)> {
    let with = |status| move |way: &OptOut| (status, *way);
    OPT_OUTS.iter().map(with("1")).chain(UNSURE.iter().map(with("2")))
}

#[test]
fn c9_s5_with_telemetry_off_or_unsure_nothing_is_written_and_nobody_called() {
    for (status, (way, variables, settings)) in ways() {
        let ((home, before), collector) = (profile(settings), Collector::start().unwrap());
        let logged = [variables, &[("VMS_ApplicationInsights__IncludeInLogs", "true")]].concat();
        live(&mut child::command(&home, &collector.connection_string(&key()), &logged), status);
        assert_eq!(home.files(), before, "{way}");
        let now = std::fs::read_to_string(home.paths().settings()).ok();
        assert_eq!(now.as_deref(), settings, "{way}");
        assert_eq!(std::fs::read_dir(home.paths().folder()).unwrap().count(), before.len(), "{way}");
        assert_eq!(collector.connections(), 0, "{way}");
    }
}

/// Runs a host under `strace` and returns the system calls that it made between the marks.
#[cfg(target_os = "linux")]
fn trace(home: &Home, host: &Command, status: &str) -> Vec<String> {
    let file = home.path().join("trace");
    live(&mut child::traced(host, "trace=%file,%network,%process", &file), status);
    let calls = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let between = calls.lines().skip_while(|line| !line.contains("/vms-mark-begin")).skip(1);
    let between: Vec<String> = between.take_while(|line| !line.contains("/vms-mark-end")).map(str::to_owned).collect();
    assert!(calls.contains("/vms-mark-begin") && calls.contains("/vms-mark-end"), "{calls}");
    between
}

/// Returns whether a system call only looks at something: all others change something, start something or call someone.
#[cfg(target_os = "linux")]
fn only_looks(call: &str) -> bool {
    // "1234  openat(AT_FDCWD, "/etc/passwd", O_RDONLY|O_CLOEXEC) = 3"; the rest of a call that was interrupted is no call.
    let call = call.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
    let name = call.split('(').next().unwrap_or_default();
    match name {
        "open" | "openat" | "openat2" => {
            let changes = ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_APPEND", "O_TMPFILE"];
            // What a look-up of a name begins with.
            let looks_up = ["/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/gai.conf"];
            call.contains("O_RDONLY") && !changes.iter().chain(&looks_up).any(|word| call.contains(word))
        }
        "stat" | "lstat" | "newfstatat" | "fstatat64" | "statx" | "statfs" | "access" | "faccessat" | "faccessat2"
        | "readlink" | "readlinkat" | "getcwd" => true,
        _ => call.starts_with("<... "),
    }
}

#[cfg(target_os = "linux")]
#[test]
fn c9_s5_with_telemetry_off_or_unsure_there_is_no_socket_no_thread_and_no_file_opened_for_writing() {
    if !child::can_trace() {
        return;
    }
    let nobody = vms_collector::closed_port().unwrap();
    for (status, (way, variables, settings)) in ways() {
        let (home, _) = profile(settings);
        let command = child::command(&home, &nobody.connection_string(&key()), variables);
        let loud: Vec<String> = trace(&home, &command, status).into_iter().filter(|call| !only_looks(call)).collect();
        assert!(loud.is_empty(), "{way}:\n{}", loud.join("\n"));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn c9_with_telemetry_on_the_same_trace_shows_socket_thread_and_files() {
    if !child::can_trace() {
        return;
    }
    let (home, collector) = (Home::new(), Collector::start().unwrap());
    let mut calls = trace(&home, &child::command(&home, &collector.connection_string(&key()), &[]), "0");
    calls.retain(|call| !only_looks(call));
    let has = |parts: [&str; 2]| {
        let found = calls.iter().any(|call| parts.iter().all(|part| call.contains(part)));
        assert!(found, "{parts:?} in\n{}", calls.join("\n"));
    };
    has(["socket(", "SOCK_STREAM"]);
    has(["connect(", "127.0.0.1"]);
    has(["clone", "CLONE_THREAD"]);
    has(["openat(", "O_CREAT"]);
    has(["mkdir", "spool"]);
    has(["rename", "telemetry.uuid"]);
    has(["unlink", "spool"]);
    assert!(home.paths().user_id().exists());
    assert!(collector.connections() > 0);
}
