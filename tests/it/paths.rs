//! Profiles in unusual places: deep ones, other drives, blanks and letters of every script; where a profile is; settings that are a
//! link, shared or read-only; files that others hold open.

use std::path::{Path, PathBuf};
#[cfg(windows)]
use std::time::Instant;

#[cfg(unix)]
use crate::common::child;
#[cfg(unix)]
use crate::common::child::Host;
use crate::common::{Home, OPT_OUT, arrived, connection, key, settle, skip, skips_under_wine};
use vms_collector::{Collector, closed_port};
use vms_telemetry::consent::Verdict;
use vms_telemetry::environment::Environment;
use vms_telemetry::files;
use vms_telemetry::paths::Paths;
#[cfg(windows)]
use vms_telemetry::session::Outcome;
use vms_telemetry::session::{Change, HostFacts, Session, UsageDataPolicy};

/// Lives a whole session in a profile below `root`: ids, settings, spool, telemetry log.
fn live_in(root: &Path) {
    let (collector, key) = (Collector::start().unwrap(), key());
    let paths = Paths::new(&root.join("local"), &root.join("state"));
    let facts = HostFacts {
        assembly_version: "1.2.3".to_owned(),
        connection_string: Some(collector.connection_string(&key)),
        ..HostFacts::default()
    };
    let session = Session::start(facts, Environment::default(), Ok(paths.clone())).unwrap();
    session.record_session_start();
    session.set_config(Change { log: Some(true), ..Change::default() }).unwrap();
    session.connect(&connection(UsageDataPolicy::On)).unwrap();
    arrived(&collector, &key, 2);
    settle(&session);
    assert_eq!(session.failure(), None, "{}", root.display());
    let site = paths.site_id(connection(UsageDataPolicy::On).site);
    for file in [paths.user_id(), site, paths.settings()] {
        assert!(file.is_file(), "{}", file.display());
    }
    assert_eq!(std::fs::read_dir(paths.log_folder()).unwrap().count(), 1);
    session.set_config(Change { telemetry: Some(false), ..Change::default() }).unwrap();
    assert_eq!(session.decisions().telemetry.verdict, Verdict::Off);
}

#[test]
fn i1_a_profile_with_blanks_and_letters_of_every_script() {
    let home = Home::new();
    live_in(&home.path().join("Jörg & Søren's profile (2)").join("用户 資料 Ωμέγα"));
}

#[test]
fn i1_a_profile_deeper_than_260_characters() {
    let home = Home::new();
    let deep: PathBuf = (0..6).map(|level| format!("{level}-{}", "x".repeat(58))).collect();
    let root = home.path().join(deep);
    assert!(root.as_os_str().len() > 360);
    live_in(&root);
}

