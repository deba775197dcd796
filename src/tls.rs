//! TLS with the operating system's trust store: the one place that knows which kind there is.
//!
//! On Windows that is Schannel, which follows the machine's policy, trust and revocation settings; elsewhere rustls with
//! ring, which asks the platform's verifier.

use ureq::Error as Trouble;
use ureq::tls::{RootCerts, TlsConfig};

/// Gives the configuration for every connection.
#[cfg(not(windows))]
pub fn config() -> TlsConfig {
    TlsConfig::builder()
        .root_certs(RootCerts::PlatformVerifier)
        .unversioned_rustls_crypto_provider(std::sync::Arc::new(rustls::crypto::ring::default_provider()))
        .build()
}

/// Gives the configuration for every connection.
#[cfg(windows)]
pub fn config() -> TlsConfig {
    TlsConfig::builder().provider(ureq::tls::TlsProvider::NativeTls).root_certs(RootCerts::PlatformVerifier).build()
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

/// Gives what is wrong with the certificate; the inner `None` stands for some other failure of TLS.
#[cfg(not(windows))]
fn reason(trouble: &Trouble) -> Option<Option<&'static str>> {
    use rustls::CertificateError as Refused;
    let error = match trouble {
        Trouble::Rustls(error) => error,
        Trouble::Io(error) => error.get_ref()?.downcast_ref::<rustls::Error>()?,
        Trouble::Tls(_) => return Some(None),
        _ => return None,
    };
    let rustls::Error::InvalidCertificate(refused) = error else {
        return Some(None);
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

/// Gives what is wrong with the certificate; the inner `None` stands for some other failure of TLS.
#[cfg(windows)]
fn reason(trouble: &Trouble) -> Option<Option<&'static str>> {
    let text = match trouble {
        Trouble::NativeTls(error) => error.to_string(),
        Trouble::Io(error) => error.to_string(),
        Trouble::Tls(_) | Trouble::Der(_) => return Some(None),
        _ => return None,
    };
    // The library keeps the system's number to itself; its text ends with it.
    let (_, number) = text.rsplit_once("os error ")?;
    let number: i32 = number.trim_end_matches(')').parse().ok()?;
    // From winerror.h: CERT_E_*, CRYPT_E_* and SEC_E_*.
    match number as u32 {
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
