//! The settings file `appsettings.user.json`, which belongs to MilestonePSTools as well (contract section 5).
//!
//! Reading takes what .NET's configuration takes: keys in any case, comments, trailing commas, a byte order mark,
//! truth values as text. Changing edits the text in place, so that whatever is not ours stays byte for byte what it
//! was. A file that cannot be parsed is never written to.

use std::path::Path;

use chrono::Utc;
use jsonc_parser::ast::{Object, Value};
use jsonc_parser::cst::{CstInputValue, CstObject, CstRootNode};
use jsonc_parser::errors::ParseError;
use jsonc_parser::tokens::Token;
use jsonc_parser::{CollectOptions, ParseOptions, Scanner, ScannerOptions, parse_to_ast};

use crate::durable::{self, Hold, Sync};
use crate::error::{Error, Result};

/// Largest settings file that is read, in bytes: far beyond any real one.
const SIZE_LIMIT: u64 = 1 << 20;
/// Deepest nesting that is read: as deep as .NET's own reader goes. The parser would go deeper than a small stack is.
const DEPTH_LIMIT: usize = 64;
const BYTE_ORDER_MARK: char = '\u{FEFF}';

const SECTION: &str = "ApplicationInsights";
const ENABLED: &str = "Enabled";
const INCLUDE_IN_LOGS: &str = "IncludeInLogs";
const DISABLED_BY: &str = "DisabledBy";
const VMS_POLICY: &str = "VmsPolicy";

/// What the user set; `None` where the user set nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// `ApplicationInsights.Enabled`.
    pub telemetry: Option<bool>,
    /// `ApplicationInsights.DisabledBy` is `VmsPolicy`: not the user said no but a VMS (C6). Goes with `telemetry`.
    pub by_policy: bool,
    /// `ApplicationInsights.IncludeInLogs`.
    pub log: Option<bool>,
}

/// Reads the file; without one nothing is set.
///
/// # Errors
/// [`Error::Settings`] where it is not what it should be, [`Error::File`] where it cannot be read.
pub fn read(path: &Path) -> Result<Settings> {
    match text_of(path)? {
        Some(text) => parse(&text).map_err(|problem| problem.at(path)),
        None => Ok(Settings::default()),
    }
}

/// Sets what `change` names and leaves all else as it is, safe against others who do the same (F4).
///
/// # Errors
/// As for [`read`], and [`Error::File`] where the file cannot be written; it is then as it was.
pub fn change(path: &Path, lock: &Path, change: Settings) -> Result<()> {
    let _lock = durable::lock(lock, Hold::AloneForChoice)?;
    path.parent().into_iter().for_each(|folder| durable::remove_strays(folder, Utc::now()));
    let text = text_of(path)?;
    let changed = edit(text.as_deref(), change).map_err(|problem| problem.at(path))?;
    durable::write(path, changed.as_bytes(), Sync::Yes)
}

fn text_of(path: &Path) -> Result<Option<String>> {
    let Some(content) = durable::read(path, SIZE_LIMIT)? else {
        return Ok(None);
    };
    let text = String::from_utf8(content).map_err(|_| Problem::whole("it is not UTF-8 text").at(path))?;
    Ok(Some(text))
}

/// What is wrong with a text, and where.
#[derive(Debug)]
struct Problem {
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

fn parse(text: &str) -> std::result::Result<Settings, Problem> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    check_depth(text)?;
    let root = parse_to_ast(text, &CollectOptions::default(), &options())
        .map_err(|error| Problem::parse(&error))?
        .value
        .ok_or_else(|| Problem::whole("it is empty"))?;
    let Value::Object(root) = root else {
        return Err(Problem::whole("it does not hold an object"));
    };
    let mut settings = Settings::default();
    for section in members(&root, SECTION) {
        match section {
            Value::Object(section) => {
                settings.telemetry = flag(section, ENABLED, settings.telemetry);
                settings.log = flag(section, INCLUDE_IN_LOGS, settings.log);
                settings.by_policy |= members(section, DISABLED_BY).any(
                    |value| matches!(value, Value::StringLit(text) if text.value.eq_ignore_ascii_case(VMS_POLICY)),
                );
            }
            Value::NullKeyword(_) => {}
            _ => return Err(Problem::whole("\"ApplicationInsights\" is not an object")),
        }
    }
    Ok(settings)
}

/// Refuses a text that is nested too deeply. What else is wrong with it the parser says, which gets no further than this.
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

fn members<'o, 'a>(object: &'o Object<'a>, name: &'static str) -> impl Iterator<Item = &'o Value<'a>> {
    let named = object.properties.iter().filter(move |member| member.name.as_str().eq_ignore_ascii_case(name));
    named.map(|member| &member.value)
}

/// Reads a truth value. One "no" wins over a "yes" under another spelling of the key, and what is neither counts as no.
fn flag(section: &Object<'_>, name: &'static str, before: Option<bool>) -> Option<bool> {
    members(section, name).fold(before, |before, value| {
        let now = match value {
            Value::BooleanLit(flag) => flag.value,
            Value::StringLit(text) => truth(&text.value) == Some(true),
            Value::NullKeyword(_) => return before,
            _ => false,
        };
        Some(now && before != Some(false))
    })
}

