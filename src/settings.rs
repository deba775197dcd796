//! The settings file `appsettings.user.json`, which belongs to MilestonePSTools as well (F1 to F6).
//!
//! Reading accepts what .NET's configuration accepts: keys in any case, nested or flat (`"ApplicationInsights:Enabled"`), several
//! times, comments, trailing commas, a byte order mark, Boolean values as strings. A change edits the text in place, so that what
//! is not ours stays byte for byte what it was. A file that cannot be parsed is never written to.

use std::path::Path;
use std::time::Instant;

use chrono::Utc;
use jsonc_parser::ast::{Object, Value};
use jsonc_parser::cst::{CstInputValue, CstObject, CstObjectProp, CstRootNode};
use jsonc_parser::errors::ParseError;
use jsonc_parser::tokens::Token;
use jsonc_parser::{CollectOptions, ParseOptions, Scanner, ScannerOptions, parse_to_ast};

use crate::error::{Error, Result};
use crate::files::{self, LockMode};

/// In bytes: a choice, far beyond any real file, so that reading one is bounded.
const SIZE_LIMIT: u64 = 1 << 20;
/// As deep as .NET's own reader goes. The parser recurses, and would overflow the small stack of a background thread.
const DEPTH_LIMIT: usize = 64;
const BYTE_ORDER_MARK: char = '\u{FEFF}';

const SECTION: &str = "ApplicationInsights";
const ENABLED: &str = "Enabled";
const INCLUDE_IN_LOGS: &str = "IncludeInLogs";
const DISABLED_BY: &str = "DisabledBy";
const VMS_POLICY: &str = "VmsPolicy";

/// What the user chose. `None`: nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    pub telemetry: Option<bool>,
    /// `ApplicationInsights.DisabledBy` is `VmsPolicy`: a VMS opted out, not the user (C6). Goes with `telemetry`.
    pub by_policy: bool,
    pub log: Option<bool>,
}

/// A change of the file. `None`: the value stays. `Some(None)`: it is removed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Choice {
    pub telemetry: Option<Option<bool>>,
    /// Goes with `telemetry`.
    pub by_policy: bool,
    pub log: Option<Option<bool>>,
}

/// How a change takes the lock.
#[derive(Clone, Copy)]
pub struct Wait {
    pub stop: Instant,
    pub without_lock: WithoutLock,
}

/// What becomes of a change if the lock cannot be had.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum WithoutLock {
    /// It fails.
    Refuse,
    /// It is stored if no other process changes the settings, even if one begins a request.
    Share,
    /// It is stored.
    Store,
}

/// Reads the file. If there is none, nothing is set.
pub fn read(path: &Path) -> Result<Settings> {
    match read_text(path)? {
        Some(text) => parse(&text).map_err(|problem| problem.at(path)),
        None => Ok(Settings::default()),
    }
}

/// Sets or removes what `choice` names and leaves the rest as it is, safe against other processes that do the same (F4). `first` runs
/// under the lock, before the file is written, with what was set until now; if it fails, nothing is written.
///
/// An opt-out need not depend on the lock (C12): a process that hangs must not keep a user opted in. If it is stored without
/// the lock, the lock's error is returned.
pub fn change(
    path: &Path,
    lock: &Path,
    choice: Choice,
    wait: Wait,
    first: impl FnOnce(Settings) -> Result<()>,
) -> Result<Option<Error>> {
    let Wait { stop, without_lock } = wait;
    let (_lock, unlocked) = match (files::lock(lock, LockMode::Exclusive, stop), without_lock) {
        (Ok(lock), _) => (Some(lock), None),
        (Err(error), WithoutLock::Refuse) => return Err(error),
        (Err(_), WithoutLock::Share) => (Some(files::lock(lock, LockMode::Shared, stop)?), None),
        (Err(error), WithoutLock::Store) => (None, Some(error)),
    };
    path.parent().into_iter().for_each(|folder| files::remove_stale(folder, Utc::now()));
    let text = read_text(path)?;
    let parsed = |text: &str| parse(text).map_err(|problem| problem.at(path));
    first(text.as_deref().map(parsed).transpose()?.unwrap_or_default())?;
    let changed = edit(text.as_deref(), choice).map_err(|problem| problem.at(path))?;
    if text.as_ref() == Some(&changed) {
        // Many processes may opt out at once: only one has to write.
        return Ok(unlocked);
    }
    files::replace_content(path, changed.as_bytes(), stop).map(|()| unlocked)
}

