//! The site: a few numbers and a seed from which every item follows.
//!
//! - An item is its kind and its number; id, flags and parent are computed from them, so nothing is stored, whatever the size.
//! - An id holds the item's number, so that it leads back to the item.

use std::io;
use std::ops::Range;

use serde::Deserialize;

use super::kind::{Counts, KINDS, Kind};

/// More of one kind than any VMS has; the bound keeps arithmetic and answers finite.
const MAX_ITEMS: u64 = 10_000_000;

/// What the site consists of.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Site {
    /// Decides all ids, and which items are disabled.
    pub seed: u64,
    /// Id of the site, which need not be a GUID; `None` follows from the seed.
    pub id: Option<String>,
    /// Name of the site.
    pub name: String,
    /// Version of the product.
    pub version: String,
    /// Name of the product, with its edition and release.
    pub product: String,
    /// Direct child sites.
    pub child_sites: u32,
    /// Child sites of each of them.
    pub grandchild_sites: u32,
    /// Recording servers.
    pub recording_servers: u32,
    /// Hardware on each recording server.
    pub hardware: u32,
    /// Cameras of each hardware.
    pub cameras: u32,
    /// Microphones of each hardware.
    pub microphones: u32,
    /// Speakers of each hardware.
    pub speakers: u32,
    /// Metadata devices of each hardware.
    pub metadata: u32,
    /// Inputs of each hardware.
    pub inputs: u32,
    /// Outputs of each hardware.
    pub outputs: u32,
    /// How much of it is disabled.
    pub disabled: Disabled,
}

/// Percentages that are disabled.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Disabled {
    /// Of the recording servers.
    pub recording_servers: u8,
    /// Of the hardware.
    pub hardware: u8,
    /// Of the devices of each kind.
    pub devices: u8,
}

impl Default for Site {
    fn default() -> Self {
        Self {
            seed: 1,
            id: None,
            name: "DEMO-VMS".to_owned(),
            version: "25.1.1804.0".to_owned(),
            product: "XProtect Corporate 2025 R1".to_owned(),
            child_sites: 2,
            grandchild_sites: 1,
            recording_servers: 3,
            hardware: 10,
            cameras: 1,
            microphones: 1,
            speakers: 1,
            metadata: 1,
            inputs: 2,
            outputs: 1,
            disabled: Disabled { recording_servers: 0, hardware: 10, devices: 10 },
        }
    }
}

impl Site {
    /// Returns a small site whose numbers follow from the seed as well.
    #[must_use]
    pub fn random(seed: u64) -> Self {
        let number = |what: u64, limit: u32| u32::try_from(mix(seed, what) % u64::from(limit)).unwrap_or_default();
        let percent = |what| u8::try_from(number(what, 60)).unwrap_or_default();
        Self {
            seed,
            child_sites: number(101, 5),
            grandchild_sites: number(102, 3),
            recording_servers: number(103, 7),
            hardware: number(104, 30),
            cameras: number(105, 5),
            microphones: number(106, 3),
            speakers: number(107, 3),
            metadata: number(108, 3),
            inputs: number(109, 4),
            outputs: number(110, 4),
            disabled: Disabled { recording_servers: percent(111), hardware: percent(112), devices: percent(113) },
            ..Self::default()
        }
    }

    /// Refuses what cannot be answered.
    pub(crate) fn check(&self) -> io::Result<()> {
        let largest = KINDS.map(|(kind, ..)| self.exact(kind)).into_iter().max().unwrap_or_default();
        if largest > MAX_ITEMS {
            return Err(io::Error::other(format!("the site has {largest} items of a kind, more than {MAX_ITEMS}")));
        }
        Ok(())
    }

    /// Returns how many items of a kind there are.
    pub(crate) fn total(&self, kind: Kind) -> u32 {
        u32::try_from(self.exact(kind)).unwrap_or(u32::MAX)
    }

    fn exact(&self, kind: Kind) -> u64 {
        let product = |factors: &[u32]| factors.iter().fold(1_u64, |all, n| all.saturating_mul(u64::from(*n)));
        match kind {
            Kind::Site => 1,
            Kind::ChildSite => {
                u64::from(self.child_sites).saturating_add(product(&[self.child_sites, self.grandchild_sites]))
            }
            Kind::RecordingServer => self.recording_servers.into(),
            Kind::Hardware => product(&[self.recording_servers, self.hardware]),
            device => product(&[self.recording_servers, self.hardware, self.devices(device)]),
        }
    }

    /// Returns how many devices of a kind each hardware has.
    fn devices(&self, kind: Kind) -> u32 {
        match kind {
            Kind::Camera => self.cameras,
            Kind::Microphone => self.microphones,
            Kind::Speaker => self.speakers,
            Kind::Metadata => self.metadata,
            Kind::InputEvent => self.inputs,
            Kind::Output => self.outputs,
            _ => 0,
        }
    }

    /// Returns the items of a kind that the top-level list holds: child sites of child sites are not among them.
    pub(crate) fn top(&self, kind: Kind) -> Range<u32> {
        0..if kind == Kind::ChildSite { self.child_sites } else { self.total(kind) }
    }

