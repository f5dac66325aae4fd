//! Which recorded bytes answer what a client says on a connection that is not HTTP.
//!
//! In: recorded connections, each as turns: what the client said until the server answered, and the answer. Then connections
//! as they are made, and their bytes as they come. Out: turn by turn the recorded answer, or a miss with the first byte that
//! differs. A connection follows a recorded one, the first that is left, as long as it says the same; because pools deal
//! their connections out anew each time, an equal turn of any other connection of the dependency answers as well. Where it
//! is known on whose behalf something is said, a turn that was said on that one's behalf goes first.
//!
//! What opens a connection (a login, a choice of database) is answered as often as it is asked, since how many connections a
//! pool opens is a matter of timing. Every other turn answers once. Bytes come with their credentials masked: `content`'s
//! [`spoken`](content::redact::spoken) does that.

mod cut;
mod nearest;
mod resp;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::{Bound, Range},
};

use exchange::Id;

use crate::{MatchScope, Miss, likeness::shared_len};

pub use cut::{Heard, Piece, turns_of};
pub use nearest::shown;

/// One recorded connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// Its exchange.
    pub id: Id,
    /// The dependency's name.
    pub dependency: String,
    /// What the server said before the client did: this range of its bytes.
    pub greeting: Range<usize>,
    /// What was said after that, in order.
    pub turns: Vec<Turn>,
}

/// What a client said, and what the server said to that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// The client's bytes, credentials masked. Never empty.
    pub asked: Vec<u8>,
    /// The answer: this range of the server's bytes; empty where there was none.
    pub answer: Range<usize>,
    /// When it began, in nanoseconds since the session's start.
    pub at_ns: u64,
    /// True for what opens a connection.
    pub opens: bool,
    /// The exchange on whose behalf it was said, where that is known.
    pub owner: Option<Id>,
}

/// A turn, by its place in a library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    at_ns: u64,
    conversation: usize,
    turn: usize,
}

/// A connection that is made now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    dependency: String,
    /// The recorded connection that it repeats.
    follows: Option<usize>,
    /// The turn that answered it last.
    last: Option<(usize, usize)>,
    pending: Vec<u8>,
}

/// What is said to a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// An answer.
    Answered(Answered),
    /// Nothing yet: what came so far is the beginning of a recorded turn, or nothing at all.
    Wait,
    /// No recorded turn begins like this.
    Missed(Miss),
}

/// The turn that answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The recorded connection.
    pub id: Id,
    /// What was asked, for a reader.
    pub title: String,
    /// What was asked, credentials masked.
    pub asked: Vec<u8>,
    /// The answer: this range of what its server said.
    pub answer: Range<usize>,
    /// [`MatchScope::Connection`], else [`MatchScope::Inferred`] where it was said on the same one's behalf, else
    /// [`MatchScope::Anywhere`].
    pub scope: MatchScope,
    /// True when it was said on another's behalf: this is one more than was recorded.
    pub borrowed: bool,
    /// True when nothing was said on that connection after it.
    pub is_last: bool,
    /// True for what opens a connection.
    pub opens: bool,
}

/// A recorded turn that nobody asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeverAsked {
    /// The recorded connection.
    pub id: Id,
    /// What was asked, for a reader.
    pub title: String,
    /// When, in nanoseconds since the session's start.
    pub at_ns: u64,
    /// The exchange on whose behalf it was said, where that is known.
    pub owner: Option<Id>,
}

/// All recorded connections of a replay.
#[derive(Debug, Default)]
pub struct Conversations {
    /// In the order in which they were added.
    entries: Vec<Entry>,
    by_dependency: BTreeMap<String, Dependency>,
    /// True when what is used up begins anew.
    reuses: bool,
}

#[derive(Debug)]
struct Entry {
    conversation: Conversation,
    has_begun: bool,
    /// The first turn that was not served.
    next: usize,
    served: Vec<bool>,
}

#[derive(Debug, Default)]
struct Dependency {
    conversations: Vec<usize>,
    turns: BTreeMap<Vec<u8>, Equal>,
}

