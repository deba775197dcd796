//! Over a real socket: what a client sends, what it is answered and what is kept.

use std::thread;
use std::time::{Duration, Instant};

use vms_collector::Collector;

use crate::common::{Client, JSON, KEY, OTHER_KEY, SOON, STREAM, envelope, gzip, post};

#[test]
fn a_gzip_stream_is_answered_and_kept_as_it_came() {
    let collector = Collector::start().unwrap();
    let text = format!("{}\n{}", envelope(KEY, "First"), envelope(KEY, "Second"));
    let body = gzip(&text);
    let headers = format!("{STREAM}Content-Encoding: gzip\r\nUser-Agent: test/1\r\nX-a: 1\r\nX-a: 2\r\n");
    let answer = Client::connect(collector.port()).ask(post("/v2/track?x=1", &headers, &body));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body, r#"{"itemsReceived":2,"itemsAccepted":2,"errors":[]}"#);

    let items = collector.received();
    let second = &items[1];
    assert_eq!((items.len(), second.sequence, second.request, second.items), (2, 2, 1, 2));
    assert_eq!((second.wire_bytes, second.plain_bytes, second.status), (body.len(), text.len(), 200));
    assert_eq!((second.path.as_str(), second.query.as_str(), second.ikey()), ("/v2/track", "x=1", KEY));
    assert_eq!((second.header("User-Agent"), second.header("content-encoding")), ("test/1", "gzip"));
    assert!(second.accepted());
    assert!(text.ends_with(&second.envelope.to_string()));

    let line = second.to_json();
    let members: Vec<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        members.join(" "),
        "at request path query status accepted refusal contentType contentEncoding userAgent wireBytes plainBytes items \
         headers envelope"
    );
    assert_eq!(line["headers"]["X-a"], "1, 2");
}

#[test]
fn a_chunked_body_is_put_together() {
    let collector = Collector::start().unwrap();
    let text = envelope(KEY, "Chunked");
    let (first, second) = text.split_at(100);
    let head = format!("POST /v2.1/track HTTP/1.1\r\nHost: localhost\r\n{JSON}Transfer-Encoding: chunked\r\n\r\n");
    let chunks = format!("64\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n", second.len());
    assert_eq!(Client::connect(collector.port()).ask((head + &chunks).as_bytes()).status, 200);
    assert_eq!(collector.received()[0].wire_bytes, text.len());
}

