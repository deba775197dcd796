//! Many processes at once on the small files of a user: settings, ids and the telemetry log.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::common::child::{self, Host};
use crate::common::{Home, connection, key, skips_under_wine};
use chrono::Local;
use uuid::Uuid;
use vms_collector::closed_port;
use vms_telemetry::event::{Event, Fields};
use vms_telemetry::files::{self, LockMode};
use vms_telemetry::session::{Change, Outcome, UsageDataPolicy};
use vms_telemetry::settings::{self, Choice, Settings, Wait, WithoutLock};

/// Starts hosts that keep their events on disk: each waits for a proxy that nobody names.
fn keeping(home: &Home, count: usize, destination: &str) -> Vec<Host> {
    let start = |_| Host::start(&mut child::command(home, destination, &[]));
    (0..count).map(start).collect()
}

/// Tells all of them the same, and waits for all.
fn all_at_once(hosts: &mut [Host], command: &str) {
    hosts.iter_mut().for_each(|host| host.tell(command));
    for host in hosts {
        let answer = host.answer().unwrap();
        // A call that records nothing says so, and not why.
        let why = if answer == "1" { format!("{}; {}", host.ask("text 2"), host.ask("text 8")) } else { String::new() };
        assert_eq!(answer, "0", "{command}: {why}");
    }
}

/// Somebody else's settings file with our values in it: a mark, CRLF, tabs, comments, odd blanks, doubled keys of others.
fn foreign(telemetry: &str, log: &str) -> String {
    format!(
        "\u{FEFF}// \"Enabled\": head\r\n{{\r\n\t\"Zebra\" :1,\t/* \"IncludeInLogs\": no */\r\n\
         \t\"applicationINSIGHTS\": {{\r\n\t\t\"InstrumentationKey\": \"x\\u00e9\",\r\n\
         \t\t\"enabled\":  {telemetry} , // mine\r\n\r\n\t\t\"includeInLogs\": {log},\r\n\t}},\r\n\
         \t\"A\": [ 1,2 ,  3.00 ],\r\n\t\"Logging\": {{ \"Enabled\": true, \"Enabled\": \"\\t\" }},\r\n}}\r\n// foot \u{1F441}"
    )
}

/// F2 and F4: all that is not ours stays byte for byte, and no update is lost.
#[test]
fn f2_f4_thirty_two_processes_change_different_keys_and_none_is_lost() {
    let (home, nobody) = (Home::new(), closed_port().unwrap());
    std::fs::create_dir_all(home.paths().folder()).unwrap();
    std::fs::write(home.paths().settings(), foreign("\"TRUE\"", "null")).unwrap();
    let mut hosts = keeping(&home, if cfg!(windows) { 8 } else { 32 }, &nobody.connection_string(&key()));
    all_at_once(&mut hosts, "init awaiting");
    let choice = |index: usize| if index.is_multiple_of(2) { "telemetry false" } else { "log true" };
    // On a busy computer a process may get its turn only when the time to wait is over (C12): then nothing is promised.
    let mut in_time = 0;
    for _ in 0..40 {
        files::write(&home.paths().settings(), foreign("\"TRUE\"", "null").as_bytes()).unwrap();
        let mut is_late = false;
        let met = read_while(&home, || {
            hosts.iter_mut().enumerate().for_each(|(index, host)| host.tell(choice(index)));
            for (index, host) in hosts.iter_mut().enumerate() {
                let answer = host.answer().unwrap();
                // The log is wanted while telemetry is off already, or off now.
                let is_warned = choice(index) == "log true" && answer.starts_with("3 nothing is logged");
                is_late |= answer.contains("another process holds it");
                assert!(answer == "0" || is_warned || is_late, "{answer}");
            }
        });
        if is_late {
            continue;
        }
        // The file is whole at every moment, and a choice that is stored stays: it only ever gains one.
        let end = foreign("false", "true");
        let choices = |text: &String| match text {
            text if *text == foreign("\"TRUE\"", "null") => 0,
            text if *text == foreign("false", "null") || *text == foreign("\"TRUE\"", "true") => 1,
            text if *text == end => 2,
            text => panic!("{text}"),
        };
        let gains: Vec<i32> = met.iter().map(choices).collect();
        assert!(gains.is_sorted_by(|before, after| before < after), "{gains:?}");
        assert_eq!(std::fs::read_to_string(home.paths().settings()).unwrap(), end);
        in_time += 1;
        if in_time == 8 {
            break;
        }
    }
    assert_eq!(in_time, 8);
    hosts.into_iter().for_each(Host::end);
    assert_eq!(temporary_files(&home), Vec::<String>::new());
}

