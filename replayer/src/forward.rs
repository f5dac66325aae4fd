//! The recorded forward proxy, played by the replayer: CONNECT and requests that name their host, answered from the recording.
//!
//! In: connections to where the proxy was. Out: each request inside, TLS ended with a certificate of an authority that the
//! service is made to trust, answered as a call of the dependency that its host was recorded as. The key of the authority
//! that vouched at capture is in no recording: a replay makes one of its own, which holds whatever the service's clock says.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use bundle::Archive;
use bytes::BytesMut;
use exchange::{Digest, Head, VariableValue};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use wire::{
    Rewound, Scheme, Upstream,
    ca::{CertificateAuthority, Validity},
    client::Clock,
    head::{HeadEnd, find_head_end},
    server::{Answer, Handler, Incoming, Served, serve_stream},
};

use crate::{
    answer::{Answerer, CALL_BODY_BYTES_MAX, error_answer},
    converse::converse,
    environment::Variables,
    run_folder::RunFolder,
};

/// What stands for a dependency's name where a place is the forward proxy's. No dependency can be named so: it has a space.
pub(crate) const FORWARD_PROXY: &str = "forward proxy";

/// Largest head of a CONNECT, in bytes. A choice: many times what clients send.
const CONNECT_BYTES_MAX: usize = 64 << 10;

/// How long a client may take to say where it wants to. As nginx's `client_header_timeout`.
const HEAD_PATIENCE: Duration = Duration::from_secs(60);

/// Name of the certificate's file.
const CERTIFICATE_FILE: &str = "ca.pem";

/// Where a container finds it.
const INSIDE: &str = "/.retake/run/ca.pem";

/// Variables that name a file with certificates to trust: what a capture sets, and what else is in use.
const CERTIFICATE_VARIABLES: [&str; 11] = [
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "AWS_CA_BUNDLE",
    "PIP_CERT",
    "GIT_SSL_CAINFO",
    "CARGO_HTTP_CAINFO",
    "DENO_CERT",
    "HTTPLIB2_CA_CERTS",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
];

/// What plays the forward proxy of a recording.
pub(crate) struct Forward {
    authority: Arc<CertificateAuthority>,
    /// The dependencies with a listener of their own, and where they were.
    known: Vec<(String, Upstream)>,
    folder: RunFolder,
}

impl Forward {
    /// What plays the recorded forward proxy, if there was one, with `authority` or one that is made now.
    ///
    /// # Errors
    /// When there is no randomness, or no room for the certificate.
    pub(crate) fn of(archive: &Archive, authority: Option<Arc<CertificateAuthority>>) -> io::Result<Option<Self>> {
        let listeners = || archive.sessions().iter().rev().flat_map(|session| &session.listeners);
        if listeners().all(|listener| listener.forward_proxy.is_none()) {
            return Ok(None);
        }
        let authority = match authority {
            Some(authority) => authority,
            None => {
                let made = CertificateAuthority::make("Retake CA of one replay", Validity::WHENEVER);
                Arc::new(made.map_err(io::Error::other)?)
            }
        };
        let upstream_of =
            |listener: &exchange::Listener| Some((listener.dependency.clone()?, listener.upstream.parse().ok()?));
        let folder = RunFolder::make()?;
        std::fs::write(folder.path().join(CERTIFICATE_FILE), authority.certificate_pem())?;
        Ok(Some(Self { authority, known: listeners().filter_map(upstream_of).collect(), folder }))
    }

    /// The certificate's file on this machine.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.path().join(CERTIFICATE_FILE)
    }

    /// Puts the certificate where a container finds it: into the folder that becomes its `/.retake/run`.
    pub(crate) fn put_into(&self, run_folder: &std::path::Path) -> io::Result<()> {
        std::fs::write(run_folder.join(CERTIFICATE_FILE), self.authority.certificate_pem())
    }

    /// Has a container trust it; what was done in words, for the receipt.
    pub(crate) fn trust_inside(&self, variables: &mut Variables) -> String {
        self.trust(INSIDE, variables)
    }

    /// Has a process on this machine trust it.
    pub(crate) fn trust_here(&self, variables: &mut Variables) -> String {
        self.trust(&self.certificate().display().to_string(), variables)
    }

    /// Those variables that were recorded name the certificate now, all of them where none was.
    fn trust(&self, path: &str, variables: &mut Variables) -> String {
        let recorded: Vec<_> =
            CERTIFICATE_VARIABLES.into_iter().filter(|name| variables.values.contains_key(*name)).collect();
        let changed = if recorded.is_empty() { CERTIFICATE_VARIABLES.to_vec() } else { recorded };
        for name in &changed {
            if variables.values.insert((*name).to_owned(), path.to_owned()).is_none() {
                let words = format!("{name}: `{path}`, not in the recording, for the forward proxy");
                variables.replacements.push(words);
            }
        }
        format!(
            "{path}: the certificate of an authority made for this run, trusted by {} in the place of the recorded one; \
             SHA-256 {}",
            changed.join(", "),
            self.authority.fingerprint()
        )
    }

    fn name_of(&self, destination: &Upstream) -> String {
        destination.name_among(self.known.iter().map(|(name, upstream)| (name.as_str(), upstream)))
    }
}

