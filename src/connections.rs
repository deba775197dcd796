//! The open connections of a session: those that the host made, and those that the library makes with its client of a VMS
//! ([`crate::vms`]), whose devices it counts in the background.
//!
//! A call that finds a VMS or logs on blocks the host program's thread and can be cancelled from another one. So a thread of its
//! own does the work. A cancelled call returns at once and leaves that thread behind, which ends as soon as the network lets it.
//! The number of these threads is bounded.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::consent::Verdict;
use crate::error::{Error, Result};
use crate::event::UserType;
use crate::session::{ConnectionFacts, Outcome, Session, UsageDataPolicy};
use crate::tls::STACK;
use crate::vms::{self, Cancel, Client, Counts, Credential, Facts, Failure, Found, Logon, UsageData};

/// A choice: far beyond any real host program, and a bound for one that never closes a connection.
const CONNECTION_LIMIT: usize = 1_024;
/// A choice: threads that work for connections at once, those of cancelled calls included.
const THREAD_LIMIT: usize = 64;
/// Longest wait for the counts of a connection that is closed (D10).
const COUNTING_TIMEOUT: Duration = Duration::from_secs(1);
pub const THREAD: &str = "vms-connection";

pub(crate) struct Open {
    pub(crate) since: Instant,
    /// The actual id of the site. `None`: nothing of this connection is sent.
    pub(crate) site: Option<uuid::Uuid>,
    /// Cancels the call that is in progress.
    end: Option<Box<dyn FnOnce() + Send>>,
    vms: Option<Arc<Vms>>,
}

/// A connection that the library made itself.
struct Vms {
    client: Client,
    cancel: Cancel,
    user_type: UserType,
    progress: Mutex<Progress>,
    changed: Condvar,
    items: AtomicU32,
    is_closed: AtomicBool,
}

/// What is known of the VMS so far.
#[derive(Clone, Default)]
struct Progress {
    is_over: bool,
    usage_data: Option<UsageData>,
    counts: Counts,
    /// Whether `NewVmsSession` was recorded. `None`: not decided yet.
    reported: Option<bool>,
    /// Whether the opt-out of the VMS was obeyed. Only once for a connection: the user may opt in afterwards (C6).
    is_obeyed: bool,
}

/// The state of a connection that the library made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionStatus {
    /// Whether the VMS is being read in the background.
    pub is_counting: bool,
    pub policy: UsageDataPolicy,
    /// Whether `NewVmsSession` was recorded. `None`: not decided yet.
    pub reported: Option<bool>,
    /// Items counted so far.
    pub items: u32,
}

impl Vms {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connection(&self, progress: &Progress) -> ConnectionFacts {
        let Facts { origin, site, product, .. } = &self.client.facts;
        ConnectionFacts {
            site: site.id,
            user_type: self.user_type,
            // Every logon gets its token from the VMS's identity provider, which is an OAuth server.
            is_oauth: Some(true),
            is_encrypted: Some(origin.is_encrypted()),
            product_version: site.version.clone(),
            product_name: product.clone(),
            policy: policy(progress.usage_data.as_ref()),
            counts: progress.counts,
        }
    }
}

static THREADS: AtomicUsize = AtomicUsize::new(0);

fn spawn(work: impl FnOnce() + Send + 'static) -> Result<()> {
    let refuse = |why: &str| Error::Resources(format!("no thread can be started for the connection: {why}"));
    if THREADS.fetch_add(1, Ordering::SeqCst) >= THREAD_LIMIT {
        THREADS.fetch_sub(1, Ordering::SeqCst);
        return Err(refuse("too many are waiting for servers that do not answer"));
    }
    let counted = move || {
        // A panic must not leave the count behind. The caller notices it by its closed channel.
        let _ = catch_unwind(AssertUnwindSafe(work));
        THREADS.fetch_sub(1, Ordering::SeqCst);
    };
    let thread = thread::Builder::new().name(THREAD.to_owned()).stack_size(STACK).spawn(counted);
    thread.map(drop).map_err(|error| {
        THREADS.fetch_sub(1, Ordering::SeqCst);
        refuse(&error.to_string())
    })
}

