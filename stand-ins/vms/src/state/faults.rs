//! The faults of a running VMS: which requests they hit.

use std::sync::Mutex;
use std::time::Duration;

use loopback::lock;

use crate::model::fault::{Effect, Fault};

/// Each fault, with how often its path was asked for.
#[derive(Default)]
pub(crate) struct Faults(Mutex<Vec<(Fault, u32)>>);

/// What all faults together do to a request.
#[derive(Default)]
pub(crate) struct Hit {
    pub(crate) wait: Duration,
    pub(crate) hold: bool,
    pub(crate) effect: Option<Effect>,
}

impl Faults {
    pub(crate) fn set(&self, faults: Vec<Fault>) {
        *lock(&self.0) = faults.into_iter().map(|fault| (fault, 0)).collect();
    }

    /// Counts a request, and returns what happens to it.
    pub(crate) fn hit(&self, path: &str) -> Hit {
        let mut hit = Hit::default();
        for (fault, seen) in lock(&self.0).iter_mut().filter(|(fault, _)| matches(fault, path)) {
            let place = *seen;
            *seen = seen.saturating_add(1);
            if place >= fault.skip && fault.times.is_none_or(|times| place - fault.skip < times) {
                hit.wait = hit.wait.saturating_add(Duration::from_millis(fault.delay_ms));
                hit.hold |= fault.hold;
                hit.effect = hit.effect.or_else(|| fault.effect.clone());
            }
        }
        hit
    }
}

fn matches(fault: &Fault, path: &str) -> bool {
    let path = path.trim_end_matches('/').to_ascii_lowercase();
    let own = fault.path.to_ascii_lowercase();
    match own.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix.trim_end_matches('/')),
        None => path == own.trim_end_matches('/'),
    }
}
