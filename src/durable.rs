//! Small files that are never seen half written.
//!
//! A file is written under a temporary name in its own folder and then renamed, so a reader meets the old content or
//! the new one. The folder is created on the way, for the current user only; so is the file.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::platform;

/// Longest wait for a file that somebody else has open: a virus scanner lets go of a new one within a few milliseconds.
const MOMENT: Duration = Duration::from_millis(50);
/// Longest wait for a lock that others hold for a moment. Only a process that was stopped in that moment holds it longer.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// The same for what the user chose: where many choose at once, the last in the queue waits for all others' disks.
pub const LONG_PATIENCE: Duration = Duration::from_secs(30);
/// A temporary file older than this belongs to a process that died.
const STRAY_AGE: TimeDelta = TimeDelta::days(1);

/// Whether the bytes must have reached the disk before the call returns.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// They must: for what the user chose. A file that others keep reading is replaced with [`PATIENCE`].
    Yes,
    /// They need not: on a path that a user waits for.
    No,
}

/// Creates or replaces a file as a whole.
///
/// # Errors
/// [`Error::File`]; then the old content is still there.
pub fn write(path: &Path, content: &[u8], sync: Sync) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let temporary = folder.join(format!(".{}{TEMPORARY}", Uuid::new_v4().simple()));
    let patience = if sync == Sync::Yes { PATIENCE } else { MOMENT };
    let created = match platform::create_new(&temporary) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            platform::create_private_folder(folder).map_err(Error::file("create", folder))?;
            platform::create_new(&temporary)
        }
        other => other,
    };
    let written = created.and_then(|mut file| {
        file.write_all(content)?;
        if sync == Sync::Yes { file.sync_all() } else { Ok(()) }
    });
    let outcome = written
        .map_err(Error::file("write", &temporary))
        .and_then(|()| retry(patience, || fs::rename(&temporary, path)).map_err(Error::file("replace", path)));
    if outcome.is_err() {
        // Where this fails as well, the file is a stray, and strays are removed a day later.
        let _ = fs::remove_file(&temporary);
    }
    outcome
}

/// How the names of temporary files end.
pub const TEMPORARY: &str = ".tmp";

/// Tells whether a file's name is one that [`write()`] gives to its temporary files.
pub fn is_temporary(name: &str) -> bool {
    let id = name.strip_prefix('.').and_then(|name| name.strip_suffix(TEMPORARY));
    id.is_some_and(|id| id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
}

/// Removes from a folder what processes that died left half written more than a day ago.
pub fn remove_strays(folder: &Path, now: DateTime<Utc>) {
    for file in fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_old = |time| now - DateTime::<Utc>::from(time) > STRAY_AGE;
        if file.file_name().to_str().is_some_and(is_temporary)
            && file.metadata().and_then(|file| file.modified()).is_ok_and(is_old)
        {
            // Whoever holds it open keeps it; the next one tries again.
            let _ = fs::remove_file(file.path());
        }
    }
}

/// Reads a file of at most `limit` bytes; `None` where there is none.
///
/// # Errors
/// [`Error::File`] where it cannot be read, is larger or is no file.
pub fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
    let mut content = Vec::new();
    let outcome = retry(MOMENT, || {
        content.clear();
        File::open(path)?.take(limit + 1).read_to_end(&mut content)
    });
    match outcome {
        Ok(length) if length as u64 > limit => Err(Error::file("read", path)(io::Error::other("it is too large"))),
        Ok(_) => Ok(Some(content)),
        // A file where a folder should be: Windows and Unix say it differently, and nothing is there to be read.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(Error::file("read", path)(error)),
    }
}

/// Removes a file; one that is gone already is no failure.
///
/// # Errors
/// [`Error::File`].
pub fn remove(path: &Path) -> Result<()> {
    match retry(MOMENT, || fs::remove_file(path)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::file("delete", path)(error)),
        _ => Ok(()),
    }
}

/// How a lock is taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// Alone, waiting for as long as it takes: for background threads.
    Alone,
    /// Alone, giving up after [`PATIENCE`]: where a user waits.
    AloneSoon,
    /// Alone, giving up after [`LONG_PATIENCE`]: where a user's choice is stored.
    AloneForChoice,
    /// With others who share it, giving up after [`PATIENCE`].
    Shared,
}

/// Locks a lock file, creating it and its folder. The operating system unlocks it when the file is dropped or its process
/// ends, however it ends. That the file exists means nothing.
///
/// # Errors
/// [`Error::File`], also where the file system knows no locks or others do not let go in time.
pub fn lock(path: &Path, hold: Hold) -> Result<File> {
    let folder = path.parent().unwrap_or(Path::new("."));
    platform::create_private_folder(folder).map_err(Error::file("create", folder))?;
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true).read(true);
    let file = retry(MOMENT, || options.open(path)).map_err(Error::file("open", path))?;
    let locked = match hold {
        Hold::Alone => file.lock(),
        Hold::AloneSoon => within(PATIENCE, || file.try_lock()),
        Hold::AloneForChoice => within(LONG_PATIENCE, || file.try_lock()),
        Hold::Shared => within(PATIENCE, || file.try_lock_shared()),
    };
    locked.map_err(Error::file("lock", path))?;
    Ok(file)
}

fn within(patience: Duration, attempt: impl Fn() -> std::result::Result<(), TryLockError>) -> io::Result<()> {
    let stop = Instant::now() + patience;
    loop {
        match attempt() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if Instant::now() >= stop => {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "another process holds it"));
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// Tries again as long as somebody else has the file open.
fn retry<T>(patience: Duration, mut operation: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let stop = Instant::now() + patience;
    loop {
        match operation() {
            Err(error) if platform::is_momentary(&error) && Instant::now() < stop => {
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
        write(&path, b"one", Sync::No).unwrap();
        write(&path, b"two", Sync::Yes).unwrap();
        assert_eq!(read(&path, 3).unwrap().unwrap(), b"two");
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_too_large_or_no_file_is_an_error_and_what_is_absent_is_none() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("file");
        assert!(read(&path, 3).unwrap().is_none());
        write(&path, b"four", Sync::No).unwrap();
        assert!(read(&path, 3).is_err());
        assert!(read(home.path(), 3).is_err());
        assert!(write(home.path(), b"x", Sync::No).is_err());
    }

    #[test]
    fn removing_what_is_not_there_is_no_failure() {
        let home = tempfile::tempdir().unwrap();
        remove(&home.path().join("file")).unwrap();
    }
}
