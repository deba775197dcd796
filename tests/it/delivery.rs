//! Delivery: what is kept, what is dropped, when the next attempt comes (contract section 7), over a real socket; and
//! months of it, with a clock that the test turns.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

#[cfg(target_os = "linux")]
use crate::common::child;
use crate::common::net::proxy;
use crate::common::{Home, TestDelivery, arrived, connection, delivery, event, key, real_network, settle, wait_until};
use chrono::{DateTime, TimeDelta, Utc};
use vms_collector::{Collector, Reply, RetryAfter, black_hole, closed_port};
use vms_telemetry::delivery::{Delivery, Next, RetryState};
use vms_telemetry::event::timestamp;
use vms_telemetry::gate::{Gate, NoConsent};
use vms_telemetry::proxy::ProxyChoice;
use vms_telemetry::response::Response;
use vms_telemetry::session::{Change, UsageDataPolicy};
use vms_telemetry::spool::{BYTE_LIMIT, EVENT_LIMIT};
use vms_telemetry::transport::{Https, NoResponse, PostEvents};

/// What is left after one attempt with three events, and what the user can see of it.
struct Left {
    pending: usize,
    accepted: usize,
    requests: usize,
    reason: Option<String>,
    wait: Option<i64>,
    has_sent: bool,
}

/// Makes one attempt with three events against these replies, of which the last one is repeated.
fn attempt(replies: &[Reply]) -> Left {
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    collector.script(replies);
    replies.last().into_iter().for_each(|last| collector.always(last.clone()));
    let delivery = delivery(&home, &collector.connection_string(&key));
    let now = Utc::now();
    put(&delivery, 3, now);
    let next = delivery.attempt(&mut real_network(&delivery), || now).unwrap();
    let wait = match next {
        Next::Idle => None,
        Next::RetryAt(time) => Some((time - now).num_seconds() + 1),
    };
    Left {
        pending: delivery.spool.entries().unwrap().len(),
        accepted: collector.accepted_for(&key).len(),
        requests: collector.requests(),
        has_sent: delivery.retry_state().last_sent.is_some(),
        reason: delivery.retry_state().last_failure,
        wait,
    }
}

/// Stores events, one microsecond after the other.
fn put(delivery: &Delivery, events: i64, first: DateTime<Utc>) {
    for index in 0..events {
        delivery.spool.put(&event(first + TimeDelta::microseconds(index))).unwrap();
    }
}

fn pending(delivery: &Delivery) -> usize {
    delivery.spool.entries().unwrap().len()
}

/// Makes an attempt that has to be repeated, and returns when.
fn attempt_fails(delivery: &TestDelivery, network: &mut dyn PostEvents, now: DateTime<Utc>) -> DateTime<Utc> {
    match delivery.attempt(network, || now).unwrap() {
        Next::RetryAt(time) => time,
        Next::Idle => panic!("the attempt has not failed"),
    }
}

#[test]
fn d4_accepted_events_are_deleted() {
    let left = attempt(&[Reply::Normal]);
    assert_eq!((left.pending, left.accepted, left.requests, left.reason, left.wait), (0, 3, 1, None, None));
    assert!(left.has_sent);
}

#[test]
fn d4_a_permanent_refusal_is_dropped() {
    for status in [400, 404, 405, 415, 501] {
        let left = attempt(&[Reply::Status(status)]);
        assert_eq!((left.pending, left.accepted, left.requests, left.wait), (0, 0, 1, None), "{status}");
        assert_eq!(left.reason, Some(format!("the service refused events for good (HTTP {status})")));
        assert!(!left.has_sent, "{status}");
    }
}

#[test]
fn d4_a_temporary_refusal_is_kept_and_waits_with_its_reason() {
    for status in [302, 307, 308, 401, 402, 403, 408, 429, 439, 500, 502, 503, 504] {
        let left = attempt(&[Reply::Status(status)]);
        assert_eq!((left.pending, left.accepted, left.requests), (3, 0, 1), "{status}");
        assert!(left.reason.unwrap().contains(&status.to_string()));
        let least = if matches!(status, 402 | 439) { 3600 } else { 10 };
        assert!((least..=least * 3 / 2 + 1).contains(&left.wait.unwrap()), "{status}: {:?}", left.wait);
    }
}

#[test]
fn d4_retry_after_is_honoured_in_both_forms() {
    for (retry_after, least) in
        [(RetryAfter::Seconds(120), 120), (RetryAfter::DateIn(300), 298), (RetryAfter::Seconds(999_999), 86_400)]
    {
        let left = attempt(&[Reply::RetryAfter(429, retry_after)]);
        assert_eq!(left.pending, 3);
        assert!((least..=least + 3).contains(&left.wait.unwrap()), "{:?}", left.wait);
    }
    // What is no time, and no time at all, is as none: else the service would be called again and again.
    for none in [RetryAfter::Text("soon".to_owned()), RetryAfter::Seconds(0)] {
        let left = attempt(&[Reply::RetryAfter(503, none.clone())]);
        assert!((10..=16).contains(&left.wait.unwrap()), "{none:?}: {:?}", left.wait);
        assert_eq!(left.requests, 1, "{none:?}");
    }
}

