//! Events on disk that are not sent yet: one file an event (contract section 7).
//!
//! A file's name says all that is needed to keep order and limits without opening it:
//! `<microseconds since 1970>-<random id>-<bytes>.json`. Files with other names belong to others and are left alone.
//!
//! What can go wrong, and why it is harmless:
//!
//! 1. A process dies while it records. The event lies under a temporary name, is never sent, and its call never
//!    returned. Strays are removed when they are a day old.
//! 2. A process dies after it recorded. The file has its final name and goes out with a later session.
//! 3. A process ends, in whatever way, while its request is under way or before what was sent is removed. Nobody can know
//!    whether the service took it: that batch, and no other, is sent once more. A request begins only when no event
//!    followed for a moment, so that a process that is about to die hardly ever begins one.
//! 4. Two processes send at once: they do not, the sender holds `sender.lock`, which the operating system releases
//!    when the process ends.
//! 5. Two processes make room at once: both remove the oldest; removing what is gone is no failure.
//! 6. The file was changed or damaged: it does not parse into the closed table of fields, or has another length than
//!    its name says, and is removed. One that the system does not let us read or remove is passed by, for the next to be
//!    sent or to make room.
//! 7. Opting out happens while an event is written: see [`crate::session`]. While a request begins: see
//!    [`crate::sender`].
//! 8. The clock jumps: an event from the future is sent as of now, a pause that no answer can have caused is ignored, and
//!    what is older than 90 days by a clock that jumped ahead is lost, as by any clock.
//! 9. The disk is full or read-only: the call says so and nothing is recorded; the host goes on. From a full disk what
//!    waits is sent, which makes room; from a read-only one it is not, as it could not be removed afterwards.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::durable::{self, Sync};
use crate::error::{Error, Result};
use crate::event::Event;

/// Most events that wait (D2).
pub const EVENT_LIMIT: usize = 500;
/// Most bytes that wait (D2).
pub const BYTE_LIMIT: u64 = 1 << 20;
/// Longest wait (D2).
pub const AGE_LIMIT: TimeDelta = TimeDelta::days(90);

/// The folder of waiting events.
#[derive(Clone, Debug)]
pub struct Spool {
    folder: PathBuf,
}

/// A waiting event, known by its file's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    name: String,
    microseconds: i64,
    bytes: u64,
}

impl Entry {
    fn new(microseconds: i64, bytes: u64) -> Self {
        Self { name: format!("{microseconds:018}-{}-{bytes}.json", Uuid::new_v4().simple()), microseconds, bytes }
    }

    /// Reads a file's name; `None` where it is not one of ours.
    fn parse(name: String) -> Option<Self> {
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let mut parts = name.strip_suffix(".json")?.split('-');
        let (time, id, bytes) = (parts.next()?, parts.next()?, parts.next()?);
        let is_id = id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let is_plain = time.len() == 18 && is_number(time) && is_id && is_number(bytes) && !bytes.starts_with('0');
        if !is_plain || parts.next().is_some() {
            return None;
        }
        let (microseconds, bytes) = (time.parse().ok()?, bytes.parse().ok()?);
        Some(Self { name, microseconds, bytes })
    }

    fn is_older(&self, age: TimeDelta, now: DateTime<Utc>) -> bool {
        self.microseconds < (now - age).timestamp_micros()
    }
}

impl Spool {
    /// Names the folder; touches no disk.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The folder of waiting events.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Stores an event and gives its entry: when this returns, the death of the process cannot lose it any more (D1).
    /// The oldest make room where a limit is reached.
    ///
    /// # Errors
    /// [`Error::File`]; then nothing was stored.
    pub fn put(&self, event: &Event) -> Result<Entry> {
        let content = serde_json::to_vec(event).map_err(|error| Error::file("write", &self.folder)(error.into()))?;
        let entry = Entry::new(event.time().timestamp_micros().max(0), content.len() as u64);
        self.make_room(entry.bytes, event.time())?;
        durable::write(&self.path(&entry), &content, Sync::No)?;
        Ok(entry)
    }

