//! What an envelope may hold.
//!
//! - It is taken only if each member is known, given once, of the right type and within its limit.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::marker::PhantomData;

use chrono::{DateTime, TimeDelta, Utc};
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use uuid::Uuid;

/// The service's limits. Texts are counted in characters.
const MAX_ITEM_BYTES: usize = 64 * 1024;
const MAX_AGE: TimeDelta = TimeDelta::hours(48);
const MAX_EVENT_NAME: usize = 512;
const MAX_KEY: usize = 150;
const MAX_VALUE: usize = 8192;
/// The tags that a usage event has, each with its limit.
const TAGS: [(&str, usize); 9] = [
    ("ai.application.ver", 1024),
    ("ai.cloud.role", 256),
    ("ai.cloud.roleInstance", 256),
    ("ai.internal.nodeName", 256),
    ("ai.internal.sdkVersion", 64),
    ("ai.location.ip", 46),
    ("ai.session.id", 64),
    ("ai.user.authUserId", 1024),
    ("ai.user.id", 1024),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    name: String,
    time: String,
    #[serde(rename = "iKey")]
    ikey: String,
    tags: Pairs<String>,
    data: Data,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Data {
    base_type: String,
    base_data: EventData,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EventData {
    ver: u8,
    name: String,
    #[serde(default)]
    properties: Pairs<String>,
    #[serde(default)]
    measurements: Pairs<f64>,
}

/// Checks one envelope, given as text and as value; the error says what is wrong with it.
pub(crate) fn check(text: &str, value: &Value, now: DateTime<Utc>) -> Result<(), String> {
    if text.len() > MAX_ITEM_BYTES {
        return Err(format!("the item is {} bytes long, more than {MAX_ITEM_BYTES}", text.len()));
    }
    // The derived types would also take their members as an array, without names.
    for place in ["", "/data", "/data/baseData"] {
        if !value.pointer(place).is_some_and(Value::is_object) {
            return Err(format!("109: the envelope's `{place}` is not an object"));
        }
    }
    let envelope: Envelope = serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(text))
        .map_err(|error| format!("109: {}: {}", error.path(), error.inner()))?;
    let name = envelope.name.as_str();
    if !(matches!(name, "AppEvents" | "Event") || name.starts_with("Microsoft.ApplicationInsights.")) {
        return Err(format!("`name` is `{name}`, which is no event"));
    }
    let time = DateTime::parse_from_rfc3339(&envelope.time)
        .map_err(|error| format!("103: Field 'time' on type 'Envelope' is not ISO 8601: {error}"))?;
    let age = now.signed_duration_since(time);
    if age > MAX_AGE {
        return Err(format!(
            "103: Field 'time' on type 'Envelope' is older than the allowed min date. \
             Expected: now - {}ms, Actual: now - {}ms",
            MAX_AGE.num_milliseconds(),
            age.num_milliseconds()
        ));
    }
    if !is_guid(&envelope.ikey) {
        return Err(format!("`iKey` is `{}`, which is no GUID", envelope.ikey));
    }
    for (tag, value) in &envelope.tags.0 {
        let limit = TAGS.iter().find(|(known, _)| known == tag).map(|(_, limit)| *limit);
        length(&format!("tag {tag}"), value, 0, limit.ok_or_else(|| format!("the tag `{tag}` is not known"))?)?;
    }
    let Data { base_type, base_data: event } = &envelope.data;
    if base_type != "EventData" {
        return Err(format!("`data.baseType` is `{base_type}`, not `EventData`"));
    }
    if event.ver != 2 {
        return Err(format!("`data.baseData.ver` is {}, not 2", event.ver));
    }
    length("event name", &event.name, 1, MAX_EVENT_NAME)?;
    for (key, value) in &event.properties.0 {
        length("property key", key, 1, MAX_KEY)?;
        length(&format!("property {key}"), value, 0, MAX_VALUE)?;
    }
    // That a measurement is a finite number is in its type: JSON cannot write another one.
    event.measurements.0.iter().try_for_each(|(key, _)| length("measurement key", key, 1, MAX_KEY))
}

fn length(what: &str, text: &str, least: usize, most: usize) -> Result<(), String> {
    match text.chars().count() {
        count if (least..=most).contains(&count) => Ok(()),
        count => Err(format!("the {what} has {count} characters, not {least} to {most}")),
    }
}

/// Tells whether the text is a GUID in the hyphenated form, the only one that clients send.
pub(crate) fn is_guid(text: &str) -> bool {
    text.len() == 36 && Uuid::try_parse(text).is_ok()
}

/// The members of an object that may have any name, but none twice.
#[derive(Default)]
struct Pairs<T>(BTreeMap<String, T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Pairs<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PairsVisitor(PhantomData))
    }
}

