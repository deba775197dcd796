//! Connections that the library makes itself, to the demo VMS, as far as telemetry is concerned: what is reported, counted and
//! obeyed (P3, C6, C7). The client alone is tested in `vms_client.rs`.

use std::cell::RefCell;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use crate::common::child::{self, Host};
use crate::common::vms::{DISCOVERY, PASSWORD, TOKEN, TOKEN_ENDPOINT, basic, config, logon, reader, requests, start};
use crate::common::{Home, PATIENCE, arrived, key, names, settle, wait_until};
use serde_json::{Value, json};
use vms_collector::Collector;
use vms_collector::tls::{Authority, Leaf};
use vms_demo::{Config, DemoVms, Effect, Fault, Privacy, Site};
use vms_telemetry::abi;
use vms_telemetry::connections::ConnectionStatus;
use vms_telemetry::consent::{Layer, Verdict};
use vms_telemetry::error::{Error, Result};
use vms_telemetry::event::UserType;
use vms_telemetry::session::{Change, Outcome, Session, UsageDataPolicy};
use vms_telemetry::vms::{Credential, Facts, FailureKind, Logon};
use zeroize::Zeroizing;

const CAMERAS: &str = "/api/rest/v1/cameras";
const HARDWARE: &str = "/api/rest/v1/hardware";
const OPTION: &str = "/API/rest/v1/toolOptions/a36b973e-eb89-4cd9-8f44-5628c1e7f032";

/// A VMS that does not answer the first request for a path until a test releases that.
fn hold(path: &str) -> Fault {
    Fault { path: path.to_owned(), times: Some(1), hold: true, ..Fault::default() }
}

/// Waits until a request for a path is held.
fn held(vms: &DemoVms, path: &str) {
    assert_eq!(vms.wait_held(Some(path), 1, PATIENCE), 1, "{path}");
}

/// Logs the reader on.
fn log_on(session: &Arc<Session>, number: u64, address: &str) -> Result<Facts> {
    session.connect_vms(number, logon(address), reader(), UserType::BasicUser)
}

/// Logs the reader on; counting goes on in the background.
fn begin(session: &Arc<Session>, address: &str) -> u64 {
    let number = session.reserve().unwrap();
    log_on(session, number, address).unwrap();
    number
}

/// Waits until a connection is counted.
fn counted(session: &Session, number: u64) -> ConnectionStatus {
    session.settle(number, PATIENCE).unwrap();
    let status = session.connection(number).unwrap();
    assert!(!status.is_counting);
    status
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

    /// Connects and waits until the VMS is counted.
    fn connect(&self, address: &str) -> (u64, ConnectionStatus) {
        let number = begin(&self.session, address);
        (number, counted(&self.session, number))
    }

    /// The data of the events that arrived, in order.
    fn data(&self, count: usize) -> Vec<Value> {
        let received = arrived(&self.collector, &self.key, count);
        received.iter().map(|item| item.envelope["data"]["baseData"].clone()).collect()
    }
}

/// The measurements of a VMS's event.
fn measurements(vms: &DemoVms) -> Value {
    let counts = vms.counts();
    json!({
        "ChildSites": counts.child_sites,
        "Recorders": counts.recording_servers,
        "HardwareCount": counts.hardware,
        "CameraCount": counts.cameras,
        "MicrophoneCount": counts.microphones,
        "SpeakerCount": counts.speakers,
        "MetadataCount": counts.metadata,
        "InputCount": counts.inputs,
        "OutputCount": counts.outputs,
    })
}

