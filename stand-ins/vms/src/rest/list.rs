//! Lists: what a query asks for, and the items that answer it, written one by one.

use std::io::{self, Write};
use std::ops::Range;
use std::sync::Arc;

use loopback::Answer;

use super::error::refuse;
use super::items::item;
use crate::form;
use crate::model::config::Config;
use crate::model::kind::Kind;

/// What a query asks for.
#[derive(Default)]
struct Query {
    disabled: bool,
    page: u64,
    size: Option<u64>,
}

/// Answers with a list of generated items.
pub(crate) fn answer(config: &Arc<Config>, kind: Kind, range: Range<u32>, query: &str) -> Answer {
    let query = match Query::parse(query) {
        Ok(query) => query,
        Err(text) => return refuse(400, &text),
    };
    let config = Arc::clone(config);
    Answer::stream(Box::new(move |stream| write(&config, kind, range, &query, stream)))
}

fn write(config: &Config, kind: Kind, range: Range<u32>, query: &Query, stream: &mut dyn Write) -> io::Result<()> {
    let quirks = &config.quirks;
    let size = query.size.filter(|_| !quirks.ignore_paging);
    let size = size.map(|size| quirks.max_size.map_or(size, |max| size.min(max)));
    let skip = size.map_or(0, |size| query.page.saturating_mul(size));
    let number = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
    let listed = range.filter(|number| lists(config, kind, *number, query.disabled));
    stream.write_all(br#"{"array":["#)?;
    for (place, item_number) in listed.skip(number(skip)).take(size.map_or(usize::MAX, number)).enumerate() {
        if place > 0 {
            stream.write_all(b",")?;
        }
        stream.write_all(item(config, kind, item_number).as_bytes())?;
    }
    stream.write_all(b"]}")
}

/// Tells whether a list holds an item.
fn lists(config: &Config, kind: Kind, number: u32, disabled: bool) -> bool {
    let (site, orphans) = (&config.site, config.quirks.devices_of_disabled_hardware);
    disabled || if orphans { site.enabled(kind, number) } else { site.in_use(kind, number) }
}

impl Query {
    fn parse(text: &str) -> Result<Self, String> {
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
                _ => return Err(bad()),
            }
        }
        Ok(query)
    }
}
