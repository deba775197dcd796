//! The session of a process: consent, ids, spool and sender put together. What the C ABI offers, as safe methods.
//!
//! An event takes one way: `Session::record` stores it in the spool after a first look at the consent, and then looks again. An
//! opt-out is stored first, and pending events are deleted then. So an event that is stored meanwhile is deleted by one of the two.
//! If the process dies in between, the event stays behind an opt-out that every sender reads; and opting in again deletes pending
//! events before it is stored.
//!
//! The session's mutex guards a few values in memory and is never held over a file, a lock or the network, so that reading the
//! state never waits for a change.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::Utc;
use uuid::Uuid;

use crate::connections::Open;
use crate::consent::{Consent, Decision, Decisions, Verdict};
use crate::delivery::{Delivery, RetryState};
use crate::destination::{BUILT_IN, Destination};
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::event::{CloseVmsSession, Event, Fields, NewSession, NewVmsSession, UserType, Version};
use crate::paths::Paths;
use crate::proxy::ProxyChoice;
use crate::sender::Sender;
use crate::spool::Entry;
use crate::vms::Counts;
use crate::{identity, log, platform};

/// What the host says about itself.
#[derive(Clone, Debug, Default)]
pub struct HostFacts {
    /// ProductVersion of the module's assembly, or the host program's version.
    pub assembly_version: String,
    /// .NET's `RuntimeInformation.FrameworkDescription`; `None` if there is no framework.
    pub framework_description: Option<String>,
    /// .NET's `RuntimeInformation.OSDescription`; `None`: the library finds its own.
    pub os_description: Option<String>,
    /// Where events go if the environment names nothing; `None`: the built-in destination.
    pub connection_string: Option<String>,
    /// Whether the host will name the proxy with `set_config`; nothing is sent before.
    pub names_proxy: bool,
}

/// What a VMS says about usage data (C7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageDataPolicy {
    /// It could not be read: nothing of this connection is sent.
    Unknown,
    /// Allowed.
    On,
    /// Forbidden: this opts the user out, now and later (C6).
    Off,
    /// The VMS does not have the option: treated as allowed.
    NotOffered,
}

/// The facts of a connection, as a host or the VMS's API says. What does not fit the list of fields is left out.
#[derive(Clone, Debug)]
pub struct ConnectionFacts {
    /// The actual id of the site; it stays on this computer.
    pub site: Uuid,
    /// The kind of user.
    pub user_type: UserType,
    /// Whether OAuth was used.
    pub is_oauth: Option<bool>,
    /// Whether HTTPS is used.
    pub is_encrypted: Option<bool>,
    /// Version of the VMS.
    pub product_version: Option<String>,
    /// Product name of the VMS.
    pub product_name: Option<String>,
    /// What the VMS says about usage data.
    pub policy: UsageDataPolicy,
    /// The counts.
    pub counts: Counts,
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The event is on disk.
    Recorded,
    /// Telemetry is off, or this connection sends nothing: nothing was recorded.
    Off,
    /// It is not known whether telemetry is off: nothing was recorded.
    Unsure,
}

impl Outcome {
    /// Returns what becomes of an event that is not recorded.
    fn of(verdict: Verdict) -> Self {
        if verdict == Verdict::Unsure { Self::Unsure } else { Self::Off }
    }
}

/// A change of the configuration; `None` leaves a value as it is.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Whether events are recorded and sent; stored for every later session of the user.
    pub telemetry: Option<bool>,
    /// Whether events are written to the telemetry log; stored as well.
    pub log: Option<bool>,
    /// The proxy for this session; not stored.
    pub proxy: Option<ProxyChoice>,
    /// Whether the host begins, or has ended, to change the configuration: no request begins meanwhile.
    pub hold: Option<bool>,
}

/// The session of a process.
pub struct Session {
    id: Uuid,
    facts: HostFacts,
    environment: Environment,
    work: std::result::Result<Work, String>,
    pub(crate) state: Mutex<State>,
}