/// The certificates of a recording's own authorities, as the digests of their files.
pub(crate) fn certificates_of(archive: &Archive) -> Vec<Digest> {
    let listeners = archive.sessions().iter().flat_map(|session| &session.listeners);
    let proxies = listeners.filter_map(|listener| listener.forward_proxy.as_ref());
    proxies.map(|proxy| Digest::of(proxy.certificate.as_bytes())).collect()
}

/// The mounts of a recorded container that only carried certificates for the forward proxy: those that a variable names, and
/// files that are one of `certificates`. Retake supplies what was in them.
pub(crate) fn supplied_mounts(config: &exchange::ContainerConfig, certificates: &[Digest]) -> Vec<String> {
    let goes_through_proxy = config.variables.iter().any(|variable| variable.name.eq_ignore_ascii_case("https_proxy"));
    let named: Vec<_> = config
        .variables
        .iter()
        .filter(|variable| CERTIFICATE_VARIABLES.contains(&variable.name.as_str()))
        .filter_map(|variable| match &variable.value {
            VariableValue::Plain(path) => Some(path.as_str()),
            VariableValue::Secret { .. } => None,
        })
        .collect();
    let is_supplied = |mount: &&exchange::Mount| {
        let is_named = goes_through_proxy && named.contains(&mount.path.as_str());
        is_named || mount.digest.is_some_and(|digest| certificates.contains(&digest))
    };
    config.mounts.iter().filter(is_supplied).map(|mount| mount.path.clone()).collect()
}

/// Answers a connection to a recorded place: a dependency's, or the forward proxy's.
pub(crate) async fn serve_place<S>(
    stream: S,
    name: &str,
    answerer: &Arc<Answerer>,
    clock: &Clock,
) -> io::Result<Served<S>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    match answerer.forward() {
        Some(forward) if name == FORWARD_PROXY => serve_forward(stream, forward, answerer, clock).await,
        _ if answerer.connections().has(name) => converse(stream, name, answerer, clock).await,
        _ => serve_stream(stream, answerer.of_dependency(name), CALL_BODY_BYTES_MAX, clock).await,
    }
}

async fn serve_forward<S>(
    mut stream: S,
    forward: &Forward,
    answerer: &Arc<Answerer>,
    clock: &Clock,
) -> io::Result<Served<S>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let mut read = BytesMut::new();
    let head_end = within_patience(read_head(&mut stream, &mut read)).await?;
    let tunnel = head_end.and_then(|end| tunnel_to(&read[..end]).map(|destination| (end, destination)));
    let Some((end, destination)) = tunnel else {
        let answers = Arc::new(ByHost { answerer: Arc::clone(answerer) });
        let served = serve_stream(Rewound::new(read, stream), answers, CALL_BODY_BYTES_MAX, clock).await?;
        return Ok(unwound(served));
    };
    drop(read.split_to(end));
    stream.write_all(b"HTTP/1.1 200 Connection Established\r\n\r\n").await?;
    stream.flush().await?;
    if read.is_empty() && stream.read_buf(&mut read).await? == 0 {
        return Ok(Served::Clean);
    }
    // First byte of a record of TLS's handshake (RFC 8446, section 5.1).
    let is_tls = read.first() == Some(&22);
    let stream = Rewound::new(read, stream);
    if !is_tls {
        let answers = answerer.of_dependency(&forward.name_of(&Upstream { scheme: Scheme::Http, ..destination }));
        return Ok(unwound(serve_stream(stream, answers, CALL_BODY_BYTES_MAX, clock).await?));
    }
    let answers = answerer.of_dependency(&forward.name_of(&destination));
    let (tls, _) = forward.authority.terminate(stream, &destination.host).await.map_err(io::Error::other)?;
    match serve_stream(tls, answers, CALL_BODY_BYTES_MAX, clock).await? {
        Served::Clean => Ok(Served::Clean),
        Served::ToBeReset(tls) => Ok(Served::ToBeReset(tls.into_inner().0.into_inner())),
    }
}

