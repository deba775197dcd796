//! Answers: values that become bytes in one place.
//!
//! What an answer says and how it goes over the wire are two things: an answer that is slow or cut has no other content.

use std::io::{self, ErrorKind, Write};
use std::time::Duration;

use http::StatusCode;
use serde_json::Value;

/// Chunks of this size keep system calls few.
const CHUNK: usize = 16 * 1024;

/// Writes a body piece by piece, so that a long one is never in memory as a whole.
pub type Stream = Box<dyn FnOnce(&mut dyn Write) -> io::Result<()> + Send>;

enum Body {
    Bytes(Vec<u8>),
    /// With its length if the head is to name one; otherwise it goes out in chunks.
    Stream(Option<usize>, Stream),
    /// Instead of a head and a body.
    Raw(Stream),
}

/// What a request is answered with.
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Names and values of the headers, in order.
    pub headers: Vec<(&'static str, String)>,
    body: Body,
    /// The pause before each byte.
    slow: Option<Duration>,
    /// The connection is closed after so many bytes.
    cut: Option<u64>,
}

impl Answer {
    /// Returns an answer without a body.
    #[must_use]
    pub fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Body::Bytes(Vec::new()), slow: None, cut: None }
    }

    /// Returns an answer with this body.
    pub fn text(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { body: Body::Bytes(body.into()), ..Self::empty(status) }.with("Content-Type", content_type)
    }

    /// Returns an answer with a JSON document.
    #[must_use]
    pub fn json(status: u16, body: &Value) -> Self {
        Self::text(status, "application/json; charset=utf-8", body.to_string())
    }

    /// Returns an answer with a JSON document that is written while it is made.
    #[must_use]
    pub fn stream(write: Stream) -> Self {
        let body = Body::Stream(None, write);
        Self { body, ..Self::empty(200) }.with("Content-Type", "application/json; charset=utf-8")
    }

    /// Returns bytes that need not be HTTP. The connection is closed behind them.
    #[must_use]
    pub fn raw(write: Stream) -> Self {
        Self { body: Body::Raw(write), ..Self::empty(0) }
    }

    /// Answers as IIS does if no application is there: with a page.
    #[must_use]
    pub fn page(status: u16) -> Self {
        let title = format!("{status} {}", reason(status));
        Self::text(status, "text/html", format!("<html><head><title>{title}</title></head><body>{title}</body></html>"))
    }

    /// Adds a header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Goes out byte by byte, with this pause before each.
    #[must_use]
    pub fn slowly(self, pause: Duration) -> Self {
        Self { slow: Some(pause), ..self }
    }

    /// The connection is closed after so many bytes of it; after 0, without an answer.
    #[must_use]
    pub fn cut(self, bytes: u64) -> Self {
        Self { cut: Some(bytes), ..self }
    }

    /// Leaves out the second half of the body, though the head gives the length of the whole.
    #[must_use]
    pub fn truncated(mut self) -> Self {
        let bytes = std::mem::replace(&mut self.body, Body::Bytes(Vec::new())).into_bytes();
        let half = bytes.split_at(bytes.len() / 2).0.to_vec();
        self.body = Body::Stream(Some(bytes.len()), Box::new(move |stream| stream.write_all(&half)));
        Self { cut: Some(u64::MAX), ..self }
    }

    /// Adds so many blanks behind the body, as a part of it.
    #[must_use]
    pub fn padded(mut self, blanks: usize) -> Self {
        let bytes = std::mem::replace(&mut self.body, Body::Bytes(Vec::new())).into_bytes();
        let length = bytes.len().saturating_add(blanks);
        let write = move |stream: &mut dyn Write| {
            stream.write_all(&bytes)?;
            repeat(" ", blanks as u64, stream)
        };
        Self { body: Body::Stream(Some(length), Box::new(write)), cut: Some(u64::MAX), ..self }
    }

    /// Tells whether another request can follow on the same connection.
    pub(crate) fn keeps_alive(&self) -> bool {
        self.cut.is_none() && !matches!(self.body, Body::Raw(_))
    }

    /// Writes the answer. `pause` waits, and tells whether to go on. A streamed body goes out in chunks, or, to a client of
    /// HTTP/1.0, until the connection is closed.
    pub(crate) fn write(
        self,
        stream: &mut dyn Write,
        knows_chunks: bool,
        pause: &dyn Fn(Duration) -> bool,
    ) -> io::Result<()> {
        let left = self.cut.map_or(usize::MAX, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        let stream = &mut Faulty { stream, left, slow: self.slow, pause };
        // An interim answer and two of the final ones have neither length nor body.
        let has_body = self.status >= 200 && !matches!(self.status, 204 | 304);
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        match self.body {
            Body::Raw(write) => write(stream)?,
            _ if !has_body => stream.write_all((head + "\r\n").as_bytes())?,
            Body::Bytes(bytes) => {
                head += &format!("Content-Length: {}\r\n\r\n", bytes.len());
                stream.write_all(&[head.as_bytes(), &bytes].concat())?;
            }
            Body::Stream(None, write) if knows_chunks => {
                stream.write_all((head + "Transfer-Encoding: chunked\r\n\r\n").as_bytes())?;
                let mut body = Chunks { stream, gathered: Vec::with_capacity(CHUNK) };
                write(&mut body)?;
                body.send()?;
                stream.write_all(b"0\r\n\r\n")?;
            }
            Body::Stream(length, write) => {
                let length = length.map(|length| format!("Content-Length: {length}\r\n")).unwrap_or_default();
                stream.write_all(format!("{head}{length}\r\n").as_bytes())?;
                let mut body = io::BufWriter::with_capacity(CHUNK, &mut *stream);
                write(&mut body)?;
                body.flush()?;
            }
        }
        stream.flush()
    }
}

