//! Every opt-out counts: the whole truth table, and what an opt-out means for other processes and for one that is killed.

use std::collections::BTreeMap;
use std::fs::File;
use std::time::{Duration, Instant};

use crate::common::child::{self, Host};
use crate::common::{Home, arrived, connection, delivery, event, key, names, settle, wait_until};
use chrono::Utc;
use vms_collector::{Collector, Reply, RetryAfter, closed_port};
use vms_telemetry::consent::{Layer, Verdict};
use vms_telemetry::environment::Environment;
use vms_telemetry::event::Event;
use vms_telemetry::files::{self, LockMode};
use vms_telemetry::paths::Paths;
use vms_telemetry::response::Response;
use vms_telemetry::session::{Change, HostFacts, Outcome, Session, UsageDataPolicy};
use vms_telemetry::transport::{NoResponse, PostEvents};
use vms_telemetry::{settings, spool};

/// D8: nothing is pending any more, so there is nothing to wait for.
#[test]
fn c3_d8_the_thread_that_waits_for_its_next_attempt_ends_with_an_opt_out() {
    let (home, collector) = (Home::new(), Collector::start().unwrap());
    collector.always(Reply::RetryAfter(503, RetryAfter::Seconds(3600)));
    let session = home.session(&collector.connection_string(&key()), &[]);
    wait_until(|| session.retry_state().failures > 0);
    assert!(session.is_sending(), "its next attempt comes in an hour");
    session.set_config(Change { telemetry: Some(false), ..Change::default() }).unwrap();
    wait_until(|| !session.is_sending());
}

/// Rows: what the settings file says. Columns: what `VMS_ApplicationInsights__Enabled` says, first without, then with
/// `DO_NOT_TRACK`. Cells: who decides, and what: + on, - off, ? unsure.
/// D default, S settings file, V variable, G variable with garbage, T `DO_NOT_TRACK`, P policy of a VMS, U unsure.
const TABLE: &str = "
               unset true false garbage   unset+T true+T false+T garbage+T
absent          D+    V+   V-    G-        T-      T-     V-      G-
null            D+    V+   V-    G-        T-      T-     V-      G-
true            S+    S+   V-    G-        T-      T-     V-      G-
true-text       S+    S+   V-    G-        T-      T-     V-      G-
true-flat       S+    S+   V-    G-        T-      T-     V-      G-
true-twice      S+    S+   V-    G-        T-      T-     V-      G-
false           S-    S-   V-    G-        T-      T-     V-      G-
false-text      S-    S-   V-    G-        T-      T-     V-      G-
false-flat      S-    S-   V-    G-        T-      T-     V-      G-
false-below     S-    S-   V-    G-        T-      T-     V-      G-
false-twice     S-    S-   V-    G-        T-      T-     V-      G-
policy          P-    P-   V-    G-        T-      T-     V-      G-
policy-flat     P-    P-   V-    G-        T-      T-     V-      G-
broken          U?    U?   V-    G-        T-      T-     V-      G-
empty           U?    U?   V-    G-        T-      T-     V-      G-
utf-16          U?    U?   V-    G-        T-      T-     V-      G-
unreadable      U?    U?   V-    G-        T-      T-     V-      G-
";

/// The spellings of each column's value.
const VALUES: [(&str, &[Option<&str>]); 4] = [
    ("unset", &[None]),
    ("true", &[Some("true"), Some("TRUE"), Some(" True "), Some("1"), Some("yes"), Some("on")]),
    ("false", &[Some("false"), Some("False"), Some("\tFALSE "), Some("0"), Some("no"), Some("Off")]),
    ("garbage", &[Some("perhaps"), Some(""), Some("falsch"), Some("true false"), Some("2")]),
];
const NAMES: [&str; 5] = [
    "VMS_ApplicationInsights__Enabled",
    "VMS_ApplicationInsights:Enabled",
    "vms_applicationinsights__enabled",
    "VMS_APPLICATIONINSIGHTS:ENABLED",
    "VMS_APPLICATIONINSIGHTS__ENABLED",
];
/// Spellings of `DO_NOT_TRACK` that say nothing, and such that opt out.
const DO_NOT_TRACK: [&[&str]; 2] = [&["", "0", "false", " False "], &["1", "true", "no", "x"]];

