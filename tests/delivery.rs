//! Delivery: what is kept, what is dropped, when the next attempt comes (contract section 7), over a real socket; and
//! months of it, with a clock that the test turns.

mod common;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use common::{Home, arrived, connection, key, settle, wait_until};
use vms_collector::{Collector, Reply, RetryAfter, black_hole, closed_port};
use vms_telemetry::config::Environment;
use vms_telemetry::envelope::Destination;
use vms_telemetry::event::{Event, Field, Kind, Value, timestamp};
use vms_telemetry::sender::{Delivery, Memory, Next};
use vms_telemetry::session::{Change, UsageDataPolicy};
use vms_telemetry::spool::{BYTE_LIMIT, EVENT_LIMIT};
use vms_telemetry::transport::{Answer, NoAnswer, ProxyChoice, Transport};

/// What is left after one attempt with three events, and what the user is told.
struct Left {
    pending: usize,
    accepted: usize,
    requests: usize,
    words: Option<String>,
    pause: Option<i64>,
    has_sent: bool,
}

/// Makes one attempt with three events against such a reply.
fn attempt(replies: &[Reply]) -> Left {
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    collector.script(replies);
    let delivery = delivery(&home, &collector.connection_string(&key));
    for index in 0..3 {
        delivery.spool.put(&event(Utc::now() + TimeDelta::microseconds(index))).unwrap();
    }
    let mut transport = delivery_transport(&delivery);
    let now = Utc::now();
    let next = delivery.attempt(&mut transport, || now).unwrap();
    let pause = match next {
        Next::Rest => None,
        Next::At(time) => Some((time - now).num_seconds() + 1),
    };
    collector.release();
    Left {
        pending: delivery.spool.entries().unwrap().len(),
        accepted: collector.accepted_for(&key).len(),
        requests: collector.requests(),
        has_sent: delivery.memory().last_sent.is_some(),
        words: delivery.memory().last_failure,
        pause,
    }
}

fn delivery(home: &Home, connection_string: &str) -> Delivery {
    Delivery::new(&home.paths(), Environment::default(), connection_string.parse::<Destination>().unwrap())
}

fn delivery_transport(delivery: &Delivery) -> vms_telemetry::transport::Https {
    use vms_telemetry::transport::Https;
    let permit = || Ok(tempfile::tempfile().unwrap());
    let track = delivery.destination.track.clone();
    Https::new(track, &ProxyChoice::Environment, &Environment::default(), std::sync::Arc::new(permit)).unwrap()
}

fn event(time: DateTime<Utc>) -> Event {
    let mut event = Event::new(Kind::NewSession, time, "1.2.3", uuid::Uuid::from_u128(1), uuid::Uuid::new_v4());
    event.set(Field::OSDescription, Value::Text("Test OS 1".to_owned()));
    event
}

#[test]
fn d4_what_is_taken_is_gone() {
    let left = attempt(&[Reply::Normal]);
    assert_eq!((left.pending, left.accepted, left.requests, left.words, left.pause), (0, 3, 1, None, None));
    assert!(left.has_sent);
}

#[test]
fn d4_a_permanent_refusal_is_dropped() {
    for status in [400, 402, 404, 405, 413, 415] {
        let left = attempt(&[Reply::Status(status)]);
        assert_eq!((left.pending, left.accepted, left.requests, left.pause), (0, 0, 1, None), "{status}");
        assert_eq!(left.words, Some(format!("the service refused events for good (HTTP {status})")));
        assert!(!left.has_sent, "{status}");
    }
}

#[test]
fn d4_a_passing_refusal_is_kept_and_waits_with_its_reason() {
    for status in [401, 403, 408, 429, 439, 500, 502, 503, 504] {
        let left = attempt(&[Reply::Status(status)]);
        assert_eq!((left.pending, left.accepted, left.requests), (3, 0, 1), "{status}");
        assert!(left.words.unwrap().contains(&status.to_string()));
        let least = if status == 439 { 3600 } else { 10 };
        assert!((least..=least * 3 / 2 + 1).contains(&left.pause.unwrap()), "{status}: {:?}", left.pause);
    }
}

