//! Every path that the library uses. Building one touches no disk.

use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::platform;

/// The folders of one user, shared with MilestonePSTools (I1).
#[derive(Clone, Debug)]
pub struct Paths {
    folder: PathBuf,
    log_folder: PathBuf,
}

impl Paths {
    /// Finds the folders of the current user.
    ///
    /// # Errors
    /// [`Error::NoFolder`] if the user has no folder for local application data.
    pub fn of_current_user(environment: &Environment) -> Result<Self> {
        let local = platform::local_app_data(environment).ok_or(Error::NoFolder)?;
        let logs = platform::log_root(environment).ok_or(Error::NoFolder)?;
        Ok(Self::new(&local, &logs))
    }

    pub fn new(local_app_data: &Path, log_root: &Path) -> Self {
        let vendor = |root: &Path| root.join("Milestone");
        Self { folder: vendor(local_app_data).join("MilestonePSTools"), log_folder: vendor(log_root).join("MIPSDK") }
    }

    /// For everything except the telemetry log.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file with the random id of the user.
    pub fn user_id(&self) -> PathBuf {
        self.folder.join("telemetry.uuid")
    }

    /// The file with the random id that stands for a site.
    pub fn site_id(&self, actual: Uuid) -> PathBuf {
        self.folder.join(format!("site-{}.uuid", actual.hyphenated()))
    }

    /// The settings file, which belongs to MilestonePSTools as well.
    pub fn settings(&self) -> PathBuf {
        self.folder.join("appsettings.user.json")
    }

    /// The lock that a process takes exclusively to change the settings, and shared to send the first bytes of a request.
    pub fn settings_lock(&self) -> PathBuf {
        self.folder.join("settings.lock")
    }

    /// The folder of pending events. It has a folder for each destination.
    pub fn spool(&self) -> PathBuf {
        self.folder.join("spool")
    }

    /// The folder of receipts.
    pub fn sent(&self) -> PathBuf {
        self.folder.join("sent")
    }

    pub fn log_folder(&self) -> &Path {
        &self.log_folder
    }
}
