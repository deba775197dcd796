//! Connections that the library makes itself, to the demo VMS: logon, privacy option, counts, and what goes wrong (P3).

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Home, PATIENCE, arrived, key, settle, wait_until};
use demo_vms::{AccessToken, Config, DemoVms, Disabled, Effect, Fault, Privacy, Quirks, Site, User, UserState};
use serde_json::{Value, json};
use vms_collector::Collector;
use vms_collector::tls::{Authority, Leaf};
use vms_telemetry::event::Field;
use vms_telemetry::session::{Outcome, Session, UsageDataPolicy};
use vms_telemetry::vms::failure::{Failure, Kind};
use vms_telemetry::vms::{BasicUser, Client, Credential, Logon, Stage};
use zeroize::Zeroizing;

const PASSWORD: &str = "p&w=1 +%é-not-a-secret";
const TOKEN: &str = "demo.token.not-a-secret";
const TOKEN_ENDPOINT: &str = "/IDP/connect/token";

fn config() -> Config {
    Config {
        users: vec![User::basic("reader", PASSWORD), User::external("visitor@example.test")],
        access_tokens: vec![AccessToken {
            token: TOKEN.to_owned(),
            user: "visitor@example.test".to_owned(),
            seconds: None,
        }],
        ..Config::default()
    }
}

fn start(config: Config) -> DemoVms {
    DemoVms::start(config).unwrap()
}

fn fault(path: &str, effect: Effect) -> Fault {
    Fault { path: path.to_owned(), effect: Some(effect), ..Fault::default() }
}

fn answer(body: &str) -> Effect {
    Effect::Answer { status: 200, content_type: "application/json".to_owned(), body: body.to_owned() }
}

fn basic(name: &str, password: &str) -> Credential {
    let secret = |text: &str| Zeroizing::new(text.to_owned());
    Credential::Basic(BasicUser { name: secret(name), password: secret(password) })
}

/// A logon of the reader to this address.
fn logon(address: &str) -> Logon {
    Logon {
        address: address.parse().unwrap(),
        credential: basic("reader", PASSWORD),
        is_secure_only: false,
        skips_certificate_check: false,
        includes_child_sites: false,
        timeout: PATIENCE,
    }
}

/// A session in a profile of its own, and where its events go.
struct Here {
    home: Home,
    collector: Collector,
    key: String,
    session: Arc<Session>,
}

impl Here {
    fn new() -> Self {
        let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
        let session = Arc::new(home.session(&collector.connection_string(&key), &[]));
        Self { home, collector, key, session }
    }

    /// Connects and waits until nothing goes on any more.
    fn connect(&self, logon: Logon) -> (u64, Arc<Client>) {
        let number = self.session.connect_vms(logon).unwrap();
        let client = self.session.client(number).unwrap();
        let stage = client.wait(|stage| stage < Stage::Connected, 3 * PATIENCE).stage;
        assert!(stage >= Stage::Connected, "{stage:?}");
        (number, client)
    }

    /// Connects in vain.
    fn fail(&self, logon: Logon) -> Failure {
        let (number, client) = self.connect(logon);
        let failure = client.known().failure.clone().expect("a failure");
        assert_eq!(client.known().stage, Stage::Failed);
        assert_eq!(self.session.disconnect(number).unwrap(), Outcome::Off);
        for secret in [PASSWORD, TOKEN, "p%26w"] {
            assert!(!failure.to_string().contains(secret), "{failure}");
        }
        failure
    }

    /// The data of the events that arrived, in order.
    fn data(&self, count: usize) -> Vec<Value> {
        let received = arrived(&self.collector, &self.key, count);
        received.iter().map(|item| item.envelope["data"]["baseData"].clone()).collect()
    }
}

/// Whether the connection was reported, and what its privacy option is.
fn reported(client: &Client) -> (Option<bool>, Option<UsageDataPolicy>) {
    let known = client.known();
    (known.reported, known.policy)
}

/// How often a path was asked for.
fn requests(vms: &DemoVms, path: &str) -> usize {
    vms.received().iter().filter(|request| request.path.eq_ignore_ascii_case(path)).count()
}

fn counts(vms: &DemoVms) -> Vec<(Field, u32)> {
    let counts = vms.counts();
    [
        (Field::ChildSites, counts.child_sites),
        (Field::Recorders, counts.recording_servers),
        (Field::HardwareCount, counts.hardware),
        (Field::CameraCount, counts.cameras),
        (Field::MicrophoneCount, counts.microphones),
        (Field::SpeakerCount, counts.speakers),
        (Field::MetadataCount, counts.metadata),
        (Field::InputCount, counts.inputs),
        (Field::OutputCount, counts.outputs),
    ]
    .map(|(field, count)| (field, u32::try_from(count).unwrap()))
    .to_vec()
}

