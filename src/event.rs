//! The closed list of what is collected: what is not in this file cannot be spooled, logged or sent.
//!
//! [`Field`] is the table. An [`Event`] holds values of the fields that its kind carries and of no others; there is
//! no way to put anything else into one, neither from a caller nor from a file of the spool.

use chrono::{DateTime, Utc};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Number, Value as Json};
use uuid::Uuid;

use Field::*;

/// Longest text of a property, in UTF-16 code units at most: the service cuts longer ones.
pub const TEXT_LIMIT: usize = 8_192;
/// Longest application version: the service's limit for the tag `ai.application.ver`.
pub const VERSION_LIMIT: usize = 1_024;

/// The kinds of user that the documentation tells apart.
pub const USER_TYPES: [&str; 3] = ["BasicUser", "WindowsUser", "OAuthUser"];

/// The three events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// The module was imported, or a host started its session.
    NewSession,
    /// A connection to an XProtect VMS was established.
    NewVmsSession,
    /// A connection was closed gracefully.
    CloseVmsSession,
}

/// Every field that an event can carry, in the order in which it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "`Field::row` describes each")]
pub enum Field {
    Uuid,
    UserType,
    IsOAuthConnection,
    EncryptionEnabled,
    SessionId,
    ProductVersion,
    ProductName,
    AssemblyVersion,
    SiteId,
    OSDescription,
    FrameworkDescription,
    ProcessorCount,
    ChildSites,
    Recorders,
    HardwareCount,
    CameraCount,
    MicrophoneCount,
    SpeakerCount,
    MetadataCount,
    InputCount,
    OutputCount,
    ConnectionDuration,
    PrivateBytes,
}

/// What a value of a field may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Property: a random UUID.
    Id,
    /// Property: `True` or `False`.
    Flag,
    /// Property: one of [`USER_TYPES`].
    UserType,
    /// Property: text of at most [`TEXT_LIMIT`].
    Text,
    /// Measurement: a whole number, never negative.
    Count,
    /// Measurement: seconds, never negative.
    Seconds,
}

/// A value of a field, of the type that the field's row names.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// For [`Type::Id`].
    Id(Uuid),
    /// For [`Type::Flag`].
    Flag(bool),
    /// For [`Type::Text`] and [`Type::UserType`].
    Text(String),
    /// For [`Type::Count`].
    Count(u64),
    /// For [`Type::Seconds`].
    Seconds(f64),
}

impl Kind {
    /// All kinds, in the order of the documentation.
    pub const ALL: [Self; 3] = [Self::NewSession, Self::NewVmsSession, Self::CloseVmsSession];

    /// Gives the event's name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::NewSession => "NewSession",
            Self::NewVmsSession => "NewVmsSession",
            Self::CloseVmsSession => "CloseVmsSession",
        }
    }

    /// Says when the event is recorded.
    pub fn when(self) -> &'static str {
        match self {
            Self::NewSession => "the module is imported",
            Self::NewVmsSession => "a connection to an XProtect VMS is established",
            Self::CloseVmsSession => "a connection is closed gracefully with `Disconnect-Vms`",
        }
    }

    /// Lists the fields that this event carries, in the order in which they are sent.
    pub fn fields(self) -> &'static [Field] {
        match self {
            Self::NewSession => {
                &[Uuid, SessionId, AssemblyVersion, OSDescription, FrameworkDescription, ProcessorCount, PrivateBytes]
            }
            Self::NewVmsSession => &[
                Uuid,
                UserType,
                IsOAuthConnection,
                EncryptionEnabled,
                SessionId,
                ProductVersion,
                ProductName,
                AssemblyVersion,
                SiteId,
                ChildSites,
                Recorders,
                HardwareCount,
                CameraCount,
                MicrophoneCount,
                SpeakerCount,
                MetadataCount,
                InputCount,
                OutputCount,
            ],
            Self::CloseVmsSession => &[Uuid, SessionId, SiteId, ConnectionDuration, PrivateBytes],
        }
    }
}

