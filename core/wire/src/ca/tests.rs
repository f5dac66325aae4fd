use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio_rustls::TlsConnector;

use super::*;

const THREE_YEARS: Validity = Validity { from_unix_s: 1_700_000_000, until_unix_s: 1_900_000_000 };

fn client(trusted: &CertificateAuthority, protocols: &[&str]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

/// What both sides of a handshake come to.
async fn agree(
    authority: &CertificateAuthority,
    client: TlsConnector,
    asks_for: &str,
    host: &str,
) -> (Result<Option<String>, TlsTrouble>, bool) {
    let (near, far) = tokio::io::duplex(64 << 10);
    let name = ServerName::try_from(asks_for.to_owned()).unwrap();
    let (ours, theirs) = tokio::join!(authority.terminate(near, host), client.connect(name, far));
    (ours.map(|(_, named)| named), theirs.is_ok())
}

#[test]
fn what_is_kept_of_an_authority_is_read_again_and_another_key_is_refused() {
    let made = CertificateAuthority::make("Retake CA here", THREE_YEARS).unwrap();
    let read = CertificateAuthority::read(&made.certificate_pem(), &made.key_pem()).unwrap();
    assert_eq!((read.name(), read.validity()), ("Retake CA here", THREE_YEARS));
    assert_eq!(read.fingerprint(), made.fingerprint());
    assert_eq!(fingerprint_of_pem(&made.certificate_pem()), Some(made.fingerprint()));
    let other = CertificateAuthority::make("other", THREE_YEARS).unwrap();
    let mixed = CertificateAuthority::read(&made.certificate_pem(), &other.key_pem());
    assert!(matches!(mixed, Err(AuthorityError::Key { .. })));
    for nonsense in ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        assert!(CertificateAuthority::read(nonsense, &made.key_pem()).is_err());
        assert!(CertificateAuthority::read(&made.certificate_pem(), nonsense).is_err());
    }
}

#[tokio::test]
async fn a_client_that_trusts_the_authority_gets_a_certificate_for_the_name_or_address_it_asked_for() {
    let authority = CertificateAuthority::make("Retake CA", Validity::WHENEVER).unwrap();
    let (ours, trusted) = agree(&authority, client(&authority, &["h2", "http/1.1"]), "api.test", "api.test").await;
    assert_eq!((ours, trusted), (Ok(None), true));
    let (ours, trusted) = agree(&authority, client(&authority, &[]), "10.0.0.7", "10.0.0.7").await;
    assert_eq!((ours, trusted), (Ok(None), true));
    let (ours, trusted) = agree(&authority, client(&authority, &[]), "api.test", "10.0.0.7").await;
    assert_eq!((ours, trusted), (Ok(Some("api.test".to_owned())), true));
}

#[tokio::test]
async fn a_client_that_does_not_trust_it_or_speaks_only_http2_is_told_apart() {
    let authority = CertificateAuthority::make("Retake CA", Validity::WHENEVER).unwrap();
    let other = CertificateAuthority::make("Retake CA", Validity::WHENEVER).unwrap();
    let (ours, trusted) = agree(&authority, client(&other, &[]), "api.test", "api.test").await;
    assert!(matches!(ours, Err(TlsTrouble::NotTrusted { .. })) && !trusted, "{ours:?}");
    let (ours, trusted) = agree(&authority, client(&authority, &["h2"]), "api.test", "api.test").await;
    assert_eq!((ours, trusted), (Err(TlsTrouble::OnlyHttp2), false));
}

#[tokio::test]
async fn garbage_in_the_place_of_a_hello_is_an_error_and_no_more() {
    let authority = CertificateAuthority::make("Retake CA", Validity::WHENEVER).unwrap();
    for garbage in [&b"\x16\x03\x01\xff\xff"[..], b"\x16\x03\x01\x00\x05hello", b"GET / HTTP/1.1\r\n\r\n"] {
        let (near, mut far) = tokio::io::duplex(64 << 10);
        tokio::io::AsyncWriteExt::write_all(&mut far, garbage).await.unwrap();
        tokio::io::AsyncWriteExt::shutdown(&mut far).await.unwrap();
        assert!(matches!(authority.terminate(near, "api.test").await, Err(TlsTrouble::Failed { .. })));
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_for_ever_is_not_waited_for() {
    let authority = CertificateAuthority::make("Retake CA", Validity::WHENEVER).unwrap();
    let (near, _far) = tokio::io::duplex(64);
    assert!(matches!(authority.terminate(near, "api.test").await, Err(TlsTrouble::Failed { .. })));
}

#[test]
fn a_certificate_is_made_once_and_only_so_many_are_kept() {
    let authority = CertificateAuthority::make("Retake CA", Validity::WHENEVER).unwrap();
    let first = authority.config_for("a.test").unwrap();
    assert!(Arc::ptr_eq(&first, &authority.config_for("A.test").unwrap()));
    for number in 0..1_100 {
        authority.config_for(&format!("{number}.test")).unwrap();
    }
    assert!(!Arc::ptr_eq(&first, &authority.config_for("a.test").unwrap()));
    assert!(authority.config_for("no name\u{fe}").is_err());
}