#[cfg(windows)]
#[test]
fn i1_a_profile_on_another_drive() {
    let own = std::env::temp_dir().components().next().map(|drive| drive.as_os_str().to_ascii_uppercase());
    let other = ('D'..='Z').map(|letter| PathBuf::from(format!("{letter}:\\"))).find(|drive| {
        drive.is_dir() && drive.components().next().map(|drive| drive.as_os_str().to_ascii_uppercase()) != own
    });
    let Some(drive) = other else {
        return skip("this computer has one drive");
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
    files::write(&file, b"old").unwrap();
    let mut reader = std::fs::File::open(&file).unwrap();
    let replaced = files::write(&file, b"new");
    let mut seen = String::new();
    reader.read_to_string(&mut seen).unwrap();
    assert_eq!(seen, "old");
    drop(reader);
    // Either way nothing is half done.
    if !skips_under_wine("it refuses to replace a file that is open; Windows 10 does not") {
        replaced.unwrap();
    } else if replaced.is_err() {
        files::write(&file, b"new").unwrap();
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
    files::write(&file, b"old").unwrap();
    let scan = || std::fs::OpenOptions::new().read(true).share_mode(0).open(&file).unwrap();
    type Operation = fn(&Path) -> bool;
    let operations: [Operation; 3] = [
        |file| files::read(file, 10).is_ok_and(|content| content.is_some()),
        |file| files::write(file, b"new").is_ok(),
        |file| files::remove(file).is_ok(),
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
    files::write(&file, b"old").unwrap();
    let held = std::fs::OpenOptions::new().read(true).share_mode(0).open(&file).unwrap();
    std::thread::scope(|scope| {
        let writing =
            start(scope, || files::replace_content(&file, b"chosen", Instant::now() + crate::common::PATIENCE));
        for _ in 0..4 {
            assert!(files::write(&file, b"new").is_err());
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

/// F2, S8: which folder it is, by the variables of the process and by those of a host that has an environment of its own, which
/// alone counts then. `$` stands for the test's folder; no folder: telemetry is off.
#[cfg(unix)]
#[test]
fn s8_i1_the_folder_is_the_one_that_the_hosts_runtime_finds() {
    type Variables = &'static [(&'static str, &'static str)];
    let table: [(Variables, Option<&str>, Option<&str>); 13] = [
        (&[("HOME", "$/h"), ("XDG_DATA_HOME", "$/x")], None, Some("$/x")),
        (&[("HOME", "$/h"), ("XDG_DATA_HOME", "")], None, Some("$/h/.local/share")),
        (&[("HOME", "$/h"), ("XDG_DATA_HOME", "x")], None, Some("$/h/.local/share")),
        (&[("HOME", "$/h"), ("XDG_DATA_HOME", "~/x")], None, Some("$/h/.local/share")),
        (&[("HOME", "~"), ("XDG_DATA_HOME", "")], None, None),
        (&[("HOME", "h"), ("XDG_DATA_HOME", "x")], None, None),
        (&[("HOME", "$/h"), ("XDG_DATA_HOME", "$/old")], Some("HOME=$/h|XDG_DATA_HOME=$/x"), Some("$/x")),
        (&[("HOME", "$/h"), ("XDG_DATA_HOME", "$/old")], Some("XDG_DATA_HOME=$/x|XDG_STATE_HOME=$/y"), Some("$/x")),
        (&[("HOME", "$/old"), ("XDG_DATA_HOME", "$/old")], Some("HOME=$/h"), Some("$/h/.local/share")),
        (&[("HOME", "$/old"), ("XDG_DATA_HOME", "$/old")], Some("HOME=$/h|XDG_DATA_HOME=.."), Some("$/h/.local/share")),
        (&[("HOME", "$/old"), ("XDG_DATA_HOME", "$/old")], Some("HOME=~"), None),
        (&[("HOME", "$/old"), ("XDG_DATA_HOME", "$/old")], Some("HOME=~|XDG_DATA_HOME=x|XDG_STATE_HOME=y"), None),
        // Case counts.
        (&[("HOME", "$/h"), ("XDG_DATA_HOME", "$/x")], Some("HOME=$/h|xdg_data_home=$/z"), Some("$/h/.local/share")),
    ];
    let nobody = closed_port().unwrap();
    for (variables, own, folder) in table {
        let what = format!("{variables:?}, {own:?}");
        let home = Home::new();
        let absolute = |text: &str| text.replace('$', &home.path().to_string_lossy());
        let working = home.path().join("working folder");
        std::fs::create_dir_all(&working).unwrap();
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, absolute(value))).collect();
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let mut command = child::command(&home, &nobody.connection_string(&key()), &variables);
        let init = own.map_or("init awaiting".to_owned(), |own| format!("init own {}", absolute(own)));
        let mut start = || {
            let mut host = Host::start(command.current_dir(&working));
            let status = host.ask(&init);
            (host, status)
        };
        let (mut host, status) = start();
        if let Some(folder) = folder {
            assert_eq!(status, "0", "{what}");
            let folder = PathBuf::from(absolute(folder)).join("Milestone").join("MilestonePSTools");
            assert_eq!(host.ask("text 5"), folder.display().to_string(), "{what}");
            assert_eq!(host.ask("connect"), "0", "{what}");
            assert!(folder.join("telemetry.uuid").is_file(), "{what}");
            // An opt-out that is stored there is found.
            assert_eq!(host.ask("telemetry false"), "0", "{what}");
            assert!(folder.join("appsettings.user.json").is_file(), "{what}");
            assert_eq!(start().1, "1", "{what}");
        } else {
            assert_eq!(status, "1", "{what}");
            assert_eq!(host.ask("connect"), "1", "{what}");
            assert_eq!(host.ask("config"), "off layer 5 pending 0", "{what}");
            let reason = host.ask("text 2");
            assert!(reason.contains("no folder") && reason.contains("HOME"), "{what}: {reason}");
            assert_eq!(host.ask("text 5"), "", "{what}");
            assert!(host.ask("telemetry false").starts_with("20 "), "{what}");
            assert_eq!(home.files(), Vec::<String>::new(), "{what}");
        }
        assert_eq!(std::fs::read_dir(&working).unwrap().count(), 0, "{what}");
        assert!(!home.path().join("old").exists(), "{what}");
    }
}

/// A session in a profile with these settings, and the settings.
fn settings(home: &Home, text: &str) -> PathBuf {
    let settings = home.paths().settings();
    std::fs::create_dir_all(home.paths().folder()).unwrap();
    std::fs::write(&settings, text).unwrap();
    settings
}

/// F6: a link stays a link, however it points to the file, and the file that it points to is changed.
#[cfg(unix)]
#[test]
fn f6_a_link_stays_a_link() {
    use std::os::unix::fs::symlink;
    let nobody = closed_port().unwrap();
    let opted_out = "{\n  \"ApplicationInsights\": {\n    \"Enabled\": false\n  }\n}\n";
    for text in [Some("{ \"Mine\": 1 } // dotfiles\n"), None] {
        for (what, links) in [
            ("absolute", vec!["$/dotfiles/settings.json"]),
            ("relative", vec!["../../../dotfiles/settings.json"]),
            ("chain", vec!["chain", "../../../dotfiles/chain", "settings.json"]),
        ] {
            let home = Home::new();
            let dotfiles = home.path().join("dotfiles");
            std::fs::create_dir_all(&dotfiles).unwrap();
            std::fs::create_dir_all(home.paths().folder()).unwrap();
            text.into_iter().for_each(|text| std::fs::write(dotfiles.join("settings.json"), text).unwrap());
            let places = [home.paths().settings(), home.paths().folder().join("chain"), dotfiles.join("chain")];
            let targets = links.iter().map(|link| link.replace('$', &home.path().to_string_lossy()));
            let links: Vec<(&PathBuf, String)> = places.iter().zip(targets).collect();
            links.iter().for_each(|(place, target)| symlink(target, place).unwrap());
            let session = home.session_with_proxy(&nobody.connection_string(&key()));
            assert_eq!(session.decisions().telemetry.verdict, Verdict::On, "{what}");
            assert_eq!(session.set_config(OPT_OUT).unwrap(), None, "{what}");
            assert_eq!(session.decisions().telemetry.verdict, Verdict::Off, "{what}");
            for (place, target) in links {
                assert_eq!(std::fs::read_link(place).unwrap().to_string_lossy(), target, "{what}");
            }
            let now = std::fs::read_to_string(dotfiles.join("settings.json")).unwrap();
            match text {
                Some(_) => assert!(now.contains("\"Mine\": 1") && now.ends_with("// dotfiles\n"), "{what}: {now}"),
                None => assert_eq!(now, opted_out, "{what}"),
            }
            assert!(std::fs::read_dir(&dotfiles).unwrap().count() <= 2, "nothing temporary is left");
        }
    }
}

/// F6: a link that points to itself is unsure, and an error when it is to be changed.
#[cfg(unix)]
#[test]
fn f6_f5_a_link_to_itself_is_left_alone() {
    let (home, nobody) = (Home::new(), closed_port().unwrap());
    let session = home.session_with_proxy(&nobody.connection_string(&key()));
    std::os::unix::fs::symlink("appsettings.user.json", home.paths().settings()).unwrap();
    assert_eq!(session.decisions().telemetry.verdict, Verdict::Unsure);
    let error = session.set_config(OPT_OUT).unwrap_err().to_string();
    assert!(error.contains("appsettings.user.json") && error.contains("until this process ends"), "{error}");
    assert_eq!(session.decisions().telemetry.verdict, Verdict::Off);
    assert!(home.paths().settings().is_symlink());
}

/// F6: mode, owner, group and access control list stay.
#[cfg(unix)]
#[test]
fn f6_mode_owner_and_group_stay() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
    let nobody = closed_port().unwrap();
    for mode in [0o640, 0o664, 0o600, 0o644] {
        let home = Home::new();
        let file = settings(&home, "{}");
        if child::is_root() {
            chown(&file, Some(65_534), Some(12_345)).unwrap();
        }
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        let facts = || std::fs::metadata(&file).map(|facts| (facts.mode(), facts.uid(), facts.gid())).unwrap();
        let before = facts();
        let session = home.session_with_proxy(&nobody.connection_string(&key()));
        assert_eq!(session.set_config(OPT_OUT).unwrap(), None);
        assert_eq!(facts(), before, "{mode:o}");
        assert!(std::fs::read_to_string(&file).unwrap().contains("false"));
    }
    if !child::is_root() {
        skip("only root can give a file to another user and group");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn f6_an_access_control_list_stays() {
    const NAME: &str = "system.posix_acl_access";
    let (home, nobody) = (Home::new(), closed_port().unwrap());
    let file = settings(&home, "{}");
    // Owner: all, user 1234: read, group: none, mask: read, others: none; as the kernel lays it out.
    let mut list = 2_u32.to_le_bytes().to_vec();
    for (tag, rights, id) in [(1, 6, u32::MAX), (2, 4, 1_234), (4, 0, u32::MAX), (16, 4, u32::MAX), (32, 0, u32::MAX)] {
        list.extend([u16::to_le_bytes(tag), u16::to_le_bytes(rights)].concat());
        list.extend(id.to_le_bytes());
    }
    match rustix::fs::setxattr(&file, NAME, &list, rustix::fs::XattrFlags::empty()) {
        Err(rustix::io::Errno::NOTSUP) => return skip("this file system has no access control lists"),
        other => other.unwrap(),
    }
    let session = home.session_with_proxy(&nobody.connection_string(&key()));
    assert_eq!(session.set_config(OPT_OUT).unwrap(), None);
    assert!(std::fs::read_to_string(&file).unwrap().contains("false"));
    let mut now = Vec::with_capacity(1_024);
    rustix::fs::getxattr(&file, NAME, rustix::buffer::spare_capacity(&mut now)).unwrap();
    assert_eq!(now, list);
}

#[cfg(windows)]
#[test]
fn f6_attributes_stay() {
    use std::os::windows::fs::{MetadataExt, OpenOptionsExt};
    const HIDDEN: u32 = 2;
    let (home, nobody) = (Home::new(), closed_port().unwrap());
    let file = home.paths().settings();
    std::fs::create_dir_all(home.paths().folder()).unwrap();
    let mut created = std::fs::OpenOptions::new().write(true).create_new(true).attributes(HIDDEN).open(&file).unwrap();
    std::io::Write::write_all(&mut created, b"{}").unwrap();
    drop(created);
    let hidden = || std::fs::metadata(&file).unwrap().file_attributes() & HIDDEN;
    if hidden() == 0 {
        let why = "it keeps no attributes here";
        return if skips_under_wine(why) {
        } else {
            skip(why)
        };
    }
    let session = home.session_with_proxy(&nobody.connection_string(&key()));
    assert_eq!(session.set_config(OPT_OUT).unwrap(), None);
    assert!(std::fs::read_to_string(&file).unwrap().contains("false"));
    assert_eq!(hidden(), HIDDEN);
}

/// F6: a read-only file is an error that says so; on Windows it is the attribute. The opt-out holds for the session (C12).
#[test]
fn f6_c12_read_only_settings_are_an_error_that_says_so_and_stay() {
    let (home, nobody) = (Home::new(), closed_port().unwrap());
    let text = "{ \"ApplicationInsights\": { \"Enabled\": null } }";
    let file = settings(&home, text);
    let before = std::fs::metadata(&file).unwrap().permissions();
    let mut read_only = before.clone();
    read_only.set_readonly(true);
    std::fs::set_permissions(&file, read_only.clone()).unwrap();
    let session = home.session_with_proxy(&nobody.connection_string(&key()));
    assert_eq!(home.pending().len(), 1);
    for change in [Change { telemetry: Some(true), ..OPT_OUT }, Change { log: Some(true), telemetry: None, ..OPT_OUT }]
    {
        let error = session.set_config(change).unwrap_err().to_string();
        assert!(error.contains("appsettings.user.json: it is read-only; make it writable"), "{error}");
        assert_eq!(session.decisions().telemetry.verdict, Verdict::On);
    }
    let error = session.set_config(OPT_OUT).unwrap_err().to_string();
    assert!(error.contains("read-only") && error.contains("until this process ends"), "{error}");
    assert_eq!((session.decisions().telemetry.verdict, home.pending().len()), (Verdict::Off, 0));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions(), read_only);
    let left = std::fs::read_dir(home.paths().folder()).unwrap().flatten();
    assert!(!left.into_iter().any(|file| file.file_name().to_str().is_some_and(files::is_temporary)));
    std::fs::set_permissions(&file, before).unwrap();
    assert_eq!(session.set_config(OPT_OUT).unwrap(), None);
    assert!(std::fs::read_to_string(&file).unwrap().contains("false"));
}

/// An editor has the settings for itself alone, for longer than anything waits: unsure, and nothing is lost. An opt-out returns while
/// it still has them; it holds, and is stored by the next one.
#[cfg(windows)]
#[test]
fn f4_c12_d10_an_editor_that_has_the_settings_alone_makes_unsure_and_no_opt_out_wait_for_it() {
    use std::os::windows::fs::OpenOptionsExt;
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    let text = "{ \"Mine\": 1 }";
    let file = settings(&home, text);
    let editor = || std::fs::OpenOptions::new().read(true).write(true).share_mode(0).open(&file).unwrap();
    let session = home.session_with_proxy(&collector.connection_string(&key));
    let held = editor();
    assert_eq!(session.decisions().telemetry.verdict, Verdict::Unsure);
    assert_eq!(session.connect(&connection(UsageDataPolicy::On)).unwrap().1, Outcome::Unsure);
    assert_eq!(home.pending().len(), 1);
    drop(held);
    assert_eq!(session.decisions().telemetry.verdict, Verdict::On);
    let held = editor();
    let error = session.set_config(OPT_OUT).unwrap_err().to_string();
    assert!(error.contains("appsettings.user.json") && error.contains("until this process ends"), "{error}");
    assert_eq!((session.decisions().telemetry.verdict, home.pending().len()), (Verdict::Off, 0));
    drop(held);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    assert_eq!(session.decisions().telemetry.verdict, Verdict::Off);
    assert_eq!(session.set_config(OPT_OUT).unwrap(), None);
    let now = std::fs::read_to_string(&file).unwrap();
    assert!(now.contains("\"Mine\": 1") && now.contains("false"), "{now}");
    assert_eq!(collector.connections(), 0);
}
