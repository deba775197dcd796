//! The telemetry log: every event as it is recorded, for the user to read (L1 to L5).
//!
//! A document has the members of MilestonePSTools' own log, in its order, with its nulls. `Name` and `Metrics` follow them, so
//! that the log shows all that is sent. On Windows the folder is shared between users: a link in it is not followed, and a file of
//! another user is not changed. A document is appended with one write, so those of several processes never interleave and no
//! process waits for another.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Local};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::event::Event;
use crate::{files, platform};

/// Appends an event to the log of its day.
///
/// # Errors
/// [`Error::File`]; nothing was written then, or on a full disk a part.
pub fn append(folder: &Path, event: &Event, key: Uuid) -> Result<()> {
    let time = event.time.with_timezone(&Local);
    let file = file(folder, time);
    let text = format!("{} {}\n{:#}\n", time.format("%Y-%m-%dT%H:%M:%S%.3f%:z"), event.name(), document(event, key));
    platform::create_log_folder(folder).map_err(Error::file("create", folder))?;
    for part in folder.parent().into_iter().chain([folder]) {
        let is_folder = part.symlink_metadata().map_err(Error::file("read", part))?.is_dir();
        is_folder.then_some(()).ok_or_else(|| Error::file("use", part)(io::Error::other("it is a link")))?;
    }
    let mut log = platform::open_own_log(&file).map_err(Error::file("open", &file))?;
    log.write_all(text.as_bytes()).map_err(Error::file("write to", &file))
}

/// Deletes the user's logs of all days. On Windows the folder has those of all users.
///
/// # Errors
/// [`Error::File`]: the first failure, after the rest was deleted.
pub fn clear(folder: &Path) -> Result<()> {
    files::clear(folder, |name| {
        let day = name.strip_prefix("MilestonePSTools").and_then(|rest| rest.strip_suffix(".log"));
        let is_log = day.is_some_and(|day| day.len() == 8 && day.bytes().all(|byte| byte.is_ascii_digit()));
        is_log && platform::is_own_file(&folder.join(name)).unwrap_or(true)
    })
}

fn file(folder: &Path, time: DateTime<Local>) -> PathBuf {
    folder.join(format!("MilestonePSTools{}.log", time.format("%Y%m%d")))
}

