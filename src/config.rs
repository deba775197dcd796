//! Who decides what: defaults, the settings file, the environment, and above all consent (contract section 4).
//!
//! The environment is read once, when the session starts; the settings file anew at every decision, so that a session
//! follows a choice that another process stored. Whatever is in doubt counts as a no.

use std::borrow::Cow;
use std::ffi::OsString;

use crate::error::Result;
use crate::settings::{Settings, truth};

/// Who decided a value. The numbers are those of the C header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Layer {
    /// Nobody said anything.
    Default = 0,
    /// The settings file of the user.
    SettingsFile = 1,
    /// A variable `VMS_<Section>__<Key>`.
    Environment = 2,
    /// The variable `DO_NOT_TRACK`.
    DoNotTrack = 3,
    /// A VMS whose administrator forbids it.
    VmsPolicy = 4,
    /// Telemetry cannot work here: no folder, a broken settings file, an unusable connection string.
    Unusable = 5,
}

/// A decision, who took it and why, in words for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The value.
    pub on: bool,
    /// Who decided it.
    pub layer: Layer,
    /// Why, as a sentence without its full stop.
    pub words: String,
}

/// What the environment says, read once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    telemetry: Option<Spelled>,
    log: Option<Spelled>,
    do_not_track: bool,
    connection_string: Option<String>,
    proxies: [Option<String>; PROXIES.len()],
    no_proxy: Option<String>,
}

/// A truth value and, where it was spelled as neither true nor false, the sign of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Spelled {
    on: bool,
    doubtful: bool,
}

const TELEMETRY: &str = "VMS_ApplicationInsights__Enabled";
const LOG: &str = "VMS_ApplicationInsights__IncludeInLogs";
const CONNECTION_STRING: &str = "VMS_ApplicationInsights__ConnectionString";
const DO_NOT_TRACK: &str = "DO_NOT_TRACK";
/// The variables that name a proxy, strongest first.
const PROXIES: [&str; 3] = ["HTTPS_PROXY", "ALL_PROXY", "HTTP_PROXY"];
const NO_PROXY: &str = "NO_PROXY";

impl Environment {
    /// Reads the variables; names compare without case (C1). Where two spellings of one name differ, the no wins. What is
    /// not text, or was cut off and ends with a replacement character, is neither true nor a place.
    pub fn read(variables: impl Iterator<Item = (OsString, OsString)>) -> Self {
        let mut read = Self::default();
        for (name, value) in variables {
            let (Some(name), value) = (name.to_str(), value.to_string_lossy()) else {
                continue;
            };
            if name.eq_ignore_ascii_case(TELEMETRY) {
                read.telemetry = Some(spelled(&value, read.telemetry));
            } else if name.eq_ignore_ascii_case(LOG) {
                read.log = Some(spelled(&value, read.log));
            } else if name.eq_ignore_ascii_case(CONNECTION_STRING) {
                read.connection_string = Some(undamaged(value));
            } else if name.eq_ignore_ascii_case(DO_NOT_TRACK) {
                let allows = matches!(value.trim().to_ascii_lowercase().as_str(), "" | "0" | "false");
                read.do_not_track |= !allows;
            } else if name.eq_ignore_ascii_case(NO_PROXY) {
                read.no_proxy = Some(undamaged(value));
            } else if let Some(place) = PROXIES.iter().position(|proxy| name.eq_ignore_ascii_case(proxy))
                && let (false, Some(proxy)) = (value.is_empty(), read.proxies.get_mut(place))
            {
                *proxy = Some(undamaged(value));
            }
        }
        read
    }

    /// Gives the connection string that the environment names.
    pub fn connection_string(&self) -> Option<&str> {
        self.connection_string.as_deref()
    }

    /// Gives the address of the proxy that the environment names.
    pub fn proxy(&self) -> Option<&str> {
        self.proxies.iter().flatten().next().map(String::as_str)
    }

    /// Lists the hosts that are reached without the proxy, in the forms of `NO_PROXY`.
    pub fn no_proxy(&self) -> impl Iterator<Item = &str> {
        self.no_proxy.iter().flat_map(|hosts| hosts.split(',')).map(str::trim)
    }

    /// Gives the reason why the environment forbids telemetry, if it does.
    fn refusal(&self) -> Option<(Layer, String)> {
        match self.telemetry {
            Some(Spelled { on: false, doubtful: false }) => {
                Some((Layer::Environment, format!("the environment variable {TELEMETRY} says no")))
            }
            Some(Spelled { on: false, doubtful: true }) => Some((
                Layer::Environment,
                format!(
                    "the environment variable {TELEMETRY} is neither true nor false, which counts as no; \
                     set it to true or false, or remove it"
                ),
            )),
            _ if self.do_not_track => {
                Some((Layer::DoNotTrack, format!("the environment variable {DO_NOT_TRACK} is set")))
            }
            _ => None,
        }
    }

    /// Tells whether the environment alone forbids telemetry, whatever the settings file says.
    pub fn forbids(&self) -> bool {
        self.refusal().is_some()
    }
}

/// Gives a value that names a place, but nothing of one that was not text or was cut off: a part may name another place.
fn undamaged(value: Cow<'_, str>) -> String {
    if value.contains(char::REPLACEMENT_CHARACTER) { String::new() } else { value.into_owned() }
}