#[test]
fn d4_retry_after_is_honoured_in_both_forms() {
    for (retry_after, least) in
        [(RetryAfter::Seconds(120), 120), (RetryAfter::DateIn(300), 298), (RetryAfter::Seconds(999_999), 86_400)]
    {
        let left = attempt(&[Reply::RetryAfter(429, retry_after)]);
        assert_eq!(left.pending, 3);
        assert!((least..=least + 3).contains(&left.pause.unwrap()), "{:?}", left.pause);
    }
    // What is no time, and no time at all, is as none: else the service would be called again and again.
    for none in [RetryAfter::Text("soon".to_owned()), RetryAfter::Seconds(0)] {
        let left = attempt(&vec![Reply::RetryAfter(503, none.clone()); 5]);
        assert!((10..=16).contains(&left.pause.unwrap()), "{none:?}: {:?}", left.pause);
        assert_eq!(left.requests, 1, "{none:?}");
    }
}

/// Not from when the attempt began, which may have waited for others and sent much before.
#[test]
fn d4_d7_a_pause_begins_when_the_request_ended() {
    let (home, now) = (Home::new(), Cell::new(Utc::now()));
    let delivery = delivery(&home, &format!("InstrumentationKey={};IngestionEndpoint=http://127.0.0.1:1/", key()));
    for index in 0..250 {
        delivery.spool.put(&event(now.get() + TimeDelta::microseconds(index))).unwrap();
    }
    let mut service = Slow { now: &now, answers: vec![503, 200, 200] };
    let Next::At(time) = delivery.attempt(&mut service, || now.get()).unwrap() else { panic!("it must wait") };
    assert_eq!((time - now.get()).num_seconds() + 1, 30);
    assert_eq!(delivery.spool.entries().unwrap().len(), 50);
}

/// A service that takes 20 seconds a request, and asks for a pause of 30.
struct Slow<'a> {
    now: &'a Cell<DateTime<Utc>>,
    answers: Vec<u16>,
}

impl Transport for Slow<'_> {
    fn post(&mut self, _: &[u8]) -> Result<Answer, NoAnswer> {
        self.now.set(self.now.get() + TimeDelta::seconds(20));
        let status = self.answers.pop().unwrap();
        Ok(Answer { status, retry_after: Some("30".to_owned()), location: None, body: Vec::new() })
    }
}

#[test]
fn d4_of_a_partial_answer_only_what_it_marks_stays() {
    let left = attempt(&[Reply::Partial(vec![(0, 400), (1, 500)])]);
    assert_eq!((left.pending, left.accepted), (1, 1));
    assert!(left.pause.is_some());
    let left = attempt(&[Reply::Partial(vec![(0, 400)])]);
    assert_eq!((left.pending, left.accepted, left.pause), (0, 2, None));
    let left = attempt(&[Reply::Partial(vec![(7, 500), (usize::MAX, 500)])]);
    assert_eq!((left.pending, left.accepted), (0, 3));
}

#[test]
fn d4_whatever_is_no_answer_keeps_everything() {
    let table = [(Reply::Drop, "cut off"), (Reply::Garbage, "not HTTP"), (Reply::EndlessHead, "not HTTP")];
    for (reply, words) in table {
        let left = attempt(std::slice::from_ref(&reply));
        assert_eq!((left.pending, left.requests), (3, 1), "{reply:?}");
        let said = left.words.unwrap();
        assert!(said.contains(words), "{reply:?}: {said}");
    }
}

#[test]
fn d4_an_answer_byte_by_byte_cut_short_or_endless_is_an_answer() {
    for reply in [Reply::Slow(Duration::from_millis(1)), Reply::Truncated, Reply::OversizedBody] {
        let left = attempt(std::slice::from_ref(&reply));
        assert_eq!((left.pending, left.accepted, left.requests), (0, 3, 1), "{reply:?}");
    }
}

