//! Replies in order, for all requests or for those of one instrumentation key, and their compact form as text.

use std::collections::{HashMap, VecDeque};
use std::error::Error;
use std::fmt;
use std::iter::repeat_n;
use std::str::FromStr;
use std::time::Duration;

use crate::reply::{Reply, RetryAfter};

/// A text is not to make the collector keep more replies than this.
const MAX_REPLIES: usize = 10_000;

/// Replies for the requests to come: each takes the next one, and when there are none left, `then`.
///
/// As text: words with commas between them, such as `503,429:120,206:0=500;2=429,drop*3,ok`.
///
/// | word | reply |
/// |---|---|
/// | `ok` | [`Reply::Normal`] |
/// | `503` | [`Reply::Status`]: any from 200 to 599 |
/// | `429:120` | [`Reply::RetryAfter`], in seconds |
/// | `429:@120` | [`Reply::RetryAfter`], as the date 120 seconds after the request |
/// | `206:0=500;2=429` | [`Reply::Partial`]: each index with its status |
/// | `307:URL` | [`Reply::Redirect`]: any from 300 to 399 |
/// | `truncated` | [`Reply::Truncated`] |
/// | `slow:50` | [`Reply::Slow`], in milliseconds |
/// | `silent` | [`Reply::Silent`] |
/// | `drop` | [`Reply::Drop`] |
/// | `lost` | [`Reply::Lost`] |
/// | `garbage` | [`Reply::Garbage`] |
/// | `endless` | [`Reply::EndlessHead`] |
/// | `huge` | [`Reply::OversizedBody`] |
/// | `hold`, `hold/503` | [`Reply::Hold`], which then goes on as usual, or with the word behind the `/` |
///
/// A `*3` behind a word repeats it three times, a `*` behind the last one for ever.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Script {
    /// One for each request, in order.
    pub replies: VecDeque<Reply>,
    /// The reply when there are no more; `None` leaves it to what applies otherwise.
    pub then: Option<Reply>,
}

impl From<&[Reply]> for Script {
    fn from(replies: &[Reply]) -> Self {
        Self { replies: replies.iter().cloned().collect(), then: None }
    }
}

impl Script {
    fn next(&mut self) -> Option<Reply> {
        self.replies.pop_front().or_else(|| self.then.clone())
    }
}

/// Why a text is no [`Script`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptError {
    word: String,
    reason: &'static str,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "the reply `{:.80}` is not understood: {}", self.word, self.reason)
    }
}

impl Error for ScriptError {}

impl FromStr for Script {
    type Err = ScriptError;

    fn from_str(text: &str) -> Result<Self, ScriptError> {
        let mut script = Self::default();
        if text.trim().is_empty() {
            return Ok(script);
        }
        for part in text.split(',').map(str::trim) {
            let bad = |reason| ScriptError { word: part.to_owned(), reason };
            if script.then.is_some() {
                return Err(bad("nothing can follow what is repeated for ever"));
            }
            let (word, times) = part.rsplit_once('*').unwrap_or((part, "1"));
            let reply = reply(word).map_err(bad)?;
            if times.is_empty() {
                script.then = Some(reply);
                continue;
            }
            let times = number(times).ok_or_else(|| bad("behind `*` stands how often"))?;
            if times > MAX_REPLIES - script.replies.len() {
                return Err(bad("that makes more than 10000 replies"));
            }
            script.replies.extend(repeat_n(reply, times));
        }
        Ok(script)
    }
}

