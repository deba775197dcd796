//! A stand-in for an XProtect Management Server: its identity provider, its API Gateway and its configuration REST API, on
//! the loopback address, for demonstrations and for tests of clients.
//!
//! A request goes one way: `server` accepts the connection, the crate `loopback` reads the request into a value, `journal` records it,
//! `gateway` finds who answers its path (`idp` and `login` for tokens, `rest` for the rest), and `fault` writes the answer,
//! or what a test wants instead of it.
//!
//! - It follows Milestone's documentation and samples; where servers differ, [`Quirks`] chooses.
//! - A site is a few numbers and a seed: nothing of it is stored, and no list is ever held whole.
//! - Nothing that a client sends can stop it: sizes, connections and waits are bounded.
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
//! HTTPS, add `"tls": { "certificate": "chain.pem", "key": "key.pem" }`.
//!
//! ```json
#![doc = include_str!("../example.json")]
//! ```
#![deny(unsafe_code)]
#![warn(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::allow_attributes_without_reason
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "a test may fail"
    )
)]

mod answer;
mod config;
mod events;
mod fault;
mod form;
mod gateway;
mod idp;
mod items;
mod journal;
mod kind;
mod list;
mod login;
mod negotiate;
mod ntlm;
mod privacy;
mod random;
mod rc4;
mod rest;
mod server;
mod site;
mod spnego;
mod tls;
mod tokens;
mod user;
mod vms;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustls::ServerConfig;

pub use config::{AccessToken, Config, PemFiles, Quirks, Scheme};
pub use fault::{Effect, Fault};
pub use journal::Received;
pub use kind::Counts;
pub use privacy::Privacy;
pub use site::{Disabled, Site};
pub use user::{Provider, Service, User, UserKind, UserState};
use vms::{Vms, lock};

/// A running VMS. Dropping it closes every connection and frees the port.
pub struct DemoVms {
    address: SocketAddr,
    scheme: &'static str,
    vms: Arc<Vms>,
    accepting: Option<JoinHandle<()>>,
}

impl DemoVms {
    /// Starts a VMS, over HTTPS if the configuration names a certificate.
    ///
    /// # Errors
    /// The port is taken, the certificate cannot be used, the site is too large, or no thread can be started.
    pub fn start(config: Config) -> io::Result<Self> {
        let tls = config.tls.as_ref().map(tls::load).transpose()?;
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
        config.site.check()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, config.port))?;
        let address = listener.local_addr()?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let base = config.advertise.clone().unwrap_or_else(|| format!("{scheme}://{address}"));
        let vms = Arc::new(Vms::new(config, base.trim_end_matches('/').to_owned()));
        let accepting = thread::Builder::new().name("vms-demo".to_owned()).spawn({
            let vms = Arc::clone(&vms);
            move || server::run(&listener, tls.as_ref(), &vms)
        })?;
        Ok(Self { address, scheme, vms, accepting: Some(accepting) })
    }

    /// Returns the port that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Returns the server's address, such as `http://127.0.0.1:4711/`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}/", self.scheme, self.address)
    }

    /// Returns the id of the site.
    #[must_use]
    pub fn site_id(&self) -> String {
        self.vms.config.site.id(kind::Kind::Site, 0)
    }

    /// Counts what is enabled; a device counts only if its hardware is enabled too.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.vms.config.site.counts(false)
    }

    /// Counts everything.
    #[must_use]
    pub fn counts_with_disabled(&self) -> Counts {
        self.vms.config.site.counts(true)
    }

    /// Changes what the privacy option looks like from the next request on.
    pub fn set_privacy(&self, privacy: Privacy) {
        *lock(&self.vms.privacy) = privacy;
    }

    /// Replaces all faults; counting begins anew.
    pub fn set_faults(&self, faults: Vec<Fault>) {
        self.vms.faults.set(faults);
    }

    /// Releases the requests for the path (for any, if `None`) that a [`Fault`] holds at this moment, and returns their number.
    pub fn release(&self, path: Option<&str>) -> usize {
        self.vms.journal.release(path)
    }

    /// Waits until at least `count` requests for the path are held or the time is over, and returns how many are. A request
    /// whose client has given up stays held.
    #[must_use]
    pub fn wait_held(&self, path: Option<&str>, count: usize, timeout: Duration) -> usize {
        self.vms.journal.wait_held(path, count, timeout)
    }

    /// Makes every access token that was ever given out expire now.
    pub fn expire_tokens(&self) {
        self.vms.tokens.expire();
    }

    /// Waits until at least `count` requests for the path (compared without case; for any path, if `None`) have arrived or the
    /// time is over, and returns all that are there, in order of arrival.
    #[must_use]
    pub fn wait_for(&self, path: Option<&str>, count: usize, timeout: Duration) -> Vec<Received> {
        self.vms.journal.wait_for(path, count, timeout)
    }

    /// Returns all requests that have arrived, in order of arrival.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.wait_for(None, 0, Duration::ZERO)
    }

    /// Returns how many TCP connections were ever accepted: 0 proves that nobody called.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.vms.journal.connections()
    }
}

impl Drop for DemoVms {
    fn drop(&mut self) {
        self.vms.journal.stop();
        // The accepting thread sleeps until somebody connects; if this fails, somebody else's connection wakes it.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}