/// Not from when the attempt began, which may have waited for others and sent much before.
#[test]
fn d4_d7_a_back_off_begins_when_the_request_ended() {
    let (home, now) = (Home::new(), Cell::new(Utc::now()));
    let delivery = delivery(&home, &format!("InstrumentationKey={};IngestionEndpoint=http://127.0.0.1:1/", key()));
    put(&delivery, 250, now.get());
    let mut service = Slow { now: &now, responses: vec![503, 200, 200] };
    let Next::RetryAt(time) = delivery.attempt(&mut service, || now.get()).unwrap() else { panic!("it must wait") };
    assert_eq!((time - now.get()).num_seconds() + 1, 30);
    assert_eq!(delivery.spool.entries().unwrap().len(), 50);
}

/// A service that takes 20 seconds for a request, and asks for a wait of 30.
struct Slow<'a> {
    now: &'a Cell<DateTime<Utc>>,
    responses: Vec<u16>,
}

impl PostEvents for Slow<'_> {
    fn post(&mut self, _: &[u8]) -> Result<Response, NoResponse> {
        self.now.set(self.now.get() + TimeDelta::seconds(20));
        let status = self.responses.pop().unwrap();
        Ok(Response { status, retry_after: Some("30".to_owned()), ..Response::default() })
    }
}

/// The whole table of statuses, over a real socket: an item of a partial response is judged as a whole response is.
#[test]
fn d4_a_status_means_the_same_for_a_whole_response_and_for_an_item() {
    let kept = [301, 302, 303, 307, 308, 401, 402, 403, 408, 429, 439, 500, 502, 503, 504];
    let dropped = [400, 404, 405, 406, 410, 413, 415, 422, 501, 505, 599];
    for status in kept.into_iter().chain(dropped) {
        let is_kept = kept.contains(&status);
        let whole = attempt(&[Reply::Status(status)]);
        assert_eq!((whole.pending, whole.accepted), (if is_kept { 3 } else { 0 }, 0), "{status}");
        let item = attempt(&[Reply::Partial(vec![(1, status)])]);
        assert_eq!((item.pending, item.accepted, item.requests), (usize::from(is_kept), 2, 1), "{status}");
        assert_eq!((item.wait.is_some(), whole.wait.is_some()), (is_kept, is_kept), "{status}");
        assert!(item.reason.unwrap().contains(&format!("item {status}")), "{status}");
        if is_kept {
            let least = if matches!(status, 402 | 439) { 3600 } else { 10 };
            assert!((least..=least * 3 / 2 + 1).contains(&item.wait.unwrap()), "{status}: {:?}", item.wait);
        }
    }
}

#[test]
fn d4_of_a_partial_response_only_what_it_marks_stays() {
    let left = attempt(&[Reply::Partial(vec![(0, 400), (1, 500)])]);
    assert_eq!((left.pending, left.accepted), (1, 1));
    assert!(left.wait.is_some());
    let left = attempt(&[Reply::Partial(vec![(0, 400)])]);
    assert_eq!((left.pending, left.accepted, left.wait), (0, 2, None));
    let left = attempt(&[Reply::Partial(vec![(7, 500), (usize::MAX, 500)])]);
    assert_eq!((left.pending, left.accepted), (0, 3));
}

/// A used-up quota costs an hour and no event.
#[test]
fn d4_a_used_up_quota_keeps_events_and_waits_an_hour() {
    for status in [402, 439] {
        let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
        collector.script(&[Reply::Status(status), Reply::Status(status)]);
        let delivery = delivery(&home, &collector.connection_string(&key));
        let mut network = real_network(&delivery);
        let mut now = Utc::now();
        for requests in 1..=2 {
            put(&delivery, 1, now);
            let next = attempt_fails(&delivery, &mut network, now);
            assert!(next >= now + TimeDelta::minutes(59), "{status}: {}", next - now);
            // A session that starts meanwhile sends nothing.
            put(&delivery, 1, now + TimeDelta::minutes(58));
            assert_eq!(attempt_fails(&delivery, &mut network, now + TimeDelta::minutes(58)), next);
            assert_eq!((collector.requests(), pending(&delivery)), (requests, 2 * requests), "{status}");
            now = next;
        }
        assert_eq!(delivery.attempt(&mut network, || now).unwrap(), Next::Idle);
        assert_eq!((pending(&delivery), collector.accepted_for(&key).len()), (0, 4), "{status}");
    }
}

/// A service that accepts at most so many events in a request, and never one of them, however small the request is.
struct Narrow {
    limit: usize,
    too_large: String,
    accepted: Vec<String>,
    refused: usize,
}

