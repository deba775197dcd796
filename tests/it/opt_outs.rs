//! Each spelling of an opt-out counts, and nothing that stands in the way of one makes it fail: a lock that another process has or
//! that the file system lacks, settings that cannot be read for a moment, no file descriptors, a full disk.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::common::child::{self, Host};
use crate::common::{Home, OPT_OUT, arrived, connection, key, settle, wait_until};
use vms_collector::{Collector, closed_port};
use vms_telemetry::consent::{Layer, Verdict};
use vms_telemetry::files::{self, LockMode};
use vms_telemetry::proxy::ProxyChoice;
use vms_telemetry::session::{Change, Outcome, UsageDataPolicy};
use vms_telemetry::settings::{self, Settings};

fn write_settings(home: &Home, text: &str) {
    std::fs::create_dir_all(home.paths().folder()).unwrap();
    std::fs::write(home.paths().settings(), text).unwrap();
}

fn stored(home: &Home) -> Settings {
    settings::read(&home.paths().settings()).unwrap()
}

const OPT_IN: Change = Change { telemetry: Some(true), ..OPT_OUT };
const HOLD: Change = Change { telemetry: None, hold: Some(true), ..OPT_OUT };
const RELEASE: Change = Change { hold: Some(false), ..HOLD };

/// Settings with an opt-out, and what they are after an opt-in: really on, in each place.
const SPELLINGS: [[&str; 2]; 8] = [
    [r#"{ "ApplicationInsights:Enabled": false }"#, r#"{ "ApplicationInsights:Enabled": true }"#],
    [
        r#"{ "ApplicationInsights": { "Enabled": true }, "ApplicationInsights:Enabled": "False" }"#,
        r#"{ "ApplicationInsights": { "Enabled": true }, "ApplicationInsights:Enabled": true }"#,
    ],
    [
        r#"{ "applicationinsights:ENABLED": "off", "ApplicationInsights": { "X": 1 } } // end"#,
        r#"{ "applicationinsights:ENABLED": true, "ApplicationInsights": { "X": 1 } } // end"#,
    ],
    [
        r#"{ "ApplicationInsights": { "X": 1 }, "applicationInsights": { "enabled": false } }"#,
        r#"{ "ApplicationInsights": { "X": 1 }, "applicationInsights": { "enabled": true } }"#,
    ],
    [
        r#"{ "ApplicationInsights": { "Enabled": true }, "APPLICATIONINSIGHTS": { "Enabled": false } }"#,
        r#"{ "ApplicationInsights": { "Enabled": true }, "APPLICATIONINSIGHTS": { "Enabled": true } }"#,
    ],
    [
        r#"{ "ApplicationInsights": { "Enabled": true, "enabled": 0 } }"#,
        r#"{ "ApplicationInsights": { "Enabled": true, "enabled": true } }"#,
    ],
    [
        r#"{ "ApplicationInsights": { "Enabled": "falsch" }, "ApplicationInsights": null }"#,
        r#"{ "ApplicationInsights": { "Enabled": true }, "ApplicationInsights": null }"#,
    ],
    // The end of a comment, an escaped name.
    [
        "{ /* \"ApplicationInsights:Enabled\": 1 */ \"Application\\u0049nsights\": { \"\\u0045nabled\": false, }, }",
        "{ /* \"ApplicationInsights:Enabled\": 1 */ \"Application\\u0049nsights\": { \"\\u0045nabled\": true, }, }",
    ],
];

#[test]
fn c11_each_spelling_in_the_settings_file_is_read_and_changed() {
    let nobody = closed_port().unwrap();
    for [out, opted_in] in SPELLINGS {
        let home = Home::new();
        write_settings(&home, out);
        let host = || Host::new(&home, &nobody.connection_string(&key()));
        let mut first = host();
        assert_eq!(first.ask("init awaiting"), "1", "{out}");
        assert_eq!(first.ask("connect"), "1", "{out}");
        assert_eq!(first.ask("config"), "off layer 1 pending 0", "{out}");
        assert!(first.ask("text 2").contains("you turned it off"), "{out}");
        assert_eq!(first.ask("telemetry true"), "0", "{out}");
        assert_eq!(std::fs::read_to_string(home.paths().settings()).unwrap(), opted_in);
        assert_eq!(first.ask("config"), "on layer 1 pending 1", "{out}");
        let mut second = host();
        assert_eq!(second.ask("init awaiting"), "0", "{out}");
        // An opt-out is in each of the places, as .NET looks at the last one only.
        assert_eq!(second.ask("telemetry false"), "0", "{out}");
        let text = std::fs::read_to_string(home.paths().settings()).unwrap();
        assert_eq!(text, opted_in.replace(": true ", ": false ").replace(": true,", ": false,"), "{out}");
        assert_eq!(first.ask("config"), "off layer 1 pending 0", "{out}");
    }
}

/// The variable as .NET's configuration has it as well. What the user changes does not help then, and the warning says why.
#[test]
fn c11_a_variable_with_a_colon_opts_out_and_is_named() {
    let (home, nobody) = (Home::new(), closed_port().unwrap());
    for name in ["VMS_ApplicationInsights:Enabled", "vms_applicationinsights:enabled"] {
        let destination = nobody.connection_string(&key());
        let mut host = Host::start(&mut child::command(&home, &destination, &[(name, "false")]));
        assert_eq!(host.ask("init awaiting"), "1");
        assert_eq!(host.ask("connect"), "1");
        assert_eq!(host.ask("config"), "off layer 2 pending 0");
        let reason = format!("the environment variable {name} is set to false");
        assert_eq!(host.ask("text 2"), reason);
        assert_eq!(host.ask("telemetry true"), format!("3 the choice is stored, but telemetry stays off: {reason}"));
        assert_eq!((stored(&home).telemetry, home.pending().len()), (Some(true), 0));
    }
}

/// A file system without locks.
#[cfg(target_os = "linux")]
#[test]
fn c12_on_a_file_system_without_locks_an_opt_out_is_stored() {
    if !child::can_trace() {
        return;
    }
    let opt_outs =
        [("ENOLCK", "telemetry false", 1), ("EOPNOTSUPP", "telemetry false", 1), ("ENOLCK", "connect-policy 2", 4)];
    for (error, telemetry, layer) in opt_outs {
        let (home, collector) = (Home::new(), Collector::start().unwrap());
        let host = child::command(&home, &collector.connection_string(&key()), &[]);
        let mut host = Host::start(&mut child::faulty(&host, "flock", error, &[]));
        assert_eq!(host.ask("init awaiting"), "0");
        assert_eq!(host.ask("connect"), "0");
        let said = host.ask(telemetry);
        let warned = said.starts_with("3 telemetry is off, and that is stored.") && said.contains("settings.lock");
        assert!(warned || (layer == 4 && said == "1"), "{said}");
        // What a VMS says the background thread stores.
        wait_until(|| stored(&home) == Settings { telemetry: Some(false), by_policy: layer == 4, log: None });
        wait_until(|| home.pending().is_empty());
        assert_eq!(host.ask("connect"), "1");
        assert_eq!(host.ask("config"), format!("off layer {layer} pending 0"));
        // An opt-in is made under the lock, or not at all.
        assert!(host.ask("telemetry true").starts_with("20 cannot lock "));
        assert_eq!(host.ask("config"), format!("off layer {layer} pending 0"));
        host.end();
        assert_eq!(collector.connections(), 0);
    }
}

/// Does all that a host can do while another one has a lock and is stopped, and opts out meanwhile. Returns whether nothing waited
/// for the lock except the opt-out: that began first, and has not returned when all else has.
fn with_a_lock_that_is_held(mode: &str, lock: impl FnOnce(&Home, &str) -> PathBuf) -> (bool, Option<String>) {
    let (home, collector) = (Home::new(), Collector::start().unwrap());
    let destination = collector.connection_string(&key());
    let session = home.session_with_proxy(&destination);
    let (number, _) = session.connect(&connection(UsageDataPolicy::On)).unwrap();
    let mut holder = Host::new(&home, &destination);
    assert_eq!(holder.ask(&format!("lock {mode} {}", lock(&home, &destination).display())), "0");
    holder.stop();
    let (in_order, warning) = std::thread::scope(|scope| {
        let opting_out = scope.spawn(|| session.set_config(OPT_OUT));
        // It is off at once, and reading the state does not wait for it.
        wait_until(|| session.decisions().telemetry.verdict == Verdict::Off);
        session.disconnect(number).unwrap();
        let (_, outcome) = session.connect(&connection(UsageDataPolicy::On)).unwrap();
        assert_eq!(outcome, Outcome::Off);
        let other = home.session_with_proxy(&destination);
        let (number, _) = other.connect(&connection(UsageDataPolicy::Off)).unwrap();
        other.disconnect(number).unwrap();
        assert_eq!(other.decisions().telemetry.verdict, Verdict::Off);
        let in_order = !opting_out.is_finished();
        (in_order, opting_out.join().unwrap().unwrap())
    });
    assert_eq!(stored(&home).telemetry, Some(false));
    // The user's opt-out or that of the VMS, whichever was stored last.
    assert!(matches!(session.decisions().telemetry.layer, Layer::SettingsFile | Layer::VmsPolicy));
    assert_eq!(home.pending().len(), 0);
    assert_eq!(home.session_with_proxy(&destination).decisions().telemetry.verdict, Verdict::Off);
    assert_eq!(collector.connections(), 0);
    (in_order, warning)
}

#[test]
fn c12_d10_a_stopped_process_that_has_the_settings_lock_delays_an_opt_out_only_and_is_named() {
    for mode in ["exclusive", "shared"] {
        let in_order = || {
            let (in_order, warning) = with_a_lock_that_is_held(mode, |home, _| home.paths().settings_lock());
            let warning = warning.unwrap();
            assert!(warning.starts_with("telemetry is off, and that is stored."), "{warning}");
            assert!(warning.contains("settings.lock") && warning.contains("another process holds it"), "{warning}");
            in_order
        };
        // On a busy computer this thread may be stopped for as long as the opt-out waits.
        assert!((0..5).any(|_| in_order()), "{mode}");
    }
}

#[test]
fn c12_d10_a_stopped_process_that_has_the_lock_of_a_destination_delays_nothing() {
    for mode in ["exclusive", "shared"] {
        let lock = |home: &Home, destination: &str| home.spool(destination).folder().join("sender.lock");
        let (_, warning) = with_a_lock_that_is_held(mode, lock);
        assert_eq!(warning, None, "{mode}");
    }
}

/// While the lock of a destination is held, nothing is sent; once its process is dead, everything is.
#[test]
fn d3_d10_events_that_a_stopped_sender_holds_up_are_sent_when_it_is_dead() {
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    let destination = collector.connection_string(&key);
    let mut holder = Host::new(&home, &destination);
    let lock = home.spool(&destination).folder().join("sender.lock");
    assert_eq!(holder.ask(&format!("lock exclusive {}", lock.display())), "0");
    holder.stop();
    let session = home.session(&destination, &[]);
    session.connect(&connection(UsageDataPolicy::On)).unwrap();
    assert_eq!((collector.connections(), home.pending().len()), (0, 2));
    holder.kill();
    arrived(&collector, &key, 2);
    settle(&session);
}

/// Makes settings that cannot be read for a moment.
type Moment = (&'static str, fn(&std::path::Path));

const MOMENTS: [Moment; 5] = [
    ("empty", |file| std::fs::write(file, "").unwrap()),
    ("half written", |file| std::fs::write(file, "{ \"ApplicationInsights\": {").unwrap()),
    ("UTF-16", |file| std::fs::write(file, [0xFF, 0xFE, b'{', 0, b'}', 0]).unwrap()),
    ("too large", |file| std::fs::write(file, " ".repeat((1 << 20) + 1)).unwrap()),
    ("a folder", |file| std::fs::create_dir(file).unwrap()),
];

/// The opt-out of a VMS while settings cannot be read. Nothing but that call is there to store it.
#[test]
fn c6_an_opt_out_of_a_vms_holds_while_settings_cannot_be_read_and_is_stored_when_they_can() {
    let nobody = closed_port().unwrap();
    for (what, break_) in MOMENTS {
        let home = Home::new();
        let destination = nobody.connection_string(&key());
        let settings = home.paths().settings();
        let session = home.session_with_proxy(&destination);
        assert_eq!(home.pending().len(), 1, "{what}");
        break_(&settings);
        assert_eq!(session.connect(&connection(UsageDataPolicy::Off)).unwrap().1, Outcome::Off, "{what}");
        let decision = session.decisions().telemetry;
        assert_eq!((decision.verdict, decision.layer), (Verdict::Off, Layer::VmsPolicy), "{what}");
        assert_eq!(home.pending().len(), 0, "{what}");
        // Under the lock, as the background thread is about to change the file.
        let stop = Instant::now() + Duration::from_secs(10);
        let lock = files::lock(&home.paths().settings_lock(), LockMode::Exclusive, stop).unwrap();
        let _ = std::fs::remove_dir(&settings);
        files::replace_content(&settings, b"{ // mine\n}\n", stop).unwrap();
        drop(lock);
        assert_eq!(session.connect(&connection(UsageDataPolicy::On)).unwrap().1, Outcome::Off, "{what}");
        wait_until(|| stored(&home) == Settings { telemetry: Some(false), by_policy: true, log: None });
        settle(&session);
        let text = std::fs::read_to_string(&settings).unwrap();
        assert!(text.starts_with("{ // mine\n") || what == "a folder", "{what}: {text}");
        let later = home.session_with_proxy(&destination);
        assert_eq!(later.decisions().telemetry.layer, Layer::VmsPolicy, "{what}");
        assert_eq!(home.pending().len(), 0, "{what}");
    }
}

/// C6: an explicit opt-in lifts it, also before it was stored, and the background thread does not store it afterwards.
#[test]
fn c4_c6_an_opt_in_lifts_an_opt_out_of_a_vms_that_is_not_stored_yet() {
    let (home, nobody) = (Home::new(), closed_port().unwrap());
    let destination = nobody.connection_string(&key());
    let session = home.session_with_proxy(&destination);
    write_settings(&home, "{");
    session.connect(&connection(UsageDataPolicy::Off)).unwrap();
    // Settings that are broken are no place for an opt-in.
    assert!(session.set_config(OPT_IN).is_err());
    assert_eq!(session.decisions().telemetry.layer, Layer::VmsPolicy);
    write_settings(&home, "{}");
    assert_eq!(session.set_config(OPT_IN).unwrap(), None);
    // The thread has nothing to store any more, and tries to send the NewSession that is recorded again.
    wait_until(|| home.spool(&destination).folder().join("retry.json").exists());
    assert_eq!(stored(&home), Settings { telemetry: Some(true), ..Settings::default() });
    assert_eq!(session.decisions().telemetry.verdict, Verdict::On);
    assert_eq!(session.connect(&connection(UsageDataPolicy::On)).unwrap().1, Outcome::Recorded);
}

/// C6: an opt-out of the user that cannot be stored does not make that of a VMS forgotten.
#[test]
fn c6_c12_an_opt_out_of_a_vms_is_stored_though_that_of_the_user_was_not() {
    let (home, nobody) = (Home::new(), closed_port().unwrap());
    let session = home.session_with_proxy(&nobody.connection_string(&key()));
    write_settings(&home, "{");
    session.connect(&connection(UsageDataPolicy::Off)).unwrap();
    assert!(session.set_config(Change { telemetry: Some(false), ..OPT_OUT }).is_err());
    write_settings(&home, "{}");
    wait_until(|| stored(&home) == Settings { telemetry: Some(false), by_policy: true, log: None });
    settle(&session);
}

/// C6: only an opt-in lifts the opt-out of a VMS. A reset takes back what the user chose, and says what stays.
#[test]
fn c6_a_reset_leaves_the_opt_out_of_a_vms() {
    let (home, nobody) = (Home::new(), closed_port().unwrap());
    let session = home.session_with_proxy(&nobody.connection_string(&key()));
    session.set_config(Change { log: Some(true), ..Change::default() }).unwrap();
    session.connect(&connection(UsageDataPolicy::Off)).unwrap();
    let reset = Change { resets_telemetry: true, resets_log: true, ..Change::default() };
    let warning = session.set_config(reset.clone()).unwrap().unwrap();
    assert!(warning.contains("a VMS") && warning.contains("Set-VmsModuleConfig -EnableTelemetry $true"), "{warning}");
    assert_eq!(stored(&home), Settings { telemetry: Some(false), by_policy: true, log: None });
    assert_eq!(session.decisions().telemetry.layer, Layer::VmsPolicy);
    assert_eq!(session.set_config(OPT_IN).unwrap(), None);
    assert_eq!(session.set_config(reset).unwrap(), None);
    assert_eq!(session.decisions().telemetry.layer, Layer::Default);
}

/// F5, C12: settings that cannot be used are left as they are. The error names the place, and the opt-out holds for the session.
#[test]
fn f5_c12_an_opt_out_that_cannot_be_stored_holds_until_the_process_ends_and_says_so() {
    let nobody = closed_port().unwrap();
    let table = [
        ("{\n  \"ApplicationInsights\": {\n    \"Enabled\" true\n  }\n}", "line 3, column 15"),
        ("[]", "it does not hold an object"),
        ("", "it is empty"),
        ("{\0 \0}\0", "it is UTF-16 text; save it as UTF-8"),
    ];
    for (text, problem) in table {
        let home = Home::new();
        let destination = nobody.connection_string(&key());
        let mut host = Host::new(&home, &destination);
        assert_eq!(host.ask("init awaiting"), "0");
        write_settings(&home, text);
        assert!(host.ask("config").starts_with("unsure layer 8"));
        for opt_in in ["telemetry true", "log true"] {
            let said = host.ask(opt_in);
            assert!(said.starts_with("21 the settings file ") && said.contains(problem), "{said}");
        }
        let said = host.ask("telemetry false");
        assert!(
            said.starts_with("21 telemetry is off until this process ends, but that could not be stored"),
            "{said}"
        );
        for part in ["appsettings.user.json", problem, "VMS_ApplicationInsights__Enabled to false"] {
            assert!(said.contains(part), "{part} in {said}");
        }
        assert_eq!(host.ask("config"), "off layer 7 pending 0");
        assert_eq!(std::fs::read_to_string(home.paths().settings()).unwrap(), text);
        // It holds although the file is whole again, and can be stored then.
        write_settings(&home, "{}");
        assert_eq!(host.ask("connect"), "1");
        assert_eq!(host.ask("telemetry false"), "0");
        assert_eq!(host.ask("config"), "off layer 1 pending 0");
        assert_eq!(stored(&home).telemetry, Some(false));
    }
}

/// Waits until the collector has the first event of a session that starts now: one that started before and may send would have
/// sent before.
fn wait_for_a_later_session(collector: &Collector) {
    let (home, key) = (Home::new(), key());
    let session = home.session(&collector.connection_string(&key), &[]);
    arrived(collector, &key, 1);
    settle(&session);
}

#[test]
fn s6_while_a_host_changes_the_configuration_no_request_begins() {
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    let session = home.session(&collector.connection_string(&key), &[]);
    // Two commands at once, in two runspaces.
    session.set_config(HOLD).unwrap();
    session.set_config(HOLD).unwrap();
    session.connect(&connection(UsageDataPolicy::On)).unwrap();
    wait_for_a_later_session(&collector);
    session.set_config(RELEASE).unwrap();
    wait_for_a_later_session(&collector);
    assert_eq!((collector.connections(), home.pending().len()), (2, 2));
    session.set_config(RELEASE).unwrap();
    arrived(&collector, &key, 2);
    settle(&session);
    assert_eq!(collector.connections(), 3);
}

/// The hold that an import begins with: it ends by itself, or when the first command runs, and then no second time.
#[test]
fn s6_a_session_that_begins_with_a_hold_sends_when_the_hold_ends() {
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    let destination = collector.connection_string(&key);
    let session = home.held_session(&destination, Duration::from_secs(u32::MAX.into()));
    wait_for_a_later_session(&collector);
    assert_eq!((collector.connections(), home.pending().len()), (1, 1));
    // A command that changes the configuration begins before it ends the hold.
    for change in [HOLD, RELEASE] {
        session.set_config(change).unwrap();
    }
    wait_for_a_later_session(&collector);
    assert_eq!((collector.connections(), home.pending().len()), (2, 1));
    session.set_config(RELEASE).unwrap();
    arrived(&collector, &key, 1);
    settle(&session);

    let (start, home) = (Instant::now(), Home::new());
    let session = home.held_session(&destination, Duration::from_secs(2));
    arrived(&collector, &key, 2);
    assert!(start.elapsed() >= Duration::from_secs(2));
    settle(&session);
}

/// A host begins to change the configuration when a request is about to begin: only the lock on the settings holds it back.
#[test]
fn s6_c10_a_request_that_is_about_to_begin_when_a_host_begins_to_change_the_configuration_does_not() {
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    let lock = files::lock(&home.paths().settings_lock(), LockMode::Exclusive, Instant::now()).unwrap();
    let session = home.session(&collector.connection_string(&key), &[]);
    wait_until(|| session.retry_state().begun == 1);
    session.set_config(HOLD).unwrap();
    drop(lock);
    // The note of an attempt is taken back when the gate is closed.
    wait_until(|| session.retry_state().begun == 0);
    assert_eq!((collector.connections(), home.pending().len()), (0, 1));
    session.set_config(RELEASE).unwrap();
    arrived(&collector, &key, 1);
    settle(&session);
}

/// A command that opts out waits for an answer, for longer than a session's first request does. Then the host says at once or
/// one after the other what the user chose, that the command has ended and which proxy it is.
#[test]
fn s6_what_a_command_that_opts_out_asks_may_be_answered_late() {
    let named = Change { proxy: Some(ProxyChoice::Direct), ..RELEASE };
    let answers = [
        vec![OPT_OUT, RELEASE, named.clone()],
        vec![Change { hold: Some(false), ..OPT_OUT }, Change { hold: None, ..named.clone() }],
        vec![Change { telemetry: Some(false), ..named }],
    ];
    for answers in answers {
        let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
        let destination = collector.connection_string(&key);
        let sessions = [home.session(&destination, &[]), home.session_with_proxy(&destination)];
        sessions.iter().for_each(|session| drop(session.set_config(HOLD).unwrap()));
        wait_for_a_later_session(&collector);
        assert_eq!(home.pending().len(), 2);
        for answer in answers {
            sessions.iter().for_each(|session| assert_eq!(session.set_config(answer.clone()).unwrap(), None));
        }
        sessions.iter().for_each(settle);
        assert_eq!((collector.connections(), collector.accepted_for(&key).len(), home.pending().len()), (1, 0, 0));
    }
}

/// C4: the same with an opt-in: what is pending then goes out.
#[test]
fn s6_c4_an_opt_in_ends_the_change_of_the_configuration_in_one_call() {
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    write_settings(&home, SPELLINGS[0][0]);
    let session = home.session(&collector.connection_string(&key), &[]);
    session.set_config(HOLD).unwrap();
    assert_eq!(session.set_config(Change { telemetry: Some(true), ..RELEASE }).unwrap(), None);
    arrived(&collector, &key, 1);
    settle(&session);
}

/// The command that opts out is the first one of its process, and no host says that it begins.
#[test]
fn s6_processes_that_opt_out_as_the_first_thing_they_do_send_nothing() {
    let processes = if cfg!(windows) { 10 } else { 50 };
    let collector = Collector::start().unwrap();
    let homes: Vec<Home> = (0..processes).map(|_| Home::new()).collect();
    let opt_out = |home| {
        let mut host = Host::start(&mut child::command(home, &collector.connection_string(&key()), &[]));
        assert_eq!(host.ask("init"), "0");
        assert_eq!(host.ask("telemetry false"), "0");
        host.tell("settle");
        host
    };
    let mut hosts: Vec<Host> = homes.iter().map(opt_out).collect();
    hosts.iter_mut().for_each(|host| assert_eq!(host.answer().as_deref(), Some("settled")));
    hosts.into_iter().for_each(Host::end);
    assert_eq!((collector.connections(), collector.requests()), (0, 0));
}

/// A command that opts out may take its time, such as for loading, as long as it has returned within a second of the session's start.
#[test]
fn s6_a_first_request_comes_no_sooner_than_a_second_after_the_start() {
    let opts_out_in_time = || {
        let (home, collector) = (Home::new(), Collector::start().unwrap());
        let mut host = Host::new(&home, &collector.connection_string(&key()));
        let before = Instant::now();
        assert_eq!(host.ask("init"), "0");
        // As many events as fit, so that there is always a batch to be sent.
        while before.elapsed().as_millis() < 700 {
            assert_eq!(host.ask("record 1"), "0");
        }
        assert_eq!(host.ask("telemetry false"), "0");
        let is_in_time = before.elapsed().as_millis() < 1_000;
        host.ask("settle");
        host.end();
        assert!(!is_in_time || collector.connections() == 0);
        is_in_time
    };
    // On a busy computer it may come too late.
    assert!((0..20).any(|_| opts_out_in_time()));
}

/// No file descriptor is free. Nothing is known then, and nothing is taken for damaged or deleted.
#[cfg(unix)]
#[test]
fn c9_i3_without_file_descriptors_a_session_is_unsure_and_loses_nothing() {
    let (home, nobody) = (Home::new(), closed_port().unwrap());
    let destination = nobody.connection_string(&key());
    let host = || Host::new(&home, &destination);
    let mut first = host();
    assert_eq!(first.ask("init awaiting"), "0");
    assert_eq!(first.ask("connect"), "0");
    let mut before = home.files();
    let id = std::fs::read(home.paths().user_id()).unwrap();
    let is_unsure = |host: &mut Host| {
        assert!(host.ask("config").starts_with("unsure layer 8 "));
        let reason = host.ask("text 2");
        assert!(reason.contains("not known whether you opted out") && reason.contains("os error 24"), "{reason}");
        // A lock cannot be had, so nothing can be changed.
        assert!(host.ask("telemetry true").starts_with("20 "));
    };
    assert_eq!(first.ask("files none"), "0");
    assert_eq!(first.ask("disconnect"), "2");
    assert_eq!(first.ask("connect"), "2");
    is_unsure(&mut first);
    let mut second = host();
    assert_eq!(second.ask("files none"), "0");
    assert_eq!(second.ask("init awaiting"), "2");
    is_unsure(&mut second);
    assert_eq!(home.files(), before);
    for host in [&mut first, &mut second] {
        assert_eq!(host.ask("files many"), "0");
        assert!(host.ask("config").starts_with("on layer 0 "));
        assert_eq!(host.ask("connect"), "0");
    }
    assert_eq!(std::fs::read(home.paths().user_id()).unwrap(), id);
    before.retain(|file| !home.files().contains(file));
    assert_eq!(before, Vec::<String>::new());
    let users: std::collections::BTreeSet<_> = home.events().iter().map(|event| event.ids().0).collect();
    // The second session announces itself late.
    assert_eq!((home.events().len(), users.len()), (5, 1));
}

/// Opting out without a file descriptor.
#[cfg(unix)]
#[test]
fn c12_without_file_descriptors_an_opt_out_holds_for_the_session() {
    let (home, nobody) = (Home::new(), closed_port().unwrap());
    let mut host = Host::new(&home, &nobody.connection_string(&key()));
    assert_eq!(host.ask("init awaiting"), "0");
    assert_eq!(host.ask("files none"), "0");
    let said = host.ask("telemetry false");
    assert!(said.starts_with("20 telemetry is off until this process ends") && said.contains("os error 24"), "{said}");
    assert_eq!(host.ask("files many"), "0");
    assert!(host.ask("config").starts_with("off layer 7 "));
    assert_eq!(host.ask("connect"), "1");
    assert_eq!(host.ask("telemetry false"), "0");
    assert_eq!(host.ask("config"), "off layer 1 pending 0");
    assert_eq!(home.pending().len(), 0);
}

/// C6: a VMS is obeyed all the same, and that is stored as soon as it can be.
#[cfg(unix)]
#[test]
fn c6_without_file_descriptors_a_vms_is_obeyed() {
    let (home, nobody) = (Home::new(), closed_port().unwrap());
    let mut host = Host::new(&home, &nobody.connection_string(&key()));
    assert_eq!(host.ask("init awaiting"), "0");
    assert_eq!(host.ask("files none"), "0");
    assert_eq!(host.ask("connect-policy 2"), "1");
    assert_eq!(host.ask("connect"), "1");
    assert!(host.ask("config").starts_with("off layer 4 "));
    assert_eq!(host.ask("files many"), "0");
    assert_eq!(host.ask("connect"), "1");
    wait_until(|| stored(&home) == Settings { telemetry: Some(false), by_policy: true, log: None });
    wait_until(|| home.pending().is_empty());
    assert_eq!(host.ask("connect"), "1");
    host.end();
}

/// I3: that the system cannot read an id at the moment does not mean that it is damaged.
#[cfg(target_os = "linux")]
#[test]
fn i3_an_id_that_cannot_be_read_for_the_moment_is_not_replaced() {
    if !child::can_trace() {
        return;
    }
    for error in ["EMFILE", "ENFILE", "ENOMEM", "EIO"] {
        let (home, nobody) = (Home::new(), closed_port().unwrap());
        let destination = nobody.connection_string(&key());
        let ids = [home.paths().user_id(), home.paths().site_id(child::SITE.parse().unwrap())];
        std::fs::create_dir_all(home.paths().folder()).unwrap();
        ids.iter().for_each(|file| std::fs::write(file, uuid::Uuid::new_v4().to_bytes_le()).unwrap());
        let content = || ids.each_ref().map(|file| std::fs::read(file).unwrap());
        let before = content();
        let mut host =
            Host::start(&mut child::faulty(&child::command(&home, &destination, &[]), "openat", error, &ids));
        assert_eq!(host.ask("init awaiting"), "0", "{error}");
        assert_eq!(host.ask("connect"), "0", "{error}");
        let failure = host.ask("text 8");
        assert!(failure.starts_with("cannot read ") && failure.contains(".uuid: "), "{error}: {failure}");
        host.end();
        assert_eq!(content(), before, "{error}");
        // This session had ids of its own (I5).
        let user = home.events().last().unwrap().ids().0;
        assert_ne!(user.to_bytes_le().to_vec(), before[0], "{error}");
    }
}

/// No thread can be started. Events stay on disk, and the next call tries again.
#[cfg(target_os = "linux")]
#[test]
fn d8_without_threads_events_wait() {
    use std::os::unix::process::CommandExt;
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    let mut command = child::command(&home, &collector.connection_string(&key), &[]);
    if child::is_root() {
        // The limit does not bind root: the host is nobody.
        std::os::unix::fs::chown(home.path(), Some(65_534), Some(65_534)).unwrap();
        command.uid(65_534).gid(65_534);
    }
    let mut host = Host::start(&mut command);
    assert_eq!(host.ask("threads none"), "0");
    assert_eq!(host.ask("init"), "0");
    assert_eq!(host.ask("connect"), "0");
    assert_eq!(host.ask("config"), "on layer 0 pending 2");
    assert_eq!(host.ask("threads many"), "0");
    assert_eq!(host.ask("disconnect"), "0");
    arrived(&collector, &key, 3);
    host.ask("settle");
    host.end();
}

/// Nothing can be stored on a full disk, but the pending events that are deleted make room.
#[cfg(target_os = "linux")]
#[test]
fn c12_c3_on_a_full_disk_an_opt_out_is_stored_in_place_of_the_pending_events() {
    let (home, nobody) = (Home::new(), closed_port().unwrap());
    std::fs::create_dir_all(home.paths().folder()).unwrap();
    let host = child::command(&home, &nobody.connection_string(&key()), &[]);
    let small = "mount -t tmpfs -o size=128k tmpfs \"$1\"";
    let Some(mut host) = Host::in_namespace(&host, small, home.paths().folder()) else { return };
    assert_eq!(host.ask("init awaiting"), "0");
    assert_eq!(host.ask("connect"), "0");
    let seen = host.sees(home.paths().folder());
    // Each file of a tmpfs takes whole pages, so this leaves none.
    let filler = std::fs::write(seen.join("filler"), vec![b'x'; 128 * 1024]);
    assert_eq!(filler.unwrap_err().raw_os_error(), Some(28));
    let file = std::fs::File::options().write(true).create_new(true).open(seen.join(".one more")).unwrap();
    assert!(std::io::Write::write(&mut &file, b"x").is_err(), "the disk is full");
    assert_eq!(host.ask("telemetry false"), "0");
    assert_eq!(host.ask("config"), "off layer 1 pending 0");
    assert_eq!(host.ask("connect"), "1");
    assert_eq!(settings::read(&seen.join("appsettings.user.json")).unwrap().telemetry, Some(false));
    host.end();
}

/// A disk that became read-only, as one does after an error.
#[cfg(target_os = "linux")]
#[test]
fn c12_on_a_read_only_disk_an_opt_out_holds_for_the_session() {
    let (home, collector) = (Home::new(), Collector::start().unwrap());
    let destination = collector.connection_string(&key());
    drop(home.session_with_proxy(&destination));
    let host = child::command(&home, &destination, &[]);
    let read_only = "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\"";
    let Some(mut host) = Host::in_namespace(&host, read_only, home.paths().folder()) else { return };
    // Telemetry is on, but nothing can be recorded, which is no reason to fail an import.
    assert_eq!(host.ask("init"), "1");
    assert!(host.ask("text 8").contains("os error 30"));
    let said = host.ask("telemetry false");
    assert!(said.starts_with("20 telemetry is off until this process ends") && said.contains("os error 30"), "{said}");
    assert_eq!(host.ask("config"), "off layer 7 pending 1");
    assert_eq!(host.ask("connect"), "1");
    host.ask("hold true");
    host.ask("hold false");
    // A thread that sent regardless would have a second's time after its start.
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    host.end();
    assert_eq!((collector.connections(), home.pending().len()), (0, 1));
}
