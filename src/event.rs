//! The closed list of what is collected: what has no place in this file cannot be stored, logged or sent.
//!
//! Each event is a struct whose members are the names on the wire: strings are its properties, numbers its measurements. The
//! types of the members close the values as well (E6). They are the one check for everything that comes from outside, a host's
//! value as well as a file of the spool. `docs/telemetry-fields.md` is made from the comments of these structs.
#![expect(non_snake_case, reason = "the members have the names of the wire")]

use std::net::Ipv4Addr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use uuid::Uuid;

/// In characters. With these two limits no event is larger than 4 KiB, whatever a host or a server passes (E6).
const VERSION_LIMIT: usize = 64;
const NAME_LIMIT: usize = 128;
/// Hexadecimal digits of a GUID.
const GUID_DIGITS: usize = 32;

/// One event: what the spool stores, the telemetry log shows and the service receives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    #[serde(with = "rfc3339")]
    pub time: DateTime<Utc>,
    /// ProductVersion of the module's assembly, for the envelope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    pub fields: Fields,
}

/// The three events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Fields {
    NewSession(NewSession),
    NewVmsSession(NewVmsSession),
    CloseVmsSession(CloseVmsSession),
}

/// Recorded when the module is imported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewSession {
    /// random id of the user on this computer, from `telemetry.uuid`
    pub uuid: Uuid,
    /// random id of this session (one process)
    pub SessionId: Uuid,
    /// ProductVersion of the module's assembly
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub AssemblyVersion: Option<Version>,
    /// name and version of the operating system
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub OSDescription: Option<Name>,
    /// name and version of .NET
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub FrameworkDescription: Option<Name>,
    /// logical processors
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ProcessorCount: Option<u32>,
    /// private memory of the process, in bytes
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub PrivateBytes: Option<u64>,
}

/// Recorded when a connection to an XProtect VMS is established.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewVmsSession {
    /// random id of the user on this computer, from `telemetry.uuid`
    pub uuid: Uuid,
    /// `BasicUser`, `WindowsUser` or `OAuthUser`
    pub UserType: UserType,
    /// whether the connection uses OAuth
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub IsOAuthConnection: Option<Flag>,
    /// whether the connection uses HTTPS
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub EncryptionEnabled: Option<Flag>,
    /// random id of this session (one process)
    pub SessionId: Uuid,
    /// version of the VMS
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ProductVersion: Option<Version>,
    /// product name of the VMS
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ProductName: Option<Name>,
    /// ProductVersion of the module's assembly
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub AssemblyVersion: Option<Version>,
    /// random id of the site, from `site-….uuid`
    pub SiteId: Uuid,
    /// child sites
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ChildSites: Option<u32>,
    /// recording servers
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub Recorders: Option<u32>,
    /// hardware devices
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub HardwareCount: Option<u32>,
    /// enabled cameras
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub CameraCount: Option<u32>,
    /// enabled microphones
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub MicrophoneCount: Option<u32>,
    /// enabled speakers
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub SpeakerCount: Option<u32>,
    /// enabled metadata channels
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub MetadataCount: Option<u32>,
    /// enabled inputs
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub InputCount: Option<u32>,
    /// enabled outputs
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub OutputCount: Option<u32>,
}

/// Recorded when a connection is closed gracefully with `Disconnect-Vms`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloseVmsSession {
    /// random id of the user on this computer, from `telemetry.uuid`
    pub uuid: Uuid,
    /// random id of this session (one process)
    pub SessionId: Uuid,
    /// random id of the site, from `site-….uuid`
    pub SiteId: Uuid,
    /// seconds that the connection lasted
    pub ConnectionDuration: Seconds,
    /// private memory of the process, in bytes
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub PrivateBytes: Option<u64>,
}

/// A Boolean value, spelled as .NET does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Flag {
    True,
    False,
}

impl From<bool> for Flag {
    fn from(flag: bool) -> Self {
        if flag { Self::True } else { Self::False }
    }
}

/// The kinds of user that the documentation distinguishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UserType {
    BasicUser,
    WindowsUser,
    OAuthUser,
}

