//! The list of fields in the documentation, generated from the doc comments of `src/event.rs`: `docs/telemetry-fields.md` and the
//! section FIELDS of the help topic about_VmsTelemetry.
//!
//! A struct whose comment begins with "Recorded" is an event. The comments of its members say what each field means, and their
//! types say whether it is a property or a measurement. The comment of a struct around a string is the rule for its values.

use std::fs;

use crate::tools::{Outcome, root, write_if_changed};

const SOURCE: &str = "src/event.rs";
const PAGE: &str = "docs/telemetry-fields.md";
const TOPIC: &str = "powershell/module/en-US/about_VmsTelemetry.help.txt";

/// What the source says.
#[derive(Debug, Default, PartialEq)]
pub struct List {
    pub events: Vec<Event>,
    /// The rules for values.
    rules: Vec<String>,
}

#[derive(Debug, PartialEq)]
pub struct Event {
    pub name: String,
    /// When it is recorded.
    when: String,
    pub fields: Vec<Field>,
}

#[derive(Debug, PartialEq)]
pub struct Field {
    pub name: String,
    pub is_measurement: bool,
    /// What it says.
    pub meaning: String,
}

/// Writes the page and the section anew if they differ from the source. Returns whether one of them did.
pub fn generate() -> Outcome<bool> {
    let list = list()?;
    let page = write_if_changed(PAGE, page(&list).as_bytes())?;
    let topic = write_if_changed(TOPIC, with_section(&text(TOPIC)?, &section(&list))?.as_bytes())?;
    Ok(page || topic)
}

/// What the source says today.
pub fn list() -> Outcome<List> {
    read(&text(SOURCE)?)
}

fn text(path: &str) -> Outcome<String> {
    fs::read_to_string(root().join(path)).map_err(|error| format!("{path}: {error}"))
}

/// Reads the source line by line.
fn read(source: &str) -> Outcome<List> {
    let mut list = List::default();
    let mut comment = String::new();
    let mut in_event = false;
    for line in source.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            comment += text;
        } else if line == "}" {
            in_event = false;
        } else if let Some(rest) = line.strip_prefix("pub struct ") {
            let text = std::mem::take(&mut comment).trim().to_owned();
            let name = rest.split(|character: char| !character.is_alphanumeric()).next().unwrap_or_default();
            in_event = text.starts_with("Recorded ");
            if in_event {
                list.events.push(Event { name: name.to_owned(), when: text, fields: Vec::new() });
            } else if rest.ends_with("(String);") {
                list.rules.push(text);
            }
        } else if let (true, Some(member), Some(event)) = (in_event, line.strip_prefix("pub "), list.events.last_mut())
        {
            event.fields.push(field(member, std::mem::take(&mut comment).trim())?);
        } else if !line.starts_with("#[") {
            comment.clear();
        }
    }
    if list.events.is_empty() { Err(format!("{SOURCE} has no event")) } else { Ok(list) }
}

/// Reads a member of an event, such as `CameraCount: Option<u32>,`.
fn field(member: &str, meaning: &str) -> Outcome<Field> {
    let (name, of_type) = member.trim_end_matches(',').split_once(": ").unwrap_or((member, ""));
    let of_type = of_type.trim_start_matches("Option<").trim_end_matches('>');
    let is_measurement = match of_type {
        "Uuid" | "Version" | "Name" | "Flag" | "UserType" => false,
        "u32" | "u64" | "Seconds" => true,
        _ => {
            return Err(format!(
                "{SOURCE}: is {name} a property or a measurement? xtask/src/fields.rs does not know its type"
            ));
        }
    };
    if meaning.is_empty() {
        return Err(format!("{SOURCE}: {name} has no comment, so the documentation cannot say what it means"));
    }
    Ok(Field { name: name.to_owned(), is_measurement, meaning: meaning.to_owned() })
}

/// What the documentation says of the property that only late events have.
const OCCURRED_AT: &str = "when it was recorded (ISO 8601, UTC), only in a late event";

const HEAD: &str = include_str!("texts/fields-head.md");

const TAIL: &str = include_str!("texts/fields-tail.md");

/// Writes the page.
fn page(list: &List) -> String {
    let mut page = HEAD.to_owned();
    for Event { name, when, fields } in &list.events {
        page += &format!("\n## `{name}`\n\n{when}\n\n| field | kind | what it says |\n|---|---|---|\n");
        for Field { name, is_measurement, meaning } in fields {
            let kind = if *is_measurement { "measurement" } else { "property" };
            page += &format!("| `{name}` | {kind} | {meaning} |\n");
        }
        page += &format!("| `OccurredAt` | property | {OCCURRED_AT} |\n");
    }
    page += "\n## Rules for values\n\nA value that does not fit is left out. It is not cut or replaced.\n\n- An id: a UUID.\n";
    for rule in &list.rules {
        page += &format!("- {rule}\n");
    }
    page + "- A number: not negative.\n- An event: at most 4 KiB.\n" + TAIL
}