    fn make_room(&self, bytes: u64, now: DateTime<Utc>) -> Result<()> {
        let entries = self.entries()?;
        let mut count = entries.len();
        let mut total = entries.iter().map(|entry| entry.bytes).fold(bytes, u64::saturating_add);
        let mut outcome = Ok(());
        for oldest in entries {
            let is_room = count < EVENT_LIMIT && total <= BYTE_LIMIT;
            if is_room && !oldest.is_older(AGE_LIMIT, now) {
                return Ok(());
            }
            match self.remove(&oldest) {
                Ok(()) => {
                    count -= 1;
                    total = total.saturating_sub(oldest.bytes);
                }
                // The next one makes room in its place.
                Err(error) => outcome = Err(error),
            }
        }
        if count < EVENT_LIMIT && total <= BYTE_LIMIT { Ok(()) } else { outcome }
    }

    /// Lists what waits, oldest first. Without the folder nothing does.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn entries(&self) -> Result<Vec<Entry>> {
        let mut entries: Vec<Entry> = self.names()?.into_iter().filter_map(Entry::parse).collect();
        entries.sort_unstable();
        Ok(entries)
    }

    fn names(&self) -> Result<Vec<String>> {
        let listing = match fs::read_dir(&self.folder) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(Vec::new());
            }
            other => other.map_err(Error::file("list", &self.folder))?,
        };
        // A folder or a link is nobody's event, whatever its name.
        let files = listing.flatten().filter(|file| file.file_type().is_ok_and(|kind| kind.is_file()));
        Ok(files.filter_map(|file| file.file_name().into_string().ok()).collect())
    }

    /// Reads a waiting event; `None` where it is gone, damaged or too old. Damaged and too old ones are removed.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn read(&self, entry: &Entry, now: DateTime<Utc>) -> Result<Option<Event>> {
        let is_of_system = |error: &Error| matches!(error, Error::File { cause, .. } if cause.raw_os_error().is_some());
        let content = match durable::read(&self.path(entry), entry.bytes) {
            Ok(None) => return Ok(None),
            Ok(Some(content)) if content.len() as u64 == entry.bytes => content,
            // What the system keeps from us at this moment is not damaged.
            Err(error) if is_of_system(&error) => return Err(error),
            _ => Vec::new(),
        };
        match serde_json::from_slice(&content) {
            Ok(event) if !entry.is_older(AGE_LIMIT, now) => Ok(Some(event)),
            _ => self.remove(entry).map(|()| None),
        }
    }

    /// Tells whether an event still waits.
    pub fn holds(&self, entry: &Entry) -> bool {
        self.path(entry).exists()
    }

    /// Removes an event that is sent or refused for good.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn remove(&self, entry: &Entry) -> Result<()> {
        durable::remove(&self.path(entry))
    }

    /// Removes all that waits, and what dying processes left half written.
    ///
    /// # Errors
    /// [`Error::File`]: the first failure, after the rest was removed.
    pub fn purge(&self) -> Result<()> {
        let mut outcome = Ok(());
        for name in self.names()? {
            let path = self.folder.join(&name);
            if durable::is_temporary(&name) || Entry::parse(name).is_some() {
                outcome = outcome.and(durable::remove(&path));
            }
        }
        outcome
    }

    fn path(&self, entry: &Entry) -> PathBuf {
        self.folder.join(&entry.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Field, Kind, Value};

    fn event(microseconds: i64) -> Event {
        let time = DateTime::from_timestamp_micros(microseconds).unwrap();
        Event::new(Kind::NewSession, time, "1", Uuid::new_v4(), Uuid::new_v4())
    }

    fn spool() -> (tempfile::TempDir, Spool) {
        let home = tempfile::tempdir().unwrap();
        let spool = Spool::new(home.path().join("spool"));
        (home, spool)
    }

    #[test]
    fn d1_what_was_put_is_read_back_oldest_first() {
        let (_home, spool) = spool();
        let now = DateTime::from_timestamp_micros(3_000).unwrap();
        let later = event(2_000);
        let first = event(1_000);
        spool.put(&later).unwrap();
        spool.put(&first).unwrap();
        let read: Vec<Event> =
            spool.entries().unwrap().iter().map(|entry| spool.read(entry, now).unwrap().unwrap()).collect();
        assert_eq!(read, [first, later]);
    }

    #[test]
    fn d2_the_oldest_make_room_by_count_by_bytes_and_by_age() {
        let (_home, spool) = spool();
        for microseconds in 0..EVENT_LIMIT as i64 + 7 {
            spool.put(&event(microseconds)).unwrap();
        }
        let entries = spool.entries().unwrap();
        assert_eq!((entries.len(), entries[0].microseconds), (EVENT_LIMIT, 7));

        let large = |microseconds| {
            let mut event = event(microseconds);
            event.set(Field::OSDescription, Value::Text("x".repeat(8_000)));
            event
        };
        for microseconds in 0..200 {
            spool.put(&large(10_000 + microseconds)).unwrap();
        }
        let entries = spool.entries().unwrap();
        assert!(entries.iter().map(|entry| entry.bytes).sum::<u64>() <= BYTE_LIMIT);
        assert!(entries.len() > 100, "{}", entries.len());

        spool.put(&event((AGE_LIMIT + TimeDelta::days(1)).num_microseconds().unwrap())).unwrap();
        assert_eq!(spool.entries().unwrap().len(), 1);
    }

    #[test]
    fn d2_a_damaged_file_costs_only_itself_and_a_foreign_one_is_left_alone() {
        let (_home, spool) = spool();
        let now = DateTime::from_timestamp_micros(3_000).unwrap();
        for microseconds in 0..3 {
            spool.put(&event(microseconds)).unwrap();
        }
        let entries = spool.entries().unwrap();
        fs::write(spool.path(&entries[0]), "{").unwrap();
        fs::write(spool.path(&entries[1]), vec![b'x'; entries[1].bytes as usize]).unwrap();
        for foreign in ["readme.txt", "1-2-3.json", "000000000000000001-x-5.json", "sender.lock"] {
            fs::write(spool.folder().join(foreign), "mine").unwrap();
        }
        assert_eq!(spool.entries().unwrap(), entries);
        let read: Vec<bool> = entries.iter().map(|entry| spool.read(entry, now).unwrap().is_some()).collect();
        assert_eq!(read, [false, false, true]);
        assert_eq!(spool.entries().unwrap(), entries[2..]);
        spool.purge().unwrap();
        assert_eq!(spool.entries().unwrap(), []);
        assert_eq!(fs::read_dir(spool.folder()).unwrap().count(), 4);
    }

    /// A link to itself cannot be opened, whoever one is.
    #[cfg(unix)]
    #[test]
    fn d1_what_cannot_be_opened_is_not_taken_for_damaged() {
        let (_home, spool) = spool();
        let now = DateTime::from_timestamp_micros(3_000).unwrap();
        let event = event(1);
        let entry = spool.put(&event).unwrap();
        let (path, aside) = (spool.path(&entry), spool.folder().join("aside"));
        fs::rename(&path, &aside).unwrap();
        std::os::unix::fs::symlink(&path, &path).unwrap();
        assert!(spool.read(&entry, now).is_err());
        assert!(path.is_symlink());
        fs::rename(&aside, &path).unwrap();
        assert_eq!(spool.read(&entry, now).unwrap(), Some(event));
    }

    #[test]
    fn names_that_are_not_ours_do_not_parse() {
        let good = Entry::new(5, 7).name;
        assert_eq!(Entry::parse(good.clone()).map(|entry| (entry.microseconds, entry.bytes)), Some((5, 7)));
        for bad in [
            String::new(),
            good.replace(".json", ".jso"),
            good.replace("-7.", "-07."),
            good.replace("-7.", "-+7."),
            good.replace("-7.", "-."),
            good.replace("-7.", "-7-7."),
            good.replace("-7.", "-99999999999999999999."),
            good.replacen('0', "", 1),
            format!("-{good}"),
            good.to_uppercase(),
            "999999999999999999999-x-7.json".to_owned(),
        ] {
            assert!(Entry::parse(bad.clone()).is_none(), "{bad}");
        }
    }
}
