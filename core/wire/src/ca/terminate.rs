//! TLS of a client that ends here, with a certificate for the host that it asked for.

use std::{io, time::Duration};

use rustls::AlertDescription;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::LazyConfigAcceptor;
pub use tokio_rustls::server::TlsStream;

use super::CertificateAuthority;

/// Longest that a client may take to agree on TLS. A choice: nginx's `client_header_timeout` is 60 s.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(30);

/// Why what a client says in TLS cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsTrouble {
    /// It does not trust the authority, or trusts only one certificate (pinning).
    #[error("it does not trust Retake's certificate ({reason})")]
    NotTrusted {
        /// The client's alert.
        reason: String,
    },
    /// It speaks HTTP/2 only, as gRPC does.
    #[error("it speaks only HTTP/2, as gRPC does, and HTTP/1.1 is what can be recorded")]
    OnlyHttp2,
    /// Anything else.
    #[error("TLS could not be agreed on: {reason}")]
    Failed {
        /// In the words of the TLS library.
        reason: String,
    },
}

impl CertificateAuthority {
    /// Ends a client's TLS, which has just begun on `stream`: as the host that the client names, else as `host`. Gives
    /// back the name where it is another than `host`.
    ///
    /// # Errors
    /// [`TlsTrouble`] where they do not agree; the client was told so as TLS does.
    pub async fn terminate<S>(&self, stream: S, host: &str) -> Result<(TlsStream<S>, Option<String>), TlsTrouble>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let agreed = tokio::time::timeout(HANDSHAKE_PATIENCE, self.terminate_at_leisure(stream, host)).await;
        let too_slow = || TlsTrouble::Failed { reason: format!("not within {} s", HANDSHAKE_PATIENCE.as_secs()) };
        agreed.unwrap_or_else(|_| Err(too_slow()))
    }

    async fn terminate_at_leisure<S>(&self, stream: S, host: &str) -> Result<(TlsStream<S>, Option<String>), TlsTrouble>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let hello = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream);
        let hello = hello.await.map_err(|error| trouble_of(&error))?;
        let named = hello.client_hello().server_name().map(str::to_owned);
        let named = named.filter(|name| !name.eq_ignore_ascii_case(host));
        let config = self.config_for(named.as_deref().unwrap_or(host));
        let config = config.map_err(|error| TlsTrouble::Failed { reason: error.to_string() })?;
        let agreed = hello.into_stream(config).await.map_err(|error| trouble_of(&error))?;
        Ok((agreed, named))
    }
}

fn trouble_of(error: &io::Error) -> TlsTrouble {
    let of_tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match of_tls {
        Some(rustls::Error::NoApplicationProtocol) => TlsTrouble::OnlyHttp2,
        Some(rustls::Error::AlertReceived(alert)) if is_distrust(*alert) => {
            TlsTrouble::NotTrusted { reason: format!("{alert:?}") }
        }
        _ => TlsTrouble::Failed { reason: error.to_string() },
    }
}

fn is_distrust(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::AccessDenied
            // What is said of a certificate by an authority of the same name and another key.
            | AlertDescription::DecryptError
    )
}
