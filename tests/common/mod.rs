//! What integration tests share: a profile of their own, and sessions in it.

#![allow(dead_code, reason = "each test uses its part")]

pub mod child;
pub mod native;

use std::time::Duration;

use vms_collector::{Collector, Received};
use vms_telemetry::config::Environment;
use vms_telemetry::paths::Paths;
use vms_telemetry::session::{Connection, HostFacts, Session, UsageDataPolicy};
use vms_telemetry::spool::Spool;

/// Longer than anything on loopback takes; a test that waits this long fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

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

    pub fn spool(&self) -> Spool {
        Spool::new(self.paths().spool())
    }

    pub fn path(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Starts a session in this profile as a host does.
    pub fn session(&self, connection_string: &str, variables: &[(&str, &str)]) -> Session {
        self.start(connection_string, variables, false)
    }

    /// Starts a session whose host will name the proxy.
    pub fn session_with_proxy(&self, connection_string: &str) -> Session {
        self.start(connection_string, &[], true)
    }

    fn start(&self, connection_string: &str, variables: &[(&str, &str)], names_proxy: bool) -> Session {
        let facts = HostFacts {
            assembly_version: "1.2.3+abc".to_owned(),
            framework_description: Some(".NET 10.0.0".to_owned()),
            os_description: Some("Test OS 1".to_owned()),
            connection_string: Some(connection_string.to_owned()),
            names_proxy,
        };
        let environment = Environment::read(variables.iter().map(|(name, value)| (name.into(), value.into())));
        Session::start(facts, environment, Ok(self.paths())).unwrap()
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

/// The facts of a connection that does not exist.
pub fn connection(policy: UsageDataPolicy) -> Connection {
    use vms_telemetry::event::Field;
    Connection {
        site: "dddddddd-0000-4000-8000-00000000000d".parse().unwrap(),
        user_type: "WindowsUser",
        is_oauth: Some(true),
        is_encrypted: Some(true),
        product_version: Some("26.2.1.1".to_owned()),
        product_name: Some("XProtect Corporate".to_owned()),
        policy,
        counts: vec![(Field::CameraCount, Some(4)), (Field::SpeakerCount, Some(0)), (Field::InputCount, None)],
    }
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

/// Waits until the background thread of a session has nothing more to do.
pub fn settle(session: &Session) {
    wait_until(|| !session.is_sending());
}

/// Waits for a condition; fails the test when it does not come.
pub fn wait_until(condition: impl Fn() -> bool) {
    let stop = std::time::Instant::now() + PATIENCE;
    while !condition() {
        assert!(std::time::Instant::now() < stop, "what the test waits for did not come");
        std::thread::sleep(Duration::from_millis(2));
    }
}
