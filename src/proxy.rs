//! The proxy for requests to Application Insights (D5): from the host, else from the usual environment variables.

use std::net::IpAddr;

use ureq::Proxy;
use url::{Host, Url};

use crate::destination::is_loopback;
use crate::environment::Environment;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProxyChoice {
    /// `HTTPS_PROXY`, `ALL_PROXY`, `HTTP_PROXY` and `NO_PROXY`, in any case.
    Environment,
    /// The host program's, which has not named it yet. Until then nothing is sent: a direct request might bypass its proxy.
    Awaited,
    /// The host program's: none.
    Direct,
    /// The host program's: an address such as `http://proxy:8080`.
    Address(String),
}

/// Finds the proxy for an endpoint. `None`: requests go there directly. A proxy that is configured and cannot be used is an error
/// and never bypassed: it may be there to control what leaves the network.
pub fn find(endpoint: &Url, choice: &ProxyChoice, environment: &Environment) -> Result<Option<Proxy>, String> {
    if is_loopback(endpoint) {
        return Ok(None);
    }
    let (address, source) = match choice {
        ProxyChoice::Awaited => return Err("the host has not said yet which proxy to use".to_owned()),
        ProxyChoice::Direct => return Ok(None),
        ProxyChoice::Address(address) => (address.as_str(), "system"),
        ProxyChoice::Environment => match environment.proxy() {
            None => return Ok(None),
            Some(_) if is_exempt(endpoint, environment.no_proxy()) => return Ok(None),
            Some(address) => (address, "environment"),
        },
    };
    Proxy::new(address).map(Some).map_err(|_| format!("the proxy that the {source} names cannot be used"))
}

/// Returns whether a list of hosts, as in `NO_PROXY`, has the host of an address. It is read as curl does: entries are separated
/// by commas or blanks; `*` alone is every host; a domain stands for itself and all below it, with and without a leading dot; an
/// address may have a prefix length. An entry with a port is for that port alone.
fn is_exempt(url: &Url, list: &str) -> bool {
    let entries = list.split(|character: char| character == ',' || character.is_whitespace());
    let port = url.port_or_known_default();
    entries.filter(|entry| !entry.is_empty()).any(|entry| match entry.rsplit_once(':') {
        _ if entry == "*" => true,
        Some((host, number)) if !host.contains(':') || host.ends_with(']') => {
            number.parse().is_ok_and(|number: u16| Some(number) == port) && has(host, url)
        }
        _ => has(entry, url),
    })
}

fn has(entry: &str, url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => {
            let entry = entry.trim_start_matches('.').trim_end_matches('.').to_lowercase();
            // As the address itself is written.
            let entry = Host::parse(&entry).map_or(entry, |host| host.to_string());
            let name = name.trim_end_matches('.');
            !entry.is_empty() && (name == entry || name.strip_suffix(&entry).is_some_and(|rest| rest.ends_with('.')))
        }
        Some(Host::Ipv4(address)) => in_network(address.into(), entry),
        Some(Host::Ipv6(address)) => in_network(address.into(), entry),
        None => false,
    }
}