#[test]
fn d4_a_server_that_nobody_reaches_is_named_in_words_without_its_address() {
    let nobody = closed_port().unwrap();
    let silent = black_hole().unwrap();
    let table = [(nobody.connection_string(&key()), "refused"), (silent.connection_string(&key()), "in time")];
    for (connection_string, words) in table {
        let home = Home::new();
        let delivery = delivery(&home, &connection_string);
        delivery.spool.put(&event(Utc::now())).unwrap();
        let next = delivery.attempt(&mut delivery_transport(&delivery), Utc::now).unwrap();
        assert!(matches!(next, Next::At(_)));
        let said = delivery.memory().last_failure.unwrap();
        assert!(said.contains(words) && !said.contains("127"), "{said}");
        assert_eq!(delivery.spool.entries().unwrap().len(), 1);
    }
}

#[test]
fn d4_a_redirection_is_followed_remembered_and_bounded() {
    let (home, key) = (Home::new(), key());
    let (first, second) = (Collector::start().unwrap(), Collector::start().unwrap());
    first.always(Reply::Redirect(308, format!("{}v2.1/track", second.url())));
    let session = home.session(&first.connection_string(&key), &[]);
    arrived(&second, &key, 1);
    settle(&session);
    session.connect(&connection(UsageDataPolicy::On)).unwrap();
    arrived(&second, &key, 2);
    assert_eq!(first.requests(), 1, "the session remembers where it was sent");

    let circle = Collector::start().unwrap();
    circle.always(Reply::Redirect(307, format!("{}v2.1/track", circle.url())));
    let home = Home::new();
    let delivery = delivery(&home, &circle.connection_string(&key));
    delivery.spool.put(&event(Utc::now())).unwrap();
    assert!(matches!(delivery.attempt(&mut delivery_transport(&delivery), Utc::now).unwrap(), Next::At(_)));
    assert_eq!((circle.requests(), delivery.spool.entries().unwrap().len()), (6, 1));
}

#[test]
fn d3_a_request_whose_answer_is_lost_is_sent_twice_at_worst() {
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    collector.script(&[Reply::Lost]);
    let delivery = delivery(&home, &collector.connection_string(&key));
    delivery.spool.put(&event(Utc::now())).unwrap();
    let mut transport = delivery_transport(&delivery);
    let Next::At(time) = delivery.attempt(&mut transport, Utc::now).unwrap() else { panic!("it must wait") };
    assert_eq!(delivery.attempt(&mut transport, || time).unwrap(), Next::Rest);
    assert_eq!(collector.accepted_for(&key).len(), 2);
}

#[test]
fn d5_a_dead_proxy_means_no_sending_and_never_a_direct_connection() {
    // A proxy that hears the request and hangs up.
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://user:secret-word@{}", proxy.local_addr().unwrap());
    let heard = std::thread::spawn(move || {
        let (stream, _) = proxy.accept().unwrap();
        let head = BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
        let head: Vec<String> = head.collect();
        (&stream).write_all(b"HTTP/1.1 502 no\r\n\r\n").unwrap();
        head[0].clone()
    });
    let destination = format!("InstrumentationKey={};IngestionEndpoint=https://nobody.invalid/", key());
    for from_host in [false, true] {
        let home = Home::new();
        let variables: &[(&str, &str)] = if from_host { &[] } else { &[("https_proxy", &address)] };
        let session = if from_host {
            let closed = closed_port().unwrap();
            let session = home.session_with_proxy(&destination);
            assert!(!session.is_sending(), "nothing is sent before the host has named the proxy");
            let proxy = Some(ProxyChoice::Address(closed.url().trim_end_matches('/').to_owned()));
            session.set_config(Change { proxy, ..Change::default() }).unwrap();
            session
        } else {
            home.session(&destination, variables)
        };
        wait_until(|| session.state().delivery.last_failure.is_some());
        let said = session.state().delivery.last_failure.unwrap();
        assert!(said.contains("proxy"), "{said}");
        assert!(!said.contains("secret-word") && !said.contains("127.0"), "{said}");
        assert_eq!(home.spool().entries().unwrap().len(), 1);
    }
    assert_eq!(heard.join().unwrap(), "CONNECT nobody.invalid:443 HTTP/1.1");
}