/// A version: at most 64 characters out of `0-9`, `A-Z`, `a-z`, `.`, `+` and `-`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Version(String);

/// The name of a product, an operating system or a framework: at most 128 printable characters. It has no `\`, `/` (except in
/// "GNU/Linux"), `@` or `:`, and no IP address or GUID in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Name(String);

/// Seconds, not negative.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64")]
pub struct Seconds(f64);

impl Seconds {
    /// To the millisecond.
    pub fn of(duration: Duration) -> Self {
        Self(duration.as_millis() as f64 / 1000.0)
    }
}

/// The error of a value that has no place in the list. It does not repeat the value.
const UNFIT: &str = "a value that is not collected";

impl TryFrom<String> for Version {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let is_known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'+' | b'-');
        let fits = (1..=VERSION_LIMIT).contains(&text.len()) && text.bytes().all(is_known);
        if fits { Ok(Self(text)) } else { Err(UNFIT) }
    }
}

impl TryFrom<String> for Name {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let plain = text.replace("GNU/Linux", "");
        let fits = (1..=NAME_LIMIT).contains(&text.chars().count())
            && text.chars().all(is_printable)
            && !plain.contains(['\\', '/', '@', ':'])
            && !has_ip_address(&text)
            && !has_guid(&text);
        if fits { Ok(Self(text)) } else { Err(UNFIT) }
    }
}

impl TryFrom<f64> for Seconds {
    type Error = &'static str;

    fn try_from(seconds: f64) -> Result<Self, &'static str> {
        if seconds.is_finite() && seconds >= 0.0 { Ok(Self(seconds)) } else { Err(UNFIT) }
    }
}

/// Returns whether a character is visible and plain. Control and format characters could hide or reorder what a user reads in
/// the telemetry log.
fn is_printable(character: char) -> bool {
    !character.is_control()
        && (character == ' ' || !character.is_whitespace())
        && !matches!(character, '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}')
        && !matches!(character, '\u{E000}'..='\u{F8FF}' | '\u{FEFF}' | '\u{FFF0}'..='\u{FFFB}' | '\u{E0000}'..='\u{10FFFF}')
}

/// Returns whether a text holds an IPv4 address. One of version 6 has a colon, which no name may have.
fn has_ip_address(text: &str) -> bool {
    let numbers = text.split(|character: char| !character.is_ascii_digit() && character != '.');
    numbers.map(|number| number.trim_matches('.')).any(|number| number.parse::<Ipv4Addr>().is_ok())
}

/// Returns whether a text holds a GUID, in whatever form.
fn has_guid(text: &str) -> bool {
    let runs = text.split(|character: char| !character.is_ascii_hexdigit() && character != '-');
    runs.into_iter().any(|run| run.bytes().filter(|byte| *byte != b'-').count() >= GUID_DIGITS)
}

impl Event {
    /// Returns the event's name on the wire.
    pub fn name(&self) -> &'static str {
        match self.fields {
            Fields::NewSession(_) => "NewSession",
            Fields::NewVmsSession(_) => "NewVmsSession",
            Fields::CloseVmsSession(_) => "CloseVmsSession",
        }
    }

    /// Returns the random ids of user and session.
    pub fn ids(&self) -> (Uuid, Uuid) {
        match &self.fields {
            Fields::NewSession(event) => (event.uuid, event.SessionId),
            Fields::NewVmsSession(event) => (event.uuid, event.SessionId),
            Fields::CloseVmsSession(event) => (event.uuid, event.SessionId),
        }
    }

    /// Returns properties and measurements, in the order of the structs.
    pub fn members(&self) -> (Map<String, Value>, Map<String, Value>) {
        let members = match &self.fields {
            Fields::NewSession(event) => serde_json::to_value(event),
            Fields::NewVmsSession(event) => serde_json::to_value(event),
            Fields::CloseVmsSession(event) => serde_json::to_value(event),
        };
        // A struct of strings and numbers always becomes an object.
        let Ok(Value::Object(members)) = members else {
            return Default::default();
        };
        members.into_iter().partition(|(_, value)| value.is_string())
    }
}

