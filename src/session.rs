//! The session of a process: consent, ids, spool and sender put together. What the C ABI offers, as safe methods.
//!
//! An event takes one way: `Session::record` asks for consent, stores the event in the spool and asks again. Whoever
//! opts out writes the choice first and empties the spool then. So an event that is stored while the choice is written
//! is removed by one of the two. Should the process die in between, the event stays behind a "no" that every sender
//! asks for; and opting in again empties the spool before the "yes" is written.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::config::{self, Decision, Decisions, Environment, Layer};
use crate::envelope::{BUILT_IN, Destination};
use crate::error::{Error, Result};
use crate::event::{Event, Field, Kind, Value};
use crate::paths::Paths;
use crate::sender::{Delivery, Memory, Sender};
use crate::settings::{self, Settings};
use crate::transport::ProxyChoice;
pub use crate::vms::UsageDataPolicy;
use crate::vms::{self, Client, Known, Logon, Stage};
use crate::{host, identity, log, platform};

/// Most connections that are open at once in one process: far beyond any real host, and a bound for a broken one.
const CONNECTION_LIMIT: usize = 1_024;
/// Longest wait for the counts of a connection that is closed.
const COUNTING_PATIENCE: Duration = Duration::from_secs(1);

/// What the host says of itself.
#[derive(Clone, Debug, Default)]
pub struct HostFacts {
    /// ProductVersion of the module's assembly, or the host program's version.
    pub assembly_version: String,
    /// .NET's `RuntimeInformation.FrameworkDescription`; `None` where there is no framework.
    pub framework_description: Option<String>,
    /// .NET's `RuntimeInformation.OSDescription`; `None`: the library finds its own.
    pub os_description: Option<String>,
    /// Where events go, where the environment names nothing; `None`: the built-in place.
    pub connection_string: Option<String>,
    /// Whether the host will name the proxy with `set_config`; nothing is sent before.
    pub names_proxy: bool,
}

/// The facts of a connection: counts that could not be read are `None`.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The actual id of the site; it stays on this computer.
    pub site: Uuid,
    /// One of [`crate::event::USER_TYPES`].
    pub user_type: &'static str,
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
    /// The counts, by their fields.
    pub counts: Vec<(Field, Option<u32>)>,
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The event is on disk.
    Recorded,
    /// Telemetry is off, or this connection sends nothing: nothing was recorded.
    Off,
}

/// A change of the configuration; `None` leaves a value as it is.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Whether events are recorded and sent; stored for every later session of the user.
    pub telemetry: Option<bool>,
    /// Whether events go to the raw log; stored as well.
    pub log: Option<bool>,
    /// The proxy for this session; not stored.
    pub proxy: Option<ProxyChoice>,
}

/// What holds at this moment, for the user to see.
#[derive(Clone, Debug)]
pub struct State {
    /// Whether telemetry is on, and why.
    pub telemetry: Decision,
    /// Whether events go to the raw log, and why.
    pub log: Decision,
    /// Events that wait to be sent.
    pub pending: usize,
    /// What is remembered of delivery.
    pub delivery: Memory,
    /// The last failure on this computer, in words.
    pub failure: Option<String>,
    /// Why nothing of the last connection is sent although telemetry is on (C7).
    pub unreported: Option<String>,
}

/// The session of a process.
pub struct Session {
    id: Uuid,
    facts: HostFacts,
    environment: Environment,
    work: std::result::Result<Work, String>,
    inner: Mutex<Inner>,
}

/// What a session needs in order to work at all.
struct Work {
    paths: Paths,
    sender: Sender,
}

#[derive(Default)]
struct Inner {
    announced: bool,
    /// The lasting ids that were needed so far, by their files.
    ids: HashMap<PathBuf, Uuid>,
    connections: HashMap<u64, Open>,
    last_connection: u64,
    failure: Option<String>,
    unreported: Option<String>,
}

/// An open connection.
struct Open {
    since: Instant,
    /// The random id that stands for the site; `None`: nothing of this connection is sent.
    site: Option<Uuid>,
    /// The connection that the library made itself.
    client: Option<Arc<Client>>,
}