/// P3, E2: the whole way of a basic user, and what arrives of it.
#[test]
fn p3_e2_a_basic_user_connects_and_the_counts_arrive() {
    let (here, vms) = (Here::new(), start(config()));
    let number = here.session.reserve().unwrap();
    assert!(here.session.connection(number).is_err(), "there is no VMS yet");
    let facts = log_on(&here.session, number, &vms.url()).unwrap();
    assert_eq!((facts.site.id.to_string(), facts.site.name.as_str()), (vms.site_id(), "DEMO-VMS"));
    assert_eq!(format!("{}/", facts.origin), vms.url());
    let status = counted(&here.session, number);
    assert_eq!((status.policy, status.reported), (UsageDataPolicy::On, Some(true)));
    assert!(u64::from(status.items) > vms.counts().cameras);
    assert_eq!(here.session.child_site(number, 0).unwrap(), None);
    assert_eq!(here.session.disconnect(number).unwrap(), Outcome::Recorded);
    let events = here.data(3);
    assert_eq!(events[1]["measurements"], measurements(&vms));
    let properties = &events[1]["properties"];
    let names = ["UserType", "IsOAuthConnection", "EncryptionEnabled", "ProductVersion", "ProductName"];
    let values = ["BasicUser", "True", "False", "25.1.1804.0", "XProtect Corporate 2025 R1"];
    assert_eq!(names.map(|name| &properties[name]), values);
    assert_ne!(properties["SiteId"], vms.site_id());
    assert_eq!(events[2]["name"], "CloseVmsSession");
    assert_eq!(requests(&vms, TOKEN_ENDPOINT), 1);
    assert!(matches!(here.session.disconnect(number), Err(Error::NoSuchConnection)));
    assert!(here.session.connection(number).is_err());
}

/// P3: an access token, and a Windows user's token, which the host gets where the VMS says.
#[test]
fn p3_tokens_from_elsewhere_and_the_kind_of_user() {
    let (here, vms) = (Here::new(), start(config()));
    for user_type in [UserType::OAuthUser, UserType::WindowsUser] {
        let number = here.session.reserve().unwrap();
        let found = here.session.find_vms(number, logon(&vms.url())).unwrap();
        assert_eq!(found.token_endpoint, format!("{}IDP/connect/token", vms.url()));
        let credential = Credential::Token(Zeroizing::new(TOKEN.to_owned()));
        here.session.connect_vms(number, logon(&vms.url()), credential, user_type).unwrap();
        assert_eq!(counted(&here.session, number).reported, Some(true));
        assert_eq!(here.session.disconnect(number).unwrap(), Outcome::Recorded);
    }
    let kinds: Vec<Value> = here.data(5).iter().map(|event| event["properties"]["UserType"].clone()).collect();
    assert_eq!(kinds, [Value::Null, json!("OAuthUser"), Value::Null, json!("WindowsUser"), Value::Null]);
    assert_eq!(requests(&vms, TOKEN_ENDPOINT), 0);
}

/// P3: a connection over HTTPS says so. Its lists are short: Wine waits for ever for the end of a long record of TLS.
#[test]
fn p3_a_connection_over_https_is_reported_as_encrypted() {
    let (here, authority) = (Here::new(), Authority::new().unwrap());
    let site = Site { recording_servers: 0, ..Site::default() };
    let vms = DemoVms::start_tls(Config { site, ..config() }, authority.server(Leaf::Good).unwrap()).unwrap();
    let number = here.session.reserve().unwrap();
    let logon = Logon { skips_certificate_check: true, is_secure_only: true, ..logon(&vms.url()) };
    here.session.connect_vms(number, logon, reader(), UserType::BasicUser).unwrap();
    assert_eq!(counted(&here.session, number).reported, Some(true));
    assert_eq!(here.session.disconnect(number).unwrap(), Outcome::Recorded);
    assert_eq!(here.data(3)[1]["properties"]["EncryptionEnabled"], "True");
}

