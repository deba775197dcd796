//! The configuration: what a test sets in code, and what the program reads from its file.
//!
//! Every member may be left out of the file; one that is not known is an error.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::fault::Fault;
use crate::privacy::Privacy;
use crate::site::Site;
use crate::user::{Provider, Service, User};

/// Everything that can be chosen about a demo VMS.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// Port of the loopback address; 0 takes a free one.
    pub port: u16,
    /// Address that the discovery documents name, such as `https://vms.example.test`; `None` is the real one.
    pub advertise: Option<String>,
    /// Serves HTTPS with these files.
    pub tls: Option<PemFiles>,
    /// What the site consists of.
    pub site: Site,
    /// Who may log on.
    pub users: Vec<User>,
    /// Services that may log on by themselves (grant `client_credentials`).
    pub services: Vec<Service>,
    /// External identity providers.
    pub providers: Vec<Provider>,
    /// Tokens that are valid from the start, as if somebody had got them elsewhere.
    pub access_tokens: Vec<AccessToken>,
    /// Seconds that an access token is valid: 3600 on a real server.
    pub token_seconds: u64,
    /// Wrong passwords in a row after which a basic user is locked; 0 for never.
    pub lockout_after: u32,
    /// What the token endpoint offers for Windows logon, in this order.
    pub windows_schemes: Vec<Scheme>,
    /// What the privacy option looks like.
    pub privacy: Privacy,
    /// Where real servers differ from each other.
    pub quirks: Quirks,
    /// What goes wrong, and where.
    pub faults: Vec<Fault>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            port: 0,
            advertise: None,
            tls: None,
            site: Site::default(),
            users: Vec::new(),
            services: Vec::new(),
            providers: Vec::new(),
            access_tokens: Vec::new(),
            token_seconds: 3600,
            lockout_after: 5,
            windows_schemes: vec![Scheme::Negotiate, Scheme::Ntlm],
            privacy: Privacy::On,
            quirks: Quirks::default(),
            faults: Vec::new(),
        }
    }
}

impl Config {
    /// Reads a configuration file (JSON). The paths in it are relative to its folder.
    ///
    /// # Errors
    /// The file cannot be read, or is not a configuration; the message says where.
    pub fn read(path: &Path) -> io::Result<Self> {
        let told = |error: &dyn std::fmt::Display| io::Error::other(format!("{}: {error}", path.display()));
        let text = fs::read_to_string(path).map_err(|error| told(&error))?;
        let mut config: Self = serde_json::from_str(&text).map_err(|error| told(&error))?;
        if let (Some(tls), Some(folder)) = (&mut config.tls, path.parent()) {
            tls.certificate = folder.join(&tls.certificate);
            tls.key = folder.join(&tls.key);
        }
        Ok(config)
    }
}

/// A certificate chain and its private key, in PEM files.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PemFiles {
    /// The server's certificate, and those that lead to its root.
    pub certificate: PathBuf,
    /// The private key of the first.
    pub key: PathBuf,
}

/// A token that is valid from the start.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccessToken {
    /// The token as it goes behind `Bearer`.
    pub token: String,
    /// Whose it is; a user of any kind.
    pub user: String,
    /// Seconds until it expires; 0 has expired already, `None` never does.
    #[serde(default)]
    pub seconds: Option<u64>,
}

/// A way of Windows logon over HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Scheme {
    /// NTLM inside SPNEGO, or as it is.
    Negotiate,
    /// NTLM.
    Ntlm,
}

impl Scheme {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Negotiate => "Negotiate",
            Self::Ntlm => "NTLM",
        }
    }
}

/// Where real servers differ from each other, or are not known well enough.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Quirks {
    /// Answers every page with the whole list.
    pub ignore_paging: bool,
    /// Size of a page when the request names none; `None` is the whole list.
    pub default_size: Option<u64>,
    /// Larger sizes are cut to this.
    pub max_size: Option<u64>,
    /// Lists an enabled device although its hardware is disabled.
    pub devices_of_disabled_hardware: bool,
    /// Writes numbers as strings.
    pub numbers_as_strings: bool,
    /// Writes booleans as `"True"` and `"False"`.
    pub booleans_as_strings: bool,
    /// There is no API Gateway: everything below `/API` is a 404 of IIS.
    pub no_gateway: bool,
    /// Refuses a Windows logon with a page of HTML instead of an empty body.
    pub html_refusals: bool,
}
