//! A service that runs already: nothing is started, its dependencies are its own and are not observed.

use std::sync::Arc;

use wire::{Connector, Upstream};

use crate::{
    error::ReplayError,
    receipt::{Pinned, Relation},
    replay::{Halt, Preparation, Running, Started},
    service::Doorway,
};

pub(crate) fn start(url: &str, preparation: &mut Preparation) -> Result<Started, Halt> {
    let refused = |reason: String| ReplayError::Target { target: url.to_owned(), reason };
    let upstream: Upstream = url.parse().map_err(|error: wire::UpstreamError| refused(error.to_string()))?;
    let connector = Connector::new();
    let authority = upstream.authority();
    preparation.pinned = Pinned { wanted: String::new(), used: authority.clone(), relation: Relation::NotPinned };
    preparation.target = url.to_owned();
    Ok(Started {
        doorway: Doorway::Url(Arc::new(connector), upstream),
        running: Running::Url,
        calls_observed: false,
        host: Some(authority),
    })
}
