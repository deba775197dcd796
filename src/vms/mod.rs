//! A connection to an XProtect management server over its REST API: logon, site, privacy option, counts.
//!
//! # The seam
//! Everything that a host of any language needs is here: the address, the logon of a basic user, a token that somebody
//! got elsewhere, its renewal, the inventory. One thing is not: the logon of a Windows user. Its handshakes (Negotiate,
//! NTLM, the current user's own credentials) belong to the platform, and the platform's authority on HTTP is .NET's
//! client: it follows the machine's policies, and works on Linux too. So the host is told the token endpoint
//! ([`Stage::TokenNeeded`]), logs on there by its own means and hands the token over. No password of a Windows user ever
//! gets here.
//!
//! # The way of a connection
//! ```text
//! find ── token ── site, product ── the caller's connection stands ── privacy option ── counts ── NewVmsSession
//!  └ address  └ idp    └ inventory                                     └ inventory, in the background
//! ```
//! All of it runs on a thread of the connection ([`crate::session`] owns it); callers look at a [`Client`] and wait for
//! its next stage. Where telemetry is off, nothing is read after the logon.
//!
//! # What holds for every request
//! - Credentials go to the host that the user named, and to no other: no redirection is followed but one from HTTP to
//!   HTTPS on that host, before any credential is sent. A server that does not know XProtect's discovery document gets none.
//! - Time and size are bounded, lists are read as streams ([`list`]), and text for people loses its control characters.
//! - A refused password is not tried again. Passwords and tokens are wiped from memory when they are dropped; what the
//!   HTTP library's buffers held is not within reach.
//! - No proxy is used: a management server is a computer of the site's own network.

pub mod address;
pub mod failure;
pub mod http;
pub mod idp;
pub mod inventory;
pub mod list;
pub mod rest;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use ureq::http::Uri;
use zeroize::Zeroizing;

use crate::event::{Field, USER_TYPES};
use address::{Address, Origin};
use failure::{Failure, Kind};
use http::Http;
pub use idp::BasicUser;
use idp::Token;
pub use inventory::Site;
use rest::Rest;

/// The name of a connection's threads.
pub const THREAD: &str = "vms-connection";
/// The stack of a connection's threads: a TLS handshake needs half of it where nothing is optimized.
pub const STACK: usize = 512 * 1024;
/// Longest time for privacy option and counts together.
const INVENTORY_TIMEOUT: Duration = Duration::from_secs(600);
/// Longest time for the name of the product, which a connection can do without.
const PRODUCT_TIMEOUT: Duration = Duration::from_secs(5);
/// The discovery document of every server: public, below the API Gateway.
const DISCOVERY: &str = "/api/.well-known/uris";
/// Most redirections that are followed before the logon.
const REDIRECTION_LIMIT: usize = 3;

/// What the VMS says about usage data (C7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageDataPolicy {
    /// It could not be read: nothing of this connection is sent.
    Unknown,
    /// Allowed.
    On,
    /// Forbidden: telemetry is switched off for this user, now and later (C6).
    Off,
    /// The VMS does not have the option: as allowed.
    NotOffered,
}

/// Who logs on.
pub enum Credential {
    /// A basic user of the VMS.
    Basic(BasicUser),
    /// A Windows user: the host brings the token.
    Windows,
    /// Whoever has a token from elsewhere.
    Token(Zeroizing<String>),
}

/// A logon that is wanted.
pub struct Logon {
    /// The server.
    pub address: Address,
    /// The user.
    pub credential: Credential,
    /// Whether plain HTTP is refused.
    pub is_secure_only: bool,
    /// Whether any certificate is taken.
    pub skips_certificate_check: bool,
    /// Whether the child sites are listed as well.
    pub includes_child_sites: bool,
    /// Longest time for the logon as a whole.
    pub timeout: Duration,
}

/// How far a connection is. The numbers are those of the C header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Stage {
    /// The server is sought.
    Finding = 1,
    /// The host is to bring a token.
    TokenNeeded = 2,
    /// A token is asked for.
    LoggingOn = 3,
    /// Logged on; site, product and child sites are read.
    Reading = 4,
    /// The connection stands; privacy option and counts are read.
    Counting = 5,
    /// The connection stands, and nothing goes on any more.
    Connected = 6,
    /// There is no connection.
    Failed = 7,
}