impl Session {
    /// Opens a connection of which nothing is known yet, and returns its number.
    pub fn reserve(&self) -> Result<u64> {
        let mut state = self.state();
        if state.connections.len() >= CONNECTION_LIMIT {
            return Err(Error::TooManyConnections);
        }
        state.last_connection += 1;
        let number = state.last_connection;
        state.connections.insert(number, Open { since: Instant::now(), site: None, end: None, vms: None });
        Ok(number)
    }

    /// Runs a call that blocks. [`Session::close`] cancels it from another thread.
    fn block<T: Send + 'static>(
        &self,
        number: u64,
        cancel: Cancel,
        work: impl FnOnce(&Cancel) -> std::result::Result<T, Failure> + Send + 'static,
    ) -> Result<T> {
        let (sender, receiver) = mpsc::channel();
        let end = {
            let (cancel, sender) = (cancel.clone(), sender.clone());
            move || {
                cancel.cancel();
                // Fails if the work is over already.
                let _ = sender.send(Err(Error::Cancelled));
            }
        };
        self.with(number, |open| open.end = Some(Box::new(end)))?;
        let started = spawn(move || drop(sender.send(work(&cancel).map_err(Error::Vms))));
        let outcome = started.and_then(|()| {
            receiver.recv().unwrap_or_else(|_| Err(Error::Unusable("a defect of the telemetry library".to_owned())))
        });
        self.with(number, |open| open.end = None).map_err(|_| Error::Cancelled).and(outcome)
    }

    fn with<T>(&self, number: u64, work: impl FnOnce(&mut Open) -> T) -> Result<T> {
        self.state().connections.get_mut(&number).map(work).ok_or(Error::NoSuchConnection)
    }

    /// Finds a VMS, so that the host program can log on a Windows user.
    pub fn find_vms(&self, number: u64, logon: Logon) -> Result<Found> {
        self.block(number, Cancel::default(), move |cancel| vms::find(&logon, cancel))
    }

    /// Logs on to a VMS. Its `NewVmsSession` is recorded when its devices are counted, or when [`Session::settle`] stops waiting
    /// for that. With telemetry off the VMS is not asked for anything more.
    pub fn connect_vms(
        self: &Arc<Self>,
        number: u64,
        logon: Logon,
        credential: Credential,
        user_type: UserType,
    ) -> Result<Facts> {
        let cancel = Cancel::default();
        let client = self.block(number, cancel.clone(), move |cancel| vms::connect(&logon, credential, cancel))?;
        let facts = client.facts.clone();
        let vms = Arc::new(Vms {
            client,
            cancel,
            user_type,
            progress: Mutex::default(),
            changed: Condvar::new(),
            items: AtomicU32::new(0),
            is_closed: AtomicBool::new(false),
        });
        self.with(number, |open| {
            (open.since, open.vms) = (Instant::now(), Some(vms.clone()));
        })?;
        let is_counted = self.verdict() != Verdict::Off && {
            let (session, vms) = (self.clone(), vms.clone());
            spawn(move || session.count(number, &vms)).is_ok()
        };
        if !is_counted {
            self.end_counting(number, &vms);
        }
        Ok(facts)
    }

    /// The background work of a connection: reads the usage data option, counts, and reports.
    fn count(&self, number: u64, vms: &Vms) {
        let usage_data = vms.client.usage_data();
        vms.progress().usage_data = Some(usage_data.clone());
        if matches!(usage_data, UsageData::On | UsageData::NotOffered) {
            let may_continue = || !vms.is_closed.load(Ordering::SeqCst) && self.verdict() == Verdict::On;
            let progress = |counts: &Counts, items| {
                vms.items.store(items, Ordering::Relaxed);
                vms.progress().counts = *counts;
            };
            let counts = vms.client.count(&progress, &may_continue);
            vms.progress().counts = counts;
        }
        self.end_counting(number, vms);
    }

    fn end_counting(&self, number: u64, vms: &Vms) {
        // The status has the error.
        let _ = self.report_vms(number, vms);
        vms.progress().is_over = true;
        vms.changed.notify_all();
    }

    /// Waits until a connection's devices are counted, `longest` at most, and records its `NewVmsSession` with what is known then.
    /// Once: later calls record nothing.
    pub fn settle(&self, number: u64, longest: Duration) -> Result<Outcome> {
        let Some(vms) = self.with(number, |open| open.vms.clone())? else {
            return Ok(Outcome::Off);
        };
        let is_counting = |progress: &mut Progress| !progress.is_over;
        drop(vms.changed.wait_timeout_while(vms.progress(), longest, is_counting));
        self.report_vms(number, &vms)
    }

    /// Records the `NewVmsSession` of a connection that the library made, unless that was done.
    fn report_vms(&self, number: u64, vms: &Vms) -> Result<Outcome> {
        let progress = {
            let mut progress = vms.progress();
            // The VMS may opt out after the connection was reported with the option unknown. That still counts.
            let is_off = matches!(progress.usage_data, Some(UsageData::Off));
            if progress.reported.is_some() && (!is_off || progress.is_obeyed) {
                return Ok(Outcome::Off);
            }
            (progress.reported, progress.is_obeyed) = (Some(false), is_off);
            progress.clone()
        };
        let why = match &progress.usage_data {
            Some(UsageData::Unknown(why)) => why.as_str(),
            _ => "it was not read in time",
        };
        let outcome = self.report(number, &vms.connection(&progress), why);
        vms.progress().reported = Some(matches!(outcome, Ok(Outcome::Recorded)));
        outcome
    }

    /// Returns what is known of the open connections that the library made, and since when they are open.
    pub(crate) fn connection_facts(&self) -> Vec<(ConnectionFacts, Instant)> {
        let state = self.state();
        let made = state.connections.values().filter_map(|open| Some((open.vms.as_ref()?, open.since)));
        made.map(|(vms, since)| (vms.connection(&vms.progress()), since)).collect()
    }

    pub fn connection(&self, number: u64) -> Result<ConnectionStatus> {
        let vms = self.with(number, |open| open.vms.clone())?.ok_or(Error::NoSuchConnection)?;
        let Progress { is_over, usage_data, reported, .. } = vms.progress().clone();
        let items = vms.items.load(Ordering::Relaxed);
        Ok(ConnectionStatus { is_counting: !is_over, policy: policy(usage_data.as_ref()), reported, items })
    }

    /// Returns a child site of a connection that the library made. `None`: `index` is past the last one.
    pub fn child_site(&self, number: u64, index: usize) -> Result<Option<vms::Site>> {
        let vms = self.with(number, |open| open.vms.clone())?.ok_or(Error::NoSuchConnection)?;
        Ok(vms.client.facts.child_sites.get(index).cloned())
    }

    /// Closes a connection: cancels the call that is in progress, or waits shortly for the counts.
    pub(crate) fn close(&self, number: u64) -> Result<Open> {
        // An event that cannot be recorded does not keep a connection open.
        let _ = self.settle(number, COUNTING_TIMEOUT);
        let mut open = self.state().connections.remove(&number).ok_or(Error::NoSuchConnection)?;
        if let Some(vms) = &open.vms {
            vms.is_closed.store(true, Ordering::SeqCst);
            // The request for the usage data option may finish, because an opt-out of the VMS counts even now. Counting stops.
            if vms.progress().usage_data.is_some() {
                vms.cancel.cancel();
            }
        }
        if let Some(end) = open.end.take() {
            end();
        }
        Ok(open)
    }
}

fn policy(usage_data: Option<&UsageData>) -> UsageDataPolicy {
    match usage_data {
        None | Some(UsageData::Unknown(_)) => UsageDataPolicy::Unknown,
        Some(UsageData::On) => UsageDataPolicy::On,
        Some(UsageData::Off) => UsageDataPolicy::Off,
        Some(UsageData::NotOffered) => UsageDataPolicy::NotOffered,
    }
}
