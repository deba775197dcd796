//! The random ids that stand for the user and for a site (I1 to I6).
//!
//! A file holds the 16 bytes of .NET's `Guid.ToByteArray()`, whose first three fields are little-endian, so that files of
//! MilestonePSTools read the same here. An id is random: one that was derived from a name or a machine could be guessed.
//!
//! Many processes may start on a fresh profile at once and must agree (I4). An id is put in its place as a whole file, and only
//! if none is there: the first process wins and the others read its id, also one that knows nothing of this library. A damaged
//! file is moved aside first. If another process has repaired it meanwhile, what was moved aside is whole, and goes back.

use std::io::{self, ErrorKind};
use std::path::Path;

use uuid::Uuid;

use crate::error::{Error, Result};
use crate::files;

/// Returns the id in `file`, and creates a random one if there is none or the file is damaged.
///
/// # Errors
/// [`Error::File`] if the id can neither be read nor stored. Then there is no lasting id.
pub fn read_or_create(file: &Path) -> Result<Uuid> {
    match read(file)? {
        Content::Id(id) => return Ok(id),
        Content::Damaged => set_aside(file)?,
        Content::Absent => {}
    }
    let id = Uuid::new_v4();
    for _ in 0..2 {
        if files::create_whole(file, &id.to_bytes_le())? {
            return Ok(id);
        }
        match read(file)? {
            Content::Id(id) => return Ok(id),
            // A link that points nowhere is absent and in the way.
            Content::Damaged | Content::Absent => set_aside(file)?,
        }
    }
    Err(Error::file("create", file)(io::Error::other("something else is in its place")))
}

/// Returns the id in `file`. `None`: there is none, or it cannot be read.
pub fn stored(file: &Path) -> Option<Uuid> {
    match read(file) {
        Ok(Content::Id(id)) => Some(id),
        _ => None,
    }
}

/// Returns whether a file still holds the id that was read from it. A file that cannot be read now is taken to.
pub fn is_still(file: &Path, id: Uuid) -> bool {
    match read(file) {
        Ok(Content::Id(now)) => now == id,
        Ok(_) => false,
        Err(_) => true,
    }
}

/// Deletes all ids in a folder, and what writing one left.
///
/// # Errors
/// [`Error::File`]: the first failure, after the rest was deleted.
pub fn clear(folder: &Path) -> Result<()> {
    let is_site = |name: &str| {
        let id = name.strip_prefix("site-").and_then(|rest| rest.strip_suffix(".uuid"));
        id.is_some_and(|id| Uuid::try_parse(id).is_ok())
    };
    files::clear(folder, |name| name == "telemetry.uuid" || is_site(name) || files::is_temporary(name))
}

enum Content {
    Id(Uuid),
    Absent,
    Damaged,
}

/// Reads an id. Zeros are no id. A file that cannot be read now, such as one that another program has open, is not damaged: it
/// must not be replaced.
fn read(file: &Path) -> Result<Content> {
    let content = match files::read_small(file, 16) {
        Ok(None) => return Ok(Content::Absent),
        Ok(Some(content)) => content,
        Err(Error::File { cause, .. }) if is_lasting(&cause) => return Ok(Content::Damaged),
        Err(error) => return Err(error),
    };
    let id = content.try_into().ok().map(Uuid::from_bytes_le).filter(|id| !id.is_nil());
    Ok(id.map_or(Content::Damaged, Content::Id))
}

/// Returns whether reading again later would fail in the same way: it is too large, a folder, a link to itself, or may not be
/// read.
fn is_lasting(cause: &io::Error) -> bool {
    let kinds = [ErrorKind::Other, ErrorKind::IsADirectory, ErrorKind::PermissionDenied];
    // `ErrorKind::FilesystemLoop` is not stable yet; Unix has 40 for it (ELOOP).
    kinds.contains(&cause.kind()) || (cfg!(unix) && cause.raw_os_error() == Some(40))
}

/// Removes a damaged file. By renaming it first, as another process may have repaired it since it was read.
fn set_aside(file: &Path) -> Result<()> {
    let aside = files::temporary_name(file);
    match std::fs::rename(file, &aside) {
        Err(error) if files::is_absent(&error) => return Ok(()),
        other => other.map_err(Error::file("replace", file))?,
    }
    let outcome = match read(&aside) {
        Ok(Content::Id(id)) => files::create_whole(file, &id.to_bytes_le()).and(files::remove(&aside)),
        Ok(_) => files::remove(&aside),
        Err(error) => Err(error),
    };
    // What cannot be removed, such as a folder, goes back to its place.
    outcome.inspect_err(|_| drop(std::fs::rename(&aside, file))).map_err(|error| match error {
        Error::File { cause, .. } => Error::file("replace", file)(cause),
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i2_the_bytes_are_those_of_dotnet() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("telemetry.uuid");
        // new Guid("00112233-4455-6677-8899-aabbccddeeff").ToByteArray()
        let bytes = [0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff];
        std::fs::write(&file, bytes).unwrap();
        assert_eq!(read_or_create(&file).unwrap().to_string(), "00112233-4455-6677-8899-aabbccddeeff");
    }

    #[test]
    fn i3_a_missing_id_is_created_and_kept_and_a_damaged_one_is_replaced() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("new").join("telemetry.uuid");
        let first = read_or_create(&file).unwrap();
        assert_eq!(first.get_version_num(), 4);
        assert_eq!(read_or_create(&file).unwrap(), first);
        assert_eq!(std::fs::read(&file).unwrap(), first.to_bytes_le());
        for damage in [&b""[..], &[1; 15], &[1; 17], &[0; 16]] {
            std::fs::write(&file, damage).unwrap();
            let id = read_or_create(&file).unwrap();
            assert_ne!(id, first);
            assert_eq!(std::fs::read(&file).unwrap(), id.to_bytes_le());
        }
        assert_eq!(std::fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn i5_what_cannot_be_stored_is_an_error() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("telemetry.uuid");
        std::fs::create_dir_all(file.join("in the way")).unwrap();
        assert!(read_or_create(&file).is_err());
        assert!(file.join("in the way").is_dir());
    }
}