/// Reads the settings as long as another thread changes them; returns each text that was met.
fn read_while(home: &Home, change: impl FnOnce()) -> Vec<String> {
    std::thread::scope(|scope| {
        let (changes, changed) = mpsc::channel::<()>();
        let settings = home.paths().settings();
        let reader = scope.spawn(move || {
            let mut met: Vec<String> = Vec::new();
            while changed.try_recv() != Err(mpsc::TryRecvError::Disconnected) {
                let text = String::from_utf8(files::read(&settings, 1 << 16).unwrap().unwrap()).unwrap();
                if met.last() != Some(&text) {
                    met.push(text);
                }
            }
            met
        });
        change();
        drop(changes);
        reader.join().unwrap()
    })
}

/// Lists the temporary files of a profile's folder.
fn temporary_files(home: &Home) -> Vec<String> {
    let files = std::fs::read_dir(home.paths().folder()).unwrap().flatten();
    files.filter_map(|file| file.file_name().into_string().ok()).filter(|name| files::is_temporary(name)).collect()
}

/// An opt-out need not have the lock; this one gets it, as the other process releases it in time.
#[test]
fn f4_a_change_waits_for_a_process_that_changes_the_file() {
    let home = Home::new();
    let (file, lock) = (home.paths().settings(), home.paths().settings_lock());
    let choice = Choice { telemetry: Some(Some(false)), ..Choice::default() };
    let held = files::lock(&lock, LockMode::Exclusive, Instant::now()).unwrap();
    std::thread::scope(|scope| {
        let (start, started) = mpsc::channel();
        let (file, lock) = (&file, &lock);
        let choosing = scope.spawn(move || {
            start.send(()).unwrap();
            let wait = Wait { stop: Instant::now() + crate::common::PATIENCE, without_lock: WithoutLock::Store };
            settings::change(file, lock, choice, wait, |_| Ok(()))
        });
        started.recv().unwrap();
        assert!(files::lock(lock, LockMode::Shared, Instant::now() + Duration::from_millis(100)).is_err());
        assert!(!choosing.is_finished() && !file.exists());
        drop(held);
        assert!(choosing.join().unwrap().unwrap().is_none(), "it had the lock");
    });
    assert_eq!(settings::read(&file).unwrap(), Settings { telemetry: Some(false), ..Settings::default() });
}