impl PostEvents for Narrow {
    fn post(&mut self, body: &[u8]) -> Result<Response, NoResponse> {
        let lines: Vec<String> = std::str::from_utf8(body).unwrap().lines().map(str::to_owned).collect();
        if lines.len() > self.limit || lines.iter().any(|line| line.contains(&self.too_large)) {
            self.refused += 1;
            return Ok(Response { status: 413, ..Response::default() });
        }
        self.accepted.extend(lines);
        Ok(Response { status: 200, ..Response::default() })
    }
}

#[test]
fn d4_a_request_that_is_too_large_is_halved_until_it_fits_and_only_a_single_event_is_dropped() {
    for has_one_too_large in [false, true] {
        let home = Home::new();
        let delivery = delivery(&home, &format!("InstrumentationKey={}", key()));
        let now = Utc::now();
        put(&delivery, 170, now);
        let one = event(now + TimeDelta::seconds(1));
        delivery.spool.put(&one).unwrap();
        put(&delivery, 31, now + TimeDelta::seconds(2));
        let one = one.ids().1.to_string();
        let too_large = if has_one_too_large { one.clone() } else { "none".to_owned() };
        let mut service = Narrow { limit: 3, too_large, accepted: Vec::new(), refused: 0 };
        assert_eq!(delivery.attempt(&mut service, || now).unwrap(), Next::Idle);
        assert_eq!(pending(&delivery), 0);
        let mut sessions: Vec<&str> = service
            .accepted
            .iter()
            .map(|line| line.split("\"SessionId\":\"").nth(1).unwrap())
            .map(|id| &id[..36])
            .collect();
        sessions.sort_unstable();
        sessions.dedup();
        assert_eq!((service.accepted.len(), sessions.len()), if has_one_too_large { (201, 201) } else { (202, 202) });
        assert_eq!(sessions.contains(&one.as_str()), !has_one_too_large);
        // 100, 50, 25, 12 and 6 were too many; then the one alone.
        assert!((5..=12).contains(&service.refused), "{}", service.refused);
        let reason = delivery.retry_state().last_failure;
        assert!(delivery.retry_state().next_attempt.is_none(), "{reason:?}");
    }
    // The same over a real socket: four events, two, one.
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    collector.script(&[Reply::Status(413), Reply::Status(413)]);
    let delivery = delivery(&home, &collector.connection_string(&key));
    put(&delivery, 4, Utc::now());
    assert_eq!(delivery.attempt(&mut real_network(&delivery), Utc::now).unwrap(), Next::Idle);
    assert_eq!((collector.requests(), collector.accepted_for(&key).len(), pending(&delivery)), (6, 4, 0));
    let left = attempt(&[Reply::Status(413)]);
    assert_eq!((left.pending, left.accepted, left.requests, left.wait), (0, 0, 4, None));
    assert_eq!(left.reason.as_deref(), Some("the request is too large for the service (HTTP 413)"));
}

/// One item that is too large says nothing of the others, which fit together.
#[test]
fn d4_an_item_that_is_too_large_makes_no_later_request_smaller() {
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    collector.script(&[Reply::Partial(vec![(5, 413)])]);
    let delivery = delivery(&home, &collector.connection_string(&key));
    put(&delivery, 250, Utc::now());
    assert_eq!(delivery.attempt(&mut real_network(&delivery), Utc::now).unwrap(), Next::Idle);
    assert_eq!((collector.requests(), collector.accepted_for(&key).len(), pending(&delivery)), (3, 249, 0));
}

/// A service that asks for requests at once gets them no sooner than after any failure.
#[test]
fn d4_no_answer_shortens_the_first_back_off() {
    let now = Utc::now();
    for asked in [0, 1, 9, 11, 3_600] {
        let state = RetryState::default().fail(String::new(), Some(Duration::from_secs(asked)), now);
        let wait = i64::try_from(asked.max(10)).unwrap();
        assert_eq!(state.next_attempt, Some(now.timestamp() + wait), "{asked}");
    }
}

/// C3: an opt-out for one process deletes its own events, also those that another process is about to send with newer ones.
#[test]
fn c3_c10_a_request_does_not_begin_if_one_of_its_events_was_deleted() {
    let home = Home::new();
    let delivery = delivery(&home, &format!("InstrumentationKey={}", key()));
    put(&delivery, 3, Utc::now());
    let events = delivery.spool.entries().unwrap();
    delivery.consent.set_in_flight(events.iter().map(|event| delivery.spool.path(event)).collect());
    assert!(delivery.consent.guard().is_ok());
    delivery.spool.remove(&events[0]).unwrap();
    assert_eq!(delivery.consent.guard().unwrap_err(), NoConsent::Withdrawn);
}