/// Who decides, as the table has it, and a part of the reason that the user is told.
const DECIDERS: [(&str, Layer, &str); 7] = [
    ("D", Layer::Default, "on by default"),
    ("S", Layer::SettingsFile, "Set-VmsModuleConfig -EnableTelemetry"),
    ("V", Layer::Environment, "is set to"),
    ("G", Layer::Environment, "is neither true nor false, which counts as false"),
    ("T", Layer::DoNotTrack, "DO_NOT_TRACK"),
    ("P", Layer::VmsPolicy, "a VMS that you connected to has usage data collection turned off"),
    ("U", Layer::Unsure, "appsettings.user.json"),
];

/// Makes the settings file of a row.
fn settings_file(paths: &Paths, row: &str) {
    let member = |value| format!("{{ \"ApplicationInsights\": {{ \"Enabled\": {value} }} }} // mine");
    let text = match row {
        "absent" => return,
        // A folder in its place: nobody can read that as a file, not even root.
        "unreadable" => return std::fs::create_dir_all(paths.settings()).unwrap(),
        "null" => member("null"),
        "true" => member("true"),
        "true-text" => member("\"True\""),
        "true-flat" => r#"{ "applicationinsights:ENABLED": "true" }"#.to_owned(),
        "true-twice" => {
            r#"{ "ApplicationInsights:Enabled": true, "applicationInsights": { "enabled": true } }"#.to_owned()
        }
        "false" => member("false"),
        "false-text" => member("\"False\""),
        "false-flat" => r#"{ "ApplicationInsights:Enabled": false }"#.to_owned(),
        "false-below" => {
            r#"{ "ApplicationInsights": { "Enabled": true }, "applicationInsights:enabled": "False" }"#.to_owned()
        }
        "false-twice" => {
            r#"{ "ApplicationInsights": { "Enabled": true }, "APPLICATIONINSIGHTS": { "Enabled": 0 } }"#.to_owned()
        }
        "policy" => member("false, \"DisabledBy\": \"VmsPolicy\""),
        "policy-flat" => {
            r#"{ "ApplicationInsights:Enabled": false, "ApplicationInsights:DisabledBy": "VmsPolicy" }"#.to_owned()
        }
        "broken" | "utf-16" => member(""),
        "empty" => String::new(),
        _ => panic!("{row}"),
    };
    std::fs::create_dir_all(paths.folder()).unwrap();
    let utf16 = || [0xFEFF].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let content = if row == "utf-16" { utf16() } else { text.clone().into_bytes() };
    std::fs::write(paths.settings(), content).unwrap();
}

/// Starts a session that keeps its events on disk: it waits for a proxy that nobody names.
fn keeping(home: &Home, variables: &[(&str, &str)]) -> Session {
    let facts = HostFacts { assembly_version: "1".to_owned(), names_proxy: true, ..HostFacts::default() };
    let environment = Environment::read(variables.iter().map(|(name, value)| (name.into(), value.into())));
    let session = Session::start(facts, environment, Ok(home.paths())).unwrap();
    session.record_session_start();
    session
}

/// Returns the names of the events on disk, and the settings file.
fn on_disk(home: &Home) -> (Vec<&'static str>, Option<Vec<u8>>) {
    (home.events().iter().map(Event::name).collect(), std::fs::read(home.paths().settings()).ok())
}

