//! A request is read from a byte stream into a value.
//!
//! - Each length is checked against its bound before memory is taken for it.
//! - A request that breaks a rule is refused and its connection closed, because its end is not known.

use std::io::{self, BufRead, BufReader, Read, Write};

use chrono::{DateTime, Utc};
use httparse::Status;

/// As much as common servers take for the request line and all headers.
const MAX_HEAD: usize = 64 * 1024;
const MAX_HEADERS: usize = 100;
/// Size line of a chunk, or a trailer.
const MAX_LINE: u64 = 4096;
/// Body as sent: room for 64 telemetry items of the largest size.
pub(crate) const MAX_BODY: usize = 4 * 1024 * 1024;

/// A request, as it came.
#[derive(Debug)]
pub struct Request {
    /// When its first byte was read.
    pub began: DateTime<Utc>,
    /// Method.
    pub method: String,
    /// Path, without the query.
    pub path: String,
    /// Query, without the question mark.
    pub query: String,
    /// Names and values of the headers, in order.
    pub headers: Vec<(String, String)>,
    /// Body, whole.
    pub body: Vec<u8>,
    /// Whether the client wants the connection to go on after the answer.
    pub keep_alive: bool,
    /// Whether it is HTTP/1.1, whose clients understand chunks.
    pub modern: bool,
}

impl Request {
    /// Returns the value of the first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }
}

/// Returns the value of the first header of that name.
pub fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// Why there is no request.
#[derive(Debug)]
pub(crate) enum Unread {
    /// The stream ended or failed; there is no client to answer.
    Closed,
    /// The request breaks a rule: the status that it is answered with, and the rule.
    Refused(u16, String),
}

impl From<io::Error> for Unread {
    fn from(_: io::Error) -> Self {
        Self::Closed
    }
}

fn refused(status: u16, rule: &str) -> Unread {
    Unread::Refused(status, rule.to_owned())
}

/// Reads the next request, and answers its `Expect: 100-continue`.
pub(crate) fn read_request<S: Read + Write>(stream: &mut BufReader<S>) -> Result<Request, Unread> {
    // A client that begins with something else, such as a TLS client, would never end its head.
    match stream.fill_buf()?.first() {
        None => return Err(Unread::Closed),
        Some(first) if !first.is_ascii_alphabetic() => return Err(refused(400, "that is no HTTP")),
        Some(_) => {}
    }
    let began = Utc::now();
    let mut request = parse_head(&read_head(stream)?, began)?;
    let chunked = match only(&request, "transfer-encoding")? {
        Some(coding) if coding.eq_ignore_ascii_case("chunked") => true,
        Some(_) => return Err(refused(501, "the only transfer encoding known is chunked")),
        None => false,
    };
    let length = match only(&request, "content-length")? {
        Some(_) if chunked => return Err(refused(400, "Content-Length and Transfer-Encoding exclude each other")),
        Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            text.parse::<usize>().map_err(|_| refused(400, "Content-Length is not a length"))?
        }
        Some(_) => return Err(refused(400, "Content-Length is not a number")),
        None => 0,
    };
    if length > MAX_BODY {
        return Err(too_large());
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
            return Err(refused(431, "the request's head is too large"));
        }
        if stream.by_ref().take(room as u64).read_until(b'\n', &mut head)? == 0 {
            return Err(Unread::Closed);
        }
    }
    Ok(head)
}

fn parse_head(head: &[u8], began: DateTime<Utc>) -> Result<Request, Unread> {
    let mut slots = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut slots);
    match parsed.parse(head) {
        Ok(Status::Complete(_)) => {}
        Ok(Status::Partial) => return Err(refused(400, "the request's head is not whole")),
        Err(httparse::Error::TooManyHeaders) => return Err(refused(431, "there are too many headers")),
        Err(error) => return Err(refused(400, &format!("the request's head is malformed: {error}"))),
    }
    let target = parsed.path.unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let headers = parsed.headers.iter().map(|header| (header.name.to_owned(), text(header.value))).collect();
    let mut request = Request {
        began,
        method: parsed.method.unwrap_or_default().to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
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
        return Err(refused(400, &format!("{name} is given more than once")));
    }
    Ok(request.header(name))
}

