//! Sends what waits in the spool, on one background thread that lives only while something waits (D8).
//!
//! An attempt runs under `sender.lock`, so that all processes of a user send one request at a time (D4). Between
//! attempts the lock is free. When the next attempt to a destination may come is remembered on disk, for all processes
//! (D7). That an attempt begins is remembered as well: scripts that never live to see a request fail must not call every
//! time.
//!
//! Consent is asked for before a batch is read, and once more when the connection is up and its first bytes are ready
//! (C10). That second question is asked under the settings' lock, shared, which is held while the bytes go out; whoever
//! changes the settings holds it alone. So nothing goes out once the call that opted out has returned.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use flate2::{Compression, write::GzEncoder};
use serde::{Deserialize, Serialize};
use ureq::http::Uri;

use crate::config::{self, Decision, Decisions, Environment, Layer};
use crate::durable::{self, Hold, Sync};
use crate::envelope::{Destination, envelope};
use crate::error::{Error, Result};
use crate::paths::Paths;
use crate::settings;
use crate::spool::{Entry, Spool};
use crate::transport::{Https, NoAnswer, ProxyChoice, Transport, Verdict, verdict};

/// Most events in one request.
const BATCH_EVENTS: usize = 100;
/// Most bytes in one request, before compression.
const BATCH_BYTES: usize = 256 * 1024;
/// The name of the background thread.
pub const THREAD: &str = "vms-telemetry";
/// The thread's stack: a TLS handshake needs half of it where nothing is optimized.
const STACK: usize = 512 * 1024;
/// Largest `delivery.json` that is read.
const MEMORY_LIMIT: u64 = 4_096;
/// Most destinations that are remembered: a user has one, and a second while something is tried out.
const MOST_DESTINATIONS: usize = 8;

/// A request begins when no event followed for so long …
const GATHERING: Duration = Duration::from_millis(50);
/// … or after this.
const LONGEST_GATHERING: Duration = Duration::from_millis(250);
/// First pause after a failure (D4).
const FIRST_PAUSE: Duration = Duration::from_secs(10);
/// Longest pause (D4).
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
/// No pause is longer: the service may ask for a day. A later time comes from a clock that jumped.
const BELIEVABLE_PAUSE: TimeDelta = TimeDelta::hours(25);

/// What all processes of a user remember of delivery to one destination.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Memory {
    /// Attempts that failed since the last one that did not.
    pub failures: u32,
    /// Attempts that began since the last one whose end is known.
    pub begun: u32,
    /// When the next attempt may come, in seconds since 1970.
    pub next_attempt: Option<i64>,
    /// When the service last took events, in seconds since 1970.
    pub last_sent: Option<i64>,
    /// Why the last attempt failed, or what of it was refused for good, in words.
    pub last_failure: Option<String>,
}

/// What is remembered of each destination, by its mark: the content of `delivery.json`. A pause counts only for the
/// destination that it was learned from: one that was mistyped must not hold up the right one.
type Memories = BTreeMap<String, Memory>;

/// What follows an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing waits, or telemetry is off.
    Rest,
    /// The next attempt may come at this time.
    At(DateTime<Utc>),
}

/// All that an attempt needs.
pub struct Delivery {
    /// Where events wait.
    pub spool: Spool,
    /// The settings file, asked for consent before each request.
    pub settings: PathBuf,
    /// Where events go.
    pub destination: Destination,
    settings_lock: PathBuf,
    environment: Environment,
    refused: AtomicBool,
    /// The newest event of the batch under way: whoever opts out deletes it.
    in_hand: Mutex<Option<Entry>>,
}

impl Delivery {
    /// Puts together what attempts need; touches no disk.
    pub fn new(paths: &Paths, environment: Environment, destination: Destination) -> Self {
        Self {
            spool: Spool::new(paths.spool()),
            settings: paths.settings(),
            destination,
            settings_lock: paths.settings_lock(),
            environment,
            refused: AtomicBool::new(false),
            in_hand: Mutex::new(None),
        }
    }

    /// Decides anew, from the environment that the session began with and the settings file as it is now.
    pub fn decide(&self) -> Decisions {
        let mut decisions = config::decide(&self.environment, &settings::read(&self.settings));
        if decisions.telemetry.on && self.refused.load(Ordering::SeqCst) {
            let words = "a VMS forbids usage data collection; that could not be stored and holds for this session";
            decisions.telemetry = Decision { on: false, layer: Layer::VmsPolicy, words: words.to_owned() };
        }
        decisions
    }

