//! What a person has to hear of connections that are no HTTP while they are recorded: afterwards it is too late.
//!
//! In: what is seen of a connection. Out: a notice, once for each dependency and reason.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use content::unrepeatable::Unrepeatable;

use crate::{Notice, write::Notify};

/// Tells of each trouble once.
pub(crate) struct Warned {
    notify: Notify,
    /// Of which dependencies what was told; that a connection was cut is `None`.
    told: Mutex<BTreeSet<(String, Option<Unrepeatable>)>>,
}

impl Warned {
    pub(crate) fn new(notify: Notify) -> Self {
        Self { notify, told: Mutex::default() }
    }

    /// No replay can answer a connection to this dependency.
    pub(crate) fn unrepeatable(&self, dependency: &str, why: Unrepeatable) {
        if self.is_news(dependency, Some(why)) {
            (self.notify)(Notice::Unrepeatable { dependency: dependency.to_owned(), why });
        }
    }

    /// More passed on a connection than is kept of one.
    pub(crate) fn cut(&self, dependency: &str) {
        if self.is_news(dependency, None) {
            (self.notify)(Notice::ConnectionCut { dependency: dependency.to_owned() });
        }
    }

    fn is_news(&self, dependency: &str, what: Option<Unrepeatable>) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.insert((dependency.to_owned(), what))
    }
}
