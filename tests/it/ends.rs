//! A process ends, or unloads the library, at once, whatever the background thread does. The order of events shows it: the process
//! has ended before the thread got what it waits for. Nothing is timed.

use crate::common::child::Host;
use crate::common::native::{compile, program};
use crate::common::{Home, PATIENCE, key, wait_until};
use vms_collector::{Collector, Reply};

/// The ways in which a host ends.
const ENDS: [&str; 3] = ["exit", "return", "unload"];

/// Lets a host end in one of the ways; waits until it is gone.
fn end(mut host: Host, way: &str) {
    if way == "unload" {
        assert_eq!(host.ask(way), "unloaded");
        host.tell("return");
    } else {
        host.tell(way);
    }
    host.end();
}

#[test]
fn s4_d8_a_process_ends_while_its_request_is_under_way() {
    for way in ENDS {
        let (home, collector) = (Home::new(), Collector::start().unwrap());
        collector.always(Reply::hold());
        let path = compile("host");
        let host = Host::start(&mut program(&path, &home, &collector.connection_string(&key())));
        assert_eq!(collector.wait_held(1, PATIENCE), 1);
        end(host, way);
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
        let path = compile("host");
        let mut host = Host::start(&mut program(&path, &home, &collector.connection_string(&key())));
        assert!(host.ask("settle").contains("503"));
        end(host, way);
        // The thread would have tried again after its sleep.
        assert_eq!(collector.requests(), 1, "{way}");
    }
}

#[test]
fn s4_d8_a_process_ends_while_its_thread_waits_for_a_lock() {
    for (way, is_of_settings) in ENDS.into_iter().zip([true, false].into_iter().cycle()) {
        let (home, collector) = (Home::new(), Collector::start().unwrap());
        let path = compile("host");
        let connection_string = collector.connection_string(&key());
        let mut command = program(&path, &home, &connection_string);
        let spool = home.spool(&connection_string).folder().to_owned();
        std::fs::create_dir_all(&spool).unwrap();
        let lock = if is_of_settings { home.paths().settings_lock() } else { spool.join("sender.lock") };
        let lock = std::fs::File::create(lock).unwrap();
        lock.lock().unwrap();
        let host = Host::start(&mut command);
        if is_of_settings {
            // Stored when a request begins; then consent is asked, under that lock.
            wait_until(|| spool.join("retry.json").exists());
        }
        end(host, way);
        // This process still holds the lock, so nothing was sent.
        assert_eq!(collector.connections(), 0, "{way}");
        drop(lock);
    }
}
