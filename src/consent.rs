//! Whether telemetry is on, and who decided it (C1 to C13). Everything that records or sends asks [`Consent`].
//!
//! A decision has three values. *Off*: the user, an environment variable, the administrator of this computer or a VMS opted out.
//! *Unsure*: it cannot be found out now, for example because another program is writing the settings file. Nothing is recorded,
//! sent or deleted then: recording might ignore an opt-out, and deleting might lose the events of a user who has not opted out.
//! *On*: everything else. Any opt-out wins.
//!
//! The environment is read once, when the session starts. The settings file and the machine policy are read anew at each
//! decision, so that a session follows what another process stored.

use std::fs::File;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::files::{self, LockMode};
use crate::gate::NoConsent;
use crate::paths::Paths;
use crate::platform;
use crate::settings::{self, Choice, Settings, Wait, WithoutLock};

/// Longest wait for another process that has the settings' lock (D10). A process that runs holds it for milliseconds.
pub const LOCK_TIMEOUT: Duration = Duration::from_secs(2);

/// Who decided a value. The numbers are those of the C header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Layer {
    /// The default: nobody has opted in or out.
    Default = 0,
    /// The user's settings file.
    SettingsFile = 1,
    /// A variable `VMS_ApplicationInsights__<Key>`.
    Environment = 2,
    /// The variable `DO_NOT_TRACK`.
    DoNotTrack = 3,
    /// The administrator of a VMS.
    VmsPolicy = 4,
    /// Telemetry cannot work in this process: no folder, an unusable connection string.
    Unusable = 5,
    /// The administrator of this computer.
    MachinePolicy = 6,
    /// The user, for this session only: as asked for, or because the opt-out could not be stored.
    Session = 7,
    /// It cannot be found out now.
    Unsure = 8,
}

/// The value of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    On,
    Off,
    /// Nothing is recorded, sent or deleted.
    Unsure,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub verdict: Verdict,
    pub layer: Layer,
    /// For the user: a sentence without its full stop.
    pub reason: String,
    /// Whether it deletes pending events. A clear opt-out of the user, of a VMS or of the administrator of this computer does.
    /// One by an environment variable does not: it is for one process, and other processes recorded events with consent.
    pub purges: bool,
}

impl Decision {
    fn new(verdict: Verdict, layer: Layer, reason: impl Into<String>) -> Self {
        let purging = [Layer::SettingsFile, Layer::VmsPolicy, Layer::MachinePolicy, Layer::Session];
        let purges = verdict == Verdict::Off && purging.contains(&layer);
        Self { verdict, layer, reason: reason.into(), purges }
    }

    pub fn unusable(reason: &str) -> Self {
        Self::new(Verdict::Off, Layer::Unusable, reason)
    }

    pub fn is_on(&self) -> bool {
        self.verdict == Verdict::On
    }
}

#[derive(Clone, Debug)]
pub struct Decisions {
    pub telemetry: Decision,
    /// Whether events are written to the telemetry log as well.
    pub log: Decision,
}

/// What the administrator of this computer says (C13).
#[derive(Debug)]
pub enum MachinePolicy {
    /// There is no policy, or it leaves the choice to the users. It cannot opt them in.
    Silent,
    OptOut,
    /// There is a policy that is neither true nor false. It counts as an opt-out, but deletes nothing.
    Unclear,
}

/// Decides for one session.
pub struct Consent {
    environment: Environment,
    /// Why telemetry cannot work in this process.
    unusable: Option<String>,
    settings: PathBuf,
    lock: PathBuf,
    state: Mutex<State>,
}

/// An opt-out that only this session knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OptOut {
    /// The user's, until it is stored.
    Unstored,
    /// A VMS's, until it is stored.
    ByVms,
    /// The user's, meant for this session.
    ForSession,
}

#[derive(Default)]
struct State {
    opted_out: Option<OptOut>,
    /// The opt-out of a VMS could not be stored at once, so the background thread is to do it. Not set before that was tried:
    /// the thread would take the lock from the call that is about to store it.
    is_unstored: bool,
    /// How many changes of the configuration the host program has begun and not ended.
    changes: u32,
    /// The events of the batch in flight. An opt-out deletes all of them, and one for a process alone those of that process.
    in_flight: Vec<PathBuf>,
}

