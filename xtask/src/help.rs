//! The help of the commands: `Get-Help` reads MAML, people read and write `docs/commands/*.md`, from which it is made.
//!
//! The block below "Syntax" has the parameter sets as `Get-Command -Syntax` shows them, with the types by their .NET names.
//! A test compares what `Get-Help` shows with the commands themselves.

use std::fs;
use std::io;

use pulldown_cmark::{Event, Parser, TagEnd};
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText};

use crate::tools::{Outcome, root};

type Xml = Writer<Vec<u8>>;

/// A heading and what stands below it, up to the next heading.
#[derive(Default)]
struct Section {
    level: usize,
    title: String,
    paragraphs: Vec<String>,
    code: String,
    items: Vec<String>,
}

/// A parameter as a line of the syntax shows it.
struct Parameter<'a> {
    name: &'a str,
    /// `None`: a switch.
    kind: Option<&'a str>,
    required: bool,
    position: Option<usize>,
}

/// Makes the help file of the module's assembly from all pages.
pub fn maml() -> Outcome<Vec<u8>> {
    let folder = root().join("docs/commands");
    let failed =
        |error: io::Error| format!("the help of the commands cannot be made from {}: {error}", folder.display());
    let entries = fs::read_dir(&folder).and_then(Iterator::collect::<io::Result<Vec<_>>>).map_err(failed)?;
    let mut pages: Vec<_> = entries.iter().map(fs::DirEntry::path).collect();
    pages.sort();
    let mut xml = Writer::new_with_indent(Vec::new(), b' ', 2);
    let all = |xml: &mut Xml| pages.iter().try_for_each(|page| command(xml, &sections(&fs::read_to_string(page)?)));
    let written = xml.write_event(quick_xml::events::Event::Decl(BytesDecl::new("1.0", Some("utf-8"), None)));
    let items = written.and_then(|()| {
        let items = xml.create_element("helpItems").with_attributes([("schema", "maml"), ("xmlns", "http://msh")]);
        items.write_inner_content(all).map(drop)
    });
    items.map_err(failed)?;
    Ok(xml.into_inner())
}

fn sections(page: &str) -> Vec<Section> {
    let mut sections = vec![Section::default()];
    let mut text = String::new();
    for event in Parser::new(page) {
        let last = sections.len() - 1;
        match event {
            Event::Text(part) | Event::Code(part) => text += &part,
            Event::SoftBreak | Event::HardBreak => text.push(' '),
            Event::End(TagEnd::Heading(level)) => {
                sections.push(Section {
                    level: level as usize,
                    title: std::mem::take(&mut text),
                    ..Section::default()
                });
            }
            Event::End(TagEnd::Paragraph) => sections[last].paragraphs.push(std::mem::take(&mut text)),
            Event::End(TagEnd::CodeBlock) => sections[last].code = std::mem::take(&mut text).trim_end().to_owned(),
            Event::End(TagEnd::Item) => sections[last].items.push(std::mem::take(&mut text)),
            _ => {}
        }
    }
    sections
}

/// Reads a parameter set, such as `Get-It [-Name] <String> [-All] [<CommonParameters>]`.
fn parameters(set: &str) -> Vec<Parameter<'_>> {
    let mut positions = 0..;
    let mut all: Vec<Parameter<'_>> = Vec::new();
    let mut words = set.split_whitespace().skip(1).peekable();
    while let Some(word) = words.next() {
        let name = word.trim_matches(['[', ']']);
        let Some(name) = name.strip_prefix('-') else { continue };
        let kind = words.next_if(|word| word.starts_with('<'));
        // Optional parameters are in brackets with their type, names of positional ones in brackets of their own.
        let (optional, positional) = match kind {
            Some(kind) => (kind.ends_with(']'), word.ends_with(']')),
            None => (word.starts_with('['), false),
        };
        all.push(Parameter {
            name,
            kind: kind.and_then(|kind| kind.strip_prefix('<')?.rsplit('>').nth(1)),
            required: !optional,
            position: positional.then(|| positions.next()).flatten(),
        });
    }
    all
}

