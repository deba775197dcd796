//! The session of a process: consent, ids, spool and sender together. Its methods are what the C ABI offers.
//!
//! Every event goes through `Session::record`. The caller checks consent, `record` stores the event in the spool and checks
//! consent again. An opt-out is stored first, and then pending events are deleted. So an event that is stored at the same time is
//! deleted by one of the two. If the process dies in between, the event remains, but every sender reads the opt-out; and opting in
//! again deletes pending events first.
//!
//! The session's mutex guards a few values in memory. It is never held during an operation on a file, a lock or the network, so
//! that reading the state never waits for a change.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::Utc;
use uuid::Uuid;

use crate::connections::Open;
use crate::consent::{Consent, Decision, Decisions, LOCK_TIMEOUT, Layer, Verdict};
use crate::delivery::{Delivery, RetryState};
use crate::destination::{BUILT_IN, Destination};
use crate::endpoint::{self, Step};
use crate::envelope::envelope;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::event::{CloseVmsSession, Event, Fields, NewSession, NewVmsSession, Seconds, UserType, Version};
use crate::files::LockMode;
use crate::paths::Paths;
use crate::proxy::{self, ProxyChoice};
use crate::sender::Sender;
use crate::spool::{EVENT_LIMIT, Entry};
use crate::vms::Counts;
use crate::{files, identity, log, platform, spool};

/// What the host program passes about itself.
#[derive(Clone, Debug, Default)]
pub struct HostFacts {
    /// ProductVersion of the module's assembly, or the version of the host program.
    pub assembly_version: String,
    /// .NET's `RuntimeInformation.FrameworkDescription`. `None`: there is no framework.
    pub framework_description: Option<String>,
    /// .NET's `RuntimeInformation.OSDescription`. `None`: the library asks the system.
    pub os_description: Option<String>,
    /// Where events go unless the environment names another destination. `None`: the built-in one.
    pub connection_string: Option<String>,
    /// Whether the host program will name the proxy with `set_config`. Nothing is sent before.
    pub names_proxy: bool,
    /// For so long after the start no request begins, unless a change ends the hold.
    pub hold: Duration,
}

/// The usage data option of a VMS (C7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageDataPolicy {
    /// It could not be read: nothing of this connection is sent.
    Unknown,
    On,
    /// This opts the user out, now and later (C6).
    Off,
    /// The VMS does not have the option: as on.
    NotOffered,
}

/// From the host program or the VMS's API. A value that does not fit the closed list of fields is left out of the event.
#[derive(Clone, Debug)]
pub struct ConnectionFacts {
    /// The actual id of the site, which never leaves this computer: events have a random one.
    pub site: Uuid,
    pub user_type: UserType,
    pub is_oauth: Option<bool>,
    pub is_encrypted: Option<bool>,
    /// Of the VMS.
    pub product_version: Option<String>,
    pub product_name: Option<String>,
    pub policy: UsageDataPolicy,
    pub counts: Counts,
}

/// What a call did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The event is on disk.
    Recorded,
    /// Nothing was recorded: telemetry is off, or this connection sends nothing.
    Off,
    /// Nothing was recorded: it is not known whether telemetry is off.
    Unsure,
}

impl Outcome {
    /// Returns the outcome of a call that records nothing.
    fn of(verdict: Verdict) -> Self {
        if verdict == Verdict::Unsure { Self::Unsure } else { Self::Off }
    }
}

/// A change of the configuration; `None` leaves a value as it is.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Stored for every later session of the user.
    pub telemetry: Option<bool>,
    /// Stored as well.
    pub log: Option<bool>,
    /// Whether `telemetry` is for this session only.
    pub is_for_session: bool,
    /// Whether the user's choice is taken back, so that the default is in effect again.
    pub resets_telemetry: bool,
    pub resets_log: bool,
    /// For this session only.
    pub proxy: Option<ProxyChoice>,
    /// Whether the host program begins, or has ended, to change the configuration. See [`Consent::hold`]. The first end is that of
    /// the hold that began with the session.
    pub hold: Option<bool>,
}