fn read_text(path: &Path) -> Result<Option<String>> {
    let Some(content) = files::read(path, SIZE_LIMIT)? else {
        return Ok(None);
    };
    decode(content).map(Some).map_err(|problem| problem.at(path))
}

pub(crate) fn decode(content: Vec<u8>) -> std::result::Result<String, Problem> {
    match content.as_slice() {
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] | [_, 0, ..] | [0, _, ..] => {
            Err(Problem::whole("it is UTF-16 text; save it as UTF-8"))
        }
        _ => String::from_utf8(content).map_err(|_| Problem::whole("it is not UTF-8 text; save it as UTF-8")),
    }
}

/// Reads whether the machine policy's file opts in or out (C13). `None`: that is not clear.
pub fn parse_policy(content: Vec<u8>) -> Option<bool> {
    let text = decode(content).ok()?;
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&text);
    check_depth(text).ok()?;
    let Value::Object(root) = parse_to_ast(text, &CollectOptions::default(), &options()).ok()?.value? else {
        return None;
    };
    let flag = |value: &Value<'_>| match value {
        Value::BooleanLit(flag) => Some(flag.value),
        Value::StringLit(text) => parse_flag(&text.value),
        _ => None,
    };
    // One that is not clear makes all unclear.
    let flags: Vec<bool> = members(&root, "EnableTelemetry").map(flag).collect::<Option<_>>()?;
    flags.iter().copied().reduce(|one, other| one && other)
}

/// What is wrong with a text, and where.
#[derive(Debug)]
pub(crate) struct Problem {
    line: usize,
    column: usize,
    what: String,
}

impl Problem {
    fn whole(what: &str) -> Self {
        Self { line: 0, column: 0, what: what.to_owned() }
    }

    fn parse(error: &ParseError) -> Self {
        Self { line: error.line_display(), column: error.column_display(), what: error.kind().to_string() }
    }

    fn at(self, path: &Path) -> Error {
        Error::Settings { path: path.to_owned(), line: self.line, column: self.column, problem: self.what }
    }
}

/// What .NET's reader of settings files accepts beyond JSON: comments and trailing commas.
fn options() -> ParseOptions {
    ParseOptions {
        allow_comments: true,
        allow_trailing_commas: true,
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    }
}

pub(crate) fn parse(text: &str) -> std::result::Result<Settings, Problem> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    check_depth(text)?;
    let root = parse_to_ast(text, &CollectOptions::default(), &options())
        .map_err(|error| Problem::parse(&error))?
        .value
        .ok_or_else(|| Problem::whole("it is empty"))?;
    let Value::Object(root) = root else {
        return Err(Problem::whole("it does not hold an object"));
    };
    let is_section = |section: &&Value<'_>| matches!(section, Value::Object(_) | Value::NullKeyword(_));
    if !members(&root, SECTION).all(|section| is_section(&section)) {
        return Err(Problem::whole("\"ApplicationInsights\" is not an object"));
    }
    let is_policy =
        |value: &&Value<'_>| matches!(value, Value::StringLit(text) if text.value.eq_ignore_ascii_case(VMS_POLICY));
    Ok(Settings {
        telemetry: fold(&values(&root, ENABLED)),
        by_policy: values(&root, DISABLED_BY).iter().any(is_policy),
        log: fold(&values(&root, INCLUDE_IN_LOGS)),
    })
}

