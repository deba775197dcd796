//! What is sent and when: the attempts to deliver the pending events of one destination (D4 and D7).
//!
//! An attempt runs under the destination's `sender.lock`, so that all processes of a user send one request at a time (D4). A
//! process that finds it taken comes back later: the one that has it sends for all. When the next attempt may come is stored in
//! `retry.json`, for all processes (D7). That an attempt begins is stored as well: scripts that never live to see a request fail
//! must not call every time.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::consent::{Consent, Verdict};
use crate::destination::Destination;
use crate::envelope::envelope;
use crate::error::{Error, Result};
use crate::files::{self, LockMode};
use crate::gate::NoConsent;
use crate::paths::Paths;
use crate::receipts::{self, Receipts};
use crate::response::{BatchOutcome, Outcome, Response, judge};
use crate::spool::{self, Entry, Spool};
use crate::transport::{NoResponse, PostEvents};

/// Most events in one request: a choice. A user rarely has more.
const BATCH_EVENTS: usize = 100;
/// Most bytes in one request, before compression: a choice, far below what the service accepts.
const BATCH_BYTES: usize = 256 * 1024;
/// In bytes. One has about 200.
const RETRY_STATE_LIMIT: u64 = 4_096;
/// First back-off after a failure (D4).
const MIN_BACKOFF: Duration = Duration::from_secs(10);
/// Longest back-off (D4), without its random part: an endpoint that does not answer costs at most one request per hour, for all
/// processes of a user together.
const MAX_BACKOFF: Duration = Duration::from_secs(3600);
/// No back-off is longer: the service may ask for a day. A later time comes from a clock that jumped.
const MAX_PLAUSIBLE_BACKOFF: TimeDelta = TimeDelta::hours(25);
/// Until the next check, if another process sends.
const BUSY_WAIT: TimeDelta = TimeDelta::seconds(1);
/// Until the next check, if consent is unsure or the configuration is being changed.
const UNSURE_WAIT: TimeDelta = TimeDelta::seconds(10);

/// What the processes of a user share about the delivery to a destination.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RetryState {
    /// Attempts that failed since the last one that did not.
    pub failures: u32,
    /// Attempts that began since the last one whose end is known.
    pub begun: u32,
    /// When the next attempt may come, in seconds since 1970.
    pub next_attempt: Option<i64>,
    /// When the service last accepted events, in seconds since 1970.
    pub last_sent: Option<i64>,
    /// Why the last attempt failed, or what was refused for good. Contains no host name: it is shown to users and stored.
    pub last_failure: Option<String>,
}

/// What to do after an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing: no event is pending, or telemetry is off.
    Idle,
    /// Try again at this time.
    RetryAt(DateTime<Utc>),
}

/// The delivery to one destination.
pub struct Delivery {
    pub spool: Spool,
    pub destination: Destination,
    pub consent: Arc<Consent>,
    pub receipts: Receipts,
    /// The folder of all destinations.
    all: PathBuf,
}

impl Delivery {
    /// Touches no disk.
    pub fn new(paths: &Paths, consent: Arc<Consent>, destination: Destination) -> Self {
        let all = paths.spool();
        let (spool, receipts) = (Spool::new(all.join(destination.fingerprint())), Receipts::new(paths.sent()));
        Self { spool, destination, consent, receipts, all }
    }

    fn retry_file(&self) -> PathBuf {
        self.spool.folder().join(spool::RETRY_STATE)
    }

    /// Reads the retry state. A damaged file counts as none.
    pub fn retry_state(&self) -> RetryState {
        let content = files::read(&self.retry_file(), RETRY_STATE_LIMIT).ok().flatten();
        content.and_then(|content| serde_json::from_slice(&content).ok()).unwrap_or_default()
    }

    fn save(&self, state: &RetryState) -> Result<()> {
        files::write(&self.retry_file(), &serde_json::to_vec(state).unwrap_or_default())
    }

    /// Deletes the pending events of all destinations, and then the receipts.
    pub fn purge(&self) -> Result<()> {
        spool::purge(&self.all).and(self.receipts.clear())
    }