fn unwound<S>(served: Served<Rewound<S>>) -> Served<S> {
    match served {
        Served::Clean => Served::Clean,
        Served::ToBeReset(stream) => Served::ToBeReset(stream.into_inner()),
    }
}

/// Reads until a head is whole; where it ends, or `None` for what is no head of a bearable length.
async fn read_head(stream: &mut (impl AsyncRead + Unpin), read: &mut BytesMut) -> io::Result<Option<usize>> {
    loop {
        if let HeadEnd::Found { end, .. } = find_head_end(read, 0) {
            return Ok(Some(end));
        }
        if read.len() > CONNECT_BYTES_MAX || stream.read_buf(read).await? == 0 {
            return Ok(None);
        }
    }
}

async fn within_patience<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(HEAD_PATIENCE, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Where a CONNECT wants to, as what is reached by TLS; `None` for anything else.
fn tunnel_to(head: &[u8]) -> Option<Upstream> {
    let head = Head::new(head);
    let line = head.request_line().filter(|line| line.method == b"CONNECT")?;
    format!("https://{}", std::str::from_utf8(line.target).ok()?).parse().ok()
}

/// Answers requests that name their host in the target.
struct ByHost {
    answerer: Arc<Answerer>,
}

impl Handler for ByHost {
    async fn answer(&self, incoming: Incoming) -> Answer {
        let named = incoming.head.request_line().and_then(|line| host_in(line.target));
        match (named, self.answerer.forward()) {
            (Some(destination), Some(forward)) => {
                self.answerer.of_dependency(&forward.name_of(&destination)).answer(incoming).await
            }
            _ => {
                let words = "this is a forward proxy, and the request's target names no host";
                error_answer("400 Bad Request", "retake_no_destination", words)
            }
        }
    }
}

/// The scheme and host of a target that is a URL.
fn host_in(target: &[u8]) -> Option<Upstream> {
    let (scheme, rest) = std::str::from_utf8(target).ok()?.split_once("://")?;
    let authority = rest.find(['/', '?']).map_or(rest, |end| &rest[..end]);
    format!("{scheme}://{authority}").parse().ok()
}

#[cfg(test)]
mod tests {
    use exchange::{ContainerConfig, Mount, Variable};

    use super::*;

    #[test]
    fn a_mount_that_a_certificate_variable_names_is_supplied_and_another_is_not() {
        let variable =
            |name: &str, value: &str| Variable { name: name.to_owned(), value: VariableValue::Plain(value.to_owned()) };
        let mount =
            |path: &str| serde_json::from_value::<Mount>(serde_json::json!({ "path": path, "kind": "bind" })).unwrap();
        let mut config = ContainerConfig {
            variables: vec![variable("HTTPS_PROXY", "http://127.0.0.1:3128"), variable("SSL_CERT_FILE", "/etc/ca.pem")],
            mounts: vec![mount("/etc/ca.pem"), mount("/models")],
            ..ContainerConfig::default()
        };
        assert_eq!(supplied_mounts(&config, &[]), ["/etc/ca.pem"]);
        config.variables.remove(0);
        assert!(supplied_mounts(&config, &[]).is_empty());
        let certificate = Digest::of(b"-----BEGIN CERTIFICATE-----");
        config.mounts.push(Mount { digest: Some(certificate), ..mount("/opt/trusted.pem") });
        assert_eq!(supplied_mounts(&config, &[certificate]), ["/opt/trusted.pem"]);
    }

    #[test]
    fn a_destination_is_read_from_a_connect_or_a_target_and_nothing_else() {
        let tunnel = |head: &str| tunnel_to(head.as_bytes()).map(|upstream| upstream.authority());
        assert_eq!(tunnel("CONNECT api.test:443 HTTP/1.1\r\n\r\n").as_deref(), Some("api.test"));
        assert_eq!(tunnel("CONNECT [::1]:8443 HTTP/1.1\r\n\r\n").as_deref(), Some("[::1]:8443"));
        assert_eq!(tunnel("GET / HTTP/1.1\r\n\r\n"), None);
        assert_eq!(tunnel("CONNECT ? HTTP/1.1\r\n\r\n"), None);
        assert_eq!(host_in(b"http://api.test/a?b").unwrap().authority(), "api.test");
        assert!(host_in(b"/a").is_none() && host_in(b"http://").is_none() && host_in(b"\xff://a/").is_none());
    }
}
