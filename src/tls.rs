//! TLS with the operating system's trust store.
//!
//! On Windows that is Schannel, which follows the machine's policy, trust and revocation settings; elsewhere rustls with
//! ring, which checks against the platform's store. Both are connectors of ours and not those of ureq, so that a refused
//! certificate can be described.

use std::fmt;
use std::io::Read;
use std::sync::{Arc, OnceLock};

use chrono::Utc;
use ureq::Error;
use ureq::unversioned::transport::time::Instant;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport, TransportAdapter,
};

use crate::certificate::Certificate;
use crate::http::{Description, Kind};
use system::Stream;
pub(crate) use system::error;

/// The stack of a thread that makes requests, in bytes: a handshake needs half of it in a build without optimization.
pub const STACK: usize = 512 * 1024;

/// The protocol of an agent's first connection, such as "TLS 1.3". Empty where the system does not say.
pub type TlsVersion = Arc<OnceLock<&'static str>>;

/// The connector between TCP and HTTP.
#[derive(Debug)]
pub struct TlsConnector {
    settings: system::Settings,
    version: TlsVersion,
}

impl TlsConnector {
    /// Reads nothing. `skips_check`: accept any certificate.
    pub fn new(skips_check: bool, version: TlsVersion) -> Self {
        Self { settings: system::Settings::new(skips_check), version }
    }
}

impl<In: Transport> Connector<In> for TlsConnector {
    type Out = Either<In, Encrypted>;

    fn connect(&self, details: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        let Some(transport) = chained else {
            return Ok(None);
        };
        if !details.needs_tls() || transport.is_tls() {
            return Ok(Some(Either::A(transport)));
        }
        let mut timeout = details.timeout;
        // What the connection took so far counts.
        if let (Instant::Exact(now), Instant::Exact(start)) = ((details.current_time)(), details.now)
            && !timeout.after.is_not_happening()
        {
            timeout.after = timeout.after.saturating_sub(now.saturating_duration_since(start)).into();
        }
        if timeout.after.is_zero() {
            return Err(Error::Timeout(timeout.reason));
        }
        let mut adapter = TransportAdapter::new(transport.boxed(), details.current_time.clone());
        adapter.set_timeout(timeout);
        let host = details.uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let stream = self.settings.handshake(host, adapter)?;
        if let Some(version) = system::version(&stream) {
            let _ = self.version.set(version);
        }
        let buffers = LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(Either::B(Encrypted { buffers, stream })))
    }
}

pub struct Encrypted {
    buffers: LazyBuffers,
    stream: Stream,
}

impl fmt::Debug for Encrypted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Encrypted")
    }
}

impl Transport for Encrypted {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.stream.get_mut().set_timeout(timeout);
        let output = self.buffers.output();
        let amount = amount.min(output.len());
        Ok(system::send(&mut self.stream, output.split_at(amount).0)?)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.stream.get_mut().set_timeout(timeout);
        let amount = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.get_mut().get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    Untrusted,
    Dates,
    OtherName,
    Revoked,
    RevocationUnknown,
    WrongUse,
    Unacceptable,
}

fn refused(why: Why, der: &[u8], sha256: &[u8]) -> Description {
    const REFUSED: &str = "the server's certificate was refused";
    let Some(Certificate { subject, issuer, names, not_before, not_after }) = Certificate::read(der) else {
        return Description::new(Kind::Certificate, format!("{REFUSED}: it cannot be read"));
    };
    let kind = match why {
        Why::Dates => Kind::CertificateDates,
        Why::OtherName => Kind::CertificateName,
        _ => Kind::Certificate,
    };
    let [first, last] = [not_before, not_after].map(|time| time.format("%Y-%m-%d"));
    let why = match why {
        // WebPKI does not accept an authority's certificate as that of a server, so a self-signed one ends here.
        Why::Unacceptable if subject == issuer => "this computer does not trust its issuer",
        Why::Untrusted => "this computer does not trust its issuer",
        Why::Dates if not_before > Utc::now() => &format!("it is not valid before {first}"),
        Why::Dates => &format!("it expired on {last}"),
        Why::OtherName if names.is_empty() => "it lists no names",
        Why::OtherName => "it is for another name",
        Why::Revoked => "it was revoked",
        Why::RevocationUnknown => "it is not known whether it was revoked",
        Why::WrongUse => "it is not for servers",
        Why::Unacceptable => "it is not acceptable",
    };
    let names = if names.is_empty() { "lists no names".to_owned() } else { format!("is for {}", names.join(", ")) };
    let fingerprint: String = sha256.iter().map(|byte| format!("{byte:02X}")).collect();
    Description::new(kind, format!("{REFUSED}: {why}")).with_details(&format!(
        "It was issued to {subject} by {issuer}, {names}, and is valid from {first} until {last}; SHA-256 {fingerprint}"
    ))
}

