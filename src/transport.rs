//! One request to the service, and what its answer means.
//!
//! [`verdict`] is the whole rule table as a pure function; [`Https`] only moves bytes. The gate is the last thing that
//! stands between them and the socket: it asks for consent when the connection is up and the bytes are ready (C10).

use std::fmt;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use ureq::http::Uri;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, DefaultConnector, NextTimeout, Transport as Connection,
};
use ureq::{Agent, Error as Trouble, Proxy, ProxyProtocol};

use crate::config::Environment;
use crate::envelope::is_loopback;
use crate::tls;

/// Longest time to reach the server (D4).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest time for a request and its answer (D4).
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// Largest answer that is read: 500 refused items make about 60 KB.
const ANSWER_LIMIT: u64 = 256 * 1024;
/// Bytes of a connection's buffer in each direction: requests and answers are small, and so is the memory they take.
const BUFFER: usize = 16 * 1024;
/// Most redirections that are followed for one batch (D4).
const REDIRECTION_LIMIT: usize = 5;
/// Longest wait that the server can ask for.
const RETRY_AFTER_LIMIT: Duration = Duration::from_secs(24 * 3600);
/// Names product and version only, never the computer.
pub(crate) const USER_AGENT: &str = concat!("vms-telemetry/", env!("CARGO_PKG_VERSION"));

/// What the server answered.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The header `Retry-After`, as it came.
    pub retry_after: Option<String>,
    /// The header `Location`, as it came.
    pub location: Option<String>,
    /// The body of a partial answer (206), of bounded size.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum NoAnswer {
    /// The batch was withdrawn before its first byte was sent: telemetry was switched off.
    Withdrawn,
    /// The network, the proxy or the server failed; in words that name no host.
    Failed(String),
}

/// Moves one request and its answer. Tests put their own in place of [`Https`].
pub trait Transport {
    /// Posts gzipped envelopes.
    ///
    /// # Errors
    /// [`NoAnswer`]
    fn post(&mut self, body: &[u8]) -> Result<Answer, NoAnswer>;
}

/// Where the proxy comes from (D5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProxyChoice {
    /// From `HTTPS_PROXY`, `ALL_PROXY`, `HTTP_PROXY` and `NO_PROXY`, in any case.
    Environment,
    /// The host will say; until then nothing is sent.
    Awaited,
    /// The host says: no proxy.
    Direct,
    /// The host says: this one, as an address like `http://proxy:8080`.
    Address(String),
}

/// Allows bytes to go out for as long as its answer is held.
pub type Permit = Arc<dyn Fn() -> Result<File, NoAnswer> + Send + Sync>;

/// The transport of the product.
pub struct Https {
    agent: Agent,
    track: Uri,
}

impl Https {
    /// Prepares for requests to `track`, the address that takes events; `permit` is asked before any byte goes out. Touches no network.
    ///
    /// # Errors
    /// What is wrong with the proxy, in words. Nothing is ever sent past a proxy that is configured and unusable.
    pub fn new(track: Uri, proxy: &ProxyChoice, environment: &Environment, permit: Permit) -> Result<Self, String> {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(REQUEST_TIMEOUT))
            .user_agent(USER_AGENT)
            .accept("application/json")
            .accept_encoding("")
            .max_idle_connections(1)
            .input_buffer_size(BUFFER)
            .output_buffer_size(BUFFER)
            .tls_config(tls::config())
            .proxy(find_proxy(&track, proxy, environment)?)
            .build();
        let connector = DefaultConnector::new().chain(Gate(permit));
        let agent = Agent::with_parts(config, connector, DefaultResolver::default());
        Ok(Self { agent, track })
    }

    /// Gives the address that took the last request: a redirection is remembered.
    pub fn track(&self) -> &Uri {
        &self.track
    }
}

