//! A stand-in for an XProtect Management Server: its identity provider, its API Gateway and its configuration REST API, on
//! the loopback address, for demonstrations and for tests of clients.
//!
//! A request goes one way: the crate `loopback` reads it into a value, `gateway` records it and finds what answers its path
//! (`idp` for tokens, `rest` for the rest), and then changes the answer if a [`Fault`] says so. `model` is the configuration,
//! `state` what changes while the VMS runs; each module uses only those before it: `form`, `model`, `state`, `idp`, `rest`,
//! `gateway`.
//!
//! - It follows Milestone's documentation and samples; where servers differ, [`Quirks`] chooses.
//! - A site is a few numbers and a seed: nothing of it is stored, and no list is ever held whole.
//!
//! ```
//! use vms_demo::{Config, DemoVms, User};
//!
//! let config = Config { users: vec![User::basic("reader", "not-a-secret")], ..Config::default() };
//! let vms = DemoVms::start(config)?;
//! assert!(vms.url().starts_with("http://127.0.0.1:"));
//! assert_eq!(vms.counts_with_disabled().hardware, 30);
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # The configuration file
//!
//! The program `vms-demo` reads one JSON file: a [`Config`], with its members in camelCase. This is `example.json`; to serve
//! HTTPS, add `"tls": "selfSigned"`.
//!
//! ```json
#![doc = include_str!("../example.json")]
//! ```

mod form;
mod gateway;
mod idp;
mod model;
mod rest;
mod state;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use loopback::{Listener, Server, lock};
use rustls::ServerConfig;

use crate::model::kind::Kind;
use crate::state::Vms;

pub use loopback::tls;
pub use model::config::{AccessToken, Config, Quirks};
pub use model::fault::{Effect, Fault};
pub use model::kind::Counts;
pub use model::privacy::Privacy;
pub use model::site::{Disabled, Site};
pub use model::user::{User, UserKind, UserState};
pub use state::journal::Received;

/// A running VMS. Dropping it closes every connection and frees the port.
pub struct DemoVms(Server<Vms>);

impl DemoVms {
    /// Starts a VMS, over HTTPS if the configuration names a kind of certificate.
    ///
    /// # Errors
    /// The port is taken, the site is too large, or no thread can be started.
    pub fn start(config: Config) -> io::Result<Self> {
        let tls = config.tls.map(|leaf| tls::Authority::new()?.server(leaf)).transpose()?;
        Self::run(config, tls)
    }

    /// Starts a VMS over HTTPS, with this instead of the configuration's certificate.
    ///
    /// # Errors
    /// As [`DemoVms::start`].
    pub fn start_tls(config: Config, tls: Arc<ServerConfig>) -> io::Result<Self> {
        Self::run(config, Some(tls))
    }

    fn run(config: Config, tls: Option<Arc<ServerConfig>>) -> io::Result<Self> {
        let listener = Listener::bind(config.port, tls)?;
        let vms = Vms::new(config, &listener.url())?;
        listener.serve(vms).map(Self)
    }

    /// Returns the port that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.port()
    }

    /// Returns the server's address, such as `http://127.0.0.1:4711/`.
    #[must_use]
    pub fn url(&self) -> String {
        self.0.url().to_owned()
    }

    /// Returns the id of the site.
    #[must_use]
    pub fn site_id(&self) -> String {
        self.vms().config.site.id(Kind::Site, 0)
    }

    /// Counts what is enabled; a device counts only if its hardware is enabled too.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.vms().config.site.counts(false)
    }

    /// Counts everything.
    #[must_use]
    pub fn counts_with_disabled(&self) -> Counts {
        self.vms().config.site.counts(true)
    }

    /// Changes what the privacy option looks like from the next request on.
    pub fn set_privacy(&self, privacy: Privacy) {
        *lock(&self.vms().privacy) = privacy;
    }

    /// Replaces all faults; counting begins anew.
    pub fn set_faults(&self, faults: Vec<Fault>) {
        self.vms().faults.set(faults);
    }

    /// Releases the requests for the path (for any, if `None`) that a [`Fault`] holds at this moment, and returns their number.
    pub fn release(&self, path: Option<&str>) -> usize {
        self.vms().journal.release(path)
    }

    /// Waits until at least `count` requests for the path are held or the time is over, and returns how many are. A request
    /// whose client has given up stays held.
    #[must_use]
    pub fn wait_held(&self, path: Option<&str>, count: usize, timeout: Duration) -> usize {
        self.vms().journal.wait_held(path, count, timeout)
    }

    /// Makes every access token that was ever given out expire now.
    pub fn expire_tokens(&self) {
        self.vms().tokens.expire();
    }

    /// Waits until at least `count` requests for the path (compared without case; for any path, if `None`) have arrived or the
    /// time is over, and returns all that are there, in order of arrival.
    #[must_use]
    pub fn wait_for(&self, path: Option<&str>, count: usize, timeout: Duration) -> Vec<Received> {
        let matches = |one: &&Received| path.is_none_or(|path| one.path.eq_ignore_ascii_case(path));
        let ready = |all: &Vec<Received>| all.iter().filter(matches).count() >= count;
        self.vms().journal.wait(timeout, ready, |all| all.iter().filter(matches).cloned().collect())
    }

    /// Returns all requests that have arrived, in order of arrival.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.wait_for(None, 0, Duration::ZERO)
    }

    /// Returns how many TCP connections were ever accepted: 0 proves that nobody called.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.vms().journal.connections()
    }

    fn vms(&self) -> &Vms {
        self.0.service()
    }
}