/// P3: a logon that fails records nothing, and its number can be used again.
#[test]
fn p3_a_logon_that_fails_records_nothing() {
    let (here, vms) = (Here::new(), start(config()));
    let number = here.session.reserve().unwrap();
    let refused = here.session.connect_vms(number, logon(&vms.url()), basic("reader", "wrong"), UserType::BasicUser);
    let Err(Error::Vms(failure)) = refused else { panic!("{refused:?}") };
    assert_eq!(failure.kind, FailureKind::LogonRefused);
    assert!(here.session.connection(number).is_err());
    assert_eq!(here.session.settle(number, PATIENCE).unwrap(), Outcome::Off);
    assert!(here.home.files().iter().all(|file| !file.contains("site-")));
    log_on(&here.session, number, &vms.url()).unwrap();
    counted(&here.session, number);
    assert_eq!(here.session.disconnect(number).unwrap(), Outcome::Recorded);
    let failed = here.session.reserve().unwrap();
    assert!(log_on(&here.session, failed, &vms_collector::closed_port().unwrap().url()).is_err());
    assert_eq!(here.session.disconnect(failed).unwrap(), Outcome::Off);
    assert_eq!(here.data(3).len(), 3);
}

/// E2: what cannot be counted is left out, and the rest is sent.
#[test]
fn e2_what_cannot_be_counted_is_left_out() {
    let fault = |path: &str, effect| Fault { path: path.to_owned(), effect: Some(effect), ..Fault::default() };
    let page = Effect::Answer { status: 503, content_type: "text/html".to_owned(), body: "<html>".to_owned() };
    let faults = vec![fault(CAMERAS, Effect::CloseAfter(2_000)), fault("/api/rest/v1/inputEvents", page)];
    let (here, vms) = (Here::new(), start(Config { faults, ..config() }));
    let (number, status) = here.connect(&vms.url());
    assert_eq!((status.reported, here.session.disconnect(number).unwrap()), (Some(true), Outcome::Recorded));
    let mut expected = measurements(&vms);
    expected.as_object_mut().unwrap().retain(|name, _| name != "CameraCount" && name != "InputCount");
    assert_eq!(here.data(3)[1]["measurements"], expected);
}

/// P3: child sites of all levels, if the host asks for them.
#[test]
fn p3_child_sites_are_listed_one_by_one() {
    let site = Site { child_sites: 3, grandchild_sites: 2, ..Site::default() };
    let (here, vms) = (Here::new(), start(Config { site, ..config() }));
    let number = here.session.reserve().unwrap();
    let logon = Logon { includes_child_sites: true, ..logon(&vms.url()) };
    let facts = here.session.connect_vms(number, logon, reader(), UserType::BasicUser).unwrap();
    assert_eq!(facts.child_sites.len(), 3 + 3 * 2);
    for (index, site) in facts.child_sites.iter().enumerate() {
        assert_eq!(here.session.child_site(number, index).unwrap().as_ref(), Some(site));
    }
    assert_eq!(here.session.child_site(number, facts.child_sites.len()).unwrap(), None);
    counted(&here.session, number);
    assert_eq!(here.session.disconnect(number).unwrap(), Outcome::Recorded);
    assert_eq!(here.data(3)[1]["measurements"]["ChildSites"], 3);
}

/// C6: a VMS that opts out does so for this session and the next one.
#[test]
fn c6_the_option_is_off() {
    for privacy in [Privacy::Off, Privacy::OffAsText, Privacy::ListOnlyOff, Privacy::ListOnlyOffWithoutId] {
        let (home, collector) = (Home::new(), Collector::start().unwrap());
        let connection_string = collector.connection_string(&key());
        // Waits for its proxy, so that the event of the session is pending.
        let session = Arc::new(home.session_with_proxy(&connection_string));
        assert_eq!(home.pending().len(), 1);
        let vms = start(Config { privacy, ..config() });
        let number = begin(&session, &vms.url());
        let status = counted(&session, number);
        assert_eq!((status.reported, status.policy), (Some(false), UsageDataPolicy::Off), "{privacy:?}");
        let telemetry = session.decisions().telemetry;
        assert_eq!((telemetry.verdict, telemetry.layer), (Verdict::Off, Layer::VmsPolicy));
        assert_eq!(session.disconnect(number).unwrap(), Outcome::Off);
        assert_eq!(home.pending().len(), 0);
        assert_eq!(home.session(&connection_string, &[]).decisions().telemetry.layer, Layer::VmsPolicy);
        assert!(!vms.received().iter().any(|request| request.path.ends_with("/cameras")));
        assert!(!home.files().iter().any(|file| file.contains("site-")));
        assert_eq!(collector.connections(), 0);
    }
}

