//! User-defined events: the one resource that clients may write, as samples for the API do.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::{Map, Value, json};

use crate::answer::Answer;
use crate::random::random;
use crate::rest::{missing, refuse};
use crate::vms::lock;
use loopback::Request;

/// Far more than a sample makes.
const MAX_EVENTS: usize = 1000;
const RESOURCE: &str = "userDefinedEvents";

/// The events that there are, by id.
#[derive(Default)]
pub(crate) struct Events(Mutex<BTreeMap<String, Map<String, Value>>>);

impl Events {
    pub(crate) fn answer(&self, request: &Request, id: Option<&str>) -> Answer {
        let mut events = lock(&self.0);
        let sent = || serde_json::from_slice::<Map<String, Value>>(&request.body).ok();
        let id = id.map(str::to_ascii_lowercase);
        match (request.method.as_str(), id) {
            ("GET", None) => Answer::json(200, &json!({ "array": events.values().collect::<Vec<_>>() })),
            ("POST", None) => {
                let Some(name) = sent().and_then(|sent| Some(sent.get("name")?.as_str()?.to_owned())) else {
                    return refuse(400, "Invalid parameter. name");
                };
                if events.len() >= MAX_EVENTS {
                    return refuse(400, "There are too many events.");
                }
                let number = u128::from_be_bytes(random());
                let id = format!("{:08x}-0000-4000-8000-{:012x}", number >> 96, number & 0xffff_ffff_ffff);
                let Value::Object(event) = json!({
                    "displayName": name, "id": id, "lastModified": "2026-02-03T04:05:06.0000000Z", "name": name,
                    "subtype": "UserDefined", "relations": { "self": { "type": RESOURCE, "id": id } },
                }) else {
                    return refuse(500, "The event could not be made.");
                };
                let answer = Answer::json(201, &json!({ "result": event }));
                events.insert(id, event);
                answer
            }
            ("GET", Some(id)) => match events.get(&id) {
                Some(event) => Answer::json(200, &json!({ "data": event })),
                None => missing(RESOURCE, &id),
            },
            ("PUT" | "PATCH", Some(id)) => match (events.get_mut(&id), sent()) {
                (Some(event), Some(sent)) => {
                    if let Some(name @ Value::String(_)) = sent.get("name") {
                        event.insert("name".to_owned(), name.clone());
                        event.insert("displayName".to_owned(), name.clone());
                    }
                    Answer::json(200, &json!({ "data": event }))
                }
                (None, _) => missing(RESOURCE, &id),
                (_, None) => refuse(400, "The body is not an object."),
            },
            ("DELETE", Some(id)) => match events.remove(&id) {
                Some(_) => Answer::json(200, &json!({ "state": "Success" })),
                None => missing(RESOURCE, &id),
            },
            (method, _) => refuse(405, &format!("The method {method} is not supported.")),
        }
    }
}