impl Field {
    /// Gives the field's row of the table: name on the wire, type, and what it says.
    pub fn row(self) -> (&'static str, Type, &'static str) {
        match self {
            Uuid => ("uuid", Type::Id, "random id of the user on this computer, from `telemetry.uuid`"),
            UserType => ("UserType", Type::UserType, "`BasicUser`, `WindowsUser` or `OAuthUser`"),
            IsOAuthConnection => ("IsOAuthConnection", Type::Flag, "whether the connection uses OAuth"),
            EncryptionEnabled => ("EncryptionEnabled", Type::Flag, "whether the connection uses HTTPS"),
            SessionId => ("SessionId", Type::Id, "random id of this session (one process)"),
            ProductVersion => ("ProductVersion", Type::Text, "version of the VMS"),
            ProductName => ("ProductName", Type::Text, "product name of the VMS"),
            AssemblyVersion => ("AssemblyVersion", Type::Text, "ProductVersion of the module's assembly"),
            SiteId => ("SiteId", Type::Id, "random id that stands for the site, from `site-….uuid`"),
            OSDescription => ("OSDescription", Type::Text, "name and version of the operating system"),
            FrameworkDescription => ("FrameworkDescription", Type::Text, "name and version of .NET"),
            ProcessorCount => ("ProcessorCount", Type::Count, "logical processors"),
            ChildSites => ("ChildSites", Type::Count, "child sites"),
            Recorders => ("Recorders", Type::Count, "recording servers"),
            HardwareCount => ("HardwareCount", Type::Count, "hardware devices"),
            CameraCount => ("CameraCount", Type::Count, "enabled cameras"),
            MicrophoneCount => ("MicrophoneCount", Type::Count, "enabled microphones"),
            SpeakerCount => ("SpeakerCount", Type::Count, "enabled speakers"),
            MetadataCount => ("MetadataCount", Type::Count, "enabled metadata channels"),
            InputCount => ("InputCount", Type::Count, "enabled inputs"),
            OutputCount => ("OutputCount", Type::Count, "enabled outputs"),
            ConnectionDuration => ("ConnectionDuration", Type::Seconds, "seconds that the connection lasted"),
            PrivateBytes => ("PrivateBytes", Type::Count, "private memory of the process, in bytes"),
        }
    }

    /// Gives the field's name on the wire.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// Tells measurements (numbers) from properties (strings).
    pub fn is_measurement(self) -> bool {
        matches!(self.row().1, Type::Count | Type::Seconds)
    }
}

/// One event: what the spool stores, the raw log shows and the service receives.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    kind: Kind,
    time: DateTime<Utc>,
    version: String,
    values: Vec<(Field, Value)>,
}

impl Event {
    /// Starts an event with the ids that every event carries.
    ///
    /// `version` is the ProductVersion of the module's assembly, cut at [`VERSION_LIMIT`].
    pub fn new(kind: Kind, time: DateTime<Utc>, version: &str, user: uuid::Uuid, session: uuid::Uuid) -> Self {
        let version = cut(version, VERSION_LIMIT).to_owned();
        let mut event = Self { kind, time, version: version.clone(), values: Vec::new() };
        event.set(Uuid, Value::Id(user));
        event.set(SessionId, Value::Id(session));
        if kind.fields().contains(&AssemblyVersion) {
            event.set(AssemblyVersion, Value::Text(version));
        }
        event
    }

    /// Sets a field; a value that the table does not allow there is left out.
    pub fn set(&mut self, field: Field, value: Value) {
        let allowed = self.kind.fields().contains(&field);
        if let (true, Some(value)) = (allowed, fitting(field, value)) {
            self.values.retain(|(other, _)| *other != field);
            self.values.push((field, value));
        }
    }

    /// Sets a field when its value is known; a value that could not be read is left out (E2).
    pub fn set_known(&mut self, field: Field, value: Option<Value>) {
        if let Some(value) = value {
            self.set(field, value);
        }
    }

    /// Gives the kind of the event.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Gives the moment at which the event was recorded.
    pub fn time(&self) -> DateTime<Utc> {
        self.time
    }

    /// Gives the ProductVersion of the module's assembly.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Gives the random user id, as text.
    pub fn user(&self) -> String {
        self.text(Uuid)
    }

    /// Gives the random session id, as text.
    pub fn session(&self) -> String {
        self.text(SessionId)
    }

    fn text(&self, field: Field) -> String {
        self.value(field).map(property).unwrap_or_default()
    }

    fn value(&self, field: Field) -> Option<&Value> {
        self.values.iter().find(|(name, _)| *name == field).map(|(_, value)| value)
    }

    /// Gives the properties in the order of the table, as the service wants them: all strings.
    pub fn properties(&self) -> Map<String, Json> {
        self.map(false, |value| Json::String(property(value)))
    }

    /// Gives the measurements in the order of the table: all numbers.
    pub fn measurements(&self) -> Map<String, Json> {
        self.map(true, measurement)
    }

    fn map(&self, measurements: bool, json: fn(&Value) -> Json) -> Map<String, Json> {
        let fields = self.kind.fields().iter().filter(|field| field.is_measurement() == measurements);
        fields.filter_map(|field| Some((field.name().to_owned(), json(self.value(*field)?)))).collect()
    }
}

fn property(value: &Value) -> String {
    match value {
        Value::Id(id) => id.to_string(),
        Value::Flag(true) => "True".to_owned(),
        Value::Flag(false) => "False".to_owned(),
        Value::Text(text) => text.clone(),
        Value::Count(count) => count.to_string(),
        Value::Seconds(seconds) => seconds.to_string(),
    }
}

