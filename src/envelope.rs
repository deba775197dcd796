//! What goes over the wire: the connection string that says where, and the envelope around an event.
//!
//! The envelope is that of Microsoft.ApplicationInsights 2.22, member for member; only `ai.location.ip` is not sent,
//! so that the service takes the country from the source address and discards the address (E5).

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value as Json, json};
use ureq::http::Uri;
use uuid::Uuid;

use crate::event::{Event, timestamp};

/// Longest connection string, in bytes: the service's own limit is 4,096 characters.
pub const CONNECTION_STRING_LIMIT: usize = 4_096;

/// The product's own destination, for hosts that name none.
pub const BUILT_IN: &str = "InstrumentationKey=0ec7d4ee-5b3a-4db2-b83d-ccb675330317;\
                            IngestionEndpoint=https://westus2-2.in.applicationinsights.azure.com/";

/// The service refuses items that are more than 48 hours old; an hour of margin covers the way and crooked clocks.
const LATE: TimeDelta = TimeDelta::hours(47);

/// Where events go.
#[derive(Clone, PartialEq, Eq)]
pub struct Destination {
    /// The instrumentation key.
    pub key: Uuid,
    /// The address that takes events: `{IngestionEndpoint}v2.1/track`.
    pub track: Uri,
}

impl Destination {
    /// Gives a mark that tells it from others where its address must not stand: FNV-1a, so that all versions agree.
    pub fn mark(&self) -> String {
        let text = format!("{} {}", self.key, self.track);
        let mix = |mark: u64, byte: u8| (mark ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        format!("{:016x}", text.bytes().fold(0xcbf2_9ce4_8422_2325, mix))
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Destination")
    }
}

/// Tells whether an address is on this computer, where HTTPS is not required and no proxy is asked.
pub(crate) fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Parses `Key=Value` pairs parted by `;`, names without case (D5). The error says what is wrong, never with the value.
impl FromStr for Destination {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > CONNECTION_STRING_LIMIT {
            return Err("it is longer than 4,096 bytes");
        }
        let (mut key, mut endpoint, mut suffix) = (None, None, false);
        for pair in text.split(';').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or("a part of it is not a Key=Value pair")?;
            match name.trim().to_ascii_lowercase().as_str() {
                "instrumentationkey" => key = Some(value.trim()),
                "ingestionendpoint" => endpoint = Some(value.trim()),
                "endpointsuffix" => suffix = true,
                _ => {}
            }
        }
        let key = key.ok_or("it has no InstrumentationKey")?;
        let key = Uuid::try_parse(key).map_err(|_| "its InstrumentationKey is not a GUID")?;
        let endpoint = match (endpoint, suffix) {
            (Some(endpoint), _) => endpoint,
            (None, true) => return Err("EndpointSuffix is not supported: give the IngestionEndpoint itself"),
            (None, false) => "https://dc.services.visualstudio.com/",
        };
        Ok(Self { key, track: track(endpoint)? })
    }
}

/// Gives the address below an endpoint that takes events.
fn track(endpoint: &str) -> Result<Uri, &'static str> {
    const MALFORMED: &str = "its IngestionEndpoint is not an address like https://host/";
    if endpoint.contains(['?', '#', '@']) {
        return Err(MALFORMED);
    }
    let track = format!("{}/v2.1/track", endpoint.trim_end_matches('/'));
    let uri: Uri = track.parse().map_err(|_| MALFORMED)?;
    match uri.scheme_str() {
        _ if uri.host().is_none_or(str::is_empty) => Err(MALFORMED),
        Some("https") => Ok(uri),
        Some("http") if is_loopback(&uri) => Ok(uri),
        Some("http") => Err("its IngestionEndpoint must use https (http is only for this computer itself)"),
        _ => Err(MALFORMED),
    }
}

