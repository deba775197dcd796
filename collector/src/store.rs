//! What arrived, in order, and the waiting for it.
//!
//! - Items of one request are stored together and their sequence has no gaps.
//! - A wait ends by an event (an item, the stop), never by polling.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use crate::http::{Request, find};
use crate::ingest::Verdict;

/// Called with each item, under the store's lock.
pub(crate) type Observer = Box<dyn FnMut(&Received) + Send>;

/// One item of a request, as it arrived and as it was answered. A request without a readable item is one as well: refused,
/// with `items` 0 and `envelope` null.
#[derive(Debug, Clone, PartialEq)]
pub struct Received {
    /// Place of the item among all that arrived, from 1.
    pub sequence: u64,
    /// Place of its request among all requests to a track path, from 1.
    pub request: u64,
    /// When the request had arrived in full.
    pub at: DateTime<Utc>,
    /// Path of the request.
    pub path: String,
    /// Text behind the `?` of the request's target, else empty.
    pub query: String,
    /// All request headers, names and order as sent.
    pub headers: Vec<(String, String)>,
    /// Bytes of the request's body as sent, without chunk framing.
    pub wire_bytes: usize,
    /// Bytes of the request's body uncompressed; 0 if it could not be.
    pub plain_bytes: usize,
    /// How many items the request held.
    pub items: usize,
    /// HTTP status that answered the request.
    pub status: u16,
    /// Why this item was refused; `None` if it was accepted.
    pub refusal: Option<String>,
    /// The item, its members in the order sent; its text if it was not JSON.
    pub envelope: Value,
}

impl Received {
    /// Returns whether the item was taken.
    #[must_use]
    pub fn accepted(&self) -> bool {
        self.refusal.is_none()
    }

    /// Returns the item's instrumentation key, else empty.
    #[must_use]
    pub fn ikey(&self) -> &str {
        self.envelope.get("iKey").and_then(Value::as_str).unwrap_or_default()
    }

    /// Returns the first request header of that name, else empty.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        find(&self.headers, name).unwrap_or_default()
    }

    /// Returns the item as the JSON object that is one line of the record; headers of one name are joined by a comma.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut headers = Map::new();
        for (name, value) in &self.headers {
            match headers.get_mut(name) {
                Some(Value::String(known)) => *known = format!("{known}, {value}"),
                _ => drop(headers.insert(name.clone(), json!(value))),
            }
        }
        json!({
            "at": self.at.to_rfc3339_opts(SecondsFormat::Micros, false),
            "request": self.request,
            "path": self.path,
            "query": self.query,
            "status": self.status,
            "accepted": self.accepted(),
            "refusal": self.refusal,
            "contentType": self.header("content-type"),
            "contentEncoding": self.header("content-encoding"),
            "userAgent": self.header("user-agent"),
            "wireBytes": self.wire_bytes,
            "plainBytes": self.plain_bytes,
            "items": self.items,
            "headers": headers,
            "envelope": self.envelope,
        })
    }
}

pub(crate) struct Store {
    state: Mutex<State>,
    changed: Condvar,
    connections: AtomicU64,
}

struct State {
    items: Vec<Received>,
    requests: u64,
    observer: Option<Observer>,
    stopped: bool,
}

impl Store {
    pub(crate) fn new(observer: Option<Observer>) -> Self {
        let state = State { items: Vec::new(), requests: 0, observer, stopped: false };
        Self { state: Mutex::new(state), changed: Condvar::new(), connections: AtomicU64::new(0) }
    }

    /// Stores the items of a judged request and wakes who waits.
    pub(crate) fn record(&self, request: &Request, at: DateTime<Utc>, verdict: Verdict) {
        let mut state = self.lock();
        let state = &mut *state;
        state.requests += 1;
        for item in verdict.items {
            let received = Received {
                sequence: state.items.len() as u64 + 1,
                request: state.requests,
                at,
                path: request.path.clone(),
                query: request.query.clone(),
                headers: request.headers.clone(),
                wire_bytes: request.body.len(),
                plain_bytes: verdict.plain_bytes,
                items: verdict.count,
                status: verdict.status,
                refusal: item.refusal,
                envelope: item.envelope,
            };
            if let Some(observer) = &mut state.observer {
                observer(&received);
            }
            state.items.push(received);
        }
        self.changed.notify_all();
    }

    /// Returns the items with the key, once there are `count` of them, the time is over or the store is stopped.
    pub(crate) fn wait(&self, ikey: Option<&str>, count: usize, timeout: Duration) -> Vec<Received> {
        let wanted = |item: &&Received| ikey.is_none_or(|ikey| item.ikey().eq_ignore_ascii_case(ikey));
        let lacking = |state: &mut State| !state.stopped && state.items.iter().filter(wanted).count() < count;
        let (state, _) =
            self.changed.wait_timeout_while(self.lock(), timeout, lacking).unwrap_or_else(PoisonError::into_inner);
        state.items.iter().filter(wanted).cloned().collect()
    }

    pub(crate) fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    pub(crate) fn stopped(&self) -> bool {
        self.lock().stopped
    }

    /// Counts a connection and returns its number.
    pub(crate) fn connected(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