fn sorted(mut counts: Vec<(Field, u32)>) -> Vec<(Field, u32)> {
    counts.sort_by_key(|(field, _)| *field as u32);
    counts
}

/// P3, E2: the whole way of a basic user, and what arrives of it.
#[test]
fn p3_e2_a_basic_user_connects_and_the_counts_arrive() {
    let (here, vms) = (Here::new(), start(config()));
    let (number, client) = here.connect(logon(&vms.url()));
    {
        let known = client.known();
        let site = known.site.as_ref().unwrap();
        assert_eq!((site.id.to_string(), site.name.as_str()), (vms.site_id(), "DEMO-VMS"));
        assert_eq!(known.origin.as_ref().unwrap().to_string() + "/", vms.url());
        assert_eq!((known.policy, known.reported), (Some(UsageDataPolicy::On), Some(true)));
        assert_eq!(sorted(known.counts.clone()), sorted(counts(&vms)));
        assert_eq!(known.child_sites, []);
    }
    assert_eq!(here.session.disconnect(number).unwrap(), Outcome::Recorded);
    let events = here.data(3);
    let expected: serde_json::Map<String, Value> =
        counts(&vms).into_iter().map(|(field, count)| (format!("{field:?}"), json!(count))).collect();
    assert_eq!(events[1]["measurements"], Value::Object(expected));
    let properties = &events[1]["properties"];
    assert_eq!(
        [&properties["UserType"], &properties["IsOAuthConnection"], &properties["EncryptionEnabled"]],
        ["BasicUser", "True", "False"]
    );
    assert_eq!(
        [&properties["ProductVersion"], &properties["ProductName"]],
        ["25.1.1804.0", "XProtect Corporate 2025 R1"]
    );
    assert_ne!(properties["SiteId"], vms.site_id());
    assert_eq!(events[2]["name"], "CloseVmsSession");
    assert_eq!(requests(&vms, TOKEN_ENDPOINT), 1);
    assert!(here.session.disconnect(number).is_err());
}

/// P3: counts equal the VMS's own, over a hundred sites, as different as real servers are.
#[test]
fn p3_e2_the_counts_of_a_hundred_sites() {
    let here = Here::new();
    for seed in 0..100_u64 {
        let bit = |place: u64| seed >> place & 1 == 1;
        let quirks = Quirks {
            ignore_paging: bit(0),
            max_size: bit(1).then_some(7 + seed),
            devices_of_disabled_hardware: bit(2),
            numbers_as_strings: bit(3),
            booleans_as_strings: bit(4),
            ..Quirks::default()
        };
        let vms = start(Config { site: Site::random(seed), quirks, ..config() });
        let (number, client) = here.connect(logon(&vms.url()));
        assert_eq!(sorted(client.known().counts.clone()), sorted(counts(&vms)), "{seed}");
        here.session.disconnect(number).unwrap();
    }
    assert_eq!(here.data(201).iter().filter(|event| event["name"] == "NewVmsSession").count(), 100);
}

/// P3: thousands of devices, page by page.
#[test]
fn p3_e2_a_large_site() {
    let disabled = Disabled { hardware: 5, devices: 5, ..Disabled::default() };
    let site = Site { recording_servers: 50, hardware: 100, disabled, ..Site::default() };
    let (here, vms) = (Here::new(), start(Config { site, ..config() }));
    let (_, client) = here.connect(logon(&vms.url()));
    assert_eq!(sorted(client.known().counts.clone()), sorted(counts(&vms)));
    let first_and_more = vms.received().iter().filter(|request| request.path.ends_with("/cameras")).count();
    assert!(first_and_more > 5, "{first_and_more}");
    assert!(client.items() > 20_000);
}

/// P3: a token that ran out on the way is replaced, and nobody notices.
#[test]
fn p3_an_expired_token_is_refreshed() {
    let (here, vms) = (Here::new(), start(config()));
    // The privacy option's answer waits until the tokens are gone.
    vms.set_faults(vec![Fault { path: "/api/rest/v1/toolOptions*".to_owned(), delay_ms: 300, ..Fault::default() }]);
    let number = here.session.connect_vms(logon(&vms.url())).unwrap();
    let client = here.session.client(number).unwrap();
    let option = "/API/rest/v1/toolOptions/a36b973e-eb89-4cd9-8f44-5628c1e7f032";
    assert_eq!(vms.wait_for(Some(option), 1, PATIENCE).len(), 1);
    vms.expire_tokens();
    drop(client.wait(|stage| stage < Stage::Connected, PATIENCE));
    assert_eq!(sorted(client.known().counts.clone()), sorted(counts(&vms)));
    let grants: Vec<_> =
        vms.received().into_iter().filter(|seen| seen.path == TOKEN_ENDPOINT).map(|seen| seen.fields).collect();
    assert_eq!(grants.len(), 2);
    assert!(grants[0].contains(&"password".to_owned()) && grants[1].contains(&"refresh_token".to_owned()));
}

