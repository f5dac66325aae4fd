//! The forward proxy of a capture: for a service that cannot be told another base URL, and honours HTTPS_PROXY.
//!
//! In: settings. Out: a listener, the variables that send a service through it and have it trust our authority, and the
//! name of the dependency that a call through it is for. What passes is `wire::proxy`'s.

use std::{
    collections::BTreeSet,
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use exchange::{ForwardProxy, Listener};
use tokio::net::TcpListener;
use wire::{
    Upstream,
    ca::{CertificateAuthority, TlsTrouble},
    proxy::Forwarding,
};

use crate::{CaptureError, Notice, Settings, listen, write::Notify};

/// Variables that name a file of certificates in the place of the system's.
const BUNDLE_VARIABLES: [&str; 7] = [
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "AWS_CA_BUNDLE",
    "PIP_CERT",
    "GIT_SSL_CAINFO",
    "CARGO_HTTP_CAINFO",
];

/// Variables that name a file of certificates beside the system's.
const ADDED_VARIABLES: [&str; 2] = ["NODE_EXTRA_CA_CERTS", "DENO_CERT"];

/// Variables that name a proxy for everything; the lower case is what some look for alone.
const PROXY_VARIABLES: [&str; 4] = ["HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"];

/// What is called without the proxy: this machine, where the listeners of dependencies with a base URL are.
const NOT_THROUGH_PROXY: &str = "localhost,127.0.0.1,::1";

/// Most hosts whose trouble is told, each once. A choice.
const TOLD_MAX: usize = 256;

/// A forward proxy that is to be opened.
#[derive(Clone)]
pub struct ForwardSettings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Vouches for the hosts behind it.
    pub authority: Arc<CertificateAuthority>,
    /// A file with its certificate.
    pub certificate: PathBuf,
    /// A file with its certificate and the system's.
    pub bundle: PathBuf,
    /// Hosts whose TLS passes untouched and is recorded as bytes: `NAME`, `NAME:PORT` or `.SUFFIX`.
    pub through: Vec<String>,
}

impl fmt::Debug for ForwardSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { listen, certificate, bundle, through, .. } = self;
        formatter
            .debug_struct("ForwardSettings")
            .field("listen", listen)
            .field("certificate", certificate)
            .field("bundle", bundle)
            .field("through", through)
            .finish_non_exhaustive()
    }
}

/// A forward proxy that listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundForward {
    /// Where.
    pub address: SocketAddr,
    /// What a service is to be started with to call through it: names and values.
    pub variables: Vec<(String, String)>,
    /// A file with the authority's certificate.
    pub certificate: PathBuf,
    /// A file with the authority's certificate and the system's.
    pub bundle: PathBuf,
    certificate_pem: String,
}

impl BoundForward {
    /// As the session's record has it.
    pub(crate) fn to_record(&self) -> Listener {
        Listener {
            listen: self.address.to_string(),
            forward_proxy: Some(ForwardProxy { certificate: self.certificate_pem.clone() }),
            ..Listener::default()
        }
    }
}

/// Opens it where it is wanted.
///
/// # Errors
/// `Listen` when its address cannot be had.
pub(crate) async fn bind(settings: &Settings) -> Result<Option<(TcpListener, BoundForward)>, CaptureError> {
    let Some(forward) = &settings.forward else { return Ok(None) };
    let listener = listen::listen(forward.listen, "the forward proxy").await?;
    let address = listen::address_of(&listener, forward.listen);
    let bound = BoundForward {
        address,
        variables: variables(address, &forward.certificate, &forward.bundle, |name| std::env::var(name).ok()),
        certificate: forward.certificate.clone(),
        bundle: forward.bundle.clone(),
        certificate_pem: forward.authority.certificate_pem(),
    };
    Ok(Some((listener, bound)))
}

/// As the proxy wants it.
pub(crate) fn forwarding(settings: &ForwardSettings, listener: usize) -> Forwarding {
    Forwarding { listener, authority: Arc::clone(&settings.authority), through: settings.through.clone() }
}