/// Reads a truth value as people write it; `None` for what is neither.
pub(crate) fn truth(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// Gives the text with the change in it; `None` stands for a file that does not exist yet.
fn edit(text: Option<&str>, change: Settings) -> std::result::Result<String, Problem> {
    let text = text.unwrap_or("{}\n");
    parse(text)?;
    let (mark, text) = match text.strip_prefix(BYTE_ORDER_MARK) {
        Some(rest) => (BYTE_ORDER_MARK.to_string(), rest),
        None => (String::new(), text),
    };
    let root = CstRootNode::parse(text, &options()).map_err(|error| Problem::parse(&error))?;
    let object = root.object_value().ok_or_else(|| Problem::whole("it does not hold an object"))?;
    let section = match find(&object, SECTION).iter().find_map(|section| section.object_value()) {
        Some(section) => section,
        None => {
            for null in find(&object, SECTION) {
                null.remove();
            }
            object.append(SECTION, CstInputValue::Object(Vec::new()));
            object.object_value(SECTION).ok_or_else(|| Problem::whole("\"ApplicationInsights\" cannot be added"))?
        }
    };
    if change.telemetry.is_some() {
        find(&section, DISABLED_BY).into_iter().for_each(jsonc_parser::cst::CstObjectProp::remove);
    }
    let policy = change.by_policy.then(|| CstInputValue::String(VMS_POLICY.to_owned()));
    let values = [
        (ENABLED, change.telemetry.map(CstInputValue::Bool)),
        (DISABLED_BY, policy),
        (INCLUDE_IN_LOGS, change.log.map(CstInputValue::Bool)),
    ];
    for (name, value) in values {
        if let Some(value) = value {
            match find(&section, name).as_slice() {
                [] => drop(section.append(name, value)),
                [present @ .., last] => {
                    for doubled in present {
                        doubled.clone().remove();
                    }
                    last.set_value(value);
                }
            }
        }
    }
    Ok(mark + &root.to_string())
}

fn find(object: &CstObject, name: &str) -> Vec<jsonc_parser::cst::CstObjectProp> {
    let named = object
        .properties()
        .into_iter()
        .filter(|member| member.decoded_name().is_some_and(|other| other.eq_ignore_ascii_case(name)));
    named.collect()
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
                small.spawn(move || edit(Some(&text), Settings::default()).unwrap_err()).unwrap().join().unwrap();
            assert_eq!(problem.what, "it is nested more than 64 levels deep");
            assert!(problem.line > 0 && problem.column > DEPTH_LIMIT, "{problem:?}");
        }
        let flat = format!("{{\"x\": [\"{}\", {}1] }}", "[".repeat(100), "[1], /* [ */ ".repeat(100));
        assert_eq!(parse(&flat).unwrap(), Settings::default());
    }

    #[test]
    fn f2_reads_what_dotnet_reads() {
        let table: [(&str, Option<bool>, Option<bool>); 13] = [
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
            assert!(edit(Some(text), Settings { telemetry: Some(false), ..Settings::default() }).is_err(), "{text}");
        }
        assert!(parse(&"[".repeat(100_000)).is_err());
    }

    #[test]
    fn f2_a_change_keeps_all_that_is_not_ours() {
        let text = "\u{FEFF}{\r\n\t// mine\r\n\t\"Other\": [1,  2],\r\n\t\"applicationInsights\": {\r\n\t\t\"enabled\": true, // why\r\n\t\t\"X\": {}\r\n\t}\r\n}\r\n";
        let changed = edit(Some(text), Settings { telemetry: Some(false), ..Settings::default() }).unwrap();
        assert_eq!(changed, text.replace("true", "false"));
        let changed = edit(Some(text), Settings { log: Some(true), ..Settings::default() }).unwrap();
        assert_eq!(changed, text.replace("\"X\": {}", "\"X\": {},\r\n\t\t\"IncludeInLogs\": true"));
    }

    #[test]
    fn f3_only_what_was_set_is_written() {
        let changed = edit(None, Settings { telemetry: Some(false), ..Settings::default() }).unwrap();
        assert_eq!(changed, "{\n  \"ApplicationInsights\": {\n    \"Enabled\": false\n  }\n}\n");
    }

    #[test]
    fn c6_the_reason_goes_with_the_choice() {
        let policy = Settings { telemetry: Some(false), by_policy: true, log: None };
        let text = edit(None, policy).unwrap();
        assert_eq!(parse(&text).unwrap(), policy);
        for telemetry in [true, false] {
            let chosen = Settings { telemetry: Some(telemetry), ..Settings::default() };
            assert_eq!(parse(&edit(Some(&text), chosen).unwrap()).unwrap(), chosen);
        }
        let logged = edit(Some(&text), Settings { log: Some(true), ..Settings::default() }).unwrap();
        assert_eq!(parse(&logged).unwrap(), Settings { log: Some(true), ..policy });
    }

    const CHOICE: Settings = Settings { telemetry: Some(false), by_policy: false, log: None };

    #[test]
    fn f4_what_killed_writers_left_behind_is_removed_a_day_later_and_nothing_of_others() {
        let home = tempfile::tempdir().unwrap();
        let file = |name: String, age: Duration| {
            let file = std::fs::File::create(home.path().join(name)).unwrap();
            file.set_modified(SystemTime::now() - age).unwrap();
        };
        let (day, id) = (Duration::from_secs(24 * 3600), "0123456789abcdef".repeat(2));
        file(format!(".{id}.tmp"), day + Duration::from_secs(60));
        let others = [format!(".{}.tmp", id.replace('0', "1")), ".mine.tmp".to_owned(), format!("{id}.tmp")];
        for (other, age) in others.iter().zip([day / 2, 9 * day, 9 * day]) {
            file(other.clone(), age);
        }
        change(&home.path().join("settings"), &home.path().join("lock"), CHOICE).unwrap();
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
        ];
        for text in texts {
            for value in [true, false] {
                let wanted = Settings { telemetry: Some(value), log: Some(!value), by_policy: !value };
                let changed = edit(Some(text), wanted).unwrap();
                assert_eq!(parse(&changed).unwrap(), wanted, "{text} became {changed}");
            }
        }
    }
}
