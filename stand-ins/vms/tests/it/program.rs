//! The program with its file, and the same over HTTPS.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use loopback::client::Client;
use serde_json::Value;
use vms_demo::tls::{Authority, Leaf};
use vms_demo::{Config, DemoVms};

use crate::common::{array, config, log_on, rest};

/// Starts the program with these arguments, calls `test` with what its first line says, and ends it.
fn run(arguments: &[&str], test: impl FnOnce(&Value)) {
    let mut program =
        Command::new(env!("CARGO_BIN_EXE_vms-demo")).args(arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(program.stdout.take().unwrap()).read_line(&mut line).unwrap();
    test(&serde_json::from_str(&line).unwrap());
    program.kill().unwrap();
    program.wait().unwrap();
}

fn port(said: &Value, scheme: &str) -> u16 {
    let url = said["url"].as_str().unwrap().strip_prefix(&format!("{scheme}://127.0.0.1:")).unwrap();
    url.trim_end_matches('/').parse().unwrap()
}

#[test]
fn the_program_runs_the_example_and_says_what_it_holds() {
    run(&[concat!(env!("CARGO_MANIFEST_DIR"), "/example.json"), "--port", "0"], |said| {
        let mut client = Client::connect(port(said, "http"));
        client.token = Some("demo-token".to_owned());
        assert_eq!(said["counts"]["CameraCount"], array(&rest(&mut client, "cameras")).len());
        assert_eq!(said["counts"].as_object().unwrap().len(), 9);
        assert_eq!((rest(&mut client, "outputs").status, rest(&mut client, "outputs").status), (503, 200));
    });
}

#[test]
fn https_comes_from_the_configuration_and_from_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let (file, ca) = (folder.path().join("vms.json"), folder.path().join("ca.pem"));
    fs::write(&file, r#"{ "tls": "selfSigned" }"#).unwrap();
    assert_eq!(Config::read(&file).unwrap().tls, Some(Leaf::SelfSigned));
    run(&[file.to_str().unwrap()], |said| assert_ne!(port(said, "https"), 0));
    run(&["--tls", "good", "--ca", ca.to_str().unwrap()], |said| assert_ne!(port(said, "https"), 0));
    assert!(fs::read_to_string(&ca).unwrap().starts_with("-----BEGIN CERTIFICATE-----"));

    let authority = Authority::new().unwrap();
    let vms = DemoVms::start_tls(config(), authority.server(Leaf::Good).unwrap()).unwrap();
    assert_eq!(vms.url(), format!("https://127.0.0.1:{}/", vms.port()));
    let mut client = Client::secure(vms.port(), "127.0.0.1", &authority);
    log_on(&mut client, "reader", "p%26w%3D1+%2B%25");
    assert_eq!(array(&rest(&mut client, "cameras?disabled")).len(), 30);
    assert_eq!(client.get("/api/.well-known/uris").json()["ApiGateways"][0], format!("{}API/", vms.url()));
}

#[test]
fn a_file_that_is_none_is_refused_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("vms.json");
    fs::write(&file, "{ \"port\": 0,\n  \"prot\": 1 }").unwrap();
    let said = Command::new(env!("CARGO_BIN_EXE_vms-demo")).arg(&file).output().unwrap();
    let text = String::from_utf8(said.stderr).unwrap();
    let is_told = text.contains("vms.json: unknown field `prot`") && text.contains("line 2");
    assert!(!said.status.success() && is_told, "{text}");
}