/// Turns that ask the same.
#[derive(Debug, Default)]
struct Equal {
    unserved: BTreeSet<Place>,
    /// Those among them that are known to be somebody's.
    unserved_of: BTreeMap<Id, BTreeSet<Place>>,
    all: Vec<Place>,
    /// One that opens a connection.
    opening: Option<Place>,
}

impl Conversations {
    /// None. With `reuses`, recordings that are used up begin anew: for a service that is developed against them.
    pub fn new(reuses: bool) -> Self {
        Self { reuses, ..Self::default() }
    }

    /// Adds a recorded connection. They are followed in the order in which they were added.
    pub fn add(&mut self, conversation: Conversation) {
        let at = self.entries.len();
        let dependency = self.by_dependency.entry(conversation.dependency.clone()).or_default();
        dependency.conversations.push(at);
        for (number, turn) in conversation.turns.iter().enumerate() {
            let place = Place { at_ns: turn.at_ns, conversation: at, turn: number };
            let equal = dependency.turns.entry(turn.asked.clone()).or_default();
            equal.put(place, turn.owner);
            equal.all.push(place);
            if turn.opens {
                equal.opening.get_or_insert(place);
            }
        }
        let served = vec![false; conversation.turns.len()];
        self.entries.push(Entry { conversation, has_begun: false, next: 0, served });
    }

    /// Makes all of them as they were before the first connection.
    pub fn start_over(&mut self) {
        let entries = std::mem::take(&mut self.entries);
        *self = Self::new(self.reuses);
        entries.into_iter().for_each(|entry| self.add(entry.conversation));
    }

    /// A connection is made: the recorded one that it will repeat if it says the same, and where that one's server spoke
    /// first, what it said.
    pub fn connect(&mut self, dependency: &str) -> (Caller, Option<(Id, Range<usize>)>) {
        let all = self.by_dependency.get(dependency).map(|it| it.conversations.clone()).unwrap_or_default();
        let unbegun = |entries: &[Entry]| all.iter().copied().find(|&at| !entries[at].has_begun);
        let mut follows = unbegun(&self.entries);
        if follows.is_none() && self.reuses {
            all.iter().for_each(|&at| self.entries[at].has_begun = false);
            follows = unbegun(&self.entries);
        }
        if let Some(at) = follows {
            self.entries[at].has_begun = true;
        }
        let greeting = follows.or(all.first().copied()).map(|at| &self.entries[at].conversation);
        let greeting = greeting.map(|conversation| (conversation.id, conversation.greeting.clone()));
        (Caller { dependency: dependency.to_owned(), follows, ..Caller::default() }, greeting)
    }

    /// The recorded connection that a caller repeats.
    pub fn followed(&self, caller: &Caller) -> Option<Id> {
        caller.follows.map(|at| self.entries[at].conversation.id)
    }

    /// True for a recorded connection on which nothing was ever said.
    pub fn is_silent(&self, id: &Id) -> bool {
        self.entries.iter().any(|entry| entry.conversation.id == *id && entry.conversation.turns.is_empty())
    }

    /// What the caller gets for what it has said so far, on behalf of `owner` where that is known. To be asked again until it
    /// says [`Reply::Wait`].
    pub fn reply(&mut self, caller: &mut Caller, owner: Option<Id>) -> Reply {
        if caller.pending.is_empty() {
            return Reply::Wait;
        }
        match self.find(caller, owner) {
            Some((place, scope)) => Reply::Answered(self.serve(caller, place, scope, owner)),
            None if self.may_come(caller) => Reply::Wait,
            None => Reply::Missed(self.miss(caller)),
        }
    }

    /// The same for a caller that says nothing more: waiting for the rest of a turn is in vain.
    pub fn reply_at_last(&mut self, caller: &mut Caller, owner: Option<Id>) -> Reply {
        match self.reply(caller, owner) {
            Reply::Wait if !caller.pending.is_empty() => Reply::Missed(self.miss(caller)),
            reply => reply,
        }
    }

