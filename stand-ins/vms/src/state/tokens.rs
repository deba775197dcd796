//! What the identity provider has handed out: access tokens and refresh tokens.
//!
//! Each is random and only ever compared; nothing is read out of it. Refresh tokens work once.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use loopback::lock;

/// What a token turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It belongs to this user: a place in the list of users.
    Valid(usize),
    Expired,
    Unknown,
}

#[derive(Default)]
pub(crate) struct Tokens {
    access: Mutex<HashMap<String, (usize, Option<Instant>)>>,
    refresh: Mutex<HashMap<String, (usize, String)>>,
}

impl Tokens {
    /// Accepts a token for some time, or for good.
    pub(crate) fn accept(&self, token: String, user: usize, seconds: Option<u64>) {
        let expires = seconds.and_then(|seconds| Instant::now().checked_add(Duration::from_secs(seconds)));
        lock(&self.access).insert(token, (user, expires));
    }

    pub(crate) fn check(&self, token: &str) -> Verdict {
        match lock(&self.access).get(token) {
            Some((_, Some(expires))) if *expires <= Instant::now() => Verdict::Expired,
            Some((user, _)) => Verdict::Valid(*user),
            None => Verdict::Unknown,
        }
    }

    /// Makes every access token expire now.
    pub(crate) fn expire(&self) {
        let now = Instant::now();
        lock(&self.access).values_mut().for_each(|(_, expires)| *expires = Some(now));
    }

    pub(crate) fn keep_refresh(&self, user: usize, client: &str) -> String {
        let token = text::<32>();
        lock(&self.refresh).insert(token.clone(), (user, client.to_owned()));
        token
    }

    /// Uses up a refresh token, and returns its user if it is this client's.
    pub(crate) fn take_refresh(&self, token: &str, client: &str) -> Option<usize> {
        let (user, owner) = lock(&self.refresh).remove(token)?;
        (owner == client).then_some(user)
    }
}

/// Returns text that looks like a signed JWT and is as long as one of a real server. Nothing is in it.
pub(crate) fn access_token() -> String {
    format!("eyJ{}.eyJ{}.{}", text::<60>(), text::<240>(), text::<256>())
}

/// Returns random bytes: unique, but no secret, because nothing of a demonstration needs one.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    std::array::from_fn(|_| fastrand::u8(..))
}

fn text<const N: usize>() -> String {
    BASE64_URL_SAFE_NO_PAD.encode(random::<N>())
}
