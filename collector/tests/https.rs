//! The same endpoint behind TLS, with a certificate made for the test.

mod common;

use std::net::TcpStream;
use std::sync::Arc;

use common::{Client, KEY, envelope, post};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned};
use vms_collector::Collector;

#[test]
fn https_clients_are_served_and_others_are_not() {
    let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let certificate: CertificateDer = own.cert.der().clone();
    let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(ring::default_provider());
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();

    let collector = Collector::builder().tls(Arc::new(server)).start().unwrap();
    assert_eq!(collector.url(), format!("https://127.0.0.1:{}/", collector.port()));
    assert!(Client::connect(collector.port()).ended_by("GET / HTTP/1.1\r\n\r\n"));

    let session = ClientConnection::new(Arc::new(client), "127.0.0.1".try_into().unwrap()).unwrap();
    let socket = TcpStream::connect(("127.0.0.1", collector.port())).unwrap();
    let mut client = Client::over(StreamOwned::new(session, socket));
    let headers = "Content-Type: application/json\r\nConnection: close\r\n";
    assert_eq!(client.ask(&post("/v2.1/track", headers, envelope(KEY, "Secret").as_bytes())).status, 200);
    assert!(client.ended());
    assert_eq!(collector.received().len(), 1);
}
