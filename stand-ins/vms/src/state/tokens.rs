//! What the identity provider has handed out: access tokens and refresh tokens.
//!
//! - Each is random and only ever compared; nothing is read out of it.
//! - Refresh tokens work once. The number kept of each is bounded, the oldest go first.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use loopback::lock;
use serde_json::json;

/// More than tests and demonstrations log on.
const MAX_KEPT: usize = 20_000;

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
    access: Mutex<Kept<(usize, Option<Instant>)>>,
    refresh: Mutex<Kept<(usize, String)>>,
}

struct Kept<T> {
    values: HashMap<String, T>,
    order: VecDeque<String>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self { values: HashMap::new(), order: VecDeque::new() }
    }
}

impl<T> Kept<T> {
    fn keep(&mut self, key: String, value: T) {
        if self.order.len() >= MAX_KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.values.remove(&oldest);
        }
        self.order.push_back(key.clone());
        self.values.insert(key, value);
    }
}

impl Tokens {
    /// Accepts a token for some time, or for good.
    pub(crate) fn accept(&self, token: String, user: usize, seconds: Option<u64>) {
        let expires = seconds.and_then(|seconds| Instant::now().checked_add(Duration::from_secs(seconds)));
        lock(&self.access).keep(token, (user, expires));
    }

    pub(crate) fn check(&self, token: &str) -> Verdict {
        match lock(&self.access).values.get(token) {
            Some((_, Some(expires))) if *expires <= Instant::now() => Verdict::Expired,
            Some((user, _)) => Verdict::Valid(*user),
            None => Verdict::Unknown,
        }
    }

    /// Makes every access token expire now.
    pub(crate) fn expire(&self) {
        let now = Instant::now();
        lock(&self.access).values.values_mut().for_each(|(_, expires)| *expires = Some(now));
    }

    pub(crate) fn keep_refresh(&self, user: usize, client: &str) -> String {
        let token = text::<32>();
        lock(&self.refresh).keep(token.clone(), (user, client.to_owned()));
        token
    }

    /// Uses up a refresh token, and returns its user if it is this client's.
    pub(crate) fn take_refresh(&self, token: &str, client: &str) -> Option<usize> {
        let (user, owner) = lock(&self.refresh).values.remove(token)?;
        (owner == client).then_some(user)
    }
}

/// Returns text in the form of a signed JWT (RS256). No key stands behind the signature.
pub(crate) fn jwt(issuer: &str, client: &str, subject: &str, seconds: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let header = json!({ "alg": "RS256", "kid": "DEMO0000000000000000000000000000", "typ": "at+jwt" });
    let body = json!({
        "nbf": now, "exp": now.saturating_add(seconds), "iss": issuer, "aud": "managementserver", "client_id": client,
        "sub": subject, "jti": text::<16>(), "scope": ["managementserver"],
    });
    let part = |value: &serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{}", part(&header), part(&body), text::<256>())
}

/// Returns random bytes: unique, but no secret, because nothing of a demonstration needs one.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    std::array::from_fn(|_| fastrand::u8(..))
}

fn text<const N: usize>() -> String {
    BASE64_URL_SAFE_NO_PAD.encode(random::<N>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_bounded() {
        let mut kept = Kept::default();
        (0..MAX_KEPT + 5).for_each(|number| kept.keep(number.to_string(), ()));
        assert_eq!((kept.values.len(), kept.order.len()), (MAX_KEPT, MAX_KEPT));
        assert!(!kept.values.contains_key("4") && kept.values.contains_key("5"));
    }
}
