//! The environment variables that the library reads, once, when the session starts: from the host program's own environment
//! if it passes one (S8).

use std::borrow::Cow;
use std::ffi::OsString;
use std::path::PathBuf;

use crate::settings::parse_flag;

/// Every variable of ours begins with this. .NET's configuration separates sections by two underscores or a colon.
const PREFIX: &str = "vms_applicationinsights:";
const DO_NOT_TRACK: &str = "do_not_track";
/// The variables that name a proxy, strongest first.
const PROXIES: [&str; 3] = ["https_proxy", "all_proxy", "http_proxy"];
const NO_PROXY: &str = "no_proxy";
/// The variables that .NET finds a user's folders by. Unix alone has them, and there case counts.
const FOLDERS: [&str; 3] = ["HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"];

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    telemetry: Option<Choice>,
    log: Option<bool>,
    do_not_track: bool,
    connection_string: Option<String>,
    proxies: [Option<String>; PROXIES.len()],
    no_proxy: Option<String>,
    folders: [Option<PathBuf>; FOLDERS.len()],
    /// `HOME` is there and names no folder.
    has_unusable_home: bool,
}

/// A choice and the name of the variable that made it, as it is spelled.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Choice {
    on: bool,
    is_clear: bool,
    name: String,
}

impl Environment {
    /// Reads the variables. Names of ours compare without case (C1). If two spellings of one name differ, the opt-out wins.
    /// A value that is not text, or was cut off and so ends with a replacement character, is neither a clear choice nor a path
    /// or address.
    pub fn read(variables: impl Iterator<Item = (OsString, OsString)>) -> Self {
        let mut read = Self::default();
        for (name, value) in variables {
            let (Some(name), value) = (name.to_str(), value.to_string_lossy()) else {
                continue;
            };
            if let Some(place) = FOLDERS.iter().position(|folder| *folder == name) {
                let path = Some(PathBuf::from(valid_or_empty(value))).filter(|path| !path.as_os_str().is_empty());
                let absolute = path.clone().filter(|path| path.is_absolute());
                read.has_unusable_home |= place == 0 && path.is_some() && absolute.is_none();
                read.folders.get_mut(place).into_iter().for_each(|folder| folder.clone_from(&absolute));
                continue;
            }
            let plain = name.to_ascii_lowercase().replace("__", ":");
            if let Some(key) = plain.strip_prefix(PREFIX) {
                read.set(key, name, value);
            } else if plain == DO_NOT_TRACK {
                // Its convention: every other value opts out, so "no" and "off" do too, as for our own variable.
                read.do_not_track |= !matches!(value.trim().to_ascii_lowercase().as_str(), "" | "0" | "false");
            } else if plain == NO_PROXY {
                read.no_proxy = Some(valid_or_empty(value));
            } else if let Some(place) = PROXIES.iter().position(|proxy| *proxy == plain)
                && let (false, Some(proxy)) = (value.is_empty(), read.proxies.get_mut(place))
            {
                *proxy = Some(valid_or_empty(value));
            }
        }
        read
    }

    fn set(&mut self, key: &str, name: &str, value: Cow<'_, str>) {
        match key {
            "enabled" if self.telemetry.as_ref().is_none_or(|before| before.on) => {
                let flag = parse_flag(&value);
                let (on, is_clear) = (flag == Some(true), flag.is_some());
                self.telemetry = Some(Choice { on, is_clear, name: name.to_owned() });
            }
            "includeinlogs" => self.log = Some(parse_flag(&value) == Some(true) && self.log != Some(false)),
            "connectionstring" => self.connection_string = Some(valid_or_empty(value)),
            _ => {}
        }
    }

    /// Returns whether `VMS_ApplicationInsights__Enabled` opts in or out, and a sentence that says so.
    pub fn telemetry(&self) -> Option<(bool, String)> {
        self.telemetry.as_ref().map(|Choice { on, is_clear, name }| {
            let reason = match (on, is_clear) {
                (true, _) => format!("the environment variable {name} is set to true"),
                (false, true) => format!("the environment variable {name} is set to false"),
                (false, false) => format!(
                    "the environment variable {name} is neither true nor false, which counts as false; set it to true or \
                     false, or remove it"
                ),
            };
            (*on, reason)
        })
    }

    /// Returns whether `DO_NOT_TRACK` opts out (C2).
    pub fn do_not_track(&self) -> bool {
        self.do_not_track
    }

