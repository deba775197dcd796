//! Requests to one server: bounded in time and size, without a proxy, without following a redirection.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ureq::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION};
use ureq::{Agent, RequestBuilder};
use zeroize::Zeroizing;

use super::address::Origin;
use super::failure::{Failure, FailureKind};
use crate::http::{Settings, agent};
use crate::tls::TlsVersion;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a document that is read as a whole: a choice. Discovery document and tokens have a few thousand.
const DOCUMENT_LIMIT: u64 = 64 * 1024;
/// Bytes of a list in one response: a choice. 1,000 cameras have about 1.5 MB, and some servers send all at once.
const LIST_LIMIT: u64 = 32 << 20;
/// What some servers begin a document with.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Ends an attempt from another thread.
#[derive(Clone, Default)]
pub struct Cancel(Arc<Mutex<Attempt>>);

#[derive(Default)]
struct Attempt {
    is_cancelled: bool,
    agent: Option<Agent>,
}

impl Cancel {
    fn attempt(&self) -> MutexGuard<'_, Attempt> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// No credential is sent afterwards, and a connection that waits for the server is closed.
    pub fn cancel(&self) {
        let mut attempt = self.attempt();
        attempt.is_cancelled = true;
        if let Some(agent) = attempt.agent.take() {
            agent.shutdown();
        }
    }

    pub fn is_cancelled(&self) -> bool {
        self.attempt().is_cancelled
    }

    /// Sets the agent whose connections are to be closed.
    fn watch(&self, agent: &Agent) {
        let mut attempt = self.attempt();
        if attempt.is_cancelled { agent.clone().shutdown() } else { attempt.agent = Some(agent.clone()) }
    }
}

/// A response whose body is still to be read.
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) location: Option<String>,
    body: ureq::Body,
}

impl Response {
    pub(super) fn document(&mut self, from: &Http) -> Result<Zeroizing<Vec<u8>>, Failure> {
        // With its final size from the start, so that no copy of a token is left in freed memory.
        let mut content = Zeroizing::new(Vec::with_capacity(DOCUMENT_LIMIT as usize + 32));
        let read = self.body.with_config().limit(DOCUMENT_LIMIT).reader().read_to_end(&mut content);
        read.map_err(|error| from.failed(&error.into()))?;
        if content.starts_with(BYTE_ORDER_MARK) {
            content.drain(..BYTE_ORDER_MARK.len());
        }
        Ok(content)
    }

    /// Returns the body as a stream of bounded length, without a buffer.
    pub(super) fn list(&mut self) -> io::Result<impl Read + '_> {
        let mut body = self.body.with_config().limit(LIST_LIMIT).reader();
        let mut start = Vec::new();
        body.by_ref().take(BYTE_ORDER_MARK.len() as u64).read_to_end(&mut start)?;
        if start == BYTE_ORDER_MARK {
            start.clear();
        }
        Ok(io::Cursor::new(start).chain(body))
    }
}

/// A client of one server.
pub(super) struct Http {
    agent: Agent,
    cancel: Cancel,
    tls: TlsVersion,
    pub(super) origin: Origin,
}

impl Http {
    /// Touches no network.
    pub(super) fn new(origin: Origin, skips_certificate_check: bool, cancel: &Cancel) -> Self {
        let tls = TlsVersion::default();
        let agent = agent(Settings {
            connect_timeout: CONNECT_TIMEOUT,
            buffer_size: 64 * 1024,
            idle_connections: 1,
            proxy: None,
            skips_certificate_check,
            gate: None,
            tls_version: tls.clone(),
        });
        cancel.watch(&agent);
        Self { agent, cancel: cancel.clone(), tls, origin }
    }

