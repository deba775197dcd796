//! Forms and query strings: pairs of names and values, percent-decoded.

use loopback::Request;
use percent_encoding::percent_decode_str;

/// Tells whether the body is a form.
pub(crate) fn is_form(request: &Request) -> bool {
    let media = request.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default();
    media.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// Returns the pairs of a form or a query in order. A pair without `=` has no value, which is not the same as an empty one.
pub(crate) fn pairs(text: &str) -> Vec<(String, Option<String>)> {
    let decode = |text: &str| decode(&text.replace('+', " "));
    let pair = |pair: &str| match pair.split_once('=') {
        Some((name, value)) => (decode(name), Some(decode(value))),
        None => (decode(pair), None),
    };
    text.split('&').filter(|text| !text.is_empty()).map(pair).collect()
}

/// Decodes `%41`. What is no escape stays as it is.
pub(crate) fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_and_what_is_none_stays() {
        let value = |text: &str| Some(text.to_owned());
        assert_eq!(
            pairs("disabled&p%26w=%C3%A6+%zz%4&&x="),
            [("disabled".to_owned(), None), ("p&w".to_owned(), value("æ %zz%4")), ("x".to_owned(), value(""))]
        );
        assert_eq!(decode("a+b%20c"), "a+b c");
    }
}
