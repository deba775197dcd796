//! SPNEGO: the DER wrapping in which `Negotiate` carries the messages of a mechanism.
//!
//! Only what a server needs for NTLM is read and written; a part that is not understood makes the whole token refused.

/// The object ids of SPNEGO and of NTLM, in DER with tag and length.
const SPNEGO: &[u8] = &[6, 6, 0x2b, 6, 1, 5, 5, 2];
const NTLMSSP: &[u8] = &[6, 10, 0x2b, 6, 1, 4, 1, 0x82, 0x37, 2, 2, 10];

const SEQUENCE: u8 = 0x30;
const OCTETS: u8 = 4;

/// What a client sends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// Its first message: the list of its mechanisms as it stands there, and the first of them's token.
    Init {
        mechanisms: &'a [u8],
        /// NTLM is in the list, and whether it comes first.
        ntlm_first: Option<bool>,
        token: Option<&'a [u8]>,
    },
    /// Any later one.
    Response { token: Option<&'a [u8]>, mic: Option<&'a [u8]> },
}

/// How far the negotiation is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum State {
    Completed = 0,
    Incomplete = 1,
    /// NTLM is not what the client wanted most, so both sides sign the list.
    RequestMic = 3,
}

/// Reads a token of a client.
pub(crate) fn read(bytes: &[u8]) -> Option<Token<'_>> {
    if let Some(body) = inside(bytes, 0x60) {
        let parts = inside(inside(body.strip_prefix(SPNEGO)?, 0xa0)?, SEQUENCE)?;
        let mechanisms = member(parts, 0xa0)?;
        let list = elements(inside(mechanisms, SEQUENCE)?)?;
        let place = list.iter().position(|mechanism| mechanism.whole == NTLMSSP);
        let token = member(parts, 0xa2).and_then(|part| inside(part, OCTETS));
        return Some(Token::Init { mechanisms, ntlm_first: place.map(|place| place == 0), token });
    }
    let parts = inside(inside(bytes, 0xa1)?, SEQUENCE)?;
    let octets = |tag| member(parts, tag).and_then(|part| inside(part, OCTETS));
    Some(Token::Response { token: octets(0xa2), mic: octets(0xa3) })
}

/// Returns an answer of the server.
pub(crate) fn respond(state: State, name_mechanism: bool, token: Option<&[u8]>, mic: Option<&[u8]>) -> Vec<u8> {
    let mut parts = wrap(0xa0, &[10, 1, state as u8]);
    if name_mechanism {
        parts.extend(wrap(0xa1, NTLMSSP));
    }
    for (tag, octets) in [(0xa2, token), (0xa3, mic)] {
        parts.extend(octets.map(|octets| wrap(tag, &wrap(OCTETS, octets))).unwrap_or_default());
    }
    wrap(0xa1, &wrap(SEQUENCE, &parts))
}

/// Puts tag and length before a value.
pub(crate) fn wrap(tag: u8, value: &[u8]) -> Vec<u8> {
    let size = u32::try_from(value.len()).unwrap_or(u32::MAX).to_be_bytes();
    let head = match size {
        [0, 0, 0, short @ 0..=0x7f] => vec![tag, short],
        [0, 0, 0, a] => vec![tag, 0x81, a],
        [0, 0, a, b] => vec![tag, 0x82, a, b],
        [a, b, c, d] => vec![tag, 0x84, a, b, c, d],
    };
    [head.as_slice(), value].concat()
}

struct Element<'a> {
    tag: u8,
    value: &'a [u8],
    /// With tag and length.
    whole: &'a [u8],
}

/// Splits off the first element, and returns what follows it too.
fn split(bytes: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (tag, size, head) = match bytes {
        [tag, short @ 0..=0x7f, ..] => (*tag, usize::from(*short), 2_usize),
        [tag, 0x81, a, ..] => (*tag, usize::from(*a), 3),
        [tag, 0x82, a, b, ..] => (*tag, usize::from(u16::from_be_bytes([*a, *b])), 4),
        // Longer than any header.
        _ => return None,
    };
    let (whole, rest) = bytes.split_at_checked(head.checked_add(size)?)?;
    Some((Element { tag, value: whole.get(head..)?, whole }, rest))
}

/// Returns the value of bytes that are exactly one element of this tag.
fn inside(bytes: &[u8], expected: u8) -> Option<&[u8]> {
    let (element, rest) = split(bytes)?;
    (element.tag == expected && rest.is_empty()).then_some(element.value)
}

fn elements(mut bytes: &[u8]) -> Option<Vec<Element<'_>>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let (element, rest) = split(bytes)?;
        found.push(element);
        bytes = rest;
    }
    Some(found)
}

/// Returns the value of the element with this tag.
fn member(bytes: &[u8], expected: u8) -> Option<&[u8]> {
    elements(bytes)?.into_iter().find(|element| element.tag == expected).map(|element| element.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn init(mechanisms: &[&[u8]], token: Option<&[u8]>) -> Vec<u8> {
        let mut parts = wrap(0xa0, &wrap(SEQUENCE, &mechanisms.concat()));
        parts.extend(token.map(|token| wrap(0xa2, &wrap(OCTETS, token))).unwrap_or_default());
        wrap(0x60, &[SPNEGO, &wrap(0xa0, &wrap(SEQUENCE, &parts))].concat())
    }

    #[test]
    fn the_first_message_says_where_ntlm_stands() {
        let kerberos: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 2];
        let long = [b'x'; 300];
        for (list, first, token) in [
            ([NTLMSSP].as_slice(), Some(true), Some(long.as_slice())),
            (&[kerberos, NTLMSSP], Some(false), None),
            (&[kerberos], None, Some(b"t")),
        ] {
            let bytes = init(list, token);
            let mechanisms = wrap(SEQUENCE, &list.concat());
            let expected = Token::Init { mechanisms: &mechanisms, ntlm_first: first, token };
            assert_eq!(read(&bytes), Some(expected));
            for end in 0..bytes.len() {
                assert_eq!(read(&bytes[..end]), None);
            }
        }
    }

    #[test]
    fn what_is_written_can_be_read() {
        let bytes = respond(State::Incomplete, true, Some(b"challenge"), Some(b"mic"));
        assert_eq!(read(&bytes), Some(Token::Response { token: Some(b"challenge"), mic: Some(b"mic") }));
        let bytes = respond(State::Completed, false, None, None);
        assert_eq!(bytes, [0xa1, 7, 0x30, 5, 0xa0, 3, 10, 1, 0]);
    }
}
