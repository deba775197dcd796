//! Profiles in unusual places: deep ones, other drives, blanks and letters of every script; files that others hold open.

mod common;

use std::path::{Path, PathBuf};

use common::{Home, arrived, connection, key, settle};
use vms_collector::Collector;
use vms_telemetry::config::Environment;
use vms_telemetry::durable::{self, Sync};
use vms_telemetry::paths::Paths;
use vms_telemetry::session::{Change, HostFacts, Session, UsageDataPolicy};

/// Lives a whole session in a profile below `root`: ids, settings, spool, raw log.
fn live_in(root: &Path) {
    let (collector, key) = (Collector::start().unwrap(), key());
    let paths = Paths::new(&root.join("local"), &root.join("state"));
    let facts = HostFacts {
        assembly_version: "1.2.3".to_owned(),
        connection_string: Some(collector.connection_string(&key)),
        ..HostFacts::default()
    };
    let session = Session::start(facts, Environment::default(), Ok(paths.clone())).unwrap();
    session.set_config(Change { log: Some(true), ..Change::default() }).unwrap();
    session.connect(&connection(UsageDataPolicy::On)).unwrap();
    arrived(&collector, &key, 2);
    settle(&session);
    assert_eq!(session.state().failure, None, "{}", root.display());
    let site = paths.site_id(connection(UsageDataPolicy::On).site);
    for file in [paths.user_id(), site, paths.settings()] {
        assert!(file.is_file(), "{}", file.display());
    }
    assert_eq!(std::fs::read_dir(paths.log_folder()).unwrap().count(), 1);
    session.set_config(Change { telemetry: Some(false), ..Change::default() }).unwrap();
    assert!(!session.state().telemetry.on);
}

#[test]
fn i1_f4_l1_a_profile_with_blanks_and_letters_of_every_script() {
    let home = Home::new();
    live_in(&home.path().join("Jörg & Søren's profile (2)").join("用户 資料 Ωμέγα"));
}

#[test]
fn i1_f4_l1_a_profile_deeper_than_260_characters() {
    let home = Home::new();
    let deep: PathBuf = (0..6).map(|level| format!("{level}-{}", "x".repeat(58))).collect();
    let root = home.path().join(deep);
    assert!(root.as_os_str().len() > 360);
    live_in(&root);
}

#[cfg(windows)]
#[test]
fn i1_f4_l1_a_profile_on_another_drive() {
    let own = std::env::temp_dir().components().next().map(|drive| drive.as_os_str().to_ascii_uppercase());
    let other = ('D'..='Z').map(|letter| PathBuf::from(format!("{letter}:\\"))).find(|drive| {
        drive.is_dir() && drive.components().next().map(|drive| drive.as_os_str().to_ascii_uppercase()) != own
    });
    // Wine has drive Z; a computer with one drive has nothing to test.
    let Some(drive) = other else {
        assert!(std::env::var_os("VMS_TEST_WINE").is_none());
        return;
    };
    let folder = drive.join("tmp").join(format!("vms-telemetry-{}", std::process::id()));
    live_in(&folder);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn f4_a_reader_that_holds_the_file_open_sees_the_old_one_and_stops_nobody() {
    use std::io::Read;
    let home = Home::new();
    let file = home.path().join("file");
    durable::write(&file, b"old", Sync::No).unwrap();
    let mut reader = std::fs::File::open(&file).unwrap();
    let replaced = durable::write(&file, b"new", Sync::No);
    let mut seen = String::new();
    reader.read_to_string(&mut seen).unwrap();
    assert_eq!(seen, "old");
    drop(reader);
    // Wine refuses to replace a file that is open; Windows 10 and Unix do not. Either way nothing is half done.
    if std::env::var_os("VMS_TEST_WINE").is_none() {
        replaced.unwrap();
    } else if replaced.is_err() {
        durable::write(&file, b"new", Sync::No).unwrap();
    }
    assert_eq!(std::fs::read(&file).unwrap(), b"new");
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1, "nothing temporary is left");
}

/// A virus scanner opens a new file for itself alone and lets go of it within milliseconds: as long as it has it, every
/// operation fails with a sharing violation, and the library tries again.
#[cfg(windows)]
#[test]
fn f4_d1_a_scanner_that_holds_a_file_for_a_moment_is_waited_for() {
    use std::os::windows::fs::OpenOptionsExt;
    let home = Home::new();
    let file = home.path().join("file");
    durable::write(&file, b"old", Sync::No).unwrap();
    let scan = || std::fs::OpenOptions::new().read(true).share_mode(0).open(&file).unwrap();
    type Operation = fn(&Path) -> bool;
    let operations: [Operation; 3] = [
        |file| durable::read(file, 10).is_ok_and(|content| content.is_some()),
        |file| durable::write(file, b"new", Sync::No).is_ok(),
        |file| durable::remove(file).is_ok(),
    ];
    for operation in operations {
        let waits = || {
            let held = scan();
            assert!(std::fs::File::open(&file).is_err(), "the scanner has it alone");
            std::thread::scope(|scope| {
                let working = start(scope, || operation(&file));
                for _ in 0..100 {
                    std::thread::yield_now();
                }
                drop(held);
                working.join().unwrap()
            })
        };
        // On a busy computer this thread may be stopped for longer than the library waits.
        assert!((0..10).any(|_| waits()));
    }
    assert!(!file.exists());
}

/// A file that somebody reads again and again is hardly ever closed. What the user chose is stored all the same, after
/// many attempts; the order of events shows it: writes that give up soon do so while the patient one goes on.
#[cfg(windows)]
#[test]
fn f4_what_the_user_chose_is_written_though_others_hold_the_file_for_longer() {
    use std::os::windows::fs::OpenOptionsExt;
    let home = Home::new();
    let file = home.path().join("file");
    durable::write(&file, b"old", Sync::No).unwrap();
    let held = std::fs::OpenOptions::new().read(true).share_mode(0).open(&file).unwrap();
    std::thread::scope(|scope| {
        let writing = start(scope, || durable::write(&file, b"chosen", Sync::Yes));
        for _ in 0..4 {
            assert!(durable::write(&file, b"new", Sync::No).is_err());
        }
        assert!(!writing.is_finished());
        drop(held);
        writing.join().unwrap().unwrap();
    });
    assert_eq!(std::fs::read(&file).unwrap(), b"chosen");
}

/// Starts a thread, and returns once it runs.
#[cfg(windows)]
fn start<'scope, T: Send + 'scope>(
    scope: &'scope std::thread::Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> std::thread::ScopedJoinHandle<'scope, T> {
    let (start, started) = std::sync::mpsc::channel();
    let thread = scope.spawn(move || {
        start.send(()).unwrap();
        work()
    });
    started.recv().unwrap();
    thread
}