fn find_proxy(track: &Uri, choice: &ProxyChoice, environment: &Environment) -> Result<Option<Proxy>, String> {
    if is_loopback(track) {
        return Ok(None);
    }
    let (address, who) = match choice {
        ProxyChoice::Awaited => return Err("the host has not said yet which proxy to use".to_owned()),
        ProxyChoice::Direct => return Ok(None),
        ProxyChoice::Address(address) => (address.as_str(), "system"),
        ProxyChoice::Environment => match environment.proxy() {
            None => return Ok(None),
            Some(_) if is_exempt(track, environment) => return Ok(None),
            Some(address) => (address, "environment"),
        },
    };
    Proxy::new(address).map(Some).map_err(|_| format!("the proxy that the {who} names cannot be used"))
}

fn is_exempt(track: &Uri, environment: &Environment) -> bool {
    let rules = environment.no_proxy().fold(Proxy::builder(ProxyProtocol::Http), |rules, host| rules.no_proxy(host));
    rules.build().is_ok_and(|rules| rules.is_no_proxy(track))
}

impl Transport for Https {
    fn post(&mut self, body: &[u8]) -> Result<Answer, NoAnswer> {
        let mut answer = self.request(body)?;
        for _ in 0..REDIRECTION_LIMIT {
            let Some(track) = redirection(&self.track, &answer) else {
                break;
            };
            self.track = track;
            answer = self.request(body)?;
        }
        Ok(answer)
    }
}

impl Https {
    fn request(&self, body: &[u8]) -> Result<Answer, NoAnswer> {
        let request = self.agent.post(&self.track).header("Content-Type", "application/x-json-stream");
        let answer = request.header("Content-Encoding", "gzip").send(body).and_then(|mut response| {
            let header = |name| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
            let (retry_after, location) = (header("Retry-After"), header("Location"));
            let status = response.status().as_u16();
            // Only a partial answer says more than its status.
            let body = match status {
                206 => response.body_mut().with_config().limit(ANSWER_LIMIT).read_to_vec()?,
                _ => Vec::new(),
            };
            Ok(Answer { status, retry_after, location, body })
        });
        answer.map_err(|trouble| match trouble {
            Trouble::Other(reason) => match reason.downcast::<Closed>() {
                Ok(closed) => closed.0,
                Err(_) => NoAnswer::Failed("the request failed".to_owned()),
            },
            trouble => NoAnswer::Failed(words(&trouble)),
        })
    }
}

/// Gives the address that an answer points to, where it may be followed: to HTTPS only (on this computer to HTTP as well),
/// and no further than the same host or the same part of the service's own domain.
fn redirection(from: &Uri, answer: &Answer) -> Option<Uri> {
    let (307 | 308, Some(location)) = (answer.status, &answer.location) else {
        return None;
    };
    let to: Uri = location.parse().ok()?;
    let is_plain = !to.authority()?.as_str().contains('@');
    let is_safe = to.scheme_str() == Some("https") || (is_loopback(from) && is_loopback(&to));
    let (old, new) = (from.host()?.to_ascii_lowercase(), to.host()?.to_ascii_lowercase());
    let is_near = old == new || SERVICE_DOMAINS.iter().any(|domain| old.ends_with(domain) && new.ends_with(domain));
    (is_plain && is_safe && is_near).then_some(to)
}

/// The domains of the service and of its national clouds.
const SERVICE_DOMAINS: [&str; 4] = [
    ".applicationinsights.azure.com",
    ".applicationinsights.azure.us",
    ".applicationinsights.azure.cn",
    ".services.visualstudio.com",
];

/// Says what failed without naming a host, an address or a path.
pub(crate) fn words(trouble: &Trouble) -> String {
    if let Some(words) = tls::words(trouble) {
        return words;
    }
    match trouble {
        Trouble::Io(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused => "the server (or the proxy) refused the connection".to_owned(),
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted => "the connection was cut off".to_owned(),
            kind => format!("the network failed ({kind})"),
        },
        Trouble::Timeout(_) => "no answer came in time".to_owned(),
        Trouble::HostNotFound => "the name of the server (or of the proxy) was not found".to_owned(),
        Trouble::ConnectionFailed => "the server (or the proxy) could not be reached".to_owned(),
        Trouble::ConnectProxyFailed(_) | Trouble::InvalidProxyUrl => "the proxy did not open a way".to_owned(),
        Trouble::BodyExceedsLimit(_) | Trouble::LargeResponseHeader(..) => "the answer was too large".to_owned(),
        Trouble::Http(_) | Trouble::Protocol(_) => "the answer was not HTTP".to_owned(),
        _ => "the request failed".to_owned(),
    }
}

