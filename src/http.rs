//! HTTP for both clients, that of Application Insights and that of a VMS: agents, addresses, proxies, and what an error
//! means ([`describe`]).

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{ConnectProxyConnector, Connector, NextTimeout, SocksConnector, TcpConnector};
use ureq::{Agent, Error, Proxy, Timeout};
use url::Url;

use crate::gate::{AboveTls, BelowTls, Gate};
use crate::tls::{self, TlsConnector, TlsVersion};

/// The product and its version, never the computer.
pub const USER_AGENT: &str = concat!("vms-telemetry/", env!("CARGO_PKG_VERSION"));

/// Longest text of a server or the system in an error, in characters: a choice, as a server controls its certificate's names.
const DETAILS_LIMIT: usize = 2_000;
/// Most addresses of one name that are tried: the capacity of ureq's list.
const ADDRESS_LIMIT: usize = 16;

#[derive(Debug)]
pub struct Settings {
    /// Longest time to reach the server: name, proxy, connection and TLS.
    pub connect_timeout: Duration,
    /// Size of a connection's buffer in each direction, in bytes.
    pub buffer_size: usize,
    /// Connections that are kept for the next request.
    pub idle_connections: usize,
    pub proxy: Option<Proxy>,
    pub skips_certificate_check: bool,
    /// Checks consent before anything is sent.
    pub gate: Option<Arc<Gate>>,
    /// Where the protocol of the first connection is noted.
    pub tls_version: TlsVersion,
}

/// Makes an agent. It follows no redirection, as each client has rules of its own. Touches no network.
pub fn agent(settings: Settings) -> Agent {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_connect(Some(settings.connect_timeout))
        .user_agent(USER_AGENT)
        .accept("application/json")
        .accept_encoding("")
        .max_idle_connections(settings.idle_connections)
        .input_buffer_size(settings.buffer_size)
        .output_buffer_size(settings.buffer_size)
        // A buffer that is full looks like the end of the connection.
        .max_response_header_size(settings.buffer_size.saturating_sub(1))
        .proxy(settings.proxy)
        .build();
    let connector =
        ().chain(SocksConnector::default())
            .chain(ConnectProxyConnector::default())
            .chain(TcpConnector::default())
            .chain(BelowTls(settings.gate.clone()))
            .chain(TlsConnector::new(settings.skips_certificate_check, settings.tls_version))
            .chain(AboveTls(settings.gate.clone()));
    Agent::with_parts(config, connector, NameLookup(settings.gate))
}

/// Looks up names, with consent: a DNS query is network traffic, too.
#[derive(Debug)]
struct NameLookup(Option<Arc<Gate>>);

impl Resolver for NameLookup {
    fn resolve(
        &self,
        uri: &Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        self.0.iter().try_for_each(|gate| gate.check())?;
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let default_port = match uri.scheme_str() {
            Some("https") => 443,
            Some("http") => 80,
            _ => 1080,
        };
        let port = uri.port_u16().unwrap_or(default_port);
        let is_proxy = config.proxy().is_some_and(|proxy| proxy.uri() == uri);
        let found = match host.parse() {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => look_up(host, port, *timeout.after)?.map_err(|error| name_not_found(is_proxy, &error))?,
        };
        let mut addresses = self.empty();
        found.into_iter().take(ADDRESS_LIMIT).for_each(|address| addresses.push(address));
        Ok(addresses)
    }
}

/// Looks up a name on a thread of its own, as the system's call has no timeout. The inner error says that the name has no address.
pub(crate) fn look_up(host: String, port: u16, timeout: Duration) -> Result<io::Result<Vec<SocketAddr>>, Error> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let work = move || sender.send((host.as_str(), port).to_socket_addrs().map(Vec::from_iter));
    thread::Builder::new()
        .name("vms-name-lookup".to_owned())
        .spawn(work)
        .map_err(|_| Description::new(Kind::Resources, "no thread could be started"))?;
    let found = receiver.recv_timeout(timeout).map_err(|_| Error::Timeout(Timeout::Resolve))?;
    // The system reports a lack of descriptors as an unknown name.
    if found.is_err()
        && let Err(error) = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
        && has_too_many_files(&error)
    {
        return Err(error.into());
    }
    Ok(found)
}

pub(crate) fn has_too_many_files(error: &io::Error) -> bool {
    // EMFILE and ENFILE; WSAEMFILE and ERROR_TOO_MANY_OPEN_FILES.
    let codes = if cfg!(windows) { [10_024, 4] } else { [24, 23] };
    error.raw_os_error().is_some_and(|code| codes.contains(&code))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The name of the server or of the proxy is not known.
    NameNotFound,
    /// The server or the proxy refused the connection.
    Refused,
    /// There is no route to the server or the proxy.
    NoRoute,
    /// The server or the proxy did not accept the connection in time.
    Silent,
    /// No response came in time.
    Timeout,
    /// The connection was cut off.
    CutOff,
    /// The proxy did not connect to the server.
    Proxy,
    /// The server does not use TLS.
    NotTls,
    Handshake,
    /// The server's certificate was refused, for another reason than the next two.
    Certificate,
    /// It has expired, or is not valid yet.
    CertificateDates,
    /// It is for other names.
    CertificateName,
    /// This computer has no certificates of authorities.
    NoAuthorities,
    /// The operating system has no descriptors or threads left.
    Resources,
    /// The response is not HTTP, or too large.
    Response,
    Other,
}