    /// Returns the protocol of the first connection, once there was one.
    pub(super) fn tls_version(&self) -> Option<&'static str> {
        self.tls.get().copied()
    }

    pub(super) fn get(&self, path: &str, token: Option<&str>, until: Instant) -> Result<Response, Failure> {
        let mut request = self.agent.get(format!("{}{path}", self.origin));
        if let Some(token) = token {
            let bearer = Zeroizing::new(format!("Bearer {token}"));
            let mut bearer = HeaderValue::from_str(&bearer).map_err(|_| {
                let what = "the access token contains characters that are not allowed";
                Failure::with_advice(
                    FailureKind::LogonRefused,
                    &self.origin,
                    what,
                    "Give the token as the identity provider gave it.",
                )
            })?;
            bearer.set_sensitive(true);
            request = request.header(AUTHORIZATION, bearer);
        }
        let sent = self.limited(request, until)?.call();
        self.response(sent)
    }

    pub(super) fn post(&self, path: &str, form: &str, until: Instant) -> Result<Response, Failure> {
        let request = self.agent.post(format!("{}{path}", self.origin));
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let sent = self.limited(request, until)?.send(form);
        self.response(sent)
    }

    fn response(&self, sent: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Response, Failure> {
        let (head, body) = sent.map_err(|error| self.failed(&error))?.into_parts();
        let location = head.headers.get(LOCATION).and_then(|to| to.to_str().ok()).map(str::to_owned);
        Ok(Response { status: head.status.as_u16(), location, body })
    }

    /// Limits a request to the time that is left, and its connection to half of that, so that there is time for another attempt.
    fn limited<Any>(&self, request: RequestBuilder<Any>, until: Instant) -> Result<RequestBuilder<Any>, Failure> {
        self.ensure_not_cancelled()?;
        let left = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero());
        let left = left.ok_or_else(|| self.failure(FailureKind::Timeout, "no response came in time"))?;
        let connect = CONNECT_TIMEOUT.min(left / 2);
        Ok(request.config().timeout_global(Some(left)).timeout_connect(Some(connect)).build())
    }

    pub(super) fn ensure_not_cancelled(&self) -> Result<(), Failure> {
        let cancelled = || self.failure(FailureKind::Cancelled, "the attempt was cancelled");
        if self.cancel.is_cancelled() { Err(cancelled()) } else { Ok(()) }
    }

    pub(super) fn failure(&self, kind: FailureKind, what: &str) -> Failure {
        Failure::new(kind, &self.origin, what)
    }

    pub(super) fn failed(&self, error: &ureq::Error) -> Failure {
        self.ensure_not_cancelled().map_or_else(|failure| failure, |()| Failure::of_request(error, &self.origin))
    }

    pub(super) fn unexpected(&self, response: &mut Response, what: &str) -> Failure {
        if response.status == 401 {
            return self.token_refused(response);
        }
        let (kind, outcome) = match response.status {
            300..=399 => match response.location.as_deref().map(Origin::of) {
                Some(Ok(to)) => {
                    let what = format!("asked for {what}, the server redirects to {to}");
                    return self.failure(FailureKind::Redirected, &what);
                }
                _ => (FailureKind::Answer, "redirects"),
            },
            403 => (FailureKind::AccessDenied, "does not allow this user to read it"),
            404 => (FailureKind::Answer, "does not have it"),
            500..=599 => (FailureKind::Server, "reported an error of its own"),
            _ => (FailureKind::Answer, "gave an unexpected response"),
        };
        let mut failure =
            self.failure(kind, &format!("asked for {what}, the server {outcome} (HTTP {})", response.status));
        // What a server says to plain HTTP on a port for HTTPS.
        failure.is_other_scheme = response.status == 400 && !self.origin.is_encrypted();
        failure
    }

    /// Tells a token that has expired from one that the server does not know: the gateway says so in words.
    fn token_refused(&self, response: &mut Response) -> Failure {
        let document = response.document(self).unwrap_or_default();
        let is_expired = String::from_utf8_lossy(&document).to_lowercase().contains("expired");
        let (what, advice) = if is_expired {
            ("the access token has expired (HTTP 401)", "Get a new one from the identity provider of this server.")
        } else {
            (
                "the server does not accept the access token (HTTP 401)",
                "Use one that the identity provider of this very server gave.",
            )
        };
        Failure::with_advice(FailureKind::LogonRefused, &self.origin, what, advice)
    }
}
