//! The random ids that stand for the user and for a site (contract section 3).
//!
//! A file holds the 16 bytes of .NET's `Guid.ToByteArray()`, whose first three fields are little-endian, so that
//! files of MilestonePSTools read the same here. An id is never derived from anything.
//!
//! Many processes may start on a fresh profile at once and must agree (I4). So a missing or damaged file is replaced
//! only under the lock, and only after another look at it.

use std::path::Path;

use uuid::Uuid;

use crate::durable::{self, Hold, Sync};
use crate::error::Result;

/// Gives the id in `file`, creating a random one where there is none or where the file is damaged.
///
/// # Errors
/// [`crate::error::Error::File`] where the id can neither be read nor stored. The caller then has no lasting id.
pub fn read_or_create(file: &Path, lock: &Path) -> Result<Uuid> {
    if let Some(id) = read(file) {
        return Ok(id);
    }
    let _lock = durable::lock(lock, Hold::AloneSoon)?;
    if let Some(id) = read(file) {
        return Ok(id);
    }
    let id = Uuid::new_v4();
    durable::write(file, &id.to_bytes_le(), Sync::No)?;
    Ok(id)
}

/// Reads an id; nothing where the file is missing or is not what it should be. An id of zeros stands for nobody.
fn read(file: &Path) -> Option<Uuid> {
    let content = durable::read(file, 16).ok()??;
    let id = Uuid::from_bytes_le(content.try_into().ok()?);
    (!id.is_nil()).then_some(id)
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
        let id = read_or_create(&file, &home.path().join("lock")).unwrap();
        assert_eq!(id.to_string(), "00112233-4455-6677-8899-aabbccddeeff");
    }

    #[test]
    fn i3_a_missing_id_is_created_and_kept_and_a_damaged_one_is_replaced() {
        let home = tempfile::tempdir().unwrap();
        let (file, lock) = (home.path().join("new").join("telemetry.uuid"), home.path().join("lock"));
        let first = read_or_create(&file, &lock).unwrap();
        assert_eq!(first.get_version_num(), 4);
        assert_eq!(read_or_create(&file, &lock).unwrap(), first);
        assert_eq!(std::fs::read(&file).unwrap(), first.to_bytes_le());
        for damage in [&b""[..], &[1; 15], &[1; 17], &[0; 16]] {
            std::fs::write(&file, damage).unwrap();
            let id = read_or_create(&file, &lock).unwrap();
            assert_ne!(id, first);
            assert_eq!(std::fs::read(&file).unwrap(), id.to_bytes_le());
        }
    }

    #[test]
    fn what_cannot_be_stored_is_an_error() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(home.path().join("telemetry.uuid").join("in the way")).unwrap();
        assert!(read_or_create(&home.path().join("telemetry.uuid"), &home.path().join("lock")).is_err());
    }
}
