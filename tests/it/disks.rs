//! A disk that is full, read-only or slow under the spool, and a server that never reads: the call says so, the host goes on, and
//! nothing grows.
//!
//! Disks and network are real ones for the host: in a namespace that only it sees, or held up by a tracer.

use std::path::Path;

use crate::common::child::{self, Host};
use crate::common::{Home, arrived, event, key, wait_until};
use vms_collector::{Collector, closed_port};
use vms_telemetry::event::Fields;
use vms_telemetry::files;
use vms_telemetry::spool::Spool;

/// Asks a host for the last error on this computer.
const LAST_FAILURE: &str = "text 8";

/// On a full disk each call fails with the system's reason and leaves nothing behind; what was recorded before goes out all the
/// same, which makes room, and then the next event is recorded.
#[test]
fn d2_s3_a_full_disk_under_the_spool_costs_only_the_events_that_do_not_fit() {
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    let destination = collector.connection_string(&key);
    let folder = home.spool(&destination).folder().to_owned();
    std::fs::create_dir_all(&folder).unwrap();
    let host = child::command(&home, &destination, &[]);
    let small = "mount -t tmpfs -o size=64k tmpfs \"$1\"";
    let Some(mut host) = Host::in_namespace(&host, small, &folder) else { return };
    assert_eq!(host.ask("init awaiting"), "0");
    let fits = (0..40).take_while(|_| host.ask("connect") == "0").count();
    assert!((4..40).contains(&fits), "{fits}");
    for _ in 0..3 {
        let said = host.ask("connect");
        assert!(said.starts_with("20 cannot write ") && said.contains("(os error 28)"), "{said}");
    }
    assert!(host.ask(LAST_FAILURE).contains("os error 28"));
    assert_eq!(host.ask("config"), format!("on layer 0 pending {}", fits + 1));
    let spool = Spool::new(host.sees(&folder));
    assert_eq!(spool.entries().unwrap().len(), fits + 1);
    let temporary = |file: std::fs::DirEntry| files::is_temporary(&file.file_name().to_string_lossy());
    assert!(!std::fs::read_dir(spool.folder()).unwrap().flatten().any(temporary));
    for entry in spool.entries().unwrap() {
        assert!(spool.read(&entry, chrono::Utc::now()).unwrap().is_some(), "an event that was recorded is whole");
    }
    // The host names the proxy: none. What fitted is sent.
    assert_eq!(host.ask("proxy"), "0");
    arrived(&collector, &key, fits + 1);
    host.ask("settle");
    assert_eq!(host.ask("connect"), "0");
    arrived(&collector, &key, fits + 2);
    host.ask("settle");
    host.end();
    assert_eq!(collector.accepted_for(&key).len(), fits + 2);
}

/// A new session on a full disk sends what is pending, although its own event does not fit, and then has room.
#[test]
fn d2_s1_on_a_full_disk_a_new_session_sends_what_is_pending() {
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    let destination = collector.connection_string(&key);
    let spool = home.spool(&destination);
    for _ in 0..6 {
        spool.put(&event(chrono::Utc::now())).unwrap();
    }
    // The disk has these events, and the rest of it is filled.
    let full = "cp -r \"$1\" \"$1.copy\" && mount -t tmpfs -o size=128k tmpfs \"$1\" && cp \"$1.copy\"/* \"$1\" && \
                ! dd if=/dev/zero of=\"$1/filler\" 2>/dev/null";
    let host = child::command(&home, &destination, &[]);
    let Some(mut host) = Host::in_namespace(&host, full, spool.folder()) else { return };
    let started = host.ask("init");
    assert!(host.ask(LAST_FAILURE).contains("os error 28"), "{started}");
    arrived(&collector, &key, 6);
    wait_until(|| Spool::new(host.sees(spool.folder())).entries().unwrap().is_empty());
    // Now there is room for the session's start as well.
    assert_eq!(host.ask("connect"), "0");
    arrived(&collector, &key, 8);
    host.end();
    assert_eq!(collector.accepted_for(&key).len(), 8);
}

/// A server that accepts a connection and never reads, and a request that is larger than the buffers between them. No
/// call of any process waits for it: while the calls return, the request hangs before and after.
#[test]
fn c3_d10_no_call_waits_for_a_server_that_never_reads() {
    let home = Home::new();
    let destination = format!("InstrumentationKey={};IngestionEndpoint=http://127.0.0.1:9/", key());
    let spool = home.spool(&destination);
    for index in 0..100 {
        spool.put(&bulky(index)).unwrap();
    }
    // A network of its own, with the smallest buffers there are.
    let small = "ip link set lo up && echo 4096 4096 4096 >/proc/sys/net/ipv4/tcp_wmem && \
                 echo 4096 4096 4096 >/proc/sys/net/ipv4/tcp_rmem";
    let host = child::command(&home, &destination, &[]);
    let Some(mut host) = Host::isolated("--net", &host, small, home.path()) else { return };
    let mut other = Host::new(&home, &destination);
    assert_eq!(host.ask("deaf 9"), "0");
    assert_eq!((other.ask("init awaiting"), host.ask("init")), ("0".to_owned(), "0".to_owned()));
    let table = format!("/proc/{}/net/tcp", host.id());
    wait_until(|| hangs(&table));
    // Calls of this host, which has the request, and of another process.
    assert_eq!((host.ask("config"), host.ask("connect")), ("on layer 0 pending 102".to_owned(), "0".to_owned()));
    assert_eq!((host.ask("disconnect"), host.ask("log true")), ("0".to_owned(), "0".to_owned()));
    assert_eq!((other.ask("connect"), other.ask("disconnect")), ("0".to_owned(), "0".to_owned()));
    assert_eq!(other.ask("telemetry false"), "0");
    assert_eq!((host.ask("config"), host.ask("connect")), ("off layer 1 pending 0".to_owned(), "1".to_owned()));
    for (choice, config) in [("true", "on layer 1 pending 0"), ("false", "off layer 1 pending 0")] {
        assert_eq!(host.ask(&format!("telemetry {choice}")), "0");
        assert!(host.ask("config").starts_with(&config[..10]), "{choice}");
    }
    assert!(hangs(&table), "the request hung all the time");
    assert_eq!(home.pending().len(), 0);
}

