//! The configuration REST API: who may ask, which resource is meant, and errors in its form.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::form;
use crate::items::{item, license, loosen, products, value};
use crate::kind::Kind;
use crate::list;
use crate::privacy;
use crate::tokens::Verdict;
use crate::vms::{Vms, lock};
use loopback::Request;

/// Answers a request for the resource that these parts of the path name.
pub(crate) fn answer(vms: &Arc<Vms>, request: &Request, parts: &[&str]) -> Answer {
    let user = match bearer(vms, request) {
        Ok(user) => user,
        Err(answer) => return answer,
    };
    let parts: Vec<String> = parts.iter().map(|part| form::decode(part, false)).collect();
    let mut parts = parts.iter().map(String::as_str);
    let (Some(resource), id, child, None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return unknown(request.path.as_str());
    };
    if let Some(refusal) = [Some(resource), child].into_iter().flatten().find_map(|name| forbidden(vms, user, name)) {
        return refusal;
    }
    if resource.eq_ignore_ascii_case("userDefinedEvents") && child.is_none() {
        return vms.events.answer(request, id);
    }
    if request.method != "GET" {
        return refuse(405, &format!("The method {} is not supported.", request.method)).with("Allow", "GET");
    }
    let fixed = match resource.to_ascii_lowercase().as_str() {
        "tooloptions" if child.is_none() => return privacy::answer(*lock(&vms.privacy), id),
        "licenseinformations" => Some(vec![license(&vms.config)]),
        "licenseinstalledproducts" => Some(products(&vms.config)),
        _ => None,
    };
    if let Some(mut items) = fixed {
        items.iter_mut().for_each(|item| loosen(&vms.config, item));
        return match id {
            None => Answer::json(200, &json!({ "array": items })),
            // These items have no id of their own, but the one of their relation.
            Some(id) => match items.iter().find(|item| item.pointer("/relations/self/id") == Some(&json!(id))) {
                Some(item) => Answer::json(200, &json!({ "data": item })),
                None => missing(resource, id),
            },
        };
    }
    let Some(kind) = Kind::of(resource) else { return unknown(resource) };
    let site = &vms.config.site;
    let Some(id) = id else { return list::answer(vms, kind, site.top(kind), &request.query, true) };
    let Some(number) = site.find(kind, id) else { return missing(resource, id) };
    let Some(child) = child else {
        return Answer::json(200, &json!({ "data": value(&item(&vms.config, kind, number)) }));
    };
    let Some(children) = Kind::of(child) else { return unknown(child) };
    match site.children(kind, number, children) {
        Some(range) => list::answer(vms, children, range, &request.query, false),
        None => refuse(400, &format!("Invalid parent. /{resource}")),
    }
}

/// Returns whose token came with a request (a service is nobody in the list of users), or the refusal.
fn bearer(vms: &Vms, request: &Request) -> Result<Option<usize>, Answer> {
    let header = request.header("authorization").unwrap_or_default();
    let token = header.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let text = match token.map(|(_, token)| vms.tokens.check(token.trim())) {
        Some(Verdict::Valid(user)) => return Ok(user),
        Some(Verdict::Expired) => "Token validation failed: the token is expired.",
        Some(Verdict::Unknown) => "Token validation failed: the token is not valid.",
        None => "Token validation failed: there is no bearer token.",
    };
    Err(refuse(401, text).with("WWW-Authenticate", "Bearer"))
}

fn forbidden(vms: &Vms, user: Option<usize>, resource: &str) -> Option<Answer> {
    let user = vms.config.users.get(user?)?;
    user.forbidden.iter().find(|name| *name == "*" || name.eq_ignore_ascii_case(resource))?;
    Some(no_permission())
}

/// Refuses a user who may not read this.
pub(crate) fn no_permission() -> Answer {
    let details = json!([{ "errorText": "The user has no permission for this.", "errorTextId": "VMO61008" }]);
    Answer::json(403, &json!({ "error": { "httpCode": 403, "details": details } }))
}

/// Refuses a request in the form of the API.
pub(crate) fn refuse(status: u16, text: &str) -> Answer {
    let details: Value = json!([{ "errorText": text }]);
    Answer::json(status, &json!({ "error": { "httpCode": status, "details": details } }))
}

/// Refuses a resource that does not exist.
pub(crate) fn unknown(resource: &str) -> Answer {
    refuse(404, &format!("Unknown resource: {resource}"))
}

/// Refuses an item that does not exist.
pub(crate) fn missing(resource: &str, id: &str) -> Answer {
    refuse(404, &format!("Device not found. {resource}/{id}"))
}