/// Writes a time as the SDK does: ISO 8601 in UTC, seven decimals, `Z`.
pub fn timestamp(time: DateTime<Utc>) -> String {
    let ticks = time.timestamp_subsec_nanos() / 100;
    format!("{}.{:07}Z", time.format("%Y-%m-%dT%H:%M:%S"), ticks.min(9_999_999))
}

/// How the spool stores a time.
mod rfc3339 {
    use super::{DateTime, Deserialize, Deserializer, Serializer, Utc};

    pub(super) fn serialize<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::timestamp(*time))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
        let text = String::deserialize(deserializer)?;
        DateTime::parse_from_rfc3339(&text).map(|time| time.to_utc()).map_err(serde::de::Error::custom)
    }
}

/// A `NewSession` for unit tests, with what it always has.
#[cfg(test)]
pub(crate) fn any(time: DateTime<Utc>) -> Event {
    let fields = NewSession {
        uuid: Uuid::new_v4(),
        SessionId: Uuid::new_v4(),
        AssemblyVersion: None,
        OSDescription: None,
        FrameworkDescription: None,
        ProcessorCount: Some(2),
        PrivateBytes: None,
    };
    Event { time, version: None, fields: Fields::NewSession(fields) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Option<Name> {
        Name::try_from(text.to_owned()).ok()
    }

    fn version(text: &str) -> Option<Version> {
        Version::try_from(text.to_owned()).ok()
    }

    fn connected() -> Event {
        let fields = NewVmsSession {
            uuid: Uuid::new_v4(),
            UserType: UserType::BasicUser,
            IsOAuthConnection: Some(true.into()),
            EncryptionEnabled: None,
            SessionId: Uuid::new_v4(),
            ProductVersion: version("23.3.62.1"),
            ProductName: name("XProtect \u{1F4F7}"),
            AssemblyVersion: version("1.2.3"),
            SiteId: Uuid::new_v4(),
            ChildSites: Some(0),
            Recorders: None,
            HardwareCount: None,
            CameraCount: Some(u32::MAX),
            MicrophoneCount: None,
            SpeakerCount: None,
            MetadataCount: None,
            InputCount: None,
            OutputCount: None,
        };
        Event { time: DateTime::UNIX_EPOCH, version: version("1.2.3"), fields: Fields::NewVmsSession(fields) }
    }

    #[test]
    fn e6_versions() {
        for good in ["1", "23.3.62.1", "23.3.46+db544ff02b", "7.0.0-preview.1", &"1".repeat(64)] {
            assert!(version(good).is_some(), "{good}");
        }
        for bad in ["", " 1", "build of jdoe on vms01", "1/2", "1\n", "é", "1_2", "\u{1b}[31m", &"1".repeat(65)] {
            assert!(version(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn e6_names() {
        let long = "\u{1F4F7}".repeat(128);
        for good in [
            "XProtect Corporate 2023 R3",
            "Debian GNU/Linux 12 (bookworm)",
            "Microsoft Windows 10.0.19045",
            ".NET Framework 4.8.9290.0",
            ".NET 10.0.0-rc.1",
            "1.2.3.4.5 five",
            "999.1.1.1",
            "deadbeef-cafe",
            &long,
        ] {
            assert!(name(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "https://vms01.corp.example/ CORP\\jdoe 10.1.2.3",
            "a\\b",
            "a/b",
            "gnu/linux",
            "a@b",
            "a:b",
            "at 10.1.2.3",
            "x10.1.2.3y",
            "0.0.0.0.",
            "fe80::1",
            "site 11111111-2222-4333-8444-555555555555",
            "site 11111111222243338444555555555555.",
            "\u{1b}[31mred",
            "two\nlines",
            "a\u{202E}b",
            "a\u{200B}b",
            "a\u{a0}b",
            &format!("{long}x"),
        ] {
            assert!(name(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn e6_no_event_is_larger_than_4_kib() {
        let longest = name(&"\u{1F4F7}".repeat(NAME_LIMIT));
        let version = version(&"1".repeat(VERSION_LIMIT));
        let Fields::NewVmsSession(fields) = connected().fields else { unreachable!() };
        let most = Some(u32::MAX);
        let connected = NewVmsSession {
            EncryptionEnabled: Some(Flag::False),
            ProductVersion: version.clone(),
            ProductName: longest.clone(),
            AssemblyVersion: version.clone(),
            ChildSites: most,
            Recorders: most,
            HardwareCount: most,
            CameraCount: most,
            MicrophoneCount: most,
            SpeakerCount: most,
            MetadataCount: most,
            InputCount: most,
            OutputCount: most,
            ..fields
        };
        let session = NewSession {
            uuid: connected.uuid,
            SessionId: connected.SessionId,
            AssemblyVersion: version.clone(),
            OSDescription: longest.clone(),
            FrameworkDescription: longest,
            ProcessorCount: most,
            PrivateBytes: Some(u64::MAX),
        };
        for fields in [Fields::NewVmsSession(connected), Fields::NewSession(session)] {
            let event = Event { time: Utc::now(), version: version.clone(), fields };
            assert!(serde_json::to_vec(&event).unwrap().len() <= 4_096);
            let late = event.time + chrono::TimeDelta::days(80);
            assert!(crate::envelope::envelope(&event, Uuid::max(), late).to_string().len() <= 4_096);
        }
    }

    #[test]
    fn e2_properties_are_strings_measurements_numbers_and_what_is_not_known_is_left_out() {
        let (properties, measurements) = connected().members();
        let names: Vec<&str> = properties.keys().map(String::as_str).collect();
        let expected = ["uuid", "UserType", "IsOAuthConnection", "SessionId", "ProductVersion", "ProductName"];
        assert_eq!(names, [&expected[..], &["AssemblyVersion", "SiteId"]].concat());
        assert_eq!((&properties["UserType"], &properties["IsOAuthConnection"]), (&"BasicUser".into(), &"True".into()));
        assert_eq!(Value::Object(measurements), serde_json::json!({ "ChildSites": 0, "CameraCount": u32::MAX }));
    }

    #[test]
    fn numbers_that_are_none_are_refused() {
        for seconds in [f64::NAN, f64::INFINITY, -1.0] {
            assert!(Seconds::try_from(seconds).is_err(), "{seconds}");
        }
    }

    #[test]
    fn an_event_survives_the_spool() {
        let event = connected();
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
    }

    #[test]
    fn e5_e6_a_spooled_file_cannot_bring_in_anything_else() {
        let good = serde_json::to_value(connected()).unwrap();
        let fields = |json: &mut Value, name: &str, value: Value| json["fields"]["NewVmsSession"][name] = value;
        let changes: [&dyn Fn(&mut Value); 12] = [
            &|json| fields(json, "ComputerName", "X".into()),
            &|json| fields(json, "CameraCount", "text".into()),
            &|json| fields(json, "CameraCount", (-1).into()),
            &|json| fields(json, "SessionId", "not an id".into()),
            &|json| fields(json, "UserType", "Administrator".into()),
            &|json| fields(json, "IsOAuthConnection", "perhaps".into()),
            &|json| fields(json, "ProductName", "https://vms01.corp.example/".into()),
            &|json| fields(json, "ProductVersion", "build of jdoe".into()),
            &|json| json["tags"] = "X".into(),
            &|json| json["time"] = "yesterday".into(),
            &|json| json["fields"] = serde_json::json!({ "Other": {} }),
            &|json| drop(json["fields"]["NewVmsSession"].as_object_mut().unwrap().remove("uuid")),
        ];
        assert!(serde_json::from_value::<Event>(good.clone()).is_ok());
        for (row, change) in changes.iter().enumerate() {
            let mut bad = good.clone();
            change(&mut bad);
            assert!(serde_json::from_value::<Event>(bad).is_err(), "row {row}");
        }
    }

    #[test]
    fn timestamps_have_seven_decimals() {
        let time = DateTime::from_timestamp(1_719_013_581, 390_801_099).unwrap();
        assert_eq!(timestamp(time), "2024-06-21T23:46:21.3908010Z");
    }
}
