//! Windows logon over a real connection, with the client's side computed here.

use std::net::TcpStream;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use loopback::client::{Client, Response};
use vms_demo::{Config, DemoVms, User, UserState};

use crate::common::{self, config, connect, post, rest};
use crate::ntlm::{authenticate, negotiate};

const PATH: &str = "/IDP/connect/token";
const FORM: &str = "grant_type=windows_credentials&client_id=GrantValidatorClient";

fn start() -> DemoVms {
    let gone = User { state: UserState::Locked, ..User::windows("DEMO", "gone", "pæss") };
    common::start(Config { users: vec![User::windows("DEMO", "Operator", "pæss"), gone], ..config() })
}

fn step(client: &mut Client<TcpStream>, scheme: &str, token: &[u8]) -> Response {
    let header = format!("Authorization: {scheme} {}\r\n", BASE64_STANDARD.encode(token));
    post(client, PATH, &header, FORM)
}

/// Returns the only challenge of an answer.
fn challenge(answer: &Response, scheme: &str) -> Vec<u8> {
    assert_eq!((answer.status, answer.body.as_str()), (401, ""));
    let [value] = answer.headers("www-authenticate")[..] else { panic!("{}", answer.head) };
    BASE64_STANDARD.decode(value.strip_prefix(&format!("{scheme} ")).unwrap()).unwrap()
}

fn log_on(client: &mut Client<TcpStream>, scheme: &str, who: [&str; 3]) -> Response {
    let answer = step(client, scheme, &negotiate());
    let [domain, user, password] = who;
    step(client, scheme, &authenticate(&challenge(&answer, scheme), domain, user, password))
}

fn refused(answer: &Response) -> bool {
    answer.status == 401 && answer.headers("www-authenticate") == ["Negotiate", "NTLM"] && answer.body.is_empty()
}

#[test]
fn a_windows_user_proves_the_password_without_sending_it() {
    let vms = start();
    for (scheme, who) in [
        ("NTLM", ["DEMO", "operator", "pæss"]),
        ("ntlm", ["demo", "OPERATOR", "pæss"]),
        ("Negotiate", ["", "operator@DEMO", "pæss"]),
    ] {
        let mut client = connect(&vms);
        assert!(refused(&post(&mut client, PATH, "", FORM)));
        let name = if scheme == "ntlm" { "NTLM" } else { scheme };
        let answer = step(&mut client, scheme, &negotiate());
        let [domain, user, password] = who;
        let answer = step(&mut client, scheme, &authenticate(&challenge(&answer, name), domain, user, password));
        client.token = answer.json()["access_token"].as_str().map(str::to_owned);
        assert_eq!(rest(&mut client, "sites").status, 200);
        // The connection stays logged on.
        assert_eq!(post(&mut client, PATH, "", FORM).status, 200);
        assert!(refused(&post(&mut connect(&vms), PATH, "", FORM)));
    }
}

#[test]
fn whatever_is_not_quite_right_is_refused() {
    let vms = start();
    for who in [
        ["DEMO", "operator", "pass"],
        ["OTHER", "operator", "pæss"],
        ["DEMO", "nobody", "pæss"],
        ["DEMO", "gone", "pæss"],
        ["DEMO", "reader", "p&w=1 +%"],
        ["", "", ""],
    ] {
        assert!(refused(&log_on(&mut connect(&vms), "NTLM", who)), "{who:?}");
    }
    let mut client = connect(&vms);
    let first = challenge(&step(&mut client, "NTLM", &negotiate()), "NTLM");
    let proof = authenticate(&first, "DEMO", "operator", "pæss");
    assert!(refused(&step(&mut connect(&vms), "NTLM", &proof)), "on another connection");
    for at in [20, 70, 75, 120, proof.len() - 1] {
        let mut bent = proof.clone();
        bent[at] ^= 1;
        let mut client = connect(&vms);
        step(&mut client, "NTLM", &negotiate());
        assert!(refused(&step(&mut client, "NTLM", &bent)));
    }
    assert_eq!(step(&mut client, "NTLM", &proof).status, 200);
    assert!(refused(&step(&mut client, "NTLM", &proof)), "a second time");
    for header in ["NTLM", "NTLM !", "NTLM TlRMTVNTUAA=", "Negotiate YA==", "Negotiate", "Digest x"] {
        let header = format!("Authorization: {header}\r\n");
        assert!(refused(&post(&mut connect(&vms), PATH, &header, FORM)), "{header}");
    }
}

#[test]
fn the_gateway_passes_no_handshake_through() {
    let vms = start();
    let mut client = connect(&vms);
    let header = format!("Authorization: NTLM {}\r\n", BASE64_STANDARD.encode(negotiate()));
    assert!(refused(&post(&mut client, "/API/IDP/connect/token", &header, FORM)));
    assert!(refused(&post(&mut client, "/API/IDP/connect/token", "", FORM)));
}

#[test]
fn negotiate_wraps_its_messages_in_spnego() {
    let wrap = |tag: u8, value: &[u8]| {
        let size = u16::try_from(value.len()).unwrap().to_be_bytes();
        [&[tag, 0x82], size.as_slice(), value].concat()
    };
    let ntlm: &[u8] = &[6, 10, 0x2b, 6, 1, 4, 1, 0x82, 0x37, 2, 2, 10];
    let kerberos: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 2];
    let init = |mechanisms: &[u8], token: &[u8]| {
        let parts = [wrap(0xa0, &wrap(0x30, mechanisms)), wrap(0xa2, &wrap(4, token))].concat();
        wrap(0x60, &[&[6, 6, 0x2b, 6, 1, 5, 5, 2], wrap(0xa0, &wrap(0x30, &parts)).as_slice()].concat())
    };
    let response = |token: &[u8]| wrap(0xa1, &wrap(0x30, &wrap(0xa2, &wrap(4, token))));
    let inner = |answer: &Response| {
        let bytes = challenge(answer, "Negotiate");
        let at = bytes.windows(8).position(|part| part == b"NTLMSSP\0").unwrap();
        bytes[at..].to_vec()
    };
    let vms = start();
    let mut client = connect(&vms);
    let message = inner(&step(&mut client, "Negotiate", &init(ntlm, &negotiate())));
    let answer = step(&mut client, "Negotiate", &response(&authenticate(&message, "DEMO", "operator", "pæss")));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers("www-authenticate"), ["Negotiate oQcwBaADCgEA"]);

    // Kerberos first: the server asks for NTLM, and then for a signature over the list, which is missing here.
    let mut client = connect(&vms);
    let answer = step(&mut client, "Negotiate", &init(&[kerberos, ntlm].concat(), b"ticket"));
    assert!(challenge(&answer, "Negotiate").ends_with(ntlm));
    let message = inner(&step(&mut client, "Negotiate", &response(&negotiate())));
    let proof = response(&authenticate(&message, "DEMO", "operator", "pæss"));
    assert!(refused(&step(&mut client, "Negotiate", &proof)));
    assert!(refused(&step(&mut connect(&vms), "Negotiate", &init(kerberos, b"ticket"))));
}
