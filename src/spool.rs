//! Pending events on disk: a folder for each destination, with one file for each event (D1 to D3).
//!
//! A file's name has all that is needed to keep order and limits without opening it, and names the format of its content:
//! `<microseconds since 1970>-<random id>-<bytes>.v1.json`. Events in another format belong to another version of the library;
//! they are left alone and count for the limits. Files with other names are not ours.
//!
//! What can go wrong, and why it is harmless:
//!
//! 1. A process dies while it records. Its call has not returned. The file is shorter than its name says, so it is never sent. It
//!    is deleted when it is a day old; until then another process may be writing it.
//! 2. A process dies after it recorded. The event is sent in a later session.
//! 3. A process ends while its request is in flight, or before the sent events are deleted. Whether the service accepted them is
//!    not known: that batch, and no other, is sent once more. A session's first request begins a second after its start, so a
//!    short script hardly ever begins one.
//! 4. Two processes want to send at once: one waits. A sender holds the destination's `sender.lock`, which the operating system
//!    releases when the process ends.
//! 5. Two processes make room at once: both delete the oldest; deleting what is gone is no failure.
//! 6. A file was changed or damaged: it has another length than its name says, or is no JSON, and is deleted. One that the system
//!    does not let us read or delete is skipped, and so is JSON that is not in the closed list of fields.
//! 7. The user opts out while an event is written: see [`crate::session`]. While a request begins: see [`crate::gate`].
//! 8. The clock jumps: an event from the future is sent as of now, a back-off that no response can have caused is ignored, and
//!    what is older than 90 days by a clock that jumped ahead is lost, as by any clock. If the clock is more than two days behind,
//!    the service refuses what is sent then. If it jumps by more than a day while a process is stopped in the middle of writing
//!    an event, that one is lost.
//! 9. The disk is full or read-only: the call says so and nothing is recorded; the host goes on. From a full disk pending events
//!    are sent, which makes room; from a read-only one they are not, as they could not be deleted afterwards.
//!
//! Events are not flushed to the disk: a flush costs milliseconds on the path of an import. A power failure may lose the last
//! ones, which is accepted (D2).

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::event::Event;
use crate::{files, platform};
use chrono::{DateTime, TimeDelta, Utc};

// The limits of a destination are choices (D2): what a computer without a network may keep on disk.
/// Pending events.
pub const EVENT_LIMIT: usize = 500;
/// Bytes of all pending events: 2 KiB for each on average.
pub const BYTE_LIMIT: u64 = 1 << 20;
/// Age of a pending event.
pub const AGE_LIMIT: TimeDelta = TimeDelta::days(90);
/// Largest event, which the limits of its values keep it below (E6).
const EVENT_BYTES: usize = 4_096;
/// Room is made at a session's first event and then at every 32nd: listing the folder for each would make recording slower, the
/// more is pending (D11).
const MAKES_ROOM_EVERY: u32 = 32;
/// A file that is shorter than its name says is being written, unless it is older than this: a choice. A process may be stopped in
/// the middle of it, and a computer may sleep.
const WRITING_TIME: Duration = Duration::from_secs(24 * 3_600);
/// The file beside the events with the retry state of their destination.
pub const RETRY_STATE: &str = "retry.json";
/// The end of a name: the format of the content.
const FORMAT: &str = ".v1.json";

/// A folder of dated files with limits of number, bytes and age, such as the pending events of one destination.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    /// Most files.
    limit: usize,
    makes_room_every: u32,
    stored: AtomicU32,
}

/// A file, such as a pending event, as its name describes it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    name: String,
    microseconds: i64,
    bytes: u64,
    /// Whether the content has our format.
    is_known: bool,
}

impl Entry {
    fn new(microseconds: i64, bytes: u64) -> Self {
        let name = format!("{microseconds:018}-{:032x}-{bytes}{FORMAT}", fastrand::u128(..));
        Self { name, microseconds, bytes, is_known: true }
    }

    /// Reads a file's name. `None`: it is not one of ours.
    fn parse(name: String) -> Option<Self> {
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let (stem, format) = name.strip_suffix(".json")?.rsplit_once(".v")?;
        let mut parts = stem.split('-');
        let (time, id, bytes) = (parts.next()?, parts.next()?, parts.next()?);
        let is_id = id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let is_plain = time.len() == 18 && is_number(time) && is_id && is_number(bytes) && !bytes.starts_with('0');
        if !is_plain || parts.next().is_some() || !is_number(format) || format.starts_with('0') {
            return None;
        }
        let (microseconds, bytes) = (time.parse().ok()?, bytes.parse().ok()?);
        if bytes > BYTE_LIMIT {
            return None;
        }
        let is_known = name.ends_with(FORMAT);
        Some(Self { name, microseconds, bytes, is_known })
    }

