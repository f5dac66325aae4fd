//! A service that runs already: nothing is started, its dependencies are its own and are not observed.

use std::{collections::BTreeSet, sync::Arc};

use futures_util::future::BoxFuture;
use wire::{Connector, Upstream};

use crate::{
    error::ReplayError,
    job::{Halt, Preparation, Running, Started},
    receipt::Relation,
    service::{Aftermath, Doorway},
};

/// A service that is neither started nor ended here.
struct NotOurs;

impl Running for NotOurs {
    fn gone(&mut self) -> Option<String> {
        None
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Aftermath> {
        Box::pin(std::future::ready(Aftermath::default()))
    }
}

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
        running: Box::new(NotOurs),
        calls_observed: false,
        not_served: BTreeSet::new(),
        host: Some(authority),
        health: None,
    })
}