fn measurement(value: &Value) -> Json {
    match value {
        Value::Count(count) => Json::from(*count),
        Value::Seconds(seconds) => Number::from_f64(*seconds).map_or(Json::Null, Json::Number),
        other => Json::String(property(other)),
    }
}

/// Gives the value as it may stand in the field, or nothing where the field's row forbids it.
fn fitting(field: Field, value: Value) -> Option<Value> {
    match (field.row().1, value) {
        (Type::Text, Value::Text(text)) => Some(Value::Text(cut(&text, TEXT_LIMIT).to_owned())),
        (Type::UserType, Value::Text(text)) => USER_TYPES.contains(&text.as_str()).then_some(Value::Text(text)),
        (Type::Seconds, Value::Seconds(seconds)) => {
            (seconds.is_finite() && seconds >= 0.0).then_some(Value::Seconds(seconds))
        }
        (Type::Id, value @ Value::Id(_))
        | (Type::Flag, value @ Value::Flag(_))
        | (Type::Count, value @ Value::Count(_)) => Some(value),
        _ => None,
    }
}

/// Cuts a text to `limit` UTF-16 code units (what the service counts), at a character.
pub(crate) fn cut(text: &str, limit: usize) -> &str {
    let mut units = 0;
    for (at, character) in text.char_indices() {
        units += character.len_utf16();
        if units > limit {
            return text.get(..at).unwrap_or_default();
        }
    }
    text
}

/// The event's form in the spool. Unknown members make it a foreign file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    name: Kind,
    time: String,
    version: String,
    properties: Map<String, Json>,
    measurements: Map<String, Json>,
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let stored = Stored {
            name: self.kind,
            time: timestamp(self.time),
            version: self.version.clone(),
            properties: self.properties(),
            measurements: self.measurements(),
        };
        stored.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = Stored::deserialize(deserializer)?;
        let time = DateTime::parse_from_rfc3339(&stored.time).map_err(D::Error::custom)?;
        let mut values = Vec::new();
        for (name, json) in stored.properties.iter().chain(&stored.measurements) {
            let fields = stored.name.fields().iter();
            let value =
                fields.filter(|field| field.name() == name).find_map(|field| Some((*field, read(*field, json)?)));
            values.push(value.ok_or_else(|| D::Error::custom("a field that the table does not have"))?);
        }
        let carries = |field| values.iter().any(|(other, _)| *other == field);
        if !carries(Uuid) || !carries(SessionId) {
            return Err(D::Error::custom("an event without its ids"));
        }
        let version = cut(&stored.version, VERSION_LIMIT).to_owned();
        Ok(Self { kind: stored.name, time: time.to_utc(), version, values })
    }
}

/// Reads a stored value back into the type that its field demands.
fn read(field: Field, json: &Json) -> Option<Value> {
    let value = match field.row().1 {
        Type::Id => Value::Id(json.as_str()?.parse().ok()?),
        Type::Flag => Value::Flag(match json.as_str()? {
            "True" => true,
            "False" => false,
            _ => return None,
        }),
        Type::UserType | Type::Text => Value::Text(json.as_str()?.to_owned()),
        Type::Count => Value::Count(json.as_u64()?),
        Type::Seconds => Value::Seconds(json.as_f64()?),
    };
    fitting(field, value)
}

/// Writes a moment as the service and the peers do: ISO 8601 in UTC, seven decimals, `Z`.
pub fn timestamp(time: DateTime<Utc>) -> String {
    let ticks = time.timestamp_subsec_nanos() / 100;
    format!("{}.{:07}Z", time.format("%Y-%m-%dT%H:%M:%S"), ticks.min(9_999_999))
}

/// Writes the table as Markdown: the content of `docs/telemetry-fields.md`.
pub fn documentation() -> String {
    let mut page = String::from(
        "# What is sent\n\n\
         Generated from `src/event.rs`; a test fails when the two differ. Nothing but these fields leaves the process,\n\
         is stored or is logged. Properties are strings (`True`/`False` for yes and no), measurements are numbers. A value\n\
         that could not be read is left out. `OccurredAt` stands in an event only where it waited more than 48 hours\n\
         and is therefore sent under a later time.\n",
    );
    for kind in Kind::ALL {
        page += &format!("\n## `{}`\n\nRecorded when {}.\n\n", kind.name(), kind.when());
        page += "| field | kind | what it says |\n|---|---|---|\n";
        for field in kind.fields() {
            let (name, _, about) = field.row();
            let sort = if field.is_measurement() { "measurement" } else { "property" };
            page += &format!("| `{name}` | {sort} | {about} |\n");
        }
        page += &format!("| `OccurredAt` | property | {OCCURRED_AT} |\n");
    }
    page
}

