//! The demo VMS that tests connect to, and how they log on.

use std::time::Duration;

use vms_demo::{AccessToken, Config, DemoVms, User};
use vms_telemetry::vms::{BasicUser, Credential, Logon};
use zeroize::Zeroizing;

pub const PASSWORD: &str = "p&w=1 +%é-not-a-secret";
pub const TOKEN: &str = "demo.token.not-a-secret";
pub const DISCOVERY: &str = "/api/.well-known/uris";
pub const TOKEN_ENDPOINT: &str = "/IDP/connect/token";

pub fn config() -> Config {
    Config {
        users: vec![User::basic("reader", PASSWORD), User::external("visitor@example.test")],
        access_tokens: vec![AccessToken {
            token: TOKEN.to_owned(),
            user: "visitor@example.test".to_owned(),
            seconds: None,
        }],
        ..Config::default()
    }
}

pub fn start(config: Config) -> DemoVms {
    DemoVms::start(config).unwrap()
}

pub fn basic(name: &str, password: &str) -> Credential {
    let secret = |text: &str| Zeroizing::new(text.to_owned());
    Credential::Basic(BasicUser { name: secret(name), password: secret(password) })
}

pub fn reader() -> Credential {
    basic("reader", PASSWORD)
}

pub fn logon(address: &str) -> Logon {
    Logon {
        address: address.parse().unwrap(),
        is_secure_only: false,
        skips_certificate_check: false,
        includes_child_sites: false,
        timeout: Duration::from_secs(20),
    }
}

/// How often a path was asked for.
pub fn requests(vms: &DemoVms, path: &str) -> usize {
    vms.received().iter().filter(|request| request.path.eq_ignore_ascii_case(path)).count()
}
