//! The client of a VMS against the demo VMS: logon, usage data option, counts, and what goes wrong (P3, P6).

use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

#[cfg(unix)]
use crate::common::child::{self, Host};
use crate::common::net::unknown_name;
use crate::common::vms::{DISCOVERY, PASSWORD, TOKEN, TOKEN_ENDPOINT, basic, config, logon, reader, requests, start};
#[cfg(unix)]
use crate::common::{Home, key};
use crate::common::{PATIENCE, is_wine, skips_under_wine};
use serde_json::json;
#[cfg(unix)]
use vms_collector::closed_port;
use vms_collector::tls::{Authority, Leaf};
use vms_demo::{Config, DemoVms, Disabled, Effect, Fault, Privacy, Quirks, Site, User, UserState};
use vms_telemetry::vms::{Cancel, Client, Counts, Credential, Failure, FailureKind, Logon, UsageData, connect, find};
use zeroize::Zeroizing;

const GATEWAY_ENDPOINT: &str = "/API/IDP/connect/token";

/// A VMS with HTTPS and the PEM of its certificate. Its lists are short: Wine waits for ever for the end of a long record of TLS.
fn start_tls(authority: &Authority, leaf: Leaf) -> (DemoVms, String) {
    let site = Site { recording_servers: 0, ..Site::default() };
    let (server, pem) = authority.issue(leaf).unwrap();
    (DemoVms::start_tls(Config { site, ..config() }, server).unwrap(), pem)
}

fn fault(path: &str, effect: Effect) -> Fault {
    Fault { path: path.to_owned(), effect: Some(effect), ..Fault::default() }
}

fn answer(status: u16, body: &str) -> Effect {
    Effect::Answer { status, content_type: "application/json".to_owned(), body: body.to_owned() }
}

fn token(token: &str) -> Credential {
    Credential::Token(Zeroizing::new(token.to_owned()))
}

/// Logs the reader on.
fn connected(address: &str) -> Client {
    connect(&logon(address), reader(), &Cancel::default()).unwrap_or_else(|failure| panic!("{failure}"))
}

/// Logs on in vain. The message names no secret and begins with the server.
fn failure(logon: &Logon, credential: Credential) -> Failure {
    let Err(failure) = connect(logon, credential, &Cancel::default()) else {
        panic!("connected to {}", logon.address.origin)
    };
    for secret in [PASSWORD, TOKEN, "p%26w", "not-a-secret"] {
        assert!(!failure.to_string().contains(secret), "{failure}");
    }
    failure
}

fn count(client: &Client) -> Counts {
    client.count(&|_, _| {}, &|| true)
}

/// What a VMS has, by its own account.
fn counts(vms: &DemoVms) -> Counts {
    let counts = vms.counts();
    let known = |count: u64| Some(u32::try_from(count).unwrap());
    Counts {
        child_sites: known(counts.child_sites),
        recorders: known(counts.recording_servers),
        hardware: known(counts.hardware),
        cameras: known(counts.cameras),
        microphones: known(counts.microphones),
        speakers: known(counts.speakers),
        metadata: known(counts.metadata),
        inputs: known(counts.inputs),
        outputs: known(counts.outputs),
    }
}

/// P3, E2: what a basic user gets to know, list by list.
#[test]
fn p3_e2_a_basic_user_connects_and_counts() {
    let vms = start(config());
    let client = connected(&vms.url());
    let facts = &client.facts;
    assert_eq!((facts.site.id.to_string(), facts.site.name.as_str()), (vms.site_id(), "DEMO-VMS"));
    assert_eq!(facts.site.version.as_deref(), Some("25.1.1804.0"));
    assert_eq!(facts.product.as_deref(), Some("XProtect Corporate 2025 R1"));
    assert_eq!((facts.origin.to_string() + "/", facts.origin.is_encrypted()), (vms.url(), false));
    assert_eq!(facts.child_sites, []);
    assert_eq!(client.usage_data(), UsageData::On);

    let (known, items) = (RefCell::new(Vec::new()), Cell::new(0));
    let progress = |counts: &Counts, seen: u32| {
        known.borrow_mut().push(*counts);
        items.set(seen);
    };
    assert_eq!(client.count(&progress, &|| true), counts(&vms));
    let known = known.into_inner();
    assert_eq!(known.len(), 9);
    let first = Counts { child_sites: counts(&vms).child_sites, ..Counts::default() };
    assert_eq!((known[0], known[8]), (first, counts(&vms)));
    assert!(items.get() > counts(&vms).cameras.unwrap());
    assert_eq!(requests(&vms, TOKEN_ENDPOINT), 1);
}

