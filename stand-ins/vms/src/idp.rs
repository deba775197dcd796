//! The identity provider's token endpoint: a grant goes in, a token or an error in its own flat form comes out.

use serde_json::json;

use crate::answer::Answer;
use crate::form;
use crate::login;
use crate::negotiate::{Connection, Step};
use crate::tokens::jwt;
use crate::user::{UserKind, UserState};
use crate::vms::{Vms, lock};
use loopback::Request;

const PASSWORD: &str = "password";
const WINDOWS: &str = "windows_credentials";
const CODE: &str = "authorization_code";
const REFRESH: &str = "refresh_token";
const SERVICE: &str = "client_credentials";
const GRANTS: [&str; 5] = [PASSWORD, WINDOWS, CODE, REFRESH, SERVICE];

/// The clients that every server knows, and their grants.
const CLIENTS: [(&str, &[&str]); 4] = [
    ("GrantValidatorClient", &[PASSWORD, WINDOWS]),
    ("VmsAdminClient", &[PASSWORD, WINDOWS, CODE]),
    ("VmsClient", &[PASSWORD, WINDOWS, CODE, REFRESH]),
    ("VmsWebClient", &[PASSWORD, CODE, REFRESH]),
];

/// The fields of a form.
pub(crate) struct Form(Vec<(String, Option<String>)>);

impl Form {
    pub(crate) fn read(text: &str) -> Self {
        Self(form::pairs(text))
    }

    /// Returns a field, or nothing as text where it is missing.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).and_then(|(_, value)| value.as_deref()).unwrap_or_default()
    }
}

/// Who is logged on in the end: a user, or a service.
struct Grant {
    user: Option<usize>,
    refresh: bool,
    /// An id token for this nonce goes along.
    nonce: Option<String>,
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
        let Some(connection) = connection else { return challenge(vms) };
        match connection.step(windows, &vms.config) {
            Step::Continue(value) => return Answer::empty(401).with("WWW-Authenticate", value),
            Step::Refused => return challenge(vms),
            Step::Done(user, value) => proved = Some((user, value)),
        }
    }
    if request.method != "POST" || !form::is_form(request) {
        return refuse("invalid_request", None);
    }
    let user = proved.as_ref().map(|(user, _)| *user);
    let answer = match grant(vms, &form, user) {
        Ok(grant) => issue(vms, form.get("client_id"), &grant),
        Err(refusal) => refusal,
    };
    match proved.and_then(|(_, value)| value) {
        Some(value) => answer.with("WWW-Authenticate", value),
        None => answer,
    }
}

fn grant(vms: &Vms, form: &Form, windows_user: Option<usize>) -> Result<Grant, Answer> {
    let (wanted, client) = (form.get("grant_type"), form.get("client_id"));
    let service = vms.config.services.iter().find(|service| service.id == client);
    let known = CLIENTS.iter().find(|(id, _)| *id == client).map(|(_, grants)| *grants);
    let Some(grants) = known.or(service.map(|_| [SERVICE].as_slice())) else {
        return Err(refuse("invalid_client", None));
    };
    if !GRANTS.contains(&wanted) {
        return Err(refuse("unsupported_grant_type", None));
    }
    if !grants.contains(&wanted) {
        return Err(refuse("unauthorized_client", None));
    }
    let grant = |user| Grant { user: Some(user), refresh: grants.contains(&REFRESH), nonce: None };
    let invalid = || refuse("invalid_grant", None);
    match wanted {
        PASSWORD => password(vms, form.get("username"), form.get("password")).map(grant),
        WINDOWS => windows_user.map(grant).ok_or_else(|| challenge(vms)),
        REFRESH => vms.tokens.take_refresh(form.get("refresh_token"), client).map(grant).ok_or_else(invalid),
        CODE => {
            let code = login::redeem(vms, form).ok_or_else(invalid)?;
            Ok(Grant { user: Some(code.user), refresh: true, nonce: Some(code.nonce) })
        }
        _ if service.is_some_and(|service| service.secret == form.get("client_secret")) => {
            Ok(Grant { user: None, refresh: false, nonce: None })
        }
        _ => Err(refuse("invalid_client", None)),
    }
}

/// Checks a basic user's password, and counts wrong ones.
fn password(vms: &Vms, name: &str, password: &str) -> Result<usize, Answer> {
    let wrong = || refuse("invalid_grant", Some(("invalid_username_or_password", "InvalidCredentials")));
    let locked = || refuse("invalid_grant", Some(("user_locked_out", "LockedOut")));
    let mut users = vms.config.users.iter().enumerate();
    let named = users.find(|(_, user)| user.kind == UserKind::Basic && user.name.eq_ignore_ascii_case(name));
    let Some((place, user)) = named else { return Err(wrong()) };
    let mut failures = lock(&vms.failures);
    let count = failures.entry(place).or_default();
    let bound = vms.config.lockout_after;
    if user.state == UserState::Locked || (bound > 0 && *count >= bound) {
        return Err(locked());
    }
    if user.password != password {
        *count = count.saturating_add(1);
        return Err(wrong());
    }
    *count = 0;
    if user.state == UserState::MustChangePassword {
        return Err(refuse("invalid_grant", Some(("password_change_required", "ChangePassword"))));
    }
    Ok(place)
}

fn issue(vms: &Vms, client: &str, grant: &Grant) -> Answer {
    let seconds = vms.config.token_seconds;
    let subject = grant.user.and_then(|user| vms.config.users.get(user)).map_or(client, |user| user.name.as_str());
    let issuer = format!("{}/IDP", vms.base);
    let token = jwt(&issuer, client, subject, seconds, None);
    vms.tokens.accept(token.clone(), grant.user, Some(seconds));
    let mut answer = json!({ "access_token": token, "expires_in": seconds, "token_type": "Bearer" });
    if let Some(members) = answer.as_object_mut() {
        if let Some(user) = grant.user.filter(|_| grant.refresh) {
            members.insert("refresh_token".to_owned(), json!(vms.tokens.keep_refresh(user, client)));
        }
        if let Some(nonce) = &grant.nonce {
            members.insert("id_token".to_owned(), json!(jwt(&issuer, client, subject, seconds, Some(nonce))));
        }
        let scope =
            if grant.nonce.is_some() { "openid profile managementserver offline_access" } else { "managementserver" };
        members.insert("scope".to_owned(), json!(scope));
    }
    Answer::json(200, &answer).with("Cache-Control", "no-store, no-cache, max-age=0")
}

/// Refuses a Windows logon: the schemes that are offered, and nothing to read as JSON.
fn challenge(vms: &Vms) -> Answer {
    let answer = if vms.config.quirks.html_refusals { Answer::page(401) } else { Answer::empty(401) };
    vms.config.windows_schemes.iter().fold(answer, |answer, scheme| answer.with("WWW-Authenticate", scheme.name()))
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
