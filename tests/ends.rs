//! A process ends, or unloads the library, at once, whatever the background thread does. The order of events shows it:
//! the process is gone while that which the thread waits for has not happened yet. No stopwatch.

mod common;

use common::native::{Host, compile, program};
use common::{Home, PATIENCE, key};
use vms_collector::{Collector, Reply};

/// The ways in which a host ends.
const ENDS: [&str; 3] = ["exit", "return", "unload"];

/// Lets a host end in one of the ways; waits until it is gone.
fn end(host: &mut Host, way: &str) {
    host.say(way);
    if way == "unload" {
        assert_eq!(host.answer(), "unloaded");
        host.say("return");
    }
    host.end();
}

#[test]
fn s4_d8_a_process_ends_while_its_request_is_under_way() {
    for way in ENDS {
        let (home, collector) = (Home::new(), Collector::start().unwrap());
        collector.always(Reply::hold());
        let path = compile("host", home.path());
        let mut host = Host::start(&mut program(&path, &home, &collector.connection_string(&key())));
        assert_eq!(collector.wait_held(1, PATIENCE), 1);
        end(&mut host, way);
        // The server has not answered yet.
        assert_eq!(collector.wait_held(1, PATIENCE), 1, "{way}");
        collector.release();
    }
}

#[test]
fn s4_d8_a_process_ends_while_its_thread_sleeps() {
    for way in ENDS {
        let (home, collector) = (Home::new(), Collector::start().unwrap());
        collector.always(Reply::Status(503));
        let path = compile("host", home.path());
        let mut host = Host::start(&mut program(&path, &home, &collector.connection_string(&key())));
        host.say("settle");
        assert!(host.answer().contains("503"));
        end(&mut host, way);
        // The thread would have tried again after its sleep.
        assert_eq!(collector.requests(), 1, "{way}");
    }
}

#[test]
fn s4_d8_a_process_ends_while_its_thread_waits_for_a_lock() {
    for way in ENDS {
        let (home, collector) = (Home::new(), Collector::start().unwrap());
        let path = compile("host", home.path());
        let mut command = program(&path, &home, &collector.connection_string(&key()));
        let folder = if cfg!(windows) { "LOCALAPPDATA" } else { "XDG_DATA_HOME" };
        let spool = home.path().join(folder).join("Milestone/MilestonePSTools/spool");
        std::fs::create_dir_all(&spool).unwrap();
        let lock = std::fs::File::create(spool.join("sender.lock")).unwrap();
        lock.lock().unwrap();
        let mut host = Host::start(&mut command);
        end(&mut host, way);
        // This process still holds the lock, so nothing was sent.
        assert_eq!(collector.connections(), 0, "{way}");
        drop(lock);
    }
}
