//! Many processes on one spool, some of them killed: nothing is lost, torn or mixed, and next to nothing comes twice.
//!
//! The children are this test program itself, started anew with a role in the environment.

mod common;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use common::{Home, PATIENCE, arrived, connection, key, settle, wait_until};
use vms_collector::{Collector, Received, Reply};
use vms_telemetry::config::Environment;
use vms_telemetry::event::Field;
use vms_telemetry::paths::Paths;
use vms_telemetry::sender::{Delivery, Next};
use vms_telemetry::session::{HostFacts, Session, UsageDataPolicy};
use vms_telemetry::transport::{Https, ProxyChoice};

const ROLE: &str = "VMS_TEST_ROLE";
const PROFILE: &str = "VMS_TEST_PROFILE";
const DESTINATION: &str = "VMS_TEST_DESTINATION";

/// The tests run one after another: a computer that is busy with another one's processes kills late.
static ALONE: Mutex<()> = Mutex::new(());

/// Starts this program in a role.
fn child(role: &str, home: &Home, destination: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_child_in_its_role", "--ignored", "--nocapture"])
        .envs([(ROLE, role), (DESTINATION, destination)])
        .env(PROFILE, home.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
#[ignore = "a child process of the other tests"]
fn a_child_in_its_role() {
    let (Ok(role), Some(profile)) = (std::env::var(ROLE), std::env::var_os(PROFILE)) else {
        return;
    };
    let profile = std::path::PathBuf::from(profile);
    let facts = HostFacts {
        assembly_version: "1.2.3".to_owned(),
        connection_string: std::env::var(DESTINATION).ok(),
        ..HostFacts::default()
    };
    let paths = Paths::new(&profile.join("local"), &profile.join("state"));
    let session = Session::start(facts, Environment::default(), Ok(paths)).unwrap();
    say(&format!("recorded {} 0", session.id()));
    match role.as_str() {
        // Records as fast as it can until it is killed.
        "victim" => {
            for number in 1..2_000 {
                record(&session, number);
            }
            std::thread::park();
        }
        // Records a few events, waits until all is sent, and ends.
        "worker" => {
            for number in 1..5 {
                record(&session, number);
            }
            wait_until(|| session.state().pending == 0);
            settle(&session);
        }
        // Waits for its end.
        _ => {
            let _ = std::io::stdin().read_line(&mut String::new());
        }
    }
}

/// Records an event that carries its number, and says so once the call has returned.
fn record(session: &Session, number: u32) {
    let facts = vms_telemetry::session::Connection {
        counts: vec![(Field::CameraCount, Some(number))],
        ..connection(UsageDataPolicy::On)
    };
    let (connection, _) = session.connect(&facts).unwrap();
    say(&format!("recorded {} {number}", session.id()));
    // Closing would record another event; the process forgets it instead.
    let _ = connection;
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

/// Reads what a child said it recorded, up to its end.
fn recorded(child: &mut Child) -> Vec<String> {
    let output = BufReader::new(child.stdout.take().unwrap());
    let lines = output.lines().map_while(Result::ok);
    // libtest may stand before the first one on its line.
    lines.filter_map(|line| line.split_once("recorded ").map(|(_, event)| event.to_owned())).collect()
}

/// Counts how often each event arrived, by session and number.
fn counts(received: &[Received]) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for item in received {
        assert_eq!(item.refusal, None);
        let data = &item.envelope["data"]["baseData"];
        let number = data["measurements"]["CameraCount"].as_u64().unwrap_or(0);
        let event = format!("{} {number}", data["properties"]["SessionId"].as_str().unwrap());
        *counts.entry(event).or_insert(0) += 1;
    }
    counts
}

/// D3, where nobody dies.
#[test]
fn d3_sixty_four_processes_send_each_event_once() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let processes = if cfg!(windows) { 16 } else { 64 };
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    let destination = collector.connection_string(&key);
    let mut children: Vec<Child> = (0..processes).map(|_| child("worker", &home, &destination)).collect();
    let mut events = Vec::new();
    for child in &mut children {
        events.extend(recorded(child));
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(events.len(), processes * 5);
    let received = arrived(&collector, &key, events.len());
    let counts = counts(&received);
    assert!(events.iter().all(|event| counts.get(event) == Some(&1)));
    let users: std::collections::HashSet<_> =
        received.iter().map(|item| item.envelope["tags"]["ai.user.id"].to_string()).collect();
    assert_eq!(users.len(), 1);
}

#[test]
fn d1_d3_i4_killed_processes_lose_nothing() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    // VMS_TEST_KILLS: for the long run.
    let kills = std::env::var("VMS_TEST_KILLS").ok().and_then(|kills| kills.parse().ok());
    let kills = kills.unwrap_or(if cfg!(windows) { 60 } else { 2_000 });
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    let destination = collector.connection_string(&key);
    let delivery = Delivery::new(&home.paths(), Environment::default(), destination.parse().unwrap());
    let mut events = Vec::new();
    for _ in 0..kills {
        let mut victim = child("victim", &home, &destination);
        // The point of its death: after so many lines, and a little later.
        let mut output = BufReader::new(victim.stdout.take().unwrap());
        let (lines, spins) = (1 + random() % 8, random() % 2_000);
        let mut line = String::new();
        let mut seen = 0;
        while seen < lines && output.read_line(&mut line).unwrap() > 0 {
            seen += usize::from(line.contains("recorded "));
            events.extend(line.split_once("recorded ").map(|(_, event)| event.trim_end().to_owned()));
            line.clear();
        }
        for _ in 0..spins {
            std::hint::spin_loop();
        }
        victim.kill().unwrap();
        let rest = output.lines().map_while(Result::ok);
        events.extend(rest.filter_map(|line| line.split_once("recorded ").map(|(_, event)| event.to_owned())));
        victim.wait().unwrap();
        // The spool holds 500 events: an attempt that nobody kills empties it in between.
        let permit = || Ok(tempfile::tempfile().unwrap());
        let (track, environment) = (delivery.destination.track.clone(), Environment::default());
        let mut transport = Https::new(track, &ProxyChoice::Direct, &environment, std::sync::Arc::new(permit)).unwrap();
        assert_eq!(delivery.attempt(&mut transport, chrono::Utc::now).unwrap(), Next::Rest);
    }
    let received = collector.wait_for(Some(&key), events.len(), PATIENCE);
    let counts = counts(&received);
    let lost: Vec<_> = events.iter().filter(|event| !counts.contains_key(*event)).collect();
    assert!(lost.is_empty(), "{} of {} were lost: {lost:?}", lost.len(), events.len());
    let twice = counts.values().filter(|count| **count > 1).count();
    println!("{} events of {kills} killed processes, {twice} of them twice", events.len());
    assert!(twice * 1_000 <= counts.len() || cfg!(windows), "{twice} of {} came twice", counts.len());
    let users: std::collections::HashSet<_> =
        received.iter().map(|item| item.envelope["tags"]["ai.user.id"].to_string()).collect();
    assert_eq!(users.len(), 1);
}

#[test]
fn d3_a_killed_holder_of_the_lock_leaves_it_to_the_next() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    let destination = collector.connection_string(&key);
    collector.script(&[Reply::Silent]);
    let mut holder = child("idler", &home, &destination);
    // It holds the lock for as long as its request is not answered: the time limit is far away.
    assert_eq!(collector.wait_held(1, PATIENCE), 1);
    let session = home.session(&destination, &[]);
    assert_eq!(collector.requests(), 1);
    holder.kill().unwrap();
    holder.wait().unwrap();
    // The request that nobody answered took nothing; the next holder's takes both events.
    assert_eq!(collector.wait_for_accepted(Some(&key), 2, PATIENCE).len(), 2);
    settle(&session);
}

fn random() -> usize {
    usize::from(u16::from_le_bytes([uuid::Uuid::new_v4().as_bytes()[0], uuid::Uuid::new_v4().as_bytes()[1]]))
}