/// Refuses a text that is nested too deeply. The parser reports everything else.
fn check_depth(text: &str) -> std::result::Result<(), Problem> {
    let mut scanner = Scanner::new(text, &ScannerOptions::default());
    let mut depth = 0_usize;
    while let Ok(Some(token)) = scanner.scan() {
        depth = match token {
            Token::OpenBrace | Token::OpenBracket => depth + 1,
            Token::CloseBrace | Token::CloseBracket => depth.saturating_sub(1),
            _ => depth,
        };
        if depth > DEPTH_LIMIT {
            let before = &text[..scanner.token_start()];
            let line = before.rsplit('\n').next().unwrap_or_default();
            let what = format!("it is nested more than {DEPTH_LIMIT} levels deep");
            return Err(Problem { line: before.matches('\n').count() + 1, column: line.chars().count() + 1, what });
        }
    }
    Ok(())
}

fn members<'o, 'a>(object: &'o Object<'a>, name: &str) -> impl Iterator<Item = &'o Value<'a>> {
    let named = object.properties.iter().filter(move |member| member.name.as_str().eq_ignore_ascii_case(name));
    named.map(|member| &member.value)
}

/// Returns all values of a key of our section: nested and flat.
fn values<'o, 'a>(root: &'o Object<'a>, key: &str) -> Vec<&'o Value<'a>> {
    let sections = members(root, SECTION).filter_map(|section| section.as_object());
    let nested = sections.flat_map(|section| members(section, key).collect::<Vec<_>>());
    nested.chain(members(root, &flat(key))).collect()
}

/// Returns a key of our section as .NET's configuration flattens it.
fn flat(key: &str) -> String {
    format!("{SECTION}:{key}")
}