/// Lives through one cell of the table with each policy of a VMS, and checks all that can be seen.
fn check(row: &str, cell: &str, variables: &[(&str, &str)]) {
    let (letter, sign) = cell.split_at(1);
    let (_, layer, part) = DECIDERS.into_iter().find(|(decider, ..)| *decider == letter).unwrap();
    let (verdict, nothing) = match sign {
        "+" => (Verdict::On, Outcome::Off),
        "-" => (Verdict::Off, Outcome::Off),
        "?" => (Verdict::Unsure, Outcome::Unsure),
        _ => panic!("{cell}"),
    };
    let on = verdict == Verdict::On;
    for policy in [UsageDataPolicy::On, UsageDataPolicy::Off, UsageDataPolicy::NotOffered, UsageDataPolicy::Unknown] {
        let what = format!("{row}, {variables:?}, {policy:?}: {cell}");
        let home = Home::new();
        settings_file(&home.paths(), row);
        let (_, before) = on_disk(&home);

        let session = keeping(&home, variables);
        let decision = session.decisions().telemetry;
        assert_eq!((decision.verdict, decision.layer), (verdict, layer), "{what}: {}", decision.reason);
        assert!(decision.reason.contains(part), "{what}: {}", decision.reason);
        if let ("V" | "G", [(name, _), ..]) = (letter, variables) {
            assert!(decision.reason.contains(name), "{what}: {}", decision.reason);
        }
        let announced = if on { vec!["NewSession"] } else { vec![] };
        assert_eq!(on_disk(&home), (announced.clone(), before.clone()), "{what}");

        let outcome = session.connect(&connection(policy)).unwrap().1;
        let sends = on && matches!(policy, UsageDataPolicy::On | UsageDataPolicy::NotOffered);
        // A VMS's opt-out is obeyed whatever the file looks like at the moment (C6).
        let obeys = policy == UsageDataPolicy::Off && verdict != Verdict::Off;
        let expected = if sends {
            Outcome::Recorded
        } else if obeys {
            Outcome::Off
        } else {
            nothing
        };
        assert_eq!(outcome, expected, "{what}");
        let now = session.decisions().telemetry;
        if obeys {
            // What was recorded is gone, and this session is off.
            assert_eq!((now.verdict, now.layer), (Verdict::Off, Layer::VmsPolicy), "{what}: {}", now.reason);
            assert!(on_disk(&home).0.is_empty(), "{what}");
            if on {
                // Every later session starts switched off, with the reason.
                let stored = settings::read(&home.paths().settings()).unwrap();
                assert_eq!((stored.telemetry, stored.by_policy, stored.log), (Some(false), true, None), "{what}");
                let later = keeping(&home, variables).decisions().telemetry;
                assert_eq!((later.verdict, later.layer), (Verdict::Off, Layer::VmsPolicy), "{what}: {}", later.reason);
                assert!(on_disk(&home).0.is_empty(), "{what}");
            } else {
                assert_eq!(on_disk(&home).1, before, "{what}");
            }
        } else {
            let events = if sends { vec!["NewSession", "NewVmsSession"] } else { announced };
            assert_eq!(now, decision, "{what}");
            assert_eq!(on_disk(&home), (events, before), "{what}");
        }
    }
}

#[test]
fn c1_c2_c6_c7_c8_c11_f3_the_whole_truth_table() {
    let mut lines = TABLE.trim_start_matches('\n').lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let columns = lines.next().unwrap();
    let mut cells = BTreeMap::new();
    for line in lines {
        cells.extend(columns.iter().zip(&line[1..]).map(|(column, cell)| ((line[0].to_owned(), *column), *cell)));
    }
    assert_eq!(cells.len(), 17 * 8);
    // Every spelling in every cell, each with another case of the name and another spelling of DO_NOT_TRACK.
    let (mut names, mut turn) = (NAMES.iter().cycle(), 0);
    let mut tracks = DO_NOT_TRACK.map(|values| values.iter().cycle());
    for ((row, column), cell) in cells {
        let (value, tracked) = column.split_once('+').map_or((column, false), |(value, _)| (value, true));
        let (_, values) = VALUES.into_iter().find(|(name, _)| *name == value).unwrap();
        // Files take long under Wine: there one spelling of each cell has to do, and each spelling gets its turn.
        turn += 1;
        let one = turn % values.len();
        for value in if cfg!(windows) { &values[one..=one] } else { values } {
            let value = value.map(|value| (*names.next().unwrap(), value));
            let mut track = |tracked: bool| *tracks[usize::from(tracked)].next().unwrap();
            let mut tracks = if tracked { vec![Some(track(true))] } else { vec![None, Some(track(false))] };
            tracks.truncate(if cfg!(windows) { 1 } else { 2 });
            for track in tracks {
                let track = track.map(|track| (if value.is_some() { "DO_NOT_TRACK" } else { "do_not_track" }, track));
                check(&row, cell, &value.into_iter().chain(track).collect::<Vec<_>>());
            }
        }
    }
}

