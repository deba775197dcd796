//! Unsure: a settings file that cannot be read for a moment makes nobody record or send anything, and costs no event.

use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::common::child::{self, Host};
use crate::common::{Home, PATIENCE, arrived, delivery, event, key, real_network, wait_until};
use chrono::{TimeDelta, Utc};
use vms_collector::{Collector, Reply, RetryAfter};
use vms_telemetry::abi;
use vms_telemetry::consent::Verdict;
use vms_telemetry::delivery::Next;
use vms_telemetry::response::Response;
use vms_telemetry::transport::{NoResponse, PostEvents};

const OPT_IN: &str = "{\n  \"Other\": { \"Key\": [1, 2, 3] },\n  \"ApplicationInsights\": { \"Enabled\": true }\n}\n";

/// What is wrong with the file, and a part of the reason.
type Way = (&'static str, Box<dyn Fn(&Path) -> Option<std::fs::File>>, &'static str);

/// Each way in which the file can be unreadable for a moment.
fn ways() -> Vec<Way> {
    let utf_16 = |bytes: fn(u16) -> [u8; 2]| OPT_IN.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
    let contents: Vec<(&str, Vec<u8>, &str)> = vec![
        ("empty", b"".to_vec(), "empty"),
        ("half written", OPT_IN.as_bytes()[..OPT_IN.len() / 2].to_vec(), "line 3"),
        ("cut off behind a key", b"{ \"ApplicationInsights\": {".to_vec(), "line 1"),
        ("zeros, after a power failure", vec![0; 100], "save it as UTF-8"),
        (
            "UTF-16, as Out-File -Encoding unicode writes it",
            [b"\xFF\xFE", &*utf_16(u16::to_le_bytes)].concat(),
            "save it as UTF-8",
        ),
        ("UTF-16, big-endian", [b"\xFE\xFF", &*utf_16(u16::to_be_bytes)].concat(), "save it as UTF-8"),
        ("UTF-16 without a mark", utf_16(u16::to_le_bytes), "save it as UTF-8"),
        ("a code page", b"{ \"M\xFCller\": 1 }".to_vec(), "save it as UTF-8"),
        ("no object", b"[]".to_vec(), "object"),
        ("another kind of section", b"{ \"ApplicationInsights\": 1 }".to_vec(), "object"),
        ("too large", vec![b' '; (1 << 20) + 1], "too large"),
        ("nested too deeply", b"[".repeat(100), "levels deep"),
    ];
    let write = |content: Vec<u8>| move |file: &Path| std::fs::write(file, &content).map(|()| None).unwrap();
    let mut ways: Vec<Way> = Vec::new();
    for (name, content, reason) in contents {
        ways.push((name, Box::new(write(content)), reason));
    }
    ways.push((
        "a folder",
        Box::new(|file| std::fs::create_dir(file).map(|()| None).unwrap()),
        "appsettings.user.json",
    ));
    #[cfg(unix)]
    {
        let link_to_itself = |file: &Path| std::os::unix::fs::symlink(file, file).map(|()| None).unwrap();
        ways.push(("a link to itself", Box::new(link_to_itself), "appsettings.user.json"));
        let no_rights = |file: &Path| {
            std::fs::write(file, OPT_IN).unwrap();
            let nobody = std::os::unix::fs::PermissionsExt::from_mode(0o000);
            std::fs::set_permissions(file, nobody).map(|()| None).unwrap()
        };
        // Root may read everything.
        if !child::is_root() {
            ways.push(("not readable", Box::new(no_rights), "appsettings.user.json"));
        }
    }
    #[cfg(windows)]
    {
        let in_an_editor = |file: &Path| {
            std::fs::write(file, OPT_IN).unwrap();
            let mut alone = std::fs::OpenOptions::new();
            std::os::windows::fs::OpenOptionsExt::share_mode(&mut alone, 0);
            Some(alone.read(true).open(file).unwrap())
        };
        ways.push(("open in a program that shares it with nobody", Box::new(in_an_editor), "appsettings.user.json"));
    }
    ways
}

