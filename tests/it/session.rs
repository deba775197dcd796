//! A session from start to end, against the collector: what arrives, and what never does.

use std::sync::Barrier;

use crate::common::child::Host;
use crate::common::{Home, arrived, connection, key, names, settle, wait_until};
use vms_collector::{Collector, closed_port};
use vms_telemetry::consent::Verdict;
use vms_telemetry::event::{Fields, timestamp};
use vms_telemetry::proxy::ProxyChoice;
use vms_telemetry::session::{Change, Outcome, Session, UsageDataPolicy};

/// Waits for the first attempt of a session that reaches nobody, and lets the next one come at once.
fn forget_failures(home: &Home, destination: &str, session: &Session) {
    wait_until(|| session.retry_state().failures > 0);
    std::fs::remove_file(home.spool(destination).folder().join("retry.json")).unwrap();
}

#[test]
fn s1_the_three_events_arrive_as_documented() {
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    let before = timestamp(chrono::Utc::now());
    let session = home.session(&collector.connection_string(&key), &[]);
    let (number, outcome) = session.connect(&connection(UsageDataPolicy::On)).unwrap();
    assert_eq!(outcome, Outcome::Recorded);
    assert_eq!(session.disconnect(number).unwrap(), Outcome::Recorded);
    let received = arrived(&collector, &key, 3);
    let id = |file| uuid::Uuid::from_bytes_le(std::fs::read(file).unwrap().try_into().unwrap()).to_string();
    let user = id(home.paths().user_id());
    let site = id(home.paths().site_id(connection(UsageDataPolicy::On).site));
    for item in &received {
        let envelope = &item.envelope;
        assert_eq!(item.path, "/v2.1/track");
        assert_eq!(item.header("Content-Type"), "application/x-json-stream");
        assert_eq!(item.header("Content-Encoding"), "gzip");
        assert_eq!(item.header("User-Agent"), concat!("vms-telemetry/", env!("CARGO_PKG_VERSION")));
        assert!(envelope["time"].as_str().unwrap() >= before.as_str());
        assert_eq!(envelope["data"]["baseData"]["properties"]["uuid"], user);
        assert_eq!(envelope["data"]["baseData"]["properties"]["SessionId"], session.id().to_string());
    }
    let golden = received.iter().map(|item| {
        let text = serde_json::to_string_pretty(&item.envelope).unwrap();
        let text = [
            (&key, "KEY"),
            (&user, "USER"),
            (&site, "SITE"),
            (&session.id().to_string(), "SESSION"),
            (&env!("CARGO_PKG_VERSION").to_owned(), "VERSION"),
        ]
        .iter()
        .fold(text, |text, (value, name)| text.replace(*value, name));
        let volatile = ["\"time\"", "\"ProcessorCount\"", "\"PrivateBytes\"", "\"ConnectionDuration\""];
        let line = |line: &str| match volatile.iter().find(|name| line.trim_start().starts_with(**name)) {
            Some(name) => format!("{}: …", &line[..line.find(name).unwrap() + name.len()]),
            None => line.to_owned(),
        };
        text.lines().map(line).collect::<Vec<_>>().join("\n") + "\n"
    });
    expect_test::expect_file!["../golden/envelopes.txt"].assert_eq(&golden.collect::<String>());
}

#[test]
fn e2_measurements_are_numbers_and_unknown_ones_are_left_out() {
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    let session = home.session(&collector.connection_string(&key), &[]);
    let (number, _) = session.connect(&connection(UsageDataPolicy::NotOffered)).unwrap();
    session.disconnect(number).unwrap();
    let received = arrived(&collector, &key, 3);
    let measurements = |index: usize| received[index].envelope["data"]["baseData"]["measurements"].clone();
    assert_eq!(measurements(1), serde_json::json!({ "CameraCount": 4, "SpeakerCount": 0 }));
    assert!(measurements(2)["ConnectionDuration"].as_f64().unwrap() >= 0.0);
}

/// E3: the session ends, and its connection is not closed.
#[test]
fn e3_a_connection_that_is_not_closed_sends_nothing() {
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    let session = home.session(&collector.connection_string(&key), &[]);
    session.connect(&connection(UsageDataPolicy::On)).unwrap();
    let names = names(&arrived(&collector, &key, 2));
    assert_eq!(names, ["NewSession", "NewVmsSession"]);
    settle(&session);
    drop(session);
    assert!(home.pending().is_empty());
}

/// E1: what the system says of the host to another process, up to what the call itself needs.
#[test]
fn e1_the_private_memory_is_that_of_the_host() {
    let (home, nobody) = (Home::new(), closed_port().unwrap());
    let mut host = Host::new(&home, &nobody.connection_string(&key()));
    for (words, count) in [("init awaiting", 1), ("connect", 2), ("disconnect", 3)] {
        assert_eq!(host.ask(words), "0");
        let now = host.private_bytes();
        let recorded = match &home.events()[count - 1].fields {
            Fields::NewSession(fields) => fields.PrivateBytes,
            Fields::CloseVmsSession(fields) => fields.PrivateBytes,
            Fields::NewVmsSession(_) => continue,
        };
        assert!(recorded.unwrap().abs_diff(now) <= now / 10, "{words}: {recorded:?}, and {now} afterwards");
    }
}

