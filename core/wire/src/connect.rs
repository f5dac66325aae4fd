//! Opens connections to upstreams: names, addresses, TLS.
//!
//! In: an [`Upstream`]. Out: a [`Stream`] on which HTTP/1.1 is spoken. Names are looked up in the hosts file, then with the
//! servers of `resolv.conf`, never with libc: a static binary would load the machine's own libraries for it. `localhost` is
//! always this machine (RFC 6761, section 6.3). TLS trusts the system's roots, or those of `SSL_CERT_FILE` and `SSL_CERT_DIR`.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use hickory_resolver::TokioResolver;
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::OnceCell,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{Scheme, Upstream};

/// Why there is no connection to an upstream.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The configuration of the resolver could not be read.
    #[error("cannot set up the look-up of names: {reason}")]
    Resolver {
        /// In the resolver's words.
        reason: String,
    },
    /// The name has no address.
    #[error("cannot find the address of `{host}`: {reason}")]
    Name {
        /// The name.
        host: String,
        /// In the resolver's words.
        reason: String,
    },
    /// No address of the upstream accepted.
    #[error("cannot connect to `{upstream}`: {source}")]
    Connect {
        /// The upstream.
        upstream: String,
        /// Of the last address tried.
        #[source]
        source: io::Error,
    },
    /// It took too long.
    #[error("cannot connect to `{upstream}`: no connection within {} s", .after.as_secs_f32())]
    TimedOut {
        /// The upstream.
        upstream: String,
        /// How long was waited.
        after: Duration,
    },
    /// There are no certificates to trust.
    #[error("no trusted certificates were found: {reason}")]
    NoRoots {
        /// What was tried.
        reason: String,
    },
    /// TLS could not be agreed on.
    #[error("TLS with `{upstream}` failed: {source}")]
    Tls {
        /// The upstream.
        upstream: String,
        /// In the words of the TLS library.
        #[source]
        source: io::Error,
    },
}

impl ConnectError {
    /// What the user can do next.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Resolver { .. } => Some("look at `/etc/resolv.conf`, or give the upstream as an address"),
            Self::Name { .. } => Some("check the name, `/etc/hosts` and `/etc/resolv.conf`"),
            Self::Connect { .. } | Self::TimedOut { .. } => {
                Some("is the service running, and listening on that address?")
            }
            Self::NoRoots { .. } => Some("install the system's certificates, or name a file in `SSL_CERT_FILE`"),
            Self::Tls { .. } => {
                Some("to trust a certificate of your own, name its authority's file in `SSL_CERT_FILE`")
            }
        }
    }
}

/// Opens connections; what is costly to set up is set up once, when it is first needed.
#[derive(Default)]
pub struct Connector {
    resolver: OnceCell<TokioResolver>,
    tls: OnceCell<TlsConnector>,
}

impl Connector {
    /// A connector with the system's names and roots.
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens a connection to `upstream` within `timeout`.
    ///
    /// # Errors
    /// [`ConnectError`] says which step failed.
    pub async fn connect(&self, upstream: &Upstream, timeout: Duration) -> Result<Stream, ConnectError> {
        let timed_out = || ConnectError::TimedOut { upstream: upstream.to_string(), after: timeout };
        tokio::time::timeout(timeout, self.connect_now(upstream)).await.unwrap_or_else(|_| Err(timed_out()))
    }

    async fn connect_now(&self, upstream: &Upstream) -> Result<Stream, ConnectError> {
        let mut last_error = io::Error::new(io::ErrorKind::AddrNotAvailable, "it has no address");
        for address in self.addresses_of(&upstream.host).await? {
            match TcpStream::connect((address, upstream.port)).await {
                Ok(tcp) => return self.finish(tcp, upstream).await,
                Err(error) => last_error = error,
            }
        }
        Err(ConnectError::Connect { upstream: upstream.to_string(), source: last_error })
    }

    async fn finish(&self, tcp: TcpStream, upstream: &Upstream) -> Result<Stream, ConnectError> {
        // A failure to turn Nagle's algorithm off costs latency, not the connection.
        tcp.set_nodelay(true).ok();
        if upstream.scheme != Scheme::Https {
            return Ok(Stream::Tcp(tcp));
        }
        let failed = |source| ConnectError::Tls { upstream: upstream.to_string(), source };
        let name = upstream.server_name.as_ref().unwrap_or(&upstream.host).clone();
        let name = ServerName::try_from(name).map_err(|error| failed(io::Error::other(error)))?;
        let tls = self.tls.get_or_try_init(|| async { load_tls() }).await?;
        let stream = tls.connect(name, tcp).await.map_err(failed)?;
        Ok(Stream::Tls(Box::new(stream)))
    }

    async fn addresses_of(&self, host: &str) -> Result<Vec<IpAddr>, ConnectError> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        if name == "localhost" || name.ends_with(".localhost") {
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        let resolver = self.resolver.get_or_try_init(|| async { load_resolver() }).await?;
        let found = resolver.lookup_ip(host).await;
        let found = found.map_err(|error| ConnectError::Name { host: host.to_owned(), reason: error.to_string() })?;
        Ok(found.iter().collect())
    }
}

fn load_resolver() -> Result<TokioResolver, ConnectError> {
    let built = TokioResolver::builder_tokio().and_then(|builder| builder.build());
    built.map_err(|error| ConnectError::Resolver { reason: error.to_string() })
}

fn load_tls() -> Result<TlsConnector, ConnectError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (usable, _unusable) = roots.add_parsable_certificates(found.certs);
    if usable == 0 {
        let reasons: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        let reason = if reasons.is_empty() { "the system has none".to_owned() } else { reasons.join("; ") };
        return Err(ConnectError::NoRoots { reason });
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = versions.expect("ring has the default protocol versions");
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

/// A connection to an upstream.
#[derive(Debug)]
pub enum Stream {
    /// Plain.
    Tcp(TcpStream),
    /// Encrypted.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// The TCP connection under it.
    pub fn tcp(&self) -> &TcpStream {
        match self {
            Self::Tcp(tcp) => tcp,
            Self::Tls(tls) => tls.get_ref().0,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_read(context, into),
            Self::Tls(tls) => Pin::new(tls).poll_read(context, into),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_write(context, bytes),
            Self::Tls(tls) => Pin::new(tls).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_flush(context),
            Self::Tls(tls) => Pin::new(tls).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_shutdown(context),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn localhost_and_literals_need_no_resolver() {
        let connector = Connector::new();
        assert_eq!(connector.addresses_of("LOCALHOST").await.unwrap()[0], IpAddr::from([127, 0, 0, 1]));
        assert_eq!(connector.addresses_of("::1").await.unwrap(), [IpAddr::V6(Ipv6Addr::LOCALHOST)]);
        assert!(connector.resolver.get().is_none());
    }

    #[tokio::test]
    async fn a_port_nobody_listens_on_is_told_with_the_upstream() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let upstream: Upstream = format!("http://{free}").parse().unwrap();
        let error = Connector::new().connect(&upstream, Duration::from_secs(5)).await.unwrap_err();
        assert!(matches!(&error, ConnectError::Connect { .. }), "{error}");
        assert!(error.to_string().contains(&free.to_string()) && error.help().is_some());
    }
}