/// What is known of a connection.
#[derive(Debug)]
pub struct Known {
    /// How far it is.
    pub stage: Stage,
    /// Why there is none; `None` at [`Stage::Failed`] stands for a defect of this library.
    pub failure: Option<Failure>,
    /// The server, as it is really spoken to.
    pub origin: Option<Origin>,
    /// Where the host gets its token.
    pub token_endpoint: Option<String>,
    /// The site.
    pub site: Option<Site>,
    /// The name of the product.
    pub product: Option<String>,
    /// The child sites, where they were asked for.
    pub child_sites: Vec<Site>,
    /// The privacy option, once it was read.
    pub policy: Option<UsageDataPolicy>,
    /// Why the privacy option is unknown.
    pub policy_unknown: Option<String>,
    /// The counts so far.
    pub counts: Vec<(Field, u32)>,
    /// Whether the connection was reported; `None`: not decided yet.
    pub reported: Option<bool>,
    token: Option<Zeroizing<String>>,
}

/// A connection as its callers see it.
pub struct Client {
    known: Mutex<Known>,
    changed: Condvar,
    closed: AtomicBool,
    items: AtomicU32,
    user_type: &'static str,
}

impl Client {
    /// Begins a connection; nothing of it is known yet.
    pub fn new(logon: &Logon) -> Self {
        let [basic, windows, oauth] = USER_TYPES;
        let user_type = match logon.credential {
            Credential::Basic(_) => basic,
            Credential::Windows => windows,
            Credential::Token(_) => oauth,
        };
        let known = Known {
            stage: Stage::Finding,
            failure: None,
            origin: None,
            token_endpoint: None,
            site: None,
            product: None,
            child_sites: Vec::new(),
            policy: None,
            policy_unknown: None,
            counts: Vec::new(),
            reported: None,
            token: None,
        };
        Self {
            known: Mutex::new(known),
            changed: Condvar::new(),
            closed: AtomicBool::new(false),
            items: AtomicU32::new(0),
            user_type,
        }
    }

    /// The kind of user, one of [`USER_TYPES`].
    pub fn user_type(&self) -> &'static str {
        self.user_type
    }

    /// Gives what is known at this moment.
    pub fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for as long as the stage is such a one, at most `longest`; gives what is known then.
    pub fn wait(&self, is_such: impl Fn(Stage) -> bool, longest: Duration) -> MutexGuard<'_, Known> {
        let waits = |known: &mut Known| is_such(known.stage) && !self.is_closed();
        self.changed.wait_timeout_while(self.known(), longest, waits).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Takes the token that the host got for a Windows user; tells whether one is needed.
    pub fn give_token(&self, token: Zeroizing<String>) -> bool {
        self.change(|known| {
            let is_needed = known.stage == Stage::TokenNeeded;
            known.token = Some(token).filter(|_| is_needed);
            is_needed
        })
    }

    /// Nobody wants the connection any more: its thread ends as soon as it can.
    pub fn close(&self) {
        self.change(|_| self.closed.store(true, Ordering::SeqCst));
    }

    /// Tells whether nobody wants the connection any more.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Fails where nobody wants the connection any more: nothing more is sent for it.
    fn goes_on(&self, server: &Origin) -> Result<(), Failure> {
        let ended = || Failure::new(Kind::Timeout, server, "the logon was ended");
        if self.is_closed() { Err(ended()) } else { Ok(()) }
    }

    /// How many items were counted so far.
    pub fn items(&self) -> u32 {
        self.items.load(Ordering::Relaxed)
    }

    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Known) -> T) -> T {
        let outcome = change(&mut self.known());
        self.changed.notify_all();
        outcome
    }

    pub(crate) fn enter(&self, stage: Stage) {
        self.change(|known| known.stage = stage);
    }

    fn progress(&self) {
        self.items.fetch_add(1, Ordering::Relaxed);
    }

    fn counted(&self, field: Field, count: u32) {
        self.change(|known| known.counts.push((field, count)));
    }
}

/// A user who is logged on.
pub struct LoggedOn {
    rest: Rest,
    /// The end of the time for privacy option and counts.
    until: Instant,
}

impl LoggedOn {
    /// Reads the privacy option.
    pub fn read_policy(&self, client: &Client) -> UsageDataPolicy {
        let (policy, why) = inventory::policy(&self.rest, self.until);
        client.change(|known| (known.policy, known.policy_unknown) = (Some(policy), why));
        policy
    }

    /// Counts what the VMS has, for as long as `goes_on` says yes.
    pub fn count(&self, client: &Client, goes_on: &(dyn Fn() -> bool + Sync)) {
        let goes_on = || goes_on() && !client.is_closed();
        inventory::count(&self.rest, client, self.until, &goes_on);
    }
}