#[test]
fn s5_c1_c2_an_opted_out_session_touches_nothing() {
    for variable in [("vms_applicationinsights__ENABLED", " False "), ("DO_NOT_TRACK", "1")] {
        let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
        let session = home.session(&collector.connection_string(&key), &[variable]);
        let (number, outcome) = session.connect(&connection(UsageDataPolicy::On)).unwrap();
        assert_eq!(outcome, Outcome::Off);
        assert_eq!(session.disconnect(number).unwrap(), Outcome::Off);
        session.set_config(Change { proxy: Some(ProxyChoice::Direct), ..Change::default() }).unwrap();
        assert!(!session.is_sending());
        assert_eq!(home.files(), Vec::<String>::new());
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
        assert_eq!(collector.connections(), 0);
        let reason = session.decisions().telemetry.reason;
        assert!(reason.contains(variable.0), "{reason}");
    }
}

#[test]
fn s4_d1_what_could_not_be_sent_goes_out_with_a_later_session() {
    let (home, nobody, key) = (Home::new(), closed_port().unwrap(), key());
    let destination = nobody.connection_string(&key);
    let first = home.session(&destination, &[]);
    assert_eq!(home.pending().len(), 1);
    forget_failures(&home, &destination, &first);
    drop(first);
    let collector = Collector::builder().instead_of(nobody).start().unwrap();
    let second = home.session(&destination, &[]);
    let received = arrived(&collector, &key, 2);
    let sessions: Vec<_> =
        received.iter().map(|item| item.envelope["tags"]["ai.session.id"].as_str().unwrap().to_owned()).collect();
    assert_ne!(sessions[0], sessions[1]);
    assert_eq!(sessions[1], second.id().to_string());
}

#[test]
fn d8_no_thread_stays_once_all_is_sent() {
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    let session = home.session(&collector.connection_string(&key), &[]);
    arrived(&collector, &key, 1);
    settle(&session);
    session.connect(&connection(UsageDataPolicy::On)).unwrap();
    arrived(&collector, &key, 2);
}

#[test]
fn c3_c4_a_choice_holds_when_the_call_returns() {
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    let nowhere = closed_port().unwrap();
    let nobody = nowhere.connection_string(&key);
    let session = home.session(&nobody, &[]);
    forget_failures(&home, &nobody, &session);
    let change = |telemetry| Change { telemetry: Some(telemetry), ..Change::default() };
    session.set_config(change(false)).unwrap();
    assert!(home.pending().is_empty());
    assert_eq!(session.connect(&connection(UsageDataPolicy::On)).unwrap().1, Outcome::Off);
    assert!(home.pending().is_empty());
    let later = home.session(&collector.connection_string(&key), &[]);
    assert!(later.decisions().telemetry.verdict == Verdict::Off);
    assert!(home.pending().is_empty());
    later.set_config(change(true)).unwrap();
    arrived(&collector, &key, 1);
    later.set_config(change(true)).unwrap();
    later.connect(&connection(UsageDataPolicy::On)).unwrap();
    arrived(&collector, &key, 2);
}

#[test]
fn c6_c7_the_policy_of_the_vms_decides() {
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    let session = home.session(&collector.connection_string(&key), &[]);
    let (number, outcome) = session.connect(&connection(UsageDataPolicy::Unknown)).unwrap();
    assert_eq!((outcome, session.disconnect(number).unwrap()), (Outcome::Off, Outcome::Off));
    assert_eq!(session.decisions().telemetry.verdict, Verdict::On);
    assert_eq!(session.connect(&connection(UsageDataPolicy::Off)).unwrap().1, Outcome::Off);
    assert_eq!(session.decisions().telemetry.verdict, Verdict::Off);
    assert!(!home.session(&collector.connection_string(&key), &[]).decisions().telemetry.is_on());
}

#[test]
fn i4_many_sessions_at_once_agree_on_one_user() {
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    let connection_string = collector.connection_string(&key);
    let start = Barrier::new(16);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                start.wait();
                home.session(&connection_string, &[])
            });
        }
    });
    let received = arrived(&collector, &key, 16);
    let first = &received[0].envelope["tags"]["ai.user.id"];
    assert!(received.iter().all(|item| &item.envelope["tags"]["ai.user.id"] == first));
}

#[test]
fn d5_a_connection_string_that_cannot_be_used_turns_telemetry_off_and_says_why() {
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    let session = home.session(
        &collector.connection_string(&key),
        &[("VMS_ApplicationInsights__ConnectionString", "InstrumentationKey=x")],
    );
    let state = session.decisions();
    assert_eq!(state.telemetry.verdict, Verdict::Off);
    assert!(state.telemetry.reason.contains("VMS_ApplicationInsights__ConnectionString"), "{}", state.telemetry.reason);
    // No other destination takes its place, not even for a test of the endpoint.
    assert!(session.destination().is_none());
    assert!(session.test_endpoint().unwrap_err().to_string().contains("cannot be used"));
    assert_eq!(home.files(), Vec::<String>::new());
    assert_eq!(collector.connections(), 0);
}

#[test]
fn s3_a_profile_that_cannot_be_written_to_costs_only_the_telemetry() {
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    std::fs::write(home.path().join("local"), "a file where the folder should be").unwrap();
    let session = home.session(&collector.connection_string(&key), &[]);
    assert!(session.connect(&connection(UsageDataPolicy::On)).is_err());
    assert!(session.failure().unwrap().contains("cannot create"));
    assert_eq!(collector.connections(), 0);
}

#[test]
fn i6_i2_the_site_stands_under_its_own_name_and_never_leaves() {
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    let session = home.session(&collector.connection_string(&key), &[]);
    session.connect(&connection(UsageDataPolicy::On)).unwrap();
    let files = home.files();
    assert!(
        files.contains(&"local/Milestone/MilestonePSTools/site-dddddddd-0000-4000-8000-00000000000d.uuid".to_owned()),
        "{files:?}"
    );
    for item in arrived(&collector, &key, 2) {
        assert!(!item.envelope.to_string().contains("dddddddd-0000"));
    }
}
