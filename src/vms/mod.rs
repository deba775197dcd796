//! A client of an XProtect management server over its REST API: find, log on, read the site, the usage data option and the
//! counts. It knows nothing of telemetry.
//!
//! # Windows users
//! The logon of a Windows user is not here. Its handshakes (Negotiate, NTLM, the current user's own credentials) belong to the
//! platform. .NET's client has them, follows the machine's policies and works on Linux, too. So [`find`] returns the token
//! endpoint, the host program logs on there and passes the token. No password of a Windows user gets here.
//!
//! # Every request
//! - It blocks the calling thread. Time and size are bounded, and [`Cancel`] ends it from another thread.
//! - Credentials go to the host that the user named, and to no other: no redirection is followed except one from HTTP to
//!   HTTPS on that host, before any credential is sent. A server without XProtect's discovery document gets none.
//! - A bare name means HTTPS. If only HTTP answers there, the logon fails and says so (P6).
//! - Control characters are removed from a server's texts: a terminal would obey them.
//! - A refused password is not tried again, because too many attempts lock the user.
//! - Passwords and tokens are wiped from memory when they are dropped. The buffers of the HTTP library are out of reach.
//! - No proxy is used: a management server is a computer of the site's own network, and a proxy would see the token.

mod address;
mod failure;
mod http;
mod idp;
mod inventory;
mod list;

use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::Deserialize;
use zeroize::Zeroizing;

pub use address::{Address, Origin};
pub use failure::{Failure, FailureKind};
pub use http::Cancel;
use http::Http;
pub use idp::BasicUser;
use idp::Token;
pub use inventory::{Counts, Site, UsageData};
use list::Api;

/// For the usage data option, and for the counts: a choice. It bounds the thread of a VMS that answers without an end.
const INVENTORY_TIMEOUT: Duration = Duration::from_secs(600);
/// For the name of the product: short, as the user waits and the connection works without it.
const PRODUCT_TIMEOUT: Duration = Duration::from_secs(5);
/// The discovery document, which every server has without a logon.
const DISCOVERY: &str = "/api/.well-known/uris";

pub enum Credential {
    Basic(BasicUser),
    /// The token of a user whom the host program logged on.
    Token(Zeroizing<String>),
}

#[derive(Clone, Debug)]
pub struct Logon {
    pub address: Address,
    /// Whether plain HTTP is refused.
    pub is_secure_only: bool,
    pub skips_certificate_check: bool,
    pub includes_child_sites: bool,
    /// Longest time for a call as a whole.
    pub timeout: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// After redirections.
    pub origin: Origin,
    /// Where the host program gets the token of a Windows user.
    pub token_endpoint: String,
    /// The address of the API Gateway.
    pub gateway: String,
    /// Such as "TLS 1.3". `None`: not encrypted, or the system does not say.
    pub tls: Option<&'static str>,
}

/// What is known of a VMS after the logon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// After redirections.
    pub origin: Origin,
    pub site: Site,
    pub product: Option<String>,
    /// The child sites, if they were asked for.
    pub child_sites: Vec<Site>,
    /// The address of the API Gateway.
    pub gateway: String,
    /// Such as "TLS 1.3". `None`: not encrypted, or the system does not say.
    pub tls: Option<&'static str>,
}

/// A connection to a VMS.
pub struct Client {
    pub facts: Facts,
    api: Api,
}

impl Client {
    pub fn usage_data(&self) -> UsageData {
        inventory::usage_data(&self.api, Instant::now() + INVENTORY_TIMEOUT)
    }

    /// Counts what the VMS has, for as long as `may_continue` returns true. Between lists and after each 500 items it is called,
    /// and `progress` gets the counts and the number of items so far.
    pub fn count(&self, progress: &dyn Fn(&Counts, u32), may_continue: &dyn Fn() -> bool) -> Counts {
        inventory::count(&self.api, Instant::now() + INVENTORY_TIMEOUT, progress, may_continue)
    }
}

