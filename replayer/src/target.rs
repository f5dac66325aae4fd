//! A service that runs already: nothing is started, its dependencies are its own and are not observed.

use std::{collections::BTreeSet, sync::Arc};

use wire::{Connector, Upstream};

use crate::{
    error::ReplayError,
    receipt::Relation,
    replay::{Halt, Preparation, Running, Started},
    service::Doorway,
};

/// Finds the service.
pub(crate) fn start(url: &str, preparation: &mut Preparation) -> Result<Started, Halt> {
    let refused = |reason: String| ReplayError::Target { target: url.to_owned(), reason };
    let upstream: Upstream = url.parse().map_err(|error: wire::UpstreamError| refused(error.to_string()))?;
    let connector = Connector::new();
    let authority = upstream.authority();
    preparation.pinned.used.clone_from(&authority);
    preparation.pinned.relation = Relation::NotPinned;
    preparation.target.clone_from(&authority);
    preparation.replacements.push(format!("header:Host: {authority}, the target's name"));
    Ok(Started {
        doorway: Doorway::Url(Arc::new(connector), upstream),
        running: Running::Url,
        calls_observed: false,
        not_served: BTreeSet::new(),
        host: Some(authority),
    })
}
