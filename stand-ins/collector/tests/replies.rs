//! Each reply over a real socket: what the client is told, and what was taken all the same.

mod common;

use std::io::Read;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use common::{Client, KEY, envelope, post, track};
use vms_collector::{Collector, Reply, RetryAfter};

const SOON: Duration = Duration::from_secs(30);
const NEVER: Duration = Duration::from_secs(3600);

/// Sends two items to a collector that replies so, and returns it with the connection.
fn sent(reply: Reply) -> (Collector, Client<TcpStream>) {
    let collector = Collector::start().unwrap();
    collector.script(&[reply]);
    let mut client = Client::connect(collector.port());
    client.send(&track(KEY, &["First", "Second"]));
    (collector, client)
}

/// Returns the status recorded with each item, and whether it was taken.
fn recorded(collector: &Collector) -> Vec<(u16, bool)> {
    collector.received().iter().map(|item| (item.status, item.accepted())).collect()
}

#[test]
fn a_status_takes_items_only_if_it_says_success() {
    for (status, accepted) in [
        (200, true),
        (400, false),
        (401, false),
        (402, false),
        (403, false),
        (404, false),
        (408, false),
        (413, false),
        (429, false),
        (439, false),
        (500, false),
        (502, false),
        (503, false),
        (504, false),
    ] {
        let (collector, mut client) = sent(Reply::Status(status));
        let answer = client.answer();
        assert_eq!(answer.status, status);
        assert_eq!(answer.json()["itemsReceived"], 2);
        assert_eq!(answer.json()["itemsAccepted"], if accepted { 2 } else { 0 });
        let codes: Vec<_> =
            answer.json()["errors"].as_array().unwrap().iter().map(|e| e["statusCode"].clone()).collect();
        assert_eq!(codes, vec![serde_json::json!(status); if accepted { 0 } else { 2 }]);
        assert_eq!(recorded(&collector), [(status, accepted); 2]);
        assert_eq!(collector.accepted_for(KEY).len(), if accepted { 2 } else { 0 });
        // The connection goes on, in normal service.
        assert_eq!(client.ask(&track(KEY, &["Third"])).status, 200);
        assert_eq!(collector.connections(), 1);
    }
}

#[test]
fn retry_after_comes_as_seconds_as_a_date_and_as_nonsense() {
    let date: DateTime<Utc> = "2026-11-24T12:00:00Z".parse().unwrap();
    for (when, line) in [
        (RetryAfter::Seconds(120), "\r\nRetry-After: 120\r\n"),
        (RetryAfter::Date(date), "\r\nRetry-After: Tue, 24 Nov 2026 12:00:00 GMT\r\n"),
        (RetryAfter::Text("soon".to_owned()), "\r\nRetry-After: soon\r\n"),
    ] {
        let (collector, mut client) = sent(Reply::RetryAfter(429, when));
        let answer = client.answer();
        assert!(answer.status == 429 && answer.head.contains(line), "{}", answer.head);
        assert_eq!(recorded(&collector), [(429, false); 2]);
    }
    let (_collector, mut client) = sent(Reply::RetryAfter(503, RetryAfter::DateIn(3600)));
    let head = client.answer().head;
    let date = head.lines().find_map(|line| line.strip_prefix("Retry-After: ")).unwrap();
    let wait = DateTime::parse_from_rfc2822(date).unwrap().signed_duration_since(Utc::now());
    assert!((3500..=3600).contains(&wait.num_seconds()), "{date}");
}

#[test]
fn a_body_is_sent_as_it_is() {
    let (collector, mut client) = sent(Reply::Body(200, "<html>Log in</html>".to_owned()));
    let answer = client.answer();
    assert!(answer.head.contains("Content-Type: text/html"));
    assert_eq!(answer.body, "<html>Log in</html>");
    assert_eq!(recorded(&collector), [(200, true); 2]);
}