const SECTION_HEAD: &str = include_str!("texts/topic-head.txt");

const SECTION_IMPORT: &str = include_str!("texts/topic-import.txt");

const SECTION_TAIL: &str = include_str!("texts/topic-tail.txt");

/// Writes the section of the help topic: in ASCII, as Windows PowerShell needs it, for a console of 80 columns.
fn section(list: &List) -> String {
    let mut text = SECTION_HEAD.to_owned();
    for rule in &list.rules {
        text += &wrapped(String::new(), 4, rule);
    }
    text += SECTION_IMPORT;
    for event in &list.events {
        text += &format!("\n    {}\n", event.name);
        let fields = event.fields.iter().map(|field| (field.name.as_str(), field.meaning.as_str()));
        for (name, meaning) in fields.chain([("OccurredAt", OCCURRED_AT)]) {
            text += &wrapped(format!("        {name}"), 31, meaning);
        }
    }
    text + SECTION_TAIL
}

/// Continues a line from a column on, and in the same column on further lines.
fn wrapped(mut line: String, column: usize, words: &str) -> String {
    let mut lines = String::new();
    for word in words.replace('`', "").replace('…', "<id>").split(' ') {
        if line.len() + 1 + word.len() > 78 {
            lines += &line;
            lines.push('\n');
            line.clear();
        }
        let column = column.max(line.len() + usize::from(line.len() >= column));
        line = format!("{line:column$}{word}");
    }
    lines + &line + "\n"
}

/// Puts the section into the topic: from its heading to the next one, which begins in the first column like every heading.
fn with_section(topic: &str, section: &str) -> Outcome<String> {
    let mut inside = false;
    let (mut found, mut new) = (false, String::new());
    for line in topic.split_inclusive('\n') {
        if !line.starts_with([' ', '\r', '\n']) {
            inside = line.trim_end() == "FIELDS";
            if inside {
                found = true;
                new += section;
            }
        }
        if !inside {
            new += line;
        }
    }
    if found { Ok(new) } else { Err(format!("{TOPIC} has no section FIELDS")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = "\
/// Not an event.
pub struct Other {
    /// not a field
    pub time: u32,
}

/// Recorded when
/// something happens.
#[derive(Debug)]
pub struct Started {
    /// random id, from `a-….uuid`
    pub uuid: Uuid,
    /// a count
    #[serde(default)]
    pub Count: Option<u32>,
}

/// A version: short.
#[derive(Debug)]
pub struct Version(String);
";

    #[test]
    fn the_list_is_read_from_the_comments_and_types() {
        let field = |name: &str, is_measurement, meaning: &str| Field {
            name: name.to_owned(),
            is_measurement,
            meaning: meaning.to_owned(),
        };
        let fields = vec![field("uuid", false, "random id, from `a-….uuid`"), field("Count", true, "a count")];
        let event = Event { name: "Started".to_owned(), when: "Recorded when something happens.".to_owned(), fields };
        assert_eq!(read(CODE), Ok(List { events: vec![event], rules: vec!["A version: short.".to_owned()] }));
    }

    #[test]
    fn a_field_that_cannot_be_described_is_an_error() {
        for (from, to) in [("Option<u32>", "Option<Shape>"), ("    /// a count\n", ""), ("Recorded", "Written")] {
            assert!(read(&CODE.replace(from, to)).is_err(), "{to}");
        }
    }

    #[test]
    fn the_section_replaces_the_old_one_and_nothing_else() {
        let topic = "TOPIC\n    a\n\nFIELDS\n    old\n\n    old\nIDS\n    FIELDS\n";
        assert_eq!(
            with_section(topic, "FIELDS\n    new\n\n").unwrap(),
            "TOPIC\n    a\n\nFIELDS\n    new\n\nIDS\n    FIELDS\n"
        );
        assert!(with_section("TOPIC\n    FIELDS\n", "").is_err());
    }

    #[test]
    fn the_section_fits_a_console_of_windows_powershell() {
        let section = section(&read(CODE).unwrap());
        assert!(section.is_ascii() && section.lines().all(|line| line.len() < 80), "{section}");
        assert!(section.contains("\n        uuid                   random id, from a-<id>.uuid\n"), "{section}");
        let words = ["word"; 15].join(" ");
        let lines = wrapped("    a".to_owned(), 8, &words);
        assert_eq!(lines, format!("    a   {}\n        word\n", ["word"; 14].join(" ")));
    }

    #[test]
    fn the_page_names_each_tag_of_the_envelope() {
        let code = fs::read_to_string(root().join("src/envelope.rs")).unwrap();
        let mut tags: Vec<&str> = code.split('"').filter(|text| text.starts_with("ai.")).collect();
        tags.dedup();
        assert!(tags.len() >= 8, "{tags:?}");
        for tag in tags {
            assert!(TAIL.contains(&format!("`{tag}`")), "{tag}");
        }
    }
}