/// Reads a Boolean value that may be in several places. Any opt-out wins, and what is neither true nor false counts as one.
fn fold(values: &[&Value<'_>]) -> Option<bool> {
    values.iter().fold(None, |before, value| {
        let now = match value {
            Value::BooleanLit(flag) => flag.value,
            Value::StringLit(text) => parse_flag(&text.value) == Some(true),
            Value::NullKeyword(_) => return before,
            _ => false,
        };
        Some(now && before != Some(false))
    })
}

/// Reads a Boolean value as users write it. `None`: it is neither true nor false.
pub(crate) fn parse_flag(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// Makes the change in the text. `None`: the file does not exist yet. A value is changed in each place that has it, because
/// one opt-out that is left would win (C11); if none has it, it is added to our section.
pub(crate) fn edit(text: Option<&str>, choice: Choice) -> std::result::Result<String, Problem> {
    let text = text.unwrap_or("{}\n");
    let before = parse(text)?;
    let (mark, text) = match text.strip_prefix(BYTE_ORDER_MARK) {
        Some(rest) => (BYTE_ORDER_MARK.to_string(), rest),
        None => (String::new(), text),
    };
    let root = CstRootNode::parse(text, &options()).map_err(|error| Problem::parse(&error))?;
    let object = root.object_value().ok_or_else(|| Problem::whole("it does not hold an object"))?;
    if choice.telemetry.is_some() {
        find(&object, DISABLED_BY).into_iter().for_each(CstObjectProp::remove);
    }
    let policy = choice.by_policy.then(|| Some(CstInputValue::String(VMS_POLICY.to_owned())));
    set(&object, ENABLED, choice.telemetry.map(|on| on.map(CstInputValue::Bool)))?;
    set(&object, DISABLED_BY, policy)?;
    set(&object, INCLUDE_IN_LOGS, choice.log.map(|on| on.map(CstInputValue::Bool)))?;
    let changed = mark + &root.to_string();
    let wanted = Settings {
        telemetry: choice.telemetry.unwrap_or(before.telemetry),
        by_policy: if choice.telemetry.is_some() { choice.by_policy } else { before.by_policy },
        log: choice.log.unwrap_or(before.log),
    };
    if parse(&changed)? == wanted { Ok(changed) } else { Err(Problem::whole("the change cannot be made in it")) }
}

fn set(root: &CstObject, key: &str, value: Option<Option<CstInputValue>>) -> std::result::Result<(), Problem> {
    let present = find(root, key);
    match value {
        None => {}
        Some(None) => present.into_iter().for_each(CstObjectProp::remove),
        Some(Some(value)) if present.is_empty() => {
            section(root)?.append(key, value);
        }
        Some(Some(value)) => present.iter().for_each(|member| member.set_value(value.clone())),
    }
    Ok(())
}

/// Returns our section, and adds one if there is none.
fn section(root: &CstObject) -> std::result::Result<CstObject, Problem> {
    let sections = named(root, SECTION);
    if let Some(section) = sections.iter().find_map(CstObjectProp::object_value) {
        return Ok(section);
    }
    sections.into_iter().for_each(CstObjectProp::remove);
    root.append(SECTION, CstInputValue::Object(Vec::new()));
    root.object_value(SECTION).ok_or_else(|| Problem::whole("\"ApplicationInsights\" cannot be added"))
}

/// Returns all members for a key of our section: nested and flat.
fn find(root: &CstObject, key: &str) -> Vec<CstObjectProp> {
    let sections = named(root, SECTION).into_iter().filter_map(|section| section.object_value());
    sections.flat_map(|section| named(&section, key)).chain(named(root, &flat(key))).collect()
}

fn named(object: &CstObject, name: &str) -> Vec<CstObjectProp> {
    let is_named = |member: &CstObjectProp| member.decoded_name().is_some_and(|other| other.eq_ignore_ascii_case(name));
    object.properties().into_iter().filter(is_named).collect()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    /// A background thread has a small stack, and so may the host's.
    #[test]
    fn f5_a_file_that_is_nested_too_deeply_is_refused_with_its_place() {
        let nested = |levels: usize| format!("{{\n\"x\": {}1{}\n}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
        assert_eq!(parse(&nested(DEPTH_LIMIT)).unwrap(), Settings::default());
        for text in [nested(DEPTH_LIMIT + 1), nested(400_000), "[".repeat(1 << 20), r#"{"x":"#.repeat(100_000)] {
            let small = std::thread::Builder::new().stack_size(64 * 1024);
            let problem =
                small.spawn(move || edit(Some(&text), Choice::default()).unwrap_err()).unwrap().join().unwrap();
            assert_eq!(problem.what, "it is nested more than 64 levels deep");
            assert!(problem.line > 0 && problem.column > DEPTH_LIMIT, "{problem:?}");
        }
        let flat = format!("{{\"x\": [\"{}\", {}1] }}", "[".repeat(100), "[1], /* [ */ ".repeat(100));
        assert_eq!(parse(&flat).unwrap(), Settings::default());
    }

    #[test]
    fn f2_reads_what_dotnet_reads() {
        let table = [
            ("{}", None, None),
            (r#"{"ApplicationInsights":{"Enabled":true}}"#, Some(true), None),
            (r#"{"ApplicationInsights":{"Enabled":false,"IncludeInLogs":true}}"#, Some(false), Some(true)),
            (r#"{"applicationinsights":{"ENABLED":"False","includeinlogs":"TRUE"}}"#, Some(false), Some(true)),
            ("\u{FEFF}{ // note\n\"ApplicationInsights\": { \"Enabled\": false, }, }", Some(false), None),
            (r#"{"ApplicationInsights":null}"#, None, None),
            (r#"{"ApplicationInsights":{"Enabled":null}}"#, None, None),
            (r#"{"ApplicationInsights":{"Enabled":"perhaps"}}"#, Some(false), None),
            (r#"{"ApplicationInsights":{"Enabled":1}}"#, Some(false), None),
            (r#"{"ApplicationInsights":{"Enabled":[true]}}"#, Some(false), None),
            (r#"{"ApplicationInsights":{"Enabled":false,"enabled":true}}"#, Some(false), None),
            (r#"{"ApplicationInsights":{"Enabled":false},"applicationInsights":{"Enabled":true}}"#, Some(false), None),
            (r#"{"ApplicationInsights":{"Enabled":" Off "}}"#, Some(false), None),
            (r#"{"ApplicationInsights:Enabled":false}"#, Some(false), None),
            (
                r#"{"applicationinsights:ENABLED":"False","ApplicationInsights:includeInLogs":true}"#,
                Some(false),
                Some(true),
            ),
            (r#"{"ApplicationInsights":{"Enabled":true},"ApplicationInsights:Enabled":"False"}"#, Some(false), None),
            (r#"{"ApplicationInsights:Enabled":true,"ApplicationInsights":{"Enabled":true}}"#, Some(true), None),
            (r#"{"ApplicationInsights":null,"applicationInsights":{"Enabled":false}}"#, Some(false), None),
            (r#"{"ApplicationInsights__Enabled":false,"Application:Enabled":false,"Enabled":false}"#, None, None),
        ];
        for (text, telemetry, log) in table {
            assert_eq!(parse(text).unwrap(), Settings { telemetry, log, by_policy: false }, "{text}");
        }
    }

    #[test]
    fn f5_what_cannot_be_parsed_is_refused_with_its_place() {
        let table = [
            ("", 0, 0),
            ("[]", 0, 0),
            ("{\"ApplicationInsights\": 3}", 0, 0),
            ("{\n  \"ApplicationInsights\": {\n    \"Enabled\" false\n  }\n}", 3, 15),
            ("{'a':1}", 1, 2),
        ];
        for (text, line, column) in table {
            let problem = parse(text).unwrap_err();
            assert_eq!((problem.line, problem.column), (line, column), "{text}: {problem:?}");
            assert!(edit(Some(text), Choice { telemetry: Some(Some(false)), ..Choice::default() }).is_err(), "{text}");
        }
        assert!(parse(&"[".repeat(100_000)).is_err());
    }

    #[test]
    fn f5_text_of_another_encoding_is_refused_with_what_to_do() {
        let text = r#"{ "ApplicationInsights": { "Enabled": false } }"#;
        let utf16 = |to_bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(to_bytes).collect::<Vec<u8>>();
        let mark = |mark: &[u8], text: Vec<u8>| [mark, &text].concat();
        let (little, big) = (utf16(u16::to_le_bytes), utf16(u16::to_be_bytes));
        for content in [mark(&[0xFF, 0xFE], little.clone()), mark(&[0xFE, 0xFF], big.clone()), little, big] {
            assert_eq!(decode(content).unwrap_err().what, "it is UTF-16 text; save it as UTF-8");
        }
        assert_eq!(decode(b"{ \"A\": \"\xFC\" }".to_vec()).unwrap_err().what, "it is not UTF-8 text; save it as UTF-8");
    }

    #[test]
    fn c13_what_a_machine_policy_says() {
        let table = [
            (r#"{"EnableTelemetry": false}"#, Some(false)),
            ("\u{FEFF}{ // note\n\"enableTELEMETRY\": \"False\", }", Some(false)),
            (r#"{"EnableTelemetry": true, "Other": 1}"#, Some(true)),
            (r#"{"EnableTelemetry": true, "enabletelemetry": false}"#, Some(false)),
            (r#"{"EnableTelemetry": true, "enabletelemetry": 1}"#, None),
            (r#"{"EnableTelemetry": null}"#, None),
            (r#"{"Version": 2}"#, None),
            ("", None),
            ("{", None),
            ("[true]", None),
        ];
        for (text, policy) in table {
            assert_eq!(parse_policy(text.as_bytes().to_vec()), policy, "{text}");
        }
        assert_eq!(parse_policy(vec![0xFF, 0xFE]), None);
    }

    #[test]
    fn f2_a_change_keeps_all_that_is_not_ours() {
        let text = "\u{FEFF}{\r\n\t// mine\r\n\t\"Other\": [1,  2],\r\n\t\"applicationInsights\": {\r\n\t\t\"enabled\": true, // why\r\n\t\t\"X\": {}\r\n\t}\r\n}\r\n";
        let changed = edit(Some(text), Choice { telemetry: Some(Some(false)), ..Choice::default() }).unwrap();
        assert_eq!(changed, text.replace("true", "false"));
        let changed = edit(Some(text), Choice { log: Some(Some(true)), ..Choice::default() }).unwrap();
        assert_eq!(changed, text.replace("\"X\": {}", "\"X\": {},\r\n\t\t\"IncludeInLogs\": true"));
    }

    #[test]
    fn f3_only_what_was_set_is_written() {
        let changed = edit(None, Choice { telemetry: Some(Some(false)), ..Choice::default() }).unwrap();
        assert_eq!(changed, "{\n  \"ApplicationInsights\": {\n    \"Enabled\": false\n  }\n}\n");
    }

    #[test]
    fn c6_the_reason_goes_with_the_choice() {
        let policy = Settings { telemetry: Some(false), by_policy: true, log: None };
        let text = edit(None, all(policy)).unwrap();
        assert_eq!(parse(&text).unwrap(), policy);
        for telemetry in [true, false] {
            let chosen = Settings { telemetry: Some(telemetry), ..Settings::default() };
            let choice = Choice { telemetry: Some(Some(telemetry)), ..Choice::default() };
            assert_eq!(parse(&edit(Some(&text), choice).unwrap()).unwrap(), chosen);
        }
        let logged = edit(Some(&text), Choice { log: Some(Some(true)), ..Choice::default() }).unwrap();
        assert_eq!(parse(&logged).unwrap(), Settings { log: Some(true), ..policy });
    }

    const CHOICE: Choice = Choice { telemetry: Some(Some(false)), by_policy: false, log: None };

    /// The change that makes a file say just this.
    fn all(wanted: Settings) -> Choice {
        Choice { telemetry: Some(wanted.telemetry), by_policy: wanted.by_policy, log: Some(wanted.log) }
    }

    #[test]
    fn f4_what_killed_writers_left_behind_is_removed_a_day_later_and_nothing_of_others() {
        let home = tempfile::tempdir().unwrap();
        let file = |name: String, age: Duration| {
            let file = std::fs::File::create(home.path().join(name)).unwrap();
            file.set_modified(SystemTime::now() - age).unwrap();
        };
        let day = Duration::from_secs(24 * 3600);
        file(".vms-Ab12Cd.tmp".to_owned(), day + Duration::from_secs(60));
        let others = [".vms-Xy34Zw.tmp", ".mine.tmp", "vms-Ab12Cd.tmp"].map(str::to_owned);
        for (other, age) in others.iter().zip([day / 2, 9 * day, 9 * day]) {
            file(other.clone(), age);
        }
        let wait = Wait { stop: Instant::now(), without_lock: WithoutLock::Refuse };
        let first = |_| Ok(());
        let (settings, lock) = (home.path().join("settings"), home.path().join("lock"));
        assert!(change(&settings, &lock, CHOICE, wait, first).unwrap().is_none());
        let mut left: Vec<String> =
            home.path().read_dir().unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        left.sort();
        let mut expected = [&others[..], &["settings".to_owned(), "lock".to_owned()]].concat();
        expected.sort();
        assert_eq!(left, expected);
    }

    #[test]
    fn every_change_can_be_read_back() {
        let texts = [
            "{}",
            "{ }\n",
            "{\n}\n",
            "// head\n{\n  \"A\": 1, // tail\n}\n// foot",
            "{\"ApplicationInsights\":null}",
            "{\"ApplicationInsights\":{\"Enabled\":true,\"enabled\":false}}",
            "{\"ApplicationInsights\":{}}",
            "{\"ApplicationInsights:Enabled\":false}",
            "{\"ApplicationInsights\":{\"Enabled\":true},\"ApplicationInsights:Enabled\":\"False\"}",
            "{\"ApplicationInsights\":{\"Enabled\":true},\"applicationInsights\":{\"Enabled\":false,\"X\":1}}",
            "{\"ApplicationInsights:DisabledBy\":\"VmsPolicy\",\"ApplicationInsights\":null}",
        ];
        for text in texts {
            for value in [Some(true), Some(false), None] {
                let wanted = Settings { telemetry: value, log: value.map(|on| !on), by_policy: value == Some(false) };
                let changed = edit(Some(text), all(wanted)).unwrap();
                assert_eq!(parse(&changed).unwrap(), wanted, "{text} became {changed}");
            }
        }
    }
}