#[test]
fn items_are_refused_by_index_and_the_rules_still_hold() {
    let collector = Collector::start().unwrap();
    collector.script(&[Reply::Partial(vec![(1, 500), (7, 429)])]);
    let old = envelope(KEY, "Old").replace(r#""time":"2"#, r#""time":"1"#);
    let body = [envelope(KEY, "First"), envelope(KEY, "Second"), old].join("\n");
    let request = post("/v2/track", "Content-Type: application/x-json-stream\r\n", body.as_bytes());
    let answer = Client::connect(collector.port()).ask(&request);
    let errors: Vec<_> = answer.json()["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| (e["index"].clone(), e["statusCode"].clone()))
        .collect();
    assert_eq!((answer.status, &answer.json()["itemsAccepted"]), (206, &1.into()));
    assert_eq!(errors, [(2.into(), 400.into()), (1.into(), 500.into()), (7.into(), 429.into())]);
    assert_eq!(recorded(&collector), [(206, true), (206, false), (206, false)]);
    let taken = collector.accepted_for(KEY);
    assert_eq!((taken.len(), &taken[0].envelope["data"]["baseData"]["name"]), (1, &"First".into()));
}

#[test]
fn a_redirect_names_another_collector() {
    let other = Collector::start().unwrap();
    for status in [307, 308] {
        let target = format!("{}v2.1/track", other.url());
        let (collector, mut client) = sent(Reply::Redirect(status, target.clone()));
        let answer = client.answer();
        assert!(answer.status == status && answer.head.contains(&format!("\r\nLocation: {target}\r\n")));
        assert_eq!(recorded(&collector), [(status, false); 2]);
    }
}

#[test]
fn an_answer_is_cut_in_its_body() {
    let (collector, mut client) = sent(Reply::Truncated);
    let text = String::from_utf8(client.rest()).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let whole = r#"{"itemsReceived":2,"itemsAccepted":2,"errors":[]}"#;
    assert!(head.ends_with(&format!("Content-Length: {}", whole.len())));
    assert_eq!(body, &whole[..whole.len() / 2]);
    assert_eq!(recorded(&collector), [(200, true); 2]);
}

#[test]
fn an_answer_comes_slowly_but_whole_and_the_end_does_not_wait_for_it() {
    let (collector, mut client) = sent(Reply::Slow(Duration::from_micros(1)));
    assert_eq!(client.answer().body, r#"{"itemsReceived":2,"itemsAccepted":2,"errors":[]}"#);
    assert_eq!(client.ask(&track(KEY, &["Third"])).status, 200);

    collector.script(&[Reply::Slow(NEVER)]);
    client.send(&track(KEY, &["Fourth"]));
    assert_eq!(collector.wait_for(None, 4, SOON).len(), 4);
    let started = Instant::now();
    drop(collector);
    assert!(started.elapsed() < SOON && client.rest().is_empty());
}

#[test]
fn no_answer_comes_until_the_release() {
    let (collector, mut client) = sent(Reply::Silent);
    assert_eq!(collector.wait_held(1, SOON), 1);
    assert!(client.silent());
    assert_eq!(recorded(&collector), [(0, false); 2]);
    collector.release();
    assert!(client.ended());
    assert_eq!(collector.wait_held(0, Duration::ZERO), 0);
}

#[test]
fn a_connection_is_closed_without_an_answer_and_the_items_are_taken_or_not() {
    for (reply, accepted) in [(Reply::Drop, false), (Reply::Lost, true)] {
        let (collector, mut client) = sent(reply);
        assert!(client.ended());
        assert_eq!(recorded(&collector), [(0, accepted); 2]);
    }
}

#[test]
fn a_lost_answer_makes_duplicates() {
    let (collector, mut client) = sent(Reply::Lost);
    assert!(client.ended());
    assert_eq!(Client::connect(collector.port()).ask(&track(KEY, &["First", "Second"])).status, 200);
    assert_eq!(collector.accepted_for(KEY).len(), 4);
}

#[test]
fn an_answer_need_not_be_http() {
    let (collector, mut client) = sent(Reply::Garbage);
    let bytes = client.rest();
    assert!(!bytes.is_empty() && !bytes.starts_with(b"HTTP"));
    assert_eq!(recorded(&collector), [(0, false); 2]);
}

#[test]
fn a_head_and_a_body_go_on_longer_than_anybody_reads() {
    for (reply, recording) in [(Reply::EndlessHead, (0, false)), (Reply::OversizedBody, (200, true))] {
        let endless = reply == Reply::EndlessHead;
        let (collector, client) = sent(reply);
        let mut read = vec![0; 1024 * 1024];
        client.into_inner().read_exact(&mut read).unwrap();
        let text = String::from_utf8(read).unwrap();
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"));
        assert_eq!(text.contains("\r\n\r\n"), !endless);
        assert_eq!(recorded(&collector), [recording; 2]);
        // That client is gone, and the collector goes on.
        assert_eq!(Client::connect(collector.port()).ask(&track(KEY, &["Third"])).status, 200);
    }
}

#[test]
fn a_held_request_goes_on_when_it_is_released() {
    for (reply, status) in [(Reply::hold(), 200), (Reply::Hold(Box::new(Reply::Status(503))), 503)] {
        let (collector, mut client) = sent(reply);
        assert_eq!(collector.wait_held(1, SOON), 1);
        // It has arrived, but nothing is decided, and others are served.
        assert_eq!((collector.requests(), collector.received().len()), (1, 0));
        assert_eq!(Client::connect(collector.port()).ask(&track(KEY, &["Third"])).status, 200);
        assert!(client.silent());
        collector.release();
        assert_eq!(client.answer().status, status);
        assert_eq!(recorded(&collector), [(200, true), (status, status == 200), (status, status == 200)]);
    }
}

#[test]
fn the_end_does_not_wait_for_what_is_held() {
    for reply in [Reply::hold(), Reply::Silent] {
        let (collector, mut client) = sent(reply);
        assert_eq!(collector.wait_held(1, SOON), 1);
        let started = Instant::now();
        drop(collector);
        assert!(started.elapsed() < SOON);
        let _ = client.rest();
    }
}