fn command(xml: &mut Xml, page: &[Section]) -> io::Result<()> {
    let heading =
        page.iter().find(|section| section.level == 1).ok_or_else(|| io::Error::other("a page has no title"))?;
    let name = heading.title.as_str();
    let (verb, noun) = name.split_once('-').ok_or_else(|| io::Error::other(format!("{name} is no command")))?;
    let chapter = |title: &str| page.iter().find(|section| section.level == 2 && section.title == title);
    let needed = |title: &str| chapter(title).ok_or_else(|| io::Error::other(format!("{name} has no section {title}")));
    // What stands in the sections below a section.
    let below = |title: &str| {
        let after = page.iter().skip_while(move |section| section.title != title || section.level != 2).skip(1);
        after.take_while(|section| section.level > 2).collect::<Vec<_>>()
    };
    let sets: Vec<Vec<Parameter>> = needed("Syntax")?.code.split("\n\n").map(parameters).collect();
    // Each parameter once, as the first set that has it shows it.
    let described = below("Parameters");
    let mut known: Vec<(&Parameter, &Section)> = Vec::new();
    for section in &described {
        let mut uses =
            sets.iter().flatten().filter(|parameter| section.title.strip_prefix('-') == Some(parameter.name));
        known.push((uses.next().ok_or_else(|| io::Error::other(format!("{name} has no {}", section.title)))?, section));
    }
    let about = |parameter: &Parameter| {
        let found = known.iter().find(|(other, _)| other.name == parameter.name).map(|(_, section)| *section);
        found.ok_or_else(|| io::Error::other(format!("{name} does not describe -{}", parameter.name)))
    };

    let names = [
        ("xmlns:maml", "http://schemas.microsoft.com/maml/2004/10"),
        ("xmlns:command", "http://schemas.microsoft.com/maml/dev/command/2004/10"),
        ("xmlns:dev", "http://schemas.microsoft.com/maml/dev/2004/10"),
    ];
    inside(xml.create_element("command:command").with_attributes(names), |xml| {
        element(xml, "command:details", |xml| {
            text(xml, "command:name", name)?;
            text(xml, "command:verb", verb)?;
            text(xml, "command:noun", noun)?;
            paragraphs(xml, "maml:description", &heading.paragraphs)
        })?;
        paragraphs(xml, "maml:description", &needed("Description")?.paragraphs)?;
        element(xml, "command:syntax", |xml| {
            sets.iter().try_for_each(|set| {
                element(xml, "command:syntaxItem", |xml| {
                    text(xml, "maml:name", name)?;
                    set.iter().try_for_each(|parameter| self::parameter(xml, parameter, about(parameter)?, false))
                })
            })
        })?;
        element(xml, "command:parameters", |xml| {
            known.iter().try_for_each(|(parameter, section)| self::parameter(xml, parameter, section, true))
        })?;
        for (title, all, one) in [
            ("Inputs", "command:inputTypes", "command:inputType"),
            ("Outputs", "command:returnValues", "command:returnValue"),
        ] {
            element(xml, all, |xml| {
                below(title).iter().try_for_each(|section| {
                    element(xml, one, |xml| {
                        element(xml, "dev:type", |xml| text(xml, "maml:name", &section.title))?;
                        paragraphs(xml, "maml:description", &section.paragraphs)
                    })
                })
            })?;
        }
        if let Some(notes) = chapter("Notes") {
            element(xml, "maml:alertSet", |xml| paragraphs(xml, "maml:alert", &notes.paragraphs))?;
        }
        element(xml, "command:examples", |xml| {
            below("Examples").iter().try_for_each(|section| {
                element(xml, "command:example", |xml| {
                    text(xml, "maml:title", &section.title)?;
                    text(xml, "dev:code", &section.code)?;
                    paragraphs(xml, "dev:remarks", &section.paragraphs)
                })
            })
        })?;
        element(xml, "command:relatedLinks", |xml| {
            // The first one is what `Get-Help -Online` opens.
            let online = format!("{}/blob/main/docs/commands/{name}.md", env!("CARGO_PKG_REPOSITORY"));
            let links = needed("Related links")?.items.iter().map(|link| (link.as_str(), ""));
            [("Online version", online.as_str())].into_iter().chain(links).try_for_each(|(link, address)| {
                element(xml, "maml:navigationLink", |xml| {
                    text(xml, "maml:linkText", link)?;
                    text(xml, "maml:uri", address)
                })
            })
        })
    })
}

/// Writes a parameter. `in_full`: of the list of all parameters, where a switch has its type as well.
fn parameter(xml: &mut Xml, parameter: &Parameter, section: &Section, in_full: bool) -> io::Result<()> {
    let fact = |name: &str| section.items.iter().find_map(|item| item.strip_prefix(name)?.strip_prefix(": "));
    let pipeline = fact("Pipeline input").map_or("False".to_owned(), |how| format!("True ({how})"));
    let position = parameter.position.map_or("named".to_owned(), |position| position.to_string());
    let attributes = [
        ("required", if parameter.required { "true" } else { "false" }),
        ("variableLength", "true"),
        ("globbing", "false"),
        ("pipelineInput", pipeline.as_str()),
        ("position", position.as_str()),
        ("aliases", fact("Alias").unwrap_or("none")),
    ];
    let (kind, default) = parameter.kind.map_or(("SwitchParameter", "False"), |kind| (kind, "None"));
    inside(xml.create_element("command:parameter").with_attributes(attributes), |xml| {
        text(xml, "maml:name", parameter.name)?;
        paragraphs(xml, "maml:description", &section.paragraphs)?;
        if in_full || parameter.kind.is_some() {
            let required = if parameter.kind.is_some() { "true" } else { "false" };
            let value = xml.create_element("command:parameterValue");
            let value = value.with_attributes([("required", required), ("variableLength", "false")]);
            value.write_text_content(BytesText::new(kind))?;
        }
        element(xml, "dev:type", |xml| {
            text(xml, "maml:name", kind)?;
            text(xml, "maml:uri", "")
        })?;
        text(xml, "dev:defaultValue", fact("Default").unwrap_or(default))
    })
}

fn inside(
    element: quick_xml::writer::ElementWriter<'_, Vec<u8>>,
    content: impl FnOnce(&mut Xml) -> io::Result<()>,
) -> io::Result<()> {
    element.write_inner_content(content).map(drop)
}

fn element(xml: &mut Xml, name: &str, content: impl FnOnce(&mut Xml) -> io::Result<()>) -> io::Result<()> {
    inside(xml.create_element(name), content)
}

fn text(xml: &mut Xml, name: &str, text: &str) -> io::Result<()> {
    xml.create_element(name).write_text_content(BytesText::new(text)).map(drop)
}

fn paragraphs(xml: &mut Xml, name: &str, paragraphs: &[String]) -> io::Result<()> {
    element(xml, name, |xml| paragraphs.iter().try_for_each(|paragraph| text(xml, "maml:para", paragraph)))
}