pub struct Session {
    facts: HostFacts,
    environment: Environment,
    work: std::result::Result<Work, String>,
    pub(crate) state: Mutex<State>,
}

/// The parts of a session that need the user's folders.
struct Work {
    paths: Paths,
    consent: Arc<Consent>,
    sender: Sender,
}

pub(crate) struct State {
    /// The random id of the session.
    id: Uuid,
    new_session: SessionStart,
    /// The ids that were read so far, by their files.
    ids: BTreeMap<PathBuf, Uuid>,
    /// The id of the user that this session uses. `None`: it was not read yet, or cannot be stored.
    stored_user: Option<Uuid>,
    pub(crate) connections: BTreeMap<u64, Open>,
    pub(crate) last_connection: u64,
    failure: Option<String>,
    unreported: Option<String>,
    endpoint_test: Vec<Step>,
    /// The events of this session that may still be pending, the oldest first.
    recorded: VecDeque<Entry>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            id: Uuid::new_v4(),
            new_session: SessionStart::default(),
            ids: BTreeMap::new(),
            stored_user: None,
            connections: BTreeMap::new(),
            last_connection: 0,
            failure: None,
            unreported: None,
            endpoint_test: Vec::new(),
            recorded: VecDeque::new(),
        }
    }
}

/// The random ids in an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ids {
    user: Uuid,
    session: Uuid,
}

/// What is deleted on request (T5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clear {
    /// The ids of the user and of the sites, and all below, as it has them.
    pub ids: bool,
    pub pending: bool,
    /// The receipts.
    pub sent: bool,
    pub log: bool,
}

/// Whether `NewSession` was recorded.
#[derive(Default, PartialEq)]
enum SessionStart {
    #[default]
    NotRecorded,
    InProgress,
    Recorded(Entry),
}

impl Session {
    /// Creates the session. [`Session::record_session_start`] records its `NewSession`. Touches no disk.
    ///
    /// # Errors
    /// [`Error::Argument`] if the host program's connection string cannot be used.
    pub fn start(facts: HostFacts, environment: Environment, paths: Result<Paths>) -> Result<Self> {
        let own = facts.connection_string.as_deref().unwrap_or(BUILT_IN).parse::<Destination>();
        let own = own.map_err(|problem| Error::argument("connection_string", problem))?;
        let (destination, unusable) = match environment.connection_string().map(str::parse) {
            None => (own, None),
            Some(Ok(destination)) => (destination, None),
            Some(Err(problem)) => {
                (own, Some(format!("VMS_ApplicationInsights__ConnectionString cannot be used: {problem}")))
            }
        };
        let proxy = if facts.names_proxy { ProxyChoice::Awaited } else { ProxyChoice::Environment };
        let work = paths.map_err(|error| error.to_string()).map(|paths| {
            let consent = Arc::new(Consent::new(&paths, environment.clone(), unusable));
            let sender = Sender::new(Delivery::new(&paths, consent.clone(), destination), proxy, facts.hold);
            Work { paths, consent, sender }
        });
        Ok(Self { facts, environment, work, state: Mutex::default() })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) -> Result<&Work> {
        self.work.as_ref().map_err(|reason| Error::Unusable(reason.clone()))
    }

    pub(crate) fn verdict(&self) -> Verdict {
        self.work.as_ref().map_or(Verdict::Off, |work| work.consent.verdict())
    }

    /// Keeps an error for [`Session::failure`].
    fn note_error<T>(&self, outcome: Result<T>) -> Result<T> {
        outcome.inspect_err(|error| self.state().failure = Some(error.to_string()))
    }

