//! What goes wrong on purpose: waits, torn and endless answers, redirects, headers out of bounds.

use std::io::{self, Write};
use std::sync::Mutex;
use std::time::Duration;

use serde::Deserialize;

use crate::answer::Answer;
use crate::journal::Journal;
use crate::vms::lock;
use loopback::Request;

/// What goes wrong at a path.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// Path, compared without case and without a slash at its end; a `*` at its end stands for any rest.
    pub path: String,
    /// So many requests pass before the first that is hit.
    pub skip: u32,
    /// So many are hit; `None` is all of them.
    pub times: Option<u32>,
    /// Waits before the answer, beside those of other faults for the path.
    pub delay_ms: u64,
    /// Holds the request until [`DemoVms::release`](crate::DemoVms::release); only then is the answer made.
    pub hold: bool,
    /// What happens to the answer; of several faults the first counts.
    pub effect: Option<Effect>,
}

/// What happens to an answer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Effect {
    /// The connection is closed after so many bytes of it.
    CloseAfter(u64),
    /// It comes byte by byte, with so many milliseconds between them.
    Slow(u64),
    /// It comes with a header of so many bytes.
    HugeHeader(u32),
    /// It is a redirect (307) to this address.
    Redirect(String),
    /// It is another one.
    Answer {
        /// Its status.
        status: u16,
        /// Its media type.
        content_type: String,
        /// Its body.
        body: String,
    },
    /// It is a JSON document that repeats this text until so many bytes are out.
    Repeat {
        /// What is repeated, such as `[`.
        text: String,
        /// Length of the whole.
        bytes: u64,
    },
}

/// The faults of a running VMS, with how often each was hit.
#[derive(Default)]
pub(crate) struct Faults(Mutex<Vec<(Fault, u32)>>);

impl Faults {
    pub(crate) fn set(&self, faults: Vec<Fault>) {
        *lock(&self.0) = faults.into_iter().map(|fault| (fault, 0)).collect();
    }

    /// Counts a request, and returns how long to wait, whether to hold it, and what to do.
    pub(crate) fn hit(&self, path: &str) -> (Duration, bool, Option<Effect>) {
        let mut faults = lock(&self.0);
        let (mut wait, mut hold, mut effect) = (0_u64, false, None);
        for (fault, seen) in faults.iter_mut().filter(|(fault, _)| fault.matches(path)) {
            let place = *seen;
            *seen = seen.saturating_add(1);
            if place >= fault.skip && fault.times.is_none_or(|times| place - fault.skip < times) {
                wait = wait.saturating_add(fault.delay_ms);
                hold |= fault.hold;
                effect = effect.or_else(|| fault.effect.clone());
            }
        }
        (Duration::from_millis(wait), hold, effect)
    }
}

impl Fault {
    fn matches(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/').to_ascii_lowercase();
        let own = self.path.to_ascii_lowercase();
        match own.strip_suffix('*') {
            Some(prefix) => path.starts_with(prefix.trim_end_matches('/')),
            None => path == own.trim_end_matches('/'),
        }
    }
}

/// Writes an answer as an effect wants it. Returns whether the connection can go on.
pub(crate) fn write(
    stream: &mut impl Write,
    answer: Answer,
    effect: Option<Effect>,
    request: &Request,
    journal: &Journal,
) -> io::Result<bool> {
    let chunks = request.modern;
    let location = |to: String| Answer::empty(307).with("Location", to);
    match effect {
        None => answer.write(stream, chunks)?,
        Some(Effect::CloseAfter(bytes)) => {
            // Being cut off is what is wanted, so its error is none.
            let _ = answer.write(&mut Cut { stream, left: usize::try_from(bytes).unwrap_or(usize::MAX) }, chunks);
            return Ok(false);
        }
        Some(Effect::Slow(ms)) => {
            answer.write(&mut Slow { stream, pause: Duration::from_millis(ms), journal }, chunks)?
        }
        Some(Effect::HugeHeader(bytes)) => {
            let filling = "x".repeat(usize::try_from(bytes).unwrap_or(usize::MAX));
            answer.with("X-Demo-Filling", filling).write(stream, chunks)?;
        }
        Some(Effect::Redirect(to)) => location(to).write(stream, chunks)?,
        Some(Effect::Answer { status, content_type, body }) => {
            Answer::text(status, &content_type, body).write(stream, chunks)?;
        }
        Some(Effect::Repeat { text, bytes }) => {
            let body = move |stream: &mut dyn Write| repeat(&text, bytes, stream);
            Answer::stream(Box::new(body)).write(stream, chunks)?;
        }
    }
    Ok(true)
}

fn repeat(text: &str, mut bytes: u64, stream: &mut dyn Write) -> io::Result<()> {
    let block = text.repeat(4096_usize.checked_div(text.len()).unwrap_or_default().max(1));
    while bytes > 0 && !block.is_empty() {
        let part = block.as_bytes().get(..usize::try_from(bytes).unwrap_or(usize::MAX)).unwrap_or(block.as_bytes());
        stream.write_all(part)?;
        bytes = bytes.saturating_sub(part.len() as u64);
    }
    Ok(())
}

/// Passes so many bytes on, then fails.
struct Cut<'a, W: Write> {
    stream: &'a mut W,
    left: usize,
}

impl<W: Write> Write for Cut<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let part = bytes.get(..self.left).unwrap_or(bytes);
        if part.is_empty() {
            self.stream.flush()?;
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        self.stream.write_all(part)?;
        self.left = self.left.saturating_sub(part.len());
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// Passes one byte on at a time.
struct Slow<'a, W: Write> {
    stream: &'a mut W,
    pause: Duration,
    journal: &'a Journal,
}

impl<W: Write> Write for Slow<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(byte) = bytes.first() else { return Ok(0) };
        if self.journal.pause(self.pause) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        self.stream.write_all(&[*byte])?;
        self.stream.flush()?;
        Ok(1)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