/// What a session needs in order to work at all.
struct Work {
    paths: Paths,
    consent: Arc<Consent>,
    sender: Sender,
}

/// What changes while the session runs.
#[derive(Default)]
pub(crate) struct State {
    new_session: SessionStart,
    /// The lasting ids that were needed so far, by their files.
    ids: BTreeMap<PathBuf, Uuid>,
    pub(crate) connections: BTreeMap<u64, Open>,
    pub(crate) last_connection: u64,
    failure: Option<String>,
    unreported: Option<String>,
}

/// Whether `NewSession` was recorded.
#[derive(Default, PartialEq)]
enum SessionStart {
    #[default]
    NotRecorded,
    /// It is being recorded.
    InProgress,
    Recorded(Entry),
}

impl Session {
    /// Creates the session; [`Session::record_session_start`] records its `NewSession`. No disk is touched.
    ///
    /// # Errors
    /// [`Error::Argument`] if the host's own connection string cannot be used; there is no session then.
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
            let sender = Sender::new(Delivery::new(&paths, consent.clone(), destination), proxy);
            Work { paths, consent, sender }
        });
        Ok(Self { id: Uuid::new_v4(), facts, environment, work, state: Mutex::default() })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) -> Result<&Work> {
        self.work.as_ref().map_err(|reason| Error::Unusable(reason.clone()))
    }

    /// Decides whether telemetry is on.
    pub(crate) fn verdict(&self) -> Verdict {
        self.work.as_ref().map_or(Verdict::Off, |work| work.consent.verdict())
    }

    /// Keeps an error for the status.
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
            Verdict::On => self.record(&self.new_session(work)),
            verdict => Ok((Outcome::of(verdict), None)),
        };
        self.state().new_session = match &recorded {
            Ok((_, Some(entry))) => SessionStart::Recorded(entry.clone()),
            _ => SessionStart::NotRecorded,
        };
        recorded.map(|(outcome, _)| outcome)
    }

    fn new_session(&self, work: &Work) -> Event {
        let system = self.facts.os_description.clone().or_else(|| sysinfo::System::long_os_version().ok());
        let fits = |text: String| text.try_into().ok();
        self.event(Fields::NewSession(NewSession {
            uuid: self.lasting_id(work.paths.user_id()),
            SessionId: self.id,
            AssemblyVersion: self.version(),
            OSDescription: system.and_then(fits),
            FrameworkDescription: self.facts.framework_description.clone().and_then(fits),
            ProcessorCount: platform::processor_count(),
            PrivateBytes: platform::private_bytes(),
        }))
    }

    fn version(&self) -> Option<Version> {
        self.facts.assembly_version.clone().try_into().ok()
    }

    fn event(&self, fields: Fields) -> Event {
        Event { time: Utc::now(), version: self.version(), fields }
    }

    /// Returns the id in a file, which is read once. If it cannot be stored, a random one is used for this session only (I5).
    fn lasting_id(&self, file: PathBuf) -> Uuid {
        if let Some(id) = self.state().ids.get(&file) {
            return *id;
        }
        let id = identity::read_or_create(&file).unwrap_or_else(|error| {
            self.state().failure = Some(without_site(error).to_string());
            Uuid::new_v4()
        });
        // Another thread may have been faster.
        *self.state().ids.entry(file).or_insert(id)
    }

    /// Stores an event for the sender: the one way that every event takes.
    fn record(&self, event: &Event) -> Result<(Outcome, Option<Entry>)> {
        let Work { paths, consent, sender } = self.work()?;
        let delivery = sender.delivery();
        let stored = delivery.spool.put(event);
        let decisions = consent.decide();
        if decisions.telemetry.verdict == Verdict::Off {
            // The user opted out meanwhile, and may have deleted the spool under the hands of this call.
            let removed = stored.map_or(Ok(()), |entry| delivery.spool.remove(&entry));
            return self.note_error(removed).map(|()| (Outcome::Off, None));
        }
        if stored.is_ok() && decisions.log.is_on() {
            // A log that cannot be written costs only itself.
            let _ = self.note_error(log::append(paths.log_folder(), event, delivery.destination.key));
        }
        match stored {
            Ok(_) => sender.wake(),
            // Sending what is pending makes room on a full disk.
            Err(_) => sender.wake_if_pending(),
        }
        self.note_error(stored).map(|entry| (Outcome::Recorded, Some(entry)))
    }

    /// Notes a connection that the host made and records its `NewVmsSession`. Returns the number by which it is closed.
    ///
    /// # Errors
    /// [`Error::TooManyConnections`]; [`Error::File`] if the event cannot be stored. There is no connection then.
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

    /// Records the `NewVmsSession` of an open connection. `why` says why its usage data option is unknown, if it is.
    pub(crate) fn report(&self, number: u64, connection: &ConnectionFacts, why: &str) -> Result<Outcome> {
        // Without a folder telemetry is off, and the status says why (S3).
        let Ok(Work { paths, consent, sender }) = &self.work else {
            return Ok(Outcome::Off);
        };
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
        // A session that began while telemetry was off, and that another process turned on.
        let _ = self.try_record_session_start();
        let site = self.lasting_id(paths.site_id(connection.site));
        let counts = connection.counts;
        let fields = NewVmsSession {
            uuid: self.lasting_id(paths.user_id()),
            UserType: connection.user_type,
            IsOAuthConnection: connection.is_oauth.map(Into::into),
            EncryptionEnabled: connection.is_encrypted.map(Into::into),
            SessionId: self.id,
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
        };
        let (outcome, _) = self.record(&self.event(Fields::NewVmsSession(fields)))?;
        if let (Outcome::Recorded, Some(open)) = (outcome, self.state().connections.get_mut(&number)) {
            open.site = Some(site);
        }
        Ok(outcome)
    }

    /// Obeys a VMS that opts the user out. What cannot be stored now, the background thread stores as soon as it can.
    fn opt_out_by_vms(&self, consent: &Consent, sender: &Sender) {
        let obeyed = consent.opt_out_by_vms(|| sender.purge());
        if self.note_error(obeyed).is_err() {
            sender.wake();
        }
    }

    /// Closes a connection and records its `CloseVmsSession`.
    ///
    /// # Errors
    /// [`Error::NoSuchConnection`]; [`Error::File`] if the event cannot be stored, the connection is closed then too.
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
        let seconds = open.since.elapsed().as_millis() as f64 / 1000.0;
        let fields = CloseVmsSession {
            uuid: self.lasting_id(work.paths.user_id()),
            SessionId: self.id,
            SiteId: site,
            ConnectionDuration: seconds.try_into().map_err(|_| Error::Unusable("the clock is broken".to_owned()))?,
            PrivateBytes: platform::private_bytes(),
        };
        self.record(&self.event(Fields::CloseVmsSession(fields))).map(|(outcome, _)| outcome)
    }

    /// Changes the configuration; a choice is in effect when this returns (C3, C4). Returns what the user should know.
    ///
    /// # Errors
    /// [`Error::Settings`], [`Error::File`] and [`Error::Policy`] if the choice cannot be stored: all is as it was.
    /// [`Error::NotStored`]: an opt-out that is in effect for this session.
    pub fn set_config(&self, change: Change) -> Result<Option<String>> {
        let Work { consent, sender, .. } = match (&change.telemetry, &change.log, &self.work) {
            // A proxy, or the announcement of a change, is for a session that works.
            (None, None, Err(_)) => return Ok(None),
            _ => self.work()?,
        };
        if change.hold == Some(true) {
            consent.hold(true);
        }
        let outcome = self.choose(&change, consent, sender);
        // Only now: nothing is sent before an opt-out is in effect (S6).
        if change.hold == Some(false) {
            consent.hold(false);
        }
        if let Some(proxy) = change.proxy {
            sender.set_proxy(proxy);
        } else if change.hold == Some(false) {
            sender.wake_if_pending();
        }
        outcome
    }

    /// Stores the user's choices.
    fn choose(&self, change: &Change, consent: &Consent, sender: &Sender) -> Result<Option<String>> {
        let warning = match (change.telemetry, change.log) {
            (Some(true), log) => {
                consent.opt_in(log, || sender.purge())?;
                self.try_record_session_start()?;
                None
            }
            (Some(false), log) => {
                // A NewSession that was never sent is recorded again when telemetry is on again (C4).
                let entry = match &self.state().new_session {
                    SessionStart::Recorded(entry) => Some(entry.clone()),
                    _ => None,
                };
                let is_pending = entry.is_some_and(|entry| sender.delivery().spool.path(&entry).exists());
                let outcome = consent.opt_out(log, || sender.purge());
                if is_pending {
                    self.state().new_session = SessionStart::NotRecorded;
                }
                outcome?
            }
            (None, Some(log)) => consent.set_log(log).map(|()| None)?,
            (None, None) => return Ok(None),
        };
        Ok(warning.or_else(|| self.warning(change, consent)))
    }

    /// Returns why a choice is stored and not in effect.
    fn warning(&self, change: &Change, consent: &Consent) -> Option<String> {
        let decision = consent.decide().telemetry;
        if decision.is_on() {
            return None;
        }
        match (change.telemetry, change.log) {
            (Some(true), _) => Some(format!("the choice is stored, but telemetry stays off: {}", decision.reason)),
            (_, Some(true)) => Some(format!("nothing is logged while telemetry is off: {}", decision.reason)),
            _ => None,
        }
    }

    /// Decides anew whether telemetry and its log are on.
    pub fn decisions(&self) -> Decisions {
        match &self.work {
            Ok(work) => work.consent.decide(),
            Err(reason) => {
                // An opt-out is a better reason than what does not work.
                let out = self.environment.telemetry().filter(|(on, _)| !on).map(|(_, reason)| reason);
                let telemetry = Decision::unusable(out.as_deref().unwrap_or(reason));
                Decisions { log: telemetry.clone(), telemetry }
            }
        }
    }

    /// Counts the pending events of this session's destination.
    pub fn pending(&self) -> usize {
        let entries = self.work.as_ref().map(|work| work.sender.delivery().spool.entries());
        entries.map_or(0, |entries| entries.map_or(0, |entries| entries.len()))
    }

    /// Reads what is known of delivery.
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

    /// Returns the paths that the session works with, if it has any.
    pub fn paths(&self) -> Option<&Paths> {
        self.work.as_ref().ok().map(|work| &work.paths)
    }

    /// Returns whether the background thread runs at this moment.
    pub fn is_sending(&self) -> bool {
        self.work.as_ref().is_ok_and(|work| work.sender.is_running())
    }

    /// Records `NewSession`, unless that was done or somebody opted out; then nothing is touched (S5). Returns whether it is
    /// recorded, and if it is not, why. An import never fails because of telemetry (S3): an error is kept for [`Session::failure`].
    pub fn record_session_start(&self) -> Outcome {
        self.try_record_session_start().unwrap_or(Outcome::Off)
    }

    /// Returns the random id of the session.
    pub fn id(&self) -> Uuid {
        self.id
    }
}

/// Names the kind of file in an error in place of the actual id of a site (E5).
fn without_site(error: Error) -> Error {
    match error {
        Error::File { doing, path, cause } if path.to_string_lossy().contains("site-") => {
            Error::File { doing, path: path.with_file_name("site-<id>.uuid"), cause }
        }
        other => other,
    }
}
