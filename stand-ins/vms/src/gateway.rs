//! From a path to what answers it: discovery, identity provider and REST API, directly and through the API Gateway; and what
//! goes wrong on the way.
//!
//! Paths are compared without case, and a slash more at the end does no harm.

use std::time::Duration;

use loopback::{Answer, Journal, Request, Service, repeat};
use serde_json::json;

use crate::idp;
use crate::idp::windows::Connection;
use crate::model::fault::Effect;
use crate::rest;
use crate::state::Vms;
use crate::state::journal::{Received, record};

impl Service for Vms {
    type Entries = Vec<Received>;
    type Connection = Connection;

    fn journal(&self) -> &Journal<Vec<Received>> {
        &self.journal
    }

    fn answer(&self, request: &Request, connection: &mut Connection) -> Answer {
        record(&self.journal, request);
        let hit = self.faults.hit(&request.path);
        if hit.hold {
            self.journal.hold(&request.path);
        }
        if !hit.wait.is_zero() && !self.journal.pause(hit.wait) {
            return Answer::empty(503).cut(0);
        }
        let answer = route(self, request, connection);
        match hit.effect {
            Some(effect) => change(answer, effect),
            None => answer,
        }
    }

    fn refuse(&self, status: u16, _: &str) -> Answer {
        Answer::page(status)
    }
}

fn change(answer: Answer, effect: Effect) -> Answer {
    match effect {
        Effect::CloseAfter(bytes) => answer.cut(bytes),
        Effect::Slow(ms) => answer.slowly(Duration::from_millis(ms)),
        Effect::HugeHeader(bytes) => {
            answer.with("X-Demo-Filling", "x".repeat(usize::try_from(bytes).unwrap_or(usize::MAX)))
        }
        Effect::Redirect(to) => Answer::empty(307).with("Location", to),
        Effect::Answer { status, content_type, body } => Answer::text(status, &content_type, body),
        Effect::Repeat { text, bytes } => Answer::stream(Box::new(move |stream| repeat(&text, bytes, stream))),
    }
}

fn route(vms: &Vms, request: &Request, connection: &mut Connection) -> Answer {
    let parts: Vec<&str> = request.path.split('/').filter(|part| !part.is_empty()).collect();
    let lower: Vec<String> = parts.iter().map(|part| part.to_ascii_lowercase()).collect();
    let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
    match lower.as_slice() {
        ["api", ".well-known", "uris"] => discovery(vms, request),
        ["api", "rest", "v1", ..] => rest::answer(vms, request, parts.get(3..).unwrap_or_default()),
        ["idp", "connect", "token"] => idp::token(vms, request, Some(connection)),
        ["api", "idp", "connect", "token"] => idp::token(vms, request, None),
        _ => Answer::page(404),
    }
}

/// Answers where the parts of the system are. An entry of `ApiGateways` ends with a slash, `IdentityProvider` does not.
fn discovery(vms: &Vms, request: &Request) -> Answer {
    if request.method != "GET" {
        return Answer::empty(405).with("Allow", "GET");
    }
    let base = &vms.base;
    let host = base.split_once("://").map_or(base.as_str(), |(_, host)| host);
    let secure = if base.starts_with("https:") { format!("https://{host}/") } else { String::new() };
    Answer::json(
        200,
        &json!({
            "ProductVersion": vms.config.site.version,
            "UnsecureManagementServer": format!("http://{host}/"),
            "SecureManagementServer": secure,
            "IdentityProvider": format!("{base}/IDP"),
            "ApiGateways": [format!("{base}/API/")],
        }),
    )
}
