//! Each reply over a real socket: what the client is told, and what was accepted all the same.

use std::io::Read;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::Value;
use vms_collector::{Collector, Reply, RetryAfter};

use crate::common::{Client, KEY, SOON, STREAM, envelope, post, track};

const NEVER: Duration = Duration::from_secs(3600);
const WHOLE: &str = r#"{"itemsReceived":2,"itemsAccepted":2,"errors":[]}"#;

/// Sends two items to a collector that replies so, and returns it with the connection.
fn sent(reply: Reply) -> (Collector, Client<TcpStream>) {
    let collector = Collector::start().unwrap();
    collector.script(&[reply]);
    let mut client = Client::connect(collector.port());
    client.send(track(KEY, &["First", "Second"]));
    (collector, client)
}

/// Returns the status recorded with each item, and whether it was accepted.
fn recorded(collector: &Collector) -> Vec<(u16, bool)> {
    collector.received().iter().map(|item| (item.status, item.accepted())).collect()
}

/// The statuses of the items in an answer.
fn codes(answer: &Value) -> Vec<u64> {
    answer["errors"].as_array().unwrap().iter().map(|error| error["statusCode"].as_u64().unwrap()).collect()
}

#[test]
fn a_status_takes_items_only_if_it_says_success() {
    for status in [200, 400, 401, 402, 403, 404, 408, 413, 429, 439, 500, 502, 503, 504] {
        let (collector, mut client) = sent(Reply::Status(status));
        let (answer, accepted) = (client.answer().unwrap(), if status == 200 { 2 } else { 0 });
        assert_eq!((answer.status, &answer.json()["itemsReceived"]), (status, &2.into()));
        assert_eq!(answer.json()["itemsAccepted"], accepted);
        assert_eq!(codes(&answer.json()), vec![u64::from(status); 2 - accepted]);
        assert_eq!(recorded(&collector), [(status, status == 200); 2]);
        assert_eq!(collector.accepted_for(KEY).len(), accepted);
        // The connection goes on, in normal service.
        assert_eq!(client.ask(track(KEY, &["Third"])).status, 200);
        assert_eq!(collector.connections(), 1);
    }
}

#[test]
fn headers_are_as_told() {
    let other = "http://127.0.0.1:1/v2.1/track".to_owned();
    for (reply, status, header) in [
        (Reply::RetryAfter(429, RetryAfter::Seconds(120)), 429, "Retry-After: 120"),
        (Reply::RetryAfter(429, RetryAfter::Text("soon".to_owned())), 429, "Retry-After: soon"),
        (Reply::Redirect(307, other.clone()), 307, "Location: http://127.0.0.1:1/v2.1/track"),
        (Reply::Redirect(308, other), 308, "Location: http://127.0.0.1:1/v2.1/track"),
    ] {
        let (collector, mut client) = sent(reply);
        let answer = client.answer().unwrap();
        assert!(answer.status == status && answer.head.contains(&format!("\r\n{header}\r\n")), "{}", answer.head);
        assert_eq!(recorded(&collector), [(status, false); 2]);
    }
    let (_collector, mut client) = sent(Reply::RetryAfter(503, RetryAfter::DateIn(3600)));
    let answer = client.answer().unwrap();
    let date = answer.headers("retry-after")[0];
    let wait = DateTime::parse_from_rfc2822(date).unwrap().signed_duration_since(Utc::now());
    assert!((3500..=3600).contains(&wait.num_seconds()), "{date}");
}

