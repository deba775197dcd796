//! What a stand-in remembers, the requests that it holds, and the waiting for both.
//!
//! A wait ends by an event (something arrived, was held or released, or the server stopped), never by polling.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What a stand-in remembers (a `T`), together with its connections and the requests that it holds.
pub struct Journal<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    entries: T,
    connections: u64,
    /// Place in the order of holding, and the key of the request.
    held: Vec<(u64, String)>,
    holds: u64,
    stopped: bool,
}

impl<T> State<T> {
    fn held(&self, key: Option<&str>) -> usize {
        self.held.iter().filter(|(_, known)| is(key, known)).count()
    }
}

/// Tells whether the key is the wanted one, compared without case; `None` wants any.
fn is(wanted: Option<&str>, key: &str) -> bool {
    wanted.is_none_or(|wanted| wanted.eq_ignore_ascii_case(key))
}

impl<T> Journal<T> {
    /// Begins with these entries.
    pub fn new(entries: T) -> Self {
        let state = State { entries, connections: 0, held: Vec::new(), holds: 0, stopped: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Changes or reads the entries, and wakes those who wait.
    pub fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let result = change(&mut lock(&self.state).entries);
        self.changed.notify_all();
        result
    }

    /// Waits until the entries are ready, the time is over or the server stops, and returns what is then read from them.
    pub fn wait<R>(&self, timeout: Duration, ready: impl Fn(&T) -> bool, read: impl FnOnce(&T) -> R) -> R {
        read(&self.wait_until(timeout, |state| ready(&state.entries)).entries)
    }

    /// Holds a request under a key (a path, an instrumentation key) until it is released or the server stops.
    pub fn hold(&self, key: &str) {
        let mut state = lock(&self.state);
        state.holds = state.holds.saturating_add(1);
        let number = state.holds;
        state.held.push((number, key.to_owned()));
        self.changed.notify_all();
        let held = |state: &mut State<T>| !state.stopped && state.held.iter().any(|(known, _)| *known == number);
        drop(self.changed.wait_while(state, held));
    }

    /// Releases the requests that are held under the key (under any, if `None`), and returns their number.
    pub fn release(&self, key: Option<&str>) -> usize {
        let mut state = lock(&self.state);
        let released = state.held(key);
        state.held.retain(|(_, known)| !is(key, known));
        self.changed.notify_all();
        released
    }

    /// Waits until at least `count` requests are held under the key or the time is over, and returns how many are. A request
    /// whose client has given up stays held.
    pub fn wait_held(&self, key: Option<&str>, count: usize, timeout: Duration) -> usize {
        self.wait_until(timeout, |state| state.held(key) >= count).held(key)
    }

    /// Waits for so long and tells whether to go on, which ends with the server.
    pub fn pause(&self, time: Duration) -> bool {
        !self.wait_until(time, |_| false).stopped
    }

    fn wait_until(&self, timeout: Duration, ready: impl Fn(&State<T>) -> bool) -> MutexGuard<'_, State<T>> {
        let lacking = |state: &mut State<T>| !state.stopped && !ready(state);
        self.changed.wait_timeout_while(lock(&self.state), timeout, lacking).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Counts a connection and returns its number.
    pub(crate) fn connected(&self) -> u64 {
        let mut state = lock(&self.state);
        state.connections = state.connections.saturating_add(1);
        state.connections
    }

    /// Returns how many TCP connections were ever accepted: 0 proves that no client called.
    pub fn connections(&self) -> u64 {
        lock(&self.state).connections
    }

    pub(crate) fn stop(&self) {
        lock(&self.state).stopped = true;
        self.changed.notify_all();
    }

    pub(crate) fn stopped(&self) -> bool {
        lock(&self.state).stopped
    }
}

/// Locks, even if a thread panicked while it held the lock.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
