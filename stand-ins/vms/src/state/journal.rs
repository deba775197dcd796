//! The record of requests, so that tests can tell what was asked for, and that no secret went another way.

use loopback::{Journal, Request};

use crate::form;

/// Beyond this, requests are answered but no longer recorded.
const MAX_RECORDED: usize = 100_000;

/// A request as it is remembered: never the value of a header, nor that of a form's field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Method.
    pub method: String,
    /// Path, as it came.
    pub path: String,
    /// Query, as it came.
    pub query: String,
    /// Names of the headers, in lower case, in order.
    pub headers: Vec<String>,
    /// Names of the fields, if the body is a form, in order.
    pub fields: Vec<String>,
    /// Whether there was an `Authorization` header.
    pub authorization: bool,
}

impl Received {
    fn of(request: &Request) -> Self {
        let form = if form::is_form(request) { String::from_utf8_lossy(&request.body) } else { "".into() };
        Self {
            method: request.method.clone(),
            path: request.path.clone(),
            query: request.query.clone(),
            headers: request.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect(),
            fields: form::pairs(&form).into_iter().map(|(name, _)| name).collect(),
            authorization: request.header("authorization").is_some(),
        }
    }
}

/// Records a request.
pub(crate) fn record(journal: &Journal<Vec<Received>>, request: &Request) {
    let received = Received::of(request);
    journal.change(|all| {
        if all.len() < MAX_RECORDED {
            all.push(received);
        }
    });
}