/// C6: the option is obeyed whatever the settings file looks like: in this session at once, and stored when it can be.
#[test]
fn c6_the_option_is_off_while_the_settings_file_cannot_be_read() {
    let (here, vms) = (Here::new(), start(Config { privacy: Privacy::Off, ..config() }));
    let (settings, broken) = (here.home.paths().settings(), "{ \"ApplicationInsights\": {");
    std::fs::write(&settings, broken).unwrap();
    assert_eq!(here.session.decisions().telemetry.verdict, Verdict::Unsure);
    let (number, status) = here.connect(&vms.url());
    assert_eq!((status.reported, status.policy), (Some(false), UsageDataPolicy::Off));
    assert_eq!(here.session.decisions().telemetry.layer, Layer::VmsPolicy);
    assert_eq!(std::fs::read_to_string(&settings).unwrap(), broken);
    assert_eq!(here.session.disconnect(number).unwrap(), Outcome::Off);
    std::fs::write(&settings, "{}").unwrap();
    wait_until(|| std::fs::read_to_string(&settings).unwrap_or_default().contains("Enabled"));
    let next = here.home.session(&here.collector.connection_string(&here.key), &[]);
    assert_eq!(next.decisions().telemetry.layer, Layer::VmsPolicy);
}

/// C4, C6: a user who opts in stays opted in until the next connection to such a VMS. The end of this one is none.
#[test]
fn c4_c6_an_opt_in_outlasts_the_connection_before_it() {
    let (here, vms) = (Here::new(), start(Config { privacy: Privacy::Off, ..config() }));
    let (number, status) = here.connect(&vms.url());
    assert_eq!(status.policy, UsageDataPolicy::Off);
    here.session.set_config(Change { telemetry: Some(true), ..Change::default() }).unwrap();
    assert_eq!(here.session.settle(number, Duration::ZERO).unwrap(), Outcome::Off);
    assert_eq!(here.session.disconnect(number).unwrap(), Outcome::Off);
    assert_eq!(here.session.decisions().telemetry.layer, Layer::SettingsFile);
    assert_eq!(here.data(1)[0]["name"], "NewSession");
    here.connect(&vms.url());
    assert_eq!(here.session.decisions().telemetry.layer, Layer::VmsPolicy);
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
        let (number, status) = here.connect(&vms.url());
        let is_known = policy != UsageDataPolicy::Unknown;
        assert_eq!((status.reported, status.policy), (Some(is_known), policy), "{privacy:?}");
        assert!(here.session.decisions().telemetry.is_on());
        assert_eq!(here.session.unreported().is_none(), is_known, "{privacy:?}");
        let counted = vms.received().iter().any(|request| request.path.ends_with("/cameras"));
        assert_eq!(counted, is_known, "{privacy:?}");
        let outcome = here.session.disconnect(number).unwrap();
        assert_eq!(outcome == Outcome::Recorded, is_known, "{privacy:?}");
    }
    assert_eq!(here.data(9).len(), 1 + 4 * 2);
    assert!(std::fs::metadata(here.home.paths().settings()).is_err(), "nothing is persisted");
}