fn read_chunks(stream: &mut impl BufRead) -> Result<Vec<u8>, Unread> {
    let mut body = Vec::new();
    loop {
        let size = match httparse::parse_chunk_size(&read_line(stream)?) {
            Ok(Status::Complete((_, size))) => size,
            _ => return Err(refused(400, "a chunk does not begin with its size")),
        };
        if size == 0 {
            break;
        }
        // A size that does not fit into usize is too large as well.
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        if size > MAX_BODY.saturating_sub(body.len()) {
            return Err(too_large());
        }
        body.append(&mut read_exactly(stream, size)?);
        if read_line(stream)? != b"\r\n" {
            return Err(refused(400, "a chunk is longer than its size"));
        }
    }
    // Trailers say nothing that matters here.
    for _ in 0..MAX_HEADERS {
        if read_line(stream)? == b"\r\n" {
            return Ok(body);
        }
    }
    Err(refused(431, "there are too many trailers"))
}

fn read_exactly(stream: &mut impl BufRead, length: usize) -> Result<Vec<u8>, Unread> {
    let mut bytes = Vec::new();
    stream.by_ref().take(length as u64).read_to_end(&mut bytes)?;
    if bytes.len() < length { Err(Unread::Closed) } else { Ok(bytes) }
}

fn read_line(stream: &mut impl BufRead) -> Result<Vec<u8>, Unread> {
    let mut line = Vec::new();
    stream.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)?;
    match line.last() {
        Some(b'\n') => Ok(line),
        Some(_) if line.len() as u64 == MAX_LINE => Err(refused(400, "a line of the chunked body is too long")),
        _ => Err(Unread::Closed),
    }
}

fn too_large() -> Unread {
    refused(413, &format!("the body is larger than {MAX_BODY} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    /// What a client sends, and what it is sent.
    struct Wire(Cursor<Vec<u8>>, Vec<u8>);

    impl Read for Wire {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl Write for Wire {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn wire(text: &str) -> BufReader<Wire> {
        // A tiny buffer, so that every boundary falls somewhere inside.
        BufReader::with_capacity(3, Wire(Cursor::new(text.as_bytes().to_vec()), Vec::new()))
    }

    #[test]
    fn requests_that_break_a_rule_are_refused() {
        let long = "x".repeat(MAX_HEAD);
        let many = "X: y\r\n".repeat(MAX_HEADERS + 1);
        let chunked = "Transfer-Encoding: chunked\r\n";
        for (rest, status) in [
            ("Content-Length: two\r\n\r\n", 400),
            ("Content-Length: +2\r\n\r\nab", 400),
            ("Content-Length: 99999999999999999999999\r\n\r\n", 400),
            ("Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc", 400),
            ("Content-Length: 4194305\r\n\r\n", 413),
            ("Content-Length: 4194305\r\nExpect: 100-continue\r\n\r\n", 413),
            ("Transfer-Encoding: gzip\r\n\r\n", 501),
            ("No colon\r\n\r\n", 400),
            (&format!("X: {long}\r\n\r\n"), 431),
            (&format!("{many}\r\n"), 431),
            (&format!("{chunked}Content-Length: 2\r\n\r\n0\r\n\r\n"), 400),
            (&format!("{chunked}\r\nx\r\n"), 400),
            (&format!("{chunked}\r\n2\r\nabc\r\n0\r\n\r\n"), 400),
            (&format!("{chunked}\r\n400001\r\n"), 413),
            (&format!("{chunked}\r\nffffffffffffffff\r\n"), 413),
            (&format!("{chunked}\r\n{long}"), 400),
            (&format!("{chunked}\r\n0\r\n{many}\r\n"), 431),
        ] {
            match read_request(&mut wire(&format!("POST / HTTP/1.1\r\n{rest}"))) {
                Err(Unread::Refused(found, _)) => assert_eq!(found, status, "{rest:.60}"),
                other => panic!("{rest:.60}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_stream_that_ends_early_is_closed_without_an_answer() {
        for text in [
            "",
            "POST / HTT",
            "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n",
        ] {
            assert!(matches!(read_request(&mut wire(text)), Err(Unread::Closed)), "{text}");
        }
    }

    #[test]
    fn requests_follow_each_other_on_one_stream() {
        let mut stream = wire(
            "POST /a?b=c HTTP/1.1\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n\
             2;x=y\r\nab\r\n1\r\nc\r\n0\r\nTrailer: t\r\n\r\n\
             GET /d HTTP/1.1\r\nConnection: close\r\n\r\n",
        );
        let first = read_request(&mut stream).unwrap();
        assert_eq!(
            (first.path.as_str(), first.query.as_str(), first.body.as_slice()),
            ("/a", "b=c", b"abc".as_slice())
        );
        assert_eq!(stream.get_ref().1, b"HTTP/1.1 100 Continue\r\n\r\n");
        let second = read_request(&mut stream).unwrap();
        assert_eq!((second.path.as_str(), second.keep_alive), ("/d", false));
        assert!(first.keep_alive);
    }
}
