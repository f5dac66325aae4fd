//! A bucket that can be asked, and the threads that wait for it.
//!
//! In: an address, and variables. Out: answers, waited for by whoever asks: a bundle's reader knows no async.

use std::{
    env,
    future::Future,
    sync::{Arc, LazyLock, mpsc},
    time::Duration,
};

use object_store::{
    BackoffConfig, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey},
    path::Path,
};
use tokio::runtime::{Builder, Runtime};
use wire::Upstream;

use crate::{Address, RemoteError, transport::Transport};

/// How long a request is tried again, and how often. Choices: a person waits.
const RETRY_FOR: Duration = Duration::from_secs(30);
const RETRIES_MAX: usize = 3;

/// Where credentials come from.
const CREDENTIALS: [&str; 5] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_SKIP_SIGNATURE",
];

/// Runs what is waited for. Never dropped: a reader may live in a task of another runtime.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a thread can be started")
});

/// Waits for `future` on a thread of its own.
pub(crate) fn wait<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
    let (sender, receiver) = mpsc::sync_channel(1);
    RUNTIME.spawn(async move { sender.send(future.await).ok() });
    receiver.recv().expect("the future ends, and tells")
}

/// An object's place.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) address: Address,
    pub(crate) path: Path,
    pub(crate) store: Arc<AmazonS3>,
}

impl Place {
    /// The place of an address, with the settings of the variables. Nothing is asked yet.
    pub(crate) fn of(address: &Address) -> Result<Self, RemoteError> {
        let is_set = |name: &&str| env::var_os(name).is_some_and(|value| !value.is_empty());
        if !CREDENTIALS.iter().any(is_set) {
            return Err(RemoteError::NoCredentials { address: address.clone() });
        }
        let builder = AmazonS3Builder::from_env().with_bucket_name(&address.bucket);
        check_endpoint(address, &builder)?;
        let cannot =
            |source: object_store::Error| RemoteError::Settings { address: address.clone(), source: source.into() };
        let retry =
            RetryConfig { max_retries: RETRIES_MAX, retry_timeout: RETRY_FOR, backoff: BackoffConfig::default() };
        let store = builder
            .with_retry(retry)
            .with_allow_http(true)
            .with_http_connector(Transport::default())
            .build()
            .map_err(cannot)?;
        let path = Path::parse(&address.key).map_err(|_| RemoteError::NoAddress {
            text: address.to_string(),
            what: "a part of its key is empty, `.` or `..`, or has a control character",
        })?;
        Ok(Self { address: address.clone(), path, store: Arc::new(store) })
    }
}

/// Without TLS only this machine is asked, unless the user says otherwise.
fn check_endpoint(address: &Address, builder: &AmazonS3Builder) -> Result<(), RemoteError> {
    let Some(endpoint) = builder.get_config_value(&AmazonS3ConfigKey::Endpoint) else { return Ok(()) };
    let is_here = |upstream: Upstream| {
        let host = upstream.host.to_ascii_lowercase();
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    };
    let is_safe = !endpoint.to_ascii_lowercase().starts_with("http:") || endpoint.parse().is_ok_and(is_here);
    let is_allowed = env::var("AWS_ALLOW_HTTP").is_ok_and(|value| value == "true" || value == "1");
    if is_safe || is_allowed { Ok(()) } else { Err(RemoteError::InTheClear { address: address.clone(), endpoint }) }
}