#[test]
fn d4_what_is_no_response_keeps_everything() {
    let table = [(Reply::Drop, "cut off"), (Reply::Garbage, "not HTTP"), (Reply::EndlessHead, "not HTTP")];
    for (reply, part) in table {
        let left = attempt(std::slice::from_ref(&reply));
        assert_eq!((left.pending, left.requests), (3, 1), "{reply:?}");
        let reason = left.reason.unwrap();
        assert!(reason.contains(part), "{reply:?}: {reason}");
    }
}

#[test]
fn d4_a_response_byte_by_byte_cut_short_or_endless_is_a_response() {
    for reply in [Reply::Slow(Duration::from_millis(1)), Reply::Truncated, Reply::OversizedBody] {
        let left = attempt(std::slice::from_ref(&reply));
        assert_eq!((left.pending, left.accepted, left.requests), (0, 3, 1), "{reply:?}");
    }
}

#[test]
fn d4_a_server_that_cannot_be_reached_is_described_without_its_address() {
    let nobody = closed_port().unwrap();
    let silent = black_hole().unwrap();
    let table = [(nobody.connection_string(&key()), "refused"), (silent.connection_string(&key()), "not answer")];
    for (connection_string, part) in table {
        let home = Home::new();
        let delivery = delivery(&home, &connection_string);
        put(&delivery, 1, Utc::now());
        attempt_fails(&delivery, &mut real_network(&delivery), Utc::now());
        let reason = delivery.retry_state().last_failure.unwrap();
        assert!(reason.contains(part) && !reason.contains("127"), "{reason}");
        assert_eq!(pending(&delivery), 1);
    }
}

#[test]
fn d4_a_redirection_is_followed_remembered_and_bounded() {
    let (home, key) = (Home::new(), key());
    let (first, second) = (Collector::start().unwrap(), Collector::start().unwrap());
    first.always(Reply::Redirect(308, format!("{}v2.1/track", second.url())));
    let session = home.session(&first.connection_string(&key), &[]);
    arrived(&second, &key, 1);
    // The session's thread, which has the connection, may have ended: then the next one asks the first address again.
    let delivery = delivery(&home, &first.connection_string(&key));
    settle(&session);
    let mut network = real_network(&delivery);
    for count in 2..4 {
        put(&delivery, 1, Utc::now());
        // A process that another test starts at this moment has the session's lock for as long as it has no program.
        wait_until(|| delivery.attempt(&mut network, Utc::now).unwrap() == Next::Idle);
        arrived(&second, &key, count);
    }
    assert_eq!(first.requests(), 2, "the second request of a connection goes where the first one was accepted");

    let circle = Collector::start().unwrap();
    circle.always(Reply::Redirect(307, format!("{}v2.1/track", circle.url())));
    let home = Home::new();
    let delivery = crate::common::delivery(&home, &circle.connection_string(&key));
    put(&delivery, 1, Utc::now());
    attempt_fails(&delivery, &mut real_network(&delivery), Utc::now());
    assert_eq!((circle.requests(), pending(&delivery)), (6, 1));
}

#[test]
fn d4_a_relative_redirection_is_followed() {
    for location in ["/v2/track", "../v2/track", "../v2.1/../v2/./track"] {
        let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
        collector.script(&[Reply::Redirect(307, location.to_owned())]);
        let delivery = delivery(&home, &collector.connection_string(&key));
        put(&delivery, 1, Utc::now());
        assert_eq!(delivery.attempt(&mut real_network(&delivery), Utc::now).unwrap(), Next::Idle, "{location}");
        assert_eq!(collector.accepted_for(&key)[0].path, "/v2/track", "{location}");
    }
}

/// A redirection to where nobody listens, to where nobody answers, and to where events are not accepted.
#[test]
fn d4_a_redirection_is_remembered_only_if_it_accepted_events_and_forgotten_when_it_fails() {
    let nobody = closed_port().unwrap();
    let unable = Collector::start().unwrap();
    for unwilling in [Reply::Status(503), Reply::Status(400), Reply::Drop] {
        unable.script(&[unwilling]);
    }
    for target in [nobody.url(), unable.url(), unable.url(), unable.url()] {
        let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
        collector.script(&[Reply::Redirect(307, format!("{target}v2.1/track"))]);
        let delivery = delivery(&home, &collector.connection_string(&key));
        let (mut network, now) = (real_network(&delivery), Utc::now());
        put(&delivery, 1, now);
        let next = match delivery.attempt(&mut network, || now).unwrap() {
            Next::RetryAt(time) => time,
            // A permanent refusal drops the event, and the redirection with it.
            Next::Idle => now,
        };
        put(&delivery, 1, now);
        assert_eq!(delivery.attempt(&mut network, || next).unwrap(), Next::Idle, "{target}");
        assert_eq!((collector.requests(), pending(&delivery)), (2, 0), "{target}");
        assert!(!collector.accepted_for(&key).is_empty(), "{target}");
    }
    assert_eq!(unable.requests(), 3);

    // One that accepted events, and fails later.
    let (home, key) = (Home::new(), key());
    let (first, second) = (Collector::start().unwrap(), Collector::start().unwrap());
    first.script(&[Reply::Redirect(308, format!("{}v2.1/track", second.url()))]);
    second.script(&[Reply::Normal, Reply::Normal, Reply::Status(500)]);
    let delivery = delivery(&home, &first.connection_string(&key));
    let (mut network, mut now) = (real_network(&delivery), Utc::now());
    for requests in [(1, 1), (1, 2), (1, 3), (2, 3)] {
        put(&delivery, 1, now);
        if let Next::RetryAt(time) = delivery.attempt(&mut network, || now).unwrap() {
            now = time;
        }
        assert_eq!((first.requests(), second.requests()), requests);
    }
    assert_eq!((second.accepted_for(&key).len(), first.accepted_for(&key).len(), pending(&delivery)), (2, 2, 0));
}

