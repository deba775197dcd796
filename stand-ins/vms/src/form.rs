//! Forms and query strings: pairs of names and values, percent-decoded.

use std::io::Write;

use loopback::Request;

/// Tells whether the body is a form.
pub(crate) fn is_form(request: &Request) -> bool {
    let media = request.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default();
    media.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// Returns the pairs of a form or a query in order. A pair without `=` has no value, which is not the same as an empty one.
pub(crate) fn pairs(text: &str) -> Vec<(String, Option<String>)> {
    let pair = |pair: &str| match pair.split_once('=') {
        Some((name, value)) => (decode(name, true), Some(decode(value, true))),
        None => (decode(pair, true), None),
    };
    text.split('&').filter(|text| !text.is_empty()).map(pair).collect()
}

/// Decodes `%41`, and `+` as a blank where the text is a form's. What is no escape stays as it is.
pub(crate) fn decode(text: &str, form: bool) -> String {
    let mut rest = text.as_bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let [byte, tail @ ..] = rest {
        rest = tail;
        let digits = tail.first_chunk::<2>().filter(|pair| *byte == b'%' && pair.iter().all(u8::is_ascii_hexdigit));
        let digits = digits.and_then(|pair| str::from_utf8(pair).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(escaped) => {
                decoded.push(escaped);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => decoded.push(if *byte == b'+' && form { b' ' } else { *byte }),
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// Encodes a value for a query.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = Vec::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(byte);
        } else {
            // Writing into memory does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    String::from_utf8(encoded).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_and_what_is_none_stays() {
        for (text, plain) in [
            ("p%26w", "p&w"),
            ("a+b", "a b"),
            ("%C3%A6", "æ"),
            ("100%", "100%"),
            ("%4", "%4"),
            ("%zz%+1", "%zz% 1"),
            ("%ff", "\u{fffd}"),
        ] {
            assert_eq!(decode(text, true), plain, "{text}");
        }
        assert_eq!(decode("a+b", false), "a+b");
        assert_eq!(decode(&encode("a b&c=æ+%"), true), "a b&c=æ+%");
        assert_eq!(
            pairs("disabled&size=2&&x="),
            [
                ("disabled".to_owned(), None),
                ("size".to_owned(), Some("2".to_owned())),
                ("x".to_owned(), Some(String::new()))
            ]
        );
    }
}