/// E2: a token from elsewhere has nothing to be replaced by; what it cannot read any more is left out.
#[test]
fn e2_an_expired_token_from_elsewhere_costs_only_the_counts() {
    let slow = Fault { path: "/api/rest/v1/hardware".to_owned(), delay_ms: 300, ..Fault::default() };
    let (here, vms) = (Here::new(), start(Config { faults: vec![slow], ..config() }));
    let credential = Credential::Token(Zeroizing::new(TOKEN.to_owned()));
    let number = here.session.connect_vms(Logon { credential, ..logon(&vms.url()) }).unwrap();
    let client = here.session.client(number).unwrap();
    assert_eq!(vms.wait_for(Some("/API/rest/v1/hardware"), 1, PATIENCE).len(), 1);
    vms.expire_tokens();
    drop(client.wait(|stage| stage < Stage::Connected, PATIENCE));
    assert_eq!(reported(&client).0, Some(true));
    assert!(!client.known().counts.iter().any(|(field, _)| *field == Field::CameraCount));
    assert_eq!(requests(&vms, TOKEN_ENDPOINT), 0);
}

/// P3: whoever is refused is told why, and no password is tried twice.
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
    let here = Here::new();
    let table = [
        ("reader", "wrong", Kind::LogonRefused),
        ("unknown", PASSWORD, Kind::LogonRefused),
        ("locked", PASSWORD, Kind::LockedOut),
        ("novice", PASSWORD, Kind::PasswordExpired),
        ("nobody", PASSWORD, Kind::AccessDenied),
    ];
    for (name, password, kind) in table {
        let vms = start(Config { users: users.clone(), ..config() });
        let failure = here.fail(Logon { credential: basic(name, password), ..logon(&vms.url()) });
        assert_eq!(failure.kind, kind, "{failure}");
        assert!(failure.to_string().starts_with(vms.url().trim_end_matches('/')), "{failure}");
        assert_eq!(requests(&vms, TOKEN_ENDPOINT), 1, "{name}");
    }
    let vms = start(config());
    for token in ["unknown", "with\nline", "with space "] {
        let credential = Credential::Token(Zeroizing::new(token.to_owned()));
        assert_eq!(here.fail(Logon { credential, ..logon(&vms.url()) }).kind, Kind::LogonRefused);
    }
    assert_eq!(here.data(1).len(), 1);
}

/// P3: an access token, and a Windows user's token that the host brings.
#[test]
fn p3_tokens_from_elsewhere() {
    let (here, vms) = (Here::new(), start(config()));
    let secret = || Zeroizing::new(TOKEN.to_owned());
    let (number, client) = here.connect(Logon { credential: Credential::Token(secret()), ..logon(&vms.url()) });
    assert_eq!(reported(&client).0, Some(true));
    assert!(!client.give_token(secret()));
    here.session.disconnect(number).unwrap();

    let number = here.session.connect_vms(Logon { credential: Credential::Windows, ..logon(&vms.url()) }).unwrap();
    let client = here.session.client(number).unwrap();
    let endpoint = client.wait(|stage| stage == Stage::Finding, PATIENCE).token_endpoint.clone();
    assert_eq!(client.known().stage, Stage::TokenNeeded);
    assert_eq!(endpoint.as_deref(), Some(format!("{}IDP/connect/token", vms.url()).as_str()));
    assert!(client.give_token(secret()));
    drop(client.wait(|stage| stage < Stage::Connected, PATIENCE));
    let kinds: Vec<Value> = here.data(4).iter().map(|event| event["properties"]["UserType"].clone()).collect();
    assert_eq!(kinds, [Value::Null, json!("OAuthUser"), Value::Null, json!("WindowsUser")]);
    // Nobody brings one.
    let logon = Logon { credential: Credential::Windows, timeout: Duration::from_millis(300), ..logon(&vms.url()) };
    assert_eq!(here.fail(logon).kind, Kind::Timeout);
    assert_eq!(requests(&vms, TOKEN_ENDPOINT), 0);
}

