//! What goes wrong on purpose, and what clients send by mistake.

mod common;

use std::time::{Duration, Instant};

use common::{Client, config};
use vms_demo::{Config, DemoVms, Effect, Fault};

const SITES: &str = "/api/rest/v1/sites";

fn fault(effect: Effect) -> Fault {
    Fault { path: SITES.to_owned(), effect: Some(effect), ..Fault::default() }
}

fn start(fault: Fault) -> DemoVms {
    DemoVms::start(Config { faults: vec![fault], ..config() }).unwrap()
}

#[test]
fn an_answer_is_cut_at_the_byte_that_is_named() {
    for bytes in [0, 1, 20, 300] {
        let vms = start(fault(Effect::CloseAfter(bytes)));
        let mut client = Client::logged_on(&vms);
        let token = client.token.clone().unwrap();
        client.send(&format!("GET {SITES} HTTP/1.1\r\nAuthorization: Bearer {token}\r\n\r\n"));
        assert_eq!(client.rest_of_connection().len() as u64, bytes);
        assert_eq!(Client::logged_on(&vms).rest("childSites").status, 200);
    }
}

#[test]
fn answers_are_replaced_redirected_and_swollen() {
    let other = Effect::Answer { status: 502, content_type: "text/html".to_owned(), body: "<html>".to_owned() };
    let vms = start(fault(other));
    let mut client = Client::logged_on(&vms);
    let answer = client.rest("sites");
    assert_eq!((answer.status, answer.body.as_str()), (502, "<html>"));

    vms.set_faults(vec![fault(Effect::Redirect("http://127.0.0.1:9/elsewhere".to_owned()))]);
    let answer = client.rest("SITES/");
    assert_eq!((answer.status, answer.headers("location")), (307, vec!["http://127.0.0.1:9/elsewhere"]));

    vms.set_faults(vec![fault(Effect::HugeHeader(100_000))]);
    let answer = client.rest("sites");
    assert_eq!((answer.headers("x-demo-filling")[0].len(), answer.array().len()), (100_000, 1));

    for (text, bytes) in [("[", 3_000_001), ("æ,", 10), ("x", 0), ("", 5)] {
        vms.set_faults(vec![fault(Effect::Repeat { text: text.to_owned(), bytes })]);
        let token = client.token.clone().unwrap();
        // One byte less or more may tear a character, so this is read as bytes.
        client.send(&format!("GET {SITES} HTTP/1.0\r\nAuthorization: Bearer {token}\r\n\r\n"));
        let all = client.rest_of_connection();
        let body = all.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
        assert_eq!((all.len() - body) as u64, if text.is_empty() { 0 } else { bytes });
        let token = client.token.take();
        client = Client::connect(&vms);
        client.token = token;
    }
    vms.set_faults(Vec::new());
    assert_eq!(client.rest("sites").array().len(), 1);
}

#[test]
fn answers_wait_and_trickle_without_holding_up_the_end() {
    let vms = start(Fault { delay_ms: 60, ..fault(Effect::Slow(1)) });
    let mut client = Client::logged_on(&vms);
    let begin = Instant::now();
    assert_eq!(client.rest("sites").array().len(), 1);
    assert!(begin.elapsed() > Duration::from_millis(60 + 300));

    vms.set_faults(vec![Fault { path: "/*".to_owned(), delay_ms: 600_000, ..Fault::default() }]);
    client.send("GET / HTTP/1.1\r\n\r\n");
    assert_eq!(vms.wait_for(Some("/"), 1, Duration::from_secs(10)).len(), 1);
    let begin = Instant::now();
    drop(vms);
    assert!(begin.elapsed() < Duration::from_secs(10));
}

#[test]
fn faults_hit_the_requests_that_they_are_meant_for() {
    let status = |status| Effect::Answer { status, content_type: "text/plain".to_owned(), body: String::new() };
    let vms = start(Fault { path: "/API/rest/*".to_owned(), skip: 1, times: Some(2), ..fault(status(503)) });
    let mut client = Client::logged_on(&vms);
    assert_eq!([0; 5].map(|_| client.rest("sites").status), [200, 503, 503, 200, 200]);
    let both = [fault(status(500)), fault(status(501))];
    vms.set_faults(both.to_vec());
    assert_eq!((client.rest("sites").status, client.rest("cameras").status), (500, 200));
}

#[test]
fn garbage_is_refused_and_the_next_client_served() {
    let vms = DemoVms::start(config()).unwrap();
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(70_000));
    for (text, status) in [
        ("\0\r\n\r\n", "400"),
        ("GET\r\n\r\n", "400"),
        (&long, "431"),
        ("POST / HTTP/1.1\r\nContent-Length: 999999999\r\n\r\n", "413"),
        ("POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "400"),
        ("POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "400"),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "400"),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n", "413"),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", "501"),
    ] {
        let mut client = Client::connect(&vms);
        client.send(text);
        let answer = String::from_utf8(client.rest_of_connection()).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{text:.60}: {answer}");
    }
    let mut client = Client::connect(&vms);
    for target in ["//", "/api/rest/v1", "/api/rest/v1//%00/%ff", "/idp", "/%", "*", "/api/rest/v1/a/b/c/d/e"] {
        assert!(client.get(target).status >= 400, "{target}");
    }
    let form = "grant_type=password&username=reader&password=p%26w%3D1+%2B%25&client_id=VmsClient";
    let (a, b) = form.split_at(20);
    let chunked = format!("14\r\n{a}\r\n{:x}\r\n{b}\r\n0\r\n\r\n", b.len());
    let head = "POST /idp/connect/token HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded; charset=utf-8\r\n";
    client.send(&format!("{head}Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n{chunked}"));
    let (interim, token) = (client.answer().unwrap(), client.answer().unwrap());
    assert_eq!((interim.status, token.status), (100, 200));
}