    pub fn log(&self) -> Option<bool> {
        self.log
    }

    pub fn connection_string(&self) -> Option<&str> {
        self.connection_string.as_deref()
    }

    pub fn proxy(&self) -> Option<&str> {
        self.proxies.iter().flatten().next().map(String::as_str)
    }

    pub fn no_proxy(&self) -> &str {
        self.no_proxy.as_deref().unwrap_or_default()
    }

    /// Returns the user's home folder, as .NET finds it: `HOME`, or what the system knows if there is no such variable.
    /// A relative path is no folder. If only the host program's own environment has no `HOME`, there is none either: what the
    /// system knows belongs to another environment, and its folder may lack the opt-out.
    pub fn home(&self) -> Option<PathBuf> {
        let [home, ..] = &self.folders;
        let has_none = !self.has_unusable_home && std::env::var_os("HOME").is_none_or(|home| home.is_empty());
        home.clone().or_else(|| dirs::home_dir().filter(|path| has_none && path.is_absolute()))
    }

    /// Returns `XDG_DATA_HOME`, if it is an absolute path.
    pub fn data_home(&self) -> Option<PathBuf> {
        let [_, data, _] = &self.folders;
        data.clone()
    }

    /// Returns `XDG_STATE_HOME`, if it is an absolute path.
    pub fn state_home(&self) -> Option<PathBuf> {
        let [_, _, state] = &self.folders;
        state.clone()
    }
}

/// Returns a path or an address, or nothing if it was not text or was cut off: a part of it may name another place.
fn valid_or_empty(value: Cow<'_, str>) -> String {
    if value.contains(char::REPLACEMENT_CHARACTER) { String::new() } else { value.into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment::read(variables.iter().map(|(name, value)| (name.into(), value.into())))
    }

    #[test]
    fn c1_c11_each_spelling_of_the_variable() {
        let values = [
            ("false", false),
            (" FALSE ", false),
            ("0", false),
            ("no", false),
            ("Off", false),
            ("", false),
            ("nonsense", false),
            ("true", true),
            ("True", true),
            ("1", true),
            ("yes", true),
            ("on", true),
        ];
        let names = [
            "VMS_ApplicationInsights__Enabled",
            "vms_applicationinsights__enabled",
            "VMS_ApplicationInsights:Enabled",
            "VMS_APPLICATIONINSIGHTS:ENABLED",
        ];
        for name in names {
            for (value, on) in values {
                let (read, reason) = environment(&[(name, value)]).telemetry().unwrap();
                assert!(read == on && reason.contains(name), "{name}={value}: {reason}");
            }
        }
        for [first, second] in [[names[0], names[2]], [names[2], names[1]]] {
            for values in [["true", "false"], ["false", "true"]] {
                let both = environment(&[(first, values[0]), (second, values[1])]);
                assert!(!both.telemetry().unwrap().0, "{first}, {second}");
            }
        }
        assert_eq!(
            environment(&[("VMS_ApplicationInsights_Enabled", "false"), ("Enabled", "false")]).telemetry(),
            None
        );
        assert_eq!(environment(&[("vms_applicationinsights:includeinlogs", "true")]).log(), Some(true));
        assert_eq!(environment(&[("VMS_ApplicationInsights:ConnectionString", "x")]).connection_string(), Some("x"));
    }

    #[test]
    fn c2_do_not_track() {
        for (value, out) in [("", false), ("0", false), (" False ", false), ("1", true), ("true", true), ("no", true)] {
            for name in ["DO_NOT_TRACK", "do_not_track"] {
                assert_eq!(environment(&[(name, value)]).do_not_track(), out, "{name}={value}");
            }
        }
    }

    #[cfg(unix)]
    #[test]
    fn s8_a_folder_is_an_absolute_path_or_none() {
        let read = environment(&[("HOME", "/home/u"), ("XDG_DATA_HOME", "/data"), ("XDG_STATE_HOME", "state")]);
        assert_eq!(read.home(), Some("/home/u".into()));
        assert_eq!((read.data_home(), read.state_home()), (Some("/data".into()), None));
        assert_eq!(environment(&[("HOME", "~")]).home(), None);
        // This process has a HOME that the environment which was handed over lacks.
        assert!(std::env::var_os("HOME").is_none() || environment(&[]).home().is_none());
        assert_eq!(environment(&[("XDG_DATA_HOME", "")]).data_home(), None);
    }
}
