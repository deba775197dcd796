//! What arrived, in order, and what is to be done with what arrives next.
//!
//! Items of one request are stored together and their sequence has no gaps.

use std::time::Duration;

use chrono::{DateTime, Utc};
use loopback::{Journal, Request};

use crate::received::Received;
use crate::reply::Reply;
use crate::script::{Plan, Script};
use crate::verdict::Verdict;

/// Called with each item, under the store's lock.
pub(crate) type Observer = Box<dyn FnMut(&Received) + Send>;

pub(crate) struct Store(pub(crate) Journal<Entries>);

#[derive(Default)]
pub(crate) struct Entries {
    items: Vec<Received>,
    /// The key of each request; a request's number is its place, from 1.
    requests: Vec<String>,
    plan: Plan,
    observer: Option<Observer>,
}

impl Entries {
    fn requests(&self, ikey: Option<&str>) -> usize {
        self.requests.iter().filter(|known| is(ikey, known)).count()
    }
}

/// Tells whether the key is the wanted one; `None` wants any.
fn is(wanted: Option<&str>, ikey: &str) -> bool {
    wanted.is_none_or(|wanted| wanted.eq_ignore_ascii_case(ikey))
}

impl Store {
    pub(crate) fn new(observer: Option<Observer>, script: Script) -> Self {
        let store = Self(Journal::new(Entries { observer, ..Entries::default() }));
        store.plan(None, script);
        store
    }

    /// Appends a script to what is planned for the key, or for all; an empty one clears that.
    pub(crate) fn plan(&self, ikey: Option<&str>, script: Script) {
        self.0.change(|entries| entries.plan.add(&ikey.unwrap_or_default().to_ascii_lowercase(), script));
    }

    /// Clears all that is planned, for all keys.
    pub(crate) fn clear_plan(&self) {
        self.0.change(|entries| entries.plan.clear());
    }

    /// Counts a request, and returns its number and what is to be done with it.
    pub(crate) fn arrived(&self, ikey: &str) -> (u64, Reply) {
        self.0.change(|entries| {
            entries.requests.push(ikey.to_owned());
            (entries.requests.len() as u64, entries.plan.next(&ikey.to_ascii_lowercase()))
        })
    }

    /// Stores the items of a judged request and wakes those who wait.
    pub(crate) fn record(&self, number: u64, request: &Request, at: DateTime<Utc>, mut verdict: Verdict) {
        self.0.change(|entries| {
            for (index, envelope) in std::mem::take(&mut verdict.items).into_iter().enumerate() {
                let received = Received {
                    sequence: entries.items.len() as u64 + 1,
                    request: number,
                    began: request.began,
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
                if let Some(observer) = &mut entries.observer {
                    observer(&received);
                }
                entries.items.push(received);
            }
        });
    }

    /// Returns the items with the key, or those of them that were accepted, once there are `count` or the time is over.
    pub(crate) fn wait(&self, ikey: Option<&str>, accepted: bool, count: usize, timeout: Duration) -> Vec<Received> {
        let wanted = |item: &&Received| is(ikey, item.ikey()) && (item.accepted() || !accepted);
        let ready = |entries: &Entries| entries.items.iter().filter(wanted).count() >= count;
        self.0.wait(timeout, ready, |entries| entries.items.iter().filter(wanted).cloned().collect())
    }

    /// Returns the number of requests with the key, under the same conditions.
    pub(crate) fn wait_requests(&self, ikey: Option<&str>, count: usize, timeout: Duration) -> usize {
        self.0.wait(timeout, |entries| entries.requests(ikey) >= count, |entries| entries.requests(ikey))
    }
}
