//! One request to Application Insights, with its redirections. What the response means is in [`crate::response`].

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use ureq::{Agent, Error, Proxy};
use url::Url;

use crate::destination::is_loopback;
use crate::gate::{Gate, NoConsent};
use crate::http::{self, Settings};
use crate::response::Response;
use crate::tls::TlsVersion;

/// To reach the server (D4).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For a request with all its redirections (D4).
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// Largest partial response that is read: 100 refused items make about 12 KB.
const PARTIAL_RESPONSE_LIMIT: u64 = 256 * 1024;
/// How much of another response is read, so that the next request can use the same connection.
const RESPONSE_LIMIT: u64 = 16 * 1024;
/// Size of a connection's buffers: requests and responses are small, and so is the memory they take.
const BUFFER_SIZE: usize = 16 * 1024;
/// For one request (D4): more than the service needs, and a bound for a loop.
const REDIRECTION_LIMIT: usize = 5;

/// The service's own domains, for each of its clouds. Events may be redirected within a cloud, such as from the global endpoint to
/// a regional one. A redirect to any other domain would send the events to a third party, or to another jurisdiction.
const CLOUDS: [&[&str]; 3] = [
    &[".applicationinsights.azure.com", ".services.visualstudio.com"],
    &[".applicationinsights.azure.us", ".applicationinsights.us"],
    &[".applicationinsights.azure.cn"],
];

/// Why there is no response.
#[derive(Debug)]
pub enum NoResponse {
    /// Nothing was sent, or not all of it.
    NoConsent(NoConsent),
    /// The network, the proxy or the server failed. Contains no host name.
    Failed(String),
}

/// The network, which tests replace.
pub trait PostEvents {
    /// Posts envelopes, one per line.
    fn post(&mut self, body: &[u8]) -> Result<Response, NoResponse>;
}

/// The real network.
pub struct Https {
    agent: Agent,
    gate: Arc<Gate>,
    has_proxy: bool,
    endpoint: Url,
    /// Where the service redirected to, once that address has accepted events. Used for the rest of the session.
    pub redirected: Option<Url>,
}

impl Https {
    /// Touches no network. `gate` checks consent before any byte is sent.
    pub fn new(endpoint: Url, proxy: Option<Proxy>, gate: Arc<Gate>) -> Self {
        let has_proxy = proxy.is_some();
        let agent = http::agent(Settings {
            connect_timeout: CONNECT_TIMEOUT,
            buffer_size: BUFFER_SIZE,
            idle_connections: 1,
            proxy,
            skips_certificate_check: false,
            gate: Some(gate.clone()),
            tls_version: TlsVersion::default(),
        });
        Self { agent, gate, has_proxy, endpoint, redirected: None }
    }

    fn request(&self, to: &Url, body: &[u8], stop: Instant) -> Result<Response, Error> {
        self.gate.check()?;
        self.gate.begin();
        let left = stop.saturating_duration_since(Instant::now());
        let request = self.agent.post(to.as_str()).config().timeout_global(Some(left)).build();
        let request = request.header("Content-Type", "application/x-json-stream").header("Content-Encoding", "gzip");
        let mut response = request.send(body)?;
        let header = |name| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
        let (retry_after, location) = (header("Retry-After"), header("Location"));
        let status = response.status().as_u16();
        let limit = if status == 206 { PARTIAL_RESPONSE_LIMIT } else { RESPONSE_LIMIT };
        let body = response.body_mut().with_config().limit(limit).read_to_vec();
        // Only a partial response says more than its status.
        let body = if status == 206 { body? } else { Vec::new() };
        Ok(Response { status, retry_after, location, body, from: to.to_string() })
    }
}