/// C9: with telemetry off a connection is made all the same, and nothing more is asked of the VMS, not even the option that
/// would opt out.
#[test]
fn c9_with_telemetry_off_only_the_logon_is_left() {
    let (home, vms) = (Home::new(), start(Config { privacy: Privacy::Off, ..config() }));
    let collector = Collector::start().unwrap();
    let session = Arc::new(home.session(&collector.connection_string(&key()), &[("DO_NOT_TRACK", "1")]));
    let number = begin(&session, &vms.url());
    let status = session.connection(number).unwrap();
    assert_eq!((status.is_counting, status.reported), (false, Some(false)));
    assert_eq!((status.policy, status.items), (UsageDataPolicy::Unknown, 0));
    assert_eq!(session.decisions().telemetry.layer, Layer::DoNotTrack);
    assert_eq!(session.disconnect(number).unwrap(), Outcome::Off);
    let paths: Vec<_> = vms.received().into_iter().map(|request| request.path.to_ascii_lowercase()).collect();
    let rest = |resource: &str| format!("/api/rest/v1/{resource}");
    let logon = [DISCOVERY.to_owned(), TOKEN_ENDPOINT.to_ascii_lowercase()];
    assert_eq!(paths, [logon.as_slice(), &[rest("sites"), rest("licenseinformations")]].concat());
    assert_eq!((home.files(), collector.connections()), (Vec::new(), 0));
}

/// C3, C9: who opts out while a VMS is counted has nothing recorded of it, and the counting ends.
#[test]
fn c3_c9_an_opt_out_ends_the_counting() {
    let faults = vec![hold(HARDWARE)];
    let (here, vms) = (Here::new(), start(Config { faults, ..config() }));
    let number = begin(&here.session, &vms.url());
    held(&vms, HARDWARE);
    here.session.set_config(Change { telemetry: Some(false), ..Change::default() }).unwrap();
    vms.release(None);
    assert_eq!(counted(&here.session, number).reported, Some(false));
    assert_eq!(here.session.disconnect(number).unwrap(), Outcome::Off);
    assert_eq!(requests(&vms, CAMERAS), 0);
    assert_eq!(here.home.pending().len(), 0);
}

/// S4: closing does not wait for a server that is slow to be counted; what is known by then is sent (E2). With or without a call
/// that settles before, as at the end of a process.
#[test]
fn s4_e2_closing_does_not_wait_for_the_counts() {
    for settles in [true, false] {
        let (here, vms) = (Here::new(), start(Config { faults: vec![hold(CAMERAS)], ..config() }));
        let number = begin(&here.session, &vms.url());
        // The hardware is counted before the cameras.
        held(&vms, CAMERAS);
        let status = here.session.connection(number).unwrap();
        assert_eq!((status.is_counting, status.reported, status.policy), (true, None, UsageDataPolicy::On));
        if settles {
            assert_eq!(here.session.settle(number, Duration::ZERO).unwrap(), Outcome::Recorded);
            assert_eq!(here.session.settle(number, Duration::ZERO).unwrap(), Outcome::Off);
        }
        assert_eq!(here.session.disconnect(number).unwrap(), Outcome::Recorded);
        let events = here.data(3);
        assert_eq!((&events[1]["name"], &events[2]["name"]), (&json!("NewVmsSession"), &json!("CloseVmsSession")));
        let known = events[1]["measurements"].as_object().unwrap();
        assert_eq!(known["HardwareCount"], vms.counts().hardware);
        assert!(!known.contains_key("CameraCount"));
    }
}

/// C6, S4: a host that closes before the option is read has nothing recorded, and the option is obeyed when it is read.
#[test]
fn c6_the_option_counts_even_after_the_connection_is_closed() {
    let faults = vec![hold("/api/rest/v1/toolOptions*")];
    let (here, vms) = (Here::new(), start(Config { privacy: Privacy::Off, faults, ..config() }));
    let number = begin(&here.session, &vms.url());
    held(&vms, OPTION);
    assert_eq!(here.session.disconnect(number).unwrap(), Outcome::Off);
    assert!(here.session.unreported().is_some_and(|reason| reason.contains("not read in time")));
    vms.release(None);
    wait_until(|| here.session.decisions().telemetry.layer == Layer::VmsPolicy);
    // The opt-out holds before it has deleted the session's own event.
    wait_until(|| here.home.pending().is_empty());
    assert!(here.collector.received().iter().all(|item| item.envelope["data"]["baseData"]["name"] == "NewSession"));
}

