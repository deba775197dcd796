//! The same endpoint behind TLS, with certificates that a client trusts and with others.

use std::io::{Read, Write};

use vms_collector::Collector;
use vms_collector::tls::{Authority, Leaf};

use crate::common::{Client, JSON, KEY, envelope, post};

fn collector(authority: &Authority, leaf: Leaf) -> Collector {
    Collector::builder().tls(authority.server(leaf).unwrap()).start().unwrap()
}

#[test]
fn https_clients_are_served_and_others_are_not() {
    let authority = Authority::new().unwrap();
    let collector = collector(&authority, Leaf::Good);
    assert_eq!(collector.url(), format!("https://127.0.0.1:{}/", collector.port()));
    let mut plain = Client::connect(collector.port());
    plain.send("GET / HTTP/1.1\r\n\r\n");
    assert!(!plain.rest().starts_with(b"HTTP"));

    for name in ["127.0.0.1", "localhost"] {
        let mut client = Client::secure(collector.port(), name, &authority);
        let headers = format!("{JSON}Connection: close\r\n");
        assert_eq!(client.ask(post("/v2.1/track", &headers, envelope(KEY, "Secret"))).status, 200);
        assert!(client.ended());
    }
    assert_eq!(collector.received().len(), 2);
}

#[test]
fn wrong_certificates_are_refused_for_their_reason() {
    let authority = Authority::new().unwrap();
    let foreign = Authority::new().unwrap();
    for (server, leaf, reason) in [
        (&authority, Leaf::WrongName, "not valid for name"),
        (&authority, Leaf::Expired, "expired"),
        (&authority, Leaf::SelfSigned, "UnknownIssuer"),
        (&foreign, Leaf::Good, "UnknownIssuer"),
    ] {
        let collector = collector(server, leaf);
        let mut client = Client::secure(collector.port(), "localhost", &authority);
        let stream = client.stream().get_mut();
        let error = stream.write_all(b"GET / HTTP/1.1\r\n\r\n").and_then(|()| stream.read(&mut [0])).unwrap_err();
        assert!(error.to_string().contains(reason), "{leaf:?}: {error}");
        assert_eq!((collector.connections(), collector.requests()), (1, 0));
    }
}

#[test]
fn the_server_sends_its_authority_too_and_names_the_revocation_list() {
    let url = "file:///Z:/folder/ca.crl";
    let authority = Authority::new().unwrap().with_crl_url(url);
    let collector = collector(&authority, Leaf::Good);
    let mut client = Client::secure(collector.port(), "localhost", &authority);
    assert_eq!(client.get("/received").status, 200);
    let chain = client.stream().get_ref().conn.peer_certificates().unwrap();
    assert_eq!((chain.len(), chain[1].as_ref()), (2, authority.der()));
    assert!(chain[0].windows(url.len()).any(|part| part == url.as_bytes()));
    // A DER sequence, signed by the authority's key: the same rules made it as made the certificates.
    assert_eq!(authority.crl().unwrap().first(), Some(&0x30));
}