/// Describes a handshake that failed; `text` is the system's.
fn failed(text: &dyn fmt::Display) -> Description {
    Description::new(Kind::Handshake, "the TLS handshake failed").with_details(&text.to_string())
}

fn not_tls() -> Description {
    Description::new(Kind::NotTls, "the server does not use TLS on this port")
}

#[cfg(not(windows))]
mod system {
    use std::io::{self, Write};
    use std::sync::{Arc, OnceLock};

    use chrono::Utc;
    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::client::{WebPkiServerVerifier, verify_server_name};
    use rustls::crypto::ring::default_provider;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use rustls::server::ParsedCertificate;
    use rustls::{
        CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, OtherError, ProtocolVersion,
        RootCertStore,
    };
    use rustls_native_certs::{ErrorKind, load_native_certs};
    use ureq::Error;
    use ureq::unversioned::transport::TransportAdapter;

    use super::{Why, failed, not_tls, refused};
    use crate::certificate::Certificate;
    use crate::http::{Description, Kind, has_too_many_files};

    pub(super) type Stream = rustls::StreamOwned<ClientConnection, TransportAdapter>;

    #[derive(Debug)]
    pub(super) struct Settings {
        skips_check: bool,
        /// Made for the first connection, as reading the store takes some milliseconds.
        config: OnceLock<Arc<ClientConfig>>,
    }

    impl Settings {
        pub(super) fn new(skips_check: bool) -> Self {
            Self { skips_check, config: OnceLock::new() }
        }

        pub(super) fn handshake(&self, host: &str, mut adapter: TransportAdapter) -> Result<Stream, Error> {
            let config = match self.config.get() {
                Some(config) => config.clone(),
                None => {
                    let config = self.read_config()?;
                    self.config.get_or_init(|| config).clone()
                }
            };
            let name = ServerName::try_from(host.to_owned()).map_err(|error| failed(&error))?;
            let connection = ClientConnection::new(config, name);
            let mut connection = connection.map_err(|error| failed(&error))?;
            connection.complete_io(&mut adapter)?;
            Ok(Stream::new(connection, adapter))
        }

        fn read_config(&self) -> Result<Arc<ClientConfig>, Error> {
            let verifier = Verifier(if self.skips_check { None } else { Some(platform_verifier()?) });
            let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
                .with_safe_default_protocol_versions()
                .map_err(|error| failed(&error))?;
            let config = config.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth();
            Ok(Arc::new(config))
        }
    }