    /// Records `NewSession`, unless that was done or telemetry is not on.
    fn try_record_session_start(&self) -> Result<Outcome> {
        let work = self.work()?;
        {
            let mut state = self.state();
            if state.new_session != SessionStart::NotRecorded {
                return Ok(Outcome::Recorded);
            }
            state.new_session = SessionStart::InProgress;
        }
        let recorded = match work.consent.verdict() {
            Verdict::On => self.record(work, &|ids| self.new_session(ids)),
            verdict => Ok((Outcome::of(verdict), None)),
        };
        self.state().new_session = match &recorded {
            Ok((_, Some(entry))) => SessionStart::Recorded(entry.clone()),
            _ => SessionStart::NotRecorded,
        };
        recorded.map(|(outcome, _)| outcome)
    }

    fn new_session(&self, ids: Ids) -> Fields {
        let system = self.facts.os_description.clone().or_else(platform::os_description);
        let fits = |text: String| text.try_into().ok();
        Fields::NewSession(NewSession {
            uuid: ids.user,
            SessionId: ids.session,
            AssemblyVersion: self.version(),
            OSDescription: system.and_then(fits),
            FrameworkDescription: self.facts.framework_description.clone().and_then(fits),
            ProcessorCount: platform::processor_count(),
            PrivateBytes: platform::private_bytes(),
        })
    }

    fn version(&self) -> Option<Version> {
        self.facts.assembly_version.clone().try_into().ok()
    }

    fn event(&self, fields: Fields) -> Event {
        Event { time: Utc::now(), version: self.version(), fields }
    }

    /// Returns the id in a file, which is read once, and whether it is stored. If it cannot be stored, a random one is used for
    /// this session only (I5).
    fn lasting_id(&self, file: PathBuf) -> (Uuid, bool) {
        if let Some(id) = self.state().ids.get(&file) {
            return (*id, true);
        }
        let read = identity::read_or_create(&file);
        let is_stored = read.is_ok();
        let id = read.unwrap_or_else(|error| {
            self.state().failure = Some(without_site(error).to_string());
            Uuid::new_v4()
        });
        // Another thread may have read it first; both must use the same.
        (*self.state().ids.entry(file).or_insert(id), is_stored)
    }

    fn site_id(&self, paths: &Paths, actual: Uuid) -> Uuid {
        self.lasting_id(paths.site_id(actual)).0
    }

    fn ids(&self, paths: &Paths) -> Ids {
        let is_read = self.state().ids.contains_key(&paths.user_id());
        let (user, is_stored) = self.lasting_id(paths.user_id());
        let mut state = self.state();
        if !is_read && is_stored {
            state.stored_user = Some(user);
        }
        Ids { user, session: state.id }
    }

    /// Returns whether a process cleared the ids since they were read. Then all are new, that of the session as well: with the old
    /// one, events before and after could be linked (T5).
    fn were_ids_cleared(&self, paths: &Paths) -> bool {
        let stored = self.state().stored_user;
        let is_cleared = stored.is_some_and(|id| !identity::is_still(&paths.user_id(), id));
        if is_cleared {
            self.forget_ids();
        }
        is_cleared
    }

    fn forget_ids(&self) {
        let mut state = self.state();
        (state.id, state.stored_user) = (Uuid::new_v4(), None);
        state.ids.clear();
    }

    /// Stores an event with the ids of this moment.
    fn record(&self, work: &Work, fields: &dyn Fn(Ids) -> Fields) -> Result<(Outcome, Option<Entry>)> {
        let Work { paths, consent, sender } = work;
        let delivery = sender.delivery();
        let mut tries = 0..3;
        let (event, stored) = loop {
            let ids = self.ids(paths);
            let event = self.event(fields(ids));
            let stored = delivery.spool.put(&event);
            if tries.next().is_none() || !self.were_ids_cleared(paths) {
                break (event, stored);
            }
            // Another process has just cleared them, maybe before this event was stored.
            stored.and_then(|entry| delivery.spool.remove(&entry))?;
        };
        let decisions = consent.decide();
        if decisions.telemetry.verdict == Verdict::Off {
            // The user has just opted out, and the opt-out may have deleted pending events before this one was stored.
            let removed = stored.map_or(Ok(()), |entry| delivery.spool.remove(&entry));
            return self.note_error(removed).map(|()| (Outcome::Off, None));
        }
        if stored.is_ok() && decisions.log.is_on() {
            // A log that cannot be written does not fail the call (L3).
            let _ = self.note_error(log::append(paths.log_folder(), &event, delivery.destination.key));
        }
        if let Ok(entry) = &stored {
            let mut state = self.state();
            state.recorded.push_back(entry.clone());
            // No more than this are pending at once.
            if state.recorded.len() > EVENT_LIMIT {
                state.recorded.pop_front();
            }
        }
        match stored {
            Ok(_) => sender.wake(),
            // Sending pending events makes room on a full disk.
            Err(_) => sender.wake_if_pending(),
        }
        self.note_error(stored).map(|entry| (Outcome::Recorded, Some(entry)))
    }