/// A service that takes four seconds for each redirection. Its fourth one is the last that begins within 15 s; with a
/// deadline for each request there would be six.
#[test]
fn d4_all_redirections_of_a_request_share_one_deadline() {
    let service = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", service.local_addr().unwrap());
    let requests = Arc::new(AtomicUsize::new(0));
    let (heard, location) = (requests.clone(), format!("{url}v2.1/track"));
    std::thread::spawn(move || {
        for stream in service.incoming().map_while(Result::ok) {
            let head = BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
            if head.count() > 0 {
                heard.fetch_add(1, Ordering::SeqCst);
                std::thread::sleep(Duration::from_secs(4));
                let response =
                    format!("HTTP/1.1 307 x\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                let _ = (&stream).write_all(response.as_bytes());
            }
        }
    });
    let home = Home::new();
    let delivery = delivery(&home, &format!("InstrumentationKey={};IngestionEndpoint={url}", key()));
    put(&delivery, 1, Utc::now());
    // Not as `TestDelivery` does: in 15 seconds others start processes.
    let next = Delivery::attempt(&delivery, &mut real_network(&delivery), Utc::now).unwrap();
    assert!(matches!(next, Next::RetryAt(_)), "the attempt failed");
    assert_eq!(delivery.retry_state().last_failure.as_deref(), Some("no response came in time"));
    let requests = requests.load(Ordering::SeqCst);
    assert!((1..=4).contains(&requests), "{requests}");
}

#[test]
fn d3_a_lost_response_causes_at_most_one_duplicate() {
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    collector.script(&[Reply::Lost]);
    let delivery = delivery(&home, &collector.connection_string(&key));
    put(&delivery, 1, Utc::now());
    let mut network = real_network(&delivery);
    let time = attempt_fails(&delivery, &mut network, Utc::now());
    assert_eq!(delivery.attempt(&mut network, || time).unwrap(), Next::Idle);
    assert_eq!(collector.accepted_for(&key).len(), 2);
}

#[test]
fn d5_an_endpoint_that_was_pasted_with_its_path_is_delivered_to() {
    for path in ["", "v2/track", "v2/track/", "v2.1/track", "v2.1/track/", "V2/Track"] {
        let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
        let delivery =
            delivery(&home, &format!("InstrumentationKey={key};IngestionEndpoint={}{path}", collector.url()));
        put(&delivery, 1, Utc::now());
        assert_eq!(delivery.attempt(&mut real_network(&delivery), Utc::now).unwrap(), Next::Idle, "{path}");
        assert_eq!(arrived(&collector, &key, 1)[0].path, "/v2.1/track", "{path}");
        // All spellings are one destination.
        let plain = crate::common::delivery(&home, &collector.connection_string(&key));
        assert_eq!(plain.spool.folder(), delivery.spool.folder(), "{path}");
    }
}

/// Of events that are another version's: one more property, and another format.
#[test]
fn e8_events_of_a_later_version_are_left_for_it_until_an_opt_out() {
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    let delivery = delivery(&home, &collector.connection_string(&key));
    let now = Utc::now();
    put(&delivery, 3, now);
    let folder = delivery.spool.folder();
    let entries = delivery.spool.entries().unwrap();
    let content = |index: usize| std::fs::read_to_string(delivery.spool.path(&entries[index])).unwrap();
    // The name says how long the file is.
    let longer = content(0).replace("\"OSDescription\":", "\"NewInLaterVersion\":\"x\",\"OSDescription\":");
    let name = |index: usize| delivery.spool.path(&entries[index]).file_name().unwrap().to_str().unwrap().to_owned();
    let renamed = name(0).replace(&format!("-{}.v1", content(0).len()), &format!("-{}.v1", longer.len()));
    let other_format = name(1).replace(".v1.", ".v2.");
    std::fs::write(folder.join(&renamed), longer).unwrap();
    std::fs::rename(delivery.spool.path(&entries[1]), folder.join(&other_format)).unwrap();
    std::fs::remove_file(delivery.spool.path(&entries[0])).unwrap();
    assert_eq!(delivery.attempt(&mut real_network(&delivery), Utc::now).unwrap(), Next::Idle);
    assert_eq!(arrived(&collector, &key, 1).len(), collector.received().len());
    let later = [renamed, other_format].map(|name| folder.join(name));
    assert!(later.iter().all(|file| file.exists()));
    std::fs::write(home.paths().settings(), OPT_OUT).unwrap();
    assert_eq!(delivery.attempt(&mut real_network(&delivery), Utc::now).unwrap(), Next::Idle);
    assert!(!later.iter().any(|file| file.exists()));
    assert_eq!(collector.requests(), 1);
}

const OPT_OUT: &str = r#"{ "ApplicationInsights": { "Enabled": false } }"#;

#[test]
fn d5_a_dead_proxy_means_no_sending_and_never_a_direct_connection() {
    let (proxy, heard) = proxy("HTTP/1.1 502 no\r\n\r\n".to_owned(), None);
    let address = format!("http://user:secret-word@{proxy}");
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
        wait_until(|| session.retry_state().last_failure.is_some());
        let reason = session.retry_state().last_failure.unwrap();
        assert!(reason.contains("proxy"), "{reason}");
        assert!(!reason.contains("secret-word") && !reason.contains("127.0"), "{reason}");
        assert_eq!(home.pending().len(), 1);
    }
    assert_eq!(heard.join().unwrap()[0], "CONNECT nobody.invalid:443 HTTP/1.1");
}