/// F1: each layer beneath the next, by the keys' names in the file and in the environment, in the folder of I1; and any
/// opt-out wins for consent.
#[test]
fn f1_defaults_settings_file_and_environment_in_this_order() {
    let member = |name: &str, value: &str| format!("{{\"ApplicationInsights\": {{\"{name}\": {value}}}}}");
    let (telemetry, log) = ("VMS_ApplicationInsights__Enabled", "VMS_ApplicationInsights__IncludeInLogs");
    let (telemetry_colon, log_colon) = ("VMS_ApplicationInsights:Enabled", "vms_applicationinsights:INCLUDEINLOGS");
    // What the file says, what the environment says; whether telemetry is on and who decided that, whether events are
    // logged and who decided that.
    let (default, file, environment) = ("default", "Set-VmsModuleConfig", "environment variable");
    let table = [
        ("{}".to_owned(), vec![], "on layer 0", false, default),
        (member("Enabled", "true"), vec![], "on layer 1", false, default),
        (member("Enabled", "false"), vec![], "off layer 1", false, default),
        (member("Enabled", "false"), vec![(telemetry, "true")], "off layer 1", false, default),
        (member("Enabled", "true"), vec![(telemetry, "false")], "off layer 2", false, default),
        // Flat keys and the other spelling of a variable, as .NET has them (C11).
        (r#"{"ApplicationInsights:Enabled": false}"#.to_owned(), vec![], "off layer 1", false, default),
        (r#"{"ApplicationInsights:IncludeInLogs": true}"#.to_owned(), vec![], "on layer 0", true, file),
        (member("Enabled", "true"), vec![(telemetry_colon, "false")], "off layer 2", false, default),
        (member("IncludeInLogs", "true"), vec![(log_colon, "false")], "on layer 0", false, environment),
        // What is not known, an environment that opts out knows.
        (member("Enabled", ""), vec![(telemetry, "true")], "unsure layer 8", false, default),
        (member("Enabled", ""), vec![(telemetry, "false")], "off layer 2", false, default),
        (member("IncludeInLogs", "true"), vec![], "on layer 0", true, file),
        (member("IncludeInLogs", "false"), vec![(log, "true")], "on layer 0", true, environment),
        (member("IncludeInLogs", "true"), vec![(log, "false")], "on layer 0", false, environment),
        // The same keys of another section are none of ours.
        (
            "{\"Other\":{\"IncludeInLogs\":true}}".to_owned(),
            vec![("VMS_Other__Enabled", "no")],
            "on layer 0",
            false,
            default,
        ),
    ];
    let nobody = closed_port().unwrap();
    for (text, variables, telemetry, logs, who) in table {
        let home = Home::new();
        std::fs::create_dir_all(home.paths().folder()).unwrap();
        std::fs::write(home.paths().settings(), &text).unwrap();
        let mut host = Host::start(&mut child::command(&home, &nobody.connection_string(&key()), &variables));
        let statuses = [("on", "0"), ("off", "1"), ("unsure", "2")];
        let (_, status) = statuses.iter().find(|(verdict, _)| telemetry.starts_with(verdict)).unwrap();
        assert_eq!(host.ask("init awaiting"), *status);
        assert!(host.ask("config").starts_with(telemetry), "{text} {variables:?}");
        let reason = host.ask("text 3");
        assert!(reason.contains(who), "{text} {variables:?}: {reason}");
        host.ask("connect");
        assert_eq!(home.paths().log_folder().exists(), logs, "{text} {variables:?}");
        let file = home.path().join("local").join("Milestone").join("MilestonePSTools").join("appsettings.user.json");
        assert_eq!(host.ask("text 4"), file.display().to_string());
        assert_eq!(std::fs::read_to_string(file).unwrap(), text);
        host.end();
    }
}

/// F3: neither a default nor the environment leaks into the file.
#[test]
fn f3_only_what_was_set_is_written() {
    let (home, nobody) = (Home::new(), closed_port().unwrap());
    let variables = [
        ("VMS_ApplicationInsights__Enabled", "true"),
        ("VMS_ApplicationInsights__IncludeInLogs", "true"),
        ("VMS_ApplicationInsights__ConnectionString", &*nobody.connection_string(&key())),
    ];
    let mut host =
        Host::begin(&mut child::command(&home, "InstrumentationKey=00000000-0000-4000-8000-000000000000", &variables));
    assert_eq!(host.ask("connect"), "0");
    assert_eq!(host.ask("proxy http://127.0.0.1:9"), "0");
    assert!(!home.paths().settings().exists());
    let json = |home: &Home| {
        let text = std::fs::read_to_string(home.paths().settings()).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap()
    };
    assert_eq!(host.ask("log false"), "0");
    assert_eq!(json(&home), serde_json::json!({ "ApplicationInsights": { "IncludeInLogs": false } }));
    assert_eq!(host.ask("telemetry false"), "0");
    let both = serde_json::json!({ "ApplicationInsights": { "IncludeInLogs": false, "Enabled": false } });
    assert_eq!(json(&home), both);
    host.end();
}

#[test]
fn f4_a_kill_at_any_point_leaves_a_whole_file() {
    let kills = if cfg!(windows) { 12 } else { 100 };
    let (home, nobody) = (Home::new(), closed_port().unwrap());
    std::fs::create_dir_all(home.paths().folder()).unwrap();
    std::fs::write(home.paths().settings(), foreign("true", "false")).unwrap();
    let values = ["true", "false"];
    let versions: Vec<String> =
        values.iter().flat_map(|telemetry| values.iter().map(|log| foreign(telemetry, log))).collect();
    let mut met = BTreeMap::new();
    for _ in 0..kills {
        let mut host = Host::new(&home, &nobody.connection_string(&key()));
        assert!(["0", "1"].contains(&&*host.ask("init awaiting")));
        host.tell("churn 100000");
        let (start, random) = (Instant::now(), Uuid::new_v4().as_bytes()[0]);
        while start.elapsed() < Duration::from_micros(50 * u64::from(random)) {
            std::hint::spin_loop();
        }
        assert_eq!(host.kill(), Vec::<String>::new());
        let text = std::fs::read_to_string(home.paths().settings()).unwrap();
        let version = versions.iter().position(|version| *version == text).unwrap_or_else(|| panic!("{text}"));
        *met.entry(version).or_insert(0) += 1;
    }
    println!("versions that the killed left, and how often: {met:?}");
    // A killed process holds no lock, and leaves at most the one file that it was writing.
    let change = Choice { telemetry: Some(Some(false)), log: Some(Some(true)), by_policy: false };
    let wait = Wait { stop: Instant::now(), without_lock: WithoutLock::Refuse };
    settings::change(&home.paths().settings(), &home.paths().settings_lock(), change, wait, |_| Ok(())).unwrap();
    assert_eq!(std::fs::read_to_string(home.paths().settings()).unwrap(), foreign("false", "true"));
    let stale = temporary_files(&home).len();
    println!("{stale} temporary files are left");
    assert!(stale <= kills, "{stale}");
}

fn id_in(file: PathBuf) -> Option<Uuid> {
    Some(Uuid::from_bytes_le(std::fs::read(file).ok()?.try_into().ok()?))
}

#[test]
fn i3_i4_two_hundred_processes_on_a_fresh_profile_end_with_one_id() {
    let processes = if cfg!(windows) { 24 } else { 200 };
    let (home, nobody) = (Home::new(), closed_port().unwrap());
    let mut hosts = keeping(&home, processes, &nobody.connection_string(&key()));
    assert_eq!(home.files(), Vec::<String>::new());
    all_at_once(&mut hosts, "init awaiting");
    all_at_once(&mut hosts, "connect");
    hosts.into_iter().for_each(Host::end);
    let events = home.events();
    assert_eq!(events.len(), 2 * processes);
    let user = id_in(home.paths().user_id()).unwrap();
    assert_eq!(user.get_version_num(), 4);
    assert!(events.iter().all(|event| event.ids().0 == user));
    let site = id_in(home.paths().site_id(child::SITE.parse().unwrap())).unwrap();
    assert_eq!(sites(&events), vec![site; processes]);
    let sessions: BTreeSet<Uuid> = events.iter().map(|event| event.ids().1).collect();
    assert_eq!(sessions.len(), processes);
}

/// Returns the ids of the sites that connections were made to.
fn sites(events: &[Event]) -> Vec<Uuid> {
    let site = |event: &Event| match &event.fields {
        Fields::NewVmsSession(fields) => Some(fields.SiteId),
        Fields::CloseVmsSession(fields) => Some(fields.SiteId),
        Fields::NewSession(_) => None,
    };
    events.iter().filter_map(site).collect()
}

/// What lies where the id should be, and whether an id can be stored there afterwards; `None`: as the system likes.
type Obstacle = (&'static str, fn(&std::path::Path), Option<bool>);

const OBSTACLES: &[Obstacle] = &[
    ("nothing", |_| {}, Some(true)),
    ("short", |file| std::fs::write(file, [1; 15]).unwrap(), Some(true)),
    ("long", |file| std::fs::write(file, [1; 17]).unwrap(), Some(true)),
    ("the text of an id", |file| std::fs::write(file, Uuid::new_v4().to_string()).unwrap(), Some(true)),
    ("empty", |file| std::fs::write(file, "").unwrap(), Some(true)),
    ("zeros", |file| std::fs::write(file, [0; 16]).unwrap(), Some(true)),
    ("a folder", |file| std::fs::create_dir_all(file.join("in the way")).unwrap(), Some(false)),
    // Linux asks the folder for the right to replace a file, Windows the file.
    (
        "read-only and damaged",
        |file| {
            std::fs::write(file, [1; 15]).unwrap();
            let mut rights = std::fs::metadata(file).unwrap().permissions();
            rights.set_readonly(true);
            std::fs::set_permissions(file, rights).unwrap();
        },
        if cfg!(windows) { None } else { Some(true) },
    ),
    #[cfg(unix)]
    ("a dangling link", |file| std::os::unix::fs::symlink("/nowhere/at all", file).unwrap(), Some(true)),
    #[cfg(unix)]
    ("a link to itself", |file| std::os::unix::fs::symlink(file, file).unwrap(), Some(true)),
];

/// I3 and I5: whatever lies there is replaced where that can be done.
#[test]
fn i3_i5_whatever_lies_in_place_of_an_id_a_session_has_one() {
    let (mut seen, nobody) = (BTreeSet::new(), closed_port().unwrap());
    let destination = nobody.connection_string(&key());
    for (what, make, stored) in OBSTACLES {
        let home = Home::new();
        std::fs::create_dir_all(home.paths().folder()).unwrap();
        make(&home.paths().user_id());
        let site = connection(UsageDataPolicy::On).site;
        make(&home.paths().site_id(site));
        let mut ids = Vec::new();
        for count in [2, 4] {
            let session = home.session_with_proxy(&destination);
            session.connect(&connection(UsageDataPolicy::On)).unwrap();
            let events = home.events();
            assert_eq!(events.len(), count, "{what}");
            let new = &events[count - 2..];
            assert_eq!(new[0].ids(), new[1].ids(), "{what}");
            ids.push([new[0].ids().0, sites(new)[0]]);
            let failure = session.failure();
            assert!(stored.is_none_or(|stored| stored == failure.is_none()), "{what}: {failure:?}");
        }
        for [first, second] in [[ids[0][0], ids[1][0]], [ids[0][1], ids[1][1]]] {
            assert_eq!((first.get_version_num(), second.get_version_num()), (4, 4), "{what}");
            assert!(stored.is_none_or(|stored| stored == (first == second)), "{what}");
            // Nobody else has it: there is no id that those share who have none (I5).
            assert!(seen.insert(first) && (first == second || seen.insert(second)), "{what}");
        }
        if ids[0] == ids[1] {
            assert_eq!([id_in(home.paths().user_id()), id_in(home.paths().site_id(site))], ids[0].map(Some), "{what}");
        }
    }
}

#[test]
fn i5_an_id_that_cannot_be_stored_serves_the_whole_session() {
    let (home, nobody) = (Home::new(), closed_port().unwrap());
    let site = connection(UsageDataPolicy::On).site;
    for file in [home.paths().user_id(), home.paths().site_id(site)] {
        std::fs::create_dir_all(file.join("in the way")).unwrap();
    }
    let session = home.session_with_proxy(&nobody.connection_string(&key()));
    let (number, _) = session.connect(&connection(UsageDataPolicy::On)).unwrap();
    session.disconnect(number).unwrap();
    session.connect(&connection(UsageDataPolicy::On)).unwrap();
    let events = home.events();
    let (sites, users) = (sites(&events), events.iter().map(|event| event.ids().0).collect::<BTreeSet<_>>());
    assert_eq!((sites.len(), users.len()), (3, 1));
    assert!(sites.iter().all(|site| *site == sites[0]), "{sites:?}");
}

#[cfg(unix)]
#[test]
fn i5_s3_a_profile_that_may_only_be_read_gives_each_session_an_id_of_its_own() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    let (home, nobody) = (Home::new(), closed_port().unwrap());
    std::fs::create_dir_all(home.paths().spool()).unwrap();
    let rights = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    // Events can be stored, ids and locks cannot.
    rights(&home.paths().spool(), 0o777);
    for folder in [home.paths().folder(), home.path()] {
        rights(folder, 0o555);
    }
    let mut users = BTreeSet::new();
    for _ in 0..2 {
        let mut command = child::command(&home, &nobody.connection_string(&key()), &[]);
        if child::is_root() {
            // Rights do not bind root: the host is nobody.
            command.uid(65_534).gid(65_534);
        }
        let mut host = Host::start(&mut command);
        assert_eq!(host.ask("init awaiting"), "0");
        assert_eq!(host.ask("connect"), "0");
        assert!(host.ask("config").starts_with("on layer 0"));
        assert!(host.ask("text 8").contains("cannot write a file in"));
        host.end();
        users.insert(home.events().last().unwrap().ids().0);
    }
    rights(home.paths().folder(), 0o755);
    rights(home.path(), 0o755);
    assert_eq!(users.len(), 2);
    assert!(!home.paths().user_id().exists());
}

#[test]
fn s3_i5_a_file_in_place_of_the_folder_costs_only_the_telemetry() {
    let (home, nobody) = (Home::new(), closed_port().unwrap());
    std::fs::create_dir_all(home.paths().folder().parent().unwrap()).unwrap();
    std::fs::write(home.paths().folder(), "a file").unwrap();
    let mut host = Host::begin(&mut child::command(&home, &nobody.connection_string(&key()), &[]));
    assert_ne!(host.ask("connect"), "0");
    assert!(host.ask("text 8").contains("MilestonePSTools"));
    host.end();
    assert_eq!(std::fs::read_to_string(home.paths().folder()).unwrap(), "a file");
    assert_eq!(home.files().len(), 1);
}

/// Reads all documents of the telemetry log: the name of each, from the line before it, and the document.
fn documents(home: &Home) -> Vec<(String, serde_json::Value)> {
    let mut documents = Vec::new();
    let folder = home.path().join("state").join("Milestone").join("MIPSDK");
    for file in std::fs::read_dir(folder).unwrap().flatten() {
        let text = std::fs::read_to_string(file.path()).unwrap();
        for part in text.split_inclusive("\n}\n") {
            let (line, document) = part.split_once('\n').unwrap();
            let (time, name) = line.split_once(' ').unwrap();
            let time = chrono::DateTime::parse_from_rfc3339(time).unwrap();
            assert_eq!(*time.offset(), *time.with_timezone(&Local).offset());
            assert_eq!(file.file_name().to_string_lossy(), format!("MilestonePSTools{}.log", time.format("%Y%m%d")));
            documents.push((name.to_owned(), serde_json::from_str(document).unwrap()));
        }
    }
    documents
}

/// L1 and L3: every event is logged, and no document lies within another.
#[test]
fn l1_l3_eight_processes_log_at_once_and_every_document_parses() {
    const PROCESSES: usize = 8;
    const TURNS: usize = 6;
    let (home, nobody) = (Home::new(), closed_port().unwrap());
    let mut hosts = keeping(&home, PROCESSES, &nobody.connection_string(&key()));
    // The first one's choice holds for all, from their first event on.
    assert_eq!(hosts[0].ask("init awaiting"), "0");
    assert_eq!(hosts[0].ask("log true"), "0");
    all_at_once(&mut hosts[1..], "init awaiting");
    // As long as it may be (E6).
    let product = "x".repeat(128);
    for _ in 0..TURNS {
        all_at_once(&mut hosts, &format!("connect {product}"));
        all_at_once(&mut hosts, "disconnect");
    }
    let failures: BTreeSet<String> = hosts.iter_mut().map(|host| host.ask("text 8")).collect();
    assert_eq!(failures, [String::new()].into());
    hosts.into_iter().for_each(Host::end);
    // Windows looks for the end of the file and writes in one step, as `FILE_APPEND_DATA` says.
    if skips_under_wine("it does not append in one step") {
        return;
    }
    let mut counts = BTreeMap::new();
    for (name, document) in documents(&home) {
        assert_eq!(document["Name"], name.as_str());
        *counts.entry(name).or_insert(0) += 1;
    }
    let each = PROCESSES * TURNS;
    let expected = [("CloseVmsSession", each), ("NewSession", PROCESSES - 1), ("NewVmsSession", each)];
    assert_eq!(counts, expected.map(|(name, count)| (name.to_owned(), count)).into());
}

#[test]
fn l1_l4_the_log_follows_each_choice_at_once() {
    let (home, nobody) = (Home::new(), closed_port().unwrap());
    let session = home.session_with_proxy(&nobody.connection_string(&key()));
    let connect = || session.connect(&connection(UsageDataPolicy::On)).unwrap().1;
    let choose = |telemetry, log| session.set_config(Change { telemetry, log, ..Change::default() }).unwrap();
    connect();
    assert!(!home.paths().log_folder().exists());
    choose(None, Some(true));
    connect();
    assert_eq!(session.failure(), None);
    assert_eq!(documents(&home).len(), 1);
    // With telemetry off there is nothing to log.
    choose(Some(false), None);
    assert_eq!(connect(), Outcome::Off);
    assert_eq!(documents(&home).len(), 1);
    choose(Some(true), Some(false));
    assert_eq!(connect(), Outcome::Recorded);
    assert_eq!(documents(&home).len(), 1);
}

#[test]
fn l4_c12_a_host_that_wants_a_log_while_telemetry_is_off_or_unsure_is_warned() {
    let nobody = closed_port().unwrap();
    let table: [(&[(&str, &str)], _, _); 3] = [
        (&[("DO_NOT_TRACK", "1")], "{}", "the environment variable DO_NOT_TRACK is set"),
        (&[], "{\"ApplicationInsights\": {\"Enabled\": false}}", "you turned it off"),
        (
            &[("VMS_ApplicationInsights__Enabled", "?")],
            "{}",
            "VMS_ApplicationInsights__Enabled is neither true nor false",
        ),
    ];
    for (variables, text, reason) in table {
        let home = Home::new();
        std::fs::create_dir_all(home.paths().folder()).unwrap();
        std::fs::write(home.paths().settings(), text).unwrap();
        let mut host = Host::start(&mut child::command(&home, &nobody.connection_string(&key()), variables));
        assert_eq!(host.ask("init"), "1");
        let said = host.ask("log true");
        assert!(said.starts_with("3 nothing is logged while telemetry is off: ") && said.contains(reason), "{said}");
        assert_eq!(settings::read(&home.paths().settings()).unwrap().log, Some(true));
        assert_eq!(host.ask("log false"), "0");
        assert_eq!(host.ask("connect"), "1");
        assert!(!home.paths().log_folder().exists());
        host.end();
    }
}

/// L5: each document is one write, and no lock is asked for.
#[cfg(target_os = "linux")]
#[test]
fn l5_l3_each_document_of_the_log_is_one_write_and_no_lock_is_asked_for() {
    if !child::can_trace() {
        return;
    }
    let (home, nobody) = (Home::new(), closed_port().unwrap());
    let wants_log = [("VMS_ApplicationInsights__IncludeInLogs", "true")];
    let host = child::command(&home, &nobody.connection_string(&key()), &wants_log);
    let trace = home.path().join("trace");
    let mut host =
        Host::start(&mut child::traced(&host, "trace=openat,write,writev,pwrite64,close,flock,fcntl", &trace));
    for command in ["init awaiting", "connect", "disconnect"] {
        assert_eq!(host.ask(command), "0");
    }
    host.end();
    let trace = std::fs::read_to_string(trace).unwrap();
    assert!(!trace.contains("flock(") && !trace.contains("F_SETLK") && !trace.contains("F_OFD_SETLK"), "{trace}");
    // "1234  openat(AT_FDCWD, "….log", O_WRONLY|…) = 5"
    let (mut written, mut log) = (Vec::new(), None);
    for line in trace.lines() {
        let call = line.trim_start_matches(|character: char| character.is_ascii_digit()).trim_start();
        if call.starts_with("openat(") && call.contains(".log\"") {
            assert!(call.contains("O_APPEND") && call.contains("O_NOFOLLOW"), "{call}");
            log = call.rsplit_once("= ").map(|(_, number)| number.to_owned());
            written.push(0);
        } else if let (Some(number), Some(count)) = (&log, written.last_mut()) {
            *count += usize::from(call.contains(&format!("write({number}, ")));
            log = log.filter(|number| !call.starts_with(&format!("close({number})")));
        }
    }
    assert_eq!(written, [1, 1, 1], "{trace}");
    assert_eq!(documents(&home).len(), 3);
}

/// I1: whatever the user's mask says, and with ids, settings, locks, pending events, retry state and log.
#[cfg(unix)]
#[test]
fn i1_l3_folders_and_files_are_for_the_current_user_only() {
    use std::os::unix::fs::PermissionsExt;
    let (home, nobody) = (Home::new(), closed_port().unwrap());
    let destination = nobody.connection_string(&key());
    // A mask that forbids nothing.
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "umask 0 && exec \"$@\"", "sh"]);
    let mut host = Host::start(&mut child::run_by(shell, &child::command(&home, &destination, &[])));
    assert_eq!(host.ask("init"), "0");
    assert_eq!(host.ask("log true"), "0");
    assert_eq!(host.ask("connect"), "0");
    host.ask("settle");
    host.end();
    let files = home.files();
    let site = format!("site-{}.uuid", child::SITE);
    for part in [
        "telemetry.uuid",
        &site,
        "appsettings.user.json",
        "settings.lock",
        "sender.lock",
        "retry.json",
        ".v1.json",
        ".log",
    ] {
        assert!(files.iter().any(|file| file.ends_with(part)), "{part} in {files:?}");
    }
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for file in files {
        let file = home.path().join(file);
        assert_eq!(mode(&file), 0o600, "{}", file.display());
        // Below the user's own folder, which is there already.
        for folder in file.ancestors().skip(1).take_while(|folder| *folder != home.path()) {
            assert_eq!(mode(folder), 0o700, "{}", folder.display());
        }
    }
}