/// Lets bytes through as long as telemetry is on.
struct Gate(Permit);

/// The error of a closed gate.
#[derive(Debug)]
struct Closed(NoAnswer);

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the gate is closed")
    }
}

impl std::error::Error for Closed {}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gate")
    }
}

impl<In: Connection> Connector<In> for Gate {
    type Out = Gated<In>;

    fn connect(&self, _: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<Self::Out>, Trouble> {
        Ok(chained.map(|inner| Gated { inner, permit: self.0.clone() }))
    }
}

/// A connection behind the gate.
struct Gated<In> {
    inner: In,
    permit: Permit,
}

impl<In: Connection> fmt::Debug for Gated<In> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl<In: Connection> Connection for Gated<In> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Trouble> {
        let _held = (self.permit)().map_err(|reason| Trouble::Other(Box::new(Closed(reason))))?;
        self.inner.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Trouble> {
        self.inner.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}

/// What becomes of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// For each item in order: whether it is tried again later.
    pub keep: Vec<bool>,
    /// Whether the service took any of them.
    pub taken: bool,
    /// What went wrong, in words. The next request must wait where anything is kept.
    pub trouble: Option<String>,
    /// How long it must wait at least, if the server said so.
    pub wait: Option<Duration>,
}

impl Verdict {
    /// Nobody answered: all is kept.
    pub fn failed(count: usize, words: String) -> Self {
        Self { keep: vec![true; count], taken: false, trouble: Some(words), wait: None }
    }
}

/// Judges an answer to a batch of `count` items (D4).
pub fn verdict(answer: &Answer, count: usize, now: DateTime<Utc>) -> Verdict {
    let words = |what: &str| format!("{what} (HTTP {})", answer.status);
    let later = |what: &str| Verdict { wait: retry_after(answer, now), ..Verdict::failed(count, words(what)) };
    match answer.status {
        206 => partial(answer, count, now),
        200..=299 => Verdict { keep: vec![false; count], taken: true, trouble: None, wait: None },
        401 | 403 => later("the service, or something on the way to it, refused access"),
        408 | 500 | 502 | 503 | 504 => later("the service is out of order for the moment"),
        429 => later("the service asks for patience"),
        439 => {
            let verdict = later("the service's quota is used up");
            Verdict { wait: verdict.wait.max(Some(QUOTA_WAIT)), ..verdict }
        }
        300..=399 => later("the service points elsewhere"),
        _ => {
            Verdict { keep: vec![false; count], ..Verdict::failed(count, words("the service refused events for good")) }
        }
    }
}

/// A quota is per day: an hour is the least that makes sense.
const QUOTA_WAIT: Duration = Duration::from_secs(3600);

/// The body of an answer, as far as it matters.
#[derive(Deserialize)]
struct Report {
    #[serde(default)]
    errors: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Refusal {
    index: usize,
    status_code: u16,
}

fn partial(answer: &Answer, count: usize, now: DateTime<Utc>) -> Verdict {
    let report: Report = serde_json::from_slice(&answer.body).unwrap_or(Report { errors: Vec::new() });
    let (mut keep, mut refused) = (vec![false; count], vec![false; count]);
    // One that makes no sense says nothing about the others.
    for Refusal { index, status_code } in report.errors.into_iter().filter_map(|one| serde_json::from_value(one).ok()) {
        if let (Some(keep), Some(refused)) = (keep.get_mut(index), refused.get_mut(index)) {
            *keep |= matches!(status_code, 408 | 429 | 439 | 500 | 503);
            *refused = true;
        }
    }
    let trouble = refused.contains(&true).then(|| "the service took only a part (HTTP 206)".to_owned());
    Verdict { taken: refused.contains(&false), wait: retry_after(answer, now), keep, trouble }
}

/// Reads `Retry-After`, which comes as seconds or as a date.
fn retry_after(answer: &Answer, now: DateTime<Utc>) -> Option<Duration> {
    let text = answer.retry_after.as_deref()?.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => (DateTime::parse_from_rfc2822(text).ok()?.to_utc() - now).to_std().ok()?,
    };
    Some(wait.min(RETRY_AFTER_LIMIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str, retry_after: Option<&str>) -> Answer {
        Answer { status, body: body.as_bytes().to_vec(), retry_after: retry_after.map(str::to_owned), location: None }
    }

    #[test]
    fn d4_what_each_status_means() {
        let table = [
            (200, false, true),
            (202, false, true),
            (400, false, false),
            (402, false, false),
            (404, false, false),
            (405, false, false),
            (413, false, false),
            (501, false, false),
            (302, true, false),
            (401, true, false),
            (403, true, false),
            (408, true, false),
            (429, true, false),
            (439, true, false),
            (500, true, false),
            (502, true, false),
            (503, true, false),
            (504, true, false),
        ];
        for (status, kept, taken) in table {
            let verdict = verdict(&answer(status, "", None), 2, Utc::now());
            assert_eq!(
                (verdict.keep, verdict.taken, verdict.trouble.is_none()),
                (vec![kept; 2], taken, taken),
                "{status}"
            );
        }
    }

    #[test]
    fn d4_a_partial_answer_keeps_what_it_marks_and_believes_no_index() {
        let table = [
            (
                r#"{"itemsReceived":3,"itemsAccepted":2,"errors":[{"index":1,"statusCode":500,"message":"x"}]}"#,
                [false, true, false],
            ),
            (r#"{"errors":[{"index":0,"statusCode":400},{"index":2,"statusCode":429}]}"#, [false, false, true]),
            (
                r#"{"errors":[{"index":3,"statusCode":500},{"index":18446744073709551615,"statusCode":500}]}"#,
                [false; 3],
            ),
            (r#"{"errors":[{"index":-1,"statusCode":500}]}"#, [false; 3]),
            (
                r#"{"errors":[{"index":-1,"statusCode":400},{},null,{"index":1,"statusCode":500},{"index":2,"statusCode":99999}]}"#,
                [false, true, false],
            ),
            (r#"{"itemsReceived":3,"itemsAccepted":3}"#, [false; 3]),
            ("nonsense", [false; 3]),
            ("", [false; 3]),
        ];
        for (body, keep) in table {
            assert_eq!(verdict(&answer(206, body, None), 3, Utc::now()).keep, keep, "{body}");
        }
    }

    #[test]
    fn d4_a_partial_answer_took_what_it_does_not_refuse() {
        let table = [
            (r#"{"errors":[{"index":0,"statusCode":400}]}"#, true, true),
            (r#"{"errors":[{"index":0,"statusCode":400},{"index":1,"statusCode":500}]}"#, false, true),
            (r#"{"errors":[{"index":5,"statusCode":400}]}"#, true, false),
            ("", true, false),
        ];
        for (body, taken, troubled) in table {
            let verdict = verdict(&answer(206, body, None), 2, Utc::now());
            assert_eq!((verdict.taken, verdict.trouble.is_some()), (taken, troubled), "{body}");
        }
    }

    #[test]
    fn d4_retry_after_comes_as_seconds_or_as_a_date() {
        let now = DateTime::parse_from_rfc3339("2026-01-01T00:00:00Z").unwrap().to_utc();
        let table = [
            (Some("120"), Some(120)),
            (Some(" 0 "), Some(0)),
            (Some("Thu, 01 Jan 2026 00:02:00 GMT"), Some(120)),
            (Some("Wed, 31 Dec 2025 00:00:00 GMT"), None),
            (Some("999999999"), Some(24 * 3600)),
            (Some("99999999999999999999999"), None),
            (Some("-5"), None),
            (Some("soon"), None),
            (None, None),
        ];
        for (header, seconds) in table {
            let verdict = verdict(&answer(429, "", header), 1, now);
            assert_eq!(verdict.wait, seconds.map(Duration::from_secs), "{header:?}");
        }
        assert_eq!(verdict(&answer(439, "", Some("5")), 1, now).wait, Some(QUOTA_WAIT));
    }

    #[test]
    fn d5_a_proxy_that_cannot_be_used_is_never_passed_by() {
        let remote = Uri::from_static("https://a.example/v2.1/track");
        let local = Uri::from_static("http://127.0.0.1:1/v2.1/track");
        let none = Environment::default();
        let find = |track, choice| find_proxy(track, &choice, &none);
        for address in ["::", "ftp://proxy.example", "http://"] {
            assert!(find(&remote, ProxyChoice::Address(address.to_owned())).is_err(), "{address}");
        }
        assert!(find(&remote, ProxyChoice::Awaited).is_err());
        assert!(find(&remote, ProxyChoice::Direct).unwrap().is_none());
        assert!(find(&remote, ProxyChoice::Environment).unwrap().is_none());
        let address = ProxyChoice::Address("http://proxy.example:8080".to_owned());
        let named = find(&remote, address.clone()).unwrap().unwrap();
        assert_eq!((named.host(), named.port()), ("proxy.example", 8080));
        assert!(find(&local, address).unwrap().is_none());

        let named = |variables: &[(&str, &str)]| {
            let environment = Environment::read(variables.iter().map(|(name, value)| (name.into(), value.into())));
            find_proxy(&remote, &ProxyChoice::Environment, &environment)
                .map(|proxy| proxy.map(|proxy| proxy.host().to_owned()))
        };
        let all = [("all_proxy", "http://all.example"), ("HTTP_PROXY", "http://http.example")];
        assert_eq!(named(&all), Ok(Some("all.example".to_owned())));
        assert_eq!(named(&[all[0], ("https_proxy", "socks5://https.example")]), Ok(Some("https.example".to_owned())));
        assert!(named(&[("HTTPS_PROXY", "::")]).is_err());
        assert_eq!(named(&[all[0], ("NO_PROXY", "b.example, a.example")]), Ok(None));
        assert_eq!(named(&[all[0], ("no_proxy", "*.example")]), Ok(None));
        assert_eq!(named(&[all[0], ("no_proxy", "b.example")]), Ok(Some("all.example".to_owned())));
    }

    #[test]
    fn d4_a_redirection_is_followed_no_further_than_the_service() {
        let follow = |from: &str, status: u16, to: &str| {
            let answer = Answer { location: Some(to.to_owned()), ..answer(status, "", None) };
            redirection(&from.parse().unwrap(), &answer).is_some()
        };
        let service = "https://westus2-2.in.applicationinsights.azure.com/v2.1/track";
        let table = [
            (service, 307, "https://westus2-1.in.applicationinsights.azure.com/v2.1/track", true),
            (service, 308, "https://WESTUS2-2.in.applicationinsights.azure.com:444/x", true),
            (service, 302, "https://westus2-1.in.applicationinsights.azure.com/v2.1/track", false),
            (service, 307, "http://westus2-1.in.applicationinsights.azure.com/v2.1/track", false),
            (service, 307, "https://applicationinsights.azure.com.example/", false),
            (service, 307, "https://dc.services.visualstudio.com/v2/track", false),
            (service, 307, "https://user@westus2-1.in.applicationinsights.azure.com/", false),
            (service, 307, "http://127.0.0.1/", false),
            (service, 307, "/v2/track", false),
            (service, 307, "", false),
            ("https://a.example/", 307, "https://a.example:8443/", true),
            ("https://a.example/", 307, "https://b.example/", false),
            ("http://127.0.0.1:1/", 307, "http://127.0.0.1:2/", true),
            ("http://127.0.0.1:1/", 307, "http://a.example/", false),
        ];
        for (from, status, to, followed) in table {
            assert_eq!(follow(from, status, to), followed, "{status} to {to}");
        }
    }
}
