//! What a test can make the collector do with a request, and what that means for its items.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use loopback::{Answer, repeat};

use crate::verdict::Verdict;

/// Far more than a client should ever read, yet an end for one that does.
const FLOOD: usize = 64 * 1024 * 1024;

/// What the collector does with one request to a track path.
///
/// Every item of the request is recorded, whatever the reply; the reply decides whether it was taken
/// ([`Received::accepted`](crate::Received::accepted)) and with which [`Received::status`](crate::Received::status) the
/// request was answered, 0 standing for no whole answer. "As usual" means that the items are judged by the rules of the
/// service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Judges and answers as usual.
    Normal,
    /// Answers with this status (200 to 599). Below 300 the items are taken as usual, from there on none is.
    Status(u16),
    /// As [`Reply::Status`], with a `Retry-After` header.
    RetryAfter(u16, RetryAfter),
    /// Answers 206 and refuses the items at these indexes, each with its own status; the others are taken as usual. An index
    /// behind the last item stands in the answer all the same.
    Partial(Vec<(usize, u16)>),
    /// Answers with this status (307, 308) and this `Location`, a whole URL; no item is taken.
    Redirect(u16, String),
    /// Takes as usual, sends half of the answer's body under the length of the whole, and closes.
    Truncated,
    /// Takes and answers as usual, byte by byte, with this pause before each.
    Slow(Duration),
    /// Takes no item and never answers: the connection stays open, as held, until
    /// [`Collector::release`](crate::Collector::release) or the collector's end closes it.
    Silent,
    /// Takes no item and closes the connection without an answer.
    Drop,
    /// Takes as usual and closes the connection without an answer, so that the client cannot know.
    Lost,
    /// Takes no item, sends bytes that are not HTTP, and closes.
    Garbage,
    /// Takes no item and sends 64 MiB of headers that have no end.
    EndlessHead,
    /// Takes and answers as usual, but the body goes on for 64 MiB of blanks.
    OversizedBody,
    /// Holds the request until [`Collector::release`](crate::Collector::release), and only then records its items and goes on
    /// with this reply.
    Hold(Box<Reply>),
}

/// The value of a `Retry-After` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RetryAfter {
    /// This many seconds.
    Seconds(u64),
    /// The date this many seconds after the request.
    DateIn(u32),
    /// This text, for what is neither.
    Text(String),
}

impl RetryAfter {
    fn value(&self, now: DateTime<Utc>) -> String {
        match self {
            Self::Seconds(seconds) => seconds.to_string(),
            Self::DateIn(seconds) => {
                (now + TimeDelta::seconds(i64::from(*seconds))).format("%a, %d %b %Y %H:%M:%S GMT").to_string()
            }
            Self::Text(text) => text.clone(),
        }
    }
}

impl Reply {
    /// Returns a reply that holds the request and then goes on as usual.
    #[must_use]
    pub fn hold() -> Self {
        Self::Hold(Box::new(Self::Normal))
    }

    /// Changes what was judged as usual into what this reply makes of it, and answers that.
    pub(crate) fn apply(&self, mut verdict: Verdict, now: DateTime<Utc>) -> (Verdict, Answer) {
        match self {
            Self::Status(status) | Self::RetryAfter(status, _) | Self::Redirect(status, _) => verdict.decide(*status),
            Self::Partial(items) => verdict.refuse(items),
            Self::Lost => verdict.status = 0,
            Self::Silent | Self::Drop | Self::Garbage | Self::EndlessHead => verdict.ignore(),
            Self::Normal | Self::Truncated | Self::Slow(_) | Self::OversizedBody => {}
            Self::Hold(then) => return then.apply(verdict, now),
        }
        let answer = verdict.answer();
        let answer = match self {
            Self::RetryAfter(_, when) => answer.with("Retry-After", when.value(now)),
            Self::Redirect(_, url) => answer.with("Location", url),
            Self::Truncated => answer.truncated(),
            Self::Slow(pause) => answer.slowly(*pause),
            Self::OversizedBody => answer.padded(FLOOD),
            Self::Lost | Self::Silent | Self::Drop => answer.cut(0),
            Self::Garbage => {
                Answer::raw(Box::new(|stream| stream.write_all(b"\x00\x15\x03\xff what HTTP is not \x1b\x7f\r\n\r\n")))
            }
            Self::EndlessHead => Answer::raw(Box::new(|stream| {
                stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
                repeat("X-Filler: more and more and more and more and more and more\r\n", FLOOD as u64, stream)
            })),
            _ => answer,
        };
        (verdict, answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: DateTime<Utc> = "2026-11-24T12:00:00.75Z".parse().unwrap();
        for (value, text) in [
            (RetryAfter::Seconds(120), "120"),
            (RetryAfter::DateIn(43_200), "Wed, 25 Nov 2026 00:00:00 GMT"),
            (RetryAfter::DateIn(u32::MAX), "Fri, 31 Dec 2162 18:28:15 GMT"),
            (RetryAfter::Text("soon".to_owned()), "soon"),
        ] {
            assert_eq!(value.value(now), text);
        }
    }
}
