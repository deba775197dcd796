//! Every error that reaches a caller. A message names the file or the field.
//!
//! No message repeats a value that a caller passed: it may be a secret, and a message may end up in a log.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::vms::Failure;

#[derive(Debug)]
pub enum Error {
    /// A field of a caller's struct cannot be used.
    Argument {
        /// As the header spells it.
        field: &'static str,
        problem: String,
    },
    /// A call that needs a session came before `init_session`.
    NotStarted,
    /// The connection was closed already, or never opened.
    NoSuchConnection,
    TooManyConnections,
    BufferTooSmall {
        /// In bytes, with the NUL.
        needed: usize,
    },
    /// The user has no folder for local application data.
    NoFolder,
    /// Telemetry cannot work in this session, for the reason given.
    Unusable(String),
    /// The operating system has no resources left, such as threads.
    Resources(String),
    /// The administrator of this computer opted out, by the policy that is named.
    Policy(&'static str),
    /// The user opted out, and that could not be stored.
    NotStored(Box<Error>),
    Vms(Failure),
    /// Another thread ended the call.
    Cancelled,
    File {
        /// What was tried, such as "create".
        doing: &'static str,
        path: PathBuf,
        cause: io::Error,
    },
    /// The settings file is not the JSON that it should be; it is left as it was.
    Settings {
        path: PathBuf,
        /// From 1. 0 if the problem is not at one place.
        line: usize,
        column: usize,
        problem: String,
    },
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Returns whether a file could not be written because the disk, or the user's part of it, is full.
    pub fn is_full_disk(&self) -> bool {
        let is_full =
            |cause: &io::Error| matches!(cause.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        matches!(self, Self::File { cause, .. } if is_full(cause))
    }

    /// Returns what the user can do, as the message ends. Empty: the message does not end so.
    pub fn advice(&self) -> &str {
        match self {
            Self::Vms(failure) => &failure.advice,
            _ => "",
        }
    }

    /// Adds what was tried with which file to an operating system's error.
    pub(crate) fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |cause| Self::File { doing, path, cause }
    }

    pub(crate) fn argument(field: &'static str, problem: impl Into<String>) -> Self {
        Self::Argument { field, problem: problem.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argument { field, problem } => write!(f, "{field}: {problem}"),
            Self::NotStarted => f.write_str("there is no session yet: call init_session first"),
            Self::NoSuchConnection => f.write_str("connection: it is not open (closed already, or never opened)"),
            Self::TooManyConnections => {
                f.write_str("too many connections are open at once: close some with on_disconnect")
            }
            Self::BufferTooSmall { needed } => {
                write!(f, "capacity: the buffer is too small, {needed} bytes are needed")
            }
            Self::NoFolder => f.write_str(
                "this user has no folder for local application data (elsewhere than on Windows, HOME is not set to an \
                 absolute path)",
            ),
            Self::Unusable(reason) | Self::Resources(reason) => f.write_str(reason),
            Self::Policy(policy) => write!(
                f,
                "the administrator of this computer has turned telemetry off ({policy}), and no user can turn it on. \
                 Nothing was changed"
            ),
            Self::NotStored(cause) => write!(
                f,
                "telemetry is off until this process ends, but that could not be stored: {cause}. To opt out of later \
                 sessions as well, run the command again, or set the environment variable \
                 VMS_ApplicationInsights__Enabled to false"
            ),
            Self::Vms(failure) => failure.fmt(f),
            Self::Cancelled => f.write_str("the attempt was cancelled"),
            Self::File { doing, path, cause } => {
                write!(f, "cannot {doing} {}: {cause}", path.display())
            }
            Self::Settings { path, line: 0, problem, .. } => {
                write!(f, "the settings file {} cannot be used: {problem}", path.display())
            }
            Self::Settings { path, line, column, problem } => write!(
                f,
                "the settings file {} cannot be used: line {line}, column {column}: {problem}. \
                 Correct it there",
                path.display()
            ),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File { cause, .. } => Some(cause),
            Self::NotStored(cause) => Some(cause),
            _ => None,
        }
    }
}
