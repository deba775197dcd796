//! Who may log on: users of three kinds.

use serde::Deserialize;

/// Who may log on.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct User {
    /// How this user logs on.
    pub kind: UserKind,
    /// Name, without the domain.
    pub name: String,
    /// Domain of a Windows user.
    pub domain: String,
    /// Password of a basic or a Windows user.
    pub password: String,
    /// Whether the right password is enough.
    pub state: UserState,
    /// Resources that this user may not read, such as `hardware`; `*` for all of them.
    pub forbidden: Vec<String>,
}

impl User {
    /// Returns a basic user.
    #[must_use]
    pub fn basic(name: &str, password: &str) -> Self {
        Self { name: name.to_owned(), password: password.to_owned(), ..Self::default() }
    }

    /// Returns a Windows user.
    #[must_use]
    pub fn windows(domain: &str, name: &str, password: &str) -> Self {
        Self { kind: UserKind::Windows, domain: domain.to_owned(), ..Self::basic(name, password) }
    }

    /// Returns a user of an external identity provider, who has no password here.
    #[must_use]
    pub fn external(name: &str) -> Self {
        Self { kind: UserKind::External, ..Self::basic(name, "") }
    }
}

/// How a user logs on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum UserKind {
    /// Name and password, kept by the VMS.
    #[default]
    Basic,
    /// NTLM or Negotiate.
    Windows,
    /// With a token from elsewhere.
    External,
}

/// Whether the right password is enough.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum UserState {
    /// It is.
    #[default]
    Normal,
    /// The user is locked.
    Locked,
    /// The user must choose a new password first.
    MustChangePassword,
}
