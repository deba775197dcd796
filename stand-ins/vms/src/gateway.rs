//! From a path to who answers it: discovery, identity provider and REST API, directly and through the API Gateway.
//!
//! Paths are compared without case, and a slash more at the end does no harm.

use std::sync::Arc;

use serde_json::json;

use crate::answer::Answer;
use crate::idp;
use crate::login;
use crate::negotiate::Connection;
use crate::rest;
use crate::vms::Vms;
use loopback::Request;

/// Answers a request on a connection.
pub(crate) fn answer(vms: &Arc<Vms>, request: &Request, connection: &mut Connection) -> Answer {
    let parts: Vec<&str> = request.path.split('/').filter(|part| !part.is_empty()).collect();
    let lower: Vec<String> = parts.iter().map(|part| part.to_ascii_lowercase()).collect();
    let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
    let rest = |skip| parts.get(skip..).unwrap_or_default();
    match lower.as_slice() {
        ["api", ..] if vms.config.quirks.no_gateway => Answer::page(404),
        ["api" | "managementserver", ".well-known", "uris"] => discovery(vms, request),
        ["api", "rest", "v1", ..] => rest::answer(vms, request, rest(3)),
        ["managementserver", "rest", ..] => rest::answer(vms, request, rest(2)),
        ["idp", path @ ..] => identity(vms, request, path, Some(connection)),
        ["api", "idp", path @ ..] => identity(vms, request, path, None),
        _ => Answer::page(404),
    }
}

fn identity(vms: &Vms, request: &Request, path: &[&str], connection: Option<&mut Connection>) -> Answer {
    match path {
        ["connect", "token"] => idp::token(vms, request, connection),
        _ if request.method != "GET" => Answer::empty(405).with("Allow", "GET"),
        [".well-known", "openid-configuration"] => configuration(vms),
        [".well-known", "openid-configuration", "jwks"] => Answer::json(200, &json!({ "keys": [] })),
        ["connect", "authorize"] => login::authorize(vms, request),
        ["api", "externalproviders"] => login::providers(vms),
        _ => Answer::empty(404),
    }
}

/// Answers where the parts of the system are. An entry of `ApiGateways` ends with a slash, `IdentityProvider` does not.
fn discovery(vms: &Vms, request: &Request) -> Answer {
    if request.method != "GET" {
        return Answer::empty(405).with("Allow", "GET");
    }
    let base = &vms.base;
    let host = base.split_once("://").map_or(base.as_str(), |(_, host)| host);
    let secure = if base.starts_with("https:") { format!("https://{host}/") } else { String::new() };
    Answer::json(
        200,
        &json!({
            "ProductVersion": vms.config.site.version,
            "UnsecureManagementServer": format!("http://{host}/"),
            "SecureManagementServer": secure,
            "IdentityProvider": format!("{base}/IDP"),
            "ApiGateways": [format!("{base}/API/")],
        }),
    )
}

fn configuration(vms: &Vms) -> Answer {
    let idp = format!("{}/IDP", vms.base);
    Answer::json(
        200,
        &json!({
            "issuer": idp,
            "jwks_uri": format!("{idp}/.well-known/openid-configuration/jwks"),
            "authorization_endpoint": format!("{idp}/connect/authorize"),
            "token_endpoint": format!("{idp}/connect/token"),
            "external_providers_uri": format!("{idp}/api/externalProviders"),
            "scopes_supported": ["openid", "profile", "email", "managementserver", "offline_access"],
            "response_types_supported": ["code"],
            "grant_types_supported":
                ["authorization_code", "client_credentials", "password", "refresh_token", "windows_credentials"],
            "code_challenge_methods_supported": ["S256"],
            "server_version": vms.config.site.version,
        }),
    )
}