fn reply(word: &str) -> Result<Reply, &'static str> {
    if let Some(then) = word.strip_prefix("hold/") {
        // Nesting, which would be of no use, could go deeper than the stack.
        return if then.starts_with("hold") { Err("a hold cannot hold") } else { Ok(Reply::Hold(reply(then)?.into())) };
    }
    let (name, value) = match word.split_once(':') {
        Some((name, value)) => (name, Some(value)),
        None => (word, None),
    };
    Ok(match (name, value) {
        ("ok", None) => Reply::Normal,
        ("truncated", None) => Reply::Truncated,
        ("silent", None) => Reply::Silent,
        ("drop", None) => Reply::Drop,
        ("lost", None) => Reply::Lost,
        ("garbage", None) => Reply::Garbage,
        ("endless", None) => Reply::EndlessHead,
        ("huge", None) => Reply::OversizedBody,
        ("hold", None) => Reply::hold(),
        ("slow", Some(pause)) => {
            let pause = number::<u32>(pause).ok_or("the pause is a number of milliseconds")?;
            Reply::Slow(Duration::from_millis(pause.into()))
        }
        ("206", Some(items)) => Reply::Partial(items.split(';').map(refused).collect::<Result<_, _>>()?),
        (code, None) => Reply::Status(status(code)?),
        (code, Some(url)) if url.starts_with("http") => {
            if !code.starts_with('3') || url.chars().any(|c| c.is_whitespace() || c.is_control()) {
                return Err("a redirect has a status from 300 to 399 and a URL without blanks");
            }
            Reply::Redirect(status(code)?, url.to_owned())
        }
        (code, Some(value)) => {
            let seconds = "behind the status stands a number of seconds, or one behind `@`";
            let when = match value.strip_prefix('@') {
                Some(date) => RetryAfter::DateIn(number(date).ok_or(seconds)?),
                None => RetryAfter::Seconds(number(value).ok_or(seconds)?),
            };
            Reply::RetryAfter(status(code)?, when)
        }
    })
}

fn refused(text: &str) -> Result<(usize, u16), &'static str> {
    let (index, code) = text.split_once('=').ok_or("an item is its index, `=` and its status")?;
    Ok((number(index).ok_or("the index is a number")?, status(code)?))
}

fn status(text: &str) -> Result<u16, &'static str> {
    number(text).filter(|status| (200..600).contains(status)).ok_or("it is neither a word nor a status from 200 to 599")
}

/// Parses digits and nothing else.
fn number<T: FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// The scripts that apply: one for each key that has its own, and one under the empty key for all requests.
#[derive(Default)]
pub(crate) struct Plan(HashMap<String, Script>);

impl Plan {
    /// Appends a script to what is planned for the key, in lower case; an empty one clears that.
    pub(crate) fn add(&mut self, ikey: &str, mut script: Script) {
        if script == Script::default() {
            self.0.remove(ikey);
            return;
        }
        let known = self.0.entry(ikey.to_owned()).or_default();
        known.replies.append(&mut script.replies);
        known.then = script.then.or(known.then.take());
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Takes the reply for a request with this key, in lower case.
    pub(crate) fn next(&mut self, ikey: &str) -> Reply {
        let own = self.0.get_mut(ikey).and_then(Script::next);
        own.or_else(|| self.0.get_mut("").and_then(Script::next)).unwrap_or(Reply::Normal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_is_its_reply() {
        let then = |reply: Reply| Script { replies: VecDeque::new(), then: Some(reply) };
        for (text, script) in [
            ("", Script::default()),
            (" \r\n", Script::default()),
            ("503", [Reply::Status(503)].as_slice().into()),
            ("429:120", [Reply::RetryAfter(429, RetryAfter::Seconds(120))].as_slice().into()),
            ("429:@0", [Reply::RetryAfter(429, RetryAfter::DateIn(0))].as_slice().into()),
            ("206:0=500;2=429", [Reply::Partial(vec![(0, 500), (2, 429)])].as_slice().into()),
            ("308:http://a:1/b", [Reply::Redirect(308, "http://a:1/b".to_owned())].as_slice().into()),
            ("slow:50", [Reply::Slow(Duration::from_millis(50))].as_slice().into()),
            ("hold/lost", [Reply::Hold(Reply::Lost.into())].as_slice().into()),
            ("ok, truncated\n,silent", [Reply::Normal, Reply::Truncated, Reply::Silent].as_slice().into()),
            ("drop*2,garbage*0", [Reply::Drop, Reply::Drop].as_slice().into()),
            ("endless,huge", [Reply::EndlessHead, Reply::OversizedBody].as_slice().into()),
            ("hold*", then(Reply::hold())),
        ] {
            assert_eq!(text.parse(), Ok(script), "{text}");
        }
    }

    #[test]
    fn other_words_are_refused() {
        let words = "503,|x|50|600|+503|503:|429:soon|429:@|206:|206:0|206:x=500|206:0=1|slow|slow:x|ok:1|503:http://a|\
                     307:http://a b|503*x|503*,ok|503*10001|503*9999,503*2|hold/hold|hold/hold/503|hold/x";
        for text in words.split('|') {
            let error = text.parse::<Script>().unwrap_err();
            assert!(error.to_string().contains("is not understood"), "{text}: {error}");
        }
    }
}