/// I1: folders and files inherit their rights from the user's own folder, and nobody else is given any.
#[cfg(windows)]
#[test]
fn i1_folders_and_files_have_the_rights_of_the_users_own_folder() {
    let (home, nobody) = (Home::new(), closed_port().unwrap());
    let mut host = Host::begin(&mut child::command(&home, &nobody.connection_string(&key()), &[]));
    assert_eq!((host.ask("log true"), host.ask("connect")), ("0".to_owned(), "0".to_owned()));
    host.ask("settle");
    host.end();
    let local = home.path().join("local");
    let files = home.files().into_iter().map(|file| home.path().join(file)).filter(|file| file.starts_with(&local));
    let lists: Vec<(PathBuf, String)> = files
        .flat_map(|file| file.ancestors().take_while(|path| *path != local).map(PathBuf::from).collect::<Vec<_>>())
        .map(|path| (path.clone(), child::access_control_list(&path)))
        .collect();
    assert!(lists.len() >= 10 && lists.iter().all(|(_, list)| list.starts_with("D:")), "{lists:?}");
    if skips_under_wine("it makes the list of a file from its mode, and inherits nothing") {
        return;
    }
    for (path, list) in lists {
        // "(A;OICIID;FA;;;SY)": kind, flags, rights, two ids of objects, and who.
        for entry in list.split('(').skip(1) {
            let fields: Vec<&str> = entry.trim_end_matches(')').split(';').collect();
            assert!(fields[1].contains("ID"), "{} has rights of its own: {list}", path.display());
            let others = ["WD", "AU", "BU", "BG", "AN", "IU", "NU"];
            assert!(!others.contains(&fields[5]), "{} is for others as well: {list}", path.display());
        }
    }
}

