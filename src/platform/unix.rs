//! Linux and the other Unix systems.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Gives the folder that .NET calls `LocalApplicationData`: `$XDG_DATA_HOME`, else `~/.local/share`.
///
/// Without `HOME` the home folder comes from the user data base, as in .NET.
pub fn local_app_data() -> Option<PathBuf> {
    dirs::data_local_dir()
}

/// Gives the folder that the raw log's folder lies in: `$XDG_STATE_HOME`, else `~/.local/state`.
pub fn log_root() -> Option<PathBuf> {
    dirs::state_dir().or_else(dirs::data_local_dir)
}

/// Gives the private memory of this process in bytes: data and stack (`VmData` and `VmStk`), which is what
/// .NET 10 reports on Linux (measured; both are KiB in `/proc/self/status`).
pub fn private_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let kibibytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_end_matches("kB").trim().parse::<u64>().ok()
    };
    Some((kibibytes("VmData:")? + kibibytes("VmStk:")?) * 1024)
}

/// Creates a folder and its parents; the folder itself is for the current user only.
///
/// # Errors
/// What the operating system says; an existing folder is none.
pub fn create_private_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent)?;
    }
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        other => other,
    }
}

/// Creates a file that was not there, for the current user only.
///
/// # Errors
/// What the operating system says.
pub fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Creates the folder of the raw log: for the current user only, as it lies in the user's own profile.
///
/// # Errors
/// What the operating system says; an existing folder is none.
pub fn create_log_folder(folder: &Path) -> io::Result<()> {
    create_private_folder(folder)
}

/// Opens a log file for appending, creating it. A link is not followed, and a file of another user, or one that has
/// another name somewhere else, is refused.
///
/// # Errors
/// What the operating system says, or what is wrong with the file.
pub fn open_own_log(path: &Path) -> io::Result<File> {
    let no_link = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).map_err(io::Error::other)?;
    let file = OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(no_link).open(path)?;
    let facts = file.metadata()?;
    if facts.is_file() && facts.nlink() == 1 && facts.uid() == rustix::process::geteuid().as_raw() {
        Ok(file)
    } else {
        Err(io::Error::other("it is not an ordinary file of this user"))
    }
}

/// Keeps the library in the process: the linker's `-z nodelete` does that (see `build.rs`).
pub fn stay_loaded() {}

/// Tells whether the same operation may well succeed in a moment: never, here.
pub fn is_momentary(_error: &io::Error) -> bool {
    false
}