    /// Records the `NewVmsSession` of a connection that the host program made. Returns the number by which it is closed. If the
    /// event cannot be stored, there is no connection to close.
    pub fn connect(&self, connection: &ConnectionFacts) -> Result<(u64, Outcome)> {
        let number = self.reserve()?;
        match self.report(number, connection, "the host does not say what it is") {
            Ok(outcome) => Ok((number, outcome)),
            Err(error) => {
                self.state().connections.remove(&number);
                Err(error)
            }
        }
    }

    /// Records the `NewVmsSession` of an open connection. `why` is why its usage data option is unknown, if it is.
    pub(crate) fn report(&self, number: u64, connection: &ConnectionFacts, why: &str) -> Result<Outcome> {
        // Without a folder telemetry is off. That is no error of a connection (S3), and the status has the reason.
        let Ok(work) = &self.work else {
            return Ok(Outcome::Off);
        };
        let Work { paths, consent, sender } = work;
        self.state().unreported = None;
        let verdict = consent.verdict();
        if connection.policy == UsageDataPolicy::Off && verdict != Verdict::Off {
            self.opt_out_by_vms(consent, sender);
            return Ok(Outcome::Off);
        }
        if verdict != Verdict::On {
            return Ok(Outcome::of(verdict));
        }
        if connection.policy == UsageDataPolicy::Unknown {
            self.state().unreported = Some(format!(
                "nothing of the last connection is sent, as the usage data option of the VMS is not known: {why}"
            ));
            return Ok(Outcome::Off);
        }
        // The session may have begun while telemetry was off, and another process may have turned it on since.
        let _ = self.try_record_session_start();
        let fields = |ids| self.new_vms_session(ids, self.site_id(paths, connection.site), connection);
        let (outcome, _) = self.record(work, &fields)?;
        if let (Outcome::Recorded, Some(open)) = (outcome, self.state().connections.get_mut(&number)) {
            open.site = Some(connection.site);
        }
        Ok(outcome)
    }

    fn new_vms_session(&self, ids: Ids, site: Uuid, connection: &ConnectionFacts) -> Fields {
        let counts = connection.counts;
        Fields::NewVmsSession(NewVmsSession {
            uuid: ids.user,
            UserType: connection.user_type,
            IsOAuthConnection: connection.is_oauth.map(Into::into),
            EncryptionEnabled: connection.is_encrypted.map(Into::into),
            SessionId: ids.session,
            ProductVersion: connection.product_version.clone().and_then(|text| text.try_into().ok()),
            ProductName: connection.product_name.clone().and_then(|text| text.try_into().ok()),
            AssemblyVersion: self.version(),
            SiteId: site,
            ChildSites: counts.child_sites,
            Recorders: counts.recorders,
            HardwareCount: counts.hardware,
            CameraCount: counts.cameras,
            MicrophoneCount: counts.microphones,
            SpeakerCount: counts.speakers,
            MetadataCount: counts.metadata,
            InputCount: counts.inputs,
            OutputCount: counts.outputs,
        })
    }