#[test]
fn d5_c10_consent_that_is_withdrawn_while_the_server_is_reached_sends_no_byte() {
    // The gate is asked before the request, before the name is looked up, and when the connection is up and the bytes are
    // ready. At each of these moments another process opts out.
    for asked_before in 0..3 {
        let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
        let delivery = delivery(&home, &collector.connection_string(&key));
        put(&delivery, 1, Utc::now());
        let (settings, consent, asked) = (home.paths().settings(), delivery.consent.clone(), AtomicUsize::new(0));
        let gate = Gate::new(move || {
            if asked.fetch_add(1, Ordering::SeqCst) == asked_before {
                std::fs::write(&settings, OPT_OUT).unwrap();
            }
            consent.guard()
        });
        let mut network = Https::new(delivery.destination.endpoint.clone(), None, gate);
        assert_eq!(delivery.attempt(&mut network, Utc::now).unwrap(), Next::Idle);
        // The collector may hear of a connection later than the other side ends it.
        wait_until(|| collector.connections() == u64::from(asked_before == 2));
        assert_eq!(collector.requests(), 0);
        assert_eq!((pending(&delivery), delivery.retry_state()), (0, RetryState::default()), "{asked_before}");
    }
}

/// The same when consent is not sure: what is pending stays, and goes out later.
#[test]
fn d5_c10_consent_that_becomes_unsure_while_the_server_is_reached_sends_no_byte_and_loses_nothing() {
    for asked_before in 0..3 {
        let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
        let delivery = delivery(&home, &collector.connection_string(&key));
        put(&delivery, 1, Utc::now());
        let (consent, asked) = (delivery.consent.clone(), AtomicUsize::new(0));
        let gate = Gate::new(move || match asked.fetch_add(1, Ordering::SeqCst) == asked_before {
            true => Err(NoConsent::Postponed("unsure".to_owned())),
            false => consent.guard(),
        });
        let mut network = Https::new(delivery.destination.endpoint.clone(), None, gate);
        let now = Utc::now();
        let next = attempt_fails(&delivery, &mut network, now);
        assert_eq!((collector.requests(), pending(&delivery)), (0, 1), "{asked_before}");
        // Not as a failure of the service: there is no back-off.
        assert_eq!(delivery.retry_state(), RetryState::default(), "{asked_before}");
        assert_eq!(delivery.attempt(&mut network, || next).unwrap(), Next::Idle);
        assert_eq!(collector.accepted_for(&key).len(), 1);
    }
}

#[test]
fn d7_e7_destinations_do_not_wait_for_each_other_and_each_keeps_its_own_back_off() {
    let (home, collector) = (Home::new(), Collector::start().unwrap());
    // The same key elsewhere, and another key in the same place, are other destinations.
    let (nobody, wrong, right) = (closed_port().unwrap(), key(), key());
    collector.load(Some(&wrong), [Reply::Status(403)].as_slice().into());
    let destinations = [nobody.connection_string(&right), collector.connection_string(&wrong)];
    let failing = destinations.map(|destination| delivery(&home, &destination));
    let working = delivery(&home, &collector.connection_string(&right));
    let now = Utc::now();
    failing.iter().chain([&working]).for_each(|delivery| put(delivery, 1, now));
    let backed_off = failing.each_ref().map(|delivery| attempt_fails(delivery, &mut real_network(delivery), now));
    assert_eq!(working.retry_state(), RetryState::default());
    assert_eq!(working.attempt(&mut real_network(&working), || now).unwrap(), Next::Idle);
    assert_eq!((collector.requests(), collector.accepted_for(&right).len()), (2, 1));
    assert_eq!(working.retry_state().last_sent, Some(now.timestamp()));
    // Each still knows its own back-off, and has its own event.
    for (delivery, until) in failing.iter().zip(backed_off) {
        assert_eq!(attempt_fails(delivery, &mut real_network(delivery), now), until);
        assert_eq!((delivery.retry_state().failures, pending(delivery)), (1, 1));
    }
    assert_eq!(collector.requests(), 2);
    // Receipts say where they went (T1).
    for file in home.files().into_iter().filter(|file| !file.contains("/sent/")) {
        let text = std::fs::read_to_string(home.path().join(&file)).unwrap();
        for secret in ["127.0.0.1", &right, &wrong] {
            assert!(!file.contains(secret) && !text.contains(secret), "{file}: {text}");
        }
    }
}

