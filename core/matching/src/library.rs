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

use crate::{
    Answer, Asked, Call, Found, LeftOut, MatchScope, Miss, Normalise, Reader, Recorded, Scope, Standing,
    key::Keyed,
    nearest::{self, Candidate},
};

/// Memory for bodies that are kept to explain misses, in bytes. A choice; beyond it a miss tells less.
const EXPLAINED_BYTES_MAX: usize = 64 << 20;

/// The recorded calls of a replay. A copy shares what was recorded, and remembers for itself what was served.
#[derive(Clone)]
pub struct Library {
    reader: Reader,
    /// In the order in which they were added.
    entries: Vec<Entry>,
    /// Positions of equal recordings, in that order.
    equal: HashMap<Digest, Vec<usize>>,
    /// Positions of each dependency's recordings, by route.
    by_dependency: BTreeMap<String, BTreeMap<String, Vec<usize>>>,
    /// Positions of recordings.
    by_id: HashMap<Id, usize>,
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
    /// To one of those, which equals it.
    to_an_equal: bool,
    /// To other scopes, by key.
    to_others: BTreeSet<String>,
}

/// What a library has for a call.
#[derive(Clone, Debug)]
pub enum Looked {
    /// A recording.
    Found(Found),
    /// None.
    Unanswered(Unanswered),
}

/// A call that no recording answers, before it is known which comes nearest: finding that takes its time, and needs no library.
#[derive(Clone, Debug)]
pub struct Unanswered {
    /// Dependency, method and target.
    asked: String,
    /// How many recordings equal it, all of them served before.
    pub exhausted: u64,
    candidates: Vec<Candidate>,
}

impl Unanswered {
    /// What is said of it: `asked` is the call.
    pub fn compare(self, asked: &Asked) -> Miss {
        let (nearest, near) = nearest::of(&asked.0, &self.candidates);
        let nearest = nearest.filter(|_| self.exhausted == 0);
        Miss { asked: self.asked, exhausted: self.exhausted, nearest, near }
    }
}

impl Looked {
    /// What it comes to, after a miss was compared.
    pub fn compare(self, asked: &Asked) -> Answer {
        match self {
            Self::Found(found) => Answer::Found(found),
            Self::Unanswered(unanswered) => Answer::Missed(unanswered.compare(asked)),
        }
    }
}

impl Library {
    /// A library without recordings.
    pub fn new(normalise: Box<dyn Normalise>) -> Self {
        Self {
            reader: Reader(Arc::from(normalise)),
            entries: Vec::new(),
            equal: HashMap::new(),
            by_dependency: BTreeMap::new(),
            by_id: HashMap::new(),
            explained_bytes_left: EXPLAINED_BYTES_MAX,
        }
    }