    /// Sends all pending events, batch after batch, until none is left, a request fails or telemetry is off. `clock` is read anew
    /// for each step: a back-off begins when its request ended.
    ///
    /// # Errors
    /// [`Error::File`] if the spool cannot be used. Nothing is sent then.
    pub fn attempt(&self, transport: &mut dyn PostEvents, clock: impl Fn() -> DateTime<Utc>) -> Result<Next> {
        if let Some(next) = self.stop(clock())? {
            return Ok(next);
        }
        if self.spool.entries()?.is_empty() {
            return Ok(Next::Idle);
        }
        let Some(_lock) = self.try_lock()? else {
            return Ok(Next::RetryAt(clock() + BUSY_WAIT));
        };
        spool::sweep(&self.all, clock());
        // The most events of the next request, and how many the service has accepted in one.
        let (mut limit, mut fitted) = (BATCH_EVENTS, 1);
        loop {
            // The request before this one took time.
            let now = clock();
            if let Some(next) = self.stop(now)? {
                return Ok(next);
            }
            let state = self.retry_state();
            if let Some(time) = backed_off_until(&state, now) {
                return Ok(Next::RetryAt(time));
            }
            let (batch, body) = self.batch(limit, now)?;
            if batch.is_empty() {
                return Ok(Next::Idle);
            }
            self.consent.set_in_flight(batch.iter().map(|entry| self.spool.path(entry)).collect());
            match self.save(&state.clone().begin(now)) {
                // Sending makes room on a full disk.
                Err(error) if error.is_full_disk() => {}
                // On a read-only one, events could not be deleted afterwards and would be sent again each time.
                outcome => outcome?,
            }
            let response = transport.post(body.as_bytes());
            let now = clock();
            let mut lost = None;
            let judged = match response {
                Err(NoResponse::NoConsent(closed)) => {
                    // Nothing was sent, so the attempt does not count. If that cannot be stored, it costs a back-off.
                    let _ = self.save(&state);
                    match closed {
                        NoConsent::Withdrawn => continue,
                        NoConsent::Postponed(_) => return Ok(Next::RetryAt(now + UNSURE_WAIT)),
                    }
                }
                Err(NoResponse::Failed(reason)) => BatchOutcome::failed(batch.len(), reason),
                Ok(response) => {
                    let judged = judge(&response, batch.len(), now);
                    let receipt = self.receipt(&response, &judged.outcomes, &body, now);
                    lost = self.keep(&receipt, &batch, now).is_err().then_some(receipt);
                    judged
                }
            };
            if is_too_large(&judged) {
                // Nothing was accepted: try half of it.
                limit = batch.len() / 2;
                self.save(&RetryState { begun: 0, ..state })?;
                continue;
            }
            if batch.len() == 1 && judged.has(Outcome::TooLarge) {
                // A single event that is too large is refused. The others may fit together.
                limit = fitted;
            } else if judged.has(Outcome::Accepted) {
                fitted = fitted.max(batch.len());
            }
            let judged = self.clean_up(&batch, judged);
            if let Some(receipt) = lost {
                // What was deleted has made room on a full disk. Without a receipt the delivery is the same.
                let _ = self.receipts.keep(&receipt, now);
            }
            self.save(&state.after(judged, now))?;
        }
    }

    /// Returns what to do if nothing may be sent now. Deletes events that an opt-out left behind.
    fn stop(&self, now: DateTime<Utc>) -> Result<Option<Next>> {
        let decision = self.consent.decide().telemetry;
        match decision.verdict {
            Verdict::On if self.consent.is_held() => Ok(Some(Next::RetryAt(now + UNSURE_WAIT))),
            Verdict::On => Ok(None),
            Verdict::Unsure => Ok(Some(Next::RetryAt(now + UNSURE_WAIT))),
            Verdict::Off if decision.purges => self.purge().map(|()| Some(Next::Idle)),
            Verdict::Off => Ok(Some(Next::Idle)),
        }
    }

    fn try_lock(&self) -> Result<Option<std::fs::File>> {
        match files::lock(&self.spool.folder().join("sender.lock"), LockMode::Exclusive, Instant::now()) {
            Err(Error::File { cause, .. }) if cause.kind() == ErrorKind::WouldBlock => Ok(None),
            other => other.map(Some),
        }
    }

    /// Stores why no request can be made, so that the user can see it.
    pub fn save_error(&self, reason: String) -> Result<Next> {
        if self.stop(Utc::now())?.is_none()
            && let Some(_lock) = self.try_lock()?
        {
            self.save(&RetryState { last_failure: Some(reason), ..self.retry_state() })?;
        }
        Ok(Next::Idle)
    }