    /// The turns that nobody asked for, but for what opens connections, in the order in which they were added.
    pub fn never_asked(&self) -> Vec<NeverAsked> {
        let of = |entry: &Entry| {
            let Conversation { id, turns, .. } = &entry.conversation;
            let unserved = turns.iter().zip(&entry.served).filter(|(turn, served)| !turn.opens && !**served);
            let told = unserved.map(|(turn, _)| NeverAsked {
                id: *id,
                title: shown(&turn.asked),
                at_ns: turn.at_ns,
                owner: turn.owner,
            });
            told.collect::<Vec<_>>()
        };
        self.entries.iter().flat_map(of).collect()
    }

    /// The turn to answer with: the connection's own next one, unless it is another's; else the longest of the others that
    /// fits, the owner's own first.
    fn find(&mut self, caller: &Caller, owner: Option<Id>) -> Option<(Place, MatchScope)> {
        let says = |place: &Place| caller.pending.starts_with(&self.turn(*place).asked);
        let own_or = |place: Place, scope| match Some(place.conversation) == caller.follows {
            true => (place, MatchScope::Connection),
            false => (place, scope),
        };
        let expected = self.expected(caller).into_iter().find(says);
        let is_anothers =
            |place: &Place| owner.is_some() && self.turn(*place).owner.is_some_and(|it| Some(it) != owner);
        if let Some(place) = expected.filter(|place| !is_anothers(place)) {
            return Some(own_or(place, MatchScope::Anywhere));
        }
        let dependency = self.by_dependency.get(&caller.dependency)?;
        let fitting = prefixes_among(&dependency.turns, &caller.pending);
        let of_owner = |equal: &Equal| equal.unserved_of.get(&owner?)?.first().copied();
        if let Some(place) = fitting.iter().find_map(|asked| of_owner(&dependency.turns[asked.as_slice()])) {
            return Some(own_or(place, MatchScope::Inferred));
        }
        if let Some(place) = expected {
            return Some(own_or(place, MatchScope::Anywhere));
        }
        let is_fresh = caller.last.is_none();
        for equal in fitting.iter().map(|asked| &dependency.turns[asked.as_slice()]) {
            let begins = |place: &&Place| place.turn == 0 && !self.entries[place.conversation].has_begun;
            let fresh = equal.unserved.iter().find(begins).filter(|_| is_fresh);
            if let Some(place) = fresh {
                return Some((*place, MatchScope::Connection));
            }
            if let Some(place) = equal.unserved.first().or(equal.opening.as_ref()) {
                return Some((*place, MatchScope::Anywhere));
            }
        }
        let again = fitting.first().filter(|_| self.reuses)?.clone();
        self.begin_anew(&caller.dependency, &again)
    }

    /// What would come next: on the connection that answered last, and on its own.
    fn expected(&self, caller: &Caller) -> Vec<Place> {
        let after_last = caller.last.map(|(conversation, turn)| (conversation, turn + 1));
        let own = caller.follows.map(|at| (at, self.entries[at].next));
        let unserved = |&(conversation, turn): &(usize, usize)| {
            self.entries[conversation].served.get(turn).is_some_and(|served| !served)
        };
        let place = |(conversation, turn): (usize, usize)| Place {
            at_ns: self.entries[conversation].conversation.turns[turn].at_ns,
            conversation,
            turn,
        };
        after_last.into_iter().chain(own).filter(unserved).map(place).collect()
    }

    /// True when what was said is the beginning of a turn that may still be asked.
    fn may_come(&self, caller: &Caller) -> bool {
        let Some(dependency) = self.by_dependency.get(&caller.dependency) else { return false };
        let from = (Bound::Included(caller.pending.as_slice()), Bound::Unbounded);
        let longer =
            dependency.turns.range::<[u8], _>(from).take_while(|(asked, _)| asked.starts_with(&caller.pending));
        let may = |equal: &Equal| self.reuses || equal.opening.is_some() || !equal.unserved.is_empty();
        longer.into_iter().any(|(_, equal)| may(equal))
    }