#[test]
fn one_connection_takes_several_requests() {
    let collector = Collector::start().unwrap();
    assert_eq!(collector.connections(), 0);
    let mut client = Client::connect(collector.port());
    for event in ["First", "Second"] {
        assert_eq!(client.ask(post("/v2.1/track", JSON, envelope(KEY, event))).status, 200);
    }
    let last = format!("{JSON}Connection: close\r\n");
    assert!(client.ask(post("/v2.1/track", &last, b"")).head.contains("Connection: close"));
    assert!(client.ended());
    assert_eq!(collector.connections(), 1);
    assert_eq!(collector.received().iter().map(|item| item.request).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn refused_items_are_named_by_index_and_kept_with_the_reason() {
    let collector = Collector::start().unwrap();
    let old = envelope(KEY, "Old").replace(r#""time":"2"#, r#""time":"1"#);
    let body = format!("[{},{old}]", envelope(KEY, "New"));
    let answer = Client::connect(collector.port()).ask(post("/v2.1/track", JSON, body));
    assert_eq!(answer.status, 206);
    assert_eq!(answer.json()["itemsAccepted"], 1);
    assert_eq!(answer.json()["errors"][0]["index"], 1);
    assert_eq!(answer.json()["errors"][0]["statusCode"], 400);

    let items = collector.received();
    assert_eq!(items.iter().map(|item| item.accepted()).collect::<Vec<_>>(), [true, false]);
    assert!(items[1].refusal.as_ref().unwrap().contains("now - 172800000ms"));
    assert_eq!(items[1].to_json()["refusal"], answer.json()["errors"][0]["message"]);
}

#[test]
fn a_body_that_cannot_be_read_is_kept_as_refused() {
    let collector = Collector::start().unwrap();
    let headers = format!("{STREAM}Content-Encoding: gzip\r\n");
    assert_eq!(Client::connect(collector.port()).ask(post("/v2/track", &headers, b"no gzip")).status, 400);
    let items = collector.received();
    assert_eq!((items.len(), items[0].items, items[0].wire_bytes), (1, 0, 7));
    assert!(items[0].envelope.is_null() && !items[0].accepted());
}

#[test]
fn an_oversized_body_is_refused_and_the_answer_arrives() {
    let collector = Collector::start().unwrap();
    let mut client = Client::connect(collector.port());
    // Sent in full before the answer is read, as a simple client does.
    assert_eq!(client.ask(post("/v2/track", STREAM, vec![b' '; 4 * 1024 * 1024 + 1])).status, 413);
    assert!(client.ended());
    assert!(collector.received().is_empty());
}

#[test]
fn a_body_is_asked_for_when_the_client_waits_for_that() {
    let collector = Collector::start().unwrap();
    let body = envelope(KEY, "Expected");
    let request = post("/v2.1/track", &format!("{JSON}Expect: 100-continue\r\n"), body.as_bytes());
    let (head, body) = request.split_at(request.len() - body.len());
    let mut client = Client::connect(collector.port());
    assert_eq!(client.ask(head).head, "HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(client.ask(body).status, 200);
}

#[test]
fn other_paths_methods_and_queries_are_refused() {
    let collector = Collector::start().unwrap();
    let mut client = Client::connect(collector.port());
    let method = client.get("/v2/track");
    assert!(method.status == 405 && method.head.contains("Allow: POST"));
    assert_eq!(client.ask(post("/received", "", b"")).status, 405);
    assert_eq!(client.get("/v3/track").status, 404);
    assert_eq!(client.ask(post("/v2/track", "Content-Type: text/plain\r\n", b"x")).status, 415);
    for query in ["ikey=1", "count=x", "timeout=x", "timeout=-1", "timeout=NaN", "other=1", "count"] {
        assert_eq!(client.get(&format!("/received?{query}")).status, 400, "{query}");
    }
}

#[test]
fn waiting_ends_when_the_items_of_that_key_have_arrived() {
    let collector = Collector::start().unwrap();
    let port = collector.port();
    let query = format!("/received?ikey={}&count=2&timeout=600", KEY.to_uppercase());
    thread::scope(|scope| {
        let waiting = scope.spawn(move || Client::connect(port).get(&query));
        let waiting_inside = scope.spawn(|| collector.wait_for(Some(KEY), 2, SOON));
        let mut client = Client::connect(port);
        for (key, event) in [(KEY, "First"), (OTHER_KEY, "Foreign"), (KEY, "Second")] {
            client.ask(post("/v2.1/track", JSON, envelope(key, event)));
        }
        let answer = waiting.join().unwrap();
        let lines: Vec<serde_json::Value> =
            answer.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let names: Vec<_> = lines.iter().map(|line| &line["envelope"]["data"]["baseData"]["name"]).collect();
        assert_eq!((answer.status, names), (200, vec![&"First".into(), &"Second".into()]));
        assert_eq!(waiting_inside.join().unwrap().len(), 2);
    });
    assert_eq!(Client::connect(port).get("/received").body.lines().count(), 3);
}

#[test]
fn waiting_ends_when_its_time_is_over() {
    let collector = Collector::start().unwrap();
    let answer = Client::connect(collector.port()).get("/received?count=1&timeout=0.05");
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    assert!(collector.wait_for(None, 1, Duration::from_millis(1)).is_empty());
}

#[test]
fn one_connection_too_many_is_closed_and_counted() {
    let collector = Collector::start().unwrap();
    let open: Vec<_> = (0..128).map(|_| Client::connect(collector.port())).collect();
    assert!(Client::connect(collector.port()).ended());
    assert_eq!(collector.connections(), 129);
    drop(open);
}

#[test]
fn dropping_ends_connections_and_waits_and_frees_the_port() {
    let collector = Collector::start().unwrap();
    let port = collector.port();
    let mut idle = Client::connect(port);
    assert_eq!(idle.get("/received").status, 200);
    let mut waiting = Client::connect(port);
    waiting.send(b"GET /received?count=1&timeout=600 HTTP/1.1\r\n\r\n");
    let started = Instant::now();
    drop(collector);
    assert!(started.elapsed() < SOON);
    assert!(idle.ended());
    // A program that another test starts at this moment has a copy of the socket until it runs.
    let again = loop {
        match Collector::builder().port(port).start() {
            Ok(again) => break again,
            Err(error) => assert!(started.elapsed() < SOON, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    assert_eq!(again.port(), port);
}