#[test]
fn d5_c10_consent_withdrawn_while_the_server_is_reached_sends_no_byte() {
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    let delivery = delivery(&home, &collector.connection_string(&key));
    delivery.spool.put(&event(Utc::now())).unwrap();
    let settings = home.paths().settings();
    // The permit is asked when the connection is up and the bytes are ready: that is the moment in which another process
    // opts out here.
    let permit = move || {
        std::fs::write(&settings, r#"{ "ApplicationInsights": { "Enabled": false } }"#).unwrap();
        Err(NoAnswer::Withdrawn)
    };
    let track = delivery.destination.track.clone();
    let environment = Environment::default();
    let mut transport =
        vms_telemetry::transport::Https::new(track, &ProxyChoice::Direct, &environment, std::sync::Arc::new(permit))
            .unwrap();
    assert_eq!(delivery.attempt(&mut transport, Utc::now).unwrap(), Next::Rest);
    assert_eq!(collector.requests(), 0);
    assert_eq!((delivery.spool.entries().unwrap(), delivery.memory()), (vec![], Memory::default()));
}

#[test]
fn d7_a_destination_that_answers_does_not_wait_for_one_that_does_not_and_neither_forgets_its_pause() {
    let (home, collector) = (Home::new(), Collector::start().unwrap());
    // The same key elsewhere, and another key in the same place, are other destinations.
    let (nobody, wrong, right) = (closed_port().unwrap(), key(), key());
    collector.load(Some(&wrong), [Reply::Status(403)].as_slice().into());
    let destinations = [nobody.connection_string(&right), collector.connection_string(&wrong)];
    let failing = destinations.map(|destination| delivery(&home, &destination));
    let working = delivery(&home, &collector.connection_string(&right));
    let now = Utc::now();
    working.spool.put(&event(now)).unwrap();
    let mut pauses = Vec::new();
    for delivery in &failing {
        let Next::At(time) = delivery.attempt(&mut delivery_transport(delivery), || now).unwrap() else {
            panic!("no pause")
        };
        pauses.push(time);
    }
    assert_eq!(working.memory(), Memory::default());
    assert_eq!(working.attempt(&mut delivery_transport(&working), || now).unwrap(), Next::Rest);
    assert_eq!((collector.requests(), collector.accepted_for(&right).len()), (2, 1));
    assert_eq!(working.memory().last_sent, Some(now.timestamp()));
    // Each still knows its own pause.
    working.spool.put(&event(now)).unwrap();
    for (delivery, pause) in failing.iter().zip(pauses) {
        assert_eq!(delivery.attempt(&mut delivery_transport(delivery), || now).unwrap(), Next::At(pause));
        assert_eq!(delivery.memory().failures, 1);
    }
    assert_eq!(collector.requests(), 2);
    let text = std::fs::read_to_string(home.paths().spool().join("delivery.json")).unwrap();
    assert!(!text.contains("127.0.0.1") && !text.contains(&right), "{text}");
}

#[test]
fn d7_d2_of_many_destinations_only_the_latest_are_remembered() {
    let home = Home::new();
    let start = Utc::now();
    home.spool().put(&event(start)).unwrap();
    let mut sizes = Vec::new();
    for second in 0..100 {
        let now = start + TimeDelta::seconds(second);
        let delivery = delivery(&home, &format!("InstrumentationKey={}", key()));
        let mut network = BlackHole { attempts: Vec::new(), now };
        for _ in 0..2 {
            delivery.attempt(&mut network, || now).unwrap();
        }
        assert_eq!(network.attempts.len(), 1);
        sizes.push(std::fs::metadata(home.paths().spool().join("delivery.json")).unwrap().len());
    }
    assert!(sizes.iter().all(|size| *size <= 4_096), "{sizes:?}");
}

/// A network where nothing answers, which counts the attempts.
struct BlackHole {
    attempts: Vec<DateTime<Utc>>,
    now: DateTime<Utc>,
}

impl Transport for BlackHole {
    fn post(&mut self, _: &[u8]) -> Result<Answer, NoAnswer> {
        self.attempts.push(self.now);
        Err(NoAnswer::Failed("no answer came in time".to_owned()))
    }
}

#[test]
fn d7_an_import_a_minute_for_a_month_makes_at_most_an_attempt_an_hour() {
    let home = Home::new();
    let delivery = delivery(&home, &format!("InstrumentationKey={}", key()));
    let start = Utc::now();
    let mut network = BlackHole { attempts: Vec::new(), now: start };
    // Wine takes its time over files; three days show the same there.
    let days = if cfg!(windows) { 3 } else { 30 };
    for minute in 0..days * 24 * 60 {
        network.now = start + TimeDelta::minutes(minute);
        // Few events keep this test short; how many wait does not matter to the attempts.
        if minute % (12 * 60) == 0 {
            delivery.spool.put(&event(network.now)).unwrap();
        }
        let now = network.now;
        assert!(matches!(delivery.attempt(&mut network, || now).unwrap(), Next::At(_)));
    }
    let day = |day: i64| {
        let (from, to) = (start + TimeDelta::days(day), start + TimeDelta::days(day + 1));
        network.attempts.iter().filter(|time| (from..to).contains(*time)).count()
    };
    assert!(day(0) <= 33, "{}", day(0));
    for later in 1..days {
        assert!((12..=24).contains(&day(later)), "{}", day(later));
    }
    assert!(delivery.spool.entries().unwrap().len() <= EVENT_LIMIT);
}

/// A network where nothing answers, under processes that end before they find out: each dies in its request.
struct Deadly {
    attempts: Vec<DateTime<Utc>>,
    now: DateTime<Utc>,
}

impl Transport for Deadly {
    fn post(&mut self, _: &[u8]) -> Result<Answer, NoAnswer> {
        self.attempts.push(self.now);
        // Leaves the disk as the death of the process does, and the lock free; nobody is to read about it.
        std::panic::resume_unwind(Box::new("the process ends"));
    }
}

#[test]
fn d7_attempts_that_their_process_does_not_survive_count_as_well() {
    let home = Home::new();
    let delivery = delivery(&home, &format!("InstrumentationKey={}", key()));
    let start = Utc::now();
    let mut network = Deadly { attempts: Vec::new(), now: start };
    delivery.spool.put(&event(start)).unwrap();
    for minute in 0..2 * 24 * 60 {
        network.now = start + TimeDelta::minutes(minute);
        let now = network.now;
        let process = std::panic::AssertUnwindSafe(|| delivery.attempt(&mut network, || now));
        let _ = std::panic::catch_unwind(process);
    }
    let first_day = network.attempts.iter().filter(|time| **time < start + TimeDelta::days(1)).count();
    let second_day = network.attempts.len() - first_day;
    assert!(first_day <= 33 && (12..=24).contains(&second_day), "{first_day} and {second_day}");
    assert!(delivery.memory().last_failure.unwrap().contains("ended"));
    // One such death alone makes nobody wait (D3), and an answer forgets them all.
    let collector = Collector::start().unwrap();
    let home = Home::new();
    let delivery = self::delivery(&home, &collector.connection_string(&key()));
    for _ in 0..3 {
        delivery.spool.put(&event(start)).unwrap();
        let process = std::panic::AssertUnwindSafe(|| delivery.attempt(&mut network, || start));
        assert!(std::panic::catch_unwind(process).is_err());
        assert_eq!(delivery.attempt(&mut delivery_transport(&delivery), || start).unwrap(), Next::Rest);
    }
    assert_eq!(delivery.memory(), Memory { last_sent: Some(start.timestamp()), ..Memory::default() });
}

#[test]
fn d6_d2_a_site_off_the_network_for_ninety_days_loses_nothing() {
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    let delivery = delivery(&home, &collector.connection_string(&key));
    let end = Utc::now();
    let mut network = BlackHole { attempts: Vec::new(), now: end };
    let mut recorded = Vec::new();
    for third in 0..89 * 3 {
        network.now = end - TimeDelta::days(89) + TimeDelta::hours(8 * third);
        let event = event(network.now);
        recorded.push((event.session(), timestamp(event.time())));
        delivery.spool.put(&event).unwrap();
        let now = network.now;
        delivery.attempt(&mut network, || now).unwrap();
        let bytes: u64 = std::fs::read_dir(delivery.spool.folder())
            .unwrap()
            .map(|file| file.unwrap().metadata().unwrap().len())
            .sum();
        assert!(bytes <= BYTE_LIMIT);
    }
    let mut transport = delivery_transport(&delivery);
    let mut now = end;
    while let Next::At(time) = delivery.attempt(&mut transport, || now).unwrap() {
        now = time;
    }
    let received = arrived(&collector, &key, recorded.len());
    for (item, (session, occurred)) in received.iter().zip(&recorded) {
        let properties = &item.envelope["data"]["baseData"]["properties"];
        assert_eq!(properties["SessionId"], session.as_str());
        let time = properties.get("OccurredAt").unwrap_or(&item.envelope["time"]);
        assert_eq!(time, occurred.as_str());
    }
    assert_eq!(delivery.spool.entries().unwrap(), []);
}

#[test]
fn d7_a_clock_that_jumps_years_does_not_stop_delivery() {
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    let delivery = delivery(&home, &collector.connection_string(&key));
    let now = Utc::now();
    // The clock was ten years ahead when an attempt failed.
    let ahead = now + TimeDelta::days(3650);
    delivery.spool.put(&event(ahead)).unwrap();
    let mut network = BlackHole { attempts: Vec::new(), now: ahead };
    delivery.attempt(&mut network, || ahead).unwrap();
    // It is right again: the pause of the future does not count, and the event goes out as of now.
    assert_eq!(delivery.attempt(&mut delivery_transport(&delivery), || now).unwrap(), Next::Rest);
    assert_eq!(arrived(&collector, &key, 1)[0].envelope["time"], timestamp(now));
}

/// The clock jumps for 600 events, ten years ahead, back to before 1970, and so on. Events are lost by it, as by any
/// clock that tells a wrong time (D2); but no call fails, no limit is passed, and with the right time delivery goes on.
#[test]
fn d2_d7_a_clock_that_jumps_back_and_forth_breaks_nothing_and_nothing_grows() {
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    let delivery = delivery(&home, &collector.connection_string(&key));
    let (start, years) = (Utc::now(), |years: i64| TimeDelta::days(365 * years));
    let mut network = BlackHole { attempts: Vec::new(), now: start };
    for (index, jump) in [0, 10, -60, 0, -10, 3].into_iter().cycle().take(600).enumerate() {
        network.now = start + years(jump) + TimeDelta::microseconds(index as i64);
        let now = network.now;
        delivery.spool.put(&event(now)).unwrap();
        delivery.attempt(&mut network, || now).unwrap();
        assert!(delivery.spool.entries().unwrap().len() <= EVENT_LIMIT);
    }
    let sizes = std::fs::read_dir(delivery.spool.folder()).unwrap().map(|file| file.unwrap().metadata().unwrap().len());
    assert!(sizes.sum::<u64>() <= BYTE_LIMIT);
    let now = start + TimeDelta::days(1);
    delivery.spool.put(&event(now)).unwrap();
    let mut transport = delivery_transport(&delivery);
    assert_eq!(delivery.attempt(&mut transport, || now).unwrap(), Next::Rest);
    assert_eq!(delivery.spool.entries().unwrap(), []);
    let received = collector.received();
    assert!(!received.is_empty());
    for item in received {
        assert_eq!(item.refusal, None);
    }
}

/// Gives all that lies in a folder: names, and the content of files.
fn contents(folder: &Path) -> BTreeMap<OsString, Option<Vec<u8>>> {
    let files = std::fs::read_dir(folder).unwrap().flatten();
    files.map(|file| (file.file_name(), std::fs::read(file.path()).ok())).collect()
}

#[test]
fn d2_c3_a_spool_full_of_other_peoples_files_sends_ours_and_touches_none_of_theirs() {
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    let spool = home.paths().spool();
    std::fs::create_dir_all(spool.join("a folder.json")).unwrap();
    for index in 0..500 {
        std::fs::write(spool.join(format!("{index}.json")), "{}").unwrap();
    }
    // Folders whose names are those of the oldest event, and of what a dying process leaves behind.
    let id = "0123456789abcdef".repeat(2);
    for name in [format!("{:018}-{id}-5.json", 1), format!(".{id}.tmp")] {
        std::fs::create_dir_all(spool.join(name).join("inside")).unwrap();
    }
    for name in [".mine.tmp", "delivery.json.bak", "000000000000000001.json"] {
        std::fs::write(spool.join(name), "mine").unwrap();
    }
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStringExt;
        std::os::unix::fs::symlink("/dev/null", spool.join(format!("{:018}-{id}-7.json", 1))).unwrap();
        std::fs::write(spool.join(OsString::from_vec(b"\xFF.json".to_vec())), "mine").unwrap();
    }
    let theirs = contents(&spool);
    let session = home.session(&collector.connection_string(&key), &[]);
    arrived(&collector, &key, 1);
    settle(&session);
    for telemetry in [false, true] {
        session.set_config(Change { telemetry: Some(telemetry), ..Change::default() }).unwrap();
    }
    session.connect(&connection(UsageDataPolicy::On)).unwrap();
    arrived(&collector, &key, 2);
    settle(&session);
    let mut left = contents(&spool);
    assert!(left.remove(OsStr::new("delivery.json")).is_some() && left.remove(OsStr::new("sender.lock")).is_some());
    assert_eq!(left, theirs);
    assert_eq!((collector.received().len(), session.state().failure), (2, None));
}

