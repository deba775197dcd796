//! One item that arrived, and its form in the record.

use chrono::{DateTime, SecondsFormat, Utc};
use loopback::find;
use serde_json::{Map, Value, json};

/// One item of a request, as it arrived and as it was answered. A request without a readable item is one as well: refused,
/// with `items` 0 and `envelope` null.
#[derive(Debug, Clone, PartialEq)]
pub struct Received {
    /// Place of the item among all that arrived, from 1.
    pub sequence: u64,
    /// Place of its request among all requests to a track path, from 1.
    pub request: u64,
    /// When the request began to arrive.
    pub began: DateTime<Utc>,
    /// When the request had arrived in full.
    pub at: DateTime<Utc>,
    /// Path of the request.
    pub path: String,
    /// Text behind the `?` of the request's target, else empty.
    pub query: String,
    /// All request headers, names and order as sent.
    pub headers: Vec<(String, String)>,
    /// Bytes of the request's body as sent, without chunk framing.
    pub wire_bytes: usize,
    /// Bytes of the request's body uncompressed; 0 if it could not be.
    pub plain_bytes: usize,
    /// How many items the request held.
    pub items: usize,
    /// HTTP status that answered the request; 0 if a script left it without a whole answer.
    pub status: u16,
    /// Why this item was refused; `None` if it was accepted.
    pub refusal: Option<String>,
    /// The item, its members in the order sent; its text if it was not JSON.
    pub envelope: Value,
}

impl Received {
    /// Returns whether the item was taken, whatever the client was told.
    #[must_use]
    pub fn accepted(&self) -> bool {
        self.refusal.is_none()
    }

    /// Returns the item's instrumentation key, else empty.
    #[must_use]
    pub fn ikey(&self) -> &str {
        self.envelope.get("iKey").and_then(Value::as_str).unwrap_or_default()
    }

    /// Returns the first request header of that name, else empty.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        find(&self.headers, name).unwrap_or_default()
    }

    /// Returns the item as the JSON object that is one line of the record; headers of one name are joined by a comma.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut headers = Map::new();
        for (name, value) in &self.headers {
            match headers.get_mut(name) {
                Some(Value::String(known)) => *known = format!("{known}, {value}"),
                _ => drop(headers.insert(name.clone(), json!(value))),
            }
        }
        json!({
            "at": self.at.to_rfc3339_opts(SecondsFormat::Micros, false),
            "request": self.request,
            "path": self.path,
            "query": self.query,
            "status": self.status,
            "accepted": self.accepted(),
            "refusal": self.refusal,
            "contentType": self.header("content-type"),
            "contentEncoding": self.header("content-encoding"),
            "userAgent": self.header("user-agent"),
            "wireBytes": self.wire_bytes,
            "plainBytes": self.plain_bytes,
            "items": self.items,
            "headers": headers,
            "envelope": self.envelope,
        })
    }
}