impl Body {
    fn into_bytes(self) -> Vec<u8> {
        if let Self::Bytes(bytes) = self { bytes } else { Vec::new() }
    }
}

/// The phrase may be empty.
fn reason(status: u16) -> &'static str {
    StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or_default()
}

/// Writes a text again and again until so many bytes are out.
///
/// # Errors
/// The stream's own.
pub fn repeat(text: &str, mut bytes: u64, stream: &mut dyn Write) -> io::Result<()> {
    let block = text.repeat(65_536_usize.checked_div(text.len()).unwrap_or_default().max(1));
    while bytes > 0 && !block.is_empty() {
        let part = block.as_bytes().get(..usize::try_from(bytes).unwrap_or(usize::MAX)).unwrap_or(block.as_bytes());
        stream.write_all(part)?;
        bytes = bytes.saturating_sub(part.len() as u64);
    }
    Ok(())
}

/// Passes so many bytes on and then fails; passes them on one by one if they are to be slow.
struct Faulty<'a> {
    stream: &'a mut dyn Write,
    left: usize,
    slow: Option<Duration>,
    pause: &'a dyn Fn(Duration) -> bool,
}

impl Write for Faulty<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = bytes.get(..self.left).unwrap_or(bytes);
        let Some(first) = bytes.first() else {
            self.stream.flush()?;
            return Err(ErrorKind::ConnectionAborted.into());
        };
        let part = if let Some(pause) = self.slow {
            if !(self.pause)(pause) {
                return Err(ErrorKind::ConnectionAborted.into());
            }
            std::slice::from_ref(first)
        } else {
            bytes
        };
        self.stream.write_all(part)?;
        if self.slow.is_some() {
            self.stream.flush()?;
        }
        self.left = self.left.saturating_sub(part.len());
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// Gathers what is written and sends it in chunks.
struct Chunks<'a, W: Write> {
    stream: &'a mut W,
    gathered: Vec<u8>,
}

impl<W: Write> Chunks<'_, W> {
    fn send(&mut self) -> io::Result<()> {
        if !self.gathered.is_empty() {
            let size = format!("{:x}\r\n", self.gathered.len());
            self.stream.write_all(&[size.as_bytes(), &self.gathered, b"\r\n"].concat())?;
            self.gathered.clear();
        }
        Ok(())
    }
}

impl<W: Write> Write for Chunks<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() >= CHUNK {
            self.send()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_becomes_exactly_these_bytes() {
        let head = "HTTP/1.1 405 Method Not Allowed\r\nContent-Type: text/plain\r\nAllow: POST\r\n";
        let whole = || Answer::text(405, "text/plain", "no").with("Allow", "POST");
        let stream = || Answer::stream(Box::new(|stream| stream.write_all(b"[]")));
        let json = "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\n";
        for (answer, knows_chunks, text) in [
            (whole(), true, format!("{head}Content-Length: 2\r\n\r\nno")),
            (whole().slowly(Duration::ZERO), true, format!("{head}Content-Length: 2\r\n\r\nno")),
            (whole().truncated(), true, format!("{head}Content-Length: 2\r\n\r\nn")),
            (whole().padded(3), true, format!("{head}Content-Length: 5\r\n\r\nno   ")),
            (whole().cut(10), true, "HTTP/1.1 4".to_owned()),
            (whole().cut(0), true, String::new()),
            (whole().slowly(Duration::MAX), true, String::new()),
            (Answer::empty(204), true, "HTTP/1.1 204 No Content\r\n\r\n".to_owned()),
            (Answer::raw(Box::new(|stream| repeat("ab", 5, stream))), true, "ababa".to_owned()),
            (stream(), true, format!("{json}Transfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n")),
            (stream(), false, format!("{json}\r\n[]")),
        ] {
            let mut bytes = Vec::new();
            let is_whole = answer.write(&mut bytes, knows_chunks, &|pause| pause.is_zero()).is_ok();
            assert_eq!(String::from_utf8(bytes).unwrap(), text);
            assert_eq!(is_whole, text.contains("\r\n\r\n") || text == "ababa", "{text}");
        }
    }
}