/// What nobody may change, not even root.
#[cfg(target_os = "linux")]
struct Immutable(std::path::PathBuf);

#[cfg(target_os = "linux")]
impl Immutable {
    fn make(path: std::path::PathBuf) -> Option<Self> {
        let status = std::process::Command::new("chattr").arg("+i").arg(&path).status();
        let made = status.is_ok_and(|status| status.success()).then_some(Self(path));
        if made.is_none() {
            println!("not tested: this file system has no immutable files, or the user may not make one");
        }
        made
    }
}

#[cfg(target_os = "linux")]
impl Drop for Immutable {
    fn drop(&mut self) {
        let status = std::process::Command::new("chattr").arg("-i").arg(&self.0).status().unwrap();
        assert!(status.success() || std::thread::panicking());
    }
}

#[cfg(target_os = "linux")]
#[test]
fn d3_a_spool_that_nothing_can_be_removed_from_is_not_sent_again_and_again() {
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    let delivery = delivery(&home, &collector.connection_string(&key));
    delivery.spool.put(&event(Utc::now())).unwrap();
    std::fs::write(delivery.spool.folder().join("sender.lock"), "").unwrap();
    let Some(_immutable) = Immutable::make(delivery.spool.folder().to_owned()) else { return };
    assert!(delivery.attempt(&mut delivery_transport(&delivery), Utc::now).is_err());
    assert_eq!(collector.requests(), 0);
}

