//! Why there is no connection, for the host program's code and for people.

use std::fmt;

use super::address::Origin;
use crate::abi;
use crate::http::{self, Kind};

/// Which kind of failure it is. The numbers are those of the C header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum FailureKind {
    /// The operating system has no descriptors or threads left.
    Resources = abi::VMS_ERROR_RESOURCES,
    /// Name not found, refused, no route, cut off.
    Unreachable = abi::VMS_ERROR_UNREACHABLE,
    /// The timeout is over.
    Timeout = abi::VMS_ERROR_TIMEOUT,
    /// The server's certificate was refused.
    Certificate = abi::VMS_ERROR_CERTIFICATE,
    /// The server does not answer over HTTPS, or HTTPS was required and the address is for plain HTTP.
    NotEncrypted = abi::VMS_ERROR_NOT_ENCRYPTED,
    /// The server redirects to another one.
    Redirected = abi::VMS_ERROR_REDIRECTED,
    /// The server refused user name, password or token.
    LogonRefused = abi::VMS_ERROR_LOGON_REFUSED,
    /// The user is locked.
    LockedOut = abi::VMS_ERROR_LOCKED_OUT,
    /// The user must choose a new password first.
    PasswordExpired = abi::VMS_ERROR_PASSWORD_EXPIRED,
    /// The user may log on but may not read what is needed.
    AccessDenied = abi::VMS_ERROR_ACCESS_DENIED,
    /// The server reported an error of its own.
    Server = abi::VMS_ERROR_SERVER,
    /// The response is not that of an XProtect API.
    Answer = abi::VMS_ERROR_ANSWER,
    /// Another thread ended the attempt.
    Cancelled = abi::VMS_ERROR_CANCELLED,
}

impl FailureKind {
    fn advice(self) -> &'static str {
        match self {
            Self::Resources => "Close what this process no longer needs, or raise its limit.",
            Self::Unreachable => "Check name and port, that the management server runs, and the network between.",
            Self::Timeout => "Check that the server runs and is not overloaded, or allow more time.",
            Self::Certificate => {
                "Make this computer trust the certificate's issuer, connect by a name that the certificate lists, or, in a \
                 network that you trust, skip the check."
            }
            Self::NotEncrypted => "Set up encryption on the management server, or do not require HTTPS.",
            Self::Redirected => "If you trust that address, connect to it instead.",
            Self::LogonRefused => {
                "Check user name, password and the kind of user. Too many wrong attempts lock a user."
            }
            Self::LockedOut => "Wait, or have an administrator unlock the user.",
            Self::PasswordExpired => "Log on with an XProtect client once and choose a new password.",
            Self::AccessDenied => "Have an administrator give this user's role the right to read it.",
            Self::Server => "Try again in a minute; a service that was just started needs some time.",
            Self::Answer => {
                "Check that the address is that of an XProtect management server (2021 R2 or later, with its API \
                 Gateway)."
            }
            Self::Cancelled => "Nothing is sent for it any more.",
        }
    }
}

/// A failure: what happened, to which server, and what to do. Holds no credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The kind.
    pub kind: FailureKind,
    /// Whether the server cannot be reached over HTTPS, and may be over HTTP.
    pub(super) https_unavailable: bool,
    message: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl Failure {
    pub(super) fn new(kind: FailureKind, server: &Origin, what: &str) -> Self {
        Self::with_advice(kind, server, what, kind.advice())
    }

    pub(super) fn with_advice(kind: FailureKind, server: &Origin, what: &str, advice: &str) -> Self {
        Self { kind, https_unavailable: false, message: format!("{server}: {what}. {advice}") }
    }

    /// Describes what happened to a request.
    pub(super) fn of_request(error: &ureq::Error, server: &Origin) -> Self {
        let description = http::describe(error, false);
        let (kind, advice) = match description.kind {
            Kind::NameNotFound => {
                (FailureKind::Unreachable, "Check its spelling, and that this computer can look it up.")
            }
            Kind::NotTls => (
                FailureKind::NotEncrypted,
                "Check the port, set up encryption on the management server, or type http:// if you accept that others on \
                 the network can read user name and password.",
            ),
            Kind::NoAuthorities => (
                FailureKind::Certificate,
                "Install them (the package is usually called ca-certificates), or check SSL_CERT_FILE and SSL_CERT_DIR.",
            ),
            kind => {
                let kind = match kind {
                    Kind::Timeout => FailureKind::Timeout,
                    Kind::Certificate => FailureKind::Certificate,
                    Kind::Resources => FailureKind::Resources,
                    Kind::Response | Kind::Other => FailureKind::Answer,
                    _ => FailureKind::Unreachable,
                };
                (kind, kind.advice())
            }
        };
        let what = match description.details {
            Some(details) => format!("{}. {details}", description.reason),
            None => description.reason,
        };
        let https_unavailable = matches!(
            description.kind,
            Kind::Refused | Kind::NoRoute | Kind::Silent | Kind::CutOff | Kind::NotTls | Kind::Handshake
        );
        Self { https_unavailable, ..Self::with_advice(kind, server, &what, advice) }
    }
}
