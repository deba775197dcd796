//! Small files that are never seen half written, and locks.
//!
//! A file is written under a temporary name in its own folder and then put in its place, so a reader sees the old content or
//! the new one. Folders are created on the way, for the current user only; so are files.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use tempfile::{Builder, NamedTempFile};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::platform;

/// Longest wait for a file that another program has open: a virus scanner closes a new one within a few milliseconds.
const SHARING_VIOLATION_TIMEOUT: Duration = Duration::from_millis(50);
/// A temporary file older than this was left by a process that died: writing one takes milliseconds.
const STALE_AGE: TimeDelta = TimeDelta::days(1);
/// How the names of temporary files begin and end.
const TEMPORARY: [&str; 2] = [".vms-", ".tmp"];

/// Reads a file of at most `limit` bytes; `None` if there is none.
///
/// # Errors
/// [`Error::File`] if it cannot be read, is larger or is no file.
pub fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
    let read = || {
        let file = File::open(path)?;
        // More than a small file has, so that the first read finds its end as well.
        let mut content = Vec::with_capacity(1024);
        file.take(limit + 1).read_to_end(&mut content).map(|_| content)
    };
    checked(path, limit, retry(SHARING_VIOLATION_TIMEOUT, read))
}

/// Like [`read`], with a single call of the system: for files so small that the first read returns all of it.
pub fn read_small(path: &Path, limit: usize) -> Result<Option<Vec<u8>>> {
    let read = || {
        let mut content = vec![0; limit + 1];
        let length = File::open(path)?.read(&mut content)?;
        content.truncate(length);
        Ok(content)
    };
    checked(path, limit as u64, retry(SHARING_VIOLATION_TIMEOUT, read))
}

