//! What all connections share: the configuration, and the little that changes.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::config::Config;
use crate::events::Events;
use crate::fault::Faults;
use crate::journal::Journal;
use crate::privacy::Privacy;
use crate::tokens::Tokens;

pub(crate) struct Vms {
    /// Address that the discovery documents name, without a slash at its end.
    pub(crate) base: String,
    pub(crate) tokens: Tokens,
    pub(crate) journal: Journal,
    pub(crate) faults: Faults,
    pub(crate) privacy: Mutex<Privacy>,
    /// Wrong passwords in a row, by place in the list of users.
    pub(crate) failures: Mutex<HashMap<usize, u32>>,
    pub(crate) events: Events,
    pub(crate) config: Config,
}

impl Vms {
    pub(crate) fn new(config: Config, base: String) -> Self {
        let vms = Self {
            base,
            tokens: Tokens::default(),
            journal: Journal::default(),
            faults: Faults::default(),
            privacy: Mutex::new(config.privacy),
            failures: Mutex::default(),
            events: Events::default(),
            config,
        };
        vms.faults.set(vms.config.faults.clone());
        for token in &vms.config.access_tokens {
            vms.tokens.accept(token.token.clone(), vms.user(&token.user), token.seconds);
        }
        vms
    }

    /// Returns the place of the user with this name.
    pub(crate) fn user(&self, name: &str) -> Option<usize> {
        self.config.users.iter().position(|user| user.name.eq_ignore_ascii_case(name))
    }
}

/// Locks, whoever panicked while it held the lock.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