/// What the documentation says of the property that only late events have.
const OCCURRED_AT: &str = "when it happened (ISO 8601, UTC); late events only";

/// Writes the table for a console of 80 columns, in ASCII as Windows PowerShell needs it: a section of the help topic
/// about_VmsTelemetry.
pub fn help() -> String {
    const NAME: usize = 31;
    const LINE: usize = 79;
    let mut text = String::new();
    for kind in Kind::ALL {
        text += &format!("\n    {}\n", kind.name());
        let rows =
            kind.fields().iter().map(|field| (field.row().0, field.row().2)).chain([("OccurredAt", OCCURRED_AT)]);
        for (name, about) in rows {
            let mut line = format!("        {name}");
            for word in about.split(' ').map(|word| word.replace('`', "").replace('…', "<id>")) {
                if line.chars().count() + 1 + word.chars().count() > LINE {
                    text += &line;
                    text.push('\n');
                    line = String::new();
                }
                let column = if line.chars().count() < NAME { NAME } else { line.chars().count() + 1 };
                line = format!("{line:column$}{word}");
            }
            text += &line;
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: Kind) -> Event {
        Event::new(kind, DateTime::UNIX_EPOCH, "1.2.3", uuid::Uuid::new_v4(), uuid::Uuid::new_v4())
    }

    #[test]
    fn e2_a_value_that_could_not_be_read_is_left_out() {
        let mut event = event(Kind::NewVmsSession);
        event.set_known(CameraCount, None);
        event.set_known(SpeakerCount, Some(Value::Count(0)));
        assert_eq!(event.measurements().keys().collect::<Vec<_>>(), ["SpeakerCount"]);
    }

    #[test]
    fn the_table_refuses_what_it_does_not_have() {
        let mut event = event(Kind::NewSession);
        event.set(CameraCount, Value::Count(1));
        event.set(ProcessorCount, Value::Text("many".to_owned()));
        event.set(OSDescription, Value::Count(7));
        assert!(event.measurements().is_empty());
        assert_eq!(event.properties().keys().collect::<Vec<_>>(), ["uuid", "SessionId", "AssemblyVersion"]);
    }

    #[test]
    fn numbers_that_are_none_are_left_out() {
        for seconds in [f64::NAN, f64::INFINITY, -1.0] {
            let mut event = event(Kind::CloseVmsSession);
            event.set(ConnectionDuration, Value::Seconds(seconds));
            assert!(event.measurements().is_empty(), "{seconds}");
        }
    }

    #[test]
    fn an_event_survives_the_spool() {
        let mut event = event(Kind::NewVmsSession);
        event.set(UserType, Value::Text("BasicUser".to_owned()));
        event.set(EncryptionEnabled, Value::Flag(true));
        event.set(ProductName, Value::Text("XProtect \u{1F4F7}".to_owned()));
        event.set(CameraCount, Value::Count(u64::MAX));
        let text = serde_json::to_string(&event).unwrap();
        let back: Event = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&back).unwrap(), text);
    }

    #[test]
    fn e5_a_spooled_file_cannot_bring_in_anything_else() {
        let good = serde_json::to_value(event(Kind::NewSession)).unwrap();
        let changes: [fn(&mut Json); 8] = [
            |json| json["properties"]["ComputerName"] = "X".into(),
            |json| json["measurements"]["CameraCount"] = 1.into(),
            |json| json["measurements"]["PrivateBytes"] = "text".into(),
            |json| json["properties"]["SessionId"] = "not an id".into(),
            |json| json["tags"] = "X".into(),
            |json| json["name"] = "Other".into(),
            |json| json["time"] = "yesterday".into(),
            |json| drop(json["properties"].as_object_mut().unwrap().remove("uuid")),
        ];
        assert!(serde_json::from_value::<Event>(good.clone()).is_ok());
        for (row, change) in changes.iter().enumerate() {
            let mut bad = good.clone();
            change(&mut bad);
            assert!(serde_json::from_value::<Event>(bad).is_err(), "row {row}");
        }
    }

    #[test]
    fn texts_are_cut_at_a_character() {
        assert_eq!(cut("aé\u{1F4F7}b", 2), "aé");
        assert_eq!(cut("aé\u{1F4F7}b", 3), "aé");
        assert_eq!(cut("aé\u{1F4F7}b", 4), "aé\u{1F4F7}");
        assert_eq!(cut("ab", 2), "ab");
    }

    #[test]
    fn timestamps_have_seven_decimals() {
        let time = DateTime::from_timestamp(1_719_013_581, 390_801_099).unwrap();
        assert_eq!(timestamp(time), "2024-06-21T23:46:21.3908010Z");
    }
}
