//! Judges a request to a track path: what it holds and what of it is taken. Pure functions, the time comes in.
//!
//! - A bad item costs only itself; a body that cannot be read is refused as a whole.

use std::io::Read;

use chrono::{DateTime, Utc};
use flate2::bufread::GzDecoder;
use loopback::Request;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::envelope::check;
use crate::verdict::{Refusal, Verdict};

/// Bounds what a small gzip body can grow to: four times the largest body as sent.
const MAX_PLAIN: u64 = 16 * 1024 * 1024;

/// Judges the request as of `now`.
pub(crate) fn judge(request: &Request, now: DateTime<Utc>) -> Verdict {
    let content_type = request.header("content-type").unwrap_or_default();
    let array_allowed = match content_type.split(';').next().unwrap_or_default().trim() {
        "application/json" => true,
        "application/x-json-stream" => false,
        _ => return Verdict::whole(415, 0, &format!("the content type `{content_type}` is not JSON")),
    };
    let plain = match plain(request) {
        Ok(plain) => plain,
        Err((status, message)) => return Verdict::whole(status, 0, &message),
    };
    let Ok(text) = str::from_utf8(&plain) else {
        return Verdict::whole(400, plain.len(), "the body is not UTF-8");
    };
    let (mut items, mut errors) = (Vec::new(), Vec::new());
    for (index, text) in split(text, array_allowed).into_iter().enumerate() {
        let (envelope, refusal) = item(text, now);
        items.push(envelope);
        errors.extend(refusal.map(|message| Refusal { index, status_code: 400, message }));
    }
    let status = match errors.len() {
        _ if items.is_empty() => return Verdict::whole(400, plain.len(), "the body holds no item"),
        0 => 200,
        refused if refused == items.len() => 400,
        _ => 206,
    };
    Verdict { status, plain_bytes: plain.len(), count: items.len(), items, errors }
}

/// Returns the body uncompressed.
fn plain(request: &Request) -> Result<Vec<u8>, (u16, String)> {
    match request.header("content-encoding").unwrap_or("identity") {
        "identity" => Ok(request.body.clone()),
        "gzip" => {
            let mut plain = Vec::new();
            let mut decoder = GzDecoder::new(request.body.as_slice()).take(MAX_PLAIN + 1);
            decoder.read_to_end(&mut plain).map_err(|error| (400, format!("the body is not gzip: {error}")))?;
            if plain.len() as u64 > MAX_PLAIN {
                return Err((413, format!("the body is larger than {MAX_PLAIN} bytes uncompressed")));
            }
            if !decoder.into_inner().into_inner().is_empty() {
                return Err((400, "the gzip body goes on behind its end".to_owned()));
            }
            Ok(plain)
        }
        other => Err((415, format!("the content encoding `{other}` is neither gzip nor identity"))),
    }
}

/// Cuts a body into the texts of its items. SDKs send lines under the content type of an array too.
fn split(text: &str, array_allowed: bool) -> Vec<&str> {
    if array_allowed {
        if let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(text) {
            return items.into_iter().map(RawValue::get).collect();
        }
        if let Ok(item) = serde_json::from_str::<&RawValue>(text) {
            return vec![item.get()];
        }
    }
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
}

/// Returns the item, as its text if it is not JSON, and why it is refused.
fn item(text: &str, now: DateTime<Utc>) -> (Value, Option<String>) {
    match serde_json::from_str(text) {
        Ok(envelope) => {
            let refusal = check(text, &envelope, now).err();
            (envelope, refusal)
        }
        Err(error) => (json!(text), Some(format!("100: Invalid JSON: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    const NOW: &str = "2026-11-24T12:00:00Z";
    /// Its members are not in the order of their names.
    const GOOD: &str = r#"{"name":"Event","time":"2026-11-24T11:59:58Z","iKey":"11111111-2222-4333-8444-555555555555","tags":{"ai.user.id":"u","ai.cloud.role":"na"},"data":{"baseType":"EventData","baseData":{"ver":2,"name":"NewSession","measurements":{"ElapsedMs":153.25,"Count":2}}}}"#;

    fn now() -> DateTime<Utc> {
        NOW.parse().unwrap()
    }

    fn request(content_type: &str, encoding: Option<&str>, body: &[u8]) -> Request {
        let mut headers = vec![("Content-Type".to_owned(), content_type.to_owned())];
        headers.extend(encoding.map(|encoding| ("Content-Encoding".to_owned(), encoding.to_owned())));
        Request {
            began: now(),
            method: "POST".to_owned(),
            path: "/v2.1/track".to_owned(),
            query: String::new(),
            headers,
            body: body.to_vec(),
            keep_alive: true,
            modern: true,
        }
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn bodies_are_cut_into_items() {
        let stream = "application/x-json-stream";
        let json = "application/json; charset=utf-8";
        let lines = format!("{GOOD}\r\n\n{GOOD}");
        let array = format!("[\n{GOOD},{GOOD}]");
        let indented = format!("{:#}", serde_json::from_str::<Value>(GOOD).unwrap());
        for (content_type, body, items, status) in [
            (stream, lines.as_str(), 2, 200),
            (json, &lines, 2, 200),
            (json, &array, 2, 200),
            (json, &indented, 1, 200),
            (stream, &array, 2, 400),
            (json, "[]", 0, 400),
            (json, "", 0, 400),
            (stream, "{", 1, 400),
            ("text/plain", GOOD, 0, 415),
        ] {
            let verdict = judge(&request(content_type, None, body.as_bytes()), now());
            assert_eq!((verdict.count, verdict.status), (items, status), "{content_type} {body:.40}");
        }
    }

    #[test]
    fn bodies_that_cannot_be_read_are_refused_as_a_whole() {
        let bomb = gzip(&vec![b' '; MAX_PLAIN as usize + 1]);
        let good = gzip(GOOD.as_bytes());
        let cut = &good[..good.len() - 4];
        let longer = [good.as_slice(), b"more"].concat();
        for (encoding, body, status) in [
            (Some("gzip"), good.as_slice(), 200),
            (Some("identity"), GOOD.as_bytes(), 200),
            (Some("gzip"), cut, 400),
            (Some("gzip"), &longer, 400),
            (Some("gzip"), GOOD.as_bytes(), 400),
            (Some("gzip"), &bomb, 413),
            (Some("br"), GOOD.as_bytes(), 415),
            (None, b"\xff\xfe", 400),
        ] {
            let verdict = judge(&request("application/x-json-stream", encoding, body), now());
            assert_eq!(verdict.status, status, "{encoding:?}");
            assert_eq!(verdict.items.len(), 1, "{encoding:?}");
            assert_eq!(verdict.refusal(0).is_some(), status != 200, "{encoding:?}");
        }
    }
}
