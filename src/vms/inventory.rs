//! What is read from a VMS after the logon: the site, the product, child sites, the usage data option, the counts.

use std::collections::HashSet;
use std::time::Instant;

use uuid::Uuid;

use super::failure::{Failure, FailureKind};
use super::list::{Api, Item};

/// The id of the option "Enable usage data collection for XProtect Smart Client", the same on every VMS. REST documents no way to
/// it; the id is that of the Configuration API's item.
const USAGE_DATA_OPTION: Uuid = Uuid::from_u128(0xa36b_973e_eb89_4cd9_8f44_5628_c1e7_f032);
/// Longest text of a server, in characters: a choice, as it is shown to the user.
const TEXT_LIMIT: usize = 256;
/// A choice: beyond any federation, and a bound for a server that lists for ever.
const CHILD_SITE_LIMIT: usize = 1_000;
/// Items of a list between two checks whether to continue: a check reads the settings file.
const ASKED_EVERY: u32 = 500;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// The actual id.
    pub id: Uuid,
    pub name: String,
    /// Of the product.
    pub version: Option<String>,
}

/// The usage data option (C7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UsageData {
    On,
    Off,
    /// The VMS does not have the option: as on.
    NotOffered,
    /// It could not be read, for this reason.
    Unknown(String),
}

/// How many of each kind the VMS has enabled. `None`: it could not be read, and the event leaves it out (E2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub child_sites: Option<u32>,
    pub recorders: Option<u32>,
    pub hardware: Option<u32>,
    pub cameras: Option<u32>,
    pub microphones: Option<u32>,
    pub speakers: Option<u32>,
    pub metadata: Option<u32>,
    pub inputs: Option<u32>,
    pub outputs: Option<u32>,
}

/// Returns a server's text without control characters, which a terminal would obey, and of bounded length.
pub(super) fn text(text: &str) -> Option<String> {
    let text: String = text.chars().filter(|character| !character.is_control()).take(TEXT_LIMIT).collect();
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn site_of(item: &Item) -> Option<Site> {
    let member = |name| item.text(name).and_then(text);
    let name = member("displayName").or_else(|| member("name")).unwrap_or_default();
    Some(Site { id: item.id()?, name, version: member("version") })
}

/// Reads the site that the user logged on to. Its id must be a GUID, as it becomes part of a file's name (I6).
pub(super) fn site(api: &Api, until: Instant) -> Result<Site, Failure> {
    let mut site = None;
    api.list("sites", until, &mut |item| {
        site = site_of(&item);
        false
    })?;
    let what = "asked for its site, the server named none with an id";
    site.ok_or_else(|| api.http.failure(FailureKind::Answer, what))
}

/// Reads the name of the product, if the user's role permits it.
pub(super) fn product(api: &Api, until: Instant) -> Option<String> {
    let mut name = None;
    let _ = api.list("licenseInformations", until, &mut |item| {
        name = item.text("displayName").and_then(text);
        false
    });
    if name.is_none() {
        let _ = api.list("licenseInstalledProducts", until, &mut |item| {
            // The product itself, among its plug-ins.
            if item.guid("pluginId") == Some(Uuid::nil()) {
                name = item.text("productDisplayName").or(item.text("displayName")).and_then(text);
            }
            name.is_none()
        });
    }
    name
}

/// Reads the child sites of all levels.
pub(super) fn child_sites(api: &Api, until: Instant) -> Result<Vec<Site>, Failure> {
    let mut sites: Vec<Site> = Vec::new();
    let mut resource = "childSites".to_owned();
    for next in 0.. {
        api.list(&resource, until, &mut |item| {
            sites.extend(site_of(&item).filter(|site| sites.iter().all(|known| known.id != site.id)));
            sites.len() < CHILD_SITE_LIMIT
        })?;
        let Some(site) = sites.get(next).filter(|_| sites.len() < CHILD_SITE_LIMIT) else {
            break;
        };
        resource = format!("childSites/{}/childSites", site.id);
    }
    Ok(sites)
}

pub(super) fn usage_data(api: &Api, until: Instant) -> UsageData {
    match option(api, until) {
        Ok(None) => UsageData::NotOffered,
        Ok(Some(Some(true))) => UsageData::On,
        Ok(Some(Some(false))) => UsageData::Off,
        Ok(Some(None)) => {
            UsageData::Unknown(api.http.failure(FailureKind::Answer, "the option has no value").to_string())
        }
        Err(failure) => UsageData::Unknown(failure.to_string()),
    }
}

/// Returns the option if the VMS has it, and its value if it has one.
fn option(api: &Api, until: Instant) -> Result<Option<Option<bool>>, Failure> {
    let value = |item: &Item| item.flag("collectTelemetryEnabled");
    if let Some(option) = api.item(&format!("toolOptions/{USAGE_DATA_OPTION}"), until)? {
        return Ok(Some(value(&option)));
    }
    let mut found = None;
    api.list("toolOptions", until, &mut |item| {
        // Any opt-out in the list wins, whatever its id.
        let is_off = value(&item) == Some(false);
        if is_off || (item.id() == Some(USAGE_DATA_OPTION) && found.is_none()) {
            found = Some(value(&item));
        }
        !is_off
    })?;
    Ok(found)
}

type Place = fn(&mut Counts) -> &mut Option<u32>;

const DEVICES: [(&str, Place); 6] = [
    ("cameras", |counts| &mut counts.cameras),
    ("microphones", |counts| &mut counts.microphones),
    ("speakers", |counts| &mut counts.speakers),
    ("metadata", |counts| &mut counts.metadata),
    ("inputEvents", |counts| &mut counts.inputs),
    ("outputs", |counts| &mut counts.outputs),
];

/// See [`super::Client::count`]. One list at a time, so that the load on the VMS stays small, and the short ones first.
///
/// A device counts only if its hardware is enabled as well: servers may list the devices of disabled hardware. So if the
/// hardware cannot be read, no devices are counted.
pub(super) fn count(
    api: &Api,
    until: Instant,
    progress: &dyn Fn(&Counts, u32),
    may_continue: &dyn Fn() -> bool,
) -> Counts {
    let (mut counts, mut items, mut hardware) = (Counts::default(), 0, HashSet::new());
    let mut tally = |resource, place: Place, counts: &mut Counts, is_counted: &mut dyn FnMut(&Item) -> bool| {
        let (mut count, mut seen, mut is_ended) = (0, 0_u32, !may_continue());
        if is_ended {
            return;
        }
        let read = api.list(resource, until, &mut |item| {
            (seen, items) = (seen + 1, items + 1);
            count += u32::from(item.flag("enabled") != Some(false) && is_counted(&item));
            if seen.is_multiple_of(ASKED_EVERY) {
                progress(counts, items);
                is_ended = !may_continue();
            }
            !is_ended
        });
        *place(counts) = read.ok().filter(|()| !is_ended).map(|()| count);
        progress(counts, items);
    };
    tally("childSites", |counts| &mut counts.child_sites, &mut counts, &mut |_| true);
    tally("recordingServers", |counts| &mut counts.recorders, &mut counts, &mut |_| true);
    tally("hardware", |counts| &mut counts.hardware, &mut counts, &mut |item| {
        hardware.extend(item.id());
        true
    });
    if counts.hardware.is_some() {
        for (resource, place) in DEVICES {
            tally(resource, place, &mut counts, &mut |item| {
                item.parent().is_none_or(|parent| hardware.contains(&parent))
            });
        }
    }
    counts
}
