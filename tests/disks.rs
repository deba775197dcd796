//! A disk that is full, read-only or slow under the spool: the call says so, the host goes on, and nothing grows.
//!
//! The disks are real ones for the host: mounted in a namespace that only it sees, or held up by a tracer.

#![cfg(target_os = "linux")]

mod common;

use std::path::{Path, PathBuf};

use common::child::{self, Host};
use common::{Home, arrived, key, wait_until};
use vms_collector::{Collector, closed_port};
use vms_telemetry::durable;
use vms_telemetry::spool::Spool;

#[test]
#[ignore = "a child process of the other tests"]
fn a_child_in_its_role() {
    child::serve();
}

/// A folder as a host sees it.
fn seen_by(host: &Host, folder: &Path) -> PathBuf {
    Path::new("/proc").join(host.id().to_string()).join("root").join(folder.strip_prefix("/").unwrap())
}

/// Proves: on a full disk each call fails with the words of the system and leaves nothing behind; what was recorded
/// before goes out all the same, which makes room, and then the next event is recorded.
#[test]
fn d2_s3_a_full_disk_under_the_spool_costs_only_the_events_that_do_not_fit() {
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    let folder = home.paths().spool();
    std::fs::create_dir_all(&folder).unwrap();
    let host = child::command(&home, &collector.connection_string(&key), &[]);
    let small = "mount -t tmpfs -o size=64k tmpfs \"$1\"";
    let Some(mut host) = Host::in_namespace(&host, small, &folder) else { return };
    assert_eq!(host.ask("init awaiting"), "0");
    let fits = (0..40).take_while(|_| host.ask("connect") == "0").count();
    assert!((4..40).contains(&fits), "{fits}");
    for _ in 0..3 {
        let said = host.ask("connect");
        assert!(said.starts_with("20 cannot write ") && said.ends_with("(os error 28)"), "{said}");
    }
    assert!(host.ask("text 8").contains("os error 28"));
    assert_eq!(host.ask("config"), format!("on layer 0 pending {}", fits + 1));
    let spool = Spool::new(seen_by(&host, &folder));
    assert_eq!(spool.entries().unwrap().len(), fits + 1);
    let temporary = |file: std::fs::DirEntry| durable::is_temporary(&file.file_name().to_string_lossy());
    assert!(!std::fs::read_dir(spool.folder()).unwrap().flatten().any(temporary));
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

/// Proves: on a disk that may only be read each call fails with the words of the system, and nothing is sent, as what
/// cannot be removed would be sent again and again.
#[test]
fn d3_s3_a_read_only_disk_costs_only_the_events_and_sends_none_again_and_again() {
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    let destination = collector.connection_string(&key);
    // An earlier host leaves ids, an event and all other files there.
    let nobody = closed_port().unwrap();
    let mut earlier = Host::begin(&mut child::command(&home, &nobody.connection_string(&key), &[]));
    earlier.ask("settle");
    earlier.end();
    let before = home.files();
    let read_only = "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\"";
    let host = child::command(&home, &destination, &[]);
    let Some(mut host) = Host::in_namespace(&host, read_only, &home.path().join("local")) else { return };
    assert_eq!(host.ask("init awaiting"), "1");
    for words in ["connect", "telemetry true", "log true"] {
        let said = host.ask(words);
        assert!(said.starts_with("20 cannot ") && said.ends_with("(os error 30)"), "{words}: {said}");
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

/// Proves: where every use of a file takes its time, calls take longer and nothing else changes: two hosts lock each other
/// out for moments only, each event arrives once, and a choice holds when its call returns.
#[test]
fn d3_c5_a_slow_disk_costs_only_time() {
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
    assert_eq!(home.spool().entries().unwrap(), []);
}
