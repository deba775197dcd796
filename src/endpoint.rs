//! The way to the service, step by step, for somebody who asks whether a firewall lets it through (T4). No event is sent: the
//! request has no body. It works whether or not telemetry is on, as the user asked for it.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use ureq::Proxy;
use url::Url;

use crate::http::{self, Description, Kind, Settings};
use crate::tls::TlsVersion;

/// For each step: a choice. A person waits.
const STEP_TIMEOUT: Duration = Duration::from_secs(5);
const BUFFER_SIZE: usize = 16 * 1024;

/// A step, and how it went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub name: &'static str,
    /// `None`: not tried, as an earlier step failed.
    pub is_ok: Option<bool>,
    pub took: Duration,
    pub detail: String,
    /// What to do. Empty if all is well.
    pub advice: &'static str,
}

/// The steps in their order.
pub const STEPS: [&str; 5] = ["Name", "Proxy", "Connection", "Certificate", "Answer"];

/// Tries each step until one fails. Blocks for 20 seconds at most.
pub fn test(endpoint: &Url, proxy: Result<Option<Proxy>, String>) -> Vec<Step> {
    let mut steps = Vec::new();
    let outcome = try_all(endpoint, proxy, &mut steps);
    if let Err(failed) = outcome {
        steps.push(failed);
    }
    let rest = STEPS.get(steps.len()..).unwrap_or_default();
    let untried = |name: &&'static str| Step {
        name,
        is_ok: None,
        took: Duration::ZERO,
        detail: "not tried".to_owned(),
        advice: "",
    };
    steps.extend(rest.iter().map(untried));
    steps
}

fn try_all(endpoint: &Url, proxy: Result<Option<Proxy>, String>, steps: &mut Vec<Step>) -> Result<(), Step> {
    let step = |name, start: Instant, is_ok, detail: String, advice| Step {
        name,
        is_ok: Some(is_ok),
        took: start.elapsed(),
        detail,
        advice,
    };
    // The name is that of the proxy, where there is one: the proxy looks up the other.
    let known = proxy.as_ref().ok().and_then(Option::as_ref);
    let (host, port) = match known {
        Some(proxy) => (proxy.host().to_owned(), proxy.port()),
        None => (
            endpoint.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned(),
            endpoint.port_or_known_default().unwrap_or(443),
        ),
    };
    let start = Instant::now();
    let found =
        http::look_up(host.clone(), port, STEP_TIMEOUT).unwrap_or_else(|error| Err(std::io::Error::other(error)));
    let addresses: Vec<SocketAddr> = match found {
        Ok(addresses) if !addresses.is_empty() => addresses,
        Ok(_) => Vec::new(),
        Err(error) => {
            let detail = format!("{host} was not found: {}", http::system_words(&error));
            return Err(step(
                "Name",
                start,
                false,
                detail,
                "Check the name server of this computer, and the spelling.",
            ));
        }
    };
    let list = addresses.iter().map(|address| address.ip().to_string()).collect::<Vec<_>>().join(", ");
    steps.push(step("Name", start, true, format!("{host} is {list}"), ""));

    let start = Instant::now();
    let proxy = proxy.map_err(|reason| {
        step("Proxy", start, false, reason, "Correct the proxy settings of the system or the environment.")
    })?;
    let detail = if proxy.is_some() { format!("{host}:{port}") } else { "none, the connection is direct".to_owned() };
    steps.push(step("Proxy", start, true, detail, ""));

    let start = Instant::now();
    let mut connected = Err(std::io::Error::other("there is no address"));
    for (tried, address) in addresses.iter().enumerate() {
        // The addresses share the time of the step, so that one that does not answer leaves some for the next.
        let left = STEP_TIMEOUT.saturating_sub(start.elapsed()) / (addresses.len() - tried) as u32;
        connected = TcpStream::connect_timeout(address, left.max(Duration::from_millis(1)));
        if connected.is_ok() {
            break;
        }
    }
    if let Err(error) = connected {
        let detail = http::describe(&error.into(), proxy.is_some()).reason;
        return Err(step("Connection", start, false, detail, "Allow this host and port in the firewall."));
    }
    steps.push(step("Connection", start, true, format!("port {port} answers"), ""));

    let (start, tls) = (Instant::now(), TlsVersion::default());
    let has_proxy = proxy.is_some();
    let agent = http::agent(Settings {
        connect_timeout: STEP_TIMEOUT,
        buffer_size: BUFFER_SIZE,
        idle_connections: 0,
        proxy,
        skips_certificate_check: false,
        gate: None,
        tls_version: tls.clone(),
    });
    let request = agent.post(endpoint.as_str()).config().timeout_global(Some(2 * STEP_TIMEOUT)).build();
    let answer = request.header("Content-Type", "application/x-json-stream").send_empty();
    let what = |description: Description| match description.details {
        Some(details) => format!("{}. {details}", description.reason),
        None => description.reason,
    };
    let error = match &answer {
        Ok(_) => None,
        Err(error) => Some(http::describe(error, has_proxy)),
    };
    match error {
        Some(error)
            if matches!(
                error.kind,
                Kind::Certificate | Kind::CertificateDates | Kind::CertificateName | Kind::NoAuthorities
            ) =>
        {
            let advice = "A program that inspects TLS needs its authority in the certificate store of this computer.";
            return Err(step("Certificate", start, false, what(error), advice));
        }
        Some(error) if matches!(error.kind, Kind::Handshake | Kind::NotTls) => {
            return Err(step(
                "Certificate",
                start,
                false,
                what(error),
                "Check that this is the endpoint of the service.",
            ));
        }
        Some(error) if error.kind == Kind::Proxy => {
            let advice = "The proxy must allow a tunnel (CONNECT) to this host and port.";
            return Err(Step { name: "Certificate", ..step("Certificate", start, false, what(error), advice) });
        }
        error => {
            let detail = match (endpoint.scheme(), tls.get()) {
                ("https", Some(version)) => format!("accepted, {version}"),
                ("https", None) => "accepted".to_owned(),
                _ => "none, plain HTTP".to_owned(),
            };
            steps.push(step("Certificate", start, true, detail, ""));
            if let Some(error) = error {
                return Err(step(
                    "Answer",
                    start,
                    false,
                    what(error),
                    "Check what is between this computer and the service.",
                ));
            }
        }
    }
    if let Ok(answer) = answer {
        let status = answer.status().as_u16();
        // The service refuses a request without an event, and shows by that that it is there.
        let is_ok = matches!(status, 200..=299 | 400);
        let advice =
            if is_ok { "" } else { "Check whether a proxy or a firewall answers in the place of the service." };
        steps.push(step("Answer", start, is_ok, format!("HTTP {status}"), advice));
    }
    Ok(())
}
