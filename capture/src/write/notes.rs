//! What is read in an exchange beside digests and seeds: the values that the user named, its model, and its conversation.
//!
//! In: both messages, their bodies read where they are whole. Out: the exchange's annotations and conversation. On the
//! writing thread, never on the proxy's path.

use content::{
    conversation,
    place::{Found, Message, Place},
};
use exchange::{Annotation, Context, Seed};

/// What the user asked to be noted of each exchange.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    /// Names and where their values stand, in the order they were given.
    pub(crate) annotations: Vec<(String, Place)>,
    /// Where the id of a conversation stands.
    pub(crate) conversation: Option<Place>,
}

impl Wanted {
    /// Notes what is there. `seeds` are those that were found: they name the model.
    pub(crate) fn note(
        &self,
        context: &mut Context,
        seeds: &[Seed],
        request: Message<'_>,
        response: Option<Message<'_>>,
    ) {
        let noted = |(name, place): &(String, Place)| {
            let value = match place.find(request, response)? {
                Found::Value(value) => Some(value.to_compact_text()),
                Found::TooLong => None,
            };
            Some(Annotation { name: name.clone(), value })
        };
        context.annotations = Vec::new();
        for annotation in self.annotations.iter().filter_map(noted) {
            // A name may be given with a place for each route: the first that has something counts.
            if context.annotation(&annotation.name).is_none() {
                context.annotations.push(annotation);
            }
        }
        let model = seeds.iter().find(|seed| seed.is_model());
        if let Some(model) = model.filter(|_| self.annotations.iter().all(|(name, _)| name != Annotation::MODEL)) {
            let value = Some(model.value.clone());
            context.annotations.push(Annotation { name: Annotation::MODEL.to_owned(), value });
        }
        context.conversation = conversation::of_request(self.conversation.as_ref(), request.head, request.body);
    }
}
