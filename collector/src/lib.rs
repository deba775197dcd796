//! A local endpoint that speaks the Application Insights ingestion protocol, for demonstrations and tests.
//!
//! A request goes one way: `server` accepts the connection, `http` reads the request into a value, `ingest` judges it
//! (each item by `envelope`) and decides the answer, `store` keeps each item and wakes who waits for it, and then the answer is written. So an item that
//! was answered can be read at once.
//!
//! - Listens on loopback only, and keeps everything that arrived until it is dropped.
//! - Nothing that a client sends can stop it: sizes, connections and waits are bounded.
//! - It is stricter than the service: an envelope with any member or tag that it does not know is refused.
//!
//! ```
//! let collector = vms_collector::Collector::start()?;
//! let text = collector.connection_string("11111111-2222-4333-8444-555555555555");
//! assert!(text.ends_with(&format!(";IngestionEndpoint=http://127.0.0.1:{}/", collector.port())));
//! # Ok::<(), std::io::Error>(())
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

mod envelope;
mod http;
mod ingest;
mod server;
mod store;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustls::ServerConfig;

pub use store::Received;
use store::{Observer, Store};

/// A running endpoint. Dropping it closes every connection and frees the port.
pub struct Collector {
    address: SocketAddr,
    scheme: &'static str,
    store: Arc<Store>,
    accepting: Option<JoinHandle<()>>,
}

/// Starts a [`Collector`] that differs from the default one: a free port, plain HTTP, no observer.
#[derive(Default)]
pub struct Builder {
    port: u16,
    tls: Option<Arc<ServerConfig>>,
    observer: Option<Observer>,
}

impl Builder {
    /// Sets the port to listen on; 0, the default, takes a free one.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Serves HTTPS with this configuration instead of HTTP.
    #[must_use]
    pub fn tls(mut self, config: Arc<ServerConfig>) -> Self {
        self.tls = Some(config);
        self
    }

    /// Calls `observer` for every item in order of arrival, before its request is answered and before
    /// [`Collector::wait_for`] returns it. It must not call the collector.
    #[must_use]
    pub fn on_received(mut self, observer: impl FnMut(&Received) + Send + 'static) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// Starts listening.
    ///
    /// # Errors
    /// The port is taken or may not be used, or no thread can be started.
    pub fn start(self) -> io::Result<Collector> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port))?;
        let address = listener.local_addr()?;
        let store = Arc::new(Store::new(self.observer));
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let accepting = thread::Builder::new().name("collector".to_owned()).spawn({
            let store = Arc::clone(&store);
            move || server::run(&listener, self.tls.as_ref(), &store)
        })?;
        Ok(Collector { address, scheme, store, accepting: Some(accepting) })
    }
}

impl Collector {
    /// Starts a collector on a free port, over HTTP.
    ///
    /// # Errors
    /// No port or no thread is to be had.
    pub fn start() -> io::Result<Self> {
        Self::builder().start()
    }

    /// Returns a builder for a collector with a given port, with TLS or with an observer.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Returns the port that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Returns the address of its root, such as `http://127.0.0.1:4711/`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}/", self.scheme, self.address)
    }

    /// Returns the connection string that makes a client with this instrumentation key send to it.
    #[must_use]
    pub fn connection_string(&self, ikey: &str) -> String {
        format!("InstrumentationKey={ikey};IngestionEndpoint={}", self.url())
    }

    /// Waits until at least `count` items with the instrumentation key (with any, if `None`) have arrived or the time is
    /// over, and returns all that are there, refused ones among them, in order of arrival.
    #[must_use]
    pub fn wait_for(&self, ikey: Option<&str>, count: usize, timeout: Duration) -> Vec<Received> {
        self.store.wait(ikey, count, timeout)
    }

    /// Returns all items that have arrived, in order of arrival.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.wait_for(None, 0, Duration::ZERO)
    }

    /// Returns how many TCP connections were ever accepted: 0 proves that nobody called.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.store.connections()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.store.stop();
        // The accepting thread sleeps until somebody connects; if this fails, somebody else's connection wakes it.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}