#[cfg(unix)]
#[test]
fn c1_c2_a_value_that_is_no_text_counts_as_an_opt_out() {
    use std::os::unix::ffi::OsStringExt;
    for name in ["VMS_ApplicationInsights__Enabled", "VMS_ApplicationInsights:Enabled", "DO_NOT_TRACK"] {
        let value = std::ffi::OsString::from_vec(vec![0xFF, 0xFE]);
        let environment = Environment::read([(name.into(), value)].into_iter());
        assert!(environment.do_not_track() || environment.telemetry().is_some_and(|(on, _)| !on), "{name}");
    }
}

#[test]
fn c1_a_variable_set_after_the_start_has_no_effect() {
    let (home, nobody) = (Home::new(), closed_port().unwrap());
    let mut host = Host::new(&home, &nobody.connection_string(&key()));
    assert_eq!(host.ask("init awaiting"), "0");
    assert_eq!(host.ask("set VMS_ApplicationInsights__Enabled=false"), "0");
    assert_eq!(host.ask("init"), "0");
    assert_eq!(host.ask("connect"), "0");
    assert_eq!(host.ask("config"), "on layer 0 pending 2");
    host.end();
}

fn choose(session: &Session, telemetry: bool) {
    session.set_config(Change { telemetry: Some(telemetry), ..Change::default() }).unwrap();
}

/// Starts a session whose sender has read its batch and asks for consent: only the lock on the settings holds it back.
fn at_the_gate(home: &Home, destination: &str) -> (Session, File) {
    let lock = files::lock(&home.paths().settings_lock(), LockMode::Exclusive, Instant::now()).unwrap();
    let session = home.session(destination, &[]);
    wait_until(|| session.retry_state().begun == 1);
    (session, lock)
}