impl Session {
    /// Starts the session and records its `NewSession`, unless something says no; then nothing is touched (S5).
    /// Whatever else fails is kept for [`Session::state`].
    ///
    /// # Errors
    /// [`Error::Argument`] where the host's own connection string cannot be used; there is no session then.
    pub fn start(facts: HostFacts, environment: Environment, paths: Result<Paths>) -> Result<Self> {
        let own = facts.connection_string.as_deref().unwrap_or(BUILT_IN).parse::<Destination>();
        let own = own.map_err(|problem| Error::argument("connection_string", problem))?;
        let destination = match environment.connection_string() {
            None => Ok(own),
            Some(text) => text
                .parse()
                .map_err(|problem| format!("VMS_ApplicationInsights__ConnectionString cannot be used: {problem}")),
        };
        let proxy = if facts.names_proxy { ProxyChoice::Awaited } else { ProxyChoice::Environment };
        let work = paths.map_err(|error| error.to_string()).and_then(|paths| {
            let delivery = Delivery::new(&paths, environment.clone(), destination?);
            Ok(Work { paths, sender: Sender::new(delivery, proxy) })
        });
        let session = Self { id: Uuid::new_v4(), facts, environment, work, inner: Mutex::default() };
        // The reason of a failure is kept for the state; an import never fails because of telemetry (S3).
        let _ = session.announce();
        Ok(session)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn consents(&self) -> bool {
        self.work.as_ref().is_ok_and(|work| work.sender.delivery().consents())
    }

    fn work(&self) -> Result<&Work> {
        self.work.as_ref().map_err(|words| Error::Unusable(words.clone()))
    }

    /// Records `NewSession` where it was not recorded yet and telemetry is on.
    fn announce(&self) -> Result<Outcome> {
        let mut inner = self.inner();
        if inner.announced || !self.consents() {
            return Ok(Outcome::Off);
        }
        let mut event = self.event(Kind::NewSession, &mut inner)?;
        let os = self.facts.os_description.clone().or_else(host::os_description);
        event.set_known(Field::OSDescription, os.map(Value::Text));
        event.set_known(Field::FrameworkDescription, self.facts.framework_description.clone().map(Value::Text));
        event.set_known(Field::ProcessorCount, host::processor_count().map(Value::Count));
        event.set_known(Field::PrivateBytes, platform::private_bytes().map(Value::Count));
        let outcome = self.record(&event, &mut inner)?;
        inner.announced = outcome == Outcome::Recorded;
        Ok(outcome)
    }

    /// Starts an event with the ids of this user and session.
    fn event(&self, kind: Kind, inner: &mut Inner) -> Result<Event> {
        let paths = &self.work()?.paths;
        let user = self.lasting_id(paths.user_id(), inner)?;
        Ok(Event::new(kind, Utc::now(), &self.facts.assembly_version, user, self.id))
    }

    /// Gives the id in a file, which is read once. Where it cannot be stored, a random one serves this session only (I5).
    fn lasting_id(&self, file: PathBuf, inner: &mut Inner) -> Result<Uuid> {
        let lock = self.work()?.paths.identity_lock();
        if let Some(id) = inner.ids.get(&file) {
            return Ok(*id);
        }
        let id = identity::read_or_create(&file, &lock).unwrap_or_else(|error| {
            inner.failure = Some(error.to_string());
            Uuid::new_v4()
        });
        inner.ids.insert(file, id);
        Ok(id)
    }

    /// Stores an event for the sender: the one way that every event takes.
    fn record(&self, event: &Event, inner: &mut Inner) -> Result<Outcome> {
        let work = self.work()?;
        let delivery = work.sender.delivery();
        let stored = delivery.spool.put(event);
        if stored.is_err() && !delivery.consents() {
            // Whoever opted out meanwhile has emptied the spool under the hands of this call.
            return Ok(Outcome::Off);
        }
        let outcome = stored.and_then(|entry| {
            let decisions = delivery.decide();
            if !decisions.telemetry.on {
                return delivery.spool.remove(&entry).map(|()| Outcome::Off);
            }
            if decisions.log.on
                && let Err(error) =
                    log::append(work.paths.log_folder(), &work.paths.log_lock(), event, delivery.destination.key)
            {
                inner.failure = Some(error.to_string());
            }
            Ok(Outcome::Recorded)
        });
        match &outcome {
            Ok(_) => work.sender.kick(),
            Err(error) => inner.failure = Some(error.to_string()),
        }
        outcome
    }

    /// Notes a connection that the host made and records its `NewVmsSession`. Gives the number by which it is closed.
    ///
    /// # Errors
    /// [`Error::TooManyConnections`]; [`Error::File`] where the event cannot be stored. There is no connection then.
    pub fn connect(&self, connection: &Connection) -> Result<(u64, Outcome)> {
        let mut inner = self.inner();
        let number = inner.open(None)?;
        let reported = self.report(number, connection, "the host does not say what it is", &mut inner);
        if reported.is_err() {
            inner.connections.remove(&number);
        }
        Ok((number, reported?))
    }

    /// Records the `NewVmsSession` of an open connection. `why` says why its privacy option is unknown, where it is.
    fn report(&self, number: u64, connection: &Connection, why: &str, inner: &mut Inner) -> Result<Outcome> {
        inner.unreported = None;
        if connection.policy == UsageDataPolicy::Off && self.consents() {
            self.obey_policy(inner)?;
        }
        if !self.consents() {
            return Ok(Outcome::Off);
        }
        if connection.policy == UsageDataPolicy::Unknown {
            inner.unreported = Some(format!(
                "nothing of the last connection is sent, as the VMS's option for usage data is not known: {why}"
            ));
            return Ok(Outcome::Off);
        }
        let site = self.lasting_id(self.work()?.paths.site_id(connection.site), inner)?;
        let mut event = self.event(Kind::NewVmsSession, inner)?;
        let text = |text: &Option<String>| text.clone().map(Value::Text);
        event.set(Field::UserType, Value::Text(connection.user_type.to_owned()));
        event.set_known(Field::IsOAuthConnection, connection.is_oauth.map(Value::Flag));
        event.set_known(Field::EncryptionEnabled, connection.is_encrypted.map(Value::Flag));
        event.set_known(Field::ProductVersion, text(&connection.product_version));
        event.set_known(Field::ProductName, text(&connection.product_name));
        event.set(Field::SiteId, Value::Id(site));
        for (field, count) in &connection.counts {
            event.set_known(*field, count.map(|count| Value::Count(count.into())));
        }
        let outcome = self.record(&event, inner)?;
        if let (Outcome::Recorded, Some(open)) = (outcome, inner.connections.get_mut(&number)) {
            open.site = Some(site);
        }
        Ok(outcome)
    }

    /// Begins to log on to a VMS, on a thread of its own, and returns at once. Gives the number by which the connection is
    /// looked at and closed. Its `NewVmsSession` is recorded when the VMS was counted, or when [`Session::settle`] does not
    /// wait for that.
    ///
    /// # Errors
    /// [`Error::TooManyConnections`]; [`Error::Unusable`] where there can be no thread.
    pub fn connect_vms(self: &Arc<Self>, logon: Logon) -> Result<u64> {
        let client = Arc::new(Client::new(&logon));
        let number = self.inner().open(Some(client.clone()))?;
        let session = self.clone();
        let serve = move || {
            // A panic must not leave a caller behind who waits for the next stage.
            if catch_unwind(AssertUnwindSafe(|| session.serve(number, logon, &client))).is_err() {
                client.enter(Stage::Failed);
            }
        };
        let thread = thread::Builder::new().name(vms::THREAD.to_owned()).stack_size(vms::STACK).spawn(serve);
        thread.map(|_| number).map_err(|cause| {
            self.inner().connections.remove(&number);
            Error::Unusable(format!("no thread can be started: {cause}"))
        })
    }

    /// The thread of a connection: logs on and, where telemetry is on, reads the privacy option and counts.
    fn serve(&self, number: u64, logon: Logon, client: &Client) {
        let logged_on = match vms::log_on(logon, client) {
            Ok(logged_on) => logged_on,
            Err(failure) => {
                return client.change(|known| (known.stage, known.failure) = (Stage::Failed, Some(failure)));
            }
        };
        if let Some(open) = self.inner().connections.get_mut(&number) {
            open.since = Instant::now();
        }
        client.enter(Stage::Counting);
        if self.consents() && !client.is_closed() {
            match logged_on.read_policy(client) {
                UsageDataPolicy::On | UsageDataPolicy::NotOffered => {
                    logged_on.count(client, &|| self.consents());
                }
                // Whoever closed the connection meanwhile has met such a VMS all the same.
                UsageDataPolicy::Off if self.consents() => drop(self.obey_policy(&mut self.inner())),
                UsageDataPolicy::Off | UsageDataPolicy::Unknown => {}
            }
        }
        // What failed is in the state.
        let _ = self.settle(number, Duration::ZERO);
        client.enter(Stage::Connected);
    }

    /// Waits until a connection of [`Session::connect_vms`] is counted, at most so long, and records its `NewVmsSession` with
    /// what is known by then, once.
    ///
    /// # Errors
    /// [`Error::NoSuchConnection`]; [`Error::File`] where the event cannot be stored.
    pub fn settle(&self, number: u64, longest: Duration) -> Result<Outcome> {
        let client = self.client(number)?;
        drop(client.wait(|stage| stage == Stage::Counting, longest));
        let mut inner = self.inner();
        let Some((connection, why)) = facts(&client.known(), client.user_type()) else {
            return Ok(Outcome::Off);
        };
        if !inner.connections.contains_key(&number) {
            return Err(Error::NoSuchConnection);
        }
        let outcome = self.report(number, &connection, &why, &mut inner);
        client.change(|known| known.reported = Some(matches!(outcome, Ok(Outcome::Recorded))));
        outcome
    }

    /// Gives a connection of [`Session::connect_vms`].
    ///
    /// # Errors
    /// [`Error::NoSuchConnection`].
    pub fn client(&self, number: u64) -> Result<Arc<Client>> {
        self.inner().connections.get(&number).and_then(|open| open.client.clone()).ok_or(Error::NoSuchConnection)
    }

    /// Switches telemetry off for this user because a VMS forbids it (C6). Where that cannot be stored it holds for this
    /// session at least.
    fn obey_policy(&self, inner: &mut Inner) -> Result<()> {
        let sender = &self.work()?.sender;
        if let Err(error) = self.store(Settings { telemetry: Some(false), by_policy: true, log: None }, inner) {
            sender.delivery().refuse(true);
            inner.failure = Some(error.to_string());
            return sender.purge();
        }
        Ok(())
    }

    /// Forgets a connection and records its `CloseVmsSession`.
    ///
    /// # Errors
    /// [`Error::NoSuchConnection`]; [`Error::File`] where the event cannot be stored, the connection is closed then too.
    pub fn disconnect(&self, number: u64) -> Result<Outcome> {
        // What cannot be reported stands in nobody's way.
        let _ = self.settle(number, COUNTING_PATIENCE);
        let mut inner = self.inner();
        let open = inner.connections.remove(&number).ok_or(Error::NoSuchConnection)?;
        if let Some(client) = open.client {
            client.close();
        }
        let (Some(site), true) = (open.site, self.consents()) else {
            return Ok(Outcome::Off);
        };
        let mut event = self.event(Kind::CloseVmsSession, &mut inner)?;
        event.set(Field::SiteId, Value::Id(site));
        event.set(Field::ConnectionDuration, Value::Seconds(open.since.elapsed().as_millis() as f64 / 1000.0));
        event.set_known(Field::PrivateBytes, platform::private_bytes().map(Value::Count));
        self.record(&event, &mut inner)
    }

    /// Changes the configuration; a choice holds when this returns (C3, C4).
    ///
    /// # Errors
    /// [`Error::Settings`] and [`Error::File`] where the choice cannot be stored; all is as it was then.
    pub fn set_config(&self, change: Change) -> Result<()> {
        if change.telemetry.is_some() || change.log.is_some() {
            let choice = Settings { telemetry: change.telemetry, log: change.log, by_policy: false };
            self.store(choice, &mut self.inner())?;
        }
        if let (Some(proxy), Ok(work)) = (change.proxy, &self.work) {
            work.sender.set_proxy(proxy);
        }
        if change.telemetry == Some(true) {
            self.announce()?;
        }
        Ok(())
    }

    /// Stores a choice. A "no" deletes what waits; so does a "yes" after a "no", as a process that died in the middle of
    /// recording may have left something behind. What the environment says is of this process, and deletes nothing.
    fn store(&self, choice: Settings, inner: &mut Inner) -> Result<()> {
        let work = self.work()?;
        let delivery = work.sender.delivery();
        let change = || settings::change(&work.paths.settings(), &work.paths.settings_lock(), choice);
        match choice.telemetry {
            Some(true) => {
                if settings::read(&delivery.settings)?.telemetry == Some(false) {
                    delivery.spool.purge()?;
                }
                change()?;
                delivery.refuse(false);
                Ok(())
            }
            Some(false) => {
                change()?;
                // A NewSession that was never sent is sent when telemetry is on again (C4).
                inner.announced &= !self.waits_to_be_announced(delivery);
                work.sender.purge()
            }
            None => change(),
        }
    }

    fn waits_to_be_announced(&self, delivery: &Delivery) -> bool {
        let entries = delivery.spool.entries().unwrap_or_default();
        let events = entries.iter().filter_map(|entry| delivery.spool.read(entry, Utc::now()).ok()?);
        let id = self.id.to_string();
        events.filter(|event| event.kind() == Kind::NewSession).any(|event| event.session() == id)
    }

    /// Shows what holds at this moment.
    pub fn state(&self) -> State {
        let Inner { failure, unreported, .. } = &*self.inner();
        let (failure, unreported) = (failure.clone(), unreported.clone());
        match &self.work {
            Ok(work) => {
                let delivery = work.sender.delivery();
                let Decisions { telemetry, log } = delivery.decide();
                let pending = delivery.spool.entries().map_or(0, |entries| entries.len());
                State { telemetry, log, pending, delivery: delivery.memory(), failure, unreported }
            }
            Err(words) => {
                let Decisions { mut telemetry, log } = config::decide(&self.environment, &Ok(Settings::default()));
                if telemetry.on {
                    telemetry = Decision { on: false, layer: Layer::Unusable, words: words.clone() };
                }
                State { telemetry, log, pending: 0, delivery: Memory::default(), failure, unreported }
            }
        }
    }

    /// Gives the paths that the session works with, where it has any.
    pub fn paths(&self) -> Option<&Paths> {
        self.work.as_ref().ok().map(|work| &work.paths)
    }

    /// Tells whether the background thread runs at this moment.
    pub fn is_sending(&self) -> bool {
        self.work.as_ref().is_ok_and(|work| work.sender.is_running())
    }

    /// Tells whether `NewSession` is recorded.
    pub fn is_announced(&self) -> bool {
        self.inner().announced
    }

    /// Gives the random id of the session.
    pub fn id(&self) -> Uuid {
        self.id
    }
}

impl Inner {
    /// Notes a connection of which nothing is reported yet.
    fn open(&mut self, client: Option<Arc<Client>>) -> Result<u64> {
        if self.connections.len() >= CONNECTION_LIMIT {
            return Err(Error::TooManyConnections);
        }
        self.last_connection += 1;
        self.connections.insert(self.last_connection, Open { since: Instant::now(), site: None, client });
        Ok(self.last_connection)
    }
}

/// Gives what is known of a connection that stands and was not reported yet, and why its privacy option is unknown.
fn facts(known: &Known, user_type: &'static str) -> Option<(Connection, String)> {
    let stands = matches!(known.stage, Stage::Counting | Stage::Connected);
    let site = known.site.as_ref().filter(|_| stands && known.reported.is_none())?;
    let connection = Connection {
        site: site.id,
        user_type,
        // Every token is one of the VMS's identity provider.
        is_oauth: Some(true),
        is_encrypted: known.origin.as_ref().map(|origin| origin.is_encrypted()),
        product_version: site.version.clone(),
        product_name: known.product.clone(),
        policy: known.policy.unwrap_or(UsageDataPolicy::Unknown),
        counts: known.counts.iter().map(|(field, count)| (*field, Some(*count))).collect(),
    };
    let why = known.policy_unknown.clone().unwrap_or_else(|| "it was not read in time".to_owned());
    Some((connection, why))
}

/// Gives a moment of [`Memory`] as text.
pub fn moment(seconds: i64) -> Option<String> {
    DateTime::from_timestamp(seconds, 0).map(|time| time.to_rfc3339())
}
