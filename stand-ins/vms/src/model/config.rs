//! The configuration: what a test sets in code, and what the program reads from its file.
//!
//! Every member may be left out of the file; one that is not known is an error.

use std::fs;
use std::io;
use std::path::Path;

use loopback::tls::Leaf;
use serde::Deserialize;

use super::fault::Fault;
use super::privacy::Privacy;
use super::site::Site;
use super::user::User;

/// Everything that can be chosen about a demo VMS.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// Port of the loopback address; 0 takes a free one.
    pub port: u16,
    /// Address that the discovery documents name, such as `https://vms.example.test`; `None` is the real one.
    pub advertise: Option<String>,
    /// Serves HTTPS with such a certificate, made at the start.
    pub tls: Option<Leaf>,
    /// What the site consists of.
    pub site: Site,
    /// Who may log on.
    pub users: Vec<User>,
    /// Tokens that are valid from the start, as if somebody had got them elsewhere.
    pub access_tokens: Vec<AccessToken>,
    /// What the privacy option looks like.
    pub privacy: Privacy,
    /// Where real servers differ from each other.
    pub quirks: Quirks,
    /// What goes wrong, and where.
    pub faults: Vec<Fault>,
}

impl Config {
    /// Reads a configuration file (JSON).
    ///
    /// # Errors
    /// The file cannot be read, or is not a configuration; the message says where.
    pub fn read(path: &Path) -> io::Result<Self> {
        let told = |error: &dyn std::fmt::Display| io::Error::other(format!("{}: {error}", path.display()));
        let text = fs::read_to_string(path).map_err(|error| told(&error))?;
        serde_json::from_str(&text).map_err(|error| told(&error))
    }
}

/// A token that is valid from the start.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccessToken {
    /// The token as it goes behind `Bearer`.
    pub token: String,
    /// Whose it is: a user of any kind. The token of a name that is no user is not accepted.
    pub user: String,
    /// Seconds until it expires; 0 has expired already, `None` never does.
    #[serde(default)]
    pub seconds: Option<u64>,
}

/// Where real servers differ from each other, or are not known well enough.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Quirks {
    /// Answers every page with the whole list.
    pub ignore_paging: bool,
    /// Larger sizes are cut to this.
    pub max_size: Option<u64>,
    /// Lists an enabled device although its hardware is disabled.
    pub devices_of_disabled_hardware: bool,
    /// Writes numbers as strings.
    pub numbers_as_strings: bool,
    /// Writes booleans as `"True"` and `"False"`.
    pub booleans_as_strings: bool,
}
