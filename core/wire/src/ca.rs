//! A certificate authority of our own, so that what a client says in TLS can be read: for recording, and for answering.
//!
//! In: its certificate and key as PEM, which others keep. Out: a certificate for each host that a client asks for, made
//! when it first does, and TLS that ends here. HTTP/1.1 is all that is offered inside. Whoever trusts the certificate
//! trusts whoever has the key: it never leaves the folder it is in, and no recording holds it.

mod leaves;
mod terminate;

use std::{net::IpAddr, time::Duration};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

use self::leaves::Leaves;
pub use self::terminate::{TlsStream, TlsTrouble};

/// Why there is no authority to be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorityError {
    /// The certificate cannot be read.
    #[error("the certificate cannot be read: {reason}")]
    Certificate {
        /// What is wrong with it.
        reason: String,
    },
    /// The key cannot be read, or is not the certificate's.
    #[error("the key cannot be read, or belongs to another certificate: {reason}")]
    Key {
        /// What is wrong with it.
        reason: String,
    },
    /// A certificate could not be made.
    #[error("a certificate could not be made: {reason}")]
    Make {
        /// In the words of the library.
        reason: String,
    },
}

impl AuthorityError {
    /// What the user can do next.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Certificate { .. } | Self::Key { .. } => {
                Some("make a new authority with `retake ca --renew`, and trust that one")
            }
            Self::Make { .. } => None,
        }
    }
}

/// From when to when something holds, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first second.
    pub from_unix_s: u64,
    /// The last one.
    pub until_unix_s: u64,
}

impl Validity {
    /// What holds whatever a clock says that is held still or set back: from 2000 to 2100. For an authority of one replay.
    pub const WHENEVER: Self = Self { from_unix_s: 946_684_800, until_unix_s: 4_102_444_800 };
}

/// An authority: its certificate, its key, and the certificates it has made.
pub struct CertificateAuthority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    name: String,
    validity: Validity,
    leaves: Leaves,
}

impl std::fmt::Debug for CertificateAuthority {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("CertificateAuthority").field("name", &self.name).finish_non_exhaustive()
    }
}

impl CertificateAuthority {
    /// A new authority with a key of its own (ECDSA on P-256).
    ///
    /// # Errors
    /// `Make` when there is no randomness.
    pub fn make(name: &str, validity: Validity) -> Result<Self, AuthorityError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = named(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        hold(&mut params, validity);
        let key = KeyPair::generate().map_err(not_made)?;
        let certificate = params.self_signed(&key).map_err(not_made)?.der().clone();
        Self::with(Issuer::new(params, key), certificate)
    }

    /// An authority from what is kept of it.
    ///
    /// # Errors
    /// When certificate or key cannot be read, or do not belong together.
    pub fn read(certificate_pem: &str, key_pem: &str) -> Result<Self, AuthorityError> {
        let wrong = |reason: String| AuthorityError::Certificate { reason };
        let pem = pem::parse(certificate_pem).map_err(|error| wrong(error.to_string()))?;
        let certificate = CertificateDer::from(pem.into_contents());
        let key = KeyPair::from_pem(key_pem).map_err(|error| AuthorityError::Key { reason: error.to_string() })?;
        let (_, parsed) = X509Certificate::from_der(&certificate).map_err(|error| wrong(error.to_string()))?;
        if !parsed.is_ca() {
            return Err(wrong("it is not one of an authority".to_owned()));
        }
        if parsed.public_key().subject_public_key.data != rcgen::PublicKeyData::der_bytes(&key) {
            return Err(AuthorityError::Key { reason: "it is not the certificate's".to_owned() });
        }
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(|error| wrong(error.to_string()))?;
        Self::with(issuer, certificate)
    }

    fn with(issuer: Issuer<'static, KeyPair>, certificate: CertificateDer<'static>) -> Result<Self, AuthorityError> {
        let facts = facts_of(&certificate).map_err(|reason| AuthorityError::Certificate { reason })?;
        let leaves = Leaves::new(KeyPair::generate().map_err(not_made)?);
        Ok(Self { issuer, certificate, name: facts.0, validity: facts.1, leaves })
    }

    /// Its certificate as PEM: what clients are to trust.
    pub fn certificate_pem(&self) -> String {
        pem_of(&self.certificate)
    }

    /// Its key as PEM: what nobody else is to have.
    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// Its name, as the certificate has it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// From when to when its certificate holds.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// SHA-256 of its certificate as `openssl x509 -fingerprint -sha256` writes it.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.certificate)
    }

    /// A certificate for a host, by the key of all of them; it holds as long as the authority does.
    fn certificate_for(&self, host: &str) -> Result<CertificateDer<'static>, AuthorityError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = named(&host.chars().take(COMMON_NAME_CHARS_MAX).collect::<String>());
        params.subject_alt_names = vec![match host.parse::<IpAddr>() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(host.try_into().map_err(not_made)?),
        }];
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        hold(&mut params, self.validity);
        let made = params.signed_by(self.leaves.key(), &self.issuer).map_err(not_made)?;
        Ok(made.der().clone())
    }
}

/// Longest common name, in characters (RFC 5280, appendix A.1, `ub-common-name`).
const COMMON_NAME_CHARS_MAX: usize = 64;

/// The certificates that this system trusts, and `added`, in one file's text: for variables that replace the system's.
/// `SSL_CERT_FILE` and `SSL_CERT_DIR` say where the system's are, as everywhere.
pub fn bundle_with_system_roots(added: &CertificateAuthority) -> String {
    let mut text = added.certificate_pem();
    for certificate in rustls_native_certs::load_native_certs().certs {
        if certificate != added.certificate {
            text.push_str(&pem_of(&certificate));
        }
    }
    text
}

/// The fingerprint of a certificate in PEM, as [`CertificateAuthority::fingerprint`] gives it; `None` where it is none.
pub fn fingerprint_of_pem(certificate_pem: &str) -> Option<String> {
    pem::parse(certificate_pem).ok().map(|pem| fingerprint(pem.contents()))
}

fn fingerprint(certificate: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, certificate);
    let bytes: Vec<_> = digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    bytes.join(":")
}

fn pem_of(certificate: &[u8]) -> String {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new("CERTIFICATE", certificate), config)
}

fn facts_of(certificate: &[u8]) -> Result<(String, Validity), String> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|error| error.to_string())?;
    let name = parsed.subject().iter_common_name().find_map(|name| name.as_str().ok()).unwrap_or_default();
    let seconds = |time: x509_parser::time::ASN1Time| u64::try_from(time.timestamp()).unwrap_or_default();
    let (from_unix_s, until_unix_s) = (seconds(parsed.validity().not_before), seconds(parsed.validity().not_after));
    Ok((name.to_owned(), Validity { from_unix_s, until_unix_s }))
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn hold(params: &mut CertificateParams, validity: Validity) {
    let moment =
        |unix_s: u64| date_time_ymd(1970, 1, 1) + Duration::from_secs(unix_s.min(Validity::WHENEVER.until_unix_s));
    params.not_before = moment(validity.from_unix_s);
    params.not_after = moment(validity.until_unix_s);
}

fn not_made(error: impl std::fmt::Display) -> AuthorityError {
    AuthorityError::Make { reason: error.to_string() }
}

#[cfg(test)]
mod tests;