/// Removes the file, whatever it is.
fn remove(file: &Path) {
    std::fs::remove_file(file).or_else(|_| std::fs::remove_dir(file)).unwrap();
}

#[test]
fn f5_pending_events_outlive_each_way_in_which_settings_cannot_be_read() {
    for (way, spoil, part) in ways() {
        let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
        let delivery = delivery(&home, &collector.connection_string(&key));
        let (mut network, mut now) = (real_network(&delivery), Utc::now());
        delivery.spool.put(&event(now)).unwrap();
        let settings = home.paths().settings();
        let held_open = spoil(&settings);
        let files = home.files();
        for _ in 0..3 {
            let decision = delivery.consent.decide().telemetry;
            assert_eq!((decision.verdict, decision.purges), (Verdict::Unsure, false), "{way}");
            assert!(decision.reason.contains(part), "{way}: {}", decision.reason);
            let Next::RetryAt(time) = delivery.attempt(&mut network, || now).unwrap() else {
                panic!("{way}: given up")
            };
            assert_eq!((time - now, home.files()), (TimeDelta::seconds(10), files.clone()), "{way}");
            now = time;
        }
        assert_eq!(collector.connections(), 0, "{way}");
        drop(held_open);
        remove(&settings);
        assert_eq!(delivery.attempt(&mut network, || now).unwrap(), Next::Idle, "{way}");
        assert_eq!((collector.accepted_for(&key).len(), home.pending().len()), (1, 0), "{way}");
    }
}

#[test]
fn f5_a_host_records_nothing_while_unsure_deletes_nothing_and_goes_on_afterwards() {
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    let mut host = Host::new(&home, &collector.connection_string(&key));
    assert_eq!(host.ask("init awaiting"), "0");
    let mut pending = 1;
    for (way, spoil, part) in ways() {
        let settings = home.paths().settings();
        let held_open = spoil(&settings);
        assert_eq!(host.ask("connect"), abi::VMS_UNSURE.to_string(), "{way}");
        assert_eq!(host.ask("disconnect"), "1", "{way}: nothing of this connection was recorded");
        let state = format!("unsure layer 8 pending {pending}");
        assert_eq!(host.ask("config"), state, "{way}");
        let reason = host.ask(&format!("text {}", abi::VMS_TEXT_TELEMETRY_REASON));
        assert!(reason.contains(part), "{way}: {reason}");
        drop(held_open);
        remove(&settings);
        assert_eq!(host.ask("connect"), "0", "{way}");
        pending += 1;
    }
    assert_eq!(host.ask("config"), format!("on layer 0 pending {pending}"));
    assert_eq!((collector.connections(), host.ask("proxy")), (0, "0".to_owned()));
    arrived(&collector, &key, pending);
    // One that ends before it has deleted what it sent would have the next one send it again.
    host.ask("settle");
    host.end();
    // A session that begins while it is unsure records its start when it is asked for again, or with a connection.
    let (way, spoil, _) = ways().remove(0);
    drop(spoil(&home.paths().settings()));
    let mut host = Host::new(&home, &collector.connection_string(&key));
    assert_eq!(host.ask("init"), abi::VMS_UNSURE.to_string(), "{way}");
    remove(&home.paths().settings());
    assert_eq!(host.ask("init"), "0");
    assert_eq!(host.ask("connect"), "0");
    arrived(&collector, &key, pending + 2);
    host.end();
}

