//! The kinds of items that a site consists of, and what they are called over REST.

/// How many items of each kind there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is what its name says")]
pub struct Counts {
    pub child_sites: u64,
    pub recording_servers: u64,
    pub hardware: u64,
    pub cameras: u64,
    pub microphones: u64,
    pub speakers: u64,
    pub metadata: u64,
    pub inputs: u64,
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
