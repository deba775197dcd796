//! Where events go: the connection string of Application Insights (D5).

use std::fmt;
use std::str::FromStr;

use url::{Host, Url};
use uuid::Uuid;

use crate::http::parse_url;

/// In bytes: the service's own limit is 4,096 characters.
pub const CONNECTION_STRING_LIMIT: usize = 4_096;

/// The product's own destination, for host programs that name none. The key is not a secret: it only lets events in.
pub const BUILT_IN: &str = "InstrumentationKey=0ec7d4ee-5b3a-4db2-b83d-ccb675330317;\
                            IngestionEndpoint=https://westus2-2.in.applicationinsights.azure.com/";

/// The service's endpoint for connection strings without one.
const GLOBAL_ENDPOINT: &str = "https://dc.services.visualstudio.com/";
/// Where the service accepts events, below an endpoint.
const TRACK: &str = "/v2.1/track";
/// Users paste endpoints with the path of the current or of older clients.
const PASTED_PATHS: [&str; 3] = ["", "/v2/track", TRACK];

/// An instrumentation key and an endpoint. Events that were recorded for one destination go to no other (E7).
#[derive(Clone, PartialEq, Eq)]
pub struct Destination {
    /// The instrumentation key.
    pub key: Uuid,
    /// The URL that accepts events: `{IngestionEndpoint}/v2.1/track`.
    pub endpoint: Url,
}

impl Destination {
    /// Returns the connection string for it.
    pub fn connection_string(&self) -> String {
        let endpoint = self.endpoint.as_str().trim_end_matches(TRACK);
        format!("InstrumentationKey={};IngestionEndpoint={endpoint}/", self.key)
    }

    /// Returns the name of the destination's folder, which does not show its address. FNV-1a, as every version of the library
    /// must find the same folder; it needs no secrecy.
    pub fn fingerprint(&self) -> String {
        let text = format!("{} {}", self.key, self.endpoint);
        let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        format!("{:016x}", text.bytes().fold(0xcbf2_9ce4_8422_2325, mix))
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Destination")
    }
}

/// Returns whether an address is on this computer. Then HTTPS is not required, as nothing passes a network, and no proxy is used.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Removes what is often copied along with a value: blanks, a byte order mark, quotes.
fn bare(text: &str) -> &str {
    let text = text.trim_matches(|character: char| character == '\u{FEFF}' || character.is_whitespace());
    let unquoted = |quote| text.strip_prefix(quote)?.strip_suffix(quote);
    unquoted('"').or_else(|| unquoted('\'')).unwrap_or(text).trim()
}

/// Parses `Key=Value` pairs separated by `;`, names without case. An error does not repeat the value.
impl FromStr for Destination {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.len() > CONNECTION_STRING_LIMIT {
            return Err("it is longer than 4,096 bytes".to_owned());
        }
        let (mut key, mut endpoint, mut suffix) = (None, None, false);
        for pair in bare(text).split(';').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or("a part of it is not a Key=Value pair")?;
            let value = bare(value);
            match bare(name).to_ascii_lowercase().as_str() {
                "instrumentationkey" => {
                    let new = Uuid::try_parse(value).map_err(|_| "its InstrumentationKey is not a GUID")?;
                    set(&mut key, new, "it has two different InstrumentationKeys")?;
                }
                "ingestionendpoint" => {
                    set(&mut endpoint, parse_endpoint(value)?, "it has two different IngestionEndpoints")?;
                }
                "endpointsuffix" => suffix = true,
                _ => {}
            }
        }
        let key = key.ok_or("it has no InstrumentationKey")?;
        let endpoint = match (endpoint, suffix) {
            (Some(endpoint), _) => endpoint,
            (None, true) => return Err("EndpointSuffix is not supported: give the IngestionEndpoint itself".to_owned()),
            (None, false) => parse_endpoint(GLOBAL_ENDPOINT)?,
        };
        Ok(Self { key, endpoint })
    }
}

