//! What is sent around an event.
//!
//! The envelope is that of Microsoft.ApplicationInsights 2.22, member for member. Only `ai.location.ip` is not sent, so that
//! the service derives city, state and country from the source address and discards the address (E5).

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::event::{Event, timestamp};

/// The service refuses items that are more than 48 hours old. The margin of an hour covers the request and inaccurate clocks.
const MAX_EVENT_AGE: TimeDelta = TimeDelta::hours(47);

/// Builds the envelope of an event as it is sent at `now`.
///
/// An event that waited longer than the service accepts is sent as of now, with the true time in `OccurredAt` (D6).
pub fn envelope(event: &Event, key: Uuid, now: DateTime<Utc>) -> Json {
    let mut time = timestamp(event.time);
    let (mut properties, measurements) = event.members();
    if (now - event.time).abs() >= MAX_EVENT_AGE {
        properties.insert("OccurredAt".to_owned(), Json::String(time));
        time = timestamp(now);
    }
    let mut data = json!({ "ver": 2, "name": event.name(), "properties": properties });
    if let (false, Some(data)) = (measurements.is_empty(), data.as_object_mut()) {
        data.insert("measurements".to_owned(), Json::Object(measurements));
    }
    let (user, session) = event.ids();
    // Privacy: the SDK would put the computer's name into role, role instance and node name, and anything on the way may fill
    // in what is missing. A constant leaves nothing to fill in.
    let mut tags = json!({
        "ai.application.ver": event.version,
        "ai.cloud.role": "na",
        "ai.cloud.roleInstance": "na",
        "ai.session.id": session.to_string(),
        "ai.user.id": user.to_string(),
        "ai.user.authUserId": "na",
        "ai.internal.sdkVersion": concat!("vms-telemetry:", env!("CARGO_PKG_VERSION")),
        "ai.internal.nodeName": "na",
    });
    if let (None, Some(tags)) = (&event.version, tags.as_object_mut()) {
        tags.shift_remove("ai.application.ver");
    }
    json!({
        "name": "AppEvents",
        "time": time,
        "iKey": key.to_string(),
        "tags": tags,
        "data": { "baseType": "EventData", "baseData": data },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event;

    #[test]
    fn d6_a_late_event_is_sent_as_of_now_with_its_true_time() {
        let recorded = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let event = event::any(recorded);
        let send = |after: TimeDelta| envelope(&event, Uuid::nil(), recorded + after);
        for (hours, late) in [(0, false), (46, false), (48, true), (24 * 80, true), (-49, true)] {
            let after = TimeDelta::hours(hours);
            let sent = send(after);
            assert!(sent["tags"].get("ai.application.ver").is_none());
            let occurred = sent["data"]["baseData"]["properties"].get("OccurredAt");
            assert_eq!(occurred.is_some(), late, "{hours}");
            let time = if late { recorded + after } else { recorded };
            assert_eq!(sent["time"], timestamp(time));
            if let Some(occurred) = occurred {
                assert_eq!(occurred, "2023-11-14T22:13:20.0000000Z");
            }
        }
    }
}
