//! The configuration REST API: who may ask, and which resource is meant.

mod error;
mod items;
mod list;
mod tool_options;

use loopback::{Answer, Request, lock};
use serde_json::json;

use self::error::{missing, no_permission, refuse, unknown};
use self::items::{item, license, loosen, products, value};
use crate::form;
use crate::model::kind::Kind;
use crate::state::Vms;
use crate::state::tokens::Verdict;

/// Answers a request for the resource that these parts of the path name.
pub(crate) fn answer(vms: &Vms, request: &Request, parts: &[&str]) -> Answer {
    let user = match bearer(vms, request) {
        Ok(user) => user,
        Err(answer) => return answer,
    };
    let parts: Vec<String> = parts.iter().map(|part| form::decode(part)).collect();
    let mut parts = parts.iter().map(String::as_str);
    let (Some(resource), id, child, None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return unknown(request.path.as_str());
    };
    if let Some(refusal) = [Some(resource), child].into_iter().flatten().find_map(|name| forbidden(vms, user, name)) {
        return refusal;
    }
    if request.method != "GET" {
        return refuse(405, &format!("The method {} is not supported.", request.method)).with("Allow", "GET");
    }
    let fixed = match resource.to_ascii_lowercase().as_str() {
        "tooloptions" if child.is_none() => return tool_options::answer(*lock(&vms.privacy), id),
        "licenseinformations" => Some(vec![license(&vms.config)]),
        "licenseinstalledproducts" => Some(products(&vms.config)),
        _ => None,
    };
    if let Some(mut items) = fixed {
        items.iter_mut().for_each(|item| loosen(&vms.config, item));
        return match id {
            None => Answer::json(200, &json!({ "array": items })),
            Some(id) => missing(resource, id),
        };
    }
    let Some(kind) = Kind::of(resource) else { return unknown(resource) };
    let site = &vms.config.site;
    let Some(id) = id else { return list::answer(&vms.config, kind, site.top(kind), &request.query) };
    let Some(number) = site.find(kind, id) else { return missing(resource, id) };
    let Some(child) = child else {
        return Answer::json(200, &json!({ "data": value(&item(&vms.config, kind, number)) }));
    };
    let Some(children) = Kind::of(child) else { return unknown(child) };
    match site.children(kind, number, children) {
        Some(range) => list::answer(&vms.config, children, range, &request.query),
        None => refuse(400, &format!("Invalid parent. /{resource}")),
    }
}

/// Returns whose token came with a request, or the refusal.
fn bearer(vms: &Vms, request: &Request) -> Result<usize, Answer> {
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

fn forbidden(vms: &Vms, user: usize, resource: &str) -> Option<Answer> {
    let user = vms.config.users.get(user)?;
    user.forbidden.iter().find(|name| *name == "*" || name.eq_ignore_ascii_case(resource))?;
    Some(no_permission())
}
