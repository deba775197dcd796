//! The consent check of a connection to Application Insights. It is below TLS: no byte of a request leaves the process without
//! it, not even a TLS hello (C10).
//!
//! Consent is checked before a connection begins, before its first bytes and before the first bytes of each request. The check
//! returns a guard: a shared lock on the settings. A process that changes the settings takes that lock exclusively. The guard is
//! held only while the first bytes are written. They fit into the empty buffer of a socket, so the write does not block,
//! whatever the other side does. The rest of a request that has begun may finish (C3).
//!
//! One thing is not below it: `ureq` connects to a SOCKS proxy by itself. Consent is checked before that begins. An opt-out while it
//! runs, 5 seconds at most, lets the proxy still be told the name of the endpoint. No event is sent.

use std::fmt;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ureq::Error;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

/// Bytes that are written under the guard: less than one segment of TCP, so that the write never waits for the other side.
const FIRST_BYTES: usize = 1_024;

/// Why nothing may be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoConsent {
    /// Telemetry was turned off, or the events were deleted.
    Withdrawn,
    /// Nothing may be sent now, for this reason.
    Postponed(String),
}

impl fmt::Display for NoConsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Withdrawn => f.write_str("telemetry was turned off"),
            Self::Postponed(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for NoConsent {}

impl From<NoConsent> for Error {
    fn from(closed: NoConsent) -> Self {
        Self::Other(Box::new(closed))
    }
}

/// Checks consent, and returns the guard.
type Ask = dyn Fn() -> Result<File, NoConsent> + Send + Sync;

/// The consent check of one HTTP agent, which makes one request at a time.
pub struct Gate {
    ask: Box<Ask>,
    /// Whether the next bytes are the first ones of a connection or of a request.
    first: AtomicBool,
}

impl Gate {
    pub fn new(ask: impl Fn() -> Result<File, NoConsent> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { ask: Box::new(ask), first: AtomicBool::new(true) })
    }

    /// Checks consent before a request begins, a name is looked up or a connection begins. The error is a [`NoConsent`] in
    /// [`Error::Other`].
    pub fn check(&self) -> Result<(), Error> {
        (self.ask)().map(drop).map_err(Error::from)
    }

    /// Requires another check before the next bytes.
    pub fn begin(&self) {
        self.first.store(true, Ordering::SeqCst);
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gate")
    }
}

/// The connector between TCP and TLS. The client of a VMS has no gate: a logon is what the user asked for.
#[derive(Debug)]
pub struct BelowTls(pub Option<Arc<Gate>>);

impl<In: Transport> Connector<In> for BelowTls {
    type Out = ConsentTransport<In>;

    fn connect(&self, _: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        self.0.iter().for_each(|gate| gate.begin());
        Ok(chained.map(|inner| ConsentTransport { inner, gate: self.0.clone() }))
    }
}

/// The connector above TLS. After the handshake come the first bytes of a request, which need a check of their own.
#[derive(Debug)]
pub struct AboveTls(pub Option<Arc<Gate>>);

impl<In: Transport> Connector<In> for AboveTls {
    type Out = In;

    fn connect(&self, _: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<In>, Error> {
        self.0.iter().for_each(|gate| gate.begin());
        Ok(chained)
    }
}

/// A connection that checks consent.
#[derive(Debug)]
pub struct ConsentTransport<In> {
    inner: In,
    gate: Option<Arc<Gate>>,
}

impl<In: Transport> ConsentTransport<In> {
    /// Sends the first bytes under the guard, and returns how many.
    fn transmit_first(&mut self, gate: &Gate, amount: usize, timeout: NextTimeout) -> Result<usize, Error> {
        let guard = (gate.ask)().inspect_err(|_| gate.begin())?;
        let first = amount.min(FIRST_BYTES);
        self.inner.transmit_output(first, timeout)?;
        drop(guard);
        self.inner.buffers().output().copy_within(first..amount, 0);
        Ok(first)
    }
}

impl<In: Transport> Transport for ConsentTransport<In> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let mut rest = amount;
        if let Some(gate) = self.gate.clone()
            && gate.first.swap(false, Ordering::SeqCst)
        {
            rest -= self.transmit_first(&gate, amount, timeout)?;
        }
        if rest > 0 { self.inner.transmit_output(rest, timeout) } else { Ok(()) }
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.inner.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}
