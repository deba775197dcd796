//! What all connections share: the configuration, and the little that changes.

pub(crate) mod faults;
pub(crate) mod journal;
pub(crate) mod tokens;

use std::io;
use std::sync::{Arc, Mutex};

use loopback::Journal;

use self::faults::Faults;
use self::journal::Received;
use self::tokens::Tokens;
use crate::model::config::Config;
use crate::model::privacy::Privacy;

pub(crate) struct Vms {
    /// Address that the discovery document names, without a slash at its end.
    pub(crate) base: String,
    pub(crate) tokens: Tokens,
    pub(crate) journal: Journal<Vec<Received>>,
    pub(crate) faults: Faults,
    pub(crate) privacy: Mutex<Privacy>,
    pub(crate) config: Arc<Config>,
}

impl Vms {
    pub(crate) fn new(config: Config, url: &str) -> io::Result<Self> {
        config.site.check()?;
        let base = config.advertise.as_deref().unwrap_or(url).trim_end_matches('/').to_owned();
        let vms = Self {
            base,
            tokens: Tokens::default(),
            journal: Journal::new(Vec::new()),
            faults: Faults::default(),
            privacy: Mutex::new(config.privacy),
            config: Arc::new(config),
        };
        vms.faults.set(vms.config.faults.clone());
        for token in &vms.config.access_tokens {
            let user = vms.config.users.iter().position(|user| user.name.eq_ignore_ascii_case(&token.user));
            if let Some(user) = user {
                vms.tokens.accept(token.token.clone(), user, token.seconds);
            }
        }
        Ok(vms)
    }
}
