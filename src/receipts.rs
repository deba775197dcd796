//! Receipts: what left, for each request that the service answered (T1, D9).
//!
//! A receipt is a file: a line of JSON about the request, then its body as it left, before compression. It is written before the
//! sent events are deleted. So a process that dies in between leaves an event that is both sent and pending, and never hides one
//! that was sent.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::event::timestamp;
use crate::response::Outcome;
use crate::spool::{Entry, Spool};

/// Receipts of all destinations: a choice. They have the spool's limits of bytes and age.
pub const RECEIPT_LIMIT: usize = 200;

/// The first line of a receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// When the service answered (ISO 8601, UTC).
    pub time: String,
    /// The URL that answered.
    pub destination: String,
    /// The HTTP status.
    pub status: u16,
    /// What became of each item, in order.
    pub items: Vec<Outcome>,
}

/// Writes a receipt: its head, and the body of the request.
pub fn text(destination: &str, status: u16, items: &[Outcome], body: &str, now: DateTime<Utc>) -> String {
    let head = Head { time: timestamp(now), destination: destination.to_owned(), status, items: items.to_vec() };
    format!("{}\n{body}", serde_json::to_string(&head).unwrap_or_default())
}

#[derive(Debug)]
pub struct Receipts(Spool);

impl Receipts {
    /// Touches no disk.
    pub fn new(folder: PathBuf) -> Self {
        Self(Spool::of_at_most(RECEIPT_LIMIT, folder))
    }

    /// Keeps a receipt.
    pub fn keep(&self, receipt: &str, now: DateTime<Utc>) -> Result<Entry> {
        self.0.store(receipt.as_bytes(), now)
    }

    pub fn remove(&self, receipt: &Entry) -> Result<()> {
        self.0.remove(receipt)
    }

    /// Returns the `index`th receipt, the newest first. Empty: it cannot be read. `None`: there are fewer.
    pub fn nth(&self, index: usize) -> Result<Option<String>> {
        let entries = self.0.entries()?;
        let content = |entry| self.0.content(entry).ok().flatten().unwrap_or_default();
        Ok(entries.iter().rev().nth(index).map(|entry| String::from_utf8_lossy(&content(entry)).into_owned()))
    }

    /// Deletes all of them.
    pub fn clear(&self) -> Result<()> {
        self.0.clear()
    }
}
