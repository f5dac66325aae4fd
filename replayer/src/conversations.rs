//! Which conversation a call to a dependency belongs to: the second scope in which its recorded answer is looked for.
//!
//! In: the recording, and calls, recorded and live. Out: a conversation's id where something beside the call's own messages
//! tells it: an id in it or in its baggage, else the conversation of the exchange on whose behalf it is made. What is inferred
//! from a call's own messages tells nothing here: equal calls have it in common anyway.

use std::collections::{BTreeMap, BTreeSet};

use bundle::Archive;
use content::{canonical, conversation, place::Place};
use exchange::{ConversationSource, Exchange, Head, Id};

use crate::answer::Behalf;

/// What is known of conversations in a recording.
pub(crate) struct Conversations {
    /// The conversation of each client's exchange.
    of_exchange: BTreeMap<Id, String>,
    /// Where the captures were told that an id stands, each place once.
    places: Vec<Place>,
}

impl Conversations {
    /// Those of an archive.
    pub(crate) fn of(archive: &Archive) -> Self {
        let clients = archive.entries().iter().filter(|entry| entry.dependency.is_none());
        let of_exchange = clients.filter_map(|it| Some((it.id, it.context.conversation.as_ref()?.id.clone())));
        let texts: BTreeSet<&String> =
            archive.sessions().iter().filter_map(|session| session.conversation.as_ref()).collect();
        Self {
            of_exchange: of_exchange.collect(),
            places: texts.into_iter().filter_map(|text| text.parse().ok()).collect(),
        }
    }

    /// The conversation of a recorded call.
    pub(crate) fn of_recorded(&self, call: &Exchange) -> Option<String> {
        let own = call.context.conversation.as_ref().filter(|own| own.how != ConversationSource::Prefix);
        own.map(|own| own.id.clone()).or_else(|| {
            let parent = call.role.parent()?;
            self.of_all(if parent.candidates.is_empty() {
                std::slice::from_ref(&parent.id)
            } else {
                &parent.candidates
            })
        })
    }

    /// The conversation of a call that is made now.
    pub(crate) fn of_live(&self, head: &Head, body: &[u8], behalf: &Behalf) -> Option<String> {
        let parents = if let Some(parent) = &behalf.parent { std::slice::from_ref(parent) } else { &behalf.candidates };
        self.named_by(head, body).or_else(|| self.of_all(parents))
    }

    /// The conversation that the call itself names.
    fn named_by(&self, head: &Head, body: &[u8]) -> Option<String> {
        let read = (!self.places.is_empty()).then(|| canonical::body(head, body));
        let places = self.places.iter().map(Some).chain([None]);
        let mut named = places.filter_map(|place| conversation::of_request(place, head, read.as_ref()));
        named.find(|named| named.how != ConversationSource::Prefix).map(|named| named.id)
    }

    /// The conversation that all of these have in common.
    fn of_all(&self, ids: &[Id]) -> Option<String> {
        let (first, others) = ids.split_first()?;
        let id = self.of_exchange.get(first)?;
        others.iter().all(|other| self.of_exchange.get(other) == Some(id)).then(|| id.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> Id {
        Id([number; 16])
    }

    fn behalf(parent: Option<u8>, candidates: &[u8]) -> Behalf {
        Behalf::of(parent.map(id), candidates.iter().map(|number| id(*number)).collect())
    }

    #[test]
    fn a_call_names_its_conversation_itself_else_has_that_of_all_who_may_have_made_it() {
        let of_exchange = [(1, "a"), (2, "a"), (3, "b")].map(|(number, name)| (id(number), name.to_owned()));
        let conversations =
            Conversations { of_exchange: of_exchange.into(), places: vec!["header:x-thread".parse().unwrap()] };
        let named = Head::new("POST / HTTP/1.1\r\nX-Thread: t\r\n\r\n");
        let nameless = Head::new("POST / HTTP/1.1\r\nContent-Type: application/json\r\n\r\n");
        let messages = br#"{"messages":[{"role":"user","content":"hi"}]}"#;
        let of = |head: &Head, behalf: &Behalf| conversations.of_live(head, messages, behalf);
        assert_eq!(of(&named, &behalf(Some(3), &[])).as_deref(), Some("t"));
        assert_eq!(of(&nameless, &behalf(Some(3), &[])).as_deref(), Some("b"));
        assert_eq!(of(&nameless, &behalf(None, &[1, 2])).as_deref(), Some("a"));
        assert_eq!(of(&nameless, &behalf(None, &[1, 3])), None);
        assert_eq!(of(&nameless, &behalf(None, &[])), None, "its own messages tell nothing");
    }
}