/// Builds the envelope of an event as it is sent at `now`.
///
/// An event that waited longer than the service accepts is sent as of now, with the true time in `OccurredAt` (D6).
pub fn envelope(event: &Event, key: Uuid, now: DateTime<Utc>) -> Json {
    let mut time = timestamp(event.time());
    let mut properties = event.properties();
    if (now - event.time()).abs() > LATE {
        properties.insert("OccurredAt".to_owned(), Json::String(time));
        time = timestamp(now);
    }
    let mut data = json!({ "ver": 2, "name": event.kind().name(), "properties": properties });
    let measurements = event.measurements();
    if let (false, Some(data)) = (measurements.is_empty(), data.as_object_mut()) {
        data.insert("measurements".to_owned(), Json::Object(measurements));
    }
    json!({
        "name": "AppEvents",
        "time": time,
        "iKey": key.to_string(),
        "tags": {
            "ai.application.ver": event.version(),
            "ai.cloud.role": "na",
            "ai.cloud.roleInstance": "na",
            "ai.session.id": event.session(),
            "ai.user.id": event.user(),
            "ai.user.authUserId": "na",
            "ai.internal.sdkVersion": concat!("vms-telemetry:", env!("CARGO_PKG_VERSION")),
            "ai.internal.nodeName": "na",
        },
        "data": { "baseType": "EventData", "baseData": data },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Kind;

    const KEY: &str = "11111111-2222-4333-8444-555555555555";

    #[test]
    fn d5_connection_strings_that_work() {
        let table = [
            (format!("InstrumentationKey={KEY}"), "https://dc.services.visualstudio.com/v2.1/track"),
            (
                format!("instrumentationkey = {KEY} ;; INGESTIONENDPOINT=https://a.example/ ;"),
                "https://a.example/v2.1/track",
            ),
            (
                format!("InstrumentationKey={KEY};IngestionEndpoint=https://a.example:444/base;LiveEndpoint=x"),
                "https://a.example:444/base/v2.1/track",
            ),
            (
                format!("InstrumentationKey={KEY};IngestionEndpoint=http://127.0.0.1:9/"),
                "http://127.0.0.1:9/v2.1/track",
            ),
            (format!("InstrumentationKey={KEY};IngestionEndpoint=http://localhost:9"), "http://localhost:9/v2.1/track"),
            (format!("InstrumentationKey={KEY};IngestionEndpoint=http://[::1]:9"), "http://[::1]:9/v2.1/track"),
        ];
        for (text, track) in table {
            let destination: Destination = text.parse().unwrap();
            assert_eq!(
                (destination.key.to_string(), destination.track.to_string()),
                (KEY.to_owned(), track.to_owned())
            );
        }
        BUILT_IN.parse::<Destination>().unwrap();
    }

    #[test]
    fn d5_connection_strings_that_do_not() {
        let table = [
            String::new(),
            "InstrumentationKey=".to_owned(),
            "InstrumentationKey=none".to_owned(),
            format!("InstrumentationKey={KEY};nonsense"),
            format!("InstrumentationKey={KEY};EndpointSuffix=example.com"),
            "IngestionEndpoint=https://a.example/".to_owned(),
            format!("InstrumentationKey={KEY};IngestionEndpoint="),
            format!("InstrumentationKey={KEY};IngestionEndpoint=a.example"),
            format!("InstrumentationKey={KEY};IngestionEndpoint=https://"),
            format!("InstrumentationKey={KEY};IngestionEndpoint=ftp://a.example/"),
            format!("InstrumentationKey={KEY};IngestionEndpoint=http://a.example/"),
            format!("InstrumentationKey={KEY};IngestionEndpoint=http://127.0.0.1.example/"),
            format!("InstrumentationKey={KEY};IngestionEndpoint=http://localhost.example/"),
            format!("InstrumentationKey={KEY};IngestionEndpoint=https://u:p@a.example/"),
            format!("InstrumentationKey={KEY};IngestionEndpoint=https://a.example/?q"),
            format!("InstrumentationKey={KEY};IngestionEndpoint=https://a b/"),
            format!("InstrumentationKey={KEY};Pad={}", "x".repeat(CONNECTION_STRING_LIMIT)),
        ];
        for text in table {
            assert!(text.parse::<Destination>().is_err(), "{text}");
        }
    }

    #[test]
    fn d6_a_late_event_is_sent_as_of_now_with_its_true_time() {
        let recorded = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let event = Event::new(Kind::NewSession, recorded, "1", Uuid::new_v4(), Uuid::new_v4());
        let send = |after: TimeDelta| envelope(&event, Uuid::nil(), recorded + after);
        for (after, late) in [(0, false), (46, false), (49, true), (24 * 80, true), (-49, true)] {
            let after = TimeDelta::hours(after);
            let sent = send(after);
            let occurred = sent["data"]["baseData"]["properties"].get("OccurredAt");
            assert_eq!(occurred.is_some(), late, "{after}");
            let time = if late { recorded + after } else { recorded };
            assert_eq!(sent["time"], timestamp(time));
            if let Some(occurred) = occurred {
                assert_eq!(occurred, "2023-11-14T22:13:20.0000000Z");
            }
        }
    }
}