/// Returns whether an address is in a network like `192.0.2.0/24`, or is the address itself.
fn in_network(address: IpAddr, entry: &str) -> bool {
    let (network, prefix) = entry.split_once('/').map_or((entry, None), |(network, prefix)| (network, Some(prefix)));
    let Ok(network) = network.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() else {
        return false;
    };
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    };
    let ((address, width), (network, other_width)) = (bits(address), bits(network));
    let prefix = prefix.map_or(Ok(width), str::parse);
    let differs = |prefix: u32| (address ^ network).checked_shr(width - prefix).unwrap_or(0);
    width == other_width && prefix.is_ok_and(|prefix| prefix <= width && differs(prefix) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d5_no_proxy_means_what_it_means_to_curl() {
        let table = [
            ("https://c.example/", "c.example", true),
            ("https://sub.c.example/", "c.example", true),
            ("https://sub.c.example/", ".c.example", true),
            ("https://c.example/", ".c.example", true),
            ("https://c.example/", "c.example.", true),
            ("https://C.Example/", "c.EXAMPLE", true),
            ("https://c.example/", "a.example c.example", true),
            ("https://c.example/", "a.example,c.example", true),
            ("https://c.example/", "a.example ,\tc.example , ", true),
            ("https://c.example/", "*", true),
            ("https://c.example/", "a.example,*", true),
            ("https://c.example/", "*.example", false),
            ("https://c.example/", "example", true),
            ("https://xc.example/", "c.example", false),
            ("https://c.example.org/", "c.example", false),
            ("https://c.example/", "sub.c.example", false),
            ("https://c.example/", "", false),
            ("https://c.example/", " , . ,", false),
            ("https://c.example/", "c.example:443", true),
            ("https://c.example/", "c.example:8443", false),
            ("https://c.example:8443/", "c.example:8443", true),
            ("https://b\u{fc}cher.example/", "b\u{fc}cher.example", true),
            ("https://192.0.2.7/", "192.0.2.7", true),
            ("https://192.0.2.7/", "192.0.2.0/24", true),
            ("https://192.0.3.7/", "192.0.2.0/24", false),
            ("https://192.0.2.7/", "0.0.0.0/0", true),
            ("https://192.0.2.7/", "192.0.2.0/33", false),
            ("https://192.0.2.7/", "192.0.2.7:443", true),
            ("https://[2001:db8::7]/", "2001:db8::7", true),
            ("https://[2001:db8::7]/", "[2001:db8::7]:443", true),
            ("https://[2001:db8::7]/", "2001:db8::/32", true),
            ("https://[2001:db9::7]/", "2001:db8::/32", false),
            ("https://192.0.2.7/", "::/0", false),
        ];
        for (url, list, exempt) in table {
            assert_eq!(is_exempt(&url.parse().unwrap(), list), exempt, "{url} in {list}");
        }
    }

    #[test]
    fn d5_a_proxy_that_cannot_be_used_is_never_bypassed() {
        let remote: Url = "https://a.example/v2.1/track".parse().unwrap();
        let local: Url = "http://127.0.0.1:1/v2.1/track".parse().unwrap();
        let none = Environment::default();
        for address in ["::", "ftp://proxy.example", "http://"] {
            assert!(find(&remote, &ProxyChoice::Address(address.to_owned()), &none).is_err(), "{address}");
        }
        assert!(find(&remote, &ProxyChoice::Awaited, &none).is_err());
        assert!(find(&remote, &ProxyChoice::Direct, &none).unwrap().is_none());
        assert!(find(&remote, &ProxyChoice::Environment, &none).unwrap().is_none());
        let address = ProxyChoice::Address("http://proxy.example:8080".to_owned());
        let proxy = find(&remote, &address, &none).unwrap().unwrap();
        assert_eq!((proxy.host(), proxy.port()), ("proxy.example", 8080));
        assert!(find(&local, &address, &none).unwrap().is_none());

        let found = |variables: &[(&str, &str)]| {
            let environment = Environment::read(variables.iter().map(|(name, value)| (name.into(), value.into())));
            let proxy = find(&remote, &ProxyChoice::Environment, &environment);
            proxy.map(|proxy| proxy.map(|proxy| proxy.host().to_owned()))
        };
        let all = [("all_proxy", "http://all.example"), ("HTTP_PROXY", "http://http.example")];
        assert_eq!(found(&all), Ok(Some("all.example".to_owned())));
        assert_eq!(found(&[all[0], ("https_proxy", "socks5://https.example")]), Ok(Some("https.example".to_owned())));
        assert!(found(&[("HTTPS_PROXY", "::")]).is_err());
        assert_eq!(found(&[all[0], ("NO_PROXY", "b.example, a.example")]), Ok(None));
        assert_eq!(found(&[all[0], ("no_proxy", "b.example")]), Ok(Some("all.example".to_owned())));
    }
}