    /// Adds a recording. Equal ones are served in the order in which they were added.
    pub fn add(&mut self, recorded: Recorded) {
        let Recorded { id, dependency, scope, conversation, head, body } = recorded;
        let mut keyed = Keyed::of(&dependency, &head, &body, self.reader.0.as_ref());
        self.keep_within_memory(&mut keyed);
        let at = self.entries.len();
        self.equal.entry(keyed.key).or_default().push(at);
        self.by_dependency.entry(dependency).or_default().entry(keyed.route.clone()).or_default().push(at);
        self.by_id.entry(id).or_insert(at);
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

    /// What reads calls for this library.
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// Finds the recording that answers a call, and remembers that it was served.
    pub fn ask(&mut self, call: Call<'_>) -> Answer {
        let asked = self.reader.read(call);
        self.look(call, &asked).compare(&asked)
    }

    /// As [`Self::ask`], of a call that was read; what comes nearest is not looked for yet.
    pub fn look(&mut self, call: Call<'_>, asked: &Asked) -> Looked {
        let scope = known(call.scope);
        let equal = self.equal_to(asked);
        let unserved = |at: &&usize| self.entries[**at].may_serve(scope);
        let own = |at: &&usize| scope.is_some_and(|scope| self.entries[**at].belongs_to(scope));
        let nobodys = |at: &&usize| self.entries[**at].scope.is_none();
        let same_conversation = |at: &&usize| self.entries[**at].is_of_conversation(call.conversation);
        let chosen = equal.iter().filter(own).find(unserved);
        let chosen = chosen.or_else(|| equal.iter().filter(same_conversation).filter(nobodys).find(unserved));
        let chosen = chosen.or_else(|| equal.iter().filter(same_conversation).find(unserved));
        let chosen = chosen.or_else(|| equal.iter().filter(nobodys).find(unserved));
        match chosen.or_else(|| equal.iter().find(unserved)).copied() {
            Some(at) => Looked::Found(self.serve(at, asked, scope, call.conversation)),
            None => Looked::Unanswered(self.unanswered(&call, asked, scope)),
        }
    }

    /// True where a recording can be served to a call that does not equal it: it was not served before, and does not belong to
    /// another exchange than the call.
    pub(crate) fn may_serve_unequal(&self, id: Id, scope: Option<&Scope>) -> bool {
        let scope = known(scope);
        self.by_id.get(&id).is_some_and(|&at| {
            let entry = &self.entries[at];
            !entry.is_of_another(scope) && entry.may_serve(scope)
        })
    }

    /// Serves a recording to a call that it was not served to, whatever was served before.
    pub(crate) fn serve_anyhow(
        &mut self,
        id: Id,
        asked: &Asked,
        scope: Option<&Scope>,
        conversation: Option<&str>,
    ) -> Option<Found> {
        let at = *self.by_id.get(&id)?;
        Some(self.serve(at, asked, known(scope), conversation))
    }

    /// The recordings that equal a call and are its own exchange's, where none of them is left; else nothing.
    pub(crate) fn own_used_up(&self, asked: &Asked, scope: Option<&Scope>) -> Vec<Id> {
        let Some(scope) = known(scope) else { return Vec::new() };
        let own = self.equal_to(asked).iter().map(|&at| &self.entries[at]).filter(|entry| entry.belongs_to(scope));
        let own: Vec<&Entry> = own.collect();
        if own.iter().any(|entry| entry.may_serve(Some(scope))) {
            return Vec::new();
        }
        own.into_iter().map(|entry| entry.id).collect()
    }

    /// As [`Self::look`], but recordings that are used up begin anew, each equal call at its first one: for a service that
    /// is developed against the recording and asks as often as it likes.
    pub fn look_anew(&mut self, call: Call<'_>, asked: &Asked) -> Looked {
        match self.look(call, asked) {
            Looked::Unanswered(unanswered) if unanswered.exhausted > 0 => {
                for at in self.equal_to(asked).to_vec() {
                    self.entries[at].served = Served::default();
                }
                self.look(call, asked)
            }
            looked => looked,
        }
    }

    /// The recordings that equal a call, served or not, in the order in which they were added, that are of its exchange or of
    /// nobody known.
    pub(crate) fn equal_and_not_of_another(&self, asked: &Asked, scope: Option<&Scope>) -> Vec<Id> {
        let scope = known(scope);
        let entries = self.equal_to(asked).iter().map(|&at| &self.entries[at]);
        entries.filter(|entry| !entry.is_of_another(scope)).map(|entry| entry.id).collect()
    }

    /// The recordings that equal a call, served or not, in the order in which they were added.
    pub(crate) fn ids_equal_to(&self, asked: &Asked) -> Vec<Id> {
        self.equal_to(asked).iter().map(|&at| self.entries[at].id).collect()
    }

    fn equal_to(&self, asked: &Asked) -> &[usize] {
        self.equal.get(&asked.0.key).map(Vec::as_slice).unwrap_or_default()
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

    fn serve(&mut self, at: usize, asked: &Asked, scope: Option<&Scope>, conversation: Option<&str>) -> Found {
        let of_same_scope = |other: &&usize| self.entries[**other].same_scope_as(&self.entries[at]);
        let repeated = self.equal_to(asked).iter().filter(of_same_scope).count() > 1;
        let entry = &mut self.entries[at];
        entry.note_served(scope, entry.keyed.key == asked.0.key);
        Found {
            id: entry.id,
            scope: entry.match_scope(scope, conversation),
            repeated,
            borrowed: entry.is_of_another(scope),
            left_out: differing(&entry.keyed.left_out, &asked.0.left_out),
        }
    }

    fn unanswered(&self, call: &Call<'_>, asked: &Asked, scope: Option<&Scope>) -> Unanswered {
        let exhausted = self.equal_to(asked).len() as u64;
        let mut candidates = self.candidates(call.dependency, asked, scope);
        if exhausted > 0 {
            // Equal ones say enough, unless somebody knows another to be the same call all the same.
            candidates.retain(|it| it.may_be_meant && it.keyed.key != asked.0.key);
        }
        Unanswered { asked: format!("{} {}", call.dependency, asked.0.title), exhausted, candidates }
    }

    /// Recordings that may come nearest: those of the call's route, where there are any. Of too many those that may still be
    /// served to this scope, since one of those was probably meant, and whose bodies are likely to be like the call's.
    fn candidates(&self, dependency: &str, Asked(asked): &Asked, scope: Option<&Scope>) -> Vec<Candidate> {
        let Some(by_route) = self.by_dependency.get(dependency) else { return Vec::new() };
        let of_route = by_route.get(&asked.route);
        let at: Vec<usize> = match of_route {
            Some(of_route) => of_route.clone(),
            None => by_route.values().flatten().copied().collect(),
        };
        let mut likely: Vec<(Standing, u8, usize)> = at
            .into_iter()
            .map(|at| {
                let standing = self.entries[at].standing(asked, scope, of_route.is_none());
                (standing, self.entries[at].keyed.sketch.unlike(&asked.sketch), at)
            })
            .collect();
        if likely.len() > nearest::CANDIDATES_LEN_MAX {
            likely.select_nth_unstable(nearest::CANDIDATES_LEN_MAX);
            likely.truncate(nearest::CANDIDATES_LEN_MAX);
        }
        likely.sort_unstable_by_key(|(standing, _, at)| (*standing, *at));
        let candidate = |(standing, _, at): (Standing, u8, usize)| {
            let entry: &Entry = &self.entries[at];
            Candidate {
                id: entry.id,
                standing,
                may_be_meant: !standing.other_route && !entry.is_of_another(scope) && !entry.served.to_an_equal,
                keyed: Arc::clone(&entry.keyed),
            }
        };
        likely.into_iter().map(candidate).collect()
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

    /// True where it is known to be another exchange's.
    fn is_of_another(&self, scope: Option<&Scope>) -> bool {
        scope.is_some_and(|scope| self.scope.is_some() && !self.belongs_to(scope))
    }

    /// What is another about it than about a call, its body apart.
    fn standing(&self, asked: &Keyed, scope: Option<&Scope>, other_route: bool) -> Standing {
        Standing {
            other_route,
            other_exchange: !scope.is_some_and(|scope| self.belongs_to(scope)),
            other_path: self.keyed.path() != asked.path(),
            other_method: self.keyed.method != asked.method,
            is_taken: !self.may_serve(scope),
            other_kind: false,
        }
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

    fn note_served(&mut self, scope: Option<&Scope>, is_equal: bool) {
        match scope {
            Some(scope) if self.is_of_another(Some(scope)) => {
                self.served.to_others.insert(scope.key.clone());
            }
            _ => {
                self.served.to_its_own = true;
                self.served.to_an_equal |= is_equal;
            }
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

/// A scope that says whose a call is.
fn known(scope: Option<&Scope>) -> Option<&Scope> {
    scope.filter(|scope| scope.certainty != Certainty::Ambiguous)
}

/// What was taken out on either side and is not equal on both: one for each rule and place.
fn differing(recorded: &[LeftOut], asked: &[LeftOut]) -> Vec<LeftOut> {
    let (recorded, asked): (BTreeSet<_>, BTreeSet<_>) = (recorded.iter().collect(), asked.iter().collect());
    let unlike = recorded.symmetric_difference(&asked).map(|left_out| ((&left_out.rule, &left_out.pointer), *left_out));
    unlike.collect::<BTreeMap<_, _>>().into_values().cloned().collect()
}

#[cfg(test)]
mod tests;
