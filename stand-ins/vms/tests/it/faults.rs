//! What goes wrong on purpose.

use std::time::{Duration, Instant};

use vms_demo::{Config, DemoVms, Effect, Fault};

use crate::common::{SOON, array, config, connect, logged_on, rest, start};

const SITES: &str = "/api/rest/v1/sites";

fn fault(effect: Effect) -> Fault {
    Fault { path: SITES.to_owned(), effect: Some(effect), ..Fault::default() }
}

fn faulty(fault: Fault) -> DemoVms {
    start(Config { faults: vec![fault], ..config() })
}

#[test]
fn an_answer_is_cut_at_the_byte_that_is_named() {
    for bytes in [0, 1, 20, 300] {
        let vms = faulty(fault(Effect::CloseAfter(bytes)));
        let mut client = logged_on(&vms);
        client.send_get(SITES);
        assert_eq!(client.rest().len() as u64, bytes);
        assert_eq!(rest(&mut logged_on(&vms), "childSites").status, 200);
    }
}

#[test]
fn answers_are_replaced_redirected_swollen_and_slow() {
    let other = Effect::Answer { status: 502, content_type: "text/html".to_owned(), body: "<html>".to_owned() };
    let vms = faulty(fault(other));
    let mut client = logged_on(&vms);
    let answer = rest(&mut client, "sites");
    assert_eq!((answer.status, answer.body.as_str()), (502, "<html>"));

    vms.set_faults(vec![fault(Effect::Redirect("http://127.0.0.1:9/elsewhere".to_owned()))]);
    let answer = rest(&mut client, "SITES/");
    assert_eq!((answer.status, answer.headers("location")), (307, vec!["http://127.0.0.1:9/elsewhere"]));

    vms.set_faults(vec![fault(Effect::HugeHeader(100_000))]);
    let answer = rest(&mut client, "sites");
    assert_eq!((answer.headers("x-demo-filling")[0].len(), array(&answer).len()), (100_000, 1));

    for (text, bytes) in [("[", 3_000_001), ("æ,", 10), ("x", 0), ("", 5)] {
        vms.set_faults(vec![fault(Effect::Repeat { text: text.to_owned(), bytes })]);
        let mut client = connect(&vms);
        // To a client of HTTP/1.0 a body goes on until the connection ends.
        client.send(format!("GET {SITES} HTTP/1.0\r\n\r\n"));
        let all = client.rest();
        let body = all.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
        assert_eq!((all.len() - body) as u64, if text.is_empty() { 0 } else { bytes });
    }
    vms.set_faults(vec![Fault { delay_ms: 10, ..fault(Effect::Slow(1)) }]);
    assert_eq!(array(&rest(&mut client, "sites")).len(), 1);
    vms.set_faults(Vec::new());
    assert_eq!(array(&rest(&mut client, "sites")).len(), 1);
}

#[test]
fn requests_are_held_until_they_are_released() {
    let vms = faulty(Fault { path: "/api/*".to_owned(), times: Some(3), hold: true, ..Fault::default() });
    let (mut first, mut second) = (connect(&vms), connect(&vms));
    first.send_get(SITES);
    second.send_get("/api/.well-known/uris");
    assert_eq!(vms.wait_held(None, 2, SOON), 2);
    // They are recorded, and others are served.
    assert_eq!((vms.received().len(), connect(&vms).get("/elsewhere").status), (2, 404));
    assert!(first.silent() && second.silent());
    assert_eq!((vms.release(Some("/API/.well-known/uris")), second.answer().unwrap().status), (1, 200));
    assert!(first.silent());
    assert_eq!((vms.release(None), first.answer().unwrap().status), (1, 401));
    first.send_get(SITES);
    assert_eq!(vms.wait_held(Some(SITES), 1, SOON), 1);
    let begin = Instant::now();
    drop(vms);
    assert!(begin.elapsed() < SOON);
}

#[test]
fn the_end_does_not_wait_for_a_delay() {
    let vms = faulty(Fault { path: "/*".to_owned(), delay_ms: 600_000, ..Fault::default() });
    let mut client = connect(&vms);
    client.send_get("/");
    assert_eq!(vms.wait_for(Some("/"), 1, SOON).len(), 1);
    let begin = Instant::now();
    drop(vms);
    assert!(begin.elapsed() < Duration::from_secs(60) && client.rest().is_empty());
}

#[test]
fn faults_hit_the_requests_that_they_are_meant_for() {
    let status = |status| Effect::Answer { status, content_type: "text/plain".to_owned(), body: String::new() };
    let vms = faulty(Fault { path: "/API/rest/*".to_owned(), skip: 1, times: Some(2), ..fault(status(503)) });
    let mut client = logged_on(&vms);
    assert_eq!([0; 5].map(|_| rest(&mut client, "sites").status), [200, 503, 503, 200, 200]);
    vms.set_faults(vec![fault(status(500)), fault(status(501))]);
    assert_eq!((rest(&mut client, "sites").status, rest(&mut client, "cameras").status), (500, 200));
}
