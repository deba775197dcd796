//! HTTP/1.1 over any byte stream: a request is read into a value.
//!
//! - Each length is checked against its bound before memory is taken for it.
//! - Nothing here knows of sockets, TLS or XProtect.

use std::io::{self, BufRead, BufReader, Read, Write};

use httparse::Status;

/// As much as IIS takes for the request line and all headers, several times over: NTLM tokens come in headers.
const MAX_HEAD: usize = 64 * 1024;
const MAX_HEADERS: usize = 100;
/// Size line of a chunk, or a trailer.
const MAX_LINE: u64 = 4096;
/// Forms and single items are all that clients send.
pub(crate) const MAX_BODY: usize = 256 * 1024;

#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) keep_alive: bool,
    /// HTTP/1.1, whose clients understand chunks.
    pub(crate) modern: bool,
}

impl Request {
    /// Returns the first header of that name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Tells whether the body is a form.
    pub(crate) fn is_form(&self) -> bool {
        let media = self.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default();
        media.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
    }
}

/// Why there is no request.
#[derive(Debug)]
pub(crate) enum Unread {
    /// The stream ended or failed; there is nobody to answer.
    Closed,
    /// The request breaks a rule, and is answered with this status.
    Refused(u16),
}

impl From<io::Error> for Unread {
    fn from(_: io::Error) -> Self {
        Self::Closed
    }
}

/// Reads the next request, and answers its `Expect: 100-continue`.
pub(crate) fn read_request<S: Read + Write>(stream: &mut BufReader<S>) -> Result<Request, Unread> {
    let mut request = parse_head(&read_head(stream)?)?;
    let chunked = match only(&request, "transfer-encoding")? {
        Some(coding) if coding.eq_ignore_ascii_case("chunked") => true,
        Some(_) => return Err(Unread::Refused(501)),
        None => false,
    };
    let length = match only(&request, "content-length")? {
        Some(_) if chunked => return Err(Unread::Refused(400)),
        Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            text.parse::<usize>().map_err(|_| Unread::Refused(400))?
        }
        Some(_) => return Err(Unread::Refused(400)),
        None => 0,
    };
    if length > MAX_BODY {
        return Err(Unread::Refused(413));
    }
    if request.header("expect").is_some_and(|expected| expected.eq_ignore_ascii_case("100-continue")) {
        stream.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        stream.get_mut().flush()?;
    }
    request.body = if chunked { read_chunks(stream)? } else { read_exactly(stream, length)? };
    Ok(request)
}

fn read_head(stream: &mut impl BufRead) -> Result<Vec<u8>, Unread> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let room = MAX_HEAD.saturating_sub(head.len());
        if room == 0 {
            return Err(Unread::Refused(431));
        }
        if stream.by_ref().take(room as u64).read_until(b'\n', &mut head)? == 0 {
            return Err(Unread::Closed);
        }
    }
    Ok(head)
}

fn parse_head(head: &[u8]) -> Result<Request, Unread> {
    let mut slots = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut slots);
    match parsed.parse(head) {
        Ok(Status::Complete(_)) => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Unread::Refused(431)),
        _ => return Err(Unread::Refused(400)),
    }
    let target = parsed.path.unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let mut request = Request {
        method: parsed.method.unwrap_or_default().to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers: parsed.headers.iter().map(|header| (header.name.to_owned(), text(header.value))).collect(),
        body: Vec::new(),
        keep_alive: false,
        modern: parsed.version == Some(1),
    };
    let close = request.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
    request.keep_alive = request.modern && !close;
    Ok(request)
}

/// Returns the value of a header that must not come twice, as the two could differ.
fn only<'a>(request: &'a Request, name: &str) -> Result<Option<&'a str>, Unread> {
    if request.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name)).count() > 1 {
        return Err(Unread::Refused(400));
    }
    Ok(request.header(name))
}

fn read_chunks(stream: &mut impl BufRead) -> Result<Vec<u8>, Unread> {
    let mut body = Vec::new();
    loop {
        let size = match httparse::parse_chunk_size(&read_line(stream)?) {
            Ok(Status::Complete((_, size))) => usize::try_from(size).unwrap_or(usize::MAX),
            _ => return Err(Unread::Refused(400)),
        };
        if size == 0 {
            break;
        }
        if size > MAX_BODY.saturating_sub(body.len()) {
            return Err(Unread::Refused(413));
        }
        body.append(&mut read_exactly(stream, size)?);
        if read_line(stream)? != b"\r\n" {
            return Err(Unread::Refused(400));
        }
    }
    // Trailers say nothing that matters here.
    for _ in 0..MAX_HEADERS {
        if read_line(stream)? == b"\r\n" {
            return Ok(body);
        }
    }
    Err(Unread::Refused(431))
}

fn read_exactly(stream: &mut impl BufRead, length: usize) -> Result<Vec<u8>, Unread> {
    let mut bytes = Vec::new();
    stream.by_ref().take(length as u64).read_to_end(&mut bytes)?;
    if bytes.len() < length { Err(Unread::Closed) } else { Ok(bytes) }
}

fn read_line(stream: &mut impl BufRead) -> Result<Vec<u8>, Unread> {
    let mut line = Vec::new();
    stream.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)?;
    if line.ends_with(b"\n") { Ok(line) } else { Err(Unread::Refused(400)) }
}
