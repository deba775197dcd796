//! Requests to one server: bounded in time and size, without a proxy, without following a redirection.

use std::io::Read;
use std::time::{Duration, Instant};

use ureq::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION};
use ureq::{Agent, RequestBuilder};
use zeroize::Zeroizing;

use super::address::Origin;
use super::failure::{Failure, Kind};
use crate::{tls, transport};

/// Longest time to reach the server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest document that is read as a whole.
const DOCUMENT_LIMIT: u64 = 64 * 1024;
/// Longest part of a list that one answer may bring: 1,000 cameras make about 1.5 MB.
const LIST_LIMIT: u64 = 32 << 20;

/// An answer, as far as it was read.
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Where the server points to.
    pub location: Option<String>,
    body: ureq::Body,
}

impl Answer {
    /// Reads the body as a whole.
    ///
    /// # Errors
    /// It is too large, or breaks off.
    pub fn document(&mut self, from: &Origin) -> Result<Zeroizing<Vec<u8>>, Failure> {
        // With its final size from the start, so that no copy of a token is left in freed memory.
        let mut content = Zeroizing::new(Vec::with_capacity(DOCUMENT_LIMIT as usize + 32));
        let read = self.body.with_config().limit(DOCUMENT_LIMIT).reader().read_to_end(&mut content);
        read.map_err(|error| Failure::of_request(&ureq::Error::from(error), from))?;
        Ok(content)
    }

    /// Gives the body as a stream of bounded length.
    pub fn list(&mut self) -> impl Read + '_ {
        std::io::BufReader::with_capacity(16 * 1024, self.body.with_config().limit(LIST_LIMIT).reader())
    }
}

/// A client of one server.
#[derive(Clone)]
pub struct Http {
    agent: Agent,
    /// The server.
    pub origin: Origin,
}

impl Http {
    /// Prepares for requests; touches no network.
    pub fn new(origin: Origin, skips_certificate_check: bool) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(transport::USER_AGENT)
            .accept("application/json")
            .accept_encoding("")
            // A management server is a computer of the site's own network.
            .proxy(None)
            .tls_config(if skips_certificate_check { tls::unchecked_config() } else { tls::config() })
            .build();
        Self { agent: config.new_agent(), origin }
    }

    /// Asks for a path; a token goes along where there is one.
    ///
    /// # Errors
    /// No answer came before `until`.
    pub fn get(&self, path: &str, token: Option<&str>, until: Instant) -> Result<Answer, Failure> {
        let mut request = self.agent.get(format!("{}{path}", self.origin));
        if let Some(token) = token {
            let bearer = Zeroizing::new(format!("Bearer {token}"));
            let mut bearer = HeaderValue::from_str(&bearer)
                .map_err(|_| self.failure(Kind::LogonRefused, "the access token has characters that none has"))?;
            bearer.set_sensitive(true);
            request = request.header(AUTHORIZATION, bearer);
        }
        let sent = self.limited(request, until)?.call();
        self.answer(sent)
    }

    /// Posts a form.
    ///
    /// # Errors
    /// As for [`Http::get`].
    pub fn post(&self, path: &str, form: &str, until: Instant) -> Result<Answer, Failure> {
        let request = self.agent.post(format!("{}{path}", self.origin));
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let sent = self.limited(request, until)?.send(form);
        self.answer(sent)
    }

    fn answer(&self, sent: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Answer, Failure> {
        let (head, body) = sent.map_err(|trouble| Failure::of_request(&trouble, &self.origin))?.into_parts();
        let location = head.headers.get(LOCATION).and_then(|to| to.to_str().ok()).map(str::to_owned);
        Ok(Answer { status: head.status.as_u16(), location, body })
    }

    /// Limits a request: as a whole to what is left, and to half of that where nobody is there, so that there is time for
    /// something else.
    fn limited<Any>(&self, request: RequestBuilder<Any>, until: Instant) -> Result<RequestBuilder<Any>, Failure> {
        let left = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero());
        let left = left.ok_or_else(|| self.failure(Kind::Timeout, "no answer came in time"))?;
        let reach = CONNECT_TIMEOUT.min(left / 2);
        Ok(request.config().timeout_global(Some(left)).timeout_connect(Some(reach)).build())
    }

    /// Puts a failure of this server into words.
    pub fn failure(&self, kind: Kind, what: &str) -> Failure {
        Failure::new(kind, &self.origin, what)
    }

    /// Says what an answer means that is none of those that were hoped for.
    pub fn unexpected(&self, answer: &Answer, what: &str) -> Failure {
        let (kind, outcome) = match answer.status {
            300..=399 => match answer.location.as_deref().and_then(Origin::of) {
                Some(to) => return self.failure(Kind::Redirected, &format!("asked for {what}, it points to {to}")),
                None => (Kind::Answer, "points elsewhere"),
            },
            401 => (Kind::LogonRefused, "no longer takes the access token"),
            403 => (Kind::AccessDenied, "does not allow this user to read it"),
            404 => (Kind::Answer, "does not have it"),
            500..=599 => (Kind::Server, "failed"),
            _ => (Kind::Answer, "gave an answer that makes no sense"),
        };
        self.failure(kind, &format!("asked for {what}, the server {outcome} (HTTP {})", answer.status))
    }
}