impl PostEvents for Https {
    fn post(&mut self, body: &[u8]) -> Result<Response, NoResponse> {
        let (body, stop) = (gzip(body), Instant::now() + REQUEST_TIMEOUT);
        // Dropped unless it accepts events again: an address that stopped working must not be tried for ever.
        let mut to = self.redirected.take().unwrap_or_else(|| self.endpoint.clone());
        let mut response = Response::default();
        for _ in 0..=REDIRECTION_LIMIT {
            response = self.request(&to, &body, stop).map_err(|error| self.describe(error))?;
            match redirection(&to, &response) {
                Some(next) => to = next,
                None => {
                    let accepted = matches!(response.status, 200..=299);
                    self.redirected = (accepted && to != self.endpoint).then_some(to);
                    break;
                }
            }
        }
        Ok(response)
    }
}

impl Https {
    fn describe(&self, error: Error) -> NoResponse {
        let reason = http::describe(&error, self.has_proxy).reason;
        match error {
            Error::Other(other) => match other.downcast::<NoConsent>() {
                Ok(closed) => NoResponse::NoConsent(*closed),
                Err(_) => NoResponse::Failed(reason),
            },
            _ => NoResponse::Failed(reason),
        }
    }
}

/// Compresses a body: requests become about four times smaller.
fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // Writing to memory cannot fail.
    let _ = encoder.write_all(body);
    encoder.finish().unwrap_or_default()
}

/// Returns the address that a response redirects to, if it may be followed: to HTTPS only (on this computer to HTTP as well), and
/// within the same host or the service's domains of the same cloud.
pub(crate) fn redirection(from: &Url, response: &Response) -> Option<Url> {
    let (307 | 308, Some(location)) = (response.status, &response.location) else {
        return None;
    };
    let to = from.join(location).ok()?;
    let is_plain = to.username().is_empty() && to.password().is_none();
    let is_safe = to.scheme() == "https" || (to.scheme() == "http" && is_loopback(from) && is_loopback(&to));
    let (old, new) = (from.host_str()?, to.host_str()?);
    let is_of = |host: &str, cloud: &[&str]| cloud.iter().any(|domain| host.ends_with(domain));
    let is_near = old == new || CLOUDS.iter().any(|cloud| is_of(old, cloud) && is_of(new, cloud));
    (is_plain && is_safe && is_near).then_some(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d4_a_redirection_is_followed_within_the_service_only() {
        let service = "https://westus2-2.in.applicationinsights.azure.com/v2.1/track";
        let global = "https://dc.services.visualstudio.com/v2.1/track";
        let table = [
            (service, 307, "https://westus2-1.in.applicationinsights.azure.com/v2.1/track", true),
            (service, 308, "https://WESTUS2-2.in.applicationinsights.azure.com:444/x", true),
            (service, 308, "/v2/track", true),
            (service, 308, "//westus2-1.in.applicationinsights.azure.com/v2.1/track", true),
            (global, 308, "https://westus2-2.in.applicationinsights.azure.com/v2.1/track", true),
            (service, 307, global, true),
            (service, 302, "https://westus2-1.in.applicationinsights.azure.com/v2.1/track", false),
            (service, 307, "http://westus2-1.in.applicationinsights.azure.com/v2.1/track", false),
            (service, 307, "https://applicationinsights.azure.com.example/", false),
            (service, 307, "https://evilapplicationinsights.azure.com/", false),
            (service, 307, "https://usgovvirginia-1.in.applicationinsights.azure.us/", false),
            (service, 307, "https://user@westus2-1.in.applicationinsights.azure.com/", false),
            (service, 307, "http://127.0.0.1/", false),
            (service, 307, "ftp://westus2-2.in.applicationinsights.azure.com/", false),
            (service, 307, "https://", false),
            ("https://a.example/", 307, "https://a.example:8443/", true),
            ("https://a.example/", 307, "https://b.example/", false),
            ("http://127.0.0.1:1/", 307, "http://127.0.0.1:2/", true),
            ("http://127.0.0.1:1/", 307, "v2/track", true),
            ("http://127.0.0.1:1/", 307, "http://a.example/", false),
        ];
        for (from, status, to, followed) in table {
            let response = Response { status, location: Some(to.to_owned()), ..Response::default() };
            assert_eq!(redirection(&from.parse().unwrap(), &response).is_some(), followed, "{status} {from} to {to}");
        }
    }
}