/// Finds the server. No credential is sent.
pub fn find(logon: &Logon, cancel: &Cancel) -> Result<Found, Failure> {
    let (http, discovery) = locate(logon, cancel, Instant::now() + logon.timeout)?;
    let [endpoint, _] = discovery.token_endpoints();
    Ok(Found {
        token_endpoint: format!("{}{endpoint}", http.origin),
        gateway: format!("{}{}", http.origin, discovery.gateway),
        tls: http.tls_version(),
        origin: http.origin,
    })
}

/// Finds the server, logs on and reads the site.
pub fn connect(logon: &Logon, credential: Credential, cancel: &Cancel) -> Result<Client, Failure> {
    let until = Instant::now() + logon.timeout;
    let (http, discovery) = locate(logon, cancel, until)?;
    let token = match credential {
        Credential::Token(access) => Token { access, refresh: None },
        Credential::Basic(user) => idp::log_on(&http, &discovery, &user, until)?,
    };
    let api = Api { http, base: format!("{}/rest/v1/", discovery.gateway), token: Mutex::new(token) };
    let mut site = inventory::site(&api, until)?;
    site.version = site.version.or(discovery.version);
    let child_sites = if logon.includes_child_sites { inventory::child_sites(&api, until)? } else { Vec::new() };
    let product = inventory::product(&api, until.min(Instant::now() + PRODUCT_TIMEOUT));
    api.http.ensure_not_cancelled()?;
    let gateway = format!("{}{}", api.http.origin, discovery.gateway);
    let (origin, tls) = (api.http.origin.clone(), api.http.tls_version());
    Ok(Client { facts: Facts { origin, site, product, child_sites, gateway, tls }, api })
}

/// The discovery document. Only paths are taken from it: nothing proves that a host that it names belongs to the VMS, and
/// credentials would go there.
struct Discovery {
    identity_provider: String,
    gateway: String,
    /// The host that the document names for the identity provider: for messages only.
    named_host: Option<String>,
    version: Option<String>,
}

impl Discovery {
    fn read(document: &[u8], origin: &Origin) -> Option<Self> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Uris {
            product_version: Option<String>,
            identity_provider: Option<String>,
            api_gateways: Option<Vec<String>>,
        }
        let uris: Uris = serde_json::from_slice(document).ok()?;
        let resolve = |address: Option<&String>| origin.resolve(address?);
        let (provider, gateway) =
            (resolve(uris.identity_provider.as_ref()), resolve(uris.api_gateways.iter().flatten().next()));
        let path = |url: Option<&url::Url>, usual: &str| {
            // The path of an address such as "x:.evil.example" has no slash, and would go on with our host's name.
            let path = url.map(|url| url.path().trim_end_matches('/')).filter(|path| path.starts_with('/'));
            path.unwrap_or(usual).to_owned()
        };
        Some(Self {
            identity_provider: path(provider.as_ref(), "/IDP"),
            gateway: path(gateway.as_ref(), "/API"),
            named_host: provider.as_ref().and_then(url::Url::host_str).map(str::to_owned),
            version: uris.product_version.as_deref().and_then(inventory::text),
        })
    }

    /// Returns the paths of the token endpoint: the one that the document names, and that of the API Gateway.
    fn token_endpoints(&self) -> [String; 2] {
        [format!("{}/connect/token", self.identity_provider), format!("{}/IDP/connect/token", self.gateway)]
    }
}

