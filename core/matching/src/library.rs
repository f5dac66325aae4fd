//! The recorded calls, and which of them were asked for.
//!
//! A recording is served once to each scope: first to its own, and to another only when that one has none left. What is
//! served to another scope stays there for its own, so that one call too many of one exchange takes nothing away from the
//! next. Recordings of no known parent are served once in all. Where a call's own scope has none, those of its conversation
//! come before all others.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use exchange::{Certainty, Digest, Id};

use crate::{Answer, Call, Found, LeftOut, MatchScope, Miss, Nearest, Normalise, Recorded, Scope, key::Keyed, nearest};

/// Memory for bodies that are kept to explain misses, in bytes. A choice; beyond it a miss tells less.
const EXPLAINED_BYTES_MAX: usize = 64 << 20;

/// The recorded calls of a replay. A copy shares what was recorded, and remembers for itself what was served.
#[derive(Clone)]
pub struct Library {
    normalise: Arc<dyn Normalise>,
    /// In the order in which they were added.
    entries: Vec<Entry>,
    /// Positions of equal recordings, in that order.
    equal: HashMap<Digest, Vec<usize>>,
    /// Positions of each dependency's recordings.
    by_dependency: BTreeMap<String, Vec<usize>>,
    explained_bytes_left: usize,
}

#[derive(Clone, Debug)]
struct Entry {
    id: Id,
    scope: Option<Scope>,
    conversation: Option<String>,
    keyed: Arc<Keyed>,
    served: Served,
}

/// To whom a recording was served.
#[derive(Clone, Debug, Default)]
struct Served {
    /// To its own scope, or to calls that belong to nobody known.
    to_its_own: bool,
    /// To other scopes, by key.
    to_others: BTreeSet<String>,
}

impl Library {
    /// A library without recordings.
    pub fn new(normalise: Box<dyn Normalise>) -> Self {
        Self {
            normalise: Arc::from(normalise),
            entries: Vec::new(),
            equal: HashMap::new(),
            by_dependency: BTreeMap::new(),
            explained_bytes_left: EXPLAINED_BYTES_MAX,
        }
    }

    /// Adds a recording. Equal ones are served in the order in which they were added.
    pub fn add(&mut self, recorded: Recorded) {
        let Recorded { id, dependency, scope, conversation, head, body } = recorded;
        let mut keyed = Keyed::of(&dependency, &head, &body, self.normalise.as_ref());
        self.keep_within_memory(&mut keyed);
        let at = self.entries.len();
        self.equal.entry(keyed.key).or_default().push(at);
        self.by_dependency.entry(dependency).or_default().push(at);
        let scope = scope.filter(|scope| scope.certainty != Certainty::Ambiguous);
        self.entries.push(Entry { id, scope, conversation, keyed: Arc::new(keyed), served: Served::default() });
    }

    /// How many recordings there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when there is no recording.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Finds the recording that answers a call, and remembers that it was served.
    pub fn ask(&mut self, call: Call<'_>) -> Answer {
        let asked = Keyed::of(call.dependency, call.head, call.body, self.normalise.as_ref());
        let scope = call.scope.filter(|scope| scope.certainty != Certainty::Ambiguous);
        let equal = self.equal.get(&asked.key).map(Vec::as_slice).unwrap_or_default();
        let unserved = |at: &&usize| self.entries[**at].may_serve(scope);
        let own = |at: &&usize| scope.is_some_and(|scope| self.entries[**at].belongs_to(scope));
        let nobodys = |at: &&usize| self.entries[**at].scope.is_none();
        let same_conversation = |at: &&usize| self.entries[**at].is_of_conversation(call.conversation);
        let chosen = equal.iter().filter(own).find(unserved);
        let chosen = chosen.or_else(|| equal.iter().filter(same_conversation).filter(nobodys).find(unserved));
        let chosen = chosen.or_else(|| equal.iter().filter(same_conversation).find(unserved));
        let chosen = chosen.or_else(|| equal.iter().filter(nobodys).find(unserved));
        match chosen.or_else(|| equal.iter().find(unserved)).copied() {
            Some(at) => Answer::Found(self.serve(at, &asked, scope, call.conversation)),
            None => Answer::Missed(self.miss(&call, &asked, scope)),
        }
    }

    /// Serves a recording to a call that does not equal it, for whoever knows that it is the same call all the same. `None` where
    /// it was served before, or belongs to another exchange than the call.
    pub fn serve_unequal(&mut self, id: Id, call: Call<'_>) -> Option<Found> {
        let scope = call.scope.filter(|scope| scope.certainty != Certainty::Ambiguous);
        let at = *self.by_dependency.get(call.dependency)?.iter().find(|&&at| self.entries[at].id == id)?;
        let entry = &self.entries[at];
        let is_of_another = scope.is_some_and(|scope| entry.scope.is_some() && !entry.belongs_to(scope));
        if is_of_another || !entry.may_serve(scope) {
            return None;
        }
        let asked = Keyed::of(call.dependency, call.head, call.body, self.normalise.as_ref());
        Some(self.serve(at, &asked, scope, call.conversation))
    }

    /// As [`Self::ask`], but recordings that are used up begin anew, each equal call at its first one: for a service that
    /// is developed against the recording and asks as often as it likes.
    pub fn ask_anew(&mut self, call: Call<'_>) -> Answer {
        match self.ask(call) {
            Answer::Missed(miss) if miss.exhausted > 0 => {
                let asked = Keyed::of(call.dependency, call.head, call.body, self.normalise.as_ref());
                for &at in self.equal.get(&asked.key).map(Vec::as_slice).unwrap_or_default() {
                    self.entries[at].served = Served::default();
                }
                self.ask(call)
            }
            answer => answer,
        }
    }

