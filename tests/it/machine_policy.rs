//! The opt-out of the administrator of this computer (C13), which no user can lift. Only the hosts of the test see it: by a folder
//! mounted over `/etc`, or by a part of the registry of its own.

#[cfg(target_os = "linux")]
use std::os::unix::fs::PermissionsExt;

use crate::common::child::{self, Host};
use crate::common::{Home, key, wait_until};
use vms_collector::closed_port;
use vms_telemetry::platform::MACHINE_POLICY;

/// A policy: what it is, what "config" begins with, a part of the reason, and whether pending events are deleted.
type Policy = (&'static str, &'static str, &'static str, bool);

const OPTS_OUT: &str = "the administrator of this computer has turned it off";
const UNCLEAR: &str = "the policy of this computer's administrator is neither true nor false, which counts as false";

/// Lives through a policy that comes while a session runs, and through a session that begins under it. `start` starts a host in a
/// profile; `set` makes the policy, or removes it.
fn check(policy: Policy, start: impl Fn(&Home, &str) -> Option<Host>, set: impl Fn(Option<&str>)) {
    let (content, begin, part, purges) = policy;
    let (home, nobody) = (Home::new(), closed_port().unwrap());
    let destination = nobody.connection_string(&key());
    let (verdict, _) = begin.split_once(' ').unwrap();
    let status = match verdict {
        "on" => "0",
        "off" => "1",
        _ => "2",
    };
    set(None);
    let Some(mut host) = start(&home, &destination) else { return };
    assert_eq!(host.ask("telemetry true").split(' ').next(), Some("11"), "there is no session yet");
    assert_eq!(host.ask("init"), "0", "{content}");
    assert_eq!(host.ask("telemetry true"), "0", "{content}");
    assert_eq!(host.ask("config"), "on layer 1 pending 1", "{content}");
    set(Some(content));
    assert!(host.ask("config").starts_with(begin), "{content}: {}", host.ask("config"));
    let reason = host.ask("text 2");
    assert!(reason.contains(part), "{content}: {reason}");
    assert!(verdict == "on" || reason.contains(MACHINE_POLICY.split(", ").next().unwrap()), "{content}: {reason}");
    assert_eq!(host.ask("connect"), status, "{content}");

    // An opt-in is refused, with the name of the policy; if the policy cannot be read, it has no effect for now.
    let settings = || std::fs::read_to_string(home.paths().settings()).unwrap();
    let before = settings();
    let said = host.ask("telemetry true");
    match verdict {
        "on" => assert_eq!(said, "0", "{content}"),
        "off" => {
            let is_named = said.contains(MACHINE_POLICY) && said.contains("the administrator of this computer");
            assert!(said.starts_with("23 ") && is_named, "{content}: {said}");
        }
        _ => assert!(said.starts_with("3 the choice is stored, but telemetry stays off: "), "{content}: {said}"),
    }
    assert_eq!(settings(), before, "{content}");
    if purges {
        // By the thread that was about to send.
        wait_until(|| home.pending().is_empty());
    }

    // A session that begins under it; with telemetry off it touches nothing (S5).
    let new = Home::new();
    let mut second = start(&new, &destination).unwrap();
    assert_eq!(second.ask("init"), status, "{content}");
    assert!(second.ask("config").starts_with(&begin.replace("layer 1", "layer 0")), "{content}");
    if verdict != "on" {
        assert_eq!(second.ask("disconnect").split(' ').next(), Some("12"), "no connection is open");
        assert_eq!(second.ask("connect"), status, "{content}");
        second.ask("hold true");
        second.ask("hold false");
        assert_eq!(new.files(), Vec::<String>::new(), "{content}");
        if !purges {
            assert_eq!(home.pending().len(), 1, "{content}: only a clear opt-out deletes");
        }
    }

    // The user may opt out as well, and that stays when the policy is gone.
    assert_eq!(host.ask("telemetry false"), "0", "{content}");
    assert!(host.ask("config").ends_with(" pending 0"), "{content}");
    set(None);
    assert_eq!(host.ask("config"), "off layer 1 pending 0", "{content}");
    assert_eq!(host.ask("telemetry true"), "0", "{content}");
    assert!(host.ask("config").starts_with("on layer 1 "), "{content}");
}

#[cfg(target_os = "linux")]
#[test]
fn c13_c6_c9_the_policy_of_the_administrator() {
    const CANNOT_BE_READ: &str = "a folder";
    const OTHERS_CAN_WRITE: &str = r#"{ "EnableTelemetry": true, "mode": 666 }"#;
    let policies = [
        (r#"{ "EnableTelemetry": false }"#, "off layer 6 ", OPTS_OUT, true),
        (r#"{ "enabletelemetry": "False", } // why"#, "off layer 6 ", OPTS_OUT, true),
        (
            r#"{ "EnableTelemetry": true, "EnableTelemetry": 0, "EnableTelemetry": false }"#,
            "off layer 6 ",
            UNCLEAR,
            false,
        ),
        (r#"{ "EnableTelemetry": true }"#, "on layer 1 ", "you turned it on", false),
        (r#"{ "EnableTelemetry": "yes" }"#, "on layer 1 ", "you turned it on", false),
        (r#"{ "EnableTelemetry": "maybe" }"#, "off layer 6 ", UNCLEAR, false),
        ("{}", "off layer 6 ", UNCLEAR, false),
        ("{ \"EnableTelemetry\": ", "off layer 6 ", UNCLEAR, false),
        ("", "off layer 6 ", UNCLEAR, false),
        (CANNOT_BE_READ, "unsure layer 8 ", "at the moment it is not known whether you opted out", false),
        (OTHERS_CAN_WRITE, "unsure layer 8 ", "others than root can change it", false),
    ];
    let etc = tempfile::tempdir().unwrap();
    // What the loader and name look-ups need.
    for file in ["ld.so.cache", "passwd", "nsswitch.conf"] {
        let _ = std::fs::copy(std::path::Path::new("/etc").join(file), etc.path().join(file));
    }
    let file = etc.path().join("milestone").join("milestonepstools.json");
    std::fs::create_dir(file.parent().unwrap()).unwrap();
    let start = |home: &Home, destination: &str| {
        Host::in_namespace(&child::command(home, destination, &[]), "mount --bind \"$1\" /etc", etc.path())
    };
    let set = |content: Option<&str>| {
        let _ = std::fs::remove_file(&file);
        let _ = std::fs::remove_dir(&file);
        match content {
            Some(CANNOT_BE_READ) => std::fs::create_dir(&file).unwrap(),
            Some(content) => {
                std::fs::write(&file, content).unwrap();
                let mode = if content == OTHERS_CAN_WRITE { 0o666 } else { 0o644 };
                std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            }
            None => {}
        }
    };
    for policy in policies {
        check(policy, start, set);
    }
}

#[cfg(windows)]
#[test]
fn c13_c6_c9_the_policy_of_the_administrator() {
    let folder = format!(r"Software\VmsTelemetryTest{}", std::process::id());
    let reg = |verb: &str, key: &str, arguments: &[&str]| {
        let mut reg = std::process::Command::new("reg");
        reg.args([verb, &format!(r"HKCU\{folder}{key}")]).args(arguments).arg("/f");
        child::output(&mut reg).status.success()
    };
    const KEY: &str = r"\SOFTWARE\Policies\Milestone\MilestonePSTools";
    let policies = [
        ("REG_DWORD 0", "off layer 6 ", OPTS_OUT, true),
        ("REG_DWORD 1", "on layer 1 ", "you turned it on", false),
        ("REG_DWORD 2", "off layer 6 ", UNCLEAR, false),
        ("REG_SZ 1", "off layer 6 ", UNCLEAR, false),
        ("REG_SZ false", "off layer 6 ", UNCLEAR, false),
    ];
    let start = |home: &Home, destination: &str| {
        let mut host = Host::start(&mut child::command(home, destination, &[]));
        assert_eq!(host.ask(&format!("machine {folder}")), "0");
        Some(host)
    };
    let set = |content: Option<&str>| match content.and_then(|content| content.split_once(' ')) {
        Some((kind, value)) => assert!(reg("add", KEY, &["/v", "EnableTelemetry", "/t", kind, "/d", value])),
        None => _ = reg("delete", KEY, &["/v", "EnableTelemetry"]),
    };
    for policy in policies {
        check(policy, start, set);
    }
    assert!(reg("delete", "", &[]));
}
