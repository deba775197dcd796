//! The kinds of items that a site consists of, and what they are called over REST.

use serde::Serialize;

/// How many items of each kind there are. As JSON, they have the names of the telemetry event's measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "each is what its name says")]
pub struct Counts {
    #[serde(rename = "ChildSites")]
    pub child_sites: u64,
    #[serde(rename = "Recorders")]
    pub recording_servers: u64,
    #[serde(rename = "HardwareCount")]
    pub hardware: u64,
    #[serde(rename = "CameraCount")]
    pub cameras: u64,
    #[serde(rename = "MicrophoneCount")]
    pub microphones: u64,
    #[serde(rename = "SpeakerCount")]
    pub speakers: u64,
    #[serde(rename = "MetadataCount")]
    pub metadata: u64,
    #[serde(rename = "InputCount")]
    pub inputs: u64,
    #[serde(rename = "OutputCount")]
    pub outputs: u64,
}

/// The kinds of items that follow from the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Site,
    ChildSite,
    RecordingServer,
    Hardware,
    Camera,
    Microphone,
    Speaker,
    Metadata,
    InputEvent,
    Output,
}

/// Each kind with the name of its resource, and what an item is called.
pub(crate) const KINDS: [(Kind, &str, &str); 10] = [
    (Kind::Site, "sites", "Site"),
    (Kind::ChildSite, "childSites", "Child site"),
    (Kind::RecordingServer, "recordingServers", "Recording server"),
    (Kind::Hardware, "hardware", "Hardware"),
    (Kind::Camera, "cameras", "Camera"),
    (Kind::Microphone, "microphones", "Microphone"),
    (Kind::Speaker, "speakers", "Speaker"),
    (Kind::Metadata, "metadata", "Metadata"),
    (Kind::InputEvent, "inputEvents", "Input"),
    (Kind::Output, "outputs", "Output"),
];

impl Kind {
    /// Returns the name of the resource.
    pub(crate) fn resource(self) -> &'static str {
        self.names().0
    }

    /// Returns what an item is called.
    pub(crate) fn title(self) -> &'static str {
        self.names().1
    }

    fn names(self) -> (&'static str, &'static str) {
        KINDS.iter().find(|(kind, ..)| *kind == self).map_or(("", ""), |(_, resource, title)| (resource, title))
    }

    /// Returns the kind that a resource holds; its name is compared without case.
    pub(crate) fn of(resource: &str) -> Option<Self> {
        KINDS.iter().find(|(_, name, _)| name.eq_ignore_ascii_case(resource)).map(|(kind, ..)| *kind)
    }

    pub(crate) fn is_device(self) -> bool {
        self as u8 >= Self::Camera as u8
    }
}