fn document(event: &Event, key: Uuid) -> Json {
    let ticks = event.time.timestamp_subsec_nanos() / 100;
    let timestamp = format!("{}.{:07}+00:00", event.time.format("%Y-%m-%dT%H:%M:%S"), ticks.min(9_999_999));
    let (user, session) = event.ids();
    let (properties, measurements) = event.members();
    json!({
        "Timestamp": timestamp,
        "Context": {
            "InstrumentationKey": key.to_string(),
            "Flags": 0,
            "Component": { "Version": event.version },
            "Device": {
                "Type": null, "Id": null, "OperatingSystem": null, "OemName": null, "Model": null,
                "NetworkType": null, "ScreenResolution": null, "Language": null,
            },
            "Cloud": { "RoleName": "na", "RoleInstance": "na" },
            "Session": { "Id": session.to_string(), "IsFirst": null },
            "User": { "Id": user.to_string(), "AccountId": null, "UserAgent": null, "AuthenticatedUserId": "na" },
            "Operation": {
                "Id": null, "ParentId": null, "CorrelationVector": null, "Name": null, "SyntheticSource": null,
            },
            // Not sent: the log that users know has this member, and has it with this value.
            "Location": { "Ip": "0.0.0.0" },
            "Properties": properties,
            "GlobalProperties": {},
        },
        "Extension": null,
        "Sequence": null,
        "Name": event.name(),
        "Metrics": measurements,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Fields, NewVmsSession, UserType};

    /// The example of the documentation (`about_Telemetry`), as text.
    const EXAMPLE: &str = include_str!("../tests/golden/about_telemetry_example.json");

    fn event() -> Event {
        let version = |text: &str| text.to_owned().try_into().ok();
        let fields = NewVmsSession {
            uuid: "cbd0964d-c474-4f21-b43e-685d37b2de31".parse().unwrap(),
            UserType: UserType::WindowsUser,
            IsOAuthConnection: Some(true.into()),
            EncryptionEnabled: Some(true.into()),
            SessionId: "339856bd-a483-4dee-8f8a-582acad45a39".parse().unwrap(),
            ProductVersion: version("23.3.62.1"),
            ProductName: "XProtect Corporate 2023 R3".to_owned().try_into().ok(),
            AssemblyVersion: version("23.3.46+db544ff02b"),
            SiteId: "b5630dc9-1a27-49fa-8f0f-5801c72a8663".parse().unwrap(),
            ChildSites: None,
            Recorders: None,
            HardwareCount: None,
            CameraCount: Some(3),
            MicrophoneCount: None,
            SpeakerCount: None,
            MetadataCount: None,
            InputCount: None,
            OutputCount: None,
        };
        let time = DateTime::from_timestamp(1_719_013_581, 390_801_000).unwrap();
        Event { time, version: version("23.3.46+db544ff02b"), fields: Fields::NewVmsSession(fields) }
    }

    #[test]
    fn l2_the_document_is_that_of_the_documentation_to_the_letter() {
        let example: Json = serde_json::from_str(EXAMPLE).unwrap();
        let key = example["Context"]["InstrumentationKey"].as_str().unwrap().parse().unwrap();
        let mut ours = document(&event(), key);
        assert_eq!(ours["Timestamp"], "2024-06-21T23:46:21.3908010+00:00");
        ours["Timestamp"] = example["Timestamp"].clone();
        let last: Vec<_> = ours.as_object().unwrap().keys().rev().take(2).cloned().collect();
        assert_eq!(last, ["Metrics", "Name"]);
        assert_eq!(ours["Metrics"], json!({ "CameraCount": 3 }));
        let members = ours.as_object_mut().unwrap();
        members.shift_remove("Name");
        members.shift_remove("Metrics");
        // Text compares the order of members as well.
        assert_eq!(format!("{ours:#}"), format!("{example:#}"));
    }

    #[test]
    fn l1_a_line_with_time_and_name_goes_before_each_document() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("Milestone").join("MIPSDK");
        for _ in 0..2 {
            append(&folder, &event(), Uuid::nil()).unwrap();
        }
        let local = event().time.with_timezone(&Local);
        let text =
            std::fs::read_to_string(folder.join(format!("MilestonePSTools{}.log", local.format("%Y%m%d")))).unwrap();
        let documents: Vec<&str> = text.split_inclusive("\n}\n").collect();
        assert_eq!(documents.len(), 2);
        for document in documents {
            let (line, document) = document.split_once('\n').unwrap();
            assert!(line.ends_with(" NewVmsSession"), "{line}");
            assert!(line.starts_with(&local.format("%Y-%m-%dT").to_string()), "{line}");
            serde_json::from_str::<Json>(document).unwrap();
        }
    }

    #[test]
    fn l3_a_link_is_not_followed_and_costs_only_the_log() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("Milestone").join("MIPSDK");
        std::fs::create_dir_all(&folder).unwrap();
        let victim = home.path().join("victim");
        std::fs::write(&victim, "untouched").unwrap();
        let log = file(&folder, event().time.with_timezone(&Local));
        #[cfg(unix)]
        let planted = std::os::unix::fs::symlink(&victim, &log);
        #[cfg(windows)]
        let planted = std::os::windows::fs::symlink_file(&victim, &log);
        // Windows allows links to administrators and developers only; Wine makes some that nobody can tell from a file.
        if planted.is_ok() && log.symlink_metadata().is_ok_and(|link| link.is_symlink()) {
            assert!(append(&folder, &event(), Uuid::nil()).is_err());
        }
        let _ = std::fs::remove_file(&log);
        std::fs::hard_link(&victim, &log).unwrap();
        assert!(append(&folder, &event(), Uuid::nil()).is_err());
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "untouched");
    }

    #[cfg(unix)]
    #[test]
    fn l3_a_folder_that_is_a_link_is_not_used() {
        let home = tempfile::tempdir().unwrap();
        let elsewhere = home.path().join("elsewhere");
        std::fs::create_dir_all(&elsewhere).unwrap();
        std::fs::create_dir(home.path().join("Milestone")).unwrap();
        let folder = home.path().join("Milestone").join("MIPSDK");
        std::os::unix::fs::symlink(&elsewhere, &folder).unwrap();
        assert!(append(&folder, &event(), Uuid::nil()).is_err());
        assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 0);
    }

    /// As on Windows, where all users share the folder.
    #[cfg(unix)]
    #[test]
    fn l3_t5_the_log_of_another_user_stays() {
        let folder = tempfile::tempdir().unwrap();
        let [own, other, foreign] =
            ["MilestonePSTools20260101.log", "MilestonePSTools20260102.log", "Other20260101.log"]
                .map(|name| folder.path().join(name));
        for file in [&own, &other, &foreign] {
            std::fs::write(file, "{}").unwrap();
        }
        if let Err(error) = std::os::unix::fs::chown(&other, Some(65_534), None) {
            // Only root can give files away. There is no other user's file then.
            assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
            std::fs::remove_file(&other).unwrap();
        }
        let had_other = other.exists();
        clear(folder.path()).unwrap();
        assert_eq!((own.exists(), other.exists(), foreign.exists()), (false, had_other, true));
    }
}
