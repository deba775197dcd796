//! What arrived, in order, what is to be done with what arrives next, and the waiting for it.
//!
//! - Items of one request are stored together and their sequence has no gaps.
//! - A wait ends by an event (a request, an item, the stop), never by polling.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::received::Received;
use crate::reply::Reply;
use crate::script::{Plan, Script};
use crate::verdict::Verdict;
use loopback::Request;

/// Called with each item, under the store's lock.
pub(crate) type Observer = Box<dyn FnMut(&Received) + Send>;

pub(crate) struct Store {
    state: Mutex<State>,
    changed: Condvar,
    connections: AtomicU64,
}

#[derive(Default)]
struct State {
    items: Vec<Received>,
    /// The key of each request, in lower case; a request's number is its place, from 1.
    requests: Vec<String>,
    /// Numbers of the requests that wait to be released.
    held: Vec<u64>,
    plan: Plan,
    observer: Option<Observer>,
    stopped: bool,
}

impl State {
    fn requests(&self, ikey: Option<&str>) -> usize {
        self.requests.iter().filter(|known| is(ikey, known)).count()
    }

    fn held(&self, ikey: Option<&str>) -> usize {
        self.held.iter().filter(|number| self.is_of(**number, ikey)).count()
    }

    fn is_of(&self, number: u64, ikey: Option<&str>) -> bool {
        let place = usize::try_from(number).unwrap_or_default().wrapping_sub(1);
        self.requests.get(place).is_some_and(|known| is(ikey, known))
    }
}

/// Tells whether the key is the wanted one; `None` wants any.
fn is(wanted: Option<&str>, ikey: &str) -> bool {
    wanted.is_none_or(|wanted| wanted.eq_ignore_ascii_case(ikey))
}

impl Store {
    pub(crate) fn new(observer: Option<Observer>, script: Script) -> Self {
        let store = Self {
            state: Mutex::new(State { observer, ..State::default() }),
            changed: Condvar::new(),
            connections: AtomicU64::new(0),
        };
        store.plan(None, script);
        store
    }

    /// Appends a script to what is planned for the key, or for all; an empty one clears that.
    pub(crate) fn plan(&self, ikey: Option<&str>, script: Script) {
        self.lock().plan.add(&ikey.unwrap_or_default().to_ascii_lowercase(), script);
    }

    /// Clears all that is planned, for all keys.
    pub(crate) fn clear_plan(&self) {
        self.lock().plan.clear();
    }

    /// Counts a request, and returns its number and what is to be done with it.
    pub(crate) fn arrived(&self, ikey: &str) -> (u64, Reply) {
        let ikey = ikey.to_ascii_lowercase();
        let mut state = self.lock();
        let reply = state.plan.next(&ikey);
        state.requests.push(ikey);
        self.changed.notify_all();
        (state.requests.len() as u64, reply)
    }

    /// Holds the request until it is released or the store is stopped.
    pub(crate) fn hold(&self, number: u64) {
        let mut state = self.lock();
        state.held.push(number);
        self.changed.notify_all();
        let held = |state: &mut State| !state.stopped && state.held.contains(&number);
        drop(self.changed.wait_while(state, held));
    }

    /// Releases the requests with the key that are held, and returns their number.
    pub(crate) fn release(&self, ikey: Option<&str>) -> usize {
        let mut state = self.lock();
        let (released, kept) =
            std::mem::take(&mut state.held).into_iter().partition(|number| state.is_of(*number, ikey));
        let released: Vec<u64> = released;
        state.held = kept;
        self.changed.notify_all();
        released.len()
    }

    /// Stores the items of a judged request and wakes who waits.
    pub(crate) fn record(&self, number: u64, request: &Request, at: DateTime<Utc>, mut verdict: Verdict) {
        let mut state = self.lock();
        let state = &mut *state;
        for (index, envelope) in std::mem::take(&mut verdict.items).into_iter().enumerate() {
            let received = Received {
                sequence: state.items.len() as u64 + 1,
                request: number,
                at,
                path: request.path.clone(),
                query: request.query.clone(),
                headers: request.headers.clone(),
                wire_bytes: request.body.len(),
                plain_bytes: verdict.plain_bytes,
                items: verdict.count,
                status: verdict.status,
                refusal: verdict.refusal(index).map(str::to_owned),
                envelope,
            };
            if let Some(observer) = &mut state.observer {
                observer(&received);
            }
            state.items.push(received);
        }
        self.changed.notify_all();
    }

    /// Returns the items with the key, or those of them that were accepted, once there are `count`, the time is over or the
    /// store is stopped.
    pub(crate) fn wait(&self, ikey: Option<&str>, accepted: bool, count: usize, timeout: Duration) -> Vec<Received> {
        let wanted = |item: &&Received| is(ikey, item.ikey()) && (item.accepted() || !accepted);
        let state = self.wait_until(timeout, |state| state.items.iter().filter(wanted).count() >= count);
        state.items.iter().filter(wanted).cloned().collect()
    }

    /// Returns the number of requests with the key, under the same conditions.
    pub(crate) fn wait_requests(&self, ikey: Option<&str>, count: usize, timeout: Duration) -> usize {
        self.wait_until(timeout, |state| state.requests(ikey) >= count).requests(ikey)
    }

    /// Returns the number of held requests with the key, under the same conditions.
    pub(crate) fn wait_held(&self, ikey: Option<&str>, count: usize, timeout: Duration) -> usize {
        self.wait_until(timeout, |state| state.held(ikey) >= count).held(ikey)
    }

    /// Waits for so long and tells whether to go on, which ends with the store.
    pub(crate) fn pause(&self, time: Duration) -> bool {
        !self.wait_until(time, |_| false).stopped
    }

    fn wait_until(&self, timeout: Duration, ready: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let lacking = |state: &mut State| !state.stopped && !ready(state);
        self.changed.wait_timeout_while(self.lock(), timeout, lacking).unwrap_or_else(PoisonError::into_inner).0
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