/// An event whose texts can hardly be compressed, so that a hundred of them are more than the smallest buffers hold.
fn bulky(index: i64) -> vms_telemetry::event::Event {
    let text = || (0..128).map(|_| fastrand::char('\u{4E00}'..'\u{9FFF}')).collect::<String>().try_into().ok();
    let mut event = event(chrono::Utc::now() + chrono::TimeDelta::microseconds(index));
    if let Fields::NewSession(fields) = &mut event.fields {
        (fields.OSDescription, fields.FrameworkDescription) = (text(), text());
    }
    event
}

/// Returns whether a connection to port 9 is open and has bytes that the other side does not take.
fn hangs(table: &str) -> bool {
    let table = std::fs::read_to_string(table).unwrap();
    table.lines().any(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        matches!(columns.as_slice(), [_, _, "0100007F:0009", "01", queues, ..] if !queues.starts_with("00000000:"))
    })
}

/// On a disk that may only be read each call fails with the system's reason, and nothing is sent, as what cannot be removed would
/// be sent again and again.
#[test]
fn d3_s3_a_read_only_disk_costs_only_the_events_and_sends_none_again_and_again() {
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    let destination = collector.connection_string(&key);
    // An earlier host leaves ids, an event and all other files there.
    let nobody = closed_port().unwrap();
    let mut earlier = Host::begin(&mut child::command(&home, &nobody.connection_string(&key), &[]));
    earlier.ask("settle");
    earlier.end();
    std::fs::remove_file(home.spool(&nobody.connection_string(&key)).folder().join("retry.json")).unwrap();
    // They are for another destination; the same event for this one.
    let spool = home.spool(&destination);
    spool.put(&event(chrono::Utc::now())).unwrap();
    let before = home.files();
    let read_only = "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\"";
    let host = child::command(&home, &destination, &[]);
    let Some(mut host) = Host::in_namespace(&host, read_only, &home.path().join("local")) else { return };
    assert_eq!(host.ask("init awaiting"), "1");
    for words in ["connect", "telemetry true", "log true"] {
        let said = host.ask(words);
        assert!(said.contains("cannot ") && said.contains("(os error 30)"), "{words}: {said}");
    }
    let threads = Path::new("/proc").join(host.id().to_string()).join("task");
    let count = || std::fs::read_dir(&threads).unwrap().count();
    let others = count();
    // The host names the proxy: none. The thread that sends begins, finds that it can take no lock, and ends.
    assert_eq!(host.ask("proxy"), "0");
    wait_until(|| count() == others);
    assert_eq!(host.ask("config"), "on layer 0 pending 1");
    host.end();
    assert_eq!((collector.connections(), home.files()), (0, before));
}

/// If every use of a file takes its time, calls take longer and nothing else changes: two hosts lock each other out for moments
/// only, each event arrives once, and a choice holds when its call returns.
#[test]
fn d3_c5_a_slow_disk_costs_only_time() {
    if !child::can_trace() {
        return;
    }
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    let host = child::command(&home, &collector.connection_string(&key), &[]);
    // Each of these waits for 5 ms before it begins.
    let slow = "inject=openat,rename,unlink,mkdir,flock,fsync,getdents64:delay_enter=5000";
    let start = || Host::start(&mut child::traced(&host, slow, Path::new("/dev/null")));
    let mut hosts = [start(), start()];
    for (words, done) in [("init", "0"), ("record 4", "0"), ("connect", "0")] {
        hosts.iter_mut().for_each(|host| host.tell(words));
        hosts.iter_mut().for_each(|host| assert_eq!(host.answer().as_deref(), Some(done), "{words}"));
    }
    arrived(&collector, &key, 2 * 10);
    hosts.iter_mut().for_each(|host| drop(host.ask("settle")));
    let [one, other] = &mut hosts;
    assert_eq!((one.ask("telemetry false"), other.ask("connect")), ("0".to_owned(), "1".to_owned()));
    hosts.into_iter().for_each(Host::end);
    assert_eq!(collector.accepted_for(&key).len(), 2 * 10);
    assert_eq!(home.pending().len(), 0);
}
