//! The body of a request, of known length or in chunks.

use std::io::{BufRead, Read};

use httparse::Status;

use crate::request::{MAX_BODY, MAX_HEADERS, Unread, refused};

/// Size line of a chunk, or a trailer.
const MAX_LINE: u64 = 4096;

pub(crate) fn read_chunks(stream: &mut impl BufRead) -> Result<Vec<u8>, Unread> {
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

pub(crate) fn read_exactly(stream: &mut impl BufRead, length: usize) -> Result<Vec<u8>, Unread> {
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

pub(crate) fn too_large() -> Unread {
    refused(413, &format!("the body is larger than {MAX_BODY} bytes"))
}
