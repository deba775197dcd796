//! What is read of a VMS after the logon: the site, the product, child sites, the privacy option, the counts.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use uuid::Uuid;

use super::failure::{Failure, Kind};
use super::list::Item;
use super::rest::Rest;
use super::{Client, STACK, THREAD, UsageDataPolicy};
use crate::event::Field;

/// The privacy option "Enable usage data collection for XProtect Smart Client", on every VMS. Its form over REST is not
/// documented; the id is that of the Configuration API's item.
const PRIVACY_OPTION: Uuid = Uuid::from_u128(0xa36b_973e_eb89_4cd9_8f44_5628_c1e7_f032);
/// Longest text that is taken over from a server, in characters.
const TEXT_LIMIT: usize = 256;
/// Most child sites that are listed.
const CHILD_SITE_LIMIT: usize = 1_000;
/// After so many items of a list it is asked whether to go on: asking reads a file.
const ASKED_EVERY: u32 = 500;
/// Lists that are read at once: a server's web service takes no more without harm to others.
const PARALLEL: usize = 3;

/// A site of the VMS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Its actual id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// The version of its product, where it tells.
    pub version: Option<String>,
}

/// Takes a server's text over: without control characters, which a terminal would obey, and of bounded length.
fn text(text: String) -> Option<String> {
    let text: String = text.chars().filter(|character| !character.is_control()).take(TEXT_LIMIT).collect();
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn site_of(item: Item) -> Option<Site> {
    let name = item.display_name.and_then(text).or_else(|| item.name.and_then(text));
    Some(Site { id: item.id?, name: name.unwrap_or_default(), version: item.version.and_then(text) })
}

/// Reads the site that the user logged on to.
///
/// # Errors
/// It cannot be read, or its id is no GUID (I6).
pub fn site(rest: &Rest, until: Instant) -> Result<Site, Failure> {
    let mut site = None;
    rest.list("sites", until, &mut |item| {
        site = site_of(item);
        false
    })?;
    site.ok_or_else(|| rest.http.failure(Kind::Answer, "asked for its site, the server named none with an id"))
}

/// Reads the name of the product, where the user may see it.
pub fn product(rest: &Rest, until: Instant) -> Option<String> {
    let mut name = None;
    let mut first = |item: Item| {
        name = item.display_name.and_then(text);
        false
    };
    // What cannot be read is left out (E2).
    let _ = rest.list("licenseInformations", until, &mut first);
    if name.is_none() {
        let _ = rest.list("licenseInstalledProducts", until, &mut |item| {
            // The product itself, among its plug-ins.
            if item.plugin == Some(Uuid::nil()) {
                name = item.product.or(item.display_name).and_then(text);
            }
            name.is_none()
        });
    }
    name
}

/// Reads the child sites of all levels.
///
/// # Errors
/// They cannot be read.
pub fn child_sites(rest: &Rest, until: Instant) -> Result<Vec<Site>, Failure> {
    let mut sites: Vec<Site> = Vec::new();
    let mut resource = "childSites".to_owned();
    for next in 0.. {
        rest.list(&resource, until, &mut |item| {
            sites.extend(site_of(item).filter(|site| sites.iter().all(|known| known.id != site.id)));
            sites.len() < CHILD_SITE_LIMIT
        })?;
        let Some(site) = sites.get(next).filter(|_| sites.len() < CHILD_SITE_LIMIT) else {
            break;
        };
        resource = format!("childSites/{}/childSites", site.id);
    }
    Ok(sites)
}

/// Reads the privacy option (C7). What cannot be read is unknown, with the reason.
pub fn policy(rest: &Rest, until: Instant) -> (UsageDataPolicy, Option<String>) {
    let unknown = |why: String| (UsageDataPolicy::Unknown, Some(why));
    let option = match rest.item(&format!("toolOptions/{PRIVACY_OPTION}"), until) {
        Ok(Some(option)) => Some(option.collects_usage_data),
        Ok(None) => {
            let mut found = None;
            let listed = rest.list("toolOptions", until, &mut |item| {
                if item.id == Some(PRIVACY_OPTION) && (found.is_none() || item.collects_usage_data != Some(true)) {
                    found = Some(item.collects_usage_data);
                }
                // A no is enough, whatever it is called and whatever else the list has.
                if item.collects_usage_data == Some(false) {
                    found = Some(Some(false));
                }
                found != Some(Some(false))
            });
            match listed {
                Ok(()) => found,
                Err(failure) => return unknown(failure.to_string()),
            }
        }
        Err(failure) => return unknown(failure.to_string()),
    };
    match option {
        None => (UsageDataPolicy::NotOffered, None),
        Some(Some(true)) => (UsageDataPolicy::On, None),
        Some(Some(false)) => (UsageDataPolicy::Off, None),
        Some(None) => unknown(rest.http.failure(Kind::Answer, "the option has no value").to_string()),
    }
}

/// The lists that are counted beside that of the hardware.
const LISTS: [(&str, Field); 8] = [
    ("cameras", Field::CameraCount),
    ("microphones", Field::MicrophoneCount),
    ("speakers", Field::SpeakerCount),
    ("metadata", Field::MetadataCount),
    ("inputEvents", Field::InputCount),
    ("outputs", Field::OutputCount),
    ("recordingServers", Field::Recorders),
    ("childSites", Field::ChildSites),
];

/// Counts what is enabled, for as long as `goes_on` says yes, and tells the client each count as soon as it is known.
/// What cannot be counted is left out (E2).
///
/// A device counts where its hardware is enabled as well: servers may list the devices of disabled hardware. So where the
/// hardware cannot be read, no devices are counted.
pub fn count(rest: &Rest, client: &Client, until: Instant, goes_on: &(dyn Fn() -> bool + Sync)) {
    let mut hardware = HashSet::new();
    let counted = tally(rest, client, "hardware", until, goes_on, &mut |item| hardware.extend(item.id));
    if let Some(count) = counted {
        client.counted(Field::HardwareCount, count);
    }
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some((resource, field)) = LISTS.get(next.fetch_add(1, Ordering::Relaxed)) {
            let are_devices = !matches!(field, Field::Recorders | Field::ChildSites);
            if are_devices && counted.is_none() {
                continue;
            }
            let mut count = 0;
            let mut add = |item: Item| {
                let is_in_use = item.parent.is_none_or(|parent| !are_devices || hardware.contains(&parent));
                count += u32::from(is_in_use);
            };
            if tally(rest, client, resource, until, goes_on, &mut add).is_some() {
                client.counted(*field, count);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..PARALLEL {
            // Without a thread the others do its work.
            let _ = thread::Builder::new().name(THREAD.to_owned()).stack_size(STACK).spawn_scoped(scope, work);
        }
        work();
    });
}

/// Counts the enabled items of a list and hands each to `add`; `None` where the list could not be read to its end.
fn tally(
    rest: &Rest,
    client: &Client,
    resource: &str,
    until: Instant,
    goes_on: &dyn Fn() -> bool,
    add: &mut dyn FnMut(Item),
) -> Option<u32> {
    if !goes_on() {
        return None;
    }
    let (mut count, mut seen, mut ended) = (0_u32, 0_u32, false);
    let read = rest.list(resource, until, &mut |item| {
        if item.enabled != Some(false) {
            count += 1;
            client.progress();
            add(item);
        }
        seen += 1;
        ended = client.is_closed() || (seen.is_multiple_of(ASKED_EVERY) && !goes_on());
        !ended
    });
    read.ok().filter(|()| !ended).map(|()| count)
}