#[test]
fn items_are_refused_by_index_and_the_rules_still_hold() {
    let collector = Collector::start().unwrap();
    collector.script(&[Reply::Partial(vec![(1, 500), (7, 429)])]);
    let old = envelope(KEY, "Old").replace(r#""time":"2"#, r#""time":"1"#);
    let body = [envelope(KEY, "First"), envelope(KEY, "Second"), old].join("\n");
    let answer = Client::connect(collector.port()).ask(post("/v2/track", STREAM, body));
    assert_eq!((answer.status, &answer.json()["itemsAccepted"]), (206, &1.into()));
    let indexes: Vec<_> = answer.json()["errors"].as_array().unwrap().iter().map(|e| e["index"].clone()).collect();
    assert_eq!((indexes, codes(&answer.json())), (vec![2.into(), 1.into(), 7.into()], vec![400, 500, 429]));
    assert_eq!(recorded(&collector), [(206, true), (206, false), (206, false)]);
    let accepted = collector.accepted_for(KEY);
    assert_eq!((accepted.len(), &accepted[0].envelope["data"]["baseData"]["name"]), (1, &"First".into()));
}

#[test]
fn connections_end_early_and_the_items_are_accepted_or_not() {
    for (reply, recording, ends) in [
        (Reply::Drop, (0, false), ""),
        (Reply::Lost, (0, true), ""),
        (Reply::Garbage, (0, false), "\x1b\x7f\r\n\r\n"),
        (Reply::Truncated, (200, true), &WHOLE[..WHOLE.len() / 2]),
    ] {
        let is_truncated = reply == Reply::Truncated;
        let (collector, mut client) = sent(reply);
        let text = String::from_utf8_lossy(&client.rest()).into_owned();
        assert!(text.ends_with(ends) && text.is_empty() == ends.is_empty(), "{text}");
        assert_eq!(text.starts_with("HTTP"), is_truncated, "{text}");
        assert_eq!(text.contains(&format!("\r\nContent-Length: {}\r\n", WHOLE.len())), is_truncated, "{text}");
        assert_eq!(recorded(&collector), [recording; 2]);
        // A client that tries again makes duplicates where the items were accepted.
        assert_eq!(Client::connect(collector.port()).ask(track(KEY, &["First", "Second"])).status, 200);
        assert_eq!(collector.accepted_for(KEY).len(), if recording.1 { 4 } else { 2 });
    }
}

#[test]
fn a_head_and_a_body_go_on_longer_than_any_client_reads() {
    for (reply, recording) in [(Reply::EndlessHead, (0, false)), (Reply::OversizedBody, (200, true))] {
        let endless = reply == Reply::EndlessHead;
        let (collector, mut client) = sent(reply);
        let mut read = vec![0; 1024 * 1024];
        client.stream().read_exact(&mut read).unwrap();
        let text = String::from_utf8(read).unwrap();
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"));
        assert_eq!(text.contains("\r\n\r\n"), !endless);
        assert_eq!(recorded(&collector), [recording; 2]);
        drop(client);
        assert_eq!(Client::connect(collector.port()).ask(track(KEY, &["Third"])).status, 200);
    }
}

#[test]
fn an_answer_comes_slowly_but_whole() {
    let (_collector, mut client) = sent(Reply::Slow(Duration::from_micros(1)));
    assert_eq!(client.answer().unwrap().body, WHOLE);
    assert_eq!(client.ask(track(KEY, &["Third"])).status, 200);
}

#[test]
fn a_held_request_goes_on_when_it_is_released() {
    for (reply, status) in [(Reply::hold(), 200), (Reply::Hold(Box::new(Reply::Status(503))), 503)] {
        let (collector, mut client) = sent(reply);
        assert_eq!(collector.wait_held(1, SOON), 1);
        // It has arrived, but nothing is decided, and others are served.
        assert_eq!((collector.requests(), collector.received().len()), (1, 0));
        assert_eq!(Client::connect(collector.port()).ask(track(KEY, &["Third"])).status, 200);
        assert!(client.silent());
        collector.release();
        assert_eq!(client.answer().unwrap().status, status);
        assert_eq!(recorded(&collector), [(200, true), (status, status == 200), (status, status == 200)]);
    }
}

#[test]
fn no_answer_comes_before_or_after_the_release() {
    let (collector, mut client) = sent(Reply::Silent);
    assert_eq!(collector.wait_held(1, SOON), 1);
    assert!(client.silent());
    assert_eq!(recorded(&collector), [(0, false); 2]);
    collector.release();
    assert!(client.ended());
    assert_eq!(collector.wait_held(0, Duration::ZERO), 0);
}

#[test]
fn the_end_does_not_wait_for_what_is_held_or_slow() {
    for reply in [Reply::hold(), Reply::Silent, Reply::Slow(NEVER)] {
        let (is_slow, (collector, mut client)) = (reply == Reply::Slow(NEVER), sent(reply));
        if is_slow {
            assert_eq!(collector.wait_for(None, 2, SOON).len(), 2);
        } else {
            assert_eq!(collector.wait_held(1, SOON), 1);
        }
        let started = Instant::now();
        drop(collector);
        assert!(started.elapsed() < SOON);
        assert!(!is_slow || client.rest().is_empty());
    }
}