/// What an error means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    pub kind: Kind,
    /// What happened: a sentence without its full stop. Contains no host name, address or name in a certificate, so it may be
    /// stored.
    pub reason: String,
    /// More, with names: for the user's screen only, never stored.
    pub details: Option<String>,
}

impl Description {
    pub(crate) fn new(kind: Kind, reason: impl Into<String>) -> Self {
        Self { kind, reason: reason.into(), details: None }
    }

    /// Adds a text of the server or the system, without control characters, which a terminal would obey.
    pub(crate) fn with_details(self, details: &str) -> Self {
        let details = details.chars().filter(|character| !character.is_control()).take(DETAILS_LIMIT).collect();
        Self { details: Some(details), ..self }
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Description {}

/// Errors that ureq has no name for come as [`Error::Other`].
impl From<Description> for Error {
    fn from(description: Description) -> Self {
        Self::Other(Box::new(description))
    }
}

/// Describes an error. `has_proxy`: the request goes through a proxy. Callers look for [`crate::gate::NoConsent`] first, which is
/// no failure.
pub fn describe(error: &Error, has_proxy: bool) -> Description {
    use io::ErrorKind as On;
    let peer = if has_proxy { "proxy" } else { "server" };
    let (kind, reason) = match error {
        Error::Other(other) => match other.downcast_ref::<Description>() {
            Some(description) => return description.clone(),
            None => (Kind::Other, "the request failed".to_owned()),
        },
        Error::Io(error) => match error.kind() {
            _ if has_too_many_files(error) => (Kind::Resources, "this process has too many open files".to_owned()),
            _ if let Some(description) = tls::error(error) => return description,
            On::ConnectionRefused => (Kind::Refused, format!("the {peer} refused the connection")),
            On::HostUnreachable | On::NetworkUnreachable | On::NetworkDown | On::AddrNotAvailable => {
                (Kind::NoRoute, format!("there is no route to the {peer}"))
            }
            On::UnexpectedEof | On::BrokenPipe | On::ConnectionReset | On::ConnectionAborted | On::NotConnected => {
                (Kind::CutOff, "the connection was cut off".to_owned())
            }
            On::TimedOut => (Kind::Timeout, "no response came in time".to_owned()),
            // Made by ureq, from what a SOCKS proxy says.
            _ if has_proxy && error.raw_os_error().is_none() => (Kind::Proxy, NO_TUNNEL.to_owned()),
            On::PermissionDenied => {
                (Kind::NoRoute, format!("this computer does not permit a connection to the {peer}"))
            }
            kind => (Kind::Other, format!("the network failed ({kind})")),
        },
        Error::HostNotFound => return name_not_found(false, error),
        Error::Timeout(Timeout::Resolve) => (Kind::NameNotFound, "the name could not be looked up in time".to_owned()),
        Error::Timeout(Timeout::Connect) => (Kind::Silent, format!("the {peer} does not answer")),
        Error::Timeout(_) => (Kind::Timeout, "no response came in time".to_owned()),
        // Ends with "407/407", for example.
        Error::ConnectProxyFailed(response) => match response.rsplit('/').next().map(str::parse::<u16>) {
            Some(Ok(status)) => (Kind::Proxy, format!("{NO_TUNNEL} (HTTP {status})")),
            _ => (Kind::Proxy, NO_TUNNEL.to_owned()),
        },
        Error::InvalidProxyUrl => (Kind::Proxy, "the address of the proxy cannot be used".to_owned()),
        Error::BodyExceedsLimit(_) | Error::LargeResponseHeader(..) => {
            (Kind::Response, "the response is too large".to_owned())
        }
        Error::Http(_) | Error::Protocol(_) => (Kind::Response, "the response is not HTTP".to_owned()),
        _ => (Kind::Other, "the request failed".to_owned()),
    };
    Description::new(kind, reason)
}

const NO_TUNNEL: &str = "the proxy did not connect to the server";

/// `error` is the system's, which may say that no name server answers.
fn name_not_found(is_proxy: bool, error: &dyn fmt::Display) -> Description {
    let whose = if is_proxy { "proxy" } else { "server" };
    let description = Description::new(Kind::NameNotFound, format!("the name of the {whose} was not found"));
    description.with_details(&system_words(error))
}

/// Returns what the system says of a look-up, without the standard library's words before it.
pub(crate) fn system_words(error: &dyn fmt::Display) -> String {
    let error = error.to_string();
    error.strip_prefix("failed to lookup address information: ").unwrap_or(&error).to_owned()
}

/// Reads an address with `https://` or `http://`. Internationalized names become those of the DNS. An error has no part of the
/// address, which may hold a password.
pub fn parse_url(text: &str) -> Result<Url, &'static str> {
    let text = text.trim();
    let (scheme, rest) = text.split_once("://").ok_or("it does not begin with https:// or http://")?;
    if !["https", "http"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Err("its scheme is neither https nor http");
    }
    // The parser would remove these silently.
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.is_empty() || authority.contains('\\') || text.contains(|c: char| c.is_control() || c.is_whitespace())
    {
        return Err("it has no host name, or a character that no host name has");
    }
    if authority.contains('@') {
        return Err("it holds a user name: name the user apart from the address");
    }
    if authority.contains('%') {
        return Err("zones (as in fe80::1%eth0) are not supported");
    }
    Url::parse(text).map_err(|error| match error {
        url::ParseError::InvalidPort => "its port is not a number below 65,536",
        url::ParseError::InvalidIpv4Address | url::ParseError::InvalidIpv6Address => "its IP address is not valid",
        _ => "its host name is not valid",
    })
}
