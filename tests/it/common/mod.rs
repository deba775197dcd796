//! What integration tests share: a profile of their own, and sessions in it.

#![allow(dead_code, reason = "each test uses its part")]

pub mod child;
pub mod native;
pub mod net;
pub mod vms;

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use vms_collector::{Collector, Received};
use vms_telemetry::consent::Consent;
use vms_telemetry::delivery::{Delivery, Next};
use vms_telemetry::destination::Destination;
use vms_telemetry::environment::Environment;
use vms_telemetry::error::Result;
use vms_telemetry::event::{Event, Fields, NewSession, UserType};
use vms_telemetry::gate::Gate;
use vms_telemetry::paths::Paths;
use vms_telemetry::session::{Change, ConnectionFacts, HostFacts, Session, UsageDataPolicy};
use vms_telemetry::spool::{Entry, Spool};
use vms_telemetry::transport::{Https, PostEvents};
use vms_telemetry::vms::Counts;

/// Longer than anything on loopback takes, on a busy computer as well; a test that waits this long fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A key of its own for each test.
pub fn key() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// The profile of a user who exists for one test.
pub struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn paths(&self) -> Paths {
        Paths::new(&self.folder.path().join("local"), &self.folder.path().join("state"))
    }

    /// The pending events of a destination.
    pub fn spool(&self, connection_string: &str) -> Spool {
        let destination: Destination = connection_string.parse().unwrap();
        Spool::new(self.paths().spool().join(destination.fingerprint()))
    }

    /// The pending events of all destinations, with the spool that has each.
    pub fn pending(&self) -> Vec<(Spool, Entry)> {
        let folders = std::fs::read_dir(self.paths().spool()).into_iter().flatten().flatten();
        let mut pending = Vec::new();
        for folder in folders.filter(|folder| folder.path().is_dir()) {
            let entries = Spool::new(folder.path()).entries().unwrap();
            pending.extend(entries.into_iter().map(|entry| (Spool::new(folder.path()), entry)));
        }
        pending
    }

    /// Reads all pending events, oldest first.
    pub fn events(&self) -> Vec<Event> {
        let read = |(spool, entry): (Spool, Entry)| spool.read(&entry, chrono::Utc::now()).unwrap();
        let mut events: Vec<Event> = self.pending().into_iter().filter_map(read).collect();
        events.sort_by_key(|event| event.time);
        events
    }

    pub fn path(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Starts a session in this profile as a host does.
    pub fn session(&self, connection_string: &str, variables: &[(&str, &str)]) -> Session {
        self.start(connection_string, variables, false, Duration::ZERO)
    }

    /// Starts a session whose host will name the proxy.
    pub fn session_with_proxy(&self, connection_string: &str) -> Session {
        self.start(connection_string, &[], true, Duration::ZERO)
    }

    /// Starts a session that begins with a hold.
    pub fn held_session(&self, connection_string: &str, hold: Duration) -> Session {
        self.start(connection_string, &[], false, hold)
    }

    fn start(&self, connection_string: &str, variables: &[(&str, &str)], names_proxy: bool, hold: Duration) -> Session {
        let facts = HostFacts {
            assembly_version: "1.2.3+abc".to_owned(),
            framework_description: Some(".NET 10.0.0".to_owned()),
            os_description: Some("Test OS 1".to_owned()),
            connection_string: Some(connection_string.to_owned()),
            names_proxy,
            hold,
        };
        let environment = Environment::read(variables.iter().map(|(name, value)| (name.into(), value.into())));
        let session = Session::start(facts, environment, Ok(self.paths())).unwrap();
        session.record_session_start();
        session
    }

    /// Lists all files below the profile, relative and sorted.
    pub fn files(&self) -> Vec<String> {
        fn walk(folder: &std::path::Path, into: &mut Vec<std::path::PathBuf>) {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                if entry.path().is_dir() { walk(&entry.path(), into) } else { into.push(entry.path()) }
            }
        }
        let mut files = Vec::new();
        walk(self.folder.path(), &mut files);
        let relative = |file: &std::path::PathBuf| {
            let path = file.strip_prefix(self.folder.path()).unwrap();
            path.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
        };
        let mut files: Vec<String> = files.iter().map(relative).collect();
        files.sort();
        files
    }
}

pub const OPT_OUT: Change = Change {
    telemetry: Some(false),
    log: None,
    is_for_session: false,
    resets_telemetry: false,
    resets_log: false,
    proxy: None,
    hold: None,
};

