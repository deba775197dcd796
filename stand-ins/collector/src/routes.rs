//! What a request is for: the track paths of the service, and the paths over which tests in any language ask and command.

use std::time::Duration;

use chrono::Utc;
use loopback::{Answer, Journal, Request, Service};

use crate::envelope::is_guid;
use crate::ingest::judge;
use crate::reply::Reply;
use crate::script::{Script, ScriptError};
use crate::store::{Entries, Store};
use crate::verdict::refusal;

/// Longest wait, and the one without a `timeout`.
const MAX_WAIT: Duration = Duration::from_secs(600);
const DEFAULT_WAIT: Duration = Duration::from_secs(30);

impl Service for Store {
    type Entries = Entries;
    type Connection = ();

    fn journal(&self) -> &Journal<Entries> {
        &self.0
    }

    fn answer(&self, request: &Request, (): &mut ()) -> Answer {
        answer(request, self)
    }

    fn refuse(&self, status: u16, rule: &str) -> Answer {
        refusal(status, rule)
    }
}

/// Does what the request is for, and returns its answer.
fn answer(request: &Request, store: &Store) -> Answer {
    type Route = fn(&Request, &Store) -> Result<Answer, String>;
    let (allowed, route): (_, Route) = match request.path.as_str() {
        "/v2/track" | "/v2.1/track" => ("POST", |request, store| Ok(track(request, store))),
        "/received" => ("GET", received),
        "/requests" => ("GET", requests),
        "/held" => ("GET", held),
        "/script" => ("POST", script),
        "/release" => ("POST", release),
        path => return refusal(404, &format!("there is nothing at `{path}`")),
    };
    if request.method != allowed {
        let message = format!("the method is {}, not {allowed}", request.method);
        return refusal(405, &message).with("Allow", allowed);
    }
    route(request, store).unwrap_or_else(|message| refusal(400, &message))
}

fn track(request: &Request, store: &Store) -> Answer {
    let now = Utc::now();
    let verdict = judge(request, now);
    let (number, mut reply) = store.arrived(verdict.ikey());
    while let Reply::Hold(then) = reply {
        store.0.hold(verdict.ikey());
        reply = *then;
    }
    let ikey = verdict.ikey().to_owned();
    let (verdict, answer) = reply.apply(verdict, now);
    store.record(number, request, now, verdict);
    if reply == Reply::Silent {
        store.0.hold(&ikey);
    }
    answer
}

/// Answers with the items as JSON lines, once what the query asks for has arrived or its time is over.
fn received(request: &Request, store: &Store) -> Result<Answer, String> {
    let query = Query::parse(&request.query, &["ikey=GUID", "count=N", "timeout=SECONDS", "accepted=true"])?;
    let items = store.wait(query.ikey, query.accepted, query.count, query.timeout);
    let lines: String = items.iter().map(|item| format!("{}\n", item.to_json())).collect();
    Ok(Answer::text(200, "application/x-json-stream", lines))
}

/// Answers with the number of requests to a track path, under the same conditions.
fn requests(request: &Request, store: &Store) -> Result<Answer, String> {
    let query = Query::parse(&request.query, &["ikey=GUID", "count=N", "timeout=SECONDS"])?;
    Ok(text(store.wait_requests(query.ikey, query.count, query.timeout)))
}

/// Answers with the number of requests that are held, under the same conditions.
fn held(request: &Request, store: &Store) -> Result<Answer, String> {
    let query = Query::parse(&request.query, &["ikey=GUID", "count=N", "timeout=SECONDS"])?;
    Ok(text(store.0.wait_held(query.ikey, query.count, query.timeout)))
}

/// Plans the replies in the body, and answers with their number.
fn script(request: &Request, store: &Store) -> Result<Answer, String> {
    let query = Query::parse(&request.query, &["ikey=GUID"])?;
    let script: Script =
        String::from_utf8_lossy(&request.body).parse().map_err(|error: ScriptError| error.to_string())?;
    let count = script.replies.len();
    store.plan(query.ikey, script);
    Ok(text(count))
}

/// Releases the requests that are held, and answers with their number.
fn release(request: &Request, store: &Store) -> Result<Answer, String> {
    let query = Query::parse(&request.query, &["ikey=GUID"])?;
    Ok(text(store.0.release(query.ikey)))
}

fn text(number: usize) -> Answer {
    Answer::text(200, "text/plain", number.to_string())
}

struct Query<'a> {
    ikey: Option<&'a str>,
    count: usize,
    timeout: Duration,
    accepted: bool,
}

impl<'a> Query<'a> {
    /// Parses a query of which nothing but the known pairs is allowed.
    fn parse(query: &'a str, known: &[&str]) -> Result<Self, String> {
        let mut parsed = Self { ikey: None, count: 0, timeout: DEFAULT_WAIT, accepted: false };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let bad = || format!("`{pair}` is none of {}", known.join(", "));
            let (name, value) = pair.split_once('=').ok_or_else(bad)?;
            if !known.iter().any(|form| form.split('=').next() == Some(name)) {
                return Err(bad());
            }
            match (name, value) {
                ("ikey", text) if is_guid(text) => parsed.ikey = Some(text),
                ("count", text) => parsed.count = text.parse().map_err(|_| bad())?,
                ("timeout", text) => {
                    let seconds = text.parse().map_err(|_| bad())?;
                    parsed.timeout = Duration::try_from_secs_f64(seconds).map_err(|_| bad())?.min(MAX_WAIT);
                }
                ("accepted", "true") => parsed.accepted = true,
                _ => return Err(bad()),
            }
        }
        Ok(parsed)
    }
}