/// P3: counts equal the VMS's own, over a hundred sites, as different as real servers are.
#[test]
fn p3_e2_the_counts_of_a_hundred_sites() {
    for seed in 0..100_u64 {
        let bit = |place: u64| seed >> place & 1 == 1;
        let quirks = Quirks {
            ignore_paging: bit(0),
            max_size: bit(1).then_some(7 + seed),
            devices_of_disabled_hardware: bit(2),
            numbers_as_strings: bit(3),
            booleans_as_strings: bit(4),
        };
        let vms = start(Config { site: Site::random(seed), quirks, ..config() });
        assert_eq!(count(&connected(&vms.url())), counts(&vms), "{seed}");
    }
}

/// P3: thousands of devices, page by page; and from a server that sends all of them at once, no list twice.
#[test]
fn p3_e2_a_large_site() {
    let disabled = Disabled { hardware: 5, devices: 5, ..Disabled::default() };
    let site = Site { recording_servers: 50, hardware: 100, disabled, ..Site::default() };
    for ignore_paging in [false, true] {
        let quirks = Quirks { ignore_paging, ..Quirks::default() };
        let vms = start(Config { site: site.clone(), quirks, ..config() });
        assert_eq!(count(&connected(&vms.url())), counts(&vms));
        let pages = requests(&vms, "/api/rest/v1/cameras");
        assert!(if ignore_paging { pages == 1 } else { pages > 5 }, "{pages}");
    }
}

/// E2: counting ends when it is no longer wanted, with what is known by then.
#[test]
fn e2_counting_ends_when_it_is_not_wanted() {
    let site = Site { recording_servers: 20, hardware: 100, ..Site::default() };
    let vms = start(Config { site, ..config() });
    let client = connected(&vms.url());
    let seen = Cell::new(0);
    let found = client.count(&|_, items| seen.set(items), &|| seen.get() < 700);
    assert_eq!((found.recorders, found.hardware), (counts(&vms).recorders, None));
    assert_eq!(requests(&vms, "/api/rest/v1/hardware"), 1);
    assert_eq!(requests(&vms, "/api/rest/v1/cameras"), 0);
    assert_eq!(client.count(&|_, _| {}, &|| false), Counts::default());
}

/// P3: an expired token is replaced.
#[test]
fn p3_an_expired_token_is_refreshed() {
    let vms = start(config());
    let client = connected(&vms.url());
    vms.expire_tokens();
    assert_eq!(count(&client), counts(&vms));
    let grants: Vec<_> =
        vms.received().into_iter().filter(|seen| seen.path == TOKEN_ENDPOINT).map(|seen| seen.fields).collect();
    assert_eq!(grants.len(), 2);
    assert!(grants[0].contains(&"password".to_owned()) && grants[1].contains(&"refresh_token".to_owned()));
}