/// P3: a call that another thread ends returns at once, sends no credential any more and records nothing.
#[test]
fn p3_closing_during_the_logon_ends_it() {
    let (here, vms) = (Here::new(), start(config()));
    // Before the server is found, and while it looks at the password.
    for (path, tokens) in [(DISCOVERY, 0), (TOKEN_ENDPOINT, 1)] {
        vms.set_faults(vec![hold(path)]);
        let number = here.session.reserve().unwrap();
        std::thread::scope(|scope| {
            let call = scope.spawn(|| log_on(&here.session, number, &vms.url()));
            held(&vms, path);
            assert_eq!(here.session.disconnect(number).unwrap(), Outcome::Off);
            assert!(matches!(call.join().unwrap(), Err(Error::Cancelled)));
        });
        assert_eq!(vms.release(None), 1);
        assert!(matches!(here.session.disconnect(number), Err(Error::NoSuchConnection)));
        assert_eq!(requests(&vms, TOKEN_ENDPOINT), tokens);
    }
    assert_eq!(requests(&vms, "/api/rest/v1/sites"), 0);
    assert_eq!(here.data(1).len(), 1);
}

/// E4: a host that connects while it is connected says which connection the new one replaces; it never disconnects.
#[test]
fn e4_the_end_of_a_connection_is_reported_before_the_next_one_begins() {
    let (home, collector, key, vms) = (Home::new(), Collector::start().unwrap(), key(), start(config()));
    let mut host = Host::begin(&mut child::command(&home, &collector.connection_string(&key), &[]));
    assert_eq!(host.ask(&format!("log-on {} {PASSWORD}", vms.url())), "0");
    assert_eq!(host.ask(&format!("replace {} {PASSWORD}", vms.url())), "0");
    let names = names(&arrived(&collector, &key, 4));
    assert_eq!(names, ["NewSession", "NewVmsSession", "CloseVmsSession", "NewVmsSession"]);
}

/// A host that connects to servers that do not answer, again and again, gets an error of its own kind, and can go on when
/// they are ended. In a process of its own, as the limit is that of a process.
#[test]
fn p3_the_threads_of_connections_are_bounded() {
    const THREADS: usize = 64;
    let (home, collector, key, vms) = (Home::new(), Collector::start().unwrap(), key(), start(config()));
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut host = Host::begin(&mut child::command(&home, &collector.connection_string(&key), &[]));
    for _ in 0..THREADS {
        assert_eq!(host.ask(&format!("find http://{}", silent.local_addr().unwrap())), "0");
    }
    let held: Vec<TcpStream> = (0..THREADS).map(|_| silent.accept().unwrap().0).collect();
    let log_on = format!("log-on {} {PASSWORD}", vms.url());
    let refused = host.ask(&log_on);
    assert!(refused.starts_with(&format!("{} no thread can be started", abi::VMS_ERROR_RESOURCES)), "{refused}");
    assert_eq!(vms.connections(), 0);
    assert_eq!(host.ask("end"), format!("{:?}", [abi::VMS_ERROR_CANCELLED; THREADS]));
    drop(held);
    let host = RefCell::new(host);
    wait_until(|| host.borrow_mut().ask(&log_on) == "0");
    let received = arrived(&collector, &key, 2);
    assert_eq!(received[1].envelope["data"]["baseData"]["name"], "NewVmsSession");
}

/// E5: no credential, address or name of the VMS is in anything that is sent, spooled, logged or stored.
#[test]
fn e5_nothing_of_the_logon_is_kept() {
    let here = Here::new();
    here.session.set_config(Change { log: Some(true), ..Change::default() }).unwrap();
    let vms = start(Config { site: Site { name: "SECRET-SITE-NAME".to_owned(), ..Site::default() }, ..config() });
    let (number, _) = here.connect(&vms.url());
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