/// A session with another connection string leaves what is not its own.
#[test]
fn e7_each_event_goes_to_the_destination_that_it_was_recorded_for_and_to_no_other() {
    let (home, collector, keys) = (Home::new(), Collector::start().unwrap(), [key(), key()]);
    let [first, second] = keys.each_ref().map(|key| collector.connection_string(key));
    let recorded = delivery(&home, &first);
    put(&recorded, 3, Utc::now());
    let session = home.session(&second, &[]);
    session.connect(&connection(UsageDataPolicy::On)).unwrap();
    arrived(&collector, &keys[1], 2);
    settle(&session);
    assert_eq!((collector.received().len(), pending(&recorded)), (2, 3));
    let session = home.session(&first, &[]);
    arrived(&collector, &keys[0], 4);
    settle(&session);
    assert_eq!((collector.received().len(), home.pending().len()), (6, 0));
}

/// A network where nothing answers, which counts the attempts.
struct BlackHole {
    attempts: Vec<DateTime<Utc>>,
    now: DateTime<Utc>,
}

impl PostEvents for BlackHole {
    fn post(&mut self, _: &[u8]) -> Result<Response, NoResponse> {
        self.attempts.push(self.now);
        Err(NoResponse::Failed("no response came in time".to_owned()))
    }
}

/// How often there is an import. Wine takes its time over files; an attempt too many would show there as well.
const EACH_MINUTES: usize = if cfg!(windows) { 10 } else { 1 };

#[test]
fn d7_an_import_a_minute_for_a_month_makes_at_most_an_attempt_an_hour() {
    let home = Home::new();
    let delivery = delivery(&home, &format!("InstrumentationKey={}", key()));
    let start = Utc::now();
    // One event keeps this test short; how many wait does not matter to the attempts.
    put(&delivery, 1, start);
    let mut network = BlackHole { attempts: Vec::new(), now: start };
    let days = if cfg!(windows) { 3 } else { 30 };
    for minute in (0..days * 24 * 60).step_by(EACH_MINUTES) {
        network.now = start + TimeDelta::minutes(minute);
        let now = network.now;
        attempt_fails(&delivery, &mut network, now);
    }
    let day = |day: i64| {
        let (from, to) = (start + TimeDelta::days(day), start + TimeDelta::days(day + 1));
        network.attempts.iter().filter(|time| (from..to).contains(*time)).count()
    };
    assert!(day(0) <= 33, "{}", day(0));
    for later in 1..days {
        assert!((12..=24).contains(&day(later)), "{}", day(later));
    }
}

/// A network where nothing answers, under processes that end before they find out: each dies in its request.
struct Deadly {
    attempts: Vec<DateTime<Utc>>,
    now: DateTime<Utc>,
}

