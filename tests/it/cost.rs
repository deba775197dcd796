//! What a call costs, counted in system calls and not by a clock (D11).
//!
//! Counted is every call that the calling thread makes between two marks, but for: memory (`mmap` and its like), futexes, what starts
//! a thread, the host's own reading of commands and writing of answers, and `fcntl(…, F_GETFD)`, with which only a debug
//! build checks a file before it closes it.

use std::collections::BTreeMap;

use crate::common::child::{self, Host};
use crate::common::{Home, event, key};
use chrono::{TimeDelta, Utc};
use vms_collector::closed_port;

/// Calls that are none of ours.
const EXCLUDED: [&str; 19] = [
    "mmap",
    "munmap",
    "mprotect",
    "mremap",
    "madvise",
    "brk",
    "futex",
    "clone",
    "clone3",
    "set_robust_list",
    "rseq",
    "sigaltstack",
    "rt_sigprocmask",
    "rt_sigaction",
    "prctl",
    "gettid",
    "sched_yield",
    "exit",
    "set_tid_address",
];

/// Runs a host that does this, and returns the lines of the system calls between the marks `begin` and `end`.
fn trace(home: &Home, destination: &str, variables: &[(&str, &str)], work: impl FnOnce(&mut Host)) -> Vec<String> {
    let file = home.path().join("trace");
    let mut host = Host::start(&mut child::traced(&child::command(home, destination, variables), "trace=all", &file));
    work(&mut host);
    host.end();
    let calls = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let begin = calls.lines().find(|line| line.contains("/vms-mark-begin")).unwrap();
    let caller = begin.split(' ').next().unwrap();
    let after = calls.lines().skip_while(|line| !line.contains("/vms-mark-begin")).skip(1);
    let between: Vec<&str> = after.take_while(|line| !line.contains("/vms-mark-end")).collect();
    assert!(calls.contains("/vms-mark-end"), "{calls}");
    let ours = between.into_iter().filter(|line| line.split(' ').next() == Some(caller) && is_ours(line));
    ours.map(str::to_owned).collect()
}

/// Returns whether a line of a trace is the beginning of a call of ours. A line has the thread, the call and its result.
fn is_ours(line: &str) -> bool {
    let call = line.split_once(' ').unwrap_or_default().1.trim_start();
    let name = call.split('(').next().unwrap_or_default();
    let is_of_host = ["read(0,", "write(1,"].iter().any(|own| call.starts_with(own)) || call.contains(", F_GETFD)");
    let is_call = !call.starts_with("<...") && !call.starts_with("+++") && !call.starts_with("---");
    is_call && !is_of_host && !EXCLUDED.contains(&name)
}

/// Counts calls by name.
fn by_name(calls: &[String]) -> BTreeMap<&str, usize> {
    let mut names = BTreeMap::new();
    for call in calls {
        *names.entry(call.split_once(' ').unwrap().1.trim_start().split('(').next().unwrap()).or_insert(0) += 1;
    }
    names
}

/// The calls of 32 recorded events, so that room is made once, with so many events pending before. The proxy is awaited: nothing
/// is sent meanwhile.
fn recording(pending: i64) -> Vec<String> {
    let (home, destination) = (Home::new(), format!("InstrumentationKey={}", key()));
    let spool = home.spool(&destination);
    let first = Utc::now() - TimeDelta::hours(1);
    for index in 0..pending {
        spool.put(&event(first + TimeDelta::microseconds(index))).unwrap();
    }
    trace(&home, &destination, &[], |host| {
        assert_eq!(host.ask("init awaiting"), "0");
        // Both ids are known from here on.
        assert_eq!(host.ask("record 1"), "0");
        host.ask("mark begin");
        assert_eq!(host.ask("record 16"), "0");
        host.ask("mark end");
    })
}

#[test]
fn d11_recording_costs_the_same_whatever_is_pending() {
    if !child::can_trace() {
        return;
    }
    let (empty, full) = (recording(0), recording(499));
    println!("{} calls with 0 pending events: {:?}", empty.len(), by_name(&empty));
    println!("{} calls with 499 pending events: {:?}", full.len(), by_name(&full));
    assert!(empty.iter().filter(|call| call.contains(".v1.json")).count() >= 32, "{empty:#?}");
    assert!(full.len() * 2 <= empty.len() * 3, "{} and {}", empty.len(), full.len());
    // What an event costs on its own: two decisions with two files, a new file, and for every other one the process's memory.
    assert!(empty.len() <= 32 * 12, "{}\n{}", empty.len(), empty.join("\n"));
}

/// Three calls find out whether somebody cleared the ids (T5). The host says what the system and the framework are, as a .NET host
/// does. The profile has the folder for local data, as each user's has, and nothing of ours or, the second time, all.
#[test]
fn d11_a_new_session_costs_at_most_31_system_calls_and_23_on_a_known_profile() {
    if !child::can_trace() {
        return;
    }
    let nobody = closed_port().unwrap();
    let (home, destination) = (Home::new(), nobody.connection_string(&key()));
    std::fs::create_dir(home.path().join("local")).unwrap();
    for (profile, most) in [("fresh", 31), ("known", 23)] {
        let calls = trace(&home, &destination, &[(child::EVERY_TEXT, "1.0")], |host| {
            host.ask("mark begin");
            assert_eq!(host.ask("init"), "0");
            host.ask("mark end");
        });
        println!("{} calls on a {profile} profile:\n{}", calls.len(), calls.join("\n"));
        assert!(calls.len() <= most, "{} calls on a {profile} profile:\n{}", calls.len(), calls.join("\n"));
    }
}
