//! The record of what was asked, so that tests can tell who asked for what, and that no secret went another way.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::form;
use crate::vms::lock;
use loopback::Request;

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

#[derive(Default)]
struct State {
    received: Vec<Received>,
    connections: u64,
    held: Vec<String>,
    stopped: bool,
}

#[derive(Default)]
pub(crate) struct Journal {
    state: Mutex<State>,
    changed: Condvar,
}

impl Journal {
    pub(crate) fn record(&self, request: &Request) {
        let received = Received::of(request);
        let mut state = lock(&self.state);
        if state.received.len() < MAX_RECORDED {
            state.received.push(received);
        }
        self.changed.notify_all();
    }

    /// Counts a connection, and returns its number.
    pub(crate) fn connected(&self) -> u64 {
        let mut state = lock(&self.state);
        state.connections = state.connections.saturating_add(1);
        state.connections
    }

    pub(crate) fn connections(&self) -> u64 {
        lock(&self.state).connections
    }

    pub(crate) fn stop(&self) {
        lock(&self.state).stopped = true;
        self.changed.notify_all();
    }

    pub(crate) fn stopped(&self) -> bool {
        lock(&self.state).stopped
    }

    /// Waits until the request for a path is released, or all ends.
    pub(crate) fn hold(&self, path: &str) {
        let mut state = lock(&self.state);
        state.held.push(path.to_owned());
        self.changed.notify_all();
        let is_held = |state: &mut State| !state.stopped && state.held.iter().any(|held| held == path);
        drop(self.changed.wait_while(state, is_held));
    }

    /// Releases what is held for a path (for any, if `None`), and returns how many requests these are.
    pub(crate) fn release(&self, path: Option<&str>) -> usize {
        let mut state = lock(&self.state);
        let before = state.held.len();
        state.held.retain(|held| path.is_some_and(|path| !held.eq_ignore_ascii_case(path)));
        self.changed.notify_all();
        before - state.held.len()
    }

    /// Waits until so many requests for a path are held or the time is over, and returns how many are.
    pub(crate) fn wait_held(&self, path: Option<&str>, count: usize, timeout: Duration) -> usize {
        let held = |state: &State| {
            state.held.iter().filter(|held| path.is_none_or(|path| held.eq_ignore_ascii_case(path))).count()
        };
        self.wait(timeout, |state| held(state) >= count, held)
    }

    /// Waits, and returns whether it was stopped meanwhile.
    pub(crate) fn pause(&self, time: Duration) -> bool {
        self.wait(time, |state| state.stopped, |state| state.stopped)
    }

    /// Waits until so many requests for the path (for any, if `None`) are recorded or the time is over, and returns them all.
    pub(crate) fn wait_for(&self, path: Option<&str>, count: usize, timeout: Duration) -> Vec<Received> {
        let matches = |one: &&Received| path.is_none_or(|path| one.path.eq_ignore_ascii_case(path));
        let enough = |state: &State| state.received.iter().filter(matches).count() >= count;
        self.wait(timeout, enough, |state| state.received.iter().filter(matches).cloned().collect())
    }

    fn wait<T>(&self, time: Duration, enough: impl Fn(&State) -> bool, result: impl FnOnce(&State) -> T) -> T {
        // A time too far away to be a moment is as good as a day.
        let now = Instant::now();
        let end = now.checked_add(time).unwrap_or_else(|| now + Duration::from_secs(86_400));
        let mut state = lock(&self.state);
        while !enough(&state) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        result(&state)
    }
}
