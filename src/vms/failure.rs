//! Why there is no connection: a code for the host program, a message for the user.

use std::fmt;

use super::address::Origin;
use crate::abi;
use crate::http::{self, Kind};

/// The numbers are those of the C header, which describes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum FailureKind {
    Resources = abi::VMS_ERROR_RESOURCES,
    Unreachable = abi::VMS_ERROR_UNREACHABLE,
    Timeout = abi::VMS_ERROR_TIMEOUT,
    Certificate = abi::VMS_ERROR_CERTIFICATE,
    NotEncrypted = abi::VMS_ERROR_NOT_ENCRYPTED,
    Redirected = abi::VMS_ERROR_REDIRECTED,
    LogonRefused = abi::VMS_ERROR_LOGON_REFUSED,
    LockedOut = abi::VMS_ERROR_LOCKED_OUT,
    PasswordExpired = abi::VMS_ERROR_PASSWORD_EXPIRED,
    AccessDenied = abi::VMS_ERROR_ACCESS_DENIED,
    Server = abi::VMS_ERROR_SERVER,
    Answer = abi::VMS_ERROR_ANSWER,
    Cancelled = abi::VMS_ERROR_CANCELLED,
}

impl FailureKind {
    fn advice(self) -> &'static str {
        match self {
            Self::Resources => "Close what this process no longer needs, or raise its limit.",
            Self::Unreachable => {
                "Check the host name and port, that the management server is running, and the network connection."
            }
            Self::Timeout => "Check that the server is running and not overloaded, or allow more time (-TimeoutSec).",
            Self::Certificate => {
                "Install the issuer's certificate on this computer. On a network that you trust, -SkipCertificateCheck accepts it."
            }
            Self::NotEncrypted => "Set up encryption on the management server, or leave out -SecureOnly.",
            Self::Redirected => "If you trust that address, connect to it instead.",
            Self::LogonRefused => {
                "Check user name and password. For a Windows user, leave out -BasicUser. Too many wrong attempts lock a user."
            }
            Self::LockedOut => "Wait, or ask an administrator to unlock the user.",
            Self::PasswordExpired => "Log on with an XProtect client once and choose a new password.",
            Self::AccessDenied => "Ask an administrator to give this user's role the right to read it.",
            Self::Server => "Try again in a minute; a service that was just started needs some time.",
            Self::Answer => {
                "Check that the address is that of an XProtect management server (2021 R2 or later, with its API \
                 Gateway)."
            }
            Self::Cancelled => "Nothing more is sent for it.",
        }
    }
}

/// Contains no credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub kind: FailureKind,
    /// Whether the server may be reachable with the other scheme, of HTTPS and HTTP.
    pub(super) is_other_scheme: bool,
    /// What happened, and to which server.
    message: String,
    /// What to do.
    pub advice: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}. {}", self.message, self.advice)
    }
}

impl std::error::Error for Failure {}

impl Failure {
    pub(super) fn new(kind: FailureKind, server: &Origin, what: &str) -> Self {
        Self::with_advice(kind, server, what, kind.advice())
    }

    pub(super) fn with_advice(kind: FailureKind, server: &Origin, what: &str, advice: &str) -> Self {
        let (message, advice) = (format!("{server}: {what}"), advice.to_owned());
        Self { kind, is_other_scheme: false, message, advice }
    }

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
            Kind::CertificateDates => (
                FailureKind::Certificate,
                "Have the certificate of the server renewed, and check the clock of this computer. On a network that you trust, \
                 -SkipCertificateCheck accepts it.",
            ),
            Kind::CertificateName => (
                FailureKind::Certificate,
                "Connect with a name that the certificate is for, or have it replaced by one for this name. On a network that you \
                 trust, -SkipCertificateCheck accepts it.",
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
        let is_other_scheme = match description.kind {
            Kind::Refused | Kind::NoRoute | Kind::Silent | Kind::NotTls | Kind::Handshake => server.is_encrypted(),
            Kind::Response => !server.is_encrypted(),
            Kind::CutOff => true,
            _ => false,
        };
        Self { is_other_scheme, ..Self::with_advice(kind, server, &what, advice) }
    }
}
