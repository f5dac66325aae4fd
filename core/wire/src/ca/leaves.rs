//! The certificates of hosts, made once each and kept for a while.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use rcgen::KeyPair;
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

use super::{AuthorityError, CertificateAuthority, not_made};

/// Most hosts whose certificate is kept; beyond, the one that was made first is made again when it is asked for. A choice:
/// far above what one service calls, and 2 MB.
const HOSTS_MAX: usize = 1_024;

/// What hosts are vouched for with.
pub(super) struct Leaves {
    /// The key of all of them.
    key: KeyPair,
    made: Mutex<Made>,
}

#[derive(Default)]
struct Made {
    by_host: BTreeMap<String, Arc<ServerConfig>>,
    in_order: VecDeque<String>,
}

impl Leaves {
    pub(super) fn new(key: KeyPair) -> Self {
        Self { key, made: Mutex::default() }
    }

    pub(super) fn key(&self) -> &KeyPair {
        &self.key
    }
}

impl CertificateAuthority {
    /// What TLS is spoken with for a host.
    pub(super) fn config_for(&self, host: &str) -> Result<Arc<ServerConfig>, AuthorityError> {
        let host = host.to_ascii_lowercase();
        let mut made = self.leaves.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = made.by_host.get(&host) {
            return Ok(Arc::clone(config));
        }
        let config = Arc::new(self.make_config(&host)?);
        if made.in_order.len() >= HOSTS_MAX
            && let Some(first) = made.in_order.pop_front()
        {
            made.by_host.remove(&first);
        }
        made.in_order.push_back(host.clone());
        made.by_host.insert(host, Arc::clone(&config));
        Ok(config)
    }

    fn make_config(&self, host: &str) -> Result<ServerConfig, AuthorityError> {
        let chain = vec![self.certificate_for(host)?, self.certificate.clone()];
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.leaves.key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = versions.expect("ring has the default protocol versions").with_no_client_auth();
        let mut config = builder.with_single_cert(chain, key).map_err(not_made)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}
