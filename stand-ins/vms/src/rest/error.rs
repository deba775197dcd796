//! Errors in the form of the REST API.

use loopback::Answer;
use serde_json::{Value, json};

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
