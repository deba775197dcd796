//! Certificates for tests: an authority that lives as long as the value, and servers that it does or does not vouch for.
//!
//! - A server sends its own certificate and the authority's, as some clients take a chain that ends early for a good one.
//! - A revocation list can be named, as some clients on Windows refuse a certificate without one that they can read.
//!
//! ```
//! use loopback::{Listener, tls::{Authority, Leaf}};
//!
//! let authority = Authority::new()?;
//! let listener = Listener::bind(0, Some(authority.server(Leaf::Good)?))?;
//! assert!(listener.url().starts_with("https://"));
//! assert!(authority.pem().starts_with("-----BEGIN CERTIFICATE-----"));
//! # Ok::<(), std::io::Error>(())
//! ```

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateRevocationListParams, CrlDistributionPoint,
    CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, SerialNumber, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::Deserialize;

/// What is right or wrong with a server's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "camelCase")]
pub enum Leaf {
    /// Issued by the authority of this run.
    Good,
    /// Issued for another name, wrong.example.
    WrongName,
    /// Expired at the end of 2020.
    Expired,
    /// Issued by itself.
    SelfSigned,
    /// Issued by itself, and an authority as well, as some tools make one for a server.
    SelfSignedAuthority,
    /// Issued without names, except for its subject, localhost.
    NoNames,
}

/// An authority of its own: who trusts it, by [`Authority::pem`] or [`Authority::der`], trusts [`Leaf::Good`].
pub struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
    crl_url: Option<String>,
}

impl Authority {
    /// Makes an authority with a new key.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn new() -> io::Result<Self> {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(io::Error::other)?;
        // Two authorities of one name would be taken for each other until a signature does not fit.
        let id: String = key.public_key_raw().iter().rev().take(8).map(|byte| format!("{byte:02x}")).collect();
        parameters.distinguished_name = named(&format!("VMS Collector test authority {id}"));
        let certificate = parameters.self_signed(&key).map_err(io::Error::other)?;
        Ok(Self { certificate, issuer: Issuer::new(parameters, key), crl_url: None })
    }

    /// Names the place of the revocation list in all certificates to come, such as `file:///Z:/folder/ca.crl`; the list
    /// itself is [`Authority::crl`].
    #[must_use]
    pub fn with_crl_url(mut self, url: &str) -> Self {
        self.crl_url = Some(url.to_owned());
        self
    }

    /// Returns the authority's certificate as PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// Returns the authority's certificate as DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        self.certificate.der()
    }

    /// Returns its revocation list, which is empty, as DER.
    ///
    /// # Errors
    /// The list cannot be signed.
    pub fn crl(&self) -> io::Result<Vec<u8>> {
        let parameters = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(2100, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(parameters.signed_by(&self.issuer).map_err(io::Error::other)?.der().to_vec())
    }

    /// Makes such a certificate with a new key, and returns a server's configuration with it.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn server(&self, leaf: Leaf) -> io::Result<Arc<ServerConfig>> {
        self.issue(leaf).map(|(server, _)| server)
    }

    /// Does what [`Authority::server`] does, and returns the server's certificate as PEM as well.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn issue(&self, leaf: Leaf) -> io::Result<(Arc<ServerConfig>, String)> {
        let names = match leaf {
            Leaf::WrongName => &["wrong.example"] as &[_],
            Leaf::NoNames => &[],
            _ => &["localhost", "127.0.0.1"],
        };
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut parameters = CertificateParams::new(names).map_err(io::Error::other)?;
        parameters.distinguished_name = named(if leaf == Leaf::NoNames { "localhost" } else { "VMS Collector" });
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let is_self_signed = matches!(leaf, Leaf::SelfSigned | Leaf::SelfSignedAuthority);
        if is_self_signed {
            // Long enough that the server's part of the handshake has more than 1,024 bytes: if all of it comes with the
            // first read, Wine's Schannel waits for more. A comment of Netscape's, an IA5String of 1,024 characters.
            let comment = [[0x16, 0x82, 0x04, 0x00].as_slice(), &[b'x'; 1024]].concat();
            parameters.custom_extensions =
                vec![CustomExtension::from_oid_content(&[2, 16, 840, 1, 113_730, 1, 13], comment)];
        }
        parameters.use_authority_key_identifier_extension = !is_self_signed;
        if leaf == Leaf::SelfSignedAuthority {
            parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        let point = |url: &String| CrlDistributionPoint { uris: vec![url.clone()] };
        parameters.crl_distribution_points = self.crl_url.iter().map(point).collect();
        if leaf == Leaf::Expired {
            parameters.not_before = date_time_ymd(2020, 1, 1);
            parameters.not_after = date_time_ymd(2020, 12, 31);
        }
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let (own, issuer) = if is_self_signed {
            (parameters.self_signed(&key), None)
        } else {
            (parameters.signed_by(&key, &self.issuer), Some(self.certificate.der().clone()))
        };
        let own = own.map_err(io::Error::other)?;
        let chain = [own.der().clone()].into_iter().chain(issuer).collect();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|server| server.with_no_client_auth().with_single_cert(chain, key))
            .map(|server| (Arc::new(server), own.pem()))
            .map_err(io::Error::other)
    }
}

/// The arguments of a program that serves HTTPS if it is told to.
#[derive(Args)]
#[group(skip)]
pub struct Arguments {
    /// Serve HTTPS with a certificate that is made for this run, for localhost and 127.0.0.1.
    #[arg(long, value_name = "KIND")]
    pub tls: Option<Leaf>,
    /// Write the certificate authority of this run to FILE (PEM), for clients to trust.
    #[arg(long, value_name = "FILE", requires = "tls")]
    pub ca: Option<PathBuf>,
}

impl Arguments {
    /// Makes the certificate, and writes the authority to its file.
    ///
    /// # Errors
    /// The file cannot be written, or the system gives no random numbers.
    pub fn load(&self) -> io::Result<Option<Arc<ServerConfig>>> {
        let Some(leaf) = self.tls else { return Ok(None) };
        let authority = Authority::new()?;
        if let Some(path) = &self.ca {
            let told = |error| io::Error::other(format!("cannot write {}: {error}", path.display()));
            fs::write(path, authority.pem()).map_err(told)?;
        }
        authority.server(leaf).map(Some)
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}