    pub(super) fn version(stream: &Stream) -> Option<&'static str> {
        match stream.conn.protocol_version()? {
            ProtocolVersion::TLSv1_2 => Some("TLS 1.2"),
            ProtocolVersion::TLSv1_3 => Some("TLS 1.3"),
            _ => None,
        }
    }

    /// Writes all of it. Unlike rustls's own, it does not hold an error back until the next call.
    pub(super) fn send(stream: &mut Stream, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = stream.conn.writer().write(bytes)?;
            bytes = bytes.get(written..).unwrap_or_default();
            while stream.conn.wants_write() {
                stream.conn.write_tls(&mut stream.sock)?;
            }
        }
        Ok(())
    }

    /// Makes a verifier with the authorities that the system trusts.
    fn platform_verifier() -> Result<Arc<WebPkiServerVerifier>, Error> {
        let found = load_native_certs();
        let mut authorities = RootCertStore::empty();
        authorities.add_parsable_certificates(found.certs);
        if authorities.is_empty() {
            let lack = found.errors.into_iter().find_map(|error| match error.kind {
                ErrorKind::Io { inner, .. } if has_too_many_files(&inner) => Some(inner),
                _ => None,
            });
            return Err(lack.map_or_else(no_authorities, Error::from));
        }
        WebPkiServerVerifier::builder_with_provider(Arc::new(authorities), Arc::new(default_provider()))
            .build()
            .map_err(|error| failed(&error).into())
    }

    fn no_authorities() -> Error {
        Description::new(Kind::NoAuthorities, "this computer has no certificates of authorities").into()
    }

    /// Describes what it refuses. With `None` it accepts any certificate.
    #[derive(Debug)]
    struct Verifier(Option<Arc<WebPkiServerVerifier>>);

    impl ServerCertVerifier for Verifier {
        fn verify_server_cert(
            &self,
            end_entity: &CertificateDer<'_>,
            intermediates: &[CertificateDer<'_>],
            name: &ServerName<'_>,
            ocsp: &[u8],
            now: UnixTime,
        ) -> Result<ServerCertVerified, rustls::Error> {
            let Some(verifier) = &self.0 else {
                return Ok(ServerCertVerified::assertion());
            };
            let verified = verifier.verify_server_cert(end_entity, intermediates, name, ocsp, now);
            verified.or_else(|error| verify_if_in_store(end_entity, name, error)).map_err(|error| {
                let rustls::Error::InvalidCertificate(reason) = error else {
                    return error;
                };
                let fingerprint = ring::digest::digest(&ring::digest::SHA256, end_entity);
                let description = refused(why(&reason), end_entity, fingerprint.as_ref());
                CertificateError::Other(OtherError(Arc::new(description))).into()
            })
        }

        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            let unchecked = || Ok(HandshakeSignatureValid::assertion());
            self.0.as_ref().map_or_else(unchecked, |own| own.verify_tls12_signature(message, certificate, signature))
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            let unchecked = || Ok(HandshakeSignatureValid::assertion());
            self.0.as_ref().map_or_else(unchecked, |own| own.verify_tls13_signature(message, certificate, signature))
        }

        fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
            default_provider().signature_verification_algorithms.supported_schemes()
        }
    }

    /// Accepts a certificate that the system's store itself holds, such as a self-signed one, for its names and its time.
    /// WebPKI refuses it if it is that of an authority.
    fn verify_if_in_store(
        certificate: &CertificateDer<'_>,
        name: &ServerName<'_>,
        refusal: rustls::Error,
    ) -> Result<ServerCertVerified, rustls::Error> {
        use CertificateError::{Other, UnknownIssuer};
        let may_be_in_store = matches!(refusal, rustls::Error::InvalidCertificate(Other(_) | UnknownIssuer));
        if !may_be_in_store || !load_native_certs().certs.contains(certificate) {
            return Err(refusal);
        }
        verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
        let dates = Certificate::read(certificate).map(|read| read.not_before..=read.not_after);
        let is_valid = dates.is_some_and(|dates| dates.contains(&Utc::now()));
        if is_valid { Ok(ServerCertVerified::assertion()) } else { Err(CertificateError::Expired.into()) }
    }

    fn why(reason: &CertificateError) -> Why {
        use CertificateError as Reason;
        match reason {
            Reason::UnknownIssuer | Reason::BadSignature => Why::Untrusted,
            Reason::Expired
            | Reason::ExpiredContext { .. }
            | Reason::NotValidYet
            | Reason::NotValidYetContext { .. } => Why::Dates,
            Reason::NotValidForName | Reason::NotValidForNameContext { .. } => Why::OtherName,
            Reason::Revoked => Why::Revoked,
            Reason::UnknownRevocationStatus
            | Reason::ExpiredRevocationList
            | Reason::ExpiredRevocationListContext { .. } => Why::RevocationUnknown,
            Reason::InvalidPurpose | Reason::InvalidPurposeContext { .. } => Why::WrongUse,
            _ => Why::Unacceptable,
        }
    }

    pub(crate) fn error(error: &io::Error) -> Option<Description> {
        use rustls::Error::{InvalidCertificate, InvalidMessage};
        Some(match error.get_ref()?.downcast_ref()? {
            InvalidCertificate(CertificateError::Other(OtherError(own))) if own.is::<Description>() => {
                own.downcast_ref::<Description>()?.clone()
            }
            InvalidMessage(_) => not_tls(),
            error => failed(error),
        })
    }
}