/// E2: what cannot be counted is left out, and the rest is sent.
#[test]
fn e2_what_cannot_be_counted_is_left_out() {
    let nameless = r#"{"array":[{"id":5,"enabled":true}]}"#;
    let faults = vec![
        fault("/api/rest/v1/cameras", Effect::CloseAfter(2_000)),
        fault("/api/rest/v1/speakers", answer(r#"{"array":[{"id":"#)),
        fault("/api/rest/v1/outputs", Effect::Repeat { text: "[".to_owned(), bytes: 1 << 30 }),
        fault("/api/rest/v1/metadata", answer(r#"{"array":"none"}"#)),
        // Without ids nobody knows where a list ends.
        fault("/api/rest/v1/childSites", answer(nameless)),
        fault(
            "/api/rest/v1/inputEvents",
            Effect::Answer { status: 503, content_type: "text/html".to_owned(), body: "<html>".to_owned() },
        ),
        fault("/api/rest/v1/microphones", Effect::Redirect("http://127.0.0.1:9/".to_owned())),
    ];
    let (here, vms) = (Here::new(), start(Config { faults, ..config() }));
    let (number, client) = here.connect(logon(&vms.url()));
    assert_eq!(reported(&client).0, Some(true));
    here.session.disconnect(number).unwrap();
    let hardware = vms.counts().hardware;
    assert_eq!(here.data(3)[1]["measurements"], json!({ "Recorders": 3, "HardwareCount": hardware }));

    // Without the hardware nobody knows which devices are those of disabled hardware.
    let user = User { forbidden: vec!["hardware".to_owned()], ..User::basic("reader", PASSWORD) };
    let vms = start(Config { users: vec![user], ..config() });
    here.connect(logon(&vms.url()));
    assert_eq!(here.data(4)[3]["measurements"], json!({ "ChildSites": 2, "Recorders": 3 }));
    assert_eq!(requests(&vms, "/api/rest/v1/cameras"), 0);
}

/// P3: what older servers lack: the client that gets refresh tokens, and the list of licences.
#[test]
fn p3_what_an_older_server_lacks_is_done_in_its_way() {
    let unknown = r#"{"error":"invalid_client"}"#;
    let unknown = Effect::Answer { status: 400, content_type: "application/json".to_owned(), body: unknown.to_owned() };
    let faults = vec![Fault { times: Some(1), ..fault(TOKEN_ENDPOINT, unknown) }];
    let user = User { forbidden: vec!["licenseInformations".to_owned()], ..User::basic("reader", PASSWORD) };
    let (here, vms) = (Here::new(), start(Config { users: vec![user], faults, ..config() }));
    let (_, client) = here.connect(logon(&vms.url()));
    assert_eq!(client.known().product.as_deref(), Some("XProtect Corporate 2025 R1"));
    assert_eq!((reported(&client).0, requests(&vms, TOKEN_ENDPOINT)), (Some(true), 2));
}

/// E2: a token that ran out and cannot be replaced costs the counts that were still to come.
#[test]
fn e2_a_refused_refresh_costs_only_the_counts() {
    let slow = Fault { path: "/api/rest/v1/cameras".to_owned(), delay_ms: 300, ..Fault::default() };
    let refused = r#"{"error":"invalid_grant"}"#;
    let refused = Effect::Answer { status: 400, content_type: "application/json".to_owned(), body: refused.to_owned() };
    let refused = Fault { skip: 1, ..fault(TOKEN_ENDPOINT, refused) };
    let (here, vms) = (Here::new(), start(Config { faults: vec![slow, refused], ..config() }));
    let number = here.session.connect_vms(logon(&vms.url())).unwrap();
    let client = here.session.client(number).unwrap();
    assert_eq!(vms.wait_for(Some("/API/rest/v1/cameras"), 1, PATIENCE).len(), 1);
    vms.expire_tokens();
    drop(client.wait(|stage| stage < Stage::Connected, PATIENCE));
    assert_eq!(reported(&client).0, Some(true));
    let counts = client.known().counts.clone();
    assert!(counts.contains(&(Field::HardwareCount, u32::try_from(vms.counts().hardware).unwrap())), "{counts:?}");
    assert!(!counts.iter().any(|(field, _)| *field == Field::CameraCount), "{counts:?}");
    assert!(requests(&vms, TOKEN_ENDPOINT) >= 2);
}

/// A VMS with HTTPS, whose lists are short: Wine waits for ever for the end of a long record of TLS.
fn start_tls(authority: &Authority) -> DemoVms {
    let site = Site { recording_servers: 0, ..Site::default() };
    DemoVms::start_tls(Config { site, ..config() }, authority.server(Leaf::Good).unwrap()).unwrap()
}

/// P3: a certificate that this computer does not trust ends the logon before any credential is sent, unless the user says so.
#[test]
fn p3_certificates_are_refused_and_accepted() {
    let (here, authority) = (Here::new(), Authority::new().unwrap());
    let vms = start_tls(&authority);
    let address = vms.url();
    for address in [address.as_str(), address.strip_prefix("https://").unwrap()] {
        let failure = here.fail(logon(address));
        assert_eq!(failure.kind, Kind::Certificate, "{failure}");
    }
    assert_eq!(vms.received().len(), 0);
    for is_secure_only in [false, true] {
        let (number, client) = here.connect(Logon { skips_certificate_check: true, is_secure_only, ..logon(&address) });
        assert_eq!(reported(&client).0, Some(true));
        here.session.disconnect(number).unwrap();
    }
    assert_eq!(here.data(5)[1]["properties"]["EncryptionEnabled"], "True");
}

/// P3: a bare host name means HTTPS, and HTTP only where nobody speaks HTTPS there; never where HTTPS was asked for.
#[test]
fn p3_a_bare_name_and_secure_only() {
    let (here, vms) = (Here::new(), start(config()));
    let bare = format!("127.0.0.1:{}", vms.port());
    let (number, client) = here.connect(logon(&bare));
    assert_eq!(client.known().origin.as_ref().unwrap().to_string(), format!("http://{bare}"));
    here.session.disconnect(number).unwrap();
    let before = requests(&vms, TOKEN_ENDPOINT);
    let failure = here.fail(Logon { is_secure_only: true, ..logon(&bare) });
    assert_eq!(failure.kind, Kind::Unreachable, "{failure}");
    let failure = here.fail(Logon { is_secure_only: true, ..logon(&vms.url()) });
    assert_eq!(failure.kind, Kind::NotEncrypted, "{failure}");
    assert_eq!(requests(&vms, TOKEN_ENDPOINT), before);
    let closed = vms_collector::closed_port().unwrap();
    let failure = here.fail(logon(&closed.url()));
    assert_eq!(failure.kind, Kind::Unreachable, "{failure}");
    // A connection that is cut off, by whomever, leads to no password over plain HTTP.
    let cutting = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let bare = cutting.local_addr().unwrap().to_string();
    let cut = std::thread::spawn(move || {
        drop(cutting.accept().unwrap());
        cutting
    });
    let failure = here.fail(logon(&bare));
    assert_eq!(failure.kind, Kind::Unreachable, "{failure}");
    assert!(failure.to_string().starts_with(&format!("https://{bare}: ")), "{failure}");
    let cutting = cut.join().unwrap();
    cutting.set_nonblocking(true).unwrap();
    // Windows cannot tell this from a server that speaks no TLS.
    assert!(cutting.accept().is_err() || cfg!(windows));
}

/// P3: no credential goes where the user did not send it.
#[test]
fn p3_redirections_are_followed_to_https_on_the_same_host_only() {
    let (here, authority) = (Here::new(), Authority::new().unwrap());
    let secure = start_tls(&authority);
    let (other, vms) = (start(config()), start(config()));
    let discovery = "/api/.well-known/uris";
    let elsewhere = format!("http://localhost:{}{discovery}", other.port());
    for to in [elsewhere.as_str(), "https://vms.example.test/", "/login", "http://127.0.0.1:1/"] {
        vms.set_faults(vec![fault(discovery, Effect::Redirect(to.to_owned()))]);
        let failure = here.fail(logon(&vms.url()));
        let kind = if to.starts_with('/') { Kind::Answer } else { Kind::Redirected };
        assert_eq!(failure.kind, kind, "{failure}");
    }
    vms.set_faults(vec![fault(TOKEN_ENDPOINT, Effect::Redirect(format!("{}IDP/connect/token", other.url())))]);
    assert_eq!(here.fail(logon(&vms.url())).kind, Kind::Redirected);
    assert_eq!(other.connections(), 0);

    vms.set_faults(vec![fault(discovery, Effect::Redirect(format!("{}api", secure.url())))]);
    let (_, client) = here.connect(Logon { skips_certificate_check: true, ..logon(&vms.url()) });
    assert_eq!(client.known().origin.as_ref().unwrap().to_string() + "/", secure.url());
    // The document of a server names another host; its paths are all that is taken from it.
    let vms = start(Config { advertise: Some("https://elsewhere.example.test".to_owned()), ..config() });
    let (_, client) = here.connect(logon(&vms.url()));
    assert_eq!(reported(&client).0, Some(true));
}

/// P3, I6: whatever a server answers, there is a failure that says what to do, in bounded time and memory.
#[test]
fn p3_i6_hostile_answers() {
    let (here, vms) = (Here::new(), start(config()));
    let endless = |text: &str| Effect::Repeat { text: text.to_owned(), bytes: 1 << 30 };
    let discovery = "/api/.well-known/uris";
    let sites = "/api/rest/v1/sites";
    let page = |status| Effect::Answer { status, content_type: "text/html".to_owned(), body: "<html>".to_owned() };
    let table = [
        (discovery, endless("["), Kind::Answer),
        (discovery, endless("a"), Kind::Answer),
        (discovery, answer("[]"), Kind::Answer),
        (discovery, answer(r#"{"ApiGateways":7}"#), Kind::Answer),
        (discovery, page(404), Kind::Answer),
        (discovery, page(503), Kind::Server),
        (discovery, Effect::HugeHeader(1 << 20), Kind::Answer),
        (discovery, Effect::CloseAfter(30), Kind::Unreachable),
        (TOKEN_ENDPOINT, endless(" "), Kind::Answer),
        (TOKEN_ENDPOINT, answer("{}"), Kind::Answer),
        (TOKEN_ENDPOINT, answer(r#"{"access_token":7}"#), Kind::Answer),
        (TOKEN_ENDPOINT, answer(r#"{"access_token":"a\r\nb"}"#), Kind::LogonRefused),
        (TOKEN_ENDPOINT, page(401), Kind::LogonRefused),
        (TOKEN_ENDPOINT, page(502), Kind::Server),
        (sites, endless("["), Kind::Answer),
        (sites, endless(r#"{"array":["#), Kind::Answer),
        (sites, answer(r#"{"array":[]}"#), Kind::Answer),
        (sites, answer(r#"{"array":[{"id":"..\\..\\x","displayName":"A"}]}"#), Kind::Answer),
        (sites, answer(r#"{"array":[{"id":7}]}"#), Kind::Answer),
        (sites, Effect::CloseAfter(300), Kind::Unreachable),
        (sites, page(500), Kind::Server),
    ];
    for (path, effect, kind) in table {
        vms.set_faults(vec![fault(path, effect.clone())]);
        let failure = here.fail(logon(&vms.url()));
        assert_eq!(failure.kind, kind, "{path} {effect:?}: {failure}");
    }
    vms.set_faults(vec![fault(sites, Effect::Slow(50))]);
    let failure = here.fail(Logon { timeout: Duration::from_millis(700), ..logon(&vms.url()) });
    assert_eq!(failure.kind, Kind::Timeout, "{failure}");
    let name = format!("a\u{1b}[31mred\u{7}{}", "x".repeat(5_000));
    let site = json!({ "array": [{ "id": vms.site_id(), "displayName": name, "version": "\u{9b}1" }] });
    vms.set_faults(vec![fault(sites, answer(&site.to_string()))]);
    let (_, client) = here.connect(logon(&vms.url()));
    let site = client.known().site.clone().unwrap();
    assert!(site.name.starts_with("a[31mredxxx") && site.name.len() == 256, "{}", site.name);
    assert_eq!(site.version.as_deref(), Some("1"));
    assert!(!here.home.files().iter().any(|file| file.contains("..")));
}

/// C6: a VMS that forbids it switches telemetry off, now and in the next session.
#[test]
fn c6_the_option_is_off() {
    for privacy in [Privacy::Off, Privacy::OffAsText, Privacy::ListOnlyOff, Privacy::ListOnlyOffWithoutId] {
        let (home, key) = (Home::new(), key());
        let nobody = Collector::start().unwrap().connection_string(&key);
        let session = Arc::new(home.session(&nobody, &[]));
        assert_eq!(home.spool().entries().unwrap().len(), 1);
        let vms = start(Config { privacy, ..config() });
        let number = session.connect_vms(logon(&vms.url())).unwrap();
        let client = session.client(number).unwrap();
        drop(client.wait(|stage| stage < Stage::Connected, PATIENCE));
        assert_eq!(reported(&client), (Some(false), Some(UsageDataPolicy::Off)), "{privacy:?}");
        assert!(session.state().telemetry.words.contains("a VMS that was connected to forbids"));
        assert_eq!(session.disconnect(number).unwrap(), Outcome::Off);
        assert_eq!(home.spool().entries().unwrap(), []);
        assert!(!home.session(&nobody, &[]).state().telemetry.on);
        assert!(!vms.received().iter().any(|request| request.path.ends_with("/cameras")));
        assert!(!home.files().iter().any(|file| file.contains("site-")));
    }
}

/// C7: what each answer about the option means.
#[test]
fn c7_the_option_is_on_not_offered_or_unknown() {
    let here = Here::new();
    let table = [
        (Privacy::On, UsageDataPolicy::On),
        (Privacy::OnAsText, UsageDataPolicy::On),
        (Privacy::ListOnlyOn, UsageDataPolicy::On),
        (Privacy::ItemMissing, UsageDataPolicy::NotOffered),
        (Privacy::PropertyMissing, UsageDataPolicy::Unknown),
        (Privacy::WrongType, UsageDataPolicy::Unknown),
        (Privacy::ResourceUnknown, UsageDataPolicy::Unknown),
        (Privacy::Forbidden, UsageDataPolicy::Unknown),
        (Privacy::ServerError, UsageDataPolicy::Unknown),
        (Privacy::Malformed, UsageDataPolicy::Unknown),
    ];
    for (privacy, policy) in table {
        let vms = start(Config { privacy, ..config() });
        let (number, client) = here.connect(logon(&vms.url()));
        let is_known = policy != UsageDataPolicy::Unknown;
        assert_eq!(reported(&client), (Some(is_known), Some(policy)), "{privacy:?}");
        let state = here.session.state();
        assert!(state.telemetry.on);
        assert_eq!(state.unreported.is_none(), is_known, "{privacy:?}");
        let counted = vms.received().iter().any(|request| request.path.ends_with("/cameras"));
        assert_eq!(counted, is_known, "{privacy:?}");
        let outcome = here.session.disconnect(number).unwrap();
        assert_eq!(outcome == Outcome::Recorded, is_known, "{privacy:?}");
    }
    assert_eq!(here.data(9).len(), 1 + 4 * 2);
    assert!(std::fs::metadata(here.home.paths().settings()).is_err(), "nothing is persisted");
}

/// C9: with telemetry off a connection is made all the same, and nothing more is asked of the VMS.
#[test]
fn c9_with_telemetry_off_only_the_logon_is_left() {
    let (home, vms) = (Home::new(), start(config()));
    let collector = Collector::start().unwrap();
    let session = Arc::new(home.session(&collector.connection_string(&key()), &[("DO_NOT_TRACK", "1")]));
    let number = session.connect_vms(logon(&vms.url())).unwrap();
    let client = session.client(number).unwrap();
    drop(client.wait(|stage| stage < Stage::Connected, PATIENCE));
    assert_eq!(reported(&client), (Some(false), None));
    assert_eq!(session.disconnect(number).unwrap(), Outcome::Off);
    let paths: Vec<_> = vms.received().into_iter().map(|request| request.path.to_ascii_lowercase()).collect();
    let rest = |resource: &str| format!("/api/rest/v1/{resource}");
    let logon = ["/api/.well-known/uris".to_owned(), "/idp/connect/token".to_owned()];
    assert_eq!(paths, [logon.as_slice(), &[rest("sites"), rest("licenseinformations")]].concat());
    assert_eq!((home.files(), collector.connections()), (Vec::new(), 0));
}

/// S4: closing does not wait for a server that is slow to be counted; what is known by then is sent (E2).
#[test]
fn s4_e2_closing_does_not_wait_for_the_counts() {
    let slow = Fault { path: "/api/rest/v1/cameras".to_owned(), delay_ms: 20_000, ..Fault::default() };
    let (here, vms) = (Here::new(), start(Config { faults: vec![slow], ..config() }));
    let number = here.session.connect_vms(logon(&vms.url())).unwrap();
    let client = here.session.client(number).unwrap();
    wait_until(|| client.known().counts.len() == 8);
    assert_eq!(client.known().stage, Stage::Counting);
    // As at the end of a process; then as by Disconnect-Vms, which finds it done.
    assert_eq!(here.session.settle(number, Duration::ZERO).unwrap(), Outcome::Recorded);
    assert_eq!(here.session.settle(number, Duration::ZERO).unwrap(), Outcome::Off);
    assert_eq!(here.session.disconnect(number).unwrap(), Outcome::Recorded);
    let events = here.data(3);
    assert_eq!(events[1]["measurements"].as_object().unwrap().len(), 8);
    assert!(events[1]["measurements"].get("CameraCount").is_none());
    assert_eq!(events[2]["name"], "CloseVmsSession");
}

/// C6, S4: whoever closes before the option is read has nothing recorded, and obeys it when it comes.
#[test]
fn c6_the_option_counts_even_where_nobody_waits_for_it() {
    let slow = Fault { path: "/api/rest/v1/toolOptions*".to_owned(), delay_ms: 2_000, ..Fault::default() };
    let (here, vms) = (Here::new(), start(Config { privacy: Privacy::Off, faults: vec![slow], ..config() }));
    let number = here.session.connect_vms(logon(&vms.url())).unwrap();
    let client = here.session.client(number).unwrap();
    drop(client.wait(|stage| stage < Stage::Counting, PATIENCE));
    assert_eq!(here.session.disconnect(number).unwrap(), Outcome::Off);
    assert!(here.session.state().unreported.is_some_and(|words| words.contains("not read in time")));
    wait_until(|| !here.session.state().telemetry.on);
    assert_eq!(here.home.spool().entries().unwrap(), []);
    assert!(here.data(1)[0]["name"] == "NewSession");
}

/// P3: a logon that nobody waits for any more leaves nothing behind.
#[test]
fn p3_closing_on_the_way_ends_it() {
    let slow = Fault { path: TOKEN_ENDPOINT.to_owned(), delay_ms: 500, ..Fault::default() };
    let (here, vms) = (Here::new(), start(Config { faults: vec![slow], ..config() }));
    let number = here.session.connect_vms(logon(&vms.url())).unwrap();
    let client = here.session.client(number).unwrap();
    assert_eq!(vms.wait_for(Some(TOKEN_ENDPOINT), 1, PATIENCE).len(), 1);
    assert_eq!(here.session.disconnect(number).unwrap(), Outcome::Off);
    assert!(here.session.client(number).is_err());
    drop(client.wait(|_| true, Duration::ZERO));
    wait_until(|| client.known().stage >= Stage::Connected);
    assert_eq!(here.data(1).len(), 1);
    assert_eq!(requests(&vms, "/api/rest/v1/sites"), 0);

    // Before the server is found: no credential goes out any more.
    let discovery = "/api/.well-known/uris";
    vms.set_faults(vec![Fault { path: discovery.to_owned(), delay_ms: 500, ..Fault::default() }]);
    let number = here.session.connect_vms(logon(&vms.url())).unwrap();
    let client = here.session.client(number).unwrap();
    assert_eq!(vms.wait_for(Some(discovery), 2, PATIENCE).len(), 2);
    here.session.disconnect(number).unwrap();
    wait_until(|| client.known().stage >= Stage::Connected);
    assert_eq!(requests(&vms, TOKEN_ENDPOINT), 1);
}

/// P3: child sites of all levels, where they are wanted.
#[test]
fn p3_child_sites() {
    let site = Site { child_sites: 3, grandchild_sites: 2, ..Site::default() };
    let user = User { forbidden: vec!["childSites".to_owned()], ..User::basic("guard", PASSWORD) };
    let users = vec![User::basic("reader", PASSWORD), user];
    let (here, vms) = (Here::new(), start(Config { site, users, ..config() }));
    let (_, client) = here.connect(Logon { includes_child_sites: true, ..logon(&vms.url()) });
    assert_eq!(client.known().child_sites.len(), 3 + 3 * 2);
    assert!(client.known().counts.contains(&(Field::ChildSites, 3)));
    let credential = basic("guard", PASSWORD);
    let failure = here.fail(Logon { includes_child_sites: true, credential, ..logon(&vms.url()) });
    assert_eq!(failure.kind, Kind::AccessDenied, "{failure}");
}

/// E5: no credential, address or name of the VMS is in anything that is sent, spooled, logged or stored.
#[test]
fn e5_nothing_of_the_logon_is_kept() {
    let here = Here::new();
    let change = vms_telemetry::session::Change { log: Some(true), ..Default::default() };
    here.session.set_config(change).unwrap();
    let vms = start(Config { site: Site { name: "SECRET-SITE-NAME".to_owned(), ..Site::default() }, ..config() });
    let (number, _) = here.connect(logon(&vms.url()));
    here.session.disconnect(number).unwrap();
    let mut text: String = here.data(3).iter().map(Value::to_string).collect();
    settle(&here.session);
    for file in here.home.files() {
        text += &String::from_utf8_lossy(&std::fs::read(here.home.path().join(&file)).unwrap());
    }
    assert!(text.contains("NewVmsSession") && text.contains("IncludeInLogs"));
    for secret in
        [PASSWORD, "not-a-secret", "reader", "SECRET-SITE-NAME", "eyJ", &format!(":{}", vms.port()), &vms.site_id()]
    {
        assert!(!text.contains(secret), "{secret}");
    }
}