    /// Opts the user out because the VMS does. If that cannot be stored now, the background thread stores it later.
    fn opt_out_by_vms(&self, consent: &Consent, sender: &Sender) {
        let obeyed = self.deleting_pending(sender, || consent.opt_out_by_vms(|| sender.purge()));
        if self.note_error(obeyed).is_err() {
            sender.wake();
        }
    }

    /// Closes a connection and records its `CloseVmsSession`. It is closed even if the event cannot be stored.
    pub fn disconnect(&self, number: u64) -> Result<Outcome> {
        let open = self.close(number)?;
        let Some(site) = open.site else {
            return Ok(Outcome::Off);
        };
        let work = self.work()?;
        let verdict = work.consent.verdict();
        if verdict != Verdict::On {
            return Ok(Outcome::of(verdict));
        }
        let fields = |ids: Ids| {
            Fields::CloseVmsSession(CloseVmsSession {
                uuid: ids.user,
                SessionId: ids.session,
                SiteId: self.site_id(&work.paths, site),
                ConnectionDuration: Seconds::of(open.since.elapsed()),
                PrivateBytes: platform::private_bytes(),
            })
        };
        self.record(work, &fields).map(|(outcome, _)| outcome)
    }

    /// Changes the configuration. A choice is in effect when this returns (C3, C4). Returns a warning for the user.
    ///
    /// # Errors
    /// [`Error::NotStored`]: an opt-out is in effect for this session only. [`Error::Settings`], [`Error::Policy`]: nothing has
    /// changed.
    pub fn set_config(&self, change: Change) -> Result<Option<String>> {
        let resets = change.resets_telemetry || change.resets_log;
        let chooses = change.telemetry.is_some() || change.log.is_some() || resets;
        let Work { consent, sender, .. } = match &self.work {
            // A proxy and a hold mean nothing to a session that cannot work.
            Err(_) if !chooses => return Ok(None),
            _ => self.work()?,
        };
        if change.hold == Some(true) {
            consent.hold(true);
        }
        let outcome = self.choose(&change, consent, sender);
        // Only now: nothing is sent before an opt-out is in effect (S6).
        if change.hold == Some(false) && !sender.end_hold() {
            consent.hold(false);
        }
        if let Some(proxy) = change.proxy {
            sender.set_proxy(proxy);
        } else if change.hold == Some(false) {
            sender.wake_if_pending();
        }
        outcome
    }

    fn choose(&self, change: &Change, consent: &Consent, sender: &Sender) -> Result<Option<String>> {
        let resets = change.resets_telemetry || change.resets_log;
        if resets {
            consent.reset(change.resets_telemetry, change.resets_log, || sender.purge())?;
        }
        let warning = match (change.telemetry, change.log) {
            (Some(on), _) if change.is_for_session => {
                consent.choose_for_session(on);
                if on {
                    self.try_record_session_start()?;
                } else {
                    self.take_back(sender)?;
                }
                None
            }
            (Some(true), log) => {
                consent.opt_in(log, || sender.purge())?;
                self.try_record_session_start()?;
                None
            }
            (Some(false), log) => self.deleting_pending(sender, || consent.opt_out(log, || sender.purge()))?,
            (None, Some(log)) => consent.set_log(log).map(|()| None)?,
            (None, None) if resets => {
                self.try_record_session_start()?;
                None
            }
            (None, None) => return Ok(None),
        };
        Ok(warning.or_else(|| self.warning(change, consent)))
    }

    /// Deletes the pending events of this session.
    fn take_back(&self, sender: &Sender) -> Result<()> {
        let recorded = std::mem::take(&mut self.state().recorded);
        self.deleting_pending(sender, || recorded.iter().try_for_each(|entry| sender.delivery().spool.remove(entry)))
    }

    /// Runs what deletes pending events. A `NewSession` among them was never sent, and is recorded again when telemetry is on (C4).
    fn deleting_pending<T>(&self, sender: &Sender, delete: impl FnOnce() -> T) -> T {
        let entry = match &self.state().new_session {
            SessionStart::Recorded(entry) => Some(entry.clone()),
            _ => None,
        };
        let is_pending = entry.is_some_and(|entry| sender.delivery().spool.path(&entry).exists());
        let outcome = delete();
        if is_pending {
            self.state().new_session = SessionStart::NotRecorded;
        }
        outcome
    }

