//! Which recorded exchanges are replayed, which are not and why, and which dependency calls belong to them.
//!
//! In: an archive and the ids that were asked for. Out: the exchanges in the order they began. Bodies stay in the archive
//! until they are sent.

use std::collections::{BTreeMap, BTreeSet};

use bundle::Archive;
use exchange::{Certainty, Exchange, Id, Parent, Transport};

use crate::{error::ReplayError, order::Span, receipt::Skipped};

/// Largest request body that is sent again, in bytes. A choice: above what the proxies of the field let through.
pub(crate) const REQUEST_BODY_BYTES_MAX: u64 = 1 << 30;

/// Exchanges to replay and the calls they made.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    /// Ingress exchanges to send again, by session and start.
    pub(crate) chosen: Vec<Exchange>,
    /// Ingress exchanges that cannot be sent again, and why.
    pub(crate) skipped: Vec<Skipped>,
    /// All dependency calls of the archive, by session and start: those of the chosen exchanges are expected, the others
    /// may still answer.
    pub(crate) calls: Vec<Exchange>,
    /// Calls that are neither answered nor compared, since what they went to runs beside the service.
    pub(crate) aside: Vec<Exchange>,
    /// Rank of each capture session, by its start.
    session_ranks: BTreeMap<Id, usize>,
}

impl Selection {
    /// Selects the ingress exchanges among `only`, or all when it is empty.
    ///
    /// # Errors
    /// When a record cannot be read, or `only` names a dependency call, or nothing at all is left to replay.
    pub(crate) fn of(archive: &Archive, only: &[Id]) -> Result<Self, ReplayError> {
        let wanted: BTreeSet<Id> = only.iter().copied().collect();
        let mut selection = Self::default();
        for entry in archive.entries() {
            let next_rank = selection.session_ranks.len();
            selection.session_ranks.entry(entry.session).or_insert(next_rank);
            let exchange = archive.exchange(&entry.id)?;
            if exchange.role.dependency().is_some() {
                if wanted.contains(&exchange.id) {
                    return Err(ReplayError::NotIngress {
                        id: exchange.id,
                        parent: exchange.role.parent().map(|it| it.id),
                    });
                }
                selection.calls.push(exchange);
            } else if wanted.is_empty() || wanted.contains(&exchange.id) {
                selection.sort_in(exchange);
            }
        }
        let ranks = &selection.session_ranks;
        let rank = |exchange: &Exchange| (ranks.get(&exchange.session).copied(), exchange.times.started_ns);
        selection.chosen.sort_by_key(rank);
        selection.calls.sort_by_key(rank);
        if selection.chosen.is_empty() && selection.skipped.is_empty() {
            return Err(ReplayError::NothingRecorded);
        }
        Ok(selection)
    }

