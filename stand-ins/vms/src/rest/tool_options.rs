//! The tool options: the privacy option as it is told to look, and another one.

use loopback::Answer;
use serde_json::{Value, json};

use super::error::{missing, no_permission, unknown};
use crate::model::privacy::Privacy;

/// Id of the option on every server.
pub(crate) const ID: &str = "a36b973e-eb89-4cd9-8f44-5628c1e7f032";
/// An option that has nothing to do with it.
const OTHER: &str = "00000000-0000-4000-8000-0000000000aa";

/// Answers for the list, or for one item of it.
pub(crate) fn answer(privacy: Privacy, id: Option<&str>) -> Answer {
    let option = match privacy {
        Privacy::On | Privacy::ListOnlyOn => Some(option(&json!(true))),
        Privacy::Off | Privacy::ListOnlyOff => Some(option(&json!(false))),
        Privacy::ListOnlyOffWithoutId => {
            Some(json!({ "displayName": "Privacy settings", "collectTelemetryEnabled": false }))
        }
        Privacy::OnAsText => Some(option(&json!("True"))),
        Privacy::OffAsText => Some(option(&json!("False"))),
        Privacy::WrongType => Some(option(&json!({ "value": 0 }))),
        Privacy::PropertyMissing => Some(option(&Value::Null)),
        Privacy::ItemMissing => None,
        Privacy::ResourceUnknown => return unknown("toolOptions"),
        Privacy::Forbidden => return no_permission(),
        Privacy::ServerError => return Answer::text(500, "text/plain", "The server failed."),
        Privacy::Malformed => return Answer::text(200, "application/json; charset=utf-8", r#"{"data":{"displ"#),
    };
    let list_only = matches!(privacy, Privacy::ListOnlyOn | Privacy::ListOnlyOff | Privacy::ListOnlyOffWithoutId);
    match id {
        None => {
            let all: Vec<Value> = [Some(other()), option].into_iter().flatten().collect();
            Answer::json(200, &json!({ "array": all }))
        }
        Some(id) if id.eq_ignore_ascii_case(OTHER) => Answer::json(200, &json!({ "data": other() })),
        Some(id) => match option.filter(|_| id.eq_ignore_ascii_case(ID) && !list_only) {
            Some(option) => Answer::json(200, &json!({ "data": option })),
            None => missing("toolOptions", id),
        },
    }
}

/// Returns the option with this value; null leaves the member out.
fn option(value: &Value) -> Value {
    let mut option = json!({ "displayName": "Privacy settings", "id": ID });
    if let (Some(members), false) = (option.as_object_mut(), value.is_null()) {
        members.insert("collectTelemetryEnabled".to_owned(), value.clone());
    }
    if let Some(members) = option.as_object_mut() {
        members.insert("relations".to_owned(), json!({ "self": { "type": "toolOptions", "id": ID } }));
    }
    option
}

fn other() -> Value {
    let relations = json!({ "self": { "type": "toolOptions", "id": OTHER } });
    json!({ "displayName": "Demo settings", "id": OTHER, "demoEnabled": true, "relations": relations })
}
