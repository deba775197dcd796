//! Small files that are never seen half written.
//!
//! A file is written under a temporary name in its own folder and then renamed, so a reader meets the old content or
//! the new one. The folder is created on the way, for the current user only; so is the file.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::error::{Error, Result};
use crate::platform;

/// Tries after a momentary failure: a virus scanner lets go of a new file within a few milliseconds.
const TRIES: u32 = 10;

/// Whether the bytes must have reached the disk before the call returns.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// They must: for what the user chose.
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
    platform::create_private_folder(folder).map_err(Error::file("create", folder))?;
    let temporary = folder.join(format!(".{}{TEMPORARY}", Uuid::new_v4().simple()));
    let written = platform::create_new(&temporary).and_then(|mut file| {
        file.write_all(content)?;
        if sync == Sync::Yes { file.sync_all() } else { Ok(()) }
    });
    let outcome = written
        .map_err(Error::file("write", &temporary))
        .and_then(|()| retry(|| fs::rename(&temporary, path)).map_err(Error::file("replace", path)));
    if outcome.is_err() {
        // Where this fails as well, the file is a stray, and strays are removed a day later.
        let _ = fs::remove_file(&temporary);
    }
    outcome
}

/// How the names of temporary files end: strays of a killed process are known by it.
pub const TEMPORARY: &str = ".tmp";

/// Reads a file of at most `limit` bytes; `None` where there is none.
///
/// # Errors
/// [`Error::File`] where it cannot be read, is larger or is no file.
pub fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
    let mut content = Vec::new();
    let outcome = retry(|| {
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
    match retry(|| fs::remove_file(path)) {
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
    /// With others who share it, giving up after [`PATIENCE`].
    Shared,
}

/// Longest wait for a lock that others hold for a moment. Only a process that was stopped in that moment holds it longer.
pub const PATIENCE: Duration = Duration::from_secs(5);

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
    let file = retry(|| options.open(path)).map_err(Error::file("open", path))?;
    let locked = match hold {
        Hold::Alone => file.lock(),
        Hold::AloneSoon => soon(|| file.try_lock()),
        Hold::Shared => soon(|| file.try_lock_shared()),
    };
    locked.map_err(Error::file("lock", path))?;
    Ok(file)
}

fn soon(attempt: impl Fn() -> std::result::Result<(), TryLockError>) -> io::Result<()> {
    let stop = Instant::now() + PATIENCE;
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

fn retry<T>(mut operation: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    for pause in 1..TRIES {
        match operation() {
            Err(error) if platform::is_momentary(&error) => {
                std::thread::sleep(Duration::from_millis(u64::from(pause)));
            }
            other => return other,
        }
    }
    operation()
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
