//! The endpoint as its owner sees it: how it is started, told what to do, asked and ended.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use loopback::{Listener, Server};
use rustls::ServerConfig;

use crate::received::Received;
use crate::reply::Reply;
use crate::script::Script;
use crate::store::{Observer, Store};
use crate::unreachable::Unreachable;

/// A running endpoint. Dropping it closes every connection and frees the port.
pub struct Collector(Server<Store>);

/// Starts a [`Collector`] that differs from the default one: a free port, plain HTTP, no observer, no
/// script.
#[derive(Default)]
pub struct Builder {
    port: u16,
    nobody: Option<Unreachable>,
    tls: Option<Arc<ServerConfig>>,
    observer: Option<Observer>,
    script: Script,
}

impl Builder {
    /// Sets the port to listen on; 0, the default, takes a free one.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Listens on the port where nobody listened so far. It was never free, so nobody else can have been given it.
    #[must_use]
    pub fn instead_of(mut self, nobody: Unreachable) -> Self {
        self.nobody = Some(nobody);
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

    /// Begins with these replies.
    #[must_use]
    pub fn script(mut self, script: Script) -> Self {
        self.script = script;
        self
    }

    /// Starts listening.
    ///
    /// # Errors
    /// The port is taken or may not be used, or no thread can be started.
    pub fn start(self) -> io::Result<Collector> {
        let store = Store::new(self.observer, self.script);
        let listener = match self.nobody {
            Some(nobody) => Listener::new(nobody.listen()?, self.tls),
            None => Listener::bind(self.port, self.tls),
        }?;
        listener.serve(store).map(Collector)
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
        self.0.port()
    }

    /// Returns the address of its root, such as `http://127.0.0.1:4711/`.
    #[must_use]
    pub fn url(&self) -> String {
        self.0.url().to_owned()
    }

    /// Returns the connection string that makes a client with this instrumentation key send to it.
    #[must_use]
    pub fn connection_string(&self, ikey: &str) -> String {
        connection_string(ikey, &self.url())
    }

    /// Appends replies for the next requests to a track path, one each; without any, it clears what was scripted so.
    pub fn script(&self, replies: &[Reply]) {
        self.load(None, replies.into());
    }

    /// Makes this the reply to all requests for which there is no other.
    pub fn always(&self, reply: Reply) {
        self.load(None, Script { then: Some(reply), ..Script::default() });
    }

    /// Returns to normal service: clears all scripts. Requests that are held stay held.
    pub fn normal(&self) {
        self.store().clear_plan();
    }

    /// Appends a script for the requests whose first item has this instrumentation key, or for all requests. Its `then`
    /// replaces an earlier one, an empty script clears the earlier ones. A key's own script goes first.
    pub fn load(&self, ikey: Option<&str>, script: Script) {
        self.store().plan(ikey, script);
    }

    /// Lets go all requests that [`Reply::Hold`] and [`Reply::Silent`] hold at this moment.
    pub fn release(&self) {
        self.store().0.release(None);
    }

    /// Waits until at least `count` requests are held or the time is over, and returns how many are. A request whose client
    /// has given up stays held.
    #[must_use]
    pub fn wait_held(&self, count: usize, timeout: Duration) -> usize {
        self.store().0.wait_held(None, count, timeout)
    }

    /// Returns how many requests to a track path have arrived in full, whatever became of them.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.wait_for_requests(0, Duration::ZERO)
    }

    /// Waits until at least `count` requests to a track path have arrived in full or the time is over, and returns how many
    /// have. The items of the last ones may not be recorded yet.
    #[must_use]
    pub fn wait_for_requests(&self, count: usize, timeout: Duration) -> usize {
        self.store().wait_requests(None, count, timeout)
    }

    /// Waits until at least `count` items with the instrumentation key (with any, if `None`) have arrived or the time is
    /// over, and returns all that are there, refused ones among them, in order of arrival.
    #[must_use]
    pub fn wait_for(&self, ikey: Option<&str>, count: usize, timeout: Duration) -> Vec<Received> {
        self.store().wait(ikey, false, count, timeout)
    }

    /// Does the same, but counts and returns only items that were taken.
    #[must_use]
    pub fn wait_for_accepted(&self, ikey: Option<&str>, count: usize, timeout: Duration) -> Vec<Received> {
        self.store().wait(ikey, true, count, timeout)
    }

    /// Returns all items that have arrived, in order of arrival.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.wait_for(None, 0, Duration::ZERO)
    }

    /// Returns the items with the instrumentation key that were taken, one that was sent twice as often as it was taken.
    #[must_use]
    pub fn accepted_for(&self, ikey: &str) -> Vec<Received> {
        self.wait_for_accepted(Some(ikey), 0, Duration::ZERO)
    }

    /// Returns how many TCP connections were ever accepted: 0 proves that nobody called.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.store().0.connections()
    }

    fn store(&self) -> &Store {
        self.0.service()
    }
}

pub(crate) fn connection_string(ikey: &str, url: &str) -> String {
    format!("InstrumentationKey={ikey};IngestionEndpoint={url}")
}
