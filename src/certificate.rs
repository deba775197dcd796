//! Reads the parts of a certificate that help a user to see why it was refused.
//!
//! This is for messages only. Whether a certificate is trusted is decided by WebPKI or Schannel; only the dates of one that the
//! system's store itself holds are checked with it (see [`crate::tls`]).

use std::net::IpAddr;

use chrono::{DateTime, NaiveDateTime, Utc};

/// A message with more names helps no further.
const NAME_LIMIT: usize = 8;

/// Tags of DER.
const SEQUENCE: u8 = 0x30;
const OBJECT_ID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const VERSION: u8 = 0xA0;
const EXTENSIONS: u8 = 0xA3;
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;
/// The object id of the extension with the names.
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1D, 0x11];

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Certificate {
    /// Such as `CN=localhost`.
    pub(crate) subject: String,
    pub(crate) issuer: String,
    /// The first of the host names and addresses that it is for.
    pub(crate) names: Vec<String>,
    pub(crate) not_before: DateTime<Utc>,
    pub(crate) not_after: DateTime<Utc>,
}

impl Certificate {
    /// Reads a certificate in DER. `None`: it is none.
    pub(crate) fn read(der: &[u8]) -> Option<Self> {
        let (_, whole) = elements(der).next()?;
        let (_, body) = elements(whole).next()?;
        // Serial number, algorithm, issuer, validity, subject, key.
        let mut fields = elements(body).filter(|(tag, _)| *tag != VERSION).skip(2);
        let (_, issuer) = fields.next()?;
        let (_, validity) = fields.next()?;
        let (_, subject) = fields.next()?;
        let mut times = elements(validity).map(time);
        let extensions = fields.find(|(tag, _)| *tag == EXTENSIONS).and_then(|(_, content)| elements(content).next());
        let alternative_names = extensions.iter().flat_map(|(_, list)| elements(list)).find_map(|(_, extension)| {
            let mut parts = elements(extension);
            let is_wanted = parts.next()? == (OBJECT_ID, ALTERNATIVE_NAMES);
            // A flag may be between id and value.
            parts.last().filter(|_| is_wanted).and_then(|(_, value)| elements(value).next())
        });
        let names = alternative_names.iter().flat_map(|(_, list)| elements(list)).filter_map(name);
        Some(Self {
            subject: distinguished_name(subject),
            issuer: distinguished_name(issuer),
            names: names.take(NAME_LIMIT).collect(),
            not_before: times.next()??,
            not_after: times.next()??,
        })
    }
}

/// Returns tag and content of each element, up to what is not DER.
fn elements(mut input: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (&[tag, first], rest) = input.split_first_chunk()?;
        let (length, rest) = match first {
            0..=0x7F => (usize::from(first), rest),
            // The length of the length.
            0x81..=0x83 => {
                let (length, rest) = rest.split_at_checked(usize::from(first & 3))?;
                (length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        input = rest;
        Some((tag, content))
    })
}

/// Returns common name, organization and unit.
fn distinguished_name(name: &[u8]) -> String {
    let sets = elements(name).flat_map(|(_, set)| elements(set)).filter(|(tag, _)| *tag == SEQUENCE);
    let parts = sets.filter_map(|(_, pair)| {
        let mut pair = elements(pair);
        let kind = match pair.next()?.1 {
            [0x55, 0x04, 0x03] => "CN",
            [0x55, 0x04, 0x0A] => "O",
            [0x55, 0x04, 0x0B] => "OU",
            _ => return None,
        };
        Some(format!("{kind}={}", String::from_utf8_lossy(pair.next()?.1)))
    });
    parts.collect::<Vec<_>>().join(", ")
}

fn time((tag, text): (u8, &[u8])) -> Option<DateTime<Utc>> {
    let text = str::from_utf8(text).ok()?;
    // Two digits of a year are those of 1950 to 2049.
    let century = if tag != UTC_TIME {
        ""
    } else if text < "5" {
        "20"
    } else {
        "19"
    };
    Some(NaiveDateTime::parse_from_str(&format!("{century}{text}"), "%Y%m%d%H%M%SZ").ok()?.and_utc())
}

fn name((tag, content): (u8, &[u8])) -> Option<String> {
    match (tag, content.len()) {
        (DNS_NAME, _) => Some(String::from_utf8_lossy(content).into_owned()),
        (IP_ADDRESS, 4) => <[u8; 4]>::try_from(content).map(|bytes| IpAddr::from(bytes).to_string()).ok(),
        (IP_ADDRESS, _) => <[u8; 16]>::try_from(content).map(|bytes| IpAddr::from(bytes).to_string()).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vms_collector::tls::Authority;

    #[test]
    fn p7_a_certificate_is_read() {
        let authority = Authority::new().unwrap();
        let certificate = Certificate::read(authority.der()).unwrap();
        assert!(certificate.subject.starts_with("CN=VMS Collector test authority "), "{certificate:?}");
        assert_eq!((&certificate.issuer, certificate.names.len()), (&certificate.subject, 0));
        assert!(certificate.not_before < Utc::now() && certificate.not_after > Utc::now(), "{certificate:?}");
        assert_eq!(time((0x17, b"491231235959Z")).unwrap().to_rfc3339(), "2049-12-31T23:59:59+00:00");
        assert_eq!(time((0x17, b"500101000000Z")).unwrap().to_rfc3339(), "1950-01-01T00:00:00+00:00");
        assert_eq!(time((0x18, b"20500101000000Z")).unwrap().to_rfc3339(), "2050-01-01T00:00:00+00:00");
        assert_eq!(name((IP_ADDRESS, &[0; 16])).as_deref(), Some("::"));
        assert_eq!(name((IP_ADDRESS, &[0; 5])), None);
    }

    /// Whatever a server sends as its certificate, reading it ends without a panic.
    #[test]
    fn p7_no_bytes_are_too_strange() {
        let der = Authority::new().unwrap().der().to_vec();
        for place in 0..der.len() {
            Certificate::read(&der[..place]);
            for value in [0, 0x30, 0x7F, 0x80, 0x81, 0x84, 0xFF] {
                let mut damaged = der.clone();
                damaged[place] = value;
                Certificate::read(&damaged);
            }
        }
        assert_eq!(Certificate::read(&der[..der.len() - 1]), None);
        assert_eq!(Certificate::read(b""), None);
    }
}
