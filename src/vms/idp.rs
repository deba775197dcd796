//! Tokens from the identity provider: logon of a basic user, and refreshing.
//!
//! Facts: Milestone's samples for the grants `password` and `refresh_token`. A Windows user's token comes from the host,
//! see [`crate::vms`]. A refused password is never tried again.

use std::time::Instant;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::failure::{Failure, Kind};
use super::http::{Answer, Http};

/// The client that gets refresh tokens.
const REFRESHING_CLIENT: &str = "VmsClient";
/// The client that every server knows, without refresh tokens. The host logs a Windows user on with it.
const PLAIN_CLIENT: &str = "GrantValidatorClient";

/// What lets its bearer in.
pub struct Token {
    /// Goes with every request.
    pub access: Zeroizing<String>,
    /// Brings the next token, where the server gave one.
    pub refresh: Option<Zeroizing<String>>,
}

/// A user of the VMS with its password, wiped when dropped.
pub struct BasicUser {
    /// The user's name.
    pub name: Zeroizing<String>,
    /// Its password.
    pub password: Zeroizing<String>,
}

/// Logs a basic user on at the token endpoint's path. `goes_on` is asked each time before the password goes out.
///
/// # Errors
/// The user was refused, there was no sensible answer, or `goes_on` has an objection.
pub fn log_on(
    http: &Http,
    path: &str,
    user: &BasicUser,
    until: Instant,
    goes_on: &dyn Fn() -> Result<(), Failure>,
) -> Result<Token, Failure> {
    let ask = |client| {
        goes_on().map_err(Refusal::Other)?;
        let fields = [
            ("grant_type", "password"),
            ("username", user.name.as_str()),
            ("password", user.password.as_str()),
            ("client_id", client),
        ];
        ask(http, path, &fields, until)
    };
    match ask(REFRESHING_CLIENT) {
        Err(Refusal::Client(_)) => ask(PLAIN_CLIENT).map_err(Refusal::into),
        outcome => outcome.map_err(Refusal::into),
    }
}

/// Gets the next token.
///
/// # Errors
/// As for [`log_on`].
pub fn refresh(http: &Http, path: &str, token: &str, until: Instant) -> Result<Token, Failure> {
    let fields = [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", REFRESHING_CLIENT)];
    ask(http, path, &fields, until).map_err(Refusal::into)
}

/// Why there is no token.
enum Refusal {
    /// Not the user but the client is refused: no attempt of the user's was counted.
    Client(Failure),
    Other(Failure),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Client(failure) | Refusal::Other(failure) => failure,
        }
    }
}

fn ask(http: &Http, path: &str, fields: &[(&str, &str)], until: Instant) -> Result<Token, Refusal> {
    let mut answer = http.post(path, &form(fields), until).map_err(Refusal::Other)?;
    match answer.status {
        200 => token(http, &mut answer).map_err(Refusal::Other),
        400 | 401 | 403 => Err(refusal(http, &mut answer)),
        _ => Err(Refusal::Other(http.unexpected(&answer, "a token"))),
    }
}

/// Encodes a form. The text has its final size from the start, so that no copy of a password is left in freed memory.
fn form(fields: &[(&str, &str)]) -> Zeroizing<String> {
    let length = fields.iter().map(|(name, value)| name.len() + 3 * value.len() + 2).sum();
    let mut form = Zeroizing::new(String::with_capacity(length));
    for (name, value) in fields {
        if !form.is_empty() {
            form.push('&');
        }
        form.push_str(name);
        form.push('=');
        form.extend(utf8_percent_encode(value, NON_ALPHANUMERIC));
    }
    form
}

fn token(http: &Http, answer: &mut Answer) -> Result<Token, Failure> {
    #[derive(Deserialize)]
    struct Granted {
        access_token: String,
        refresh_token: Option<String>,
    }
    let document = answer.document(&http.origin)?;
    let granted: Granted = serde_json::from_slice(&document)
        .map_err(|_| http.failure(Kind::Answer, "asked for a token, the server gave something else"))?;
    Ok(Token {
        access: Zeroizing::new(granted.access_token),
        refresh: granted.refresh_token.filter(|token| !token.is_empty()).map(Zeroizing::new),
    })
}

fn refusal(http: &Http, answer: &mut Answer) -> Refusal {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Refused {
        error: String,
        error_code: String,
    }
    // The body may be empty or a page: then the status says all.
    let document = answer.document(&http.origin).unwrap_or_default();
    let refused: Refused = serde_json::from_slice(&document).unwrap_or_default();
    let (kind, what) = match refused.error_code.as_str() {
        "LockedOut" => (Kind::LockedOut, "the user is locked"),
        "ChangePassword" => (Kind::PasswordExpired, "the user must choose a new password first"),
        _ => (Kind::LogonRefused, "the logon was refused"),
    };
    let failure = http.failure(kind, what);
    let is_clients = matches!(refused.error.as_str(), "invalid_client" | "unauthorized_client");
    if is_clients { Refusal::Client(failure) } else { Refusal::Other(failure) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p3_a_form_is_encoded_and_never_grows() {
        let form = form(&[("username", "a b"), ("password", "p&w=1 +%é")]);
        assert_eq!(*form, "username=a%20b&password=p%26w%3D1%20%2B%25%C3%A9");
        // What grows doubles its size: this is the one that it began with, for a text of which each byte is encoded.
        assert_eq!(form.capacity(), "username=&password=&".len() + 3 * "a bp&w=1 +%é".len());
    }
}