    /// All dependency calls and no ingress exchange as chosen: what `retake serve` answers with.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub(crate) fn of_calls(archive: &Archive) -> Result<Self, ReplayError> {
        let mut selection = Self::default();
        for entry in archive.entries().iter().filter(|entry| entry.dependency.is_some()) {
            selection.calls.push(archive.exchange(&entry.id)?);
        }
        Ok(selection)
    }

    /// True where dependencies were spoken to on connections that are no HTTP.
    pub(crate) fn has_connections(&self) -> bool {
        self.calls.iter().any(|call| call.transport == Transport::Raw)
    }

    /// The exchanges of this selection that are still to be sent where these were; no calls.
    pub(crate) fn but<T>(&self, sent: &BTreeMap<Id, T>) -> Self {
        let is_left = |exchange: &&Exchange| !sent.contains_key(&exchange.id);
        Self {
            chosen: self.chosen.iter().filter(is_left).cloned().collect(),
            session_ranks: self.session_ranks.clone(),
            ..Self::default()
        }
    }

    /// Sets the calls to these dependencies aside.
    pub(crate) fn without<'a>(mut self, dependencies: impl IntoIterator<Item = &'a str>) -> Self {
        let dependencies: BTreeSet<&str> = dependencies.into_iter().collect();
        let is_real = |call: &Exchange| call.role.dependency().is_some_and(|name| dependencies.contains(name));
        (self.aside, self.calls) = std::mem::take(&mut self.calls).into_iter().partition(is_real);
        self
    }

    /// How many calls to a dependency are set aside that a chosen exchange made, or may have made.
    pub(crate) fn aside_count(&self, dependency: &str) -> u64 {
        let of_chosen = self.of_chosen(&self.aside);
        of_chosen.filter(|call| call.role.dependency() == Some(dependency)).count() as u64
    }

    /// When each chosen exchange began and ended.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let span = |exchange: &Exchange| Span {
            session: self.session_ranks.get(&exchange.session).copied().unwrap_or_default(),
            started_ns: exchange.times.started_ns,
            ended_ns: exchange.times.ended_ns,
        };
        self.chosen.iter().map(span).collect()
    }

    /// The conversation of each chosen exchange, as a number, where one is known.
    pub(crate) fn conversations(&self) -> Vec<Option<usize>> {
        let mut known: BTreeMap<&exchange::Conversation, usize> = BTreeMap::new();
        let mut numbers = Vec::with_capacity(self.chosen.len());
        for exchange in &self.chosen {
            let next = known.len();
            let conversation = exchange.context.conversation.as_ref();
            numbers.push(conversation.map(|conversation| *known.entry(conversation).or_insert(next)));
        }
        numbers
    }

    /// The dependency calls that the recording says, or holds possible, a chosen exchange made.
    pub(crate) fn expected_calls(&self) -> impl Iterator<Item = &Exchange> {
        self.of_chosen(&self.calls)
    }

    fn of_chosen<'a>(&self, calls: &'a [Exchange]) -> impl Iterator<Item = &'a Exchange> + use<'a> {
        let chosen: BTreeSet<Id> = self.chosen.iter().map(|exchange| exchange.id).collect();
        let is_chosen = move |parent: &Parent| {
            chosen.contains(&parent.id) || parent.candidates.iter().any(|candidate| chosen.contains(candidate))
        };
        calls.iter().filter(move |call| call.role.parent().is_some_and(&is_chosen))
    }

    /// The authorities by which the service called its dependencies, as `Host` fields have them, with the dependency's name.
    pub(crate) fn authorities_called(&self) -> BTreeSet<(String, String)> {
        let called = self.calls.iter().chain(&self.aside).filter_map(|call| {
            let authority = call.request.head.text_of("host")?.trim();
            Some((call.role.dependency()?.to_owned(), authority.to_owned())).filter(|_| !authority.is_empty())
        });
        called.collect()
    }

    fn sort_in(&mut self, exchange: Exchange) {
        match why_not(&exchange) {
            None => self.chosen.push(exchange),
            Some(reason) => self.skipped.push(Skipped { id: exchange.id, title: exchange.title(), reason }),
        }
    }
}

/// Why an exchange cannot be sent again, or `None` when it can.
fn why_not(exchange: &Exchange) -> Option<String> {
    match exchange.transport {
        Transport::Http1 => {}
        Transport::Upgraded => return Some("an upgraded connection is recorded, but not replayed yet".to_owned()),
        Transport::Raw => return Some("a raw stream that is no HTTP/1.x is recorded, but not replayed yet".to_owned()),
    }
    if exchange.times.request_ended_ns.is_none() {
        return Some("its request never came whole".to_owned());
    }
    if !exchange.request.body.is_whole() {
        let body = &exchange.request.body;
        return Some(format!("{} of its request's {} body bytes were kept", body.kept_len(), body.len));
    }
    if exchange.request.body.len > REQUEST_BODY_BYTES_MAX {
        return Some(format!("its request has {} body bytes, more than are sent again", exchange.request.body.len));
    }
    if let Err(unclear) = wire::head::read_request(&exchange.request.head) {
        return Some(format!("its request cannot be sent again: {unclear}"));
    }
    None
}

/// The trace id under which the calls of `call`'s parent are to be found, and whether the recording itself named it.
///
/// An ambiguous parent gives none: such a call may answer anyone.
pub(crate) fn scope_of_call<'a>(
    call: &Exchange,
    trace_of_parent: impl Fn(&Id) -> Option<&'a str>,
) -> Option<(&'a str, Certainty)> {
    let parent = call.role.parent()?;
    if parent.certainty == Certainty::Ambiguous {
        return None;
    }
    trace_of_parent(&parent.id).map(|trace_id| (trace_id, parent.certainty))
}