#[cfg(windows)]
mod system {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex, PoisonError};

    use schannel::cert_context::HashAlgorithm;
    use schannel::schannel_cred::{Direction, Protocol, SchannelCred};
    use schannel::tls_stream::{Builder, CertValidationResult, HandshakeError, TlsStream};
    use ureq::Error;
    use ureq::unversioned::transport::TransportAdapter;

    use super::{Why, failed, not_tls, refused};
    use crate::http::Description;

    pub(super) type Stream = TlsStream<TransportAdapter>;

    #[derive(Debug)]
    pub(super) struct Settings {
        skips_check: bool,
    }

    impl Settings {
        pub(super) fn new(skips_check: bool) -> Self {
            Self { skips_check }
        }

        pub(super) fn handshake(&self, host: &str, adapter: TransportAdapter) -> Result<Stream, Error> {
            let mut credential = SchannelCred::builder();
            let credential = credential.enabled_protocols(&[Protocol::Tls12, Protocol::Tls13]);
            let credential = credential.acquire(Direction::Outbound)?;
            let (skips_check, refused) = (self.skips_check, Arc::new(Mutex::new(None)));
            let noted = refused.clone();
            let verify = move |result: CertValidationResult| match result.result() {
                Err(error) if !skips_check => {
                    *noted.lock().unwrap_or_else(PoisonError::into_inner) = refusal(&result, &error);
                    Err(error)
                }
                _ => Ok(()),
            };
            Builder::new().domain(host).verify_callback(verify).connect(credential, adapter).map_err(
                |error| match error {
                    HandshakeError::Interrupted(_) => failed(&"it was interrupted").into(),
                    HandshakeError::Failure(error) => {
                        let refused = refused.lock().unwrap_or_else(PoisonError::into_inner).take();
                        refused.map_or_else(|| error.into(), Description::into)
                    }
                },
            )
        }
    }

    /// The crate does not ask Schannel.
    pub(super) fn version(_: &Stream) -> Option<&'static str> {
        None
    }

    pub(super) fn send(stream: &mut Stream, bytes: &[u8]) -> io::Result<()> {
        stream.write_all(bytes)
    }

    fn refusal(result: &CertValidationResult, error: &io::Error) -> Option<Description> {
        let certificate = result.chain()?.get(0)?;
        let fingerprint = certificate.fingerprint(HashAlgorithm::sha256()).unwrap_or_default();
        Some(refused(why(error.raw_os_error()?), certificate.to_der(), &fingerprint))
    }

    /// Knows the numbers CERT_E_*, CRYPT_E_* and SEC_E_* of winerror.h.
    fn why(code: i32) -> Why {
        match code.cast_unsigned() {
            0x800B_0109 | 0x800B_010A | 0x800B_0112 | 0x8009_0325 => Why::Untrusted,
            0x800B_0101 | 0x8009_0328 => Why::Dates,
            0x800B_010C | 0x8009_2010 => Why::Revoked,
            0x800B_010E | 0x8009_2012 | 0x8009_2013 => Why::RevocationUnknown,
            0x800B_010F | 0x8009_0322 => Why::OtherName,
            0x800B_0110 => Why::WrongUse,
            _ => Why::Unacceptable,
        }
    }

    pub(crate) fn error(error: &io::Error) -> Option<Description> {
        match error.raw_os_error().map(i32::cast_unsigned) {
            // The system waited for the rest of what it took for a record, until the other side ended.
            None => (error.to_string() == "unexpected EOF during handshake").then(not_tls),
            // SEC_E_INVALID_TOKEN
            Some(0x8009_0308) => Some(not_tls()),
            Some(0x8009_0300..=0x8009_0FFF) => Some(failed(error)),
            _ => None,
        }
    }
}