fn spelled(value: &str, before: Option<Spelled>) -> Spelled {
    match (truth(value), before) {
        (_, Some(before @ Spelled { on: false, .. })) => before,
        (Some(on), _) => Spelled { on, doubtful: false },
        (None, _) => Spelled { on: false, doubtful: true },
    }
}

/// Decides whether telemetry is on: it is when nothing says no.
fn consent(environment: &Environment, file: &Result<Settings>) -> Decision {
    let off = |layer, words| Decision { on: false, layer, words };
    if let Some((layer, words)) = environment.refusal() {
        return off(layer, words);
    }
    match file {
        Err(error) => off(Layer::Unusable, error.to_string()),
        Ok(Settings { telemetry: Some(false), by_policy: true, .. }) => off(
            Layer::VmsPolicy,
            "a VMS that was connected to forbids usage data collection; Set-VmsModuleConfig -EnableTelemetry $true \
             switches it on again, until the next connection to such a VMS"
                .to_owned(),
        ),
        Ok(Settings { telemetry: Some(false), .. }) => off(
            Layer::SettingsFile,
            "it was switched off with Set-VmsModuleConfig -EnableTelemetry $false (or in the settings file)".to_owned(),
        ),
        Ok(Settings { telemetry: Some(true), .. }) => Decision {
            on: true,
            layer: Layer::SettingsFile,
            words: "it was switched on with Set-VmsModuleConfig -EnableTelemetry $true (or in the settings file)"
                .to_owned(),
        },
        Ok(Settings { telemetry: None, .. }) if environment.telemetry.is_some() => Decision {
            on: true,
            layer: Layer::Environment,
            words: format!("the environment variable {TELEMETRY} says yes"),
        },
        Ok(_) => Decision { on: true, layer: Layer::Default, words: "nothing says no".to_owned() },
    }
}

/// Decides whether events go to the raw log as well; with telemetry off there is nothing to log (L4).
fn logging(environment: &Environment, file: &Result<Settings>) -> Decision {
    let (on, layer) = match (environment.log, file) {
        (Some(spelled), _) => (spelled.on, Layer::Environment),
        (None, Ok(Settings { log: Some(on), .. })) => (*on, Layer::SettingsFile),
        (None, Ok(_)) => (false, Layer::Default),
        (None, Err(_)) => (false, Layer::Unusable),
    };
    let who = match layer {
        Layer::Environment => "the environment variable VMS_ApplicationInsights__IncludeInLogs",
        Layer::SettingsFile => "Set-VmsModuleConfig -LogTelemetry (or the settings file)",
        _ => "the default",
    };
    Decision { on, layer, words: format!("decided by {who}") }
}

/// What is decided at one moment.
#[derive(Clone, Debug)]
pub struct Decisions {
    /// Whether telemetry is on.
    pub telemetry: Decision,
    /// Whether events go to the raw log.
    pub log: Decision,
}

/// Decides from the environment and from what reading the settings file gave.
pub fn decide(environment: &Environment, file: &Result<Settings>) -> Decisions {
    Decisions { telemetry: consent(environment, file), log: logging(environment, file) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment::read(variables.iter().map(|(name, value)| (name.into(), value.into())))
    }

    #[test]
    fn c1_each_spelling_of_the_variable() {
        let table = [
            ("false", false),
            ("FALSE", false),
            (" False ", false),
            ("0", false),
            ("no", false),
            ("Off", false),
            ("", false),
            ("nonsense", false),
            ("falsch", false),
            ("true", true),
            ("True", true),
            ("1", true),
            ("yes", true),
            ("on", true),
        ];
        for name in [TELEMETRY, "vms_applicationinsights__enabled", "VMS_APPLICATIONINSIGHTS__ENABLED"] {
            for (value, on) in table {
                let decision = consent(&environment(&[(name, value)]), &Ok(Settings::default()));
                assert_eq!((decision.on, decision.layer), (on, Layer::Environment), "{name}={value}");
            }
        }
        let both = environment(&[(TELEMETRY, "false"), ("vms_applicationinsights__enabled", "true")]);
        assert!(both.forbids());
    }

    #[test]
    fn c2_do_not_track_turns_telemetry_off() {
        for (value, on) in [("", true), ("0", true), ("false", true), ("1", false), ("true", false), ("x", false)] {
            let decision = consent(&environment(&[("DO_NOT_TRACK", value)]), &Ok(Settings::default()));
            assert_eq!(decision.on, on, "{value}");
            assert_eq!(decision.layer == Layer::DoNotTrack, !on, "{value}");
        }
    }

    #[test]
    fn any_no_wins() {
        let yes = Settings { telemetry: Some(true), ..Settings::default() };
        let no = Settings { telemetry: Some(false), ..Settings::default() };
        assert!(!consent(&environment(&[(TELEMETRY, "true")]), &Ok(no)).on);
        assert!(!consent(&environment(&[(TELEMETRY, "false")]), &Ok(yes)).on);
        assert!(!consent(&environment(&[(TELEMETRY, "true"), ("DO_NOT_TRACK", "1")]), &Ok(yes)).on);
        assert!(consent(&environment(&[(TELEMETRY, "true")]), &Ok(yes)).on);
        assert!(consent(&environment(&[]), &Ok(Settings::default())).on);
    }
}