/// The background thread runs and looks again by itself, without any call of the host.
#[test]
fn f5_an_event_that_waits_while_settings_are_broken_is_sent_when_they_are_not() {
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    collector.script(&[Reply::Hold(Box::new(Reply::RetryAfter(503, RetryAfter::Seconds(1))))]);
    let mut host = Host::begin(&mut child::command(&home, &collector.connection_string(&key), &[]));
    // The settings break while a request is in flight.
    assert_eq!(collector.wait_held(1, PATIENCE), 1);
    let settings = home.paths().settings();
    std::fs::write(&settings, "{ \"ApplicationInsights\": {").unwrap();
    collector.release();
    let failure = format!("text {}", abi::VMS_TEXT_DELIVERY_FAILURE);
    while host.ask(&failure).is_empty() {}
    assert_eq!(host.ask("config"), "unsure layer 8 pending 1");
    std::fs::remove_file(&settings).unwrap();
    assert_eq!(collector.wait_for_accepted(Some(&key), 1, PATIENCE).len(), 1);
    wait_until(|| home.pending().is_empty());
    host.end();
}

/// Rewrites the settings as an editor does, in place and in pieces, until it is told to stop.
fn rewrite(settings: &Path, stop: &AtomicBool) {
    while !stop.load(Ordering::SeqCst) {
        // On Windows a reader may be in the way.
        if let Ok(mut file) = std::fs::File::create(settings) {
            for piece in OPT_IN.as_bytes().chunks(30) {
                std::thread::yield_now();
                file.write_all(piece).unwrap();
            }
        }
        // For a moment it is whole.
        std::thread::sleep(Duration::from_micros(500));
    }
}

/// A network where every request fails; it counts them.
struct Failing(usize);

impl PostEvents for Failing {
    fn post(&mut self, _: &[u8]) -> Result<Response, NoResponse> {
        self.0 += 1;
        Err(NoResponse::Failed("no response".to_owned()))
    }
}

#[test]
fn f5_settings_that_are_rewritten_all_the_time_cost_no_event() {
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    let destination = collector.connection_string(&key);
    let delivery = delivery(&home, &destination);
    let (mut network, mut now) = (Failing(0), Utc::now());
    delivery.spool.put(&event(now)).unwrap();
    let mut host = Host::new(&home, &destination);
    let (stop, settings) = (AtomicBool::new(false), home.paths().settings());
    let recorded = std::thread::scope(|scope| {
        scope.spawn(|| rewrite(&settings, &stop));
        // A failing assertion must not leave the other thread behind.
        let _stop = Defer(|| stop.store(true, Ordering::SeqCst));
        let (mut unsure, most) = (0, if cfg!(windows) { 200 } else { 20_000 });
        for attempt in 0..most {
            let before = network.0;
            let Next::RetryAt(time) = delivery.attempt(&mut network, || now).unwrap() else { panic!("given up") };
            unsure += usize::from(network.0 == before);
            assert_eq!(delivery.spool.entries().unwrap().len(), 1);
            now = time;
            if attempt > 100 && unsure > 10 && network.0 > 10 {
                break;
            }
        }
        assert!(unsure > 0 && network.0 > 0, "{unsure} times unsure, {} times on", network.0);
        let mut answers = vec![host.ask("init awaiting")];
        let has = |answers: &[String], wanted: &str| answers[1..].iter().any(|answer| answer == wanted);
        while answers.len() < 100 || !has(&answers, "0") || !has(&answers, "2") {
            answers.push(host.ask("connect"));
            // Fewer than the spool holds.
            assert!(answers.len() < 450, "never unsure, or always");
        }
        assert!(answers.iter().all(|answer| ["0", "2"].contains(&answer.as_str())), "{answers:?}");
        answers[1..].iter().filter(|answer| *answer == "0").count()
    });
    assert_eq!(host.ask("connect"), "0");
    // Those whose calls said so, the last one, the session's start, and the one that waited.
    let pending = recorded + 3;
    assert_eq!(host.ask("config"), format!("on layer 1 pending {pending}"));
    std::fs::remove_file(delivery.spool.folder().join("retry.json")).unwrap();
    assert_eq!(host.ask("proxy"), "0");
    wait_until(|| delivery.spool.entries().unwrap().is_empty());
    assert_eq!(collector.accepted_for(&key).len(), pending);
    host.end();
}

/// Does something at the end of a scope, however it ends.
struct Defer<F: Fn()>(F);

impl<F: Fn()> Drop for Defer<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
