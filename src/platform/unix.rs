//! Linux and the other Unix systems.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::consent::MachinePolicy;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::{files, settings};

/// Where the administrator of this computer can turn telemetry off.
pub const MACHINE_POLICY: &str = "/etc/milestone/milestonepstools.json, EnableTelemetry";
const MACHINE_POLICY_FILE: &str = "/etc/milestone/milestonepstools.json";
/// In bytes: a choice, far beyond any real policy.
const MACHINE_POLICY_LIMIT: u64 = 64 * 1024;
/// More than `/proc/self/status` ever has, so that one read is enough.
const STATUS_LIMIT: usize = 8 * 1024;

/// Returns the folder that .NET calls `LocalApplicationData`: `$XDG_DATA_HOME`, else `~/.local/share`.
pub fn local_app_data(environment: &Environment) -> Option<PathBuf> {
    environment.data_home().or_else(|| Some(environment.home()?.join(".local/share")))
}

/// Returns the folder that the telemetry log's folder is in: `$XDG_STATE_HOME`, else `~/.local/state`.
pub fn log_root(environment: &Environment) -> Option<PathBuf> {
    environment.state_home().or_else(|| Some(environment.home()?.join(".local/state")))
}

/// Reads the policy of the administrator.
///
/// # Errors
/// [`Error::File`] if it cannot be read, or if others than root can change it: then it is nobody's policy.
pub fn machine_policy() -> Result<MachinePolicy> {
    let path = Path::new(MACHINE_POLICY_FILE);
    let content = files::read(path, MACHINE_POLICY_LIMIT)?;
    if content.is_some() {
        for part in [path, path.parent().unwrap_or(path)] {
            let facts = part.metadata().map_err(Error::file("read", part))?;
            if facts.uid() != 0 || facts.mode() & 0o022 != 0 {
                return Err(Error::file("trust", part)(io::Error::other("others than root can change it")));
            }
        }
    }
    Ok(match content.map(settings::parse_policy) {
        None | Some(Some(true)) => MachinePolicy::Silent,
        Some(Some(false)) => MachinePolicy::OptOut,
        Some(None) => MachinePolicy::Unclear,
    })
}

/// Returns name and version of the system.
pub fn os_description() -> Option<String> {
    sysinfo::System::long_os_version().ok()
}

pub fn processor_count() -> Option<u32> {
    #[cfg(target_os = "linux")]
    return rustix::thread::sched_getaffinity(None).ok().map(|set| set.count());
    #[cfg(not(target_os = "linux"))]
    std::thread::available_parallelism().ok().and_then(|count| count.get().try_into().ok())
}

/// Returns the private memory of this process in bytes: data and stack (`VmData` and `VmStk`), which is what
/// .NET 10 reports on Linux (measured; both are KiB in `/proc/self/status`).
pub fn private_bytes() -> Option<u64> {
    let mut status = vec![0; STATUS_LIMIT];
    let length = File::open("/proc/self/status").ok()?.read(&mut status).ok()?;
    let status = std::str::from_utf8(status.get(..length)?).ok()?;
    let kibibytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_end_matches("kB").trim().parse::<u64>().ok()
    };
    Some((kibibytes("VmData:")? + kibibytes("VmStk:")?) * 1024)
}

/// Creates a folder and its parents, for the current user only.
pub fn create_private_folder(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Returns how a file is opened, so that a new one is for the current user only.
pub fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

/// Copies owner, group, mode and access control list of `from` to `to`, which will replace it. If the group cannot be kept (the
/// user is not in it), the file's new group gets no rights.
pub fn copy_rights(from: &Path, old: &Metadata, to: &NamedTempFile) -> io::Result<()> {
    let to = to.as_file();
    let owner = (to.metadata()?.uid() != old.uid()).then_some(old.uid());
    let keeps_group = fchown(to, owner, Some(old.gid())).or_else(|_| fchown(to, None, Some(old.gid()))).is_ok();
    let mode = if keeps_group { old.mode() } else { old.mode() & !0o070 };
    to.set_permissions(Permissions::from_mode(mode & 0o7777))?;
    copy_access_control_list(from, to)
}

#[cfg(target_os = "linux")]
fn copy_access_control_list(from: &Path, to: &File) -> io::Result<()> {
    const NAME: &str = "system.posix_acl_access";
    let mut list = Vec::with_capacity(64 * 1024);
    match rustix::fs::getxattr(from, NAME, rustix::buffer::spare_capacity(&mut list)) {
        // There is none, or the file system has none.
        Err(rustix::io::Errno::NODATA | rustix::io::Errno::NOTSUP) => Ok(()),
        other => {
            other?;
            Ok(rustix::fs::fsetxattr(to, NAME, &list, rustix::fs::XattrFlags::empty())?)
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn copy_access_control_list(_: &Path, _: &File) -> io::Result<()> {
    Ok(())
}

/// Lists the names of a folder's plain files, with fewer calls of the system than the standard library makes.
pub fn file_names(folder: &Path) -> io::Result<Vec<String>> {
    use rustix::fs::{Dir, FileType, Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut names = Vec::new();
    for entry in Dir::new(rustix::fs::open(folder, flags, Mode::empty())?)? {
        let entry = entry?;
        let is_file = match entry.file_type() {
            // Some file systems do not say.
            FileType::Unknown => {
                let path = folder.join(std::ffi::OsStr::from_bytes(entry.file_name().to_bytes()));
                fs::symlink_metadata(path).is_ok_and(|file| file.is_file())
            }
            kind => kind == FileType::RegularFile,
        };
        names.extend(entry.file_name().to_str().ok().filter(|_| is_file).map(str::to_owned));
    }
    Ok(names)
}

/// Creates the folder of the telemetry log: for the current user only, as it is in the user's own profile.
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

/// Returns whether a file belongs to the current user.
pub fn is_own_file(path: &Path) -> io::Result<bool> {
    Ok(path.symlink_metadata()?.uid() == rustix::process::geteuid().as_raw())
}

/// Keeps the library in the process: the linker's `-z nodelete` does that (see `build.rs`).
pub fn stay_loaded() {}

/// Unix has no sharing violations.
pub fn is_transient(_error: &io::Error) -> bool {
    false
}