    fn is_older(&self, age: TimeDelta, now: DateTime<Utc>) -> bool {
        self.microseconds < (now - age).timestamp_micros()
    }
}

impl Spool {
    /// For the pending events of a destination. Touches no disk.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, limit: EVENT_LIMIT, makes_room_every: MAKES_ROOM_EVERY, stored: AtomicU32::new(0) }
    }

    /// For other files, of which there are never more than `limit`. Touches no disk.
    pub fn of_at_most(limit: usize, folder: PathBuf) -> Self {
        Self { limit, makes_room_every: 1, ..Self::new(folder) }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn path(&self, entry: &Entry) -> PathBuf {
        self.folder.join(&entry.name)
    }

    /// Stores an event. It survives the end of the process as soon as this returns (D1).
    ///
    /// # Errors
    /// [`Error::File`]; then nothing was stored.
    pub fn put(&self, event: &Event) -> Result<Entry> {
        let content = serde_json::to_vec(event).map_err(|error| Error::file("write", &self.folder)(error.into()))?;
        if content.len() > EVENT_BYTES {
            return Err(Error::file("write", &self.folder)(std::io::Error::other("an event is too large")));
        }
        self.store(&content, event.time)
    }

    /// Stores a file, and makes room for it.
    pub fn store(&self, content: &[u8], time: DateTime<Utc>) -> Result<Entry> {
        let entry = Entry::new(time.timestamp_micros().max(0), content.len() as u64);
        if self.stored.fetch_add(1, Ordering::Relaxed).is_multiple_of(self.makes_room_every) {
            self.make_room(1, entry.bytes, time)?;
        }
        files::create(&self.path(&entry), content)?;
        Ok(entry)
    }

    /// Returns the content of a file. `None`: it is gone, or not whole.
    pub fn content(&self, entry: &Entry) -> Result<Option<Vec<u8>>> {
        let content = files::read(&self.path(entry), entry.bytes)?;
        Ok(content.filter(|content| content.len() as u64 == entry.bytes))
    }

    /// Deletes all files, in all formats, and what writing one left.
    ///
    /// # Errors
    /// [`Error::File`]: the first failure, after the rest was deleted.
    pub fn clear(&self) -> Result<()> {
        files::clear(&self.folder, |name| {
            files::is_temporary(name) || name == RETRY_STATE || Entry::parse(name.to_owned()).is_some()
        })
    }

    /// Deletes the oldest events until there is room for some more, and those that waited too long.
    ///
    /// # Errors
    /// [`Error::File`] if there is no room.
    pub fn make_room(&self, events: usize, bytes: u64, now: DateTime<Utc>) -> Result<()> {
        let all = self.all()?;
        let mut count = all.len() + events;
        let mut total = all.iter().map(|entry| entry.bytes).fold(bytes, u64::saturating_add);
        let mut outcome = Ok(());
        for oldest in all.iter().filter(|entry| entry.is_known) {
            let has_room = count <= self.limit && total <= BYTE_LIMIT;
            if has_room && !oldest.is_older(AGE_LIMIT, now) {
                return Ok(());
            }
            match self.remove(oldest) {
                Ok(()) => {
                    count -= 1;
                    total = total.saturating_sub(oldest.bytes);
                }
                // The next one makes room in its place.
                Err(error) => outcome = Err(error),
            }
        }
        if count <= self.limit && total <= BYTE_LIMIT { Ok(()) } else { outcome }
    }

    /// Lists the pending events that this version can read, oldest first.
    pub fn entries(&self) -> Result<Vec<Entry>> {
        Ok(self.all()?.into_iter().filter(|entry| entry.is_known).collect())
    }

    /// Lists the events of all formats, oldest first.
    fn all(&self) -> Result<Vec<Entry>> {
        let mut entries: Vec<Entry> = names(&self.folder)?.into_iter().filter_map(Entry::parse).collect();
        entries.sort_unstable();
        Ok(entries)
    }

    /// Reads a pending event. `None`: it is gone, being written, damaged, not in the closed list of fields or too old. Damaged and
    /// too old ones are deleted.
    pub fn read(&self, entry: &Entry, now: DateTime<Utc>) -> Result<Option<Event>> {
        let is_of_system = |error: &Error| matches!(error, Error::File { cause, .. } if cause.raw_os_error().is_some());
        let content = match files::read(&self.path(entry), entry.bytes) {
            Ok(None) => return Ok(None),
            Ok(Some(content)) if (content.len() as u64) < entry.bytes && self.is_being_written(entry) => {
                return Ok(None);
            }
            Ok(Some(content)) if content.len() as u64 == entry.bytes => content,
            // What the system does not let us read now is not damaged.
            Err(error) if is_of_system(&error) => return Err(error),
            _ => Vec::new(),
        };
        match serde_json::from_slice(&content) {
            Ok(event) if !entry.is_older(AGE_LIMIT, now) => Ok(Some(event)),
            Err(error) if error.is_data() && !entry.is_older(AGE_LIMIT, now) => Ok(None),
            _ => self.remove(entry).map(|()| None),
        }
    }

    fn is_being_written(&self, entry: &Entry) -> bool {
        let created = fs::metadata(self.path(entry)).and_then(|file| file.modified());
        // A time in the future comes from a clock that jumped.
        created.is_ok_and(|created| created.elapsed().is_ok_and(|age| age < WRITING_TIME))
    }

    pub fn remove(&self, entry: &Entry) -> Result<()> {
        files::remove(&self.path(entry))
    }
}