impl Consent {
    /// Touches no disk. `unusable`: why telemetry cannot work in this process.
    pub fn new(paths: &Paths, environment: Environment, unusable: Option<String>) -> Self {
        let (settings, lock) = (paths.settings(), paths.settings_lock());
        Self { environment, unusable, settings, lock, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Returns why the connection string of the environment cannot be used, if so. Telemetry is off then.
    pub fn unusable(&self) -> Option<&str> {
        self.unusable.as_deref()
    }

    /// Decides anew.
    pub fn decide(&self) -> Decisions {
        let file = settings::read(&self.settings);
        let opted_out = self.state().opted_out;
        let mut telemetry = decide(platform::machine_policy(), opted_out, &self.environment, &file);
        if let (Some(reason), Verdict::On | Verdict::Unsure) = (&self.unusable, telemetry.verdict) {
            telemetry = Decision::unusable(reason);
        }
        Decisions { telemetry, log: decide_log(&self.environment, &file) }
    }

    /// Returns what each layer says, by its name: the one that cannot be overridden first.
    pub fn layers(&self) -> Vec<(&'static str, String)> {
        const NOT_SET: &str = "not set";
        let word = |on: bool| if on { "on" } else { "off" }.to_owned();
        let file = settings::read(&self.settings);
        let of_file = |by_policy: bool| match &file {
            Ok(Settings { telemetry: Some(on), by_policy: by, .. }) if *by == by_policy => word(*on),
            Ok(_) => NOT_SET.to_owned(),
            Err(error) => format!("cannot be read: {error}"),
        };
        let machine = match platform::machine_policy() {
            Ok(MachinePolicy::Silent) => NOT_SET.to_owned(),
            Ok(MachinePolicy::OptOut) => word(false),
            Ok(MachinePolicy::Unclear) => "off, as it is neither true nor false".to_owned(),
            Err(error) => format!("cannot be read: {error}"),
        };
        let process = if self.state().opted_out.is_some() { "off" } else { NOT_SET };
        vec![
            ("MachinePolicy", machine),
            ("Process", process.to_owned()),
            ("Environment", self.environment.telemetry().map_or(NOT_SET.to_owned(), |(on, _)| word(on))),
            ("DO_NOT_TRACK", if self.environment.do_not_track() { word(false) } else { NOT_SET.to_owned() }),
            ("VmsPolicy", of_file(true)),
            ("SettingsFile", of_file(false)),
            ("Default", word(true)),
        ]
    }

    pub fn verdict(&self) -> Verdict {
        self.decide().telemetry.verdict
    }

    /// Notes that the host program begins, or has ended, to change the configuration. No request begins in between, so that a
    /// script whose first command opts out sends nothing (S6).
    pub fn hold(&self, begins: bool) {
        let mut state = self.state();
        state.changes = if begins { state.changes.saturating_add(1) } else { state.changes.saturating_sub(1) };
    }

    pub fn is_held(&self) -> bool {
        self.state().changes > 0
    }

    pub fn set_in_flight(&self, events: Vec<PathBuf>) {
        self.state().in_flight = events;
    }

    /// Checks the consent to begin a connection or a request. Consent cannot be withdrawn while the returned lock is held: a
    /// process that opts out takes the lock exclusively. A batch that was deleted in between is not sent, even if the user has
    /// opted in again.
    pub fn guard(&self) -> std::result::Result<File, NoConsent> {
        let postponed =
            |error: &Error| NoConsent::Postponed(format!("nothing was sent, as consent is not sure: {error}"));
        let lock = files::lock(&self.lock, LockMode::Shared, Instant::now() + LOCK_TIMEOUT);
        let lock = lock.map_err(|error| postponed(&error))?;
        let (events, is_held) = {
            let state = self.state();
            (state.in_flight.clone(), state.changes > 0)
        };
        let is_pending = !events.is_empty() && events.iter().all(|event| event.exists());
        let decision = self.decide().telemetry;
        match decision.verdict {
            Verdict::Off => Err(NoConsent::Withdrawn),
            Verdict::Unsure => Err(NoConsent::Postponed(decision.reason)),
            Verdict::On if is_held => Err(NoConsent::Postponed("the configuration is being changed".to_owned())),
            Verdict::On if !is_pending => Err(NoConsent::Withdrawn),
            Verdict::On => Ok(lock),
        }
    }

    fn change(
        &self,
        choice: Choice,
        timeout: Duration,
        without_lock: WithoutLock,
        first: impl FnOnce(Settings) -> Result<()>,
    ) -> Result<Option<Error>> {
        let wait = Wait { stop: Instant::now() + timeout, without_lock };
        settings::change(&self.settings, &self.lock, choice, wait, first)
    }

    pub fn set_log(&self, log: bool) -> Result<()> {
        let choice = Choice { log: Some(Some(log)), ..Choice::default() };
        self.change(choice, LOCK_TIMEOUT, WithoutLock::Refuse, |_| Ok(())).map(drop)
    }

    /// Opts the user out: in this session at once, then for good. `purge` deletes pending events. Returns a warning if another
    /// process did not release the lock in time.
    ///
    /// # Errors
    /// [`Error::NotStored`]: it is in effect until the process ends. What `purge` returns: it is stored.
    pub fn opt_out(&self, log: Option<bool>, purge: impl FnOnce() -> Result<()>) -> Result<Option<String>> {
        {
            let mut state = self.state();
            // If this cannot be stored, that of a VMS is still to be stored.
            if state.opted_out != Some(OptOut::ByVms) {
                state.opted_out = Some(OptOut::Unstored);
            }
        }
        let choice = Choice { telemetry: Some(Some(false)), by_policy: false, log: log.map(Some) };
        let store = |timeout| self.change(choice, timeout, WithoutLock::Store, |_| Ok(()));
        let stored = store(LOCK_TIMEOUT);
        let purged = purge();
        let stored = match stored {
            // What was deleted has made room.
            Err(error) if error.is_full_disk() => store(Duration::ZERO),
            other => other,
        };
        let unlocked = stored.map_err(|cause| Error::NotStored(Box::new(cause)))?;
        self.state().opted_out = None;
        purged?;
        Ok(unlocked.map(|error| {
            format!(
                "telemetry is off, and that is stored. But other processes could not be waited for ({error}): one request \
                 that they began may still be completed"
            )
        }))
    }

    /// Opts the user in. If the user had opted out, `purge` first deletes events of processes that died while they recorded:
    /// they were not deleted by the opt-out and would be sent now.
    ///
    /// # Errors
    /// [`Error::Policy`] if the administrator of this computer opted out.
    pub fn opt_in(&self, log: Option<bool>, purge: impl FnOnce() -> Result<()>) -> Result<()> {
        let policy = platform::machine_policy();
        if let Ok(MachinePolicy::OptOut | MachinePolicy::Unclear) = policy {
            return Err(Error::Policy(platform::MACHINE_POLICY));
        }
        self.lift(Choice { telemetry: Some(Some(true)), by_policy: false, log: log.map(Some) }, purge)
    }

    /// Stores a choice that lifts the opt-out, if there is one.
    fn lift(&self, choice: Choice, purge: impl FnOnce() -> Result<()>) -> Result<()> {
        // An opt-out for this session alone deleted its own events, and no other's.
        let was_out = self.state().opted_out.is_some_and(|out| out != OptOut::ForSession);
        self.change(choice, LOCK_TIMEOUT, WithoutLock::Refuse, |before| {
            if was_out || before.telemetry == Some(false) { purge() } else { Ok(()) }
        })?;
        self.state().opted_out = None;
        Ok(())
    }

    /// Takes back what the user chose, so that the default is in effect again. An opt-out by a VMS stays: only an opt-in lifts
    /// it (C6). If the choice was an opt-out, `purge` deletes what it left, as for [`Consent::opt_in`].
    pub fn reset(&self, telemetry: bool, log: bool, purge: impl FnOnce() -> Result<()>) -> Result<()> {
        let opted_out = self.state().opted_out;
        let is_by_vms =
            opted_out == Some(OptOut::ByVms) || settings::read(&self.settings).is_ok_and(|stored| stored.by_policy);
        let choice = Choice { log: log.then_some(None), ..Choice::default() };
        if telemetry && !is_by_vms {
            self.lift(Choice { telemetry: Some(None), ..choice }, purge)
        } else {
            self.change(choice, LOCK_TIMEOUT, WithoutLock::Refuse, |_| Ok(())).map(drop)
        }
    }

    /// Opts out for this session only, or takes that back. Stores nothing.
    pub fn choose_for_session(&self, on: bool) {
        let mut state = self.state();
        match (on, state.opted_out) {
            (true, Some(OptOut::ForSession)) => state.opted_out = None,
            (false, None) => state.opted_out = Some(OptOut::ForSession),
            // Nothing to take back; or another opt-out, which is stronger.
            _ => {}
        }
    }

    /// Opts the user out because the administrator of a VMS does (C6): in this session at once. It is stored at once if that
    /// needs no wait for another process, as a connection never waits for one (D10); else by [`Consent::store_vms_opt_out`].
    ///
    /// # Errors
    /// Why it is not stored yet, or what `purge` returns.
    pub fn opt_out_by_vms(&self, purge: impl FnOnce() -> Result<()>) -> Result<()> {
        {
            let mut state = self.state();
            (state.opted_out, state.is_unstored) = (Some(OptOut::ByVms), false);
        }
        let purged = purge();
        let stored = self.store_vms_opt_out(Duration::ZERO);
        self.state().is_unstored = stored.is_err();
        stored.and(purged)
    }

    /// Returns whether the opt-out of a VMS is still to be stored.
    pub fn is_vms_opt_out_unstored(&self) -> bool {
        let state = self.state();
        state.is_unstored && state.opted_out == Some(OptOut::ByVms)
    }

    /// Stores the opt-out of a VMS, unless the user has chosen since. With a timeout of zero it is stored only if no other
    /// process changes the settings.
    pub fn store_vms_opt_out(&self, timeout: Duration) -> Result<()> {
        let choice = Choice { telemetry: Some(Some(false)), by_policy: true, log: None };
        if !settings::read(&self.settings).is_ok_and(|stored| stored.telemetry == Some(false)) {
            let without_lock = if timeout.is_zero() { WithoutLock::Share } else { WithoutLock::Store };
            self.change(choice, timeout, without_lock, |_| match self.state().opted_out {
                Some(OptOut::ByVms) => Ok(()),
                _ => Err(Error::Unusable("the user opted in meanwhile".to_owned())),
            })?;
        }
        self.state().opted_out = None;
        Ok(())
    }
}

/// Decides whether telemetry is on. The order of the arms is the order of precedence, and which opt-out is named as the reason.
fn decide(
    policy: Result<MachinePolicy>,
    opted_out: Option<OptOut>,
    environment: &Environment,
    file: &Result<Settings>,
) -> Decision {
    let off = |layer, reason: &str| Decision::new(Verdict::Off, layer, reason);
    let on = |layer, reason: &str| Decision::new(Verdict::On, layer, reason);
    let variable = environment.telemetry();
    match (&policy, opted_out, &variable, file) {
        (Ok(MachinePolicy::OptOut), ..) => off(
            Layer::MachinePolicy,
            &format!("the administrator of this computer has turned it off ({})", platform::MACHINE_POLICY),
        ),
        (Ok(MachinePolicy::Unclear), ..) => {
            let reason = format!(
                "the policy of this computer's administrator is neither true nor false, which counts as false ({})",
                platform::MACHINE_POLICY
            );
            Decision { purges: false, ..off(Layer::MachinePolicy, &reason) }
        }
        (_, Some(OptOut::ByVms), ..) => off(
            Layer::VmsPolicy,
            "a VMS that you connected to has usage data collection turned off; that is in effect, and will be stored as soon \
             as the settings file can be changed",
        ),
        (_, Some(OptOut::Unstored), ..) => off(
            Layer::Session,
            "you turned it off; that could not be stored, so it is in effect until this process ends",
        ),
        (_, _, Some((false, reason)), _) => off(Layer::Environment, reason),
        _ if environment.do_not_track() => off(Layer::DoNotTrack, "the environment variable DO_NOT_TRACK is set"),
        (_, _, _, Ok(Settings { telemetry: Some(false), by_policy: true, .. })) => off(
            Layer::VmsPolicy,
            "a VMS that you connected to has usage data collection turned off; to turn telemetry on again, run \
             Set-VmsModuleConfig -EnableTelemetry $true. Connecting to that VMS turns it off again",
        ),
        (_, _, _, Ok(Settings { telemetry: Some(false), .. })) => off(
            Layer::SettingsFile,
            "you turned it off with Set-VmsModuleConfig -EnableTelemetry $false (or in the settings file)",
        ),
        // Other sessions may have recorded events with consent.
        (_, Some(OptOut::ForSession), ..) => {
            let reason =
                "you turned it off for this session (Set-VmsModuleConfig -EnableTelemetry $false -Scope Process)";
            Decision { purges: false, ..off(Layer::Session, reason) }
        }
        (Err(error), ..) | (.., Err(error)) => Decision::new(
            Verdict::Unsure,
            Layer::Unsure,
            format!("at the moment it is not known whether you opted out, so nothing is recorded or sent: {error}"),
        ),
        (_, _, _, Ok(Settings { telemetry: Some(true), .. })) => on(
            Layer::SettingsFile,
            "you turned it on with Set-VmsModuleConfig -EnableTelemetry $true (or in the settings file)",
        ),
        (_, _, Some((true, reason)), _) => on(Layer::Environment, reason),
        _ => on(Layer::Default, "it is on by default; nobody has opted out"),
    }
}

/// Decides whether events are written to the telemetry log as well. With telemetry off there is nothing to log (L4).
fn decide_log(environment: &Environment, file: &Result<Settings>) -> Decision {
    let (on, layer, source) = match (environment.log(), file) {
        (Some(on), _) => (on, Layer::Environment, "the environment variable VMS_ApplicationInsights__IncludeInLogs"),
        (None, Ok(Settings { log: Some(on), .. })) => {
            (*on, Layer::SettingsFile, "Set-VmsModuleConfig -LogTelemetry (or the settings file)")
        }
        (None, Ok(_)) => (false, Layer::Default, "the default"),
        (None, Err(_)) => (false, Layer::Unsure, "the default, as the settings file cannot be read"),
    };
    let verdict = if on { Verdict::On } else { Verdict::Off };
    Decision::new(verdict, layer, format!("decided by {source}"))
}