/// Finds the server, over HTTPS if the address is a bare name (P6).
fn locate(logon: &Logon, cancel: &Cancel, until: Instant) -> Result<(Http, Discovery), Failure> {
    let origin = &logon.address.origin;
    if logon.is_secure_only && !origin.is_encrypted() {
        let what = "HTTPS was required, and this address is for plain HTTP";
        return Err(Failure::new(FailureKind::NotEncrypted, origin, what));
    }
    let may_ask = if origin.is_encrypted() { logon.address.is_bare && !logon.is_secure_only } else { true };
    let failure = match discover(origin, logon, cancel, until) {
        Err(failure) if may_ask && failure.is_other_scheme => failure,
        outcome => return outcome,
    };
    // Only to tell the user what to do. No credential is sent over plain HTTP unless the user types `http://`.
    let Some(other) = origin.with_other_scheme() else { return Err(failure) };
    let outcome = discover(&other, logon, cancel, until);
    if other.is_encrypted() {
        // A certificate that is not trusted comes by HTTPS as well.
        let speaks = outcome.is_ok() || outcome.is_err_and(|failure| failure.kind == FailureKind::Certificate);
        let what = "this port speaks HTTPS, not plain HTTP";
        let advice = format!("Type {other} instead.");
        return Err(if speaks { Failure::with_advice(FailureKind::Answer, origin, what, &advice) } else { failure });
    }
    match outcome {
        Ok((http, _)) if !http.origin.is_encrypted() => Err(Failure::with_advice(
            FailureKind::NotEncrypted,
            origin,
            "only plain HTTP answers on this server, not HTTPS",
            &format!(
                "Set up encryption on the management server. Or type {other} if you accept that others on the network can \
                 read user name and password."
            ),
        )),
        Err(again) if again.kind == FailureKind::Cancelled => Err(again),
        _ => Err(failure),
    }
}

fn discover(origin: &Origin, logon: &Logon, cancel: &Cancel, until: Instant) -> Result<(Http, Discovery), Failure> {
    let mut http = Http::new(origin.clone(), logon.skips_certificate_check, cancel);
    loop {
        let mut response = http.get(DISCOVERY, None, until)?;
        if response.status == 200 {
            let document = response.document(&http)?;
            let what = "the response is not an XProtect discovery document";
            let discovery = Discovery::read(&document, &http.origin);
            let discovery = discovery.ok_or_else(|| http.failure(FailureKind::Answer, what))?;
            return Ok((http, discovery));
        }
        let to = response.location.as_deref().filter(|_| matches!(response.status, 300..=399)).map(Origin::of);
        match to {
            // At most once: HTTPS is not left again.
            Some(Ok(to)) if to.is_same_host(&http.origin) && to.is_encrypted() && !http.origin.is_encrypted() => {
                http = Http::new(to, logon.skips_certificate_check, cancel);
            }
            _ => return Err(http.unexpected(&mut response, "XProtect's discovery document")),
        }
    }
}
/// What a server may send in place of its discovery document and of a list: paths stay on its own host, and memory is bounded.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(document: &[u8]) {
    let Ok(origin) = Origin::of("https://vms.example") else { return };
    if let Some(discovery) = Discovery::read(document, &origin) {
        for path in discovery.token_endpoints() {
            let url = url::Url::parse(&format!("{origin}{path}"));
            assert!(url.is_ok_and(|url| url.origin().ascii_serialization() == "https://vms.example"), "{path}");
        }
    }
    let mut items = 0;
    let _ = list::read(document, &mut |item| {
        let _ = (item.id(), item.parent(), item.flag("enabled"), item.text("displayName").and_then(inventory::text));
        items += 1;
        items < 1_000
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Found by the fuzzer: a path without a slash goes on with the name of the host, and credentials would go elsewhere.
    #[test]
    fn p3_a_discovery_document_names_no_other_host() {
        let origin = Origin::of("https://vms.example").unwrap();
        for (address, path) in [
            ("https://other.example/auth/", "/auth"),
            ("/auth", "/auth"),
            ("auth", "/auth"),
            ("//other.example/auth", "/auth"),
            ("x:.evil.example/auth", "/IDP"),
            ("x:@evil.example/auth", "/IDP"),
            ("x:8443/auth", "/IDP"),
            ("data:text/plain,/auth", "/IDP"),
            ("", "/IDP"),
        ] {
            let document = format!("{{\"IdentityProvider\":\"{address}\",\"ApiGateways\":[\"{address}\"]}}");
            let discovery = Discovery::read(document.as_bytes(), &origin).unwrap();
            assert_eq!(discovery.identity_provider, path, "{address}");
            for endpoint in discovery.token_endpoints() {
                assert!(format!("{origin}{endpoint}").starts_with("https://vms.example/"), "{address}");
            }
        }
    }
}
