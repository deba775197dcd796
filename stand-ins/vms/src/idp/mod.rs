//! The identity provider's token endpoint: a grant goes in, a token or an error in its own flat form comes out.

mod ntlm;
mod rc4;
mod spnego;
pub(crate) mod windows;

use loopback::{Answer, Request};
use serde_json::json;

use self::windows::{Connection, SCHEMES, Step};
use crate::form;
use crate::model::user::{UserKind, UserState};
use crate::state::Vms;
use crate::state::tokens::access_token;

const PASSWORD: &str = "password";
const WINDOWS: &str = "windows_credentials";
const REFRESH: &str = "refresh_token";
/// Seconds that an access token is valid, as on a real server.
const SECONDS: u64 = 3600;

/// Clients that every server knows, and their grants.
const CLIENTS: [(&str, &[&str]); 2] =
    [("GrantValidatorClient", &[PASSWORD, WINDOWS]), ("VmsClient", &[PASSWORD, WINDOWS, REFRESH])];

/// The fields of a form.
struct Form(Vec<(String, Option<String>)>);

impl Form {
    fn read(text: &str) -> Self {
        Self(form::pairs(text))
    }

    /// Returns a field, or nothing as text where it is missing.
    fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).and_then(|(_, value)| value.as_deref()).unwrap_or_default()
    }
}

/// Answers the token endpoint. The gateway passes no handshake through: there, `connection` is `None`.
pub(crate) fn token(vms: &Vms, request: &Request, connection: Option<&mut Connection>) -> Answer {
    let windows = request.header("authorization").filter(|value| {
        let scheme = value.split(' ').next().unwrap_or_default();
        scheme.eq_ignore_ascii_case("negotiate") || scheme.eq_ignore_ascii_case("ntlm")
    });
    let form = Form::read(&String::from_utf8_lossy(&request.body));
    let mut proved = None;
    // A handshake comes first, whatever the form says: clients may send it without a body.
    if windows.is_some() || form.get("grant_type") == WINDOWS {
        let Some(connection) = connection else { return challenge() };
        match connection.step(windows, &vms.config) {
            Step::Continue(value) => return Answer::empty(401).with("WWW-Authenticate", value),
            Step::Refused => return challenge(),
            Step::Done(user, value) => proved = Some((user, value)),
        }
    }
    if request.method != "POST" || !form::is_form(request) {
        return refuse("invalid_request", None);
    }
    let user = proved.as_ref().map(|(user, _)| *user);
    let answer = match grant(vms, &form, user) {
        Ok(user) => issue(vms, form.get("client_id"), user),
        Err(refusal) => refusal,
    };
    match proved.and_then(|(_, value)| value) {
        Some(value) => answer.with("WWW-Authenticate", value),
        None => answer,
    }
}

/// Returns who is logged on.
fn grant(vms: &Vms, form: &Form, windows_user: Option<usize>) -> Result<usize, Answer> {
    let (wanted, client) = (form.get("grant_type"), form.get("client_id"));
    let Some((_, grants)) = CLIENTS.iter().find(|(id, _)| *id == client) else {
        return Err(refuse("invalid_client", None));
    };
    match wanted {
        PASSWORD | WINDOWS | REFRESH if !grants.contains(&wanted) => Err(refuse("unauthorized_client", None)),
        PASSWORD => password(vms, form.get("username"), form.get("password")),
        WINDOWS => windows_user.ok_or_else(challenge),
        REFRESH => {
            vms.tokens.take_refresh(form.get("refresh_token"), client).ok_or_else(|| refuse("invalid_grant", None))
        }
        _ => Err(refuse("unsupported_grant_type", None)),
    }
}

/// Checks a basic user's password.
fn password(vms: &Vms, name: &str, password: &str) -> Result<usize, Answer> {
    let refuse = |description, code| Err(refuse("invalid_grant", Some((description, code))));
    let mut users = vms.config.users.iter().enumerate();
    let named = users.find(|(_, user)| user.kind == UserKind::Basic && user.name.eq_ignore_ascii_case(name));
    match named {
        Some((_, user)) if user.state == UserState::Locked => refuse("user_locked_out", "LockedOut"),
        Some((place, user)) if user.password == password => match user.state {
            UserState::MustChangePassword => refuse("password_change_required", "ChangePassword"),
            _ => Ok(place),
        },
        _ => refuse("invalid_username_or_password", "InvalidCredentials"),
    }
}

fn issue(vms: &Vms, client: &str, user: usize) -> Answer {
    let token = access_token();
    vms.tokens.accept(token.clone(), user, Some(SECONDS));
    let mut answer = json!({ "access_token": token, "expires_in": SECONDS, "token_type": "Bearer" });
    if let Some(members) = answer.as_object_mut() {
        if CLIENTS.iter().any(|(id, grants)| *id == client && grants.contains(&REFRESH)) {
            members.insert("refresh_token".to_owned(), json!(vms.tokens.keep_refresh(user, client)));
        }
        members.insert("scope".to_owned(), json!("managementserver"));
    }
    Answer::json(200, &answer).with("Cache-Control", "no-store, no-cache, max-age=0")
}

/// Refuses a Windows logon: the schemes that are offered, and nothing to read as JSON.
fn challenge() -> Answer {
    SCHEMES.iter().fold(Answer::empty(401), |answer, scheme| answer.with("WWW-Authenticate", *scheme))
}

fn refuse(error: &str, more: Option<(&str, &str)>) -> Answer {
    let body = match more {
        Some((description, code)) => {
            json!({ "error": error, "error_description": description, "error_code": code })
        }
        None => json!({ "error": error }),
    };
    Answer::json(400, &body)
}