    /// Tells whether telemetry is on at this moment.
    pub fn consents(&self) -> bool {
        self.decide().telemetry.on
    }

    /// Switches this session off, or back to what environment and settings say.
    pub fn refuse(&self, refused: bool) {
        self.refused.store(refused, Ordering::SeqCst);
    }

    /// Asks for consent for the bytes that go out while the answer is held: whoever opts out waits for that moment, and
    /// nothing goes out after his call returned. A batch that was deleted meanwhile stays behind, even where somebody
    /// opted in again.
    fn permit(&self) -> std::result::Result<File, NoAnswer> {
        let lock = durable::lock(&self.settings_lock, Hold::Shared).map_err(|_| {
            NoAnswer::Failed("the lock of the settings cannot be taken, so consent is not sure".to_owned())
        })?;
        let in_hand = self.in_hand.lock().unwrap_or_else(PoisonError::into_inner);
        let is_there = in_hand.as_ref().is_some_and(|entry| self.spool.holds(entry));
        if is_there && self.consents() { Ok(lock) } else { Err(NoAnswer::Withdrawn) }
    }

    fn memory_file(&self) -> PathBuf {
        self.spool.folder().join("delivery.json")
    }

    /// Reads what is remembered of the destination.
    pub fn memory(&self) -> Memory {
        self.memories().remove(&self.destination.mark()).unwrap_or_default()
    }

    /// Reads all that is remembered; a damaged file remembers nothing.
    fn memories(&self) -> Memories {
        let content = durable::read(&self.memory_file(), MEMORY_LIMIT).ok().flatten();
        content.and_then(|content| serde_json::from_slice(&content).ok()).unwrap_or_default()
    }

    /// Remembers this of the destination; the one that was tried longest ago makes room.
    fn remember(&self, memory: Memory) -> Result<()> {
        let mut memories = self.memories();
        memories.remove(&self.destination.mark());
        let moment = |(_, memory): &(&String, &Memory)| memory.next_attempt.max(memory.last_sent);
        if memories.len() >= MOST_DESTINATIONS
            && let Some(oldest) = memories.iter().min_by_key(moment).map(|(mark, _)| mark.clone())
        {
            memories.remove(&oldest);
        }
        memories.insert(self.destination.mark(), memory);
        let content = serde_json::to_vec(&memories).unwrap_or_default();
        durable::write(&self.memory_file(), &content, Sync::No)
    }