    fn serve(&mut self, caller: &mut Caller, place: Place, scope: MatchScope, owner: Option<Id>) -> Answered {
        let Place { conversation, turn, .. } = place;
        if scope == MatchScope::Connection && caller.follows != Some(conversation) {
            // It turned out to be another one that it repeats; the one held for it is free again.
            if let Some(held) = caller.follows {
                self.entries[held].has_begun = false;
            }
            caller.follows = Some(conversation);
            self.entries[conversation].has_begun = true;
        }
        caller.last = Some((conversation, turn));
        let entry = &mut self.entries[conversation];
        entry.served[turn] = true;
        while entry.served.get(entry.next) == Some(&true) {
            entry.next += 1;
        }
        let Conversation { id, turns, .. } = &entry.conversation;
        let Turn { asked, answer, opens, owner: recorded_owner, .. } = &turns[turn];
        caller.pending.drain(..asked.len());
        let dependency = self.by_dependency.get_mut(&caller.dependency);
        if let Some(equal) = dependency.and_then(|dependency| dependency.turns.get_mut(asked)) {
            equal.take(&place, *recorded_owner);
        }
        let is_anothers = owner.is_some() && recorded_owner.is_some() && owner != *recorded_owner;
        Answered {
            id: *id,
            title: shown(asked),
            asked: asked.clone(),
            answer: answer.clone(),
            scope,
            borrowed: is_anothers && !opens,
            is_last: turn + 1 == turns.len(),
            opens: *opens,
        }
    }

    /// Turns that were all served are to be had again, the first one first.
    fn begin_anew(&mut self, dependency: &str, asked: &[u8]) -> Option<(Place, MatchScope)> {
        let equal = self.by_dependency.get_mut(dependency)?.turns.get_mut(asked)?;
        for place in equal.all.clone() {
            let entry = &mut self.entries[place.conversation];
            entry.served[place.turn] = false;
            equal.put(place, entry.conversation.turns[place.turn].owner);
        }
        equal.unserved.first().map(|place| (*place, MatchScope::Anywhere))
    }

    fn miss(&self, caller: &Caller) -> Miss {
        let nothing = BTreeMap::new();
        let turns = self.by_dependency.get(&caller.dependency).map_or(&nothing, |dependency| &dependency.turns);
        let asked = format!("{} {}", caller.dependency, shown(&caller.pending));
        let exhausted = prefixes_among(turns, &caller.pending).first().map_or(0, |key| turns[key].all.len() as u64);
        if exhausted > 0 {
            return Miss { asked, exhausted, nearest: None, near: Vec::new() };
        }
        let expected = self.expected(caller).first().copied();
        let alike = nearest::alike(turns, &caller.pending);
        let near = expected.into_iter().chain(alike).map(|place| nearest::Near {
            id: self.entries[place.conversation].conversation.id,
            number: place.turn + 1,
            asked: &self.turn(place).asked,
        });
        Miss { asked, exhausted, nearest: nearest::of(&caller.pending, near), near: Vec::new() }
    }

    fn turn(&self, place: Place) -> &Turn {
        &self.entries[place.conversation].conversation.turns[place.turn]
    }
}

impl Equal {
    /// Makes a turn one that may be served.
    fn put(&mut self, place: Place, owner: Option<Id>) {
        self.unserved.insert(place);
        if let Some(owner) = owner {
            self.unserved_of.entry(owner).or_default().insert(place);
        }
    }

    /// Makes it one that was served.
    fn take(&mut self, place: &Place, owner: Option<Id>) {
        self.unserved.remove(place);
        if let Some(places) = owner.and_then(|owner| self.unserved_of.get_mut(&owner)) {
            places.remove(place);
        }
    }
}

impl Caller {
    /// Takes what was said, credentials masked.
    pub fn says(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// What was said and is not answered yet.
    pub fn pending(&self) -> &[u8] {
        &self.pending
    }
}

/// The keys that `bytes` begins with, the longest first.
fn prefixes_among(turns: &BTreeMap<Vec<u8>, Equal>, bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut bound = Bound::Included(bytes);
    while let Some((key, _)) = turns.range::<[u8], _>((Bound::Unbounded, bound)).next_back() {
        let shared = shared_len(key, bytes);
        if shared == key.len() {
            found.push(key.clone());
            bound = Bound::Excluded(&bytes[..shared]);
        } else {
            // A key between the shared beginning and this one cannot be a beginning of `bytes`.
            bound = Bound::Included(&bytes[..shared]);
        }
    }
    found
}

#[cfg(test)]
mod tests;