/// E2: an expired token that cannot be replaced costs what was still to come.
#[test]
fn e2_an_expired_token_that_cannot_be_replaced_costs_only_the_counts() {
    let refused = Fault { skip: 1, ..fault(TOKEN_ENDPOINT, answer(400, r#"{"error":"invalid_grant"}"#)) };
    for (credential, tokens) in [(reader(), 2..100), (token(TOKEN), 0..1)] {
        let vms = start(Config { faults: vec![refused.clone()], ..config() });
        let client = connect(&logon(&vms.url()), credential, &Cancel::default()).unwrap_or_else(|why| panic!("{why}"));
        let expires_after_hardware = |known: &Counts, _| {
            if known.hardware.is_some() {
                vms.expire_tokens();
            }
        };
        let known = client.count(&expires_after_hardware, &|| true);
        assert_eq!((known.hardware, known.cameras), (counts(&vms).hardware, None));
        let UsageData::Unknown(why) = client.usage_data() else { panic!() };
        assert!(why.contains("refused") || why.contains("the access token has expired"), "{why}");
        assert!(tokens.contains(&requests(&vms, TOKEN_ENDPOINT)));
    }
}

/// P3: a refused logon names the reason, and no password is tried twice.
#[test]
fn p3_a_refused_logon_says_why_and_is_not_repeated() {
    let state = |name: &str, state| User { state, ..User::basic(name, PASSWORD) };
    let forbidden = |name: &str, what: &str| User { forbidden: vec![what.to_owned()], ..User::basic(name, PASSWORD) };
    let users = vec![
        User::basic("reader", PASSWORD),
        state("locked", UserState::Locked),
        state("novice", UserState::MustChangePassword),
        forbidden("nobody", "*"),
    ];
    let table = [
        ("reader", "wrong", FailureKind::LogonRefused),
        ("unknown", PASSWORD, FailureKind::LogonRefused),
        ("locked", PASSWORD, FailureKind::LockedOut),
        ("novice", PASSWORD, FailureKind::PasswordExpired),
        ("nobody", PASSWORD, FailureKind::AccessDenied),
    ];
    for (name, password, kind) in table {
        let vms = start(Config { users: users.clone(), ..config() });
        let failure = failure(&logon(&vms.url()), basic(name, password));
        assert_eq!(failure.kind, kind, "{failure}");
        assert!(failure.to_string().starts_with(vms.url().trim_end_matches('/')), "{failure}");
        assert_eq!(requests(&vms, TOKEN_ENDPOINT) + requests(&vms, GATEWAY_ENDPOINT), 1, "{name}");
    }
    let vms = start(config());
    for secret in ["unknown", "with\nline", "with space "] {
        assert_eq!(failure(&logon(&vms.url()), token(secret)).kind, FailureKind::LogonRefused);
    }
}

/// P3: a token from elsewhere, and where the host program gets one.
#[test]
fn p3_tokens_from_elsewhere() {
    let vms = start(config());
    let found = find(&logon(&vms.url()), &Cancel::default()).unwrap();
    assert_eq!(found.token_endpoint, format!("{}IDP/connect/token", vms.url()));
    assert_eq!(found.origin.to_string() + "/", vms.url());
    let client = connect(&logon(&vms.url()), token(TOKEN), &Cancel::default()).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(count(&client), counts(&vms));
    assert_eq!(requests(&vms, TOKEN_ENDPOINT), 0);
}

/// The marks of a basic user are not part of the name.
#[test]
fn p3_a_basic_user_with_its_mark() {
    let vms = start(config());
    for name in [r"\reader", r"[BASIC]\reader", r"[basic]\reader"] {
        assert!(connect(&logon(&vms.url()), basic(name, PASSWORD), &Cancel::default()).is_ok(), "{name}");
    }
}

/// E2: what cannot be counted is left out.
#[test]
fn e2_what_cannot_be_counted_is_left_out() {
    let faults = vec![
        fault("/api/rest/v1/cameras", Effect::CloseAfter(2_000)),
        fault("/api/rest/v1/speakers", answer(200, r#"{"array":[{"id":"#)),
        fault("/api/rest/v1/outputs", Effect::Repeat { text: "[".to_owned(), bytes: 1 << 30 }),
        fault("/api/rest/v1/metadata", answer(200, r#"{"array":"none"}"#)),
        // Without ids the end of a list cannot be told.
        fault("/api/rest/v1/childSites", answer(200, r#"{"array":[{"id":5,"enabled":true}]}"#)),
        fault("/api/rest/v1/inputEvents", answer(503, "<html>")),
        fault("/api/rest/v1/microphones", Effect::Redirect("http://127.0.0.1:9/".to_owned())),
    ];
    let vms = start(Config { faults, ..config() });
    let known = Counts { recorders: counts(&vms).recorders, hardware: counts(&vms).hardware, ..Counts::default() };
    assert_eq!(count(&connected(&vms.url())), known);

    // Without the hardware it is not known which devices are those of disabled hardware.
    let user = User { forbidden: vec!["hardware".to_owned()], ..User::basic("reader", PASSWORD) };
    let vms = start(Config { users: vec![user], ..config() });
    let known =
        Counts { recorders: counts(&vms).recorders, child_sites: counts(&vms).child_sites, ..Counts::default() };
    assert_eq!(count(&connected(&vms.url())), known);
    assert_eq!(requests(&vms, "/api/rest/v1/cameras"), 0);
}

/// P3: what older servers lack: the client that gets refresh tokens, and the list of licences.
#[test]
fn p3_what_an_older_server_lacks_is_done_in_its_way() {
    let faults = vec![Fault { times: Some(1), ..fault(TOKEN_ENDPOINT, answer(400, r#"{"error":"invalid_client"}"#)) }];
    let user = User { forbidden: vec!["licenseInformations".to_owned()], ..User::basic("reader", PASSWORD) };
    let vms = start(Config { users: vec![user], faults, ..config() });
    assert_eq!(connected(&vms.url()).facts.product.as_deref(), Some("XProtect Corporate 2025 R1"));
    assert_eq!(requests(&vms, TOKEN_ENDPOINT), 2);
}

/// P3: a certificate that this computer does not trust ends the logon before any credential is sent, unless the user skips
/// the check. The message says whose certificate it is.
#[test]
fn p3_p7_certificates_are_refused_and_accepted() {
    let (vms, _) = start_tls(&Authority::new().unwrap(), Leaf::Good);
    let address = vms.url();
    for address in [address.as_str(), address.strip_prefix("https://").unwrap()] {
        let failure = failure(&logon(address), reader());
        assert_eq!(failure.kind, FailureKind::Certificate, "{failure}");
        let message = failure.to_string();
        for part in ["does not trust its issuer", "CN=VMS Collector by CN=VMS Collector test authority", "localhost"] {
            assert!(message.contains(part), "{message}");
        }
        let (_, fingerprint) = message.split_once("SHA-256 ").unwrap();
        assert_eq!(fingerprint.chars().take_while(char::is_ascii_hexdigit).count(), 64, "{message}");
    }
    assert_eq!(vms.received().len(), 0);
    for is_secure_only in [false, true] {
        let logon = Logon { skips_certificate_check: true, is_secure_only, ..logon(&address) };
        let client = connect(&logon, reader(), &Cancel::default()).unwrap_or_else(|why| panic!("{why}"));
        assert!(client.facts.origin.is_encrypted());
    }
}

/// How a server treats a TLS handshake.
#[derive(Clone, Copy, Debug)]
enum OnTls {
    Waits,
    Closes,
    AnswersHttp,
}

/// Starts a server that answers HTTP with a discovery document, and TLS in this way; returns its port. It notes the first
/// line of each request over HTTP.
fn plain_server(on_tls: OnTls) -> (u16, std::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, receiver) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let mut kept = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap_or(0);
            match (request[0] == 0x16, on_tls) {
                (true, OnTls::Waits) => kept.push(stream),
                (true, OnTls::Closes) => {}
                (true, OnTls::AnswersHttp) => drop(stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")),
                (false, _) => {
                    let line =
                        String::from_utf8_lossy(&request[..length]).lines().next().unwrap_or_default().to_owned();
                    let _ = sender.send(line);
                    let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}";
                    let _ = stream.write_all(head.as_bytes());
                }
            }
        }
    });
    (port, receiver)
}

/// P6: a bare name means HTTPS. If only HTTP answers, that is said, and no credential is sent.
#[test]
fn p6_a_bare_name_never_logs_on_over_plain_http() {
    let vms = start(config());
    let bare = format!("127.0.0.1:{}", vms.port());
    for credential in [reader(), token(TOKEN)] {
        let failure = failure(&logon(&bare), credential);
        assert_eq!(failure.kind, FailureKind::NotEncrypted, "{failure}");
        let message = failure.to_string();
        assert!(message.starts_with(&format!("https://{bare}: only plain HTTP answers")), "{message}");
        assert!(message.contains(&format!("type http://{bare} if you accept")), "{message}");
    }
    assert!(find(&logon(&bare), &Cancel::default()).is_err());
    let paths: Vec<_> = vms.received().into_iter().map(|request| request.path).collect();
    assert_eq!(paths, [DISCOVERY; 3]);

    for on_tls in [OnTls::Waits, OnTls::Closes, OnTls::AnswersHttp] {
        let (port, lines) = plain_server(on_tls);
        let logon = Logon { timeout: Duration::from_secs(2), ..logon(&format!("127.0.0.1:{port}")) };
        let failure = failure(&logon, reader());
        assert_eq!(failure.kind, FailureKind::NotEncrypted, "{on_tls:?}: {failure}");
        assert_eq!(lines.try_iter().collect::<Vec<_>>(), [format!("GET {DISCOVERY} HTTP/1.1")]);
    }
}

/// P6, P7: with a scheme, and with HTTPS required, HTTP is not even tried.
#[test]
fn p6_p7_https_is_https_and_required_https_too() {
    let vms = start(config());
    let bare = format!("127.0.0.1:{}", vms.port());
    let secure_only = Logon { is_secure_only: true, ..logon(&bare) };
    for logon in [secure_only, logon(&format!("https://{bare}"))] {
        let failure = failure(&logon, reader());
        assert_eq!(failure.kind, FailureKind::NotEncrypted, "{failure}");
        assert!(failure.to_string().contains("the server does not use TLS on this port"), "{failure}");
    }
    let failure = failure(&Logon { is_secure_only: true, ..logon(&vms.url()) }, reader());
    assert_eq!(failure.kind, FailureKind::NotEncrypted, "{failure}");
    assert_eq!(vms.received().len(), 0);
}

/// P7: the message has the cause that the system knows.
#[test]
fn p7_no_connection_has_its_cause() {
    let unknown = format!("https://{}/", unknown_name());
    let refusing = vms_collector::closed_port().unwrap();
    let silent = vms_collector::black_hole().unwrap();
    let cutting = TcpListener::bind("127.0.0.1:0").unwrap();
    let cut_off = format!("http://{}/", cutting.local_addr().unwrap());
    thread::spawn(move || cutting.incoming().for_each(drop));
    let table = [
        (unknown, FailureKind::Unreachable, "the name of the server was not found"),
        (refusing.url(), FailureKind::Unreachable, "the server refused the connection"),
        (silent.url(), FailureKind::Unreachable, "the server does not answer"),
        (cut_off, FailureKind::Unreachable, "the connection was cut off"),
    ];
    for (address, kind, reason) in table {
        if cfg!(windows) && reason.contains("does not answer") {
            continue;
        }
        let failure = failure(&Logon { timeout: Duration::from_secs(2), ..logon(&address) }, reader());
        assert_eq!(failure.kind, kind, "{failure}");
        assert!(failure.to_string().contains(reason), "{failure}");
    }
}

/// P3: no credential goes where the user did not send it.
#[test]
fn p3_redirections_are_followed_to_https_on_the_same_host_only() {
    let (secure, _) = start_tls(&Authority::new().unwrap(), Leaf::Good);
    let (other, vms) = (start(config()), start(config()));
    let elsewhere = format!("http://localhost:{}{DISCOVERY}", other.port());
    for to in [elsewhere.as_str(), "https://vms.example.test/", "/login", "//vms.example.test/", "http://127.0.0.1:1/"]
    {
        vms.set_faults(vec![fault(DISCOVERY, Effect::Redirect(to.to_owned()))]);
        let failure = failure(&logon(&vms.url()), reader());
        let kind = if to.starts_with('/') { FailureKind::Answer } else { FailureKind::Redirected };
        assert_eq!(failure.kind, kind, "{failure}");
    }
    vms.set_faults(vec![fault(TOKEN_ENDPOINT, Effect::Redirect(format!("{}IDP/connect/token", other.url())))]);
    assert_eq!(failure(&logon(&vms.url()), reader()).kind, FailureKind::Redirected);
    assert_eq!(other.connections(), 0);

    vms.set_faults(vec![fault(DISCOVERY, Effect::Redirect(format!("{}api", secure.url())))]);
    let logon = Logon { skips_certificate_check: true, ..logon(&vms.url()) };
    let client = connect(&logon, reader(), &Cancel::default()).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(client.facts.origin.to_string() + "/", secure.url());
    // The document of a server names another host; its paths are all that is taken from it.
    let vms = start(Config { advertise: Some("https://elsewhere.example.test".to_owned()), ..config() });
    assert_eq!(count(&connected(&vms.url())), counts(&vms));
}

/// An identity provider that is not where the discovery document names it.
#[test]
fn p3_the_token_endpoint_of_the_gateway_is_tried_as_well() {
    let not_found = |path: &str| fault(path, answer(404, "<html>"));
    let advertise = Some("http://mgmt.example".to_owned());
    let faults = vec![not_found(TOKEN_ENDPOINT)];
    let vms = start(Config { advertise: advertise.clone(), faults, ..config() });
    assert_eq!(count(&connected(&vms.url())), counts(&vms));
    assert_eq!((requests(&vms, TOKEN_ENDPOINT), requests(&vms, GATEWAY_ENDPOINT)), (1, 1));
    // A refused password is not tried at the other one.
    assert_eq!(failure(&logon(&vms.url()), basic("reader", "wrong")).kind, FailureKind::LogonRefused);
    assert_eq!((requests(&vms, TOKEN_ENDPOINT), requests(&vms, GATEWAY_ENDPOINT)), (2, 2));

    vms.set_faults(vec![not_found(TOKEN_ENDPOINT), not_found(GATEWAY_ENDPOINT)]);
    let failure = failure(&logon(&vms.url()), reader());
    assert_eq!(failure.kind, FailureKind::Answer);
    assert!(failure.to_string().contains("names mgmt.example"), "{failure}");
}

/// Documents and lists may begin with a byte order mark.
#[test]
fn p3_a_byte_order_mark_is_no_part_of_the_answer() {
    let vms = start(config());
    let token = format!("\u{feff}{{\"access_token\":\"{TOKEN}\"}}");
    let sites = format!("\u{feff}{{\"array\":[{{\"id\":\"{}\",\"displayName\":\"A\"}}]}}", vms.site_id());
    vms.set_faults(vec![
        fault(DISCOVERY, answer(200, "\u{feff}{}")),
        fault(TOKEN_ENDPOINT, answer(200, &token)),
        fault("/api/rest/v1/sites", answer(200, &sites)),
    ]);
    assert_eq!(connected(&vms.url()).facts.site.name, "A");
}

/// What people copy from a browser or from a configuration.
#[test]
fn p3_the_path_of_an_address_is_taken_off() {
    let vms = start(config());
    for path in ["ManagementServer", "ManagementServer/", "api/rest/v1/?x=1#y"] {
        assert_eq!(connected(&format!("{}{path}", vms.url())).facts.origin.to_string() + "/", vms.url());
    }
}

/// P3, I6: whatever a server answers, there is a failure that says what to do, in bounded time and memory.
#[test]
fn p3_i6_hostile_answers() {
    let vms = start(config());
    let endless = |text: &str| Effect::Repeat { text: text.to_owned(), bytes: 1 << 30 };
    let sites = "/api/rest/v1/sites";
    let json = |body: &str| answer(200, body);
    let page = |status| Effect::Answer { status, content_type: "text/html".to_owned(), body: "<html>".to_owned() };
    let table = [
        (DISCOVERY, endless("["), FailureKind::Answer),
        (DISCOVERY, endless("a"), FailureKind::Answer),
        (DISCOVERY, json("[]"), FailureKind::Answer),
        (DISCOVERY, json(r#"{"ApiGateways":7}"#), FailureKind::Answer),
        (DISCOVERY, page(404), FailureKind::Answer),
        (DISCOVERY, page(503), FailureKind::Server),
        (DISCOVERY, Effect::HugeHeader(1 << 20), FailureKind::Answer),
        (DISCOVERY, Effect::CloseAfter(30), FailureKind::Unreachable),
        (TOKEN_ENDPOINT, endless(" "), FailureKind::Answer),
        (TOKEN_ENDPOINT, json("{}"), FailureKind::Answer),
        (TOKEN_ENDPOINT, json(r#"{"access_token":7}"#), FailureKind::Answer),
        (TOKEN_ENDPOINT, json(r#"{"access_token":"a\r\nb"}"#), FailureKind::LogonRefused),
        (TOKEN_ENDPOINT, page(401), FailureKind::LogonRefused),
        (TOKEN_ENDPOINT, page(502), FailureKind::Server),
        (sites, endless("["), FailureKind::Answer),
        (sites, endless(r#"{"array":["#), FailureKind::Answer),
        (sites, json(r#"{"array":[]}"#), FailureKind::Answer),
        (sites, json(r#"{"array":[{"id":"..\\..\\x","displayName":"A"}]}"#), FailureKind::Answer),
        (sites, json(r#"{"array":[{"id":7}]}"#), FailureKind::Answer),
        (sites, Effect::CloseAfter(300), FailureKind::Unreachable),
        (sites, page(500), FailureKind::Server),
    ];
    for (path, effect, kind) in table {
        vms.set_faults(vec![fault(path, effect.clone())]);
        let failure = failure(&logon(&vms.url()), reader());
        assert_eq!(failure.kind, kind, "{path} {effect:?}: {failure}");
    }
    vms.set_faults(vec![fault(sites, Effect::Slow(50))]);
    let failure = failure(&Logon { timeout: Duration::from_millis(700), ..logon(&vms.url()) }, reader());
    assert_eq!(failure.kind, FailureKind::Timeout, "{failure}");
    let name = format!("a\u{1b}[31mred\u{7}{}", "x".repeat(5_000));
    let site = json!({ "array": [{ "id": vms.site_id(), "displayName": name, "version": "\u{9b}1" }] });
    vms.set_faults(vec![fault(sites, json(&site.to_string()))]);
    let site = connected(&vms.url()).facts.site;
    assert!(site.name.starts_with("a[31mredxxx") && site.name.len() == 256, "{}", site.name);
    assert_eq!(site.version.as_deref(), Some("1"));
}

/// C6, C7: what each answer about the option means.
#[test]
fn c6_c7_the_usage_data_option() {
    let table = [
        (Privacy::On, Some(UsageData::On)),
        (Privacy::OnAsText, Some(UsageData::On)),
        (Privacy::ListOnlyOn, Some(UsageData::On)),
        (Privacy::ItemMissing, Some(UsageData::NotOffered)),
        (Privacy::Off, Some(UsageData::Off)),
        (Privacy::OffAsText, Some(UsageData::Off)),
        (Privacy::ListOnlyOff, Some(UsageData::Off)),
        (Privacy::ListOnlyOffWithoutId, Some(UsageData::Off)),
        (Privacy::PropertyMissing, None),
        (Privacy::WrongType, None),
        (Privacy::ResourceUnknown, None),
        (Privacy::Forbidden, None),
        (Privacy::ServerError, None),
        (Privacy::Malformed, None),
    ];
    for (privacy, expected) in table {
        let vms = start(Config { privacy, ..config() });
        match (connected(&vms.url()).usage_data(), expected) {
            (UsageData::Unknown(reason), None) => assert!(reason.starts_with("http://127.0.0.1:"), "{reason}"),
            (read, expected) => assert_eq!(Some(read), expected, "{privacy:?}"),
        }
    }
}

/// C9: the logon reads nothing but what it needs.
#[test]
fn c9_a_logon_reads_only_what_it_needs() {
    let vms = start(config());
    connected(&vms.url());
    let paths: Vec<_> = vms.received().into_iter().map(|request| request.path.to_ascii_lowercase()).collect();
    let rest = |resource: &str| format!("/api/rest/v1/{resource}");
    let logon = [DISCOVERY.to_owned(), TOKEN_ENDPOINT.to_ascii_lowercase()];
    assert_eq!(paths, [logon.as_slice(), &[rest("sites"), rest("licenseinformations")]].concat());
}

/// P3: an attempt that was cancelled ends soon, and sends no credential afterwards.
#[test]
fn p3_an_attempt_is_cancelled_from_another_thread() {
    let hold = |path: &str| Fault { path: path.to_owned(), hold: true, ..Fault::default() };
    for (path, tokens) in [(DISCOVERY, 0), (TOKEN_ENDPOINT, 1), ("/api/rest/v1/sites", 1)] {
        let vms = start(Config { faults: vec![hold(path)], ..config() });
        let (cancel, logon) = (Cancel::default(), logon(&vms.url()));
        let attempt = thread::spawn({
            let cancel = cancel.clone();
            move || connect(&logon, reader(), &cancel).map(|_| ())
        });
        assert_eq!(vms.wait_held(Some(path), 1, PATIENCE), 1);
        cancel.cancel();
        if skips_under_wine("it does not wake a thread that waits for the server") {
            vms.release(None);
        }
        let failure = attempt.join().unwrap().unwrap_err();
        assert_eq!(failure.kind, FailureKind::Cancelled, "{failure}");
        assert_eq!(vms.release(None), usize::from(!is_wine()), "it ended while the server did not answer");
        assert_eq!(requests(&vms, TOKEN_ENDPOINT), tokens, "{path}");
    }
    let (vms, cancel) = (start(config()), Cancel::default());
    cancel.cancel();
    let Err(failure) = connect(&logon(&vms.url()), reader(), &cancel) else { panic!() };
    assert_eq!((failure.kind, vms.connections()), (FailureKind::Cancelled, 0));
}

/// P3: child sites of all levels, if they are wanted.
#[test]
fn p3_child_sites() {
    let site = Site { child_sites: 3, grandchild_sites: 2, ..Site::default() };
    let user = User { forbidden: vec!["childSites".to_owned()], ..User::basic("guard", PASSWORD) };
    let vms = start(Config { site, users: vec![User::basic("reader", PASSWORD), user], ..config() });
    let logon = Logon { includes_child_sites: true, ..logon(&vms.url()) };
    let client = connect(&logon, reader(), &Cancel::default()).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!((client.facts.child_sites.len(), count(&client).child_sites), (3 + 3 * 2, Some(3)));
    assert_eq!(failure(&logon, basic("guard", PASSWORD)).kind, FailureKind::AccessDenied);
}

/// What a host says that logs on to a VMS, with these variables, or without a file descriptor.
#[cfg(unix)]
fn said_with(address: &str, variables: &[(&str, &str)], files: &str) -> String {
    let (home, nobody) = (Home::new(), closed_port().unwrap());
    let mut host = Host::start(&mut child::command(&home, &nobody.connection_string(&key()), variables));
    assert_eq!((host.ask("init awaiting"), host.ask(&format!("files {files}"))), ("0".to_owned(), "0".to_owned()));
    host.ask(&format!("log-on {address} {PASSWORD}"))
}

/// D5, F3, F4, F5: the store of this computer decides, and the message says what it lacks.
#[cfg(unix)]
#[test]
fn d5_p7_what_the_store_holds() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new().unwrap();
    let store = folder.path().join("store.pem");
    let table = [
        (Leaf::Good, "0", ""),
        (Leaf::Expired, "it expired on 2020-12-31", "Have the certificate of the server renewed"),
        (
            Leaf::WrongName,
            "it is for another name. It was issued to CN=VMS Collector by CN=VMS Collector test authority",
            "Connect with a name that the certificate is for",
        ),
        (
            Leaf::NoNames,
            "it lists no names. It was issued to CN=localhost by CN=VMS Collector test authority",
            "have it replaced by one for this name",
        ),
        (Leaf::SelfSigned, "does not trust its issuer", "Install the issuer's certificate"),
        (Leaf::SelfSignedAuthority, "does not trust its issuer", "Install the issuer's certificate"),
    ];
    for (leaf, expected, advice) in table {
        let (vms, _) = start_tls(&authority, leaf);
        std::fs::write(&store, authority.pem()).unwrap();
        let address = vms.url().replace("127.0.0.1", "localhost");
        let said = said_with(&address, &[("SSL_CERT_FILE", store.to_str().unwrap())], "many");
        let is_expected = expected != "0" && said.contains(expected) && said.contains(advice);
        assert!(said == expected || is_expected, "{leaf:?}: {said}");
    }
    // A certificate that is in the store itself.
    for leaf in [Leaf::SelfSigned, Leaf::SelfSignedAuthority] {
        let (vms, pem) = start_tls(&authority, leaf);
        std::fs::write(&store, pem).unwrap();
        for (host, expected) in [("localhost", "0"), ("127.0.0.1", "0"), ("[::ffff:127.0.0.1]", "another name")] {
            let address = vms.url().replace("127.0.0.1", host);
            let said = said_with(&address, &[("SSL_CERT_FILE", store.to_str().unwrap())], "many");
            assert!(said == expected || expected != "0" && said.contains(expected), "{leaf:?} {host}: {said}");
        }
    }
    let nowhere = [("SSL_CERT_FILE", "/nonexistent"), ("SSL_CERT_DIR", "/nonexistent")];
    let (vms, _) = start_tls(&authority, Leaf::Good);
    let said = said_with(&vms.url(), &nowhere, "many");
    assert!(said.contains("this computer has no certificates of authorities"), "{said}");
}

/// No descriptors are left, in each step.
#[cfg(unix)]
#[test]
fn p7_too_many_open_files_is_the_reason() {
    let vms = start(config());
    for host in ["127.0.0.1", "localhost"] {
        let address = vms.url().replace("127.0.0.1", host);
        let said = said_with(&address, &[], "none");
        assert!(said.contains("this process has too many open files"), "{said}");
    }
}
