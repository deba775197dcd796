//! The address of a management server, as people type it.

use std::fmt;
use std::net::Ipv6Addr;

use ureq::http::Uri;
use ureq::http::uri::Authority;

/// How a server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Https,
    Http,
}

/// Scheme, host and port of a server: all that is ever taken from an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    scheme: Scheme,
    authority: Authority,
}

impl Origin {
    /// The host, without its port.
    pub fn host(&self) -> &str {
        self.authority.host()
    }

    /// Reads where an address such as `https://vms.example:8443/some/where` points to; `None` where it is no such address.
    pub fn of(address: &str) -> Option<Self> {
        let uri: Uri = address.parse().ok()?;
        let scheme = match uri.scheme_str()? {
            "https" => Scheme::Https,
            "http" => Scheme::Http,
            _ => return None,
        };
        let authority = uri.authority().filter(|authority| is_plain(authority))?;
        Some(Self { scheme, authority: authority.clone() })
    }

    /// Whether the connection is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.scheme == Scheme::Https
    }

    /// Whether both are the same computer by name, whatever scheme and port.
    pub fn is_same_host(&self, other: &Self) -> bool {
        self.host().eq_ignore_ascii_case(other.host())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Https => "https",
            Scheme::Http => "http",
        };
        write!(f, "{scheme}://{}", self.authority)
    }
}

fn is_plain(authority: &Authority) -> bool {
    !authority.as_str().contains('@') && !authority.host().is_empty()
}

/// An address as it was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The origin to try first.
    pub first: Origin,
    /// What to try where nothing answers there.
    pub second: Option<Origin>,
}

impl std::str::FromStr for Address {
    type Err = &'static str;

    /// Reads `https://host`, `http://host:port` or a bare host name. A bare name is tried over HTTPS, then over HTTP.
    fn from_str(text: &str) -> Result<Self, &'static str> {
        const MALFORMED: &str = "it is not an address like https://vms.example, http://vms.example:8080 or vms.example";
        let text = text.trim();
        if text.parse::<Ipv6Addr>().is_ok() {
            return format!("[{text}]").parse();
        }
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Some(scheme), rest),
            None => (None, text),
        };
        if rest.contains('@') {
            return Err("it holds a user name: give that apart");
        }
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#', '\\']) {
            return Err("it holds more than scheme, host and port");
        }
        let authority: Authority = authority.parse().map_err(|_| MALFORMED)?;
        let is_usable = is_plain(&authority) && (authority.port().is_some() == has_port(&authority));
        if !is_usable {
            return Err(MALFORMED);
        }
        let origin = |scheme| Origin { scheme, authority: authority.clone() };
        match scheme.map(str::to_ascii_lowercase).as_deref() {
            None => Ok(Self { first: origin(Scheme::Https), second: Some(origin(Scheme::Http)) }),
            Some("https") => Ok(Self { first: origin(Scheme::Https), second: None }),
            Some("http") => Ok(Self { first: origin(Scheme::Http), second: None }),
            Some(_) => Err("its scheme is neither https nor http"),
        }
    }
}

/// Whether something stands behind the host: a port that is no number is no port to the parser.
fn has_port(authority: &Authority) -> bool {
    authority.as_str().len() > authority.host().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p3_addresses_as_people_type_them() {
        let origins = |text: &str| {
            let address: Address = text.parse()?;
            Ok::<_, &str>(
                [Some(address.first), address.second].iter().flatten().map(Origin::to_string).collect::<Vec<_>>(),
            )
        };
        let good: [(&str, &[&str]); 7] = [
            ("https://vms.example", &["https://vms.example"]),
            (" HTTPS://VMS.example/ ", &["https://VMS.example"]),
            ("http://vms.example:8080/", &["http://vms.example:8080"]),
            ("vms", &["https://vms", "http://vms"]),
            ("192.0.2.7:8081", &["https://192.0.2.7:8081", "http://192.0.2.7:8081"]),
            ("[2001:db8::1]:81", &["https://[2001:db8::1]:81", "http://[2001:db8::1]:81"]),
            ("2001:db8::1", &["https://[2001:db8::1]", "http://[2001:db8::1]"]),
        ];
        for (text, expected) in good {
            assert_eq!(origins(text).unwrap(), expected, "{text}");
        }
        for text in [
            "",
            " ",
            "https://",
            "ftp://vms.example",
            "file:///etc/passwd",
            "https://user:pass@vms.example",
            "user@vms.example",
            "vms.example/api",
            "vms.example?x",
            "vms.example:port",
            "vms.example:99999",
            "vms example",
            "vms\r\nHost: x",
            r"\\vms\share",
        ] {
            assert!(origins(text).is_err(), "{text}");
        }
    }
}
