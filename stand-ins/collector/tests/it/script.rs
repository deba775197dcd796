//! Scripts from a test and over HTTP: whose turn it is, and how tests that run side by side keep out of each other's way.

use std::thread;
use std::time::Duration;

use vms_collector::{Collector, Reply, Script};

use crate::common::{Client, KEY, OTHER_KEY, SOON, post, track};

fn status(collector: &Collector, ikey: &str) -> u16 {
    Client::connect(collector.port()).ask(track(ikey, &["Event"])).status
}

/// Posts the text and returns the status and the body.
fn plan(collector: &Collector, target: &str, text: &str) -> (u16, String) {
    let answer = Client::connect(collector.port()).ask(post(target, "", text));
    (answer.status, answer.body)
}

#[test]
fn replies_come_in_order_then_the_standing_one_then_normal_service() {
    let collector = Collector::start().unwrap();
    collector.always(Reply::Status(500));
    collector.script(&[Reply::Status(503), Reply::Normal]);
    collector.script(&[Reply::Status(429)]);
    let statuses: Vec<u16> = (0..5).map(|_| status(&collector, KEY)).collect();
    assert_eq!(statuses, [503, 200, 429, 500, 500]);
    collector.always(Reply::Status(402));
    assert_eq!(status(&collector, KEY), 402);
    collector.script(&[Reply::Status(503)]);
    collector.normal();
    assert_eq!(status(&collector, KEY), 200);
    assert_eq!(collector.requests(), 7);
    assert_eq!(collector.accepted_for(KEY).len(), 2);
    assert_eq!(collector.wait_for(Some(KEY), 7, SOON).len(), 7);
}

#[test]
fn a_builder_begins_with_a_script() {
    let script: Script = "503*2,ok".parse().unwrap();
    let collector = Collector::builder().script(script).start().unwrap();
    let statuses: Vec<u16> = (0..4).map(|_| status(&collector, KEY)).collect();
    assert_eq!(statuses, [503, 503, 200, 200]);
}

#[test]
fn each_key_has_its_own_replies_over_http() {
    let collector = Collector::start().unwrap();
    let own = format!("/script?ikey={}", KEY.to_uppercase());
    assert_eq!(plan(&collector, &own, "503,429:120\n"), (200, "2".to_owned()));
    assert_eq!(plan(&collector, "/script", "500"), (200, "1".to_owned()));
    assert_eq!(status(&collector, OTHER_KEY), 500);
    assert_eq!(status(&collector, OTHER_KEY), 200);
    let statuses: Vec<u16> = (0..3).map(|_| status(&collector, KEY)).collect();
    assert_eq!(statuses, [503, 429, 200]);

    assert_eq!(plan(&collector, &own, "503*"), (200, "0".to_owned()));
    assert_eq!((status(&collector, KEY), status(&collector, OTHER_KEY)), (503, 200));
    assert_eq!(plan(&collector, &own, ""), (200, "0".to_owned()));
    assert_eq!(status(&collector, KEY), 200);

    let mut client = Client::connect(collector.port());
    assert_eq!(client.get("/requests").body, "8");
    assert_eq!(client.get(&format!("/requests?ikey={KEY}&count=5&timeout=30")).body, "5");
    let taken = client.get(&format!("/received?ikey={KEY}&accepted=true")).body;
    assert_eq!(taken.lines().count(), 2);
}

#[test]
fn held_requests_of_a_key_are_released_over_http() {
    let collector = Collector::start().unwrap();
    collector.script(&[Reply::hold(), Reply::hold()]);
    let mut first = Client::connect(collector.port());
    first.send(track(KEY, &["First"]));
    let mut second = Client::connect(collector.port());
    second.send(track(OTHER_KEY, &["Second"]));
    let mut control = Client::connect(collector.port());
    assert_eq!(control.get("/held?count=2&timeout=30").body, "2");
    assert_eq!(plan(&collector, &format!("/release?ikey={KEY}"), ""), (200, "1".to_owned()));
    assert_eq!(first.answer().unwrap().status, 200);
    assert_eq!((control.get("/held").body.as_str(), second.silent()), ("1", true));
    assert_eq!(control.get(&format!("/held?ikey={KEY}")).body, "0");
    assert_eq!(plan(&collector, "/release", ""), (200, "1".to_owned()));
    assert_eq!(second.answer().unwrap().status, 200);
}

#[test]
fn waiting_ends_with_the_request_and_with_the_item_that_was_taken() {
    let collector = Collector::start().unwrap();
    collector.script(&[Reply::Status(503), Reply::Drop]);
    thread::scope(|scope| {
        let requests = scope.spawn(|| collector.wait_for_requests(3, SOON));
        let accepted = scope.spawn(|| collector.wait_for_accepted(Some(KEY), 1, SOON));
        assert_eq!(status(&collector, KEY), 503);
        let mut client = Client::connect(collector.port());
        client.send(track(KEY, &["Event"]));
        assert!(client.ended());
        assert_eq!(status(&collector, KEY), 200);
        assert_eq!(requests.join().unwrap(), 3);
        assert_eq!(accepted.join().unwrap()[0].request, 3);
    });
    assert_eq!(collector.wait_for_requests(4, Duration::from_millis(1)), 3);
    assert_eq!(collector.wait_held(1, Duration::from_millis(1)), 0);
}

#[test]
fn what_is_not_understood_is_refused_and_changes_nothing() {
    let collector = Collector::start().unwrap();
    let (code, body) = plan(&collector, "/script", "503,often");
    assert!(code == 400 && body.contains("`often` is not understood"), "{body}");
    assert_eq!(plan(&collector, "/script?ikey=1", "503").0, 400);
    assert_eq!(plan(&collector, "/script?count=1", "503").0, 400);
    let mut client = Client::connect(collector.port());
    for target in ["/script", "/release"] {
        assert_eq!(client.get(target).status, 405);
    }
    for target in ["/requests?accepted=true", "/held?x=1", "/received?accepted=maybe"] {
        assert_eq!(client.get(target).status, 400);
    }
    assert_eq!(status(&collector, KEY), 200);
}