/// Lists the names of a folder's files. A folder or a link is not an event, whatever its name is.
fn names(folder: &Path) -> Result<Vec<String>> {
    match platform::file_names(folder) {
        Err(error) if files::is_absent(&error) => Ok(Vec::new()),
        other => other.map_err(Error::file("list", folder)),
    }
}

/// Lists the folders of all destinations below the spool's folder. Other folders are not ours.
fn destinations(spool: &Path) -> Vec<PathBuf> {
    let is_fingerprint = |name: &str| name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let folders = fs::read_dir(spool).into_iter().flatten().flatten();
    let folders = folders.filter(|folder| folder.file_type().is_ok_and(|kind| kind.is_dir()));
    let folders = folders.filter(|folder| folder.file_name().to_str().is_some_and(is_fingerprint));
    folders.map(|folder| folder.path()).collect()
}

/// Deletes all pending events of all destinations and in all formats, and what is known of their delivery: the user opted out.
///
/// # Errors
/// [`Error::File`]: the first failure, after the rest was deleted.
pub fn purge(spool: &Path) -> Result<()> {
    let mut outcome = Ok(());
    for folder in destinations(spool) {
        outcome = outcome.and(Spool::new(folder).clear());
    }
    outcome
}

/// Deletes events of any destination that waited too long, also of one that no session uses any more.
pub fn sweep(spool: &Path, now: DateTime<Utc>) {
    for folder in destinations(spool) {
        let spool = Spool::new(folder);
        // A later sweep deletes what this one cannot.
        let _ = spool.make_room(0, 0, now);
        files::remove_stale(spool.folder(), now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event;

    fn event(microseconds: i64) -> Event {
        let time = DateTime::from_timestamp_micros(microseconds).unwrap();
        event::any(time)
    }

    fn spool() -> (tempfile::TempDir, Spool) {
        let home = tempfile::tempdir().unwrap();
        let spool = Spool::new(home.path().join("0123456789abcdef"));
        (home, spool)
    }

    #[test]
    fn d1_what_was_put_is_read_back_oldest_first() {
        let (_home, spool) = spool();
        let now = DateTime::from_timestamp_micros(3_000).unwrap();
        let (later, first) = (event(2_000), event(1_000));
        spool.put(&later).unwrap();
        spool.put(&first).unwrap();
        let entries = spool.entries().unwrap();
        let read: Vec<Event> = entries.iter().map(|entry| spool.read(entry, now).unwrap().unwrap()).collect();
        assert_eq!(read, [first, later]);
        assert_eq!(fs::read_dir(spool.folder()).unwrap().count(), 2);
    }

    #[test]
    fn d2_the_oldest_make_room_by_count_by_bytes_and_by_age() {
        let (_home, spool) = spool();
        for microseconds in 0..EVENT_LIMIT as i64 + 70 {
            spool.put(&event(microseconds)).unwrap();
            assert!(spool.entries().unwrap().len() <= EVENT_LIMIT + MAKES_ROOM_EVERY as usize);
        }
        spool.make_room(0, 0, DateTime::UNIX_EPOCH).unwrap();
        let entries = spool.entries().unwrap();
        assert_eq!((entries.len(), entries[0].microseconds), (EVENT_LIMIT, 70));

        let large = BYTE_LIMIT / 4;
        for microseconds in 1_000..1_004 {
            fs::write(spool.path(&Entry::new(microseconds, large)), vec![b' '; large as usize]).unwrap();
        }
        spool.make_room(1, 1, DateTime::UNIX_EPOCH).unwrap();
        let entries = spool.entries().unwrap();
        assert_eq!(entries.iter().map(|entry| entry.bytes).collect::<Vec<_>>(), [large; 3]);

        let late = DateTime::UNIX_EPOCH + AGE_LIMIT + TimeDelta::days(1);
        sweep(spool.folder().parent().unwrap(), late);
        assert_eq!(spool.entries().unwrap(), []);
    }

    #[test]
    fn d2_e8_a_damaged_file_costs_only_itself_and_a_foreign_one_is_left_alone() {
        let (home, spool) = spool();
        let now = Utc::now();
        for microseconds in 0..6 {
            spool.put(&event(now.timestamp_micros() + microseconds)).unwrap();
        }
        let entries = spool.entries().unwrap();
        let age = |entry: &Entry, seconds| {
            let file = fs::OpenOptions::new().append(true).open(spool.path(entry)).unwrap();
            file.set_modified(std::time::SystemTime::now() - Duration::from_secs(seconds)).unwrap();
        };
        // Torn and old, torn and young, overwritten, longer than its name says, with a field of a later version, whole.
        fs::write(spool.path(&entries[0]), "{").unwrap();
        age(&entries[0], 25 * 3_600);
        fs::write(spool.path(&entries[1]), "").unwrap();
        age(&entries[1], 23 * 3_600);
        fs::write(spool.path(&entries[2]), vec![b'x'; entries[2].bytes as usize]).unwrap();
        fs::write(spool.path(&entries[3]), vec![b' '; entries[3].bytes as usize + 1]).unwrap();
        let newer = fs::read_to_string(spool.path(&entries[4])).unwrap().replace("ProcessorCount", "ProcessorMaker");
        fs::write(spool.path(&entries[4]), newer).unwrap();
        let later = entries[0].name.replace(".v1.", ".v2.");
        let foreign = ["readme.txt", "1-2-3.v1.json", "000000000000000001-x-5.v1.json", "sender.lock", "retry.json"];
        for name in foreign.iter().chain([&later.as_str()]) {
            fs::write(spool.folder().join(name), "mine").unwrap();
        }
        assert_eq!(spool.entries().unwrap(), entries);
        assert_eq!(spool.all().unwrap().len(), entries.len() + 1);
        let read: Vec<bool> = entries.iter().map(|entry| spool.read(entry, now).unwrap().is_some()).collect();
        assert_eq!(read, [false, false, false, false, false, true]);
        assert_eq!(spool.entries().unwrap(), [&entries[1..2], &entries[4..]].concat());
        // Only an opt-out deletes another version's events, and nothing deletes what is not an event.
        sweep(home.path(), now);
        assert!(spool.folder().join(&later).exists());
        purge(home.path()).unwrap();
        assert_eq!(spool.all().unwrap(), []);
        assert_eq!(fs::read_dir(spool.folder()).unwrap().count(), foreign.len() - 1);
    }

    #[test]
    fn e8_events_in_another_format_count_for_the_limit() {
        let (_home, spool) = spool();
        fs::create_dir_all(spool.folder()).unwrap();
        for microseconds in 0..EVENT_LIMIT as i64 {
            fs::write(spool.path(&Entry::new(microseconds, 2)).with_extension("").with_extension("v7.json"), "{}")
                .unwrap();
        }
        for microseconds in 0..3 {
            spool.put(&event(microseconds)).unwrap();
        }
        spool.make_room(0, 0, DateTime::UNIX_EPOCH).unwrap();
        assert_eq!((spool.entries().unwrap().len(), spool.all().unwrap().len()), (0, EVENT_LIMIT));
    }

    /// A link to itself cannot be opened, not even by root.
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
        assert!(!Entry::parse(good.replace(".v1.", ".v12.")).unwrap().is_known);
        for bad in [
            String::new(),
            good.replace(".json", ".jso"),
            good.replace(".v1.", ".v."),
            good.replace(".v1.", ".v01."),
            good.replace(".v1.", "."),
            good.replace("-7.", "-07."),
            good.replace("-7.", "-+7."),
            good.replace("-7.", "-."),
            good.replace("-7.", "-7-7."),
            good.replace("-7.", "-99999999999999999999."),
            // There would be room for no other, and reading it would take as much memory.
            good.replace("-7.", &format!("-{}.", BYTE_LIMIT + 1)),
            good.replacen('0', "", 1),
            format!("-{good}"),
            good.to_uppercase(),
        ] {
            assert!(Entry::parse(bad.clone()).is_none(), "{bad}");
        }
    }
}
