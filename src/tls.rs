//! TLS with the operating system's trust store: the one place that knows which kind there is.
//!
//! On Windows that is Schannel, which follows the machine's policy, trust and revocation settings; elsewhere rustls with
//! ring, which asks the platform's verifier.

use ureq::Error as Trouble;
use ureq::tls::{RootCerts, TlsConfig, TlsConfigBuilder};

/// Gives the configuration for every connection.
pub fn config() -> TlsConfig {
    builder().build()
}

/// Gives the configuration for a connection whose certificate nobody looks at, as the user wants it.
pub fn unchecked_config() -> TlsConfig {
    builder().disable_verification(true).build()
}

#[cfg(not(windows))]
fn builder() -> TlsConfigBuilder {
    TlsConfig::builder()
        .root_certs(RootCerts::PlatformVerifier)
        .unversioned_rustls_crypto_provider(std::sync::Arc::new(rustls::crypto::ring::default_provider()))
}

#[cfg(windows)]
fn builder() -> TlsConfigBuilder {
    TlsConfig::builder().provider(ureq::tls::TlsProvider::NativeTls).root_certs(RootCerts::PlatformVerifier)
}

const NO_SECURE_CONNECTION: &str = "no secure connection came about";
const UNTRUSTED: &str = "this computer does not trust its issuer";
const EXPIRED: &str = "it has expired or is not valid yet";
const REVOKED: &str = "it was revoked";
const OTHER_NAME: &str = "it is for another name";
const UNACCEPTABLE: &str = "it is not acceptable";

/// Says what TLS did not like, without a name; `None` where the trouble is none of TLS.
pub fn words(trouble: &Trouble) -> Option<String> {
    let refused = |reason| format!("the server's certificate was refused: {reason}");
    Some(reason(trouble)?.map_or_else(|| NO_SECURE_CONNECTION.to_owned(), refused))
}

/// Tells whether it is the certificate that is not liked.
pub fn is_about_certificate(trouble: &Trouble) -> bool {
    matches!(reason(trouble), Some(Some(_)))
}

/// Tells whether what the other side says is no TLS at all.
#[cfg(not(windows))]
pub fn is_not_spoken(trouble: &Trouble) -> bool {
    matches!(error_of(trouble), Some(rustls::Error::InvalidMessage(_)))
}

#[cfg(not(windows))]
fn error_of(trouble: &Trouble) -> Option<&rustls::Error> {
    match trouble {
        Trouble::Rustls(error) => Some(error),
        Trouble::Io(error) => error.get_ref()?.downcast_ref(),
        _ => None,
    }
}

/// Gives what is wrong with the certificate; the inner `None` stands for some other failure of TLS.
#[cfg(not(windows))]
fn reason(trouble: &Trouble) -> Option<Option<&'static str>> {
    use rustls::CertificateError as Refused;
    let refused = match (trouble, error_of(trouble)) {
        (_, Some(rustls::Error::InvalidCertificate(refused))) => refused,
        (_, Some(_)) | (Trouble::Tls(_), None) => return Some(None),
        _ => return None,
    };
    Some(Some(match refused {
        Refused::UnknownIssuer => UNTRUSTED,
        Refused::Expired
        | Refused::ExpiredContext { .. }
        | Refused::NotValidYet
        | Refused::NotValidYetContext { .. } => EXPIRED,
        Refused::Revoked => REVOKED,
        Refused::NotValidForName | Refused::NotValidForNameContext { .. } => OTHER_NAME,
        _ => UNACCEPTABLE,
    }))
}

/// Tells whether what the other side says is no TLS at all.
#[cfg(windows)]
pub fn is_not_spoken(trouble: &Trouble) -> bool {
    let Trouble::NativeTls(error) = trouble else {
        return false;
    };
    let text = error.to_string();
    // SEC_E_INVALID_TOKEN; or the system waited for the rest of what it took for a record, until the other side ended.
    number(&text) == Some(0x8009_0308) || text.ends_with("unexpected EOF during handshake")
}

/// The library keeps the system's number to itself; its text ends with it.
#[cfg(windows)]
fn number(text: &str) -> Option<u32> {
    let (_, number) = text.rsplit_once("os error ")?;
    number.trim_end_matches(')').parse::<i32>().ok().map(|number| number as u32)
}

/// Gives what is wrong with the certificate; the inner `None` stands for some other failure of TLS.
#[cfg(windows)]
fn reason(trouble: &Trouble) -> Option<Option<&'static str>> {
    let (text, is_tls) = match trouble {
        Trouble::NativeTls(error) => (error.to_string(), true),
        Trouble::Io(error) => (error.to_string(), false),
        Trouble::Tls(_) | Trouble::Der(_) => return Some(None),
        _ => return None,
    };
    let Some(number) = number(&text) else {
        return is_tls.then_some(None);
    };
    // From winerror.h: CERT_E_*, CRYPT_E_* and SEC_E_*.
    match number {
        0x800B_0109 | 0x800B_010A | 0x800B_0112 | 0x8009_0325 => Some(Some(UNTRUSTED)),
        0x800B_0101 | 0x8009_0328 => Some(Some(EXPIRED)),
        0x800B_010C | 0x8009_2010 => Some(Some(REVOKED)),
        0x800B_010E | 0x8009_2012 | 0x8009_2013 => Some(Some("whether it was revoked cannot be found out")),
        0x800B_010F | 0x8009_0322 => Some(Some(OTHER_NAME)),
        0x800B_0100..=0x800B_01FF | 0x8009_6000..=0x8009_6FFF => Some(Some(UNACCEPTABLE)),
        0x8009_0300..=0x8009_0FFF => Some(None),
        _ => None,
    }
}
