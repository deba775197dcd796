//! The address of a management server.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use url::Url;

use crate::http::parse_url;

/// Scheme, host and port of a server. Nothing else of an address is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(Url);

impl Origin {
    /// Reads an address such as `https://vms.example:8443/some/where`.
    pub fn of(address: &str) -> Result<Self, &'static str> {
        parse_url(address).map(|url| Self(url.join("/").unwrap_or(url)))
    }

    pub fn is_encrypted(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Returns whether both have the same host name, whatever scheme and port.
    pub fn is_same_host(&self, other: &Self) -> bool {
        self.0.host() == other.0.host()
    }

    /// Returns the same host with the other scheme. A port that was named stays.
    pub(super) fn with_other_scheme(&self) -> Option<Self> {
        let mut url = self.0.clone();
        url.set_scheme(if self.is_encrypted() { "http" } else { "https" }).ok().map(|()| Self(url))
    }

    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// Resolves an address that a document of this server names, which may be relative.
    pub(super) fn resolve(&self, address: &str) -> Option<Url> {
        self.0.join(address).ok()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

/// An address as it was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub origin: Origin,
    /// Whether it is a bare name, without a scheme: then HTTPS is meant (P6).
    pub is_bare: bool,
}

impl FromStr for Address {
    type Err = &'static str;

    /// Reads `https://host`, `http://host:port` or a bare host name. A path is ignored: users copy it along.
    fn from_str(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        let is_bare = !text.contains("://");
        let bracketed = if text.parse::<Ipv6Addr>().is_ok() { format!("[{text}]") } else { text.to_owned() };
        let origin = Origin::of(&if is_bare { format!("https://{bracketed}") } else { bracketed })?;
        Ok(Self { origin, is_bare })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p3_p6_addresses_as_people_type_them() {
        let table = [
            ("https://vms.example", "https://vms.example", false),
            (" HTTPS://VMS.example/ ", "https://vms.example", false),
            ("http://vms.example:8080/", "http://vms.example:8080", false),
            ("http://vms:8081/ManagementServer", "http://vms:8081", false),
            ("http://vms/ManagementServer/?a=b#c", "http://vms", false),
            ("vms.example/api", "https://vms.example", true),
            ("vms.example?x", "https://vms.example", true),
            ("vms", "https://vms", true),
            ("http://bücher.example", "http://xn--bcher-kva.example", false),
            ("BÜCHER.example:81", "https://xn--bcher-kva.example:81", true),
            ("http://xn--bcher-kva.example", "http://xn--bcher-kva.example", false),
            ("192.0.2.7:8081", "https://192.0.2.7:8081", true),
            ("[2001:db8::1]:81", "https://[2001:db8::1]:81", true),
            ("2001:db8::1", "https://[2001:db8::1]", true),
        ];
        for (text, expected, is_bare) in table {
            let address: Address = text.parse().unwrap();
            assert_eq!((address.origin.to_string().as_str(), address.is_bare), (expected, is_bare), "{text}");
        }
    }

    #[test]
    fn p3_what_is_no_address_is_refused_with_the_reason() {
        let table = [
            ("", "host name"),
            (" ", "host name"),
            ("https://", "host name"),
            ("https:///vms", "host name"),
            ("vms example", "host name"),
            ("vms\r\nHost: x", "host name"),
            (r"\\vms\share", "host name"),
            ("a^b", "host name"),
            ("ftp://vms.example", "scheme"),
            ("file:///etc/passwd", "scheme"),
            ("https://user:pass@vms.example", "user name"),
            ("user@vms.example", "user name"),
            ("vms.example:port", "port"),
            ("vms.example:99999", "port"),
            ("http://[fe80::77%lo]:8183", "zones"),
            ("fe80::77%25eth0", "zones"),
            ("http://[fe80::zz]", "IP address"),
            ("http://1.2.3.4.5.6", "IP address"),
        ];
        for (text, reason) in table {
            let error = text.parse::<Address>().unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