    /// Reads the oldest events that fit into one request, and the lines of its body.
    fn batch(&self, limit: usize, now: DateTime<Utc>) -> Result<(Vec<Entry>, String)> {
        let (mut batch, mut body) = (Vec::new(), String::new());
        for entry in self.spool.entries()? {
            if batch.len() == limit {
                break;
            }
            // Skip an event that cannot be read or deleted, so that it does not block the others.
            let Ok(Some(event)) = self.spool.read(&entry, now) else {
                continue;
            };
            let line = envelope(&event, self.destination.key, now).to_string();
            if !batch.is_empty() {
                if body.len() + line.len() > BATCH_BYTES {
                    break;
                }
                body.push('\n');
            }
            body += &line;
            batch.push(entry);
        }
        Ok((batch, body))
    }

    fn receipt(&self, response: &Response, outcomes: &[Outcome], body: &str, now: DateTime<Utc>) -> String {
        let to = if response.from.is_empty() { self.destination.endpoint.as_str() } else { &response.from };
        receipts::text(to, response.status, outcomes, body, now)
    }

    /// Keeps a receipt, unless the events were deleted meanwhile: the user opted out, or wants to be forgotten.
    fn keep(&self, receipt: &str, batch: &[Entry], now: DateTime<Utc>) -> Result<()> {
        let is_any_left = || batch.iter().any(|entry| self.spool.path(entry).exists());
        if !is_any_left() {
            return Ok(());
        }
        let kept = self.receipts.keep(receipt, now)?;
        if is_any_left() { Ok(()) } else { self.receipts.remove(&kept) }
    }

    /// Deletes what was accepted or refused for good. What cannot be deleted causes a back-off: it would be sent again.
    fn clean_up(&self, batch: &[Entry], mut judged: BatchOutcome) -> BatchOutcome {
        for (entry, outcome) in
            batch.iter().zip(&mut judged.outcomes).filter(|(_, outcome)| **outcome != Outcome::Retry)
        {
            if self.spool.remove(entry).is_err() {
                *outcome = Outcome::Retry;
                judged.error = Some("events that were sent cannot be deleted".to_owned());
            }
        }
        judged
    }
}

/// Returns whether a request was too large for the service, and a smaller one can be tried.
fn is_too_large(judged: &BatchOutcome) -> bool {
    judged.outcomes.len() > 1 && judged.outcomes.iter().all(|outcome| *outcome == Outcome::TooLarge)
}

impl RetryState {
    /// The state that remains if the process ends during the attempt. The first such end may be chance and delays nothing. From
    /// the second in a row on, each counts as a failure.
    fn begin(mut self, now: DateTime<Utc>) -> Self {
        self.begun = self.begun.saturating_add(1);
        match self.begun {
            1 => self,
            _ => self.fail("the last processes ended before their requests completed".to_owned(), None, now),
        }
    }

    /// The state after an attempt that failed. `wait`: what the service asked for.
    pub fn fail(mut self, reason: String, wait: Option<Duration>, now: DateTime<Utc>) -> Self {
        self.failures = self.failures.saturating_add(1);
        // Whatever the service asks for, it does not get more requests than after a first failure.
        let wait = wait.map_or_else(|| backoff(self.failures, fastrand::f64()), |wait| wait.max(MIN_BACKOFF));
        self.next_attempt = Some(now.timestamp().saturating_add_unsigned(wait.as_secs()));
        self.last_failure = Some(reason);
        self
    }

    fn after(mut self, judged: BatchOutcome, now: DateTime<Utc>) -> Self {
        if judged.has(Outcome::Accepted) {
            self.last_sent = Some(now.timestamp());
        }
        match judged.error {
            Some(reason) if judged.outcomes.contains(&Outcome::Retry) => {
                Self { begun: 0, ..self }.fail(reason, judged.retry_after, now)
            }
            // Events that were refused for good do not delay others.
            reason => Self { last_sent: self.last_sent, last_failure: reason, ..Self::default() },
        }
    }
}

/// Returns the time before which no attempt may come, if there is one.
pub fn backed_off_until(state: &RetryState, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let time = DateTime::from_timestamp(state.next_attempt?, 0)?;
    (time > now && time < now + MAX_PLAUSIBLE_BACKOFF).then_some(time)
}

/// Returns the back-off after the `failures`th failure in a row: doubled each time, and lengthened by up to a half, so that a
/// fleet of computers does not come back in step. `random` is from 0 to 1.
fn backoff(failures: u32, random: f64) -> Duration {
    let doubled = MIN_BACKOFF.saturating_mul(1u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
    let backoff = doubled.min(MAX_BACKOFF);
    backoff + (backoff / 2).mul_f64(random)
}
