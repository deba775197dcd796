//! Answers: values that become bytes in one place.
//!
//! - What an answer says and how it goes over the wire are two things: an unkind manner needs no other content.
//! - Every manner ends: the longest one after [`FLOOD`] bytes, a slow one when the collector stops.

use std::io::{self, Write};
use std::time::Duration;

use serde_json::{Value, json};

/// Far more than a client should ever take in, yet an end for one that does.
const FLOOD: usize = 64 * 1024 * 1024;
/// A line of filling in a head.
const FILLER: &[u8] = b"X-Filler: more and more and more and more and more and more\r\n";

/// How an answer goes over the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// As it is.
    Whole,
    /// Without the second half of its body, though its length says otherwise.
    Truncated,
    /// Byte by byte, with this pause before each.
    Slow(Duration),
    /// Not at all.
    Nothing,
    /// As bytes that are not HTTP.
    Garbage,
    /// As a head that goes on for [`FLOOD`] bytes and has no end.
    EndlessHead,
    /// With [`FLOOD`] blanks behind its body, as a part of it.
    Padded,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) manner: Manner,
}

impl Answer {
    pub(crate) fn new(status: u16, content_type: &str, body: Vec<u8>) -> Self {
        Self { status, headers: vec![("Content-Type", content_type.to_owned())], body, manner: Manner::Whole }
    }

    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::new(status, "application/json; charset=utf-8", body.to_string().into_bytes())
    }

    /// Refuses a request as a whole, in the form of the service.
    pub(crate) fn refusal(status: u16, message: &str) -> Self {
        let error = json!({ "index": 0, "statusCode": status, "message": message });
        Self::json(status, &json!({ "itemsReceived": 0, "itemsAccepted": 0, "errors": [error] }))
    }

    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// Tells whether another request can follow on the same connection.
    pub(crate) fn keeps_alive(&self) -> bool {
        matches!(self.manner, Manner::Whole | Manner::Slow(_))
    }

    /// Returns the head, for a body of this length.
    fn head(&self, length: usize) -> String {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        if self.has_body() {
            head += &format!("Content-Length: {length}\r\n");
        }
        head + "\r\n"
    }

    /// An interim answer and two of the final ones have neither length nor body.
    fn has_body(&self) -> bool {
        self.status >= 200 && !matches!(self.status, 204 | 304)
    }

    fn to_bytes(&self) -> Vec<u8> {
        let body = if self.has_body() { self.body.as_slice() } else { b"" };
        [self.head(body.len()).as_bytes(), body].concat()
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        // The phrase may be empty.
        _ => "",
    }
}

/// Writes an answer in its manner. Every byte that the collector sends goes through here; `pause` waits, and tells whether to
/// go on.
pub(crate) fn write_answer(
    stream: &mut impl Write,
    answer: &Answer,
    pause: impl Fn(Duration) -> bool,
) -> io::Result<()> {
    match answer.manner {
        Manner::Whole => stream.write_all(&answer.to_bytes())?,
        Manner::Truncated => {
            stream.write_all(answer.head(answer.body.len()).as_bytes())?;
            stream.write_all(answer.body.split_at(answer.body.len() / 2).0)?;
        }
        Manner::Slow(between) => {
            for byte in answer.to_bytes() {
                if !pause(between) {
                    break;
                }
                stream.write_all(&[byte])?;
                stream.flush()?;
            }
        }
        Manner::Nothing => {}
        Manner::Garbage => stream.write_all(b"\x00\x15\x03\xff what HTTP is not \x1b\x7f\r\n\r\n")?,
        Manner::EndlessHead => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
            flood(stream, FILLER)?;
        }
        Manner::Padded => {
            stream.write_all(answer.head(answer.body.len() + FLOOD).as_bytes())?;
            stream.write_all(&answer.body)?;
            flood(stream, b" ")?;
        }
    }
    stream.flush()
}

/// Writes the piece again and again, [`FLOOD`] bytes in all.
fn flood(stream: &mut impl Write, piece: &[u8]) -> io::Result<()> {
    let block: Vec<u8> = piece.iter().copied().cycle().take(64 * 1024).collect();
    (0..FLOOD / block.len()).try_for_each(|_| stream.write_all(&block))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(answer: &Answer) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_answer(&mut bytes, answer, |_| true).unwrap();
        bytes
    }

    #[test]
    fn an_answer_becomes_exactly_these_bytes() {
        let head = "HTTP/1.1 405 Method Not Allowed\r\nContent-Type: text/plain\r\nAllow: POST\r\n";
        let whole = Answer::new(405, "text/plain", b"no".to_vec()).with("Allow", "POST");
        let manner = |manner| Answer { manner, ..whole.clone() };
        for (answer, text) in [
            (whole.clone(), format!("{head}Content-Length: 2\r\n\r\nno")),
            (manner(Manner::Slow(Duration::ZERO)), format!("{head}Content-Length: 2\r\n\r\nno")),
            (manner(Manner::Truncated), format!("{head}Content-Length: 2\r\n\r\nn")),
            (manner(Manner::Nothing), String::new()),
            (Answer { status: 204, headers: vec![], ..whole.clone() }, "HTTP/1.1 204 \r\n\r\n".to_owned()),
        ] {
            assert_eq!(String::from_utf8(written(&answer)).unwrap(), text);
        }
    }

    #[test]
    fn a_padded_body_is_as_long_as_its_head_says() {
        let padded = Answer { manner: Manner::Padded, ..Answer::new(200, "text/plain", b"yes".to_vec()) };
        let bytes = written(&padded);
        let length = FLOOD + 3;
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n");
        assert!(bytes.starts_with((head.clone() + "yes  ").as_bytes()));
        assert_eq!(bytes.len(), head.len() + length);
    }

    #[test]
    fn a_slow_answer_ends_when_there_is_no_going_on() {
        let mut bytes = Vec::new();
        let slow = Answer { manner: Manner::Slow(Duration::MAX), ..Answer::refusal(503, "busy") };
        write_answer(&mut bytes, &slow, |_| false).unwrap();
        assert!(bytes.is_empty());
    }
}
