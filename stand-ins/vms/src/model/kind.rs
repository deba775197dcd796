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

impl Kind {
    pub(crate) const ALL: [Self; 10] = [
        Self::Site,
        Self::ChildSite,
        Self::RecordingServer,
        Self::Hardware,
        Self::Camera,
        Self::Microphone,
        Self::Speaker,
        Self::Metadata,
        Self::InputEvent,
        Self::Output,
    ];

    /// Returns the name of the resource.
    pub(crate) fn resource(self) -> &'static str {
        match self {
            Self::Site => "sites",
            Self::ChildSite => "childSites",
            Self::RecordingServer => "recordingServers",
            Self::Hardware => "hardware",
            Self::Camera => "cameras",
            Self::Microphone => "microphones",
            Self::Speaker => "speakers",
            Self::Metadata => "metadata",
            Self::InputEvent => "inputEvents",
            Self::Output => "outputs",
        }
    }

    /// Returns the kind that a resource holds; its name is compared without case.
    pub(crate) fn of(resource: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.resource().eq_ignore_ascii_case(resource))
    }

    pub(crate) fn is_device(self) -> bool {
        self as u8 >= Self::Camera as u8
    }
}