struct PairsVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for PairsVisitor<T> {
    type Value = Pairs<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<T>, A::Error> {
        let mut pairs = BTreeMap::new();
        while let Some((key, value)) = map.next_entry::<String, T>()? {
            match pairs.entry(key) {
                Entry::Vacant(place) => drop(place.insert(value)),
                Entry::Occupied(known) => {
                    return Err(A::Error::custom(format!("`{}` is given more than once", known.key())));
                }
            }
        }
        Ok(Pairs(pairs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-24T12:00:00Z";
    const KEY: &str = "11111111-2222-4333-8444-555555555555";
    /// As Microsoft.ApplicationInsights 2.22 writes it.
    const CLASSIC: &str = r#"{"name":"AppEvents","time":"2026-11-24T11:59:58.3739964Z","iKey":"11111111-2222-4333-8444-555555555555","tags":{"ai.application.ver":"1.2.3","ai.cloud.role":"na","ai.cloud.roleInstance":"na","ai.session.id":"5f1c2c6e-6c39-4c0a-9f4e-6a8f3f0f1c11","ai.user.id":"c0ffee00-1111-4222-8333-444455556666","ai.user.authUserId":"na","ai.location.ip":"0.0.0.0","ai.internal.sdkVersion":"dotnetc:2.22.0-997","ai.internal.nodeName":"na"},"data":{"baseType":"EventData","baseData":{"ver":2,"name":"NewSession","properties":{"Edition":"Corporate"},"measurements":{"ElapsedMs":153.25,"Count":2}}}}"#;
    /// As Microsoft.ApplicationInsights 3.2 writes it.
    const LATER: &str = r#"{"name":"Event","time":"2026-11-24T11:59:58.8624177Z","iKey":"11111111-2222-4333-8444-555555555555","tags":{"ai.location.ip":"0.0.0.0","ai.user.id":"c0ffee00-1111-4222-8333-444455556666","ai.user.authUserId":"na","ai.session.id":"5f1c2c6e-6c39-4c0a-9f4e-6a8f3f0f1c11","ai.cloud.role":"na","ai.cloud.roleInstance":"na","ai.application.ver":"1.2.3","ai.internal.sdkVersion":"dotnet10.0.12-servicing.26:otel1.19.1:sha1.10.0"},"data":{"baseType":"EventData","baseData":{"ver":2,"name":"NewSession","properties":{"Count":"2","CategoryName":"Microsoft.ApplicationInsights.TelemetryClient"}}}}"#;
    /// As the Azure Monitor exporter 1.10 writes it.
    const EXPORTER: &str = r#"{"name":"Event","time":"2026-11-24T11:59:58.8994357Z","iKey":"11111111-2222-4333-8444-555555555555","tags":{"ai.user.id":"c0ffee00-1111-4222-8333-444455556666","ai.cloud.role":"na","ai.internal.sdkVersion":"dotnet10.0.12-servicing.26:otel1.19.1:ext1.10.0"},"data":{"baseType":"EventData","baseData":{"ver":2,"name":"NewSession","properties":{"session.id":"5f1c2c6e-6c39-4c0a-9f4e-6a8f3f0f1c11","CategoryName":"bench"}}}}"#;

    fn refusal(text: &str) -> Option<String> {
        match serde_json::from_str(text) {
            Ok(value) => check(text, &value, NOW.parse().unwrap()).err(),
            Err(error) => Some(error.to_string()),
        }
    }

    #[test]
    fn envelopes_of_the_known_senders_are_taken() {
        for text in [CLASSIC, LATER, EXPORTER] {
            assert_eq!(refusal(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_within_the_limits_is_taken() {
        let longest_name = "é".repeat(MAX_EVENT_NAME);
        let longest_value = "é".repeat(MAX_VALUE);
        let longest_key = "k".repeat(MAX_KEY);
        for (from, to) in [
            (r#""AppEvents""#, r#""Microsoft.ApplicationInsights.Dev.abc.Event""#),
            ("2026-11-24T11:59:58.3739964Z", "2026-11-22T12:00:00Z"),
            ("2026-11-24T11:59:58.3739964Z", "2026-11-24T12:59:58+01:00"),
            (r#""name":"NewSession""#, &format!(r#""name":"{longest_name}""#)),
            ("Corporate", &longest_value),
            (r#""Edition""#, &format!(r#""{longest_key}""#)),
            (r#""ElapsedMs":153.25"#, r#""ElapsedMs":-1.5e300"#),
            (r#","measurements":{"ElapsedMs":153.25,"Count":2}"#, ""),
        ] {
            assert!(CLASSIC.contains(from), "{from}");
            assert_eq!(refusal(&CLASSIC.replace(from, to)), None, "{from} -> {to:.80}");
        }
    }

    #[test]
    fn each_wrong_thing_is_refused_by_name() {
        let long = |length| "é".repeat(length);
        for (from, to, said) in [
            (r#""AppEvents""#, r#""AppRequests""#, "`name`"),
            ("2026-11-24T11:59:58.3739964Z", "yesterday", "'time'"),
            ("2026-11-24T11:59:58.3739964Z", "2026-11-24T11:59:58", "'time'"),
            ("2026-11-24T11:59:58.3739964Z", "2026-11-22T11:59:59.999Z", "now - 172800000ms"),
            (KEY, "key", "`iKey`"),
            (KEY, "11111111222243338444555555555555", "`iKey`"),
            (r#""ai.user.id""#, r#""ai.device.id""#, "`ai.device.id` is not known"),
            (r#""1.2.3""#, "1.2", "tags.ai.application.ver"),
            (r#""1.2.3""#, "null", "tags.ai.application.ver"),
            ("5f1c2c6e-6c39-4c0a-9f4e-6a8f3f0f1c11", &long(65), "tag ai.session.id"),
            ("dotnetc:2.22.0-997", &long(65), "tag ai.internal.sdkVersion"),
            (r#""ai.cloud.role":"na""#, &format!(r#""ai.cloud.role":"{}""#, long(257)), "tag ai.cloud.role"),
            (r#""EventData""#, r#""MessageData""#, "`data.baseType`"),
            (r#""ver":2"#, r#""ver":3"#, "`data.baseData.ver`"),
            (r#""ver":2"#, r#""ver":"2""#, "data.baseData.ver"),
            (r#""name":"NewSession","#, "", "missing field `name`"),
            (r#""name":"NewSession""#, r#""name":"""#, "event name"),
            (r#""name":"NewSession""#, &format!(r#""name":"{}""#, long(513)), "event name"),
            ("Corporate", &long(8193), "property Edition"),
            (r#""Edition":"Corporate""#, r#""Edition":true"#, "data.baseData.properties.Edition"),
            (r#""Edition":"Corporate""#, r#""Edition":"a","Edition":"b""#, "`Edition` is given more than once"),
            (r#""Edition""#, &format!(r#""{}""#, long(151)), "property key"),
            (r#""Count""#, &format!(r#""{}""#, long(151)), "measurement key"),
            (r#""Count":2"#, r#""Count":"2""#, "data.baseData.measurements.Count"),
            (r#""Count":2"#, r#""Count":null"#, "data.baseData.measurements.Count"),
            (r#""Count":2"#, r#""Count":1e999"#, "number out of range"),
            (r#""Count":2"#, r#""Count":NaN"#, "expected value"),
            (r#"{"name""#, r#"{"seq":"1","name""#, "unknown field `seq`"),
            (r#""baseType""#, r#""extra":1,"baseType""#, "unknown field `extra`"),
            (r#""ver":2"#, r#""ver":2,"ver":2"#, "duplicate field `ver`"),
            (r#""ver":2"#, r#""ver":2,"id":"1""#, "unknown field `id`"),
            (r#"{"name":"AppEvents","#, "{", "missing field `name`"),
            (CLASSIC, "[]", "`` is not an object"),
            (r#""data""#, r#""date""#, "`/data` is not an object"),
            (r#""baseData""#, r#""baseData":[2,"NewSession",{},{}],"more""#, "`/data/baseData` is not an object"),
        ] {
            assert!(CLASSIC.contains(from), "{from}");
            let refusal = refusal(&CLASSIC.replace(from, to)).unwrap_or_default();
            assert!(refusal.contains(said), "{from} -> {to:.80}: {refusal}");
        }
    }

    #[test]
    fn an_item_over_64_kib_is_refused() {
        let many: Vec<String> = (0..9).map(|i| format!(r#""p{i}":"{}""#, "v".repeat(MAX_VALUE))).collect();
        let text = CLASSIC.replace(r#""Edition":"Corporate""#, &many.join(","));
        assert!(refusal(&text).unwrap().contains("65536"));
    }
}