impl PostEvents for Deadly {
    fn post(&mut self, _: &[u8]) -> Result<Response, NoResponse> {
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
    for minute in (0..2 * 24 * 60).step_by(EACH_MINUTES) {
        network.now = start + TimeDelta::minutes(minute);
        let now = network.now;
        let process = std::panic::AssertUnwindSafe(|| delivery.attempt(&mut network, || now));
        let _ = std::panic::catch_unwind(process);
    }
    let first_day = network.attempts.iter().filter(|time| **time < start + TimeDelta::days(1)).count();
    let second_day = network.attempts.len() - first_day;
    assert!(first_day <= 33 && (12..=24).contains(&second_day), "{first_day} and {second_day}");
    assert!(delivery.retry_state().last_failure.unwrap().contains("ended"));
    // One such death alone makes nobody wait (D3), and an answer forgets them all.
    let collector = Collector::start().unwrap();
    let home = Home::new();
    let delivery = crate::common::delivery(&home, &collector.connection_string(&key()));
    for _ in 0..3 {
        delivery.spool.put(&event(start)).unwrap();
        let process = std::panic::AssertUnwindSafe(|| delivery.attempt(&mut network, || start));
        assert!(std::panic::catch_unwind(process).is_err());
        assert_eq!(delivery.attempt(&mut real_network(&delivery), || start).unwrap(), Next::Idle);
    }
    assert_eq!(delivery.retry_state(), RetryState { last_sent: Some(start.timestamp()), ..RetryState::default() });
}

#[test]
fn d6_d2_a_site_off_the_network_for_ninety_days_loses_nothing() {
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    let delivery = delivery(&home, &collector.connection_string(&key));
    let end = Utc::now();
    let mut network = BlackHole { attempts: Vec::new(), now: end };
    let mut recorded = Vec::new();
    for third in (0..89 * 3).step_by(if cfg!(windows) { 3 } else { 1 }) {
        network.now = end - TimeDelta::days(89) + TimeDelta::hours(8 * third);
        let event = event(network.now);
        recorded.push((event.ids().1.to_string(), timestamp(event.time)));
        delivery.spool.put(&event).unwrap();
        let now = network.now;
        delivery.attempt(&mut network, || now).unwrap();
        let bytes: u64 = std::fs::read_dir(delivery.spool.folder())
            .unwrap()
            .map(|file| file.unwrap().metadata().unwrap().len())
            .sum();
        assert!(bytes <= BYTE_LIMIT);
    }
    let mut transport = real_network(&delivery);
    let mut now = end;
    while let Next::RetryAt(time) = delivery.attempt(&mut transport, || now).unwrap() {
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
    // It is right again: the back-off of the future does not count, and the event goes out as of now.
    assert_eq!(delivery.attempt(&mut real_network(&delivery), || now).unwrap(), Next::Idle);
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
    for (index, jump) in
        [0, 10, -60, 0, -10, 3].into_iter().cycle().take(if cfg!(windows) { 120 } else { 600 }).enumerate()
    {
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
    let mut transport = real_network(&delivery);
    assert_eq!(delivery.attempt(&mut transport, || now).unwrap(), Next::Idle);
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
    let spool = home.spool(&collector.connection_string(&key)).folder().to_owned();
    std::fs::create_dir_all(spool.join("a folder.json")).unwrap();
    for index in 0..500 {
        std::fs::write(spool.join(format!("{index}.json")), "{}").unwrap();
    }
    // Folders whose names are those of the oldest event, and of what a dying process leaves behind.
    let id = "0123456789abcdef".repeat(2);
    for name in [format!("{:018}-{id}-5.v1.json", 1), format!(".vms-{id}.tmp")] {
        std::fs::create_dir_all(spool.join(name).join("inside")).unwrap();
    }
    for name in [".mine.tmp", "retry.json.bak", "000000000000000001.v1.json"] {
        std::fs::write(spool.join(name), "mine").unwrap();
    }
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStringExt;
        std::os::unix::fs::symlink("/dev/null", spool.join(format!("{:018}-{id}-7.v1.json", 1))).unwrap();
        std::fs::write(spool.join(OsString::from_vec(b"\xFF.json".to_vec())), "mine").unwrap();
    }
    // Beside the folders of destinations, and in a folder that is none.
    let other = spool.parent().unwrap().join("other");
    std::fs::create_dir(&other).unwrap();
    for folder in [&other, spool.parent().unwrap()] {
        std::fs::write(folder.join(format!("{:018}-{id}-4.v1.json", 1)), "mine").unwrap();
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
    assert!(left.remove(OsStr::new("retry.json")).is_some() && left.remove(OsStr::new("sender.lock")).is_some());
    assert_eq!(left, theirs);
    assert_eq!((contents(&other).len(), contents(spool.parent().unwrap()).len()), (1, 3));
    assert_eq!((collector.received().len(), session.failure()), (2, None));
}

/// What nobody may change, not even root.
#[cfg(target_os = "linux")]
struct Immutable(std::path::PathBuf);

/// Changes an attribute; returns whether that was done.
#[cfg(target_os = "linux")]
fn chattr(change: &str, path: &Path) -> bool {
    let mut shell = std::process::Command::new("sh");
    child::output(shell.args(["-c", "chattr \"$0\" \"$1\"", change]).arg(path)).status.success()
}

#[cfg(target_os = "linux")]
impl Immutable {
    fn make(path: std::path::PathBuf) -> Option<Self> {
        let made = chattr("+i", &path).then(|| Self(path));
        if made.is_none() {
            crate::common::skip("this file system has no immutable files, or the user may not make one");
        }
        made
    }
}

#[cfg(target_os = "linux")]
impl Drop for Immutable {
    fn drop(&mut self) {
        assert!(chattr("-i", &self.0) || std::thread::panicking());
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
    assert!(delivery.attempt(&mut real_network(&delivery), Utc::now).is_err());
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
    put(&delivery, EVENT_LIMIT as i64 + 2, now);
    let outcome = delivery.attempt(&mut real_network(&delivery), || now);
    let left = pending(&delivery);
    drop(immutable);
    assert_eq!((outcome.unwrap(), left), (Next::Idle, 1));
    assert_eq!(collector.accepted_for(&key).len(), EVENT_LIMIT - 1);
}
