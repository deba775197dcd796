//! Logon through an external identity provider: authorization code with PKCE. The provider's own page is left out: whoever is
//! sent there comes back logged on.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::answer::Answer;
use crate::form::encode;
use crate::idp::Form;
use crate::tokens::Code;
use crate::vms::Vms;
use loopback::Request;

const CLIENTS: [&str; 3] = ["VmsAdminClient", "VmsClient", "VmsWebClient"];

/// Answers the list of external providers, which anybody may read.
pub(crate) fn providers(vms: &Vms) -> Answer {
    let provider =
        |provider: &crate::user::Provider| json!({ "loginProviderId": provider.id, "displayName": provider.name });
    Answer::json(200, &vms.config.providers.iter().map(provider).collect::<Value>())
}

/// Answers the authorization endpoint with a redirect to the client's loopback address.
pub(crate) fn authorize(vms: &Vms, request: &Request) -> Answer {
    let form = Form::read(&request.query);
    let bad = |error: &str| Answer::json(400, &json!({ "error": error }));
    let redirect = form.get("redirect_uri");
    // A redirect to anywhere else could carry the code away.
    let loopback = ["http://127.0.0.1:", "http://localhost:", "http://127.0.0.1/", "http://localhost/"];
    if !loopback.iter().any(|prefix| redirect.starts_with(prefix)) || redirect.contains(char::is_control) {
        return bad("invalid_request");
    }
    if !CLIENTS.contains(&form.get("client_id")) {
        return bad("unauthorized_client");
    }
    if form.get("response_type") != "code" {
        return bad("unsupported_response_type");
    }
    if form.get("code_challenge_method") != "S256" || form.get("code_challenge").is_empty() {
        return bad("invalid_request");
    }
    let provider = form.get("acr_values").split(' ').find_map(|value| value.strip_prefix("idp:"));
    let provider =
        vms.config.providers.iter().find(|known| provider.is_some_and(|id| known.id.eq_ignore_ascii_case(id)));
    let user = provider.and_then(|provider| vms.user(&provider.user));
    let state = encode(form.get("state"));
    let joint = if redirect.contains('?') { '&' } else { '?' };
    let Some(user) = user else {
        return Answer::empty(302).with("Location", format!("{redirect}{joint}error=access_denied&state={state}"));
    };
    let code = vms.tokens.keep_code(Code {
        user,
        client: form.get("client_id").to_owned(),
        redirect: redirect.to_owned(),
        challenge: form.get("code_challenge").to_owned(),
        nonce: form.get("nonce").to_owned(),
    });
    Answer::empty(302).with("Location", format!("{redirect}{joint}code={code}&state={state}"))
}

/// Uses up a code, and returns what it was given for if the client can prove that it asked for it.
pub(crate) fn redeem(vms: &Vms, form: &Form) -> Option<Code> {
    let code = vms.tokens.take_code(form.get("code"))?;
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(form.get("code_verifier")));
    let same = code.client == form.get("client_id") && code.redirect == form.get("redirect_uri");
    (same && code.challenge == challenge).then_some(code)
}