/// A file that can be neither read nor removed costs only itself: the others are sent, and make room for new ones.
#[cfg(target_os = "linux")]
#[test]
fn d2_an_event_that_cannot_be_removed_holds_up_no_other() {
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    let delivery = delivery(&home, &collector.connection_string(&key));
    let now = Utc::now();
    delivery.spool.put(&event(now - TimeDelta::days(91))).unwrap();
    let oldest = std::fs::read_dir(delivery.spool.folder()).unwrap().next().unwrap().unwrap().path();
    let Some(immutable) = Immutable::make(oldest) else { return };
    let put = |index| delivery.spool.put(&event(now + TimeDelta::microseconds(index)));
    let stored = (0..EVENT_LIMIT as i64 + 2).map(put).filter(Result::is_ok).count();
    let waiting = delivery.spool.entries().unwrap().len();
    let outcome = delivery.attempt(&mut delivery_transport(&delivery), || now);
    let left = delivery.spool.entries().unwrap().len();
    drop(immutable);
    assert_eq!((stored, waiting), (EVENT_LIMIT + 2, EVENT_LIMIT));
    assert_eq!((outcome.unwrap(), left), (Next::Rest, 1));
    assert_eq!(collector.accepted_for(&key).len(), EVENT_LIMIT - 1);
}
