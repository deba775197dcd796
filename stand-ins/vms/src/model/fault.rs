//! What goes wrong on purpose.

use serde::Deserialize;

/// What goes wrong at a path.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// Path, compared without case and without a slash at its end; a `*` at its end stands for any rest.
    pub path: String,
    /// So many requests pass before the first that is hit.
    pub skip: u32,
    /// So many are hit; `None` is all of them.
    pub times: Option<u32>,
    /// Waits before the answer, in addition to other faults for the path.
    pub delay_ms: u64,
    /// Holds the request until [`DemoVms::release`](crate::DemoVms::release); only then is the answer made.
    pub hold: bool,
    /// What happens to the answer; of several faults the first counts.
    pub effect: Option<Effect>,
}

/// What happens to an answer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Effect {
    /// The connection is closed after so many bytes of it.
    CloseAfter(u64),
    /// It comes byte by byte, with so many milliseconds between them.
    Slow(u64),
    /// It comes with a header of so many bytes.
    HugeHeader(u32),
    /// It is a redirect (307) to this address.
    Redirect(String),
    /// It is another one.
    Answer {
        /// Its status.
        status: u16,
        /// Its media type.
        content_type: String,
        /// Its body.
        body: String,
    },
    /// It is a JSON document that repeats this text until so many bytes are out.
    Repeat {
        /// What is repeated, such as `[`.
        text: String,
        /// Length of the whole.
        bytes: u64,
    },
}
