//! Tokens from the identity provider: logon of a basic user, and refreshing.
//!
//! The protocol is that of Milestone's samples for the grants `password` and `refresh_token`. A Windows user's token comes from
//! the host program, see [`crate::vms`].

use std::time::Instant;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::Discovery;
use super::failure::{Failure, FailureKind};
use super::http::{Http, Response};

/// The client that gets refresh tokens.
const REFRESHING_CLIENT: &str = "VmsClient";
/// The client that every server knows, without refresh tokens. The host program logs a Windows user on with it.
const PLAIN_CLIENT: &str = "GrantValidatorClient";

pub(super) struct Token {
    pub(super) access: Zeroizing<String>,
    /// The refresh token and the path of its endpoint, if the server sent one.
    pub(super) refresh: Option<(String, Zeroizing<String>)>,
}

/// A basic user of the VMS.
pub struct BasicUser {
    /// May be written as `\name` or `[BASIC]\name`.
    pub name: Zeroizing<String>,
    pub password: Zeroizing<String>,
}

impl BasicUser {
    /// Returns the name without the prefix of a basic user.
    fn plain_name(&self) -> &str {
        let is_prefixed = self.name.get(..8).is_some_and(|prefix| prefix.eq_ignore_ascii_case(r"[BASIC]\"));
        if is_prefixed {
            self.name.get(8..).unwrap_or_default()
        } else {
            self.name.strip_prefix('\\').unwrap_or(&self.name)
        }
    }
}

/// Logs a basic user on: at the endpoint that the discovery document names, or at that of the API Gateway.
pub(super) fn log_on(http: &Http, discovery: &Discovery, user: &BasicUser, until: Instant) -> Result<Token, Failure> {
    let [named, usual] = discovery.token_endpoints();
    let outcome = match log_on_at(http, &named, user, until) {
        Err(TokenError::NotFound(_)) if usual != named => log_on_at(http, &usual, user, until),
        outcome => outcome,
    };
    outcome.map_err(|error| match (error, &discovery.named_host) {
        (TokenError::NotFound(_), Some(host)) if host != http.origin.host() => {
            let what = "asked for a token, the server does not have an identity provider (HTTP 404)";
            let advice =
                format!("Its discovery document names {host}: if that is the management server, connect to it.");
            Failure::with_advice(FailureKind::Answer, &http.origin, what, &advice)
        }
        (error, _) => error.into(),
    })
}

fn log_on_at(http: &Http, path: &str, user: &BasicUser, until: Instant) -> Result<Token, TokenError> {
    let with = |client| {
        let user = [("username", user.plain_name()), ("password", user.password.as_str())];
        ask(http, path, &[("grant_type", "password"), user[0], user[1], ("client_id", client)], until)
    };
    match with(REFRESHING_CLIENT) {
        Err(TokenError::UnknownClient(_)) => with(PLAIN_CLIENT),
        outcome => outcome,
    }
}

pub(super) fn refresh(http: &Http, path: &str, token: &str, until: Instant) -> Result<Token, Failure> {
    let fields = [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", REFRESHING_CLIENT)];
    ask(http, path, &fields, until).map_err(TokenError::into)
}

enum TokenError {
    /// The client is refused, not the user. That does not count as one of the attempts that lock a user.
    UnknownClient(Failure),
    NotFound(Failure),
    Other(Failure),
}

impl From<TokenError> for Failure {
    fn from(error: TokenError) -> Self {
        let (TokenError::UnknownClient(failure) | TokenError::NotFound(failure) | TokenError::Other(failure)) = error;
        failure
    }
}

fn ask(http: &Http, path: &str, fields: &[(&str, &str)], until: Instant) -> Result<Token, TokenError> {
    let mut response = http.post(path, &form(fields), until).map_err(TokenError::Other)?;
    match response.status {
        200 => token(http, path, &mut response).map_err(TokenError::Other),
        400 | 401 | 403 => Err(refusal(http, &mut response)),
        404 => Err(TokenError::NotFound(http.unexpected(&mut response, "a token"))),
        _ => Err(TokenError::Other(http.unexpected(&mut response, "a token"))),
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

fn token(http: &Http, path: &str, response: &mut Response) -> Result<Token, Failure> {
    #[derive(Deserialize)]
    struct Granted {
        access_token: String,
        refresh_token: Option<String>,
    }
    let document = response.document(http)?;
    let granted: Granted = serde_json::from_slice(&document)
        .map_err(|_| http.failure(FailureKind::Answer, "asked for a token, the server gave something else"))?;
    let refresh = granted.refresh_token.filter(|token| !token.is_empty());
    Ok(Token {
        access: Zeroizing::new(granted.access_token),
        refresh: refresh.map(|token| (path.to_owned(), Zeroizing::new(token))),
    })
}

fn refusal(http: &Http, response: &mut Response) -> TokenError {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Refused {
        error: String,
        error_code: String,
    }
    // The body may be empty or an HTML page. Then only the status counts.
    let document = response.document(http).unwrap_or_default();
    let refused: Refused = serde_json::from_slice(&document).unwrap_or_default();
    let (kind, what) = match refused.error_code.as_str() {
        "LockedOut" => (FailureKind::LockedOut, "the user is locked"),
        "ChangePassword" => (FailureKind::PasswordExpired, "the user must choose a new password first"),
        _ => (FailureKind::LogonRefused, "the logon was refused"),
    };
    let failure = http.failure(kind, what);
    let is_clients = matches!(refused.error.as_str(), "invalid_client" | "unauthorized_client");
    if is_clients { TokenError::UnknownClient(failure) } else { TokenError::Other(failure) }
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

    #[test]
    fn p3_the_marks_of_a_basic_user_are_taken_off() {
        for typed in ["reader", r"\reader", r"[BASIC]\reader", r"[basic]\reader"] {
            let user = BasicUser { name: typed.to_owned().into(), password: String::new().into() };
            assert_eq!(user.plain_name(), "reader", "{typed}");
        }
        let other = BasicUser { name: "[BASIÇ]é".to_owned().into(), password: String::new().into() };
        assert_eq!(other.plain_name(), "[BASIÇ]é");
    }
}