    /// Sends all that waits, batch after batch, until nothing does, a request fails or telemetry is off. `clock` is asked
    /// again and again: a pause begins when its request ended.
    ///
    /// # Errors
    /// [`Error::File`] where the spool cannot be worked with; nothing is sent then.
    pub fn attempt(&self, transport: &mut dyn Transport, clock: impl Fn() -> DateTime<Utc>) -> Result<Next> {
        if !self.consents() || self.spool.entries()?.is_empty() {
            return self.settle();
        }
        let _lock = self.alone()?;
        durable::remove_strays(self.spool.folder(), clock());
        loop {
            if !self.consents() {
                return self.settle();
            }
            // Waiting for the lock took time, and so did the request before this one.
            let now = clock();
            let memory = self.memory();
            if let Some(time) = pause(&memory, now) {
                return Ok(Next::At(time));
            }
            let (entries, body) = self.batch(now)?;
            if entries.is_empty() {
                return Ok(Next::Rest);
            }
            *self.in_hand.lock().unwrap_or_else(PoisonError::into_inner) = entries.last().cloned();
            match self.remember(memory.clone().begin(now)) {
                // What is sent makes room on a full disk.
                Err(Error::File { cause, .. })
                    if matches!(cause.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {}
                // What could not be removed afterwards would be sent again and again.
                outcome => outcome?,
            }
            let answer = transport.post(&gzip(&body));
            let now = clock();
            let mut verdict = match answer {
                Err(NoAnswer::Withdrawn) => {
                    // Where this fails, an attempt too many is remembered, and the spool is emptied all the same.
                    let _ = self.remember(memory);
                    continue;
                }
                Err(NoAnswer::Failed(words)) => Verdict::failed(entries.len(), words),
                Ok(answer) => verdict(&answer, entries.len(), now),
            };
            for (entry, keep) in entries.iter().zip(&mut verdict.keep).filter(|(_, keep)| !**keep) {
                if self.spool.remove(entry).is_err() {
                    *keep = true;
                    verdict.trouble = Some("what was sent cannot be removed".to_owned());
                }
            }
            self.remember(memory.after(verdict, now))?;
        }
    }

    /// Takes the lock under which requests are made, and memories are written.
    fn alone(&self) -> Result<File> {
        durable::lock(&self.spool.folder().join("sender.lock"), Hold::Alone)
    }

    /// Remembers why no request can be made, for the user to see.
    fn explain(&self, words: String) -> Result<Next> {
        if self.consents() {
            let _lock = self.alone()?;
            if self.consents() {
                self.remember(Memory { last_failure: Some(words), ..self.memory() })?;
            }
        }
        self.settle()
    }

    /// Leaves nothing to be sent where telemetry is off; touches nothing else.
    fn settle(&self) -> Result<Next> {
        if !self.consents() {
            self.spool.purge()?;
        }
        Ok(Next::Rest)
    }

    /// Reads the oldest events that fit into one request, as the lines of its body.
    fn batch(&self, now: DateTime<Utc>) -> Result<(Vec<Entry>, String)> {
        let (mut entries, mut body) = (Vec::new(), String::new());
        for entry in self.spool.entries()? {
            if entries.len() == BATCH_EVENTS {
                break;
            }
            // What can be neither read nor removed holds up nothing else.
            let Ok(Some(event)) = self.spool.read(&entry, now) else {
                continue;
            };
            let line = envelope(&event, self.destination.key, now).to_string();
            if !entries.is_empty() && body.len() + line.len() > BATCH_BYTES {
                break;
            }
            if !entries.is_empty() {
                body.push('\n');
            }
            body += &line;
            entries.push(entry);
        }
        Ok((entries, body))
    }
}

impl Memory {
    /// What the others are to know if the process does not survive the attempt: once in a row may be chance and makes
    /// nobody wait; from then on each counts as a failure.
    fn begin(mut self, now: DateTime<Utc>) -> Self {
        self.begun = self.begun.saturating_add(1);
        match self.begun {
            1 => self,
            _ => self.fail("each process that began a request ended before its answer came".to_owned(), None, now),
        }
    }

    fn fail(mut self, words: String, wait: Option<Duration>, now: DateTime<Utc>) -> Self {
        self.failures = self.failures.saturating_add(1);
        // A server that asks for no pause at all gets one as well.
        let pause = wait.filter(|wait| !wait.is_zero()).unwrap_or_else(|| backoff(self.failures, random()));
        self.next_attempt = Some(now.timestamp().saturating_add_unsigned(pause.as_secs()));
        self.last_failure = Some(words);
        self
    }

    fn after(mut self, verdict: Verdict, now: DateTime<Utc>) -> Self {
        if verdict.taken {
            self.last_sent = Some(now.timestamp());
        }
        match verdict.trouble {
            Some(words) if verdict.keep.contains(&true) => Self { begun: 0, ..self }.fail(words, verdict.wait, now),
            // What was refused for good makes nobody wait.
            words => Self { last_sent: self.last_sent, last_failure: words, ..Self::default() },
        }
    }
}

/// Gives the time before which no attempt may come, if there is one.
fn pause(memory: &Memory, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let time = DateTime::from_timestamp(memory.next_attempt?, 0)?;
    (time > now && time < now + BELIEVABLE_PAUSE).then_some(time)
}

/// Gives the pause after the `failures`th failure in a row: doubled each time, and lengthened by up to a half, so
/// that a fleet of computers does not come back in step. `random` is from 0 to 255.
fn backoff(failures: u32, random: u8) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
    let pause = doubled.min(LONGEST_PAUSE);
    pause + (pause / 2).mul_f64(f64::from(random) / 255.0)
}

fn random() -> u8 {
    uuid::Uuid::new_v4().into_bytes()[0]
}

fn gzip(body: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // Writing into memory cannot fail.
    let _ = encoder.write_all(body.as_bytes());
    encoder.finish().unwrap_or_default()
}