    /// The recordings that equal a call, served or not, in the order in which they were added.
    pub fn equal_to(&self, call: Call<'_>) -> Vec<Id> {
        let asked = Keyed::of(call.dependency, call.head, call.body, self.normalise.as_ref());
        let equal = self.equal.get(&asked.key).map(Vec::as_slice).unwrap_or_default();
        equal.iter().map(|&at| self.entries[at].id).collect()
    }

    /// Forgets what was served: all recordings may be asked for again.
    pub fn begin_anew(&mut self) {
        self.entries.iter_mut().for_each(|entry| entry.served = Served::default());
    }

    /// The recordings that neither their own exchange asked for, nor a call that belongs to nobody known, in the order in
    /// which they were added.
    pub fn never_asked(&self) -> Vec<Id> {
        self.entries.iter().filter(|entry| !entry.served.to_its_own).map(|entry| entry.id).collect()
    }

    fn serve(&mut self, at: usize, asked: &Keyed, scope: Option<&Scope>, conversation: Option<&str>) -> Found {
        let of_same_scope = |other: &&usize| self.entries[**other].same_scope_as(&self.entries[at]);
        let repeated = self.equal.get(&asked.key).is_some_and(|equal| equal.iter().filter(of_same_scope).count() > 1);
        let entry = &mut self.entries[at];
        entry.note_served(scope);
        Found {
            id: entry.id,
            scope: entry.match_scope(scope, conversation),
            repeated,
            borrowed: scope.is_some_and(|scope| entry.scope.is_some() && !entry.belongs_to(scope)),
            left_out: differing(&entry.keyed.left_out, &asked.left_out),
        }
    }

    fn miss(&self, call: &Call<'_>, asked: &Keyed, scope: Option<&Scope>) -> Miss {
        let exhausted = self.equal.get(&asked.key).map_or(0, |equal| equal.len() as u64);
        let title = format!("{} {}", call.dependency, asked.title);
        let nearest = if exhausted > 0 { None } else { self.nearest(call.dependency, asked, scope) };
        Miss { asked: title, exhausted, nearest }
    }

    /// Recordings that may still be served to this scope come first, since one of those was probably meant.
    fn nearest(&self, dependency: &str, asked: &Keyed, scope: Option<&Scope>) -> Option<Nearest> {
        let mut candidates: Vec<&Entry> =
            self.by_dependency.get(dependency)?.iter().map(|&at| &self.entries[at]).collect();
        let owned = |entry: &Entry| scope.is_some_and(|scope| entry.belongs_to(scope));
        candidates.sort_by_key(|entry| {
            let other_place = (entry.keyed.target != asked.target, entry.keyed.method != asked.method);
            (other_place, !owned(entry), !entry.may_serve(scope))
        });
        nearest::of(asked, candidates.iter().map(|entry| (entry.id, &*entry.keyed)))
    }

    fn keep_within_memory(&mut self, keyed: &mut Keyed) {
        match self.explained_bytes_left.checked_sub(keyed.body_cost()) {
            Some(left) => self.explained_bytes_left = left,
            None => keyed.forget_body(),
        }
    }
}

impl Entry {
    fn belongs_to(&self, scope: &Scope) -> bool {
        self.scope.as_ref().is_some_and(|own| own.key == scope.key)
    }

    fn same_scope_as(&self, other: &Entry) -> bool {
        self.scope.as_ref().map(|scope| &scope.key) == other.scope.as_ref().map(|scope| &scope.key)
    }

    /// True when it was not yet served to calls of this scope.
    fn may_serve(&self, scope: Option<&Scope>) -> bool {
        match scope {
            Some(scope) if self.belongs_to(scope) => !self.served.to_its_own,
            Some(scope) if self.scope.is_some() => !self.served.to_others.contains(&scope.key),
            // Nobody's recording, or a call that may be its owner's: once in all.
            _ => !self.served.to_its_own,
        }
    }

    fn note_served(&mut self, scope: Option<&Scope>) {
        match scope {
            Some(scope) if self.scope.is_some() && !self.belongs_to(scope) => {
                self.served.to_others.insert(scope.key.clone());
            }
            _ => self.served.to_its_own = true,
        }
    }

    fn is_of_conversation(&self, conversation: Option<&str>) -> bool {
        conversation.is_some() && self.conversation.as_deref() == conversation
    }

    fn match_scope(&self, scope: Option<&Scope>, conversation: Option<&str>) -> MatchScope {
        match (&self.scope, scope) {
            (Some(own), Some(asked)) if own.key == asked.key => {
                let recorded = own.certainty == Certainty::Recorded && asked.certainty == Certainty::Recorded;
                if recorded { MatchScope::Parent } else { MatchScope::Inferred }
            }
            _ if self.is_of_conversation(conversation) => MatchScope::Conversation,
            _ => MatchScope::Anywhere,
        }
    }
}

/// What was taken out on either side and is not equal on both: one for each rule and place.
fn differing(recorded: &[LeftOut], asked: &[LeftOut]) -> Vec<LeftOut> {
    let (recorded, asked): (BTreeSet<_>, BTreeSet<_>) = (recorded.iter().collect(), asked.iter().collect());
    let unlike = recorded.symmetric_difference(&asked).map(|left_out| ((&left_out.rule, &left_out.pointer), *left_out));
    unlike.collect::<BTreeMap<_, _>>().into_values().cloned().collect()
}

#[cfg(test)]
mod tests;