fn checked(path: &Path, limit: u64, content: io::Result<Vec<u8>>) -> Result<Option<Vec<u8>>> {
    match content {
        Ok(content) if content.len() as u64 > limit => {
            Err(Error::file("read", path)(io::Error::other("it is too large")))
        }
        Ok(content) => Ok(Some(content)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(Error::file("read", path)(error)),
    }
}

/// Returns whether an error says that there is no such file. Windows and Unix report a file in place of a folder differently.
pub fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// Creates a file that was not there, with its folders.
///
/// # Errors
/// [`Error::File`]. A file that could not be written to its end is gone again.
pub fn create(path: &Path, content: &[u8]) -> Result<()> {
    let create = || platform::private_file().write(true).create_new(true).open(path);
    let mut file = match create() {
        Err(error) if is_absent(&error) => {
            create_folder_of(path)?;
            create()
        }
        other => other,
    }
    .map_err(Error::file("create", path))?;
    file.write_all(content).map_err(|error| {
        // If this fails as well, its length shows that it is damaged.
        let _ = fs::remove_file(path);
        Error::file("write", path)(error)
    })
}

fn create_folder_of(path: &Path) -> Result<&Path> {
    let folder = path.parent().unwrap_or(Path::new("."));
    platform::create_private_folder(folder).map_err(Error::file("create", folder))?;
    Ok(folder)
}

/// Writes a temporary file beside `path`.
fn temporary(path: &Path, content: &[u8]) -> Result<NamedTempFile> {
    let [prefix, suffix] = TEMPORARY;
    let build = |folder| Builder::new().prefix(prefix).suffix(suffix).tempfile_in(folder);
    let folder = path.parent().unwrap_or(Path::new("."));
    let created = match build(folder) {
        Err(error) if is_absent(&error) => build(create_folder_of(path)?),
        other => other,
    };
    let written = created.and_then(|mut file| file.as_file_mut().write_all(content).map(|()| file));
    written.map_err(Error::file("write a file in", folder))
}

/// Creates or replaces a file as a whole. It need not have reached the disk when this returns.
///
/// # Errors
/// [`Error::File`]; then the old content is still there.
pub fn write(path: &Path, content: &[u8]) -> Result<()> {
    put(temporary(path, content)?, path, SHARING_VIOLATION_TIMEOUT)
}

/// Puts a temporary file in its place.
fn put(mut file: NamedTempFile, path: &Path, timeout: Duration) -> Result<()> {
    let stop = Instant::now() + timeout;
    loop {
        match file.persist(path) {
            Ok(_) => return Ok(()),
            Err(failed) if platform::is_transient(&failed.error) && Instant::now() < stop => {
                file = failed.file;
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(failed) => return Err(Error::file("replace", path)(failed.error)),
        }
    }
}

/// Puts a whole file in its place unless one is there already; returns whether it did.
pub fn create_whole(path: &Path, content: &[u8]) -> Result<bool> {
    match temporary(path, content)?.persist_noclobber(path) {
        Ok(_) => Ok(true),
        Err(failed) if failed.error.kind() == ErrorKind::AlreadyExists => Ok(false),
        // A file system without hard links cannot do this in one step. Two processes at once: the later one wins.
        Err(failed) if !path.exists() => put(failed.file, path, SHARING_VIOLATION_TIMEOUT).map(|()| true),
        Err(failed) => Err(Error::file("create", path)(failed.error)),
    }
}

/// Replaces the content of another program's file: a link stays a link, and mode, owner, group and ACL stay (F6). The content
/// has reached the disk when this returns. Waits until `stop` at most for a program that has the file open.
///
/// # Errors
/// [`Error::File`], also if the file is read-only; then the old content is still there.
pub fn replace_content(path: &Path, content: &[u8], stop: Instant) -> Result<()> {
    let target = &target_of(path);
    let old = match fs::metadata(target) {
        Err(error) if is_absent(&error) => None,
        other => Some(other.map_err(Error::file("read", target))?),
    };
    if old.as_ref().is_some_and(|old| old.permissions().readonly()) {
        let read_only = io::Error::new(ErrorKind::ReadOnlyFilesystem, "it is read-only; make it writable");
        return Err(Error::file("change", target)(read_only));
    }
    let file = temporary(target, content)?;
    let prepared = file.as_file().sync_all().and_then(|()| match &old {
        Some(old) => platform::copy_rights(target, old, &file),
        None => Ok(()),
    });
    prepared.map_err(Error::file("write", target))?;
    let timeout = stop.saturating_duration_since(Instant::now());
    if old.is_none() {
        return put(file, target, timeout);
    }
    let temporary = file.into_temp_path();
    retry(timeout, || fs::rename(&temporary, target)).map_err(Error::file("replace", target))
}

/// Follows a link, also one to a file that is not there yet.
fn target_of(path: &Path) -> PathBuf {
    let mut target = path.to_owned();
    // As many as Linux follows.
    for _ in 0..40 {
        match (fs::read_link(&target), target.parent()) {
            (Ok(next), Some(folder)) => target = folder.join(next),
            _ => break,
        }
    }
    target
}

/// Deletes a file; one that is gone already is no failure.
pub fn remove(path: &Path) -> Result<()> {
    match retry(SHARING_VIOLATION_TIMEOUT, || fs::remove_file(path)) {
        Err(error) if !is_absent(&error) => Err(Error::file("delete", path)(error)),
        _ => Ok(()),
    }
}

/// Deletes those of a folder's files whose names are `ours`. A folder that is not there is no failure.
///
/// # Errors
/// [`Error::File`]: the first failure, after the rest was deleted.
pub fn clear(folder: &Path, ours: impl Fn(&str) -> bool) -> Result<()> {
    let names = match platform::file_names(folder) {
        Err(error) if is_absent(&error) => return Ok(()),
        other => other.map_err(Error::file("list", folder))?,
    };
    let mut outcome = Ok(());
    for name in names.iter().filter(|name| ours(name)) {
        outcome = outcome.and(remove(&folder.join(name)));
    }
    outcome
}

/// Returns a temporary name for a file, in its folder.
pub fn temporary_name(path: &Path) -> PathBuf {
    let [prefix, suffix] = TEMPORARY;
    path.with_file_name(format!("{prefix}{}{suffix}", Uuid::new_v4().simple()))
}

pub fn is_temporary(name: &str) -> bool {
    let [prefix, suffix] = TEMPORARY;
    name.starts_with(prefix) && name.ends_with(suffix)
}

/// Deletes old temporary files, which processes left that died.
pub fn remove_stale(folder: &Path, now: DateTime<Utc>) {
    for file in fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_old = |time| now - DateTime::<Utc>::from(time) > STALE_AGE;
        if file.file_name().to_str().is_some_and(is_temporary)
            && file.metadata().and_then(|file| file.modified()).is_ok_and(is_old)
        {
            // If another program holds it open, a later call tries again.
            let _ = fs::remove_file(file.path());
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockMode {
    Exclusive,
    Shared,
}

/// Locks a lock file, creating it and its folder; waits until `stop` at most. The operating system unlocks it when the file is
/// dropped or its process ends, however it ends, so the file itself may stay.
///
/// # Errors
/// [`Error::File`], also if the file system has no locks or another process has not released it in time.
pub fn lock(path: &Path, mode: LockMode, stop: Instant) -> Result<File> {
    let open = || platform::private_file().create(true).truncate(false).write(true).read(true).open(path);
    let file = match retry(SHARING_VIOLATION_TIMEOUT, open) {
        Err(error) if is_absent(&error) => {
            create_folder_of(path)?;
            open()
        }
        other => other,
    };
    let file = file.map_err(Error::file("open", path))?;
    loop {
        let locked = match mode {
            LockMode::Exclusive => file.try_lock(),
            LockMode::Shared => file.try_lock_shared(),
        };
        let error = match locked {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => error,
            Err(TryLockError::WouldBlock) if Instant::now() >= stop => {
                io::Error::new(ErrorKind::WouldBlock, "another process holds it")
            }
            Err(TryLockError::WouldBlock) => {
                std::thread::sleep(Duration::from_millis(1));
                continue;
            }
        };
        return Err(Error::file("lock", path)(error));
    }
}

/// Tries again while another program has the file open.
fn retry<T>(timeout: Duration, mut operation: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let stop = Instant::now() + timeout;
    loop {
        match operation() {
            Err(error) if platform::is_transient(&error) && Instant::now() < stop => {
                std::thread::sleep(Duration::from_millis(1));
            }
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_leaves_nothing_behind() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("new").join("file");
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(read(&path, 3).unwrap().unwrap(), b"two");
        replace_content(&path, b"six", Instant::now()).unwrap();
        assert_eq!(read(&path, 3).unwrap().unwrap(), b"six");
        assert!(!create_whole(&path, b"ten").unwrap());
        assert!(create(&path, b"ten").is_err());
        assert_eq!(read(&path, 3).unwrap().unwrap(), b"six");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_too_large_or_no_file_is_an_error_and_what_is_absent_is_none() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("file");
        assert!(read(&path, 3).unwrap().is_none());
        assert!(read(&path.join("below"), 3).unwrap().is_none());
        write(&path, b"four").unwrap();
        assert!(read(&path, 3).is_err());
        assert!(read(home.path(), 3).is_err());
        assert!(write(home.path(), b"x").is_err());
        remove(&home.path().join("absent")).unwrap();
    }
}