    /// Returns why a choice is stored and not in effect.
    fn warning(&self, change: &Change, consent: &Consent) -> Option<String> {
        let decision = consent.decide().telemetry;
        if decision.is_on() {
            return None;
        }
        match (change.telemetry, change.log) {
            _ if change.resets_telemetry && decision.layer == Layer::VmsPolicy => {
                Some(format!("your choice is taken back, but not that of a VMS: {}", decision.reason))
            }
            (Some(true), _) if change.is_for_session => Some(format!("telemetry stays off: {}", decision.reason)),
            (Some(true), _) => Some(format!("the choice is stored, but telemetry stays off: {}", decision.reason)),
            (_, Some(true)) => Some(format!("nothing is logged while telemetry is off: {}", decision.reason)),
            _ => None,
        }
    }

    pub fn decisions(&self) -> Decisions {
        match &self.work {
            Ok(work) => work.consent.decide(),
            Err(reason) => {
                // To the user an opt-out is the better reason.
                let out = self.environment.telemetry().filter(|(on, _)| !on).map(|(_, reason)| reason);
                let telemetry = Decision::unusable(out.as_deref().unwrap_or(reason));
                Decisions { log: telemetry.clone(), telemetry }
            }
        }
    }

    /// Returns the number of pending events of this session's destination.
    pub fn pending(&self) -> usize {
        let entries = self.work.as_ref().map(|work| work.sender.delivery().spool.entries());
        entries.map_or(0, |entries| entries.map_or(0, |entries| entries.len()))
    }

    pub fn retry_state(&self) -> RetryState {
        self.work.as_ref().map(|work| work.sender.delivery().retry_state()).unwrap_or_default()
    }

    /// Returns the last error on this computer.
    pub fn failure(&self) -> Option<String> {
        self.state().failure.clone()
    }

    /// Returns why nothing of the last connection is sent although telemetry is on (C7).
    pub fn unreported(&self) -> Option<String> {
        self.state().unreported.clone()
    }

    pub fn paths(&self) -> Option<&Paths> {
        self.work.as_ref().ok().map(|work| &work.paths)
    }

    /// Returns whether the background thread runs.
    pub fn is_sending(&self) -> bool {
        self.work.as_ref().is_ok_and(|work| work.sender.is_running())
    }

    /// Records `NewSession`, unless that was done. With telemetry off it touches nothing (S5). An import never fails because of
    /// telemetry (S3): an error is kept for [`Session::failure`].
    pub fn record_session_start(&self) -> Outcome {
        self.try_record_session_start().unwrap_or(Outcome::Off)
    }

    /// Returns where events go. `None`: this session cannot work, or its connection string cannot be used.
    pub fn destination(&self) -> Option<&Destination> {
        let work = self.work.as_ref().ok().filter(|work| work.consent.unusable().is_none());
        work.map(|work| &work.sender.delivery().destination)
    }

    pub fn id(&self) -> Uuid {
        self.state().id
    }

    /// Returns what each layer of consent says, by its name.
    pub fn layers(&self) -> Vec<(&'static str, String)> {
        self.work.as_ref().map(|work| work.consent.layers()).unwrap_or_default()
    }

    /// Tries the way to the service (T4), and keeps what came of it for [`Session::endpoint_test`]. Blocks for 20 seconds at most.
    pub fn test_endpoint(&self) -> Result<()> {
        let Work { consent, sender, .. } = self.work()?;
        if let Some(reason) = consent.unusable() {
            return Err(Error::Unusable(reason.to_owned()));
        }
        let endpoint = &sender.delivery().destination.endpoint;
        let steps = endpoint::test(endpoint, proxy::find(endpoint, &sender.proxy(), &self.environment));
        self.state().endpoint_test = steps;
        Ok(())
    }

