//! Lists: what a query asks for, and the items that answer it, written one by one.

use std::io::{self, Write};
use std::ops::Range;
use std::sync::Arc;

use serde_json::Value;

use crate::answer::Answer;
use crate::form;
use crate::items::{item, value};
use crate::kind::Kind;
use crate::rest::refuse;
use crate::vms::Vms;

/// Queries of the API that have no effect on the lists here.
const WITHOUT_EFFECT: [&str; 3] = ["resources", "definitions", "nodata"];

/// What a query asks for.
#[derive(Default)]
struct Query {
    disabled: bool,
    page: u64,
    size: Option<u64>,
    include: Vec<Kind>,
    filters: Vec<Filter>,
}

struct Filter {
    member: String,
    test: fn(&str, &str) -> bool,
    value: String,
}

/// Answers with a list of generated items.
pub(crate) fn answer(vms: &Arc<Vms>, kind: Kind, range: Range<u32>, query: &str, top: bool) -> Answer {
    let query = match Query::parse(vms, kind, query, top) {
        Ok(query) => query,
        Err(text) => return refuse(400, &text),
    };
    let vms = Arc::clone(vms);
    Answer::stream(Box::new(move |stream| write(&vms, kind, range, &query, stream)))
}

fn write(vms: &Vms, kind: Kind, range: Range<u32>, query: &Query, stream: &mut dyn Write) -> io::Result<()> {
    let quirks = &vms.config.quirks;
    let size = query.size.or(quirks.default_size).filter(|_| !quirks.ignore_paging);
    let size = size.map(|size| quirks.max_size.map_or(size, |max| size.min(max)));
    let skip = size.map_or(0, |size| query.page.saturating_mul(size));
    let number = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
    let listed = range.filter(|number| lists(vms, kind, *number, query.disabled));
    // Without a filter, only the items of the page are made.
    let matches = |item: &str| query.filters.iter().all(|filter| filter.matches(item));
    let items = listed.filter(|number| query.filters.is_empty() || matches(&item(&vms.config, kind, *number)));
    stream.write_all(br#"{"array":["#)?;
    for (place, item_number) in items.skip(number(skip)).take(size.map_or(usize::MAX, number)).enumerate() {
        if place > 0 {
            stream.write_all(b",")?;
        }
        let whole = item(&vms.config, kind, item_number);
        // Children come behind the last member of their parent.
        let open = whole.strip_suffix('}').filter(|_| !query.include.is_empty());
        stream.write_all(open.unwrap_or(&whole).as_bytes())?;
        for child in &query.include {
            let range = vms.config.site.children(kind, item_number, *child).unwrap_or_default();
            let children = range.filter(|number| lists(vms, *child, *number, query.disabled));
            let children: Vec<_> = children.map(|number| item(&vms.config, *child, number)).collect();
            write!(stream, r#","{}":[{}]"#, child.resource(), children.join(","))?;
        }
        if open.is_some() {
            stream.write_all(b"}")?;
        }
    }
    stream.write_all(b"]}")
}

/// Tells whether a list holds an item.
fn lists(vms: &Vms, kind: Kind, number: u32, disabled: bool) -> bool {
    let site = &vms.config.site;
    let orphans = vms.config.quirks.devices_of_disabled_hardware;
    disabled || if orphans { site.enabled(kind, number) } else { site.in_use(kind, number) }
}

impl Query {
    fn parse(vms: &Vms, kind: Kind, text: &str, top: bool) -> Result<Self, String> {
        let mut query = Self::default();
        for (name, value) in form::pairs(text) {
            let bad = || format!("Invalid parameter. {name}");
            let number = || value.as_deref().and_then(|value| value.parse::<u64>().ok());
            match name.to_ascii_lowercase().as_str() {
                "disabled" => {
                    query.disabled = value.as_deref().is_none_or(|value| !value.eq_ignore_ascii_case("false"))
                }
                "page" => query.page = number().ok_or_else(bad)?,
                "size" => query.size = Some(number().filter(|size| *size > 0).ok_or_else(bad)?),
                "includechildren" if top => {
                    for child in value.as_deref().unwrap_or_default().split(',').filter(|name| !name.is_empty()) {
                        let child = Kind::of(child).filter(|child| vms.config.site.children(kind, 0, *child).is_some());
                        query.include.push(child.ok_or_else(bad)?);
                    }
                }
                name if WITHOUT_EFFECT.contains(&name) => {}
                _ => query.filters.push(Filter::parse(&name, value.as_deref().ok_or_else(bad)?)),
            }
        }
        // Every item of a kind has the same members, so any one tells whether a filter names one of them.
        if !query.filters.is_empty() {
            let sample = item(&vms.config, kind, 0);
            if let Some(filter) = query.filters.iter().find(|filter| filter.member_of(&sample).is_none()) {
                return Err(format!("Invalid parameter. {}", filter.member));
            }
        }
        Ok(query)
    }
}

impl Filter {
    /// Reads `value` or `operator:value`.
    fn parse(member: &str, text: &str) -> Self {
        let (operator, value) = text.split_once(':').unwrap_or(("equals", text));
        let test: Option<fn(&str, &str) -> bool> = match operator.to_ascii_lowercase().as_str() {
            "equals" => Some(|a, b| a == b),
            "notequals" => Some(|a, b| a != b),
            "contains" => Some(|a, b| a.contains(b)),
            "notcontains" => Some(|a, b| !a.contains(b)),
            "beginswith" => Some(|a, b| a.starts_with(b)),
            "endswith" => Some(|a, b| a.ends_with(b)),
            "lt" => Some(|a, b| compare(a, b).is_lt()),
            "gt" => Some(|a, b| compare(a, b).is_gt()),
            _ => None,
        };
        let (test, value) = match test {
            Some(test) => (test, value),
            // The colon belongs to the value, as in an address or a time.
            None => ((|a, b| a == b) as fn(&str, &str) -> bool, text),
        };
        Self { member: member.to_owned(), test, value: value.to_lowercase() }
    }

    fn member_of(&self, item: &str) -> Option<String> {
        let item = value(item);
        let members = item.as_object()?;
        match members.iter().find(|(name, _)| name.eq_ignore_ascii_case(&self.member))?.1 {
            Value::String(text) => Some(text.to_lowercase()),
            Value::Object(_) | Value::Array(_) => None,
            other => Some(other.to_string()),
        }
    }

    fn matches(&self, item: &str) -> bool {
        self.member_of(item).is_some_and(|member| (self.test)(&member, &self.value))
    }
}

/// Compares as numbers where both are, else as text.
fn compare(a: &str, b: &str) -> std::cmp::Ordering {
    match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => a.total_cmp(&b),
        _ => a.cmp(b),
    }
}