/// Sets a value that may be there twice, but not with two meanings.
fn set<T: PartialEq>(old: &mut Option<T>, new: T, error: &'static str) -> Result<(), &'static str> {
    match old {
        Some(old) if *old != new => Err(error),
        _ => {
            *old = Some(new);
            Ok(())
        }
    }
}

/// Returns the URL below an endpoint that accepts events.
fn parse_endpoint(text: &str) -> Result<Url, String> {
    let mut url = parse_url(text).map_err(|error| format!("its IngestionEndpoint cannot be used: {error}"))?;
    if url.scheme() == "http" && !is_loopback(&url) {
        return Err("its IngestionEndpoint must use https (http is only for this computer itself)".to_owned());
    }
    let path = url.path().trim_end_matches('/').to_ascii_lowercase();
    if !PASTED_PATHS.contains(&path.as_str()) || url.query().is_some() || url.fragment().is_some() {
        return Err("its IngestionEndpoint has a path that does not belong there: give only https://host/".to_owned());
    }
    url.set_path(TRACK);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "11111111-2222-4333-8444-555555555555";

    #[test]
    fn d5_connection_strings_that_work() {
        let at = |endpoint: &str| format!("InstrumentationKey={KEY};IngestionEndpoint={endpoint}");
        let table = [
            (format!("InstrumentationKey={KEY}"), "https://dc.services.visualstudio.com/v2.1/track"),
            (
                format!("instrumentationkey = {KEY} ;; INGESTIONENDPOINT=https://a.example/ ;LiveEndpoint=x"),
                "https://a.example/v2.1/track",
            ),
            (format!("\u{FEFF}\"{}\"", at("https://a.example/")), "https://a.example/v2.1/track"),
            (format!(" '{}' ", at("'https://a.example'")), "https://a.example/v2.1/track"),
            (format!("{};InstrumentationKey={}", at("https://a.example"), KEY), "https://a.example/v2.1/track"),
            (at("https://a.example:444/v2/track"), "https://a.example:444/v2.1/track"),
            (at("https://a.example/V2/Track/"), "https://a.example/v2.1/track"),
            (at("https://a.example/v2.1/track/"), "https://a.example/v2.1/track"),
            (at("https://b\u{fc}cher.example/"), "https://xn--bcher-kva.example/v2.1/track"),
            (at("http://127.0.0.1:9/"), "http://127.0.0.1:9/v2.1/track"),
            (at("http://127.0.0.1:9/v2/track"), "http://127.0.0.1:9/v2.1/track"),
            (at("http://localhost:9"), "http://localhost:9/v2.1/track"),
            (at("http://[::1]:9"), "http://[::1]:9/v2.1/track"),
        ];
        for (text, endpoint) in table {
            let destination: Destination = text.parse().unwrap();
            assert_eq!(
                (destination.key.to_string().as_str(), destination.endpoint.as_str()),
                (KEY, endpoint),
                "{text}"
            );
        }
        BUILT_IN.parse::<Destination>().unwrap();
    }

    #[test]
    fn d5_connection_strings_that_do_not() {
        let at = |endpoint: &str| format!("InstrumentationKey={KEY};IngestionEndpoint={endpoint}");
        let other = "66666666-7777-4888-8999-aaaaaaaaaaaa";
        let table = [
            (String::new(), "it has no InstrumentationKey"),
            ("InstrumentationKey=".to_owned(), "not a GUID"),
            ("InstrumentationKey=none".to_owned(), "not a GUID"),
            (format!("InstrumentationKey={KEY};InstrumentationKey={other}"), "two different InstrumentationKeys"),
            (format!("{};IngestionEndpoint=https://b.example", at("https://a.example")), "two different Ingestion"),
            (format!("InstrumentationKey={KEY};nonsense"), "Key=Value"),
            (format!("InstrumentationKey={KEY};EndpointSuffix=example.com"), "EndpointSuffix"),
            ("IngestionEndpoint=https://a.example/".to_owned(), "no InstrumentationKey"),
            (at(""), "does not begin with https"),
            (at("a.example"), "does not begin with https"),
            (at("https://"), "no host name"),
            (at("ftp://a.example/"), "neither https nor http"),
            (at("http://a.example/"), "must use https"),
            (at("http://127.0.0.1.example/"), "must use https"),
            (at("http://localhost.example/"), "must use https"),
            (at("https://u:p@a.example/"), "user name"),
            (at("https://a.example/?q"), "does not belong there"),
            (at("https://a b/"), "a character that no host name has"),
            (at("https://a.example/base"), "a path that does not belong there"),
            (at("https://a.example/v2/track/v2/track"), "a path that does not belong there"),
            (at("https://[fe80::77%lo]:8183/"), "are not supported"),
            (format!("InstrumentationKey={KEY};Pad={}", "x".repeat(CONNECTION_STRING_LIMIT)), "longer than"),
        ];
        for (text, reason) in table {
            let error = text.parse::<Destination>().unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
