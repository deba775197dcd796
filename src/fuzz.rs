//! What `cargo xtask fuzz` feeds with arbitrary bytes: each reader of what others write, with what it promises. A target panics
//! if a promise is broken. Built for fuzzing and for tests only; the tests run each target on its seeds in `tests/fuzz/seeds`.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::delivery::{RetryState, backed_off_until};
use crate::destination::{Destination, is_loopback};
use crate::envelope::envelope;
use crate::environment::Environment;
use crate::event::Event;
use crate::proxy::{self, ProxyChoice};
use crate::response::{Response, judge};
use crate::settings::{self, Choice};
use crate::{platform, transport, vms};

/// A target's name and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("settings", read_settings),
    ("policy", read_policy),
    ("event", read_event),
    ("retry_state", read_retry_state),
    ("connection_string", read_connection_string),
    ("proxy", find_proxy),
    ("environment", read_environment),
    ("answer", read_answer),
    ("vms", vms::fuzz),
];

/// The settings file. An edit makes what it says, is undone by its opposite, and leaves what is not ours as it was (F2, C11).
fn read_settings(content: &[u8]) {
    let Ok(text) = settings::decode(content.to_vec()) else { return };
    let _ = settings::parse(&text);
    let edit = |text: &str, on| settings::edit(Some(text), Choice { telemetry: Some(Some(on)), ..Choice::default() });
    let Ok(off) = edit(&text, false) else { return };
    assert_eq!(settings::parse(&off).expect("it was just written").telemetry, Some(false));
    assert_eq!(edit(&off, false).expect("it was just written"), off);
    let on = edit(&off, true).expect("it was just written");
    assert_eq!(settings::parse(&on).expect("it was just written").telemetry, Some(true));
    assert_eq!(edit(&on, false).expect("it was just written"), off);
    let (before, after) = (not_ours(&text), not_ours(&off));
    assert!(before.is_none() || before == after, "{before:?} {after:?}");
}

/// The members of a settings file without our section. `None`: another reader does not take the text.
fn not_ours(text: &str) -> Option<Value> {
    let mut all: Value = serde_json::from_str(text).ok()?;
    all.as_object_mut()?.retain(|name, _| !name.to_ascii_lowercase().starts_with("applicationinsights"));
    Some(all)
}

fn read_policy(content: &[u8]) {
    let _ = settings::parse_policy(content.to_vec());
}

/// A pending event: what is taken is small, and is the same when it is stored and read again (E6).
fn read_event(content: &[u8]) {
    let Ok(event) = serde_json::from_slice::<Event>(content) else { return };
    let stored = serde_json::to_vec(&event).expect("an event can be stored");
    let again: Event = serde_json::from_slice(&stored).expect("and be read");
    assert_eq!(serde_json::to_vec(&again).expect("an event can be stored"), stored);
    let sent = envelope(&event, Uuid::nil(), now()).to_string();
    assert!(sent.len() <= 4_096, "{} bytes", sent.len());
    assert!(!sent.contains('\n'), "an event is a line of its request");
}

/// The retry state: no content of the file stops delivery for longer than the service may ask for (D4).
fn read_retry_state(content: &[u8]) {
    let Ok(state) = serde_json::from_slice::<RetryState>(content) else { return };
    let limit = now() + chrono::TimeDelta::hours(26);
    assert!(backed_off_until(&state, now()).is_none_or(|until| until < limit));
    let failed = state.fail("x".to_owned(), None, now());
    assert!(backed_off_until(&failed, now()).is_some_and(|until| until < limit));
}

/// A connection string: what is taken is HTTPS or this computer, and means the same when it is written again (D5).
fn read_connection_string(content: &[u8]) {
    let Ok(destination) = String::from_utf8_lossy(content).parse::<Destination>() else { return };
    assert!(destination.endpoint.scheme() == "https" || is_loopback(&destination.endpoint));
    let again: Destination = destination.connection_string().parse().expect("it was just written");
    assert_eq!(again.fingerprint(), destination.fingerprint());
}

/// Three lines: the endpoint, the proxy of the environment, and NO_PROXY.
fn find_proxy(content: &[u8]) {
    let text = String::from_utf8_lossy(content);
    let mut lines = text.splitn(3, '\n');
    let (endpoint, address, exempt) =
        (lines.next(), lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let Some(endpoint) = endpoint.and_then(|text| text.parse().ok()) else { return };
    let variables = [("HTTPS_PROXY", address), ("NO_PROXY", exempt)].map(|(name, value)| (name.into(), value.into()));
    let environment = Environment::read(variables.into_iter());
    for choice in [ProxyChoice::Environment, ProxyChoice::Address(address.to_owned())] {
        if let Err(reason) = proxy::find(&endpoint, &choice, &environment) {
            // A password in the address does not get into a reason.
            assert!(!reason.contains('@'), "{reason}");
        }
    }
}

/// Lines of an environment: an opt-out in any of them wins (C1, C11).
fn read_environment(content: &[u8]) {
    let text = String::from_utf8_lossy(content);
    let read = |text: &str| {
        let pairs = text.split('\n').filter_map(|line| line.split_once('='));
        Environment::read(pairs.map(|(name, value)| (name.into(), value.into())))
    };
    let environment = read(&text);
    let _ = (environment.connection_string(), environment.log(), platform::local_app_data(&environment));
    let with_no = read(&format!("{text}\nvms_APPLICATIONINSIGHTS__enabled= No "));
    assert!(with_no.telemetry().is_some_and(|(on, _)| !on));
}

/// An answer of the service: a status in the first two bytes, `Retry-After` and `Location` in two lines, and the body.
fn read_answer(content: &[u8]) {
    let Some((status, rest)) = content.split_at_checked(2) else { return };
    let mut parts = rest.splitn(3, |byte| *byte == b'\n').map(|part| String::from_utf8_lossy(part).into_owned());
    let status = 200 + u16::from_le_bytes([status[0], status[1]]) % 400;
    let (retry_after, location) = (parts.next(), parts.next());
    let body = parts.next().unwrap_or_default().into_bytes();
    let response = Response { status, retry_after, location, body, from: String::new() };
    for count in [1, 3, 100] {
        let judged = judge(&response, count, now());
        assert_eq!(judged.outcomes.len(), count);
        assert!(judged.retry_after.is_none_or(|wait| wait <= std::time::Duration::from_secs(24 * 3_600)));
    }
    let service = "https://westus2-2.in.applicationinsights.azure.com/v2.1/track".parse().expect("an address");
    if let Some(to) = transport::redirection(&service, &response) {
        assert_eq!(to.scheme(), "https");
        let host = to.host_str().unwrap_or_default();
        assert!(
            host.ends_with(".applicationinsights.azure.com") || host.ends_with(".services.visualstudio.com"),
            "{to}"
        );
    }
}

/// A fixed moment, so that an input gives the same each time.
fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).expect("a moment")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_target_passes_on_its_seeds() {
        let seeds = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/seeds");
        for (name, target) in TARGETS {
            let files: Vec<_> = std::fs::read_dir(seeds.join(name)).unwrap().map(|file| file.unwrap().path()).collect();
            assert!(files.len() >= 2, "{name}");
            files.iter().for_each(|file| target(&std::fs::read(file).unwrap()));
        }
    }
}