    /// Returns the children of an item, or `None` where a parent of this kind has no such children.
    pub(crate) fn children(&self, parent: Kind, number: u32, kind: Kind) -> Option<Range<u32>> {
        let (first, each) = match (parent, kind) {
            (Kind::Site, Kind::ChildSite | Kind::RecordingServer) => return Some(self.top(kind)),
            (Kind::ChildSite, Kind::ChildSite) if number >= self.child_sites => return Some(0..0),
            (Kind::ChildSite, Kind::ChildSite) => (self.child_sites, self.grandchild_sites),
            (Kind::RecordingServer, Kind::Hardware) => (0, self.hardware),
            (Kind::Hardware, device) if device.is_device() => (0, self.devices(device)),
            _ => return None,
        };
        let begin = first.saturating_add(number.saturating_mul(each));
        Some(begin..begin.saturating_add(each))
    }

    /// Returns the parent of an item.
    pub(crate) fn parent(&self, kind: Kind, number: u32) -> Option<(Kind, u32)> {
        match kind {
            Kind::Site => None,
            Kind::ChildSite => match number.checked_sub(self.child_sites) {
                Some(place) => Some((Kind::ChildSite, place.checked_div(self.grandchild_sites)?)),
                None => Some((Kind::Site, 0)),
            },
            Kind::RecordingServer => Some((Kind::Site, 0)),
            Kind::Hardware => Some((Kind::RecordingServer, number.checked_div(self.hardware)?)),
            device => Some((Kind::Hardware, number.checked_div(self.devices(device))?)),
        }
    }

    /// Returns which of its hardware's devices of that kind this one is.
    pub(crate) fn channel(&self, kind: Kind, number: u32) -> u32 {
        number.checked_rem(self.devices(kind)).unwrap_or_default()
    }

    /// Tells whether an item is enabled by its own flag, whatever its parent's.
    pub(crate) fn enabled(&self, kind: Kind, number: u32) -> bool {
        let percent = match kind {
            Kind::Site | Kind::ChildSite => return true,
            Kind::RecordingServer => self.disabled.recording_servers,
            Kind::Hardware => self.disabled.hardware,
            _ => self.disabled.devices,
        };
        self.hash(kind, number, 1) % 100 >= u64::from(percent)
    }

    /// Tells whether an item and, for a device, its hardware are enabled.
    pub(crate) fn in_use(&self, kind: Kind, number: u32) -> bool {
        let parent = self.parent(kind, number).filter(|_| kind.is_device());
        self.enabled(kind, number) && parent.is_none_or(|(kind, number)| self.enabled(kind, number))
    }

    /// Returns the id of an item, a GUID in lower case.
    pub(crate) fn id(&self, kind: Kind, number: u32) -> String {
        if let (Kind::Site, Some(id)) = (kind, &self.id) {
            return id.clone();
        }
        let first = u64::from(number) ^ self.mask(kind);
        let [a, b] = [2, 3].map(|what| self.hash(kind, number, what));
        format!(
            "{first:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            a >> 48,
            a & 0xfff,
            0x8000 | (a >> 16 & 0x3fff),
            b & 0xffff_ffff_ffff
        )
    }

    /// Returns the number of the item with this id.
    pub(crate) fn find(&self, kind: Kind, id: &str) -> Option<u32> {
        if kind == Kind::Site {
            return id.eq_ignore_ascii_case(&self.id(kind, 0)).then_some(0);
        }
        let first = u64::from_str_radix(id.get(..8)?, 16).ok()?;
        let number = u32::try_from(first ^ self.mask(kind)).ok()?;
        (number < self.total(kind) && self.id(kind, number).eq_ignore_ascii_case(id)).then_some(number)
    }

    /// Returns a number that belongs to an item and a purpose.
    pub(crate) fn hash(&self, kind: Kind, number: u32, purpose: u64) -> u64 {
        mix(self.seed, mix(kind as u64, mix(number.into(), purpose)))
    }

    fn mask(&self, kind: Kind) -> u64 {
        mix(self.seed, kind as u64) & 0xffff_ffff
    }

    /// Counts what a client should find: all of it, or what is in use.
    pub(crate) fn counts(&self, all: bool) -> Counts {
        let count = |kind: Kind| {
            self.top(kind).filter(|number| all || self.in_use(kind, *number)).fold(0_u64, |n, _| n.saturating_add(1))
        };
        Counts {
            child_sites: count(Kind::ChildSite),
            recording_servers: count(Kind::RecordingServer),
            hardware: count(Kind::Hardware),
            cameras: count(Kind::Camera),
            microphones: count(Kind::Microphone),
            speakers: count(Kind::Speaker),
            metadata: count(Kind::Metadata),
            inputs: count(Kind::InputEvent),
            outputs: count(Kind::Output),
        }
    }
}

/// Mixes two numbers into one that looks random (the finalizer of SplitMix64).
fn mix(a: u64, b: u64) -> u64 {
    let mut z = a.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(b).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}