/// Finds the server, logs on and reads the site, telling `client` each stage.
///
/// # Errors
/// There is no connection, for the reason given.
pub fn log_on(logon: Logon, client: &Client) -> Result<LoggedOn, Failure> {
    let until = Instant::now() + logon.timeout;
    let (http, places) = find(&logon, client, until)?;
    let token_path = format!("{}/connect/token", places.identity_provider);
    client.change(|known| known.origin = Some(http.origin.clone()));
    let token = match logon.credential {
        Credential::Token(access) => Token { access, refresh: None },
        Credential::Windows => Token { access: token_of_host(&http, &token_path, client, until)?, refresh: None },
        Credential::Basic(user) => {
            client.enter(Stage::LoggingOn);
            idp::log_on(&http, &token_path, &user, until, &|| client.goes_on(&http.origin))?
        }
    };
    client.enter(Stage::Reading);
    client.goes_on(&http.origin)?;
    let rest = Rest { http, base: format!("{}/rest/v1/", places.gateway), token_path, token: Mutex::new(token) };
    let mut site = inventory::site(&rest, until)?;
    site.version = site.version.or(places.version);
    client.change(|known| known.site = Some(site));
    if logon.includes_child_sites {
        let sites = inventory::child_sites(&rest, until)?;
        client.change(|known| known.child_sites = sites);
    }
    let product = inventory::product(&rest, until.min(Instant::now() + PRODUCT_TIMEOUT));
    client.change(|known| known.product = product);
    Ok(LoggedOn { rest, until: Instant::now() + INVENTORY_TIMEOUT })
}

/// What the discovery document says. Only paths are taken from it: nobody vouches for a host that it names.
struct Places {
    identity_provider: String,
    gateway: String,
    version: Option<String>,
}

/// Finds the origin that speaks XProtect: the first that answers.
fn find(logon: &Logon, client: &Client, until: Instant) -> Result<(Http, Places), Failure> {
    let first = &logon.address.first;
    let is_refused = |origin: &Origin| logon.is_secure_only && !origin.is_encrypted();
    if is_refused(first) {
        return Err(Failure::new(Kind::NotEncrypted, first, "HTTPS was asked for, and this address is for plain HTTP"));
    }
    match (discover(first, logon, client, until), &logon.address.second) {
        // Only where nobody speaks TLS there is something else to try, not where a connection was cut off; what it gives
        // is told of the first.
        (Err(failure), Some(second)) if failure.nobody_there && !is_refused(second) => {
            match discover(second, logon, client, until) {
                Err(again) if again.kind == Kind::Unreachable => Err(failure),
                outcome => outcome,
            }
        }
        (outcome, _) => outcome,
    }
}

fn discover(origin: &Origin, logon: &Logon, client: &Client, until: Instant) -> Result<(Http, Places), Failure> {
    let mut http = Http::new(origin.clone(), logon.skips_certificate_check);
    for _ in 0..REDIRECTION_LIMIT {
        client.goes_on(&http.origin)?;
        let mut answer = http.get(DISCOVERY, None, until)?;
        if answer.status == 200 {
            let document = answer.document(&http.origin)?;
            let places = places(&document).ok_or_else(|| http.failure(Kind::Answer, "it does not speak XProtect"))?;
            return Ok((http, places));
        }
        let to = answer.location.as_deref().filter(|_| matches!(answer.status, 300..=399)).and_then(Origin::of);
        match to {
            Some(to) if to.is_same_host(&http.origin) && to.is_encrypted() && !http.origin.is_encrypted() => {
                http = Http::new(to, logon.skips_certificate_check);
            }
            _ => return Err(http.unexpected(&answer, "XProtect's discovery document")),
        }
    }
    Err(http.failure(Kind::Answer, "it points from one place to the next"))
}

fn places(document: &[u8]) -> Option<Places> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Uris {
        product_version: Option<String>,
        identity_provider: Option<String>,
        api_gateways: Option<Vec<String>>,
    }
    let uris: Uris = serde_json::from_slice(document).ok()?;
    let path = |address: Option<&String>, usual: &str| {
        let path = address.and_then(|address| address.parse::<Uri>().ok()).map(|uri| uri.path().to_owned());
        let path = path.filter(|path| path.len() > 1).unwrap_or_else(|| usual.to_owned());
        path.trim_end_matches('/').to_owned()
    };
    Some(Places {
        identity_provider: path(uris.identity_provider.as_ref(), "/IDP"),
        gateway: path(uris.api_gateways.iter().flatten().next(), "/API"),
        version: uris.product_version.filter(|version| version.len() <= 64 && !version.contains(char::is_control)),
    })
}

/// Waits for the host's token.
fn token_of_host(http: &Http, path: &str, client: &Client, until: Instant) -> Result<Zeroizing<String>, Failure> {
    client.change(|known| {
        known.token_endpoint = Some(format!("{}{path}", http.origin));
        known.stage = Stage::TokenNeeded;
    });
    let waits = |known: &mut Known| known.token.is_none() && !client.is_closed();
    let left = until.saturating_duration_since(Instant::now());
    let mut known =
        client.changed.wait_timeout_while(client.known(), left, waits).unwrap_or_else(PoisonError::into_inner).0;
    known.token.take().ok_or_else(|| http.failure(Kind::Timeout, "the host brought no token in time"))
}