#[test]
fn l3_a_log_that_cannot_be_written_costs_only_a_message() {
    let (home, nobody) = (Home::new(), closed_port().unwrap());
    std::fs::create_dir_all(home.paths().log_folder().parent().unwrap()).unwrap();
    std::fs::write(home.paths().log_folder(), "a file").unwrap();
    let session = home.session_with_proxy(&nobody.connection_string(&key()));
    session.set_config(Change { log: Some(true), ..Change::default() }).unwrap();
    let (number, outcome) = session.connect(&connection(UsageDataPolicy::On)).unwrap();
    assert_eq!((outcome, session.disconnect(number).unwrap()), (Outcome::Recorded, Outcome::Recorded));
    assert_eq!(home.events().len(), 3);
    let failure = session.failure().unwrap();
    assert!(failure.contains("MIPSDK"), "{failure}");
    assert_eq!(std::fs::read_to_string(home.paths().log_folder()).unwrap(), "a file");
}

#[cfg(target_os = "linux")]
#[test]
fn l3_a_full_disk_costs_only_a_message() {
    let (home, nobody) = (Home::new(), closed_port().unwrap());
    std::fs::create_dir_all(home.paths().log_folder()).unwrap();
    let host = child::command(&home, &nobody.connection_string(&key()), &[]);
    let small = "mount -t tmpfs -o size=16k tmpfs \"$1\"";
    let Some(mut host) = Host::in_namespace(&host, small, home.paths().log_folder()) else { return };
    assert_eq!(host.ask("init awaiting"), "0");
    assert_eq!(host.ask("log true"), "0");
    for _ in 0..24 {
        assert_eq!(host.ask("connect XProtect"), "0");
    }
    let failure = host.ask("text 8");
    assert!(failure.contains("MilestonePSTools") && failure.contains("os error 28"), "{failure}");
    assert_eq!(host.ask("config"), "on layer 0 pending 25");
    host.end();
    assert_eq!(home.events().len(), 25);
}