/// What a service is started with; `former` gives what this process has of a variable.
fn variables(
    address: SocketAddr,
    certificate: &Path,
    bundle: &Path,
    former: impl Fn(&str) -> Option<String>,
) -> Vec<(String, String)> {
    let (certificate, bundle) = (certificate.display().to_string(), bundle.display().to_string());
    let url = format!("http://{address}");
    let mut variables: Vec<_> = PROXY_VARIABLES.iter().map(|name| ((*name).to_owned(), url.clone())).collect();
    for name in ["NO_PROXY", "no_proxy"] {
        let own = former(name).filter(|value| !value.is_empty()).map(|value| format!("{value},")).unwrap_or_default();
        variables.push((name.to_owned(), format!("{own}{NOT_THROUGH_PROXY}")));
    }
    variables.extend(BUNDLE_VARIABLES.iter().map(|name| ((*name).to_owned(), bundle.clone())));
    variables.extend(ADDED_VARIABLES.iter().map(|name| ((*name).to_owned(), certificate.clone())));
    // Node's own `fetch` and `http` honour proxy variables where this is set, since 22.21 and 24.
    variables.push(("NODE_USE_ENV_PROXY".to_owned(), "1".to_owned()));
    variables
}

/// Names what is called through the proxy, and tells of what cannot be read.
pub(crate) struct Behind {
    known: Vec<(String, Upstream)>,
    notify: Notify,
    told: Mutex<BTreeSet<String>>,
}

impl Behind {
    pub(crate) fn new(settings: &Settings, notify: Notify) -> Self {
        let known = settings.dependencies.iter().map(|it| (it.name.clone(), it.upstream.clone())).collect();
        Self { known, notify, told: Mutex::default() }
    }

    /// The name of the dependency at `destination`.
    pub(crate) fn name_of(&self, destination: &Upstream) -> String {
        destination.name_among(self.known.iter().map(|(name, upstream)| (name.as_str(), upstream)))
    }

    /// Tells of a client whose TLS could not be read, once for each host.
    pub(crate) fn unreadable(&self, destination: &Upstream, trouble: &TlsTrouble) {
        let host = destination.authority();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() < TOLD_MAX && told.insert(host.clone()) {
            (self.notify)(Notice::TlsUnreadable { host, trouble: trouble.clone() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_started_service_is_sent_through_the_proxy_and_trusts_files_that_are_named() {
        let former = |name: &str| (name == "NO_PROXY").then(|| "db.internal".to_owned());
        let address = SocketAddr::from(([127, 0, 0, 1], 3128));
        let made = variables(address, Path::new("/ca/ca.pem"), Path::new("/ca/bundle.pem"), former);
        let of = |name: &str| made.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str());
        assert_eq!(of("https_proxy"), Some("http://127.0.0.1:3128"));
        assert_eq!(of("NO_PROXY"), Some("db.internal,localhost,127.0.0.1,::1"));
        assert_eq!(of("SSL_CERT_FILE"), Some("/ca/bundle.pem"));
        assert_eq!(of("NODE_EXTRA_CA_CERTS"), Some("/ca/ca.pem"));
    }

    #[test]
    fn what_is_behind_it_has_the_name_that_was_given_or_its_hosts() {
        let dependencies = vec!["model=https://api.test/v1".parse().unwrap()];
        let behind = Behind::new(&Settings { dependencies, ..Settings::default() }, Arc::new(|_| {}));
        let name = |url: &str| behind.name_of(&url.parse().unwrap());
        assert_eq!(name("https://API.test"), "model");
        assert_eq!(name("http://api.test"), "api.test");
        assert_eq!(name("https://api.test:8443"), "api.test:8443");
    }

    #[test]
    fn trouble_with_a_host_is_told_once() {
        let told = Arc::new(Mutex::new(0));
        let count = told.clone();
        let behind = Behind::new(&Settings::default(), Arc::new(move |_| *count.lock().unwrap() += 1));
        let host: Upstream = "https://api.test".parse().unwrap();
        behind.unreadable(&host, &TlsTrouble::OnlyHttp2);
        behind.unreadable(&host, &TlsTrouble::OnlyHttp2);
        assert_eq!(*told.lock().unwrap(), 1);
    }
}
