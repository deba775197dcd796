//! The one background thread, which lives only while something is pending (D8). It sleeps between attempts, and dies with the
//! process without delaying it.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::Utc;
use url::Url;

use crate::consent::LOCK_TIMEOUT;
use crate::delivery::{Delivery, Next};
use crate::error::Result;
use crate::gate::Gate;
use crate::proxy::{self, ProxyChoice};
use crate::tls::STACK;
use crate::transport::Https;

pub const THREAD: &str = "vms-telemetry";
/// No request begins sooner after a session's start, so that a script whose first command opts out sends nothing (S6).
const FIRST_REQUEST: Duration = Duration::from_secs(1);
/// A request begins when no event followed for this long, so that the events of a script share a request …
const BATCH_DELAY: Duration = Duration::from_millis(50);
/// … or after this. Both are choices: no user sees the delay.
const MAX_BATCH_DELAY: Duration = Duration::from_millis(250);
/// First and longest wait between two tries to store the opt-out of a VMS.
const STORE_WAITS: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(60)];

/// The owner of the background thread.
pub struct Sender {
    delivery: Arc<Delivery>,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    start: Instant,
}

struct State {
    proxy: ProxyChoice,
    /// See [`Https::redirected`].
    redirected: Option<Url>,
    is_running: bool,
    has_work: bool,
    /// No request begins for so long after the start. `None`: the hold was ended.
    hold: Option<Duration>,
}

impl State {
    /// Returns how long the first request has to wait, so long after the start.
    fn until_first_request(&self, elapsed: Duration) -> Option<Duration> {
        FIRST_REQUEST.max(self.hold.unwrap_or_default()).checked_sub(elapsed)
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, timeout: Duration) -> MutexGuard<'a, State> {
        self.wake.wait_timeout(state, timeout).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Waits for the time of the first request and for the batching delay. Returns the proxy.
    fn wait_for_batch(&self) -> ProxyChoice {
        let mut state = self.state();
        while let Some(left) = state.until_first_request(self.start.elapsed()) {
            state = self.wait(state, left);
        }
        let stop = Instant::now() + MAX_BATCH_DELAY;
        while std::mem::take(&mut state.has_work) && Instant::now() < stop {
            state = self.wait(state, BATCH_DELAY);
        }
        state.proxy.clone()
    }

    /// Waits for the next attempt, or for new work.
    fn sleep(&self, timeout: Duration) {
        let state = self.state();
        if !state.has_work {
            drop(self.wait(state, timeout));
        }
    }

    /// Ends the thread unless there is new work; returns whether it ends.
    fn end(&self) -> bool {
        let mut state = self.state();
        state.is_running = state.has_work;
        !state.is_running
    }
}

impl Sender {
    /// No thread starts before [`Sender::wake`].
    pub fn new(delivery: Delivery, proxy: ProxyChoice, hold: Duration) -> Self {
        let hold = Some(hold).filter(|hold| !hold.is_zero());
        let state = Mutex::new(State { proxy, redirected: None, is_running: false, has_work: false, hold });
        let shared = Shared { state, wake: Condvar::new(), start: Instant::now() };
        Self { delivery: Arc::new(delivery), shared: Arc::new(shared) }
    }

    pub fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    /// Signals the thread that there is work, and starts it if it does not run. Returns at once.
    pub fn wake(&self) {
        let mut state = self.shared.state();
        state.has_work = true;
        if state.is_running {
            self.shared.wake.notify_all();
        } else if state.proxy != ProxyChoice::Awaited || self.delivery.consent.is_vms_opt_out_unstored() {
            let (delivery, shared) = (self.delivery.clone(), self.shared.clone());
            let thread = std::thread::Builder::new().name(THREAD.to_owned()).stack_size(STACK);
            // Without a thread the events stay on disk, and the next call tries again.
            state.is_running = thread.spawn(move || run(&delivery, &shared)).is_ok();
        }
    }

    /// Deletes pending events: the user opted out. If the thread runs, it finds nothing to wait for, and ends.
    pub fn purge(&self) -> Result<()> {
        let outcome = self.delivery.purge();
        let mut state = self.shared.state();
        state.has_work |= state.is_running;
        self.shared.wake.notify_all();
        outcome
    }

    /// Ends the hold that began with the session. Returns whether there was one that was not ended yet.
    pub fn end_hold(&self) -> bool {
        let was_held = self.shared.state().hold.take().is_some();
        self.shared.wake.notify_all();
        was_held
    }

    pub fn is_running(&self) -> bool {
        self.shared.state().is_running
    }

    /// Returns which proxy the next request uses.
    pub fn proxy(&self) -> ProxyChoice {
        self.shared.state().proxy.clone()
    }

    /// Sets the host program's proxy, and sends events that waited for it.
    pub fn set_proxy(&self, proxy: ProxyChoice) {
        self.shared.state().proxy = proxy;
        self.wake_if_pending();
    }

    /// Wakes the thread if there is something to send. With telemetry off no thread starts.
    pub fn wake_if_pending(&self) {
        let is_pending = self.delivery.spool.entries().is_ok_and(|entries| !entries.is_empty());
        if is_pending && self.delivery.consent.decide().telemetry.is_on() {
            self.wake();
        }
    }
}

/// The thread: attempt, wait, attempt, until nothing is pending.
fn run(delivery: &Arc<Delivery>, shared: &Shared) {
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut service = None;
        let mut store_wait = STORE_WAITS[0];
        loop {
            if delivery.consent.is_vms_opt_out_unstored() && delivery.consent.store_vms_opt_out(LOCK_TIMEOUT).is_err() {
                // Telemetry is off, so there is nothing to send; the wait would end at once if this stayed set.
                shared.state().has_work = false;
                shared.sleep(store_wait);
                store_wait = (store_wait * 2).min(STORE_WAITS[1]);
                continue;
            }
            let proxy = shared.wait_for_batch();
            match attempt(delivery, shared, &mut service, proxy) {
                Next::Idle if !delivery.consent.is_vms_opt_out_unstored() && shared.end() => return,
                Next::Idle => {}
                Next::RetryAt(time) => shared.sleep((time - Utc::now()).to_std().unwrap_or_default()),
            }
        }
    }));
    // After a panic `is_running` must not stay: later events would never be sent.
    if outcome.is_err() {
        shared.state().is_running = false;
    }
}

/// One attempt on the real network. The connection to the service is kept as long as the thread lives and the proxy stays.
fn attempt(
    delivery: &Arc<Delivery>,
    shared: &Shared,
    service: &mut Option<(ProxyChoice, Https)>,
    proxy: ProxyChoice,
) -> Next {
    if service.as_ref().is_none_or(|(old, _)| *old != proxy) {
        let endpoint = &delivery.destination.endpoint;
        match proxy::find(endpoint, &proxy, delivery.consent.environment()) {
            Ok(found) => {
                let consent = delivery.consent.clone();
                let mut https = Https::new(endpoint.clone(), found, Gate::new(move || consent.guard()));
                https.redirected.clone_from(&shared.state().redirected);
                *service = Some((proxy, https));
            }
            Err(reason) => return delivery.save_error(reason).unwrap_or(Next::Idle),
        }
    }
    let Some((_, https)) = service else {
        return Next::Idle;
    };
    // A failure before the network is retried at the next event.
    let next = delivery.attempt(https, Utc::now).unwrap_or(Next::Idle);
    shared.state().redirected.clone_from(&https.redirected);
    next
}
