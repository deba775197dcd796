//! Why there is no connection, for the caller's code and for the user's eyes.

use std::fmt;
use std::io;

use ureq::{Error as Trouble, Timeout};

use super::address::Origin;
use crate::{tls, transport};

/// What kind of failure it is. The numbers are those of the C header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Kind {
    /// No connection came about: refused, unknown name, cut off.
    Unreachable = 40,
    /// Time is over.
    Timeout = 41,
    /// The server's certificate is not one that this computer trusts.
    Certificate = 42,
    /// HTTPS was asked for, and the server offers none.
    NotEncrypted = 43,
    /// The server points to another one.
    Redirected = 44,
    /// Name, password or token were refused.
    LogonRefused = 45,
    /// The user is locked.
    LockedOut = 46,
    /// The user must choose a new password first.
    PasswordExpired = 47,
    /// The user may log on, and not read this.
    AccessDenied = 48,
    /// The server says that it failed.
    Server = 49,
    /// The answer is not that of an XProtect API.
    Answer = 50,
}

/// A failure: what happened, to which server, and what to do. Holds no credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The kind.
    pub kind: Kind,
    /// Whether nobody listens there, or somebody who does not speak TLS.
    pub nobody_there: bool,
    words: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl Failure {
    /// Puts a failure into words: what `server` did, and what to do about it.
    pub fn new(kind: Kind, server: &Origin, what: &str) -> Self {
        let advice = match kind {
            Kind::Unreachable => "Check name and port, that the management server runs, and the network between.",
            Kind::Timeout => "Check that the server runs and is not overloaded, or allow more time.",
            Kind::Certificate => {
                "Make this computer trust the certificate's issuer, connect by the name that it is for, or, where \
                 nobody can listen in, skip the check."
            }
            Kind::NotEncrypted => "Set up encryption on the management server, or connect without asking for it.",
            Kind::Redirected => "Where you trust that address, connect to it instead.",
            Kind::LogonRefused => {
                "Check user name, password and the kind of user. Too many wrong attempts lock a user."
            }
            Kind::LockedOut => "Wait, or have an administrator unlock the user.",
            Kind::PasswordExpired => "Log on with an XProtect client once and choose a new password.",
            Kind::AccessDenied => "Have an administrator give this user's role the right to read it.",
            Kind::Server => "Try again in a minute; a service that was just started needs some time.",
            Kind::Answer => {
                "Check that the address is that of an XProtect management server (2021 R2 or later, with its API \
                 Gateway)."
            }
        };
        Self { kind, nobody_there: false, words: format!("{server}: {what}. {advice}") }
    }

    /// Puts what happened to a request into words.
    pub(super) fn of_request(trouble: &Trouble, server: &Origin) -> Self {
        let nobody_there = match trouble {
            Trouble::Timeout(Timeout::Connect) | Trouble::ConnectionFailed => true,
            Trouble::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => true,
            _ => tls::is_not_spoken(trouble),
        };
        Self { nobody_there, ..Self::told(trouble, server) }
    }

    fn told(trouble: &Trouble, server: &Origin) -> Self {
        let (kind, what) = match trouble {
            Trouble::Timeout(Timeout::Connect | Timeout::Resolve) => (Kind::Unreachable, "nothing answers there"),
            Trouble::Timeout(_) => (Kind::Timeout, "no answer came in time"),
            Trouble::HostNotFound => (Kind::Unreachable, "there is no computer of this name"),
            Trouble::Io(error) if error.kind() == io::ErrorKind::TimedOut => (Kind::Timeout, "no answer came in time"),
            Trouble::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                (Kind::Unreachable, "nothing listens there")
            }
            _ => {
                let kind = match trouble {
                    _ if tls::is_about_certificate(trouble) => Kind::Certificate,
                    // A server without TLS is one that HTTPS does not reach.
                    Trouble::Io(_) | Trouble::ConnectionFailed | Trouble::Tls(_) => Kind::Unreachable,
                    _ if tls::words(trouble).is_some() => Kind::Unreachable,
                    _ => Kind::Answer,
                };
                return Self::new(kind, server, &transport::words(trouble));
            }
        };
        Self::new(kind, server, what)
    }
}
