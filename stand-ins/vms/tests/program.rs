//! The program with its file, and the same over HTTPS.

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::Arc;

use common::{Client, config};
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use vms_demo::{Config, DemoVms, PemFiles};

#[test]
fn the_program_runs_the_example_and_says_what_it_holds() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_vms-demo"))
        .args([concat!(env!("CARGO_MANIFEST_DIR"), "/example.json"), "--port", "0"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines().map(Result::unwrap);
    let (address, counts) = (lines.next().unwrap(), lines.next().unwrap());
    let port = address.strip_prefix("listening on http://127.0.0.1:").unwrap().trim_end_matches('/');
    let mut client = Client::over(TcpStream::connect(format!("127.0.0.1:{port}")).unwrap());
    client.token = Some("demo-token".to_owned());
    assert!(counts.contains(&format!(" {} cameras,", client.rest("cameras").array().len())), "{counts}");
    assert_eq!((client.rest("outputs").status, client.rest("outputs").status), (503, 200));
    program.kill().unwrap();
    program.wait().unwrap();
}

#[test]
fn a_file_that_is_none_is_refused_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("vms.json");
    fs::write(&file, "{ \"port\": 0,\n  \"prot\": 1 }").unwrap();
    let said = Command::new(env!("CARGO_BIN_EXE_vms-demo")).arg(&file).output().unwrap();
    let text = String::from_utf8(said.stderr).unwrap();
    assert!(
        !said.status.success() && text.contains("vms.json: unknown field `prot`") && text.contains("line 2"),
        "{text}"
    );
}

#[test]
fn https_is_served_with_the_files_that_the_configuration_names() {
    let folder = tempfile::tempdir().unwrap();
    let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let certificate: CertificateDer = own.cert.der().clone();
    fs::write(folder.path().join("cert.pem"), own.cert.pem()).unwrap();
    fs::write(folder.path().join("key.pem"), own.signing_key.serialize_pem()).unwrap();
    let file = folder.path().join("vms.json");
    fs::write(&file, r#"{ "tls": { "certificate": "cert.pem", "key": "key.pem" } }"#).unwrap();
    let tls = Config::read(&file).unwrap().tls;
    let vms = DemoVms::start(Config { tls, ..config() }).unwrap();
    assert_eq!(vms.url(), format!("https://127.0.0.1:{}/", vms.port()));

    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let session = ClientConnection::new(Arc::new(client), "127.0.0.1".try_into().unwrap()).unwrap();
    let socket = TcpStream::connect(("127.0.0.1", vms.port())).unwrap();
    let mut client = Client::over(StreamOwned::new(session, socket));
    let answer = client.log_on("reader", "p%26w%3D1+%2B%25");
    client.token = answer.json()["access_token"].as_str().map(str::to_owned);
    assert_eq!(client.rest("cameras?disabled").array().len(), 30);
    let gateways = client.get("/api/.well-known/uris").json()["ApiGateways"].clone();
    assert_eq!(gateways[0], format!("{}API/", vms.url()));

    let missing = PemFiles { certificate: folder.path().join("nosuch.pem"), key: folder.path().join("key.pem") };
    let error = DemoVms::start(Config { tls: Some(missing), ..config() }).err().unwrap().to_string();
    assert!(error.contains("nosuch.pem"), "{error}");
}