    /// Returns the steps of the last test of the endpoint.
    pub fn endpoint_test(&self) -> Vec<Step> {
        self.state().endpoint_test.clone()
    }

    /// Returns the stored id of the user. `None`: there is none, or it cannot be read. Creates none.
    pub fn user(&self) -> Option<Uuid> {
        identity::stored(&self.work.as_ref().ok()?.paths.user_id())
    }

    /// Deletes what the caller names (T5). The choices in the settings file stay. Ids are new from then on, in every process of
    /// the user, and so is the id of the session.
    ///
    /// # Errors
    /// [`Error::File`]: the first failure, after the rest was deleted.
    pub fn clear(&self, what: Clear) -> Result<()> {
        let Work { paths, sender, .. } = self.work()?;
        let delivery = sender.delivery();
        // No request begins meanwhile. A process that hangs keeps nobody from being forgotten.
        let _lock = files::lock(&paths.settings_lock(), LockMode::Exclusive, Instant::now() + LOCK_TIMEOUT);
        let mut outcome = Ok(());
        if what.ids {
            outcome = outcome.and(identity::clear(paths.folder()));
            self.forget_ids();
        }
        if what.ids || what.pending {
            self.state().recorded.clear();
            outcome = outcome.and(self.deleting_pending(sender, || spool::purge(&paths.spool())));
        }
        if what.ids || what.sent {
            outcome = outcome.and(delivery.receipts.clear());
        }
        if what.ids || what.log {
            outcome = outcome.and(log::clear(paths.log_folder()));
        }
        outcome
    }

    /// Returns the envelope of the `index`th pending event, the oldest first, as it would be sent now. Empty: it cannot be read.
    /// `None`: there are fewer.
    pub fn pending_event(&self, index: usize) -> Result<Option<String>> {
        let delivery = self.work()?.sender.delivery();
        let now = Utc::now();
        let Some(entry) = delivery.spool.entries()?.into_iter().nth(index) else { return Ok(None) };
        let event = delivery.spool.read(&entry, now).ok().flatten();
        Ok(Some(event.map(|event| envelope(&event, delivery.destination.key, now).to_string()).unwrap_or_default()))
    }

    /// Returns the `index`th receipt, the newest first. `None`: there are fewer.
    pub fn receipt(&self, index: usize) -> Result<Option<String>> {
        self.work()?.sender.delivery().receipts.nth(index)
    }

    /// Returns the envelope of the `index`th event that this session would record, whether or not telemetry is on: of the
    /// session, and of each open connection that the library made. Touches neither disk nor network, so ids that this session
    /// has not read are zero. `None`: there are fewer.
    pub fn preview(&self, index: usize) -> Result<Option<String>> {
        let Work { paths, sender, .. } = self.work()?;
        let key = sender.delivery().destination.key;
        let read = |file| self.state().ids.get(&file).copied().unwrap_or_default();
        let ids = Ids { user: read(paths.user_id()), session: self.id() };
        let mut fields = vec![self.new_session(ids)];
        for (connection, since) in self.connection_facts() {
            let site = read(paths.site_id(connection.site));
            fields.push(self.new_vms_session(ids, site, &connection));
            fields.push(Fields::CloseVmsSession(CloseVmsSession {
                uuid: ids.user,
                SessionId: ids.session,
                SiteId: site,
                ConnectionDuration: Seconds::of(since.elapsed()),
                PrivateBytes: platform::private_bytes(),
            }));
        }
        let event = fields.into_iter().nth(index).map(|fields| self.event(fields));
        Ok(event.map(|event| envelope(&event, key, Utc::now()).to_string()))
    }
}

/// Removes the actual id of a site from an error, which the status shows and a user may publish (E5).
fn without_site(error: Error) -> Error {
    match error {
        Error::File { doing, path, cause } if path.to_string_lossy().contains("site-") => {
            Error::File { doing, path: path.with_file_name("site-<id>.uuid"), cause }
        }
        other => other,
    }
}