/// A user opts out, and in again, while a request is about to begin. The test has the lock that the gate asks for, so it
/// makes the two changes itself, as `set_config` does.
#[test]
fn c3_c4_c10_what_was_recorded_before_the_opt_out_is_not_sent_after_the_next_opt_in() {
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    let (session, lock) = at_the_gate(&home, &collector.connection_string(&key));
    std::fs::write(home.paths().settings(), r#"{"ApplicationInsights":{"Enabled":false}}"#).unwrap();
    spool::purge(&home.paths().spool()).unwrap();
    std::fs::write(home.paths().settings(), r#"{"ApplicationInsights":{"Enabled":true}}"#).unwrap();
    drop(lock);
    settle(&session);
    assert_eq!((collector.connections(), collector.received()), (0, vec![]));
}

/// A process opts out while a request is about to begin, and dies before it deletes pending events. Nothing but consent itself
/// can stop the batch now.
#[test]
fn c5_c10_an_opt_out_whose_writer_died_holds_at_the_gate() {
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    let (session, lock) = at_the_gate(&home, &collector.connection_string(&key));
    std::fs::write(home.paths().settings(), r#"{"ApplicationInsights":{"Enabled":false}}"#).unwrap();
    drop(lock);
    settle(&session);
    assert_eq!((collector.connections(), collector.received(), home.pending().len()), (0, vec![], 0));
}

/// Somebody opts out while an event is on its way to the disk, and empties the spool under its hands: the event cannot be
/// stored, and that is no failure but the no. A pipe in place of the site's id holds the call where it has asked for
/// consent already.
#[cfg(target_os = "linux")]
#[test]
fn c3_a_call_that_fails_because_of_an_opt_out_says_off() {
    use std::io::Write;
    let (home, connection) = (Home::new(), connection(UsageDataPolicy::On));
    let session = keeping(&home, &[]);
    let id = home.paths().site_id(connection.site);
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &id, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let outcome = std::thread::scope(|scope| {
        let connecting = scope.spawn(|| session.connect(&connection));
        // Opening it waits for the reader.
        let mut pipe = std::fs::OpenOptions::new().write(true).open(&id).unwrap();
        std::fs::write(home.paths().settings(), r#"{"ApplicationInsights":{"Enabled":false}}"#).unwrap();
        std::fs::remove_dir_all(home.paths().spool()).unwrap();
        std::fs::write(home.paths().spool(), "in the way").unwrap();
        pipe.write_all(&[1; 16]).unwrap();
        drop(pipe);
        connecting.join().unwrap()
    });
    assert_eq!(outcome.unwrap().1, Outcome::Off);
    assert_eq!(session.failure(), None);
}

#[test]
fn c10_c12_if_consent_cannot_be_held_nothing_is_sent_and_nothing_is_lost() {
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    let destination = collector.connection_string(&key);
    std::fs::create_dir_all(home.paths().settings_lock()).unwrap();
    let session = home.session(&destination, &[]);
    // An attempt is noted before consent is asked for, and the note is taken back when the gate is closed.
    wait_until(|| home.spool(&destination).folder().join("retry.json").exists());
    wait_until(|| session.retry_state().begun == 0);
    assert_eq!((collector.connections(), home.pending().len()), (0, 1));
    let warning = session.set_config(Change { telemetry: Some(false), ..Change::default() }).unwrap().unwrap();
    assert!(warning.contains("settings.lock"), "{warning}");
    settle(&session);
    assert_eq!((collector.connections(), home.pending().len()), (0, 0));
}

#[test]
fn c4_d3_an_opt_in_that_the_environment_forbids_takes_nothing_from_other_sessions() {
    let (home, nobody) = (Home::new(), closed_port().unwrap());
    let destination = nobody.connection_string(&key());
    let _other = home.session_with_proxy(&destination);
    assert_eq!(home.pending().len(), 1);
    choose(&home.session(&destination, &[("DO_NOT_TRACK", "1")]), true);
    assert_eq!(home.pending().len(), 1);
}

#[test]
fn c4_a_session_whose_announcement_was_deleted_announces_itself_when_it_is_on_again() {
    let (home, nobody) = (Home::new(), closed_port().unwrap());
    let session = home.session_with_proxy(&nobody.connection_string(&key()));
    choose(&session, false);
    choose(&session, true);
    assert_eq!(home.pending().len(), 1);
}

/// Four processes record 250 events each, and the thread of each is about to send: only a lock holds it back. Then the
/// collector comes up on the port that they send to, and the lock is free.
fn four_processes(opts_out: bool) -> (Home, Collector, String, Vec<Host>) {
    let (home, nobody, key) = (Home::new(), closed_port().unwrap(), key());
    let destination = nobody.connection_string(&key);
    let sender_lock = home.spool(&destination).folder().join("sender.lock");
    let lock = files::lock(&sender_lock, LockMode::Exclusive, Instant::now()).unwrap();
    let mut hosts: Vec<Host> = (0..4).map(|_| Host::begin(&mut child::command(&home, &destination, &[]))).collect();
    hosts.iter_mut().for_each(|host| host.tell("record 125"));
    hosts.iter_mut().for_each(|host| assert_eq!(host.answer().unwrap(), "0"));
    // The spool is full (D2): each process may exceed it by 32, and several drop at once when one would have done.
    let pending = home.pending().len();
    assert!((450..=500 + 4 * 32).contains(&pending), "{pending}");
    if opts_out {
        assert_eq!(hosts[0].ask("telemetry false"), "0");
        assert!(home.pending().is_empty());
        // What a process leaves behind that dies while it records.
        home.spool(&destination).put(&event(Utc::now())).unwrap();
    }
    let collector = Collector::builder().instead_of(nobody).start().unwrap();
    drop(lock);
    (home, collector, key, hosts)
}

/// C5, and with it C3, C4, C8 and C10.
#[test]
fn c3_c4_c5_c8_c10_one_of_four_processes_opts_out_and_nothing_is_ever_sent() {
    let (home, collector, key, mut hosts) = four_processes(true);
    for host in &mut hosts {
        host.ask("settle");
        assert_eq!(host.ask("connect"), "1");
        assert_eq!(host.ask("disconnect"), "1");
        // A thread that still ran has deleted what was left behind. If none did, an opt-in deletes it.
        let config = host.ask("config");
        assert!(["off layer 1 pending 0", "off layer 1 pending 1"].contains(&config.as_str()), "{config}");
    }
    let destination = collector.connection_string(&key);
    let mut later = Host::begin(&mut child::command(&home, &destination, &[]));
    assert_eq!(later.ask("connect"), "1");
    later.ask("settle");
    assert_eq!((collector.connections(), collector.received()), (0, vec![]));
    // Opting in again sends what is recorded from then on: the announcement of the session that was off all the time,
    // and what the others record now.
    assert_eq!(later.ask("telemetry true"), "0");
    hosts.iter_mut().for_each(|host| assert_eq!(host.ask("connect"), "0"));
    let mut names = names(&arrived(&collector, &key, 5));
    names.sort();
    assert_eq!(names, ["NewSession", "NewVmsSession", "NewVmsSession", "NewVmsSession", "NewVmsSession"]);
    hosts.push(later);
    hosts.iter_mut().for_each(|host| drop(host.ask("settle")));
    hosts.into_iter().for_each(Host::end);
    assert_eq!(collector.received().len(), 5);
    assert!(home.pending().is_empty());
}

#[test]
fn c5_without_the_opt_out_the_same_four_processes_send() {
    let (home, collector, key, mut hosts) = four_processes(false);
    let pending = collector.wait_for_accepted(Some(&key), 450, crate::common::PATIENCE).len();
    assert!(pending >= 450, "{pending}");
    hosts.iter_mut().for_each(|host| drop(host.ask("settle")));
    assert!(home.pending().is_empty());
}

/// A service that takes everything, and counts the events.
struct Accepting(usize);

impl PostEvents for Accepting {
    fn post(&mut self, body: &[u8]) -> Result<Response, NoResponse> {
        self.0 += body.split(|byte| *byte == b'\n').count();
        Ok(Response { status: 200, ..Response::default() })
    }
}

/// Makes an attempt as any session of the user would; returns how many events were sent.
fn sent(home: &Home, destination: &str) -> usize {
    let mut service = Accepting(0);
    delivery(home, destination).attempt(&mut service, Utc::now).unwrap();
    service.0
}

#[test]
fn c3_c4_c5_f4_a_killed_opt_out_leaves_the_old_state_or_the_new_one() {
    const PENDING: usize = 20;
    let kills = if cfg!(windows) { 16 } else { 100 };
    let nobody = closed_port().unwrap();
    let (mut old, mut new, mut returned, mut unpurged) = (0, 0, 0, 0);
    // Every other kill comes about when the last ones found the opt-out to happen, the others before or after.
    let mut edge = Duration::from_millis(2);
    for round in 0..kills {
        let home = Home::new();
        let destination = nobody.connection_string(&key());
        for _ in 0..PENDING {
            home.spool(&destination).put(&event(Utc::now())).unwrap();
        }
        let mut host = Host::new(&home, &destination);
        assert_eq!(host.ask("init awaiting"), "0");
        let before = home.spool(&destination).entries().unwrap();
        assert_eq!(before.len(), PENDING + 1);
        let random = f64::from(uuid::Uuid::new_v4().as_bytes()[0]) / 128.0;
        let moment = if round % 2 == 0 { edge } else { edge.mul_f64(random) };
        let start = Instant::now();
        host.tell("telemetry false");
        while start.elapsed() < moment {
            std::hint::spin_loop();
        }
        let answers = host.kill();
        let left = home.spool(&destination).entries().unwrap();
        match settings::read(&home.paths().settings()).unwrap().telemetry {
            None => {
                old += 1;
                edge = edge.mul_f64(if new == 0 { 2.0 } else { 1.1 });
                assert_eq!((answers.as_slice(), &left), (&[][..], &before), "round {round}");
                assert_eq!(sent(&home, &destination), PENDING + 1, "round {round}");
            }
            stored => {
                new += 1;
                edge = edge.mul_f64(if old == 0 { 0.5 } else { 0.9 });
                returned += usize::from(!answers.is_empty());
                unpurged += usize::from(!left.is_empty());
                assert_eq!(stored, Some(false), "round {round}");
                // What a call that returned promised, and what holds even if it did not.
                assert!(answers.is_empty() || left.is_empty(), "round {round}: {} are left", left.len());
                let session = home.session_with_proxy(&destination);
                assert_eq!(session.connect(&connection(UsageDataPolicy::On)).unwrap().1, Outcome::Off);
                if round % 2 == 0 {
                    assert_eq!(sent(&home, &destination), 0, "round {round}");
                    assert!(home.pending().is_empty(), "round {round}");
                }
                // Not even opting in again brings back what was there before.
                choose(&session, true);
                assert_eq!(sent(&home, &destination), 1, "round {round}");
            }
        }
    }
    println!("{old} kills left the old state, {new} the new one: {returned} had returned, {unpurged} had not purged");
    assert!(old > 0 && new > 0);
}
