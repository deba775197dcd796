//! An answer is a value that becomes bytes in one place. A long one is never held whole: it is written in chunks while it is
//! made.

use std::io::{self, Write};

use serde_json::Value;

/// Chunks of this size keep system calls few.
const CHUNK: usize = 16 * 1024;

pub(crate) type Stream = Box<dyn FnOnce(&mut dyn Write) -> io::Result<()>>;

pub(crate) enum Body {
    Bytes(Vec<u8>),
    Stream(Stream),
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Body,
}

impl Answer {
    pub(crate) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Body::Bytes(Vec::new()) }
    }

    pub(crate) fn text(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("Content-Type", content_type.to_owned())];
        Self { status, headers, body: Body::Bytes(body.into()) }
    }

    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::text(status, "application/json; charset=utf-8", body.to_string())
    }

    pub(crate) fn stream(write: Stream) -> Self {
        let headers = vec![("Content-Type", "application/json; charset=utf-8".to_owned())];
        Self { status: 200, headers, body: Body::Stream(write) }
    }

    /// Answers as IIS does where no application is: with a page.
    pub(crate) fn page(status: u16) -> Self {
        let title = format!("{status} {}", reason(status));
        Self::text(status, "text/html", format!("<html><head><title>{title}</title></head><body>{title}</body></html>"))
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Writes the answer. A streamed body goes out in chunks, or, to an old client, until the connection is closed.
    pub(crate) fn write(self, stream: &mut impl Write, chunks: bool) -> io::Result<()> {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        match self.body {
            Body::Bytes(bytes) => {
                head += &format!("Content-Length: {}\r\n\r\n", bytes.len());
                stream.write_all(&[head.as_bytes(), &bytes].concat())?;
            }
            Body::Stream(write) if chunks => {
                head += "Transfer-Encoding: chunked\r\n\r\n";
                stream.write_all(head.as_bytes())?;
                let mut body = Chunks { stream, held: Vec::with_capacity(CHUNK) };
                write(&mut body)?;
                body.send()?;
                stream.write_all(b"0\r\n\r\n")?;
            }
            Body::Stream(write) => {
                stream.write_all(format!("{head}\r\n").as_bytes())?;
                let mut body = io::BufWriter::with_capacity(CHUNK, stream);
                write(&mut body)?;
                return body.flush();
            }
        }
        stream.flush()
    }
}

/// Collects what is written and sends it in chunks.
struct Chunks<'a, W: Write> {
    stream: &'a mut W,
    held: Vec<u8>,
}

impl<W: Write> Chunks<'_, W> {
    fn send(&mut self) -> io::Result<()> {
        if !self.held.is_empty() {
            let size = format!("{:x}\r\n", self.held.len());
            self.stream.write_all(&[size.as_bytes(), &self.held, b"\r\n"].concat())?;
            self.held.clear();
        }
        Ok(())
    }
}

impl<W: Write> Write for Chunks<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.held.extend_from_slice(bytes);
        if self.held.len() >= CHUNK {
            self.send()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        302 => "Found",
        307 => "Temporary Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        413 => "Content Too Large",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        // The phrase may be empty.
        _ => "",
    }
}