/// The background thread's owner.
pub struct Sender {
    delivery: Arc<Delivery>,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

struct State {
    /// Where events go: the destination, or where the service pointed to in this session.
    track: Uri,
    proxy: ProxyChoice,
    running: bool,
    kicked: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no event followed for a moment, so that those of a burst share a request and a process that is about
    /// to die does not begin one; gives where to send and through which proxy.
    fn gather(&self) -> (Uri, ProxyChoice) {
        let stop = Instant::now() + LONGEST_GATHERING;
        let mut state = self.state();
        while std::mem::take(&mut state.kicked) && Instant::now() < stop {
            state = self.wake.wait_timeout(state, GATHERING).unwrap_or_else(PoisonError::into_inner).0;
        }
        (state.track.clone(), state.proxy.clone())
    }
}

impl Sender {
    /// Prepares a sender; no thread starts before [`Sender::kick`].
    pub fn new(delivery: Delivery, proxy: ProxyChoice) -> Self {
        let track = delivery.destination.track.clone();
        let state = Mutex::new(State { track, proxy, running: false, kicked: false });
        Self { delivery: Arc::new(delivery), shared: Arc::new(Shared { state, wake: Condvar::new() }) }
    }

    /// Gives what attempts work with.
    pub fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    /// Tells the thread that something changed; starts it where none runs. Returns at once.
    pub fn kick(&self) {
        let mut state = self.shared.state();
        state.kicked = true;
        if state.running {
            self.shared.wake.notify_all();
        } else if state.proxy != ProxyChoice::Awaited {
            let (delivery, shared) = (self.delivery.clone(), self.shared.clone());
            let thread = std::thread::Builder::new().name(THREAD.to_owned()).stack_size(STACK);
            // Without a thread the events stay on disk; the next kick tries again.
            state.running = thread.spawn(move || run(&delivery, &shared)).is_ok();
        }
    }

    /// Deletes what waits, where telemetry is off. The thread, where one runs, then finds nothing to wait for, and ends.
    ///
    /// # Errors
    /// As for [`Spool::purge`].
    pub fn purge(&self) -> Result<()> {
        let outcome = self.delivery.spool.purge();
        let mut state = self.shared.state();
        state.kicked |= state.running;
        self.shared.wake.notify_all();
        outcome
    }

    /// Tells whether the thread runs at this moment.
    pub fn is_running(&self) -> bool {
        self.shared.state().running
    }

    /// Takes the proxy that the host names, and sends what waited for it. With nothing to send, or telemetry off, no
    /// thread starts.
    pub fn set_proxy(&self, proxy: ProxyChoice) {
        self.shared.state().proxy = proxy;
        let waits = self.delivery.spool.entries().is_ok_and(|entries| !entries.is_empty());
        if waits && self.delivery.consents() {
            self.kick();
        }
    }
}

/// The thread: attempt, wait, attempt, until nothing waits.
fn run(delivery: &Arc<Delivery>, shared: &Shared) {
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        loop {
            let (mut track, proxy) = shared.gather();
            let next = attempt(delivery, &mut track, &proxy);
            shared.state().track = track;
            match next {
                Next::Rest => {
                    let mut state = shared.state();
                    if !state.kicked {
                        state.running = false;
                        return;
                    }
                }
                Next::At(time) => {
                    let pause = (time - Utc::now()).to_std().unwrap_or_default();
                    let state = shared.state();
                    if !state.kicked {
                        drop(shared.wake.wait_timeout(state, pause));
                    }
                }
            }
        }
    }));
    // A panic must not leave `running` behind: later events would never go out. Else it was said under the lock already,
    // and the next thread may run by now.
    if outcome.is_err() {
        shared.state().running = false;
    }
}

/// One attempt on the real network. What fails before the network is tried again at the next kick.
fn attempt(delivery: &Arc<Delivery>, track: &mut Uri, proxy: &ProxyChoice) -> Next {
    let gate = delivery.clone();
    let permit = Arc::new(move || gate.permit());
    let outcome = match Https::new(track.clone(), proxy, &delivery.environment, permit) {
        Ok(mut transport) => {
            let outcome = delivery.attempt(&mut transport, Utc::now);
            track.clone_from(transport.track());
            outcome
        }
        Err(words) => delivery.explain(words),
    };
    outcome.unwrap_or(Next::Rest)
}