/// The facts of a connection that does not exist.
pub fn connection(policy: UsageDataPolicy) -> ConnectionFacts {
    ConnectionFacts {
        site: "dddddddd-0000-4000-8000-00000000000d".parse().unwrap(),
        user_type: UserType::WindowsUser,
        is_oauth: Some(true),
        is_encrypted: Some(true),
        product_version: Some("26.2.1.1".to_owned()),
        product_name: Some("XProtect Corporate".to_owned()),
        policy,
        counts: Counts { cameras: Some(4), speakers: Some(0), ..Counts::default() },
    }
}

/// An event that no session recorded.
pub fn event(time: chrono::DateTime<chrono::Utc>) -> Event {
    let fields = NewSession {
        uuid: uuid::Uuid::from_u128(1),
        SessionId: uuid::Uuid::new_v4(),
        AssemblyVersion: None,
        OSDescription: "Test OS 1".to_owned().try_into().ok(),
        FrameworkDescription: None,
        ProcessorCount: None,
        PrivateBytes: None,
    };
    Event { time, version: "1.2.3".to_owned().try_into().ok(), fields: Fields::NewSession(fields) }
}

/// The delivery to a destination, without a session.
pub fn delivery(home: &Home, connection_string: &str) -> TestDelivery {
    let consent = Arc::new(Consent::new(&home.paths(), Environment::default(), None));
    TestDelivery(Delivery::new(&home.paths(), consent, connection_string.parse().unwrap()))
}

/// A delivery whose attempts find the lock free that an earlier one of this process released.
pub struct TestDelivery(Delivery);

impl std::ops::Deref for TestDelivery {
    type Target = Delivery;

    fn deref(&self) -> &Delivery {
        &self.0
    }
}

impl TestDelivery {
    pub fn attempt(&self, network: &mut dyn PostEvents, clock: impl Fn() -> DateTime<Utc>) -> Result<Next> {
        let _nobody_starts = child::STARTING.read().unwrap_or_else(PoisonError::into_inner);
        self.0.attempt(network, clock)
    }
}

/// The real network, behind the real gate.
pub fn real_network(delivery: &Delivery) -> Https {
    let consent = delivery.consent.clone();
    Https::new(delivery.destination.endpoint.clone(), None, Gate::new(move || consent.guard()))
}

/// Waits until `count` events of `key` arrived; fails the test when they do not.
pub fn arrived(collector: &Collector, key: &str, count: usize) -> Vec<Received> {
    let received = collector.wait_for(Some(key), count, PATIENCE);
    assert_eq!(received.len(), count, "events that arrived");
    for item in &received {
        assert_eq!(item.refusal, None);
    }
    received
}

/// The names of events that arrived, in order.
pub fn names(received: &[Received]) -> Vec<String> {
    received.iter().map(|item| item.envelope["data"]["baseData"]["name"].as_str().unwrap().to_owned()).collect()
}

/// Waits until the background thread of a session has nothing more to do.
pub fn settle(session: &Session) {
    wait_until(|| !session.is_sending());
}

/// Waits for a condition; fails the test when it does not come.
pub fn wait_until(mut condition: impl FnMut() -> bool) {
    let stop = std::time::Instant::now() + PATIENCE;
    while !condition() {
        assert!(std::time::Instant::now() < stop, "what the test waits for did not come");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Has this test counted as skipped, as this computer lacks something. With `CI` set it has to have it.
pub fn skip(reason: &str) {
    assert!(std::env::var_os("CI").is_none(), "skipped: {reason}");
    say_skipped(reason);
}

/// Has this test counted as skipped where it runs under Wine, which lacks something that Windows has. Returns whether it does.
pub fn skips_under_wine(reason: &str) -> bool {
    let is_wine = is_wine();
    if is_wine {
        say_skipped(&format!("not under Wine: {reason}"));
    }
    is_wine
}

pub fn is_wine() -> bool {
    std::env::var_os("VMS_TEST_WINE").is_some()
}

/// Prints what `cargo xtask test` counts. The runner keeps what `println!` prints, and gives the thread its test's name. It may be
/// in the middle of a line.
pub fn say_skipped(reason: &str) {
    let thread = std::thread::current();
    let line = format!("\nSKIPPED {}: {reason}\n", thread.name().unwrap_or_default());
    std::io::Write::write_all(&mut std::io::stdout(), line.as_bytes()).unwrap();
}
