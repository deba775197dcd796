//! What both HTTP clients share: whose fault an error is, who is exempt from the proxy, and that nothing begins without
//! consent (P7, D5, C10).

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::common::net::unknown_name;
use ureq::{Agent, Proxy};
use vms_collector::Collector;
use vms_collector::tls::{Authority, Leaf};
use vms_telemetry::gate::{Gate, NoConsent};
use vms_telemetry::http::{Description, Kind, Settings, agent, describe};

fn settings(proxy: Option<&str>) -> Settings {
    Settings {
        connect_timeout: Duration::from_secs(2),
        buffer_size: 16 * 1024,
        idle_connections: 1,
        proxy: proxy.map(|proxy| Proxy::new(proxy).unwrap()),
        skips_certificate_check: false,
        gate: None,
        tls_version: Arc::default(),
    }
}

/// Asks an address in vain.
fn failure(address: &str, proxy: Option<&str>) -> Description {
    let agent = agent(settings(proxy));
    let error = agent.get(address).call().and_then(|mut response| response.body_mut().read_to_vec()).unwrap_err();
    describe(&error, proxy.is_some())
}

/// Starts a server that answers whatever it is asked with these bytes, and returns its authority.
fn answering(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream: TcpStream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer);
            // Closing on unread bytes would reset the connection.
            let _ = stream.shutdown(Shutdown::Write);
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        }
    });
    authority
}

/// P7, F6: what happened, and to whom. Reasons hold no name.
#[test]
fn p7_each_error_has_its_reason() {
    let unknown = unknown_name();
    let closed = vms_collector::closed_port().unwrap();
    let closed = closed.url().trim_end_matches('/').to_owned();
    let silent = vms_collector::black_hole().unwrap();
    let silent_url = silent.url();
    let page = answering(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    let refusing = answering(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
    let socks = answering(b"\x05\x00\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00");
    let http = |authority: &str| format!("http://{authority}");
    let https = |authority: &str| format!("https://{authority}");
    let table = [
        (http(&unknown), None, Kind::NameNotFound, "the name of the server was not found"),
        ("http://a.example".into(), Some(http(&unknown)), Kind::NameNotFound, "the name of the proxy was not found"),
        (
            "http://a.example".into(),
            Some(format!("socks5h://{unknown}")),
            Kind::NameNotFound,
            "the name of the proxy was not found",
        ),
        (closed.clone(), None, Kind::Refused, "the server refused the connection"),
        ("http://a.example".into(), Some(closed), Kind::Refused, "the proxy refused the connection"),
        (silent_url.clone(), None, Kind::Silent, "the server does not answer"),
        ("http://a.example".into(), Some(silent_url), Kind::Silent, "the proxy does not answer"),
        (http(&answering(b"")), None, Kind::CutOff, "the connection was cut off"),
        (https(&page), None, Kind::NotTls, "the server does not use TLS on this port"),
        (
            "https://a.example".into(),
            Some(http(&refusing)),
            Kind::Proxy,
            "the proxy did not connect to the server (HTTP 407)",
        ),
        (
            "https://a.example".into(),
            Some(format!("socks5h://{socks}")),
            Kind::Proxy,
            "the proxy did not connect to the server",
        ),
        (http(&answering(b"SSH-2.0-x\r\n\r\n")), None, Kind::Response, "the response is not HTTP"),
    ];
    for (address, proxy, kind, reason) in table {
        // Windows itself refuses after two seconds of its own attempts.
        if cfg!(windows) && kind == Kind::Silent {
            continue;
        }
        let found = failure(&address, proxy.as_deref());
        assert_eq!((found.kind, found.reason.as_str()), (kind, reason), "{address} {proxy:?}");
    }
}

/// P7: what a test cannot bring about without a network, or without spoiling other tests.
#[test]
fn p7_errors_of_the_system() {
    let too_many_files = std::io::Error::from_raw_os_error(if cfg!(windows) { 10_024 } else { 24 });
    let table = [
        (ErrorKind::HostUnreachable.into(), Kind::NoRoute, "there is no route to the server"),
        (ErrorKind::NetworkUnreachable.into(), Kind::NoRoute, "there is no route to the server"),
        (ErrorKind::ConnectionReset.into(), Kind::CutOff, "the connection was cut off"),
        (ErrorKind::TimedOut.into(), Kind::Timeout, "no response came in time"),
        (too_many_files, Kind::Resources, "this process has too many open files"),
    ];
    for (error, kind, reason) in table {
        let found = describe(&ureq::Error::Io(error), false);
        assert_eq!((found.kind, found.reason.as_str(), found.details), (kind, reason, None));
    }
}

/// P7, E5: a refused certificate has its reason, and names are in the details alone.
#[test]
fn p7_e5_a_refused_certificate_is_described_and_its_reason_has_no_names() {
    let authority = Authority::new().unwrap();
    let collector = Collector::builder().tls(authority.server(Leaf::Good).unwrap()).start().unwrap();
    let found = failure(&collector.url(), None);
    assert_eq!(found.kind, Kind::Certificate);
    assert_eq!(found.reason, "the server's certificate was refused: this computer does not trust its issuer");
    let details = found.details.unwrap();
    for part in [
        "issued to CN=VMS Collector by CN=VMS Collector test authority",
        "is for localhost, 127.0.0.1",
        "until",
        "SHA-256",
    ] {
        assert!(details.contains(part), "{details}");
    }
    let unchecked = agent(Settings { skips_certificate_check: true, ..settings(None) });
    assert!(unchecked.get(collector.url()).call().is_ok());
}

/// C10: a gate that is closed, and a count of how often it was asked.
fn asked(open: usize) -> (Agent, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let asked = count.clone();
    let gate = Gate::new(move || {
        if count.fetch_add(1, Ordering::SeqCst) < open {
            Ok(tempfile::tempfile().unwrap())
        } else {
            Err(NoConsent::Withdrawn)
        }
    });
    (agent(Settings { gate: Some(gate), skips_certificate_check: true, ..settings(None) }), asked)
}

/// C10: without consent no connection begins, and no byte leaves on one, not even for TLS.
#[test]
fn c10_nothing_leaves_without_consent() {
    let tls = Authority::new().unwrap().server(Leaf::Good).unwrap();
    let collector = Collector::builder().tls(tls).start().unwrap();
    let is_closed = |agent: &Agent| match agent.get(collector.url()).call() {
        Err(ureq::Error::Other(reason)) => reason.downcast_ref::<NoConsent>() == Some(&NoConsent::Withdrawn),
        other => panic!("{other:?}"),
    };
    let (agent, _) = asked(0);
    assert!(is_closed(&agent));
    assert_eq!(collector.connections(), 0);
    // Before the connection; before the hello; before the request.
    for open in [1, 2] {
        let (agent, count) = asked(open);
        assert!(is_closed(&agent));
        assert_eq!(count.load(Ordering::SeqCst), open + 1);
    }
    let (agent, count) = asked(3);
    assert!(agent.get(collector.url()).call().is_ok());
    assert_eq!(count.load(Ordering::SeqCst), 3);
}
