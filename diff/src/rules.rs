//! Rules by hand: what the user says not to compare, where it applies, and how often it hid something.
//!
//! In: the texts of `--ignore`. Out: for one response or dependency call, the rules that apply to it. A rule is counted
//! only where it hid a difference, be it a field that one side lacks; of several rules that cover one place, the first is
//! counted. The grammar is read in `rules/parse.rs`; noise that was measured is no rule.

mod active;
mod parse;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use content::{json::Value, protobuf::Schema};
use exchange::Digest;
use serde::{Deserialize, Serialize};

pub(crate) use active::{Active, Covered, EventField, Uses};
pub use parse::{RuleError, RuleFault};

use crate::{
    Change, Route, json,
    numbers::Tolerance,
    pointer::{Cover, Pattern, Step, pointer_text},
    route::RoutePattern,
    structured::Reading,
};

/// Most places listed that rules take out of one call. A choice.
const TAKEN_OUT_LEN_MAX: usize = 1_000;

/// What not to compare. Strict by default: everything counts.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    rules: Vec<Rule>,
    messages: Option<Arc<Messages>>,
}

/// How messages of protobuf are read.
#[derive(Debug)]
struct Messages {
    schema: Schema,
    /// The type of all of them; without it each route says.
    message: Option<String>,
}

#[derive(Clone, Debug)]
struct Rule {
    /// As it was given.
    text: String,
    /// Why, where a file says so.
    reason: Option<Reason>,
    /// The routes it is limited to.
    route: Option<RoutePattern>,
    place: Place,
    /// Where it is one: how near numbers there need to be.
    tolerance: Option<Tolerance>,
}

/// Where a rule applies.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// `status`
    Status,
    /// `header:NAME`, in lower case.
    Header(String),
    /// `/…`, in a response's body.
    Body(Pattern),
    /// `sse:` and a pointer into each event's data.
    EventData(Pattern),
    /// `sse:event`, `sse:id`, `sse:retry`, `sse:others`
    EventField(EventField),
    /// `dep:NAME:/…`, in the body of a dependency call's request.
    CallRequest { dependency: String, pattern: Pattern },
    /// `dep:NAME:response:/…`, in the body of its response.
    CallResponse { dependency: String, pattern: Pattern },
}

/// Why a rule is there, and until when.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// In words.
    pub reason: String,
    /// The last day on which it holds, as `YYYY-MM-DD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Whom to ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// A rule that hid differences.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleUse {
    /// The rule as it was given.
    pub rule: String,
    /// One place where it did.
    pub pointer: String,
    /// In how many places.
    pub count: u64,
    /// Why it is there, where a file says so.
    #[serde(flatten)]
    pub reason: Option<Reason>,
}

/// Something that a rule took out of a dependency call before it was matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenOut {
    /// The rule as it was given.
    pub rule: String,
    /// Where it was, from the root of the request's body.
    pub pointer: String,
    /// Digest of the canonical form of what was there.
    pub digest: Digest,
}

impl Rules {
    /// No rules: every difference counts.
    pub fn strict() -> Self {
        Self::default()
    }

    /// With one more rule: `[METHOD /path] POINTER`, or `tolerance [METHOD /path] POINTER=KIND:SIZE` for numbers that need
    /// only be near (`abs:1e-6`, `rel:0.01`, `ulp:4`, and `cos:0.999` for vectors). One that is already there is not added
    /// again.
    ///
    /// # Errors
    /// When the text is no rule; the error names the column and says what is expected.
    pub fn ignoring(self, text: &str) -> Result<Self, RuleError> {
        self.with(text, None)
    }

    /// As [`Rules::ignoring`], with the reason that a file gives.
    ///
    /// # Errors
    /// As [`Rules::ignoring`].
    pub fn ignoring_because(self, text: &str, reason: Reason) -> Result<Self, RuleError> {
        self.with(text, Some(reason))
    }

    fn with(mut self, text: &str, reason: Option<Reason>) -> Result<Self, RuleError> {
        let rule = Rule { reason, ..parse::rule(text)? };
        if self.rules.iter().all(|known| known.text != rule.text) {
            self.rules.push(rule);
        }
        Ok(self)
    }

    /// The same, reading messages of protobuf with these descriptors: as `message` where one is named, else as what the method
    /// answers that a route's path names.
    #[must_use]
    pub fn reading_messages(self, schema: Schema, message: Option<String>) -> Self {
        Self { messages: Some(Arc::new(Messages { schema, message })), ..self }
    }

    /// No rules: everything counts, read as with these.
    #[must_use]
    pub(crate) fn reading_alone(&self) -> Self {
        Self { rules: Vec::new(), messages: self.messages.clone() }
    }

    /// How what this path answers is read.
    pub(crate) fn reading(&self, path: &str) -> Reading<'_> {
        let Some(Messages { schema, message }) = self.messages.as_deref() else { return Reading::default() };
        Reading { schema: Some(schema), message: message.as_deref().or_else(|| schema.response_of(path)) }
    }

    /// How what a dependency is asked at this path is read.
    pub(crate) fn reading_call(&self, path: &str) -> Reading<'_> {
        let schema = self.messages.as_deref().map(|messages| &messages.schema);
        Reading { schema, message: schema.and_then(|schema| schema.request_of(path)) }
    }

    /// The rules as they were given.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|rule| rule.text.as_str())
    }

    /// True when there is no rule.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// True when a rule says what to leave out of the requests of calls to this dependency.
    pub fn has_any_for_dependency(&self, name: &str) -> bool {
        self.rules.iter().any(|rule| matches!(&rule.place, Place::CallRequest { dependency, .. } if dependency == name))
    }

    /// Takes what the `dep:NAME:/…` rules cover out of the body of a request to this dependency: members are removed,
    /// elements of arrays too, the whole body becomes `null`. What was taken is returned in the document's order.
    ///
    /// From the thousandth on they count as one, so that a body cannot make the list as large as it likes.
    ///
    /// Whoever matches calls with this compares what was taken out as well: where it differs, the rule was used.
    pub fn take_out_of_call(&self, dependency: &str, body: &mut Value) -> Vec<TakenOut> {
        let active = self.for_call_request(dependency);
        let mut taken: Vec<TakenOut> = Vec::new();
        let kept = json::without(body, &mut Vec::new(), &mut Cover::new(&active.body), &mut |rule_at, path, value| {
            let digest = json::canonical_digest(value);
            if taken.len() < TAKEN_OUT_LEN_MAX {
                taken.push(TakenOut { rule: self.rules[rule_at].text.clone(), pointer: pointer_text(path), digest });
            } else if let Some(last) = taken.last_mut() {
                last.digest = Digest::of(&[last.digest.0, digest.0].concat());
            }
        });
        *body = kept.unwrap_or(Value::Null);
        taken
    }

    /// True where a rule says what to leave out of the requests of calls to any dependency.
    pub fn has_any_for_calls(&self) -> bool {
        self.rules.iter().any(|rule| matches!(rule.place, Place::CallRequest { .. }))
    }

    /// True where a rule would hide this difference in an answer on this route.
    pub fn cover(&self, route: &Route, change: &Change) -> bool {
        let active = self.for_response(route);
        leave_out(&active, &change.pointer) || tolerates(&active, change)
    }

    /// The rules for responses of this route.
    pub(crate) fn for_response(&self, route: &Route) -> Active<'_> {
        let applies = |rule: &Rule| rule.route.as_ref().is_none_or(|pattern| pattern.matches(route));
        let mut active = Active::default();
        for (at, rule) in self.rules.iter().enumerate().filter(|(_, rule)| applies(rule)) {
            active.add_for_response(at, &rule.place, rule.tolerance);
        }
        active
    }

    /// The rules for a document that belongs to no route: those that are not limited to one.
    pub(crate) fn for_document(&self) -> Active<'_> {
        let mut active = Active::default();
        for (at, rule) in self.rules.iter().enumerate().filter(|(_, rule)| rule.route.is_none()) {
            active.add_for_response(at, &rule.place, rule.tolerance);
        }
        active
    }

    /// The rules for bodies of requests to this dependency.
    pub(crate) fn for_call_request(&self, name: &str) -> Active<'_> {
        let mut active = Active::default();
        for (at, rule) in self.rules.iter().enumerate() {
            if let Place::CallRequest { dependency, pattern } = &rule.place
                && dependency == name
            {
                active.body.push((at, pattern));
            }
        }
        active
    }

    /// The rules for bodies of responses of this dependency.
    pub(crate) fn for_call_response(&self, name: &str) -> Active<'_> {
        let mut active = Active::default();
        for (at, rule) in self.rules.iter().enumerate() {
            if let Place::CallResponse { dependency, pattern } = &rule.place
                && dependency == name
            {
                active.add_for_call(at, pattern, rule.tolerance);
            }
        }
        active
    }

    /// The uses by rule, in the order in which the rules were given.
    pub(crate) fn report(&self, uses: Uses) -> Vec<RuleUse> {
        uses.into_counts()
            .map(|(at, (pointer, count))| {
                let Rule { text, reason, .. } = &self.rules[at];
                RuleUse { rule: text.clone(), pointer, count, reason: reason.clone() }
            })
            .collect()
    }
}

/// True where a rule leaves out what is at this pointer, as a change has it.
fn leave_out(active: &Active<'_>, pointer: &str) -> bool {
    match pointer.split_once(':') {
        _ if pointer == "status" => active.status.is_some(),
        Some(("header", name)) => active.for_header(name).is_some(),
        Some(("sse", place)) if place.is_empty() || place.starts_with('/') => covers(&active.event_data, place),
        Some(("sse", name)) => {
            let mut fields = EventField::ALL.into_iter().chain([EventField::End]);
            let field = fields.find(|field| field.name() == name);
            field.is_some_and(|field| active.for_event_field(field).is_some())
        }
        _ => covers(&active.body, pointer),
    }
}

/// True where a pattern covers the place that the pointer leads to, or one above it.
fn covers(patterns: &[(usize, &Pattern)], pointer: &str) -> bool {
    rules_on_the_way(patterns, pointer).iter().any(Option::is_some)
}

/// The first rule that covers each place from the root to the one that the pointer leads to.
fn rules_on_the_way(patterns: &[(usize, &Pattern)], pointer: &str) -> Vec<Option<usize>> {
    let mut cover = Cover::new(patterns);
    let mut rules = vec![cover.rule()];
    for step in pointer.split('/').skip(1) {
        let key = step.replace("~1", "/").replace("~2", "*").replace("~0", "~");
        let index = key.parse().ok().filter(|index: &usize| index.to_string() == key);
        cover.enter(&index.map_or(Step::Key(&key), Step::Index));
        rules.push(cover.rule());
    }
    rules
}

/// True where a tolerance covers just this place, and both numbers, or vectors, are near enough.
fn tolerates(active: &Active<'_>, change: &Change) -> bool {
    let (Some(one), Some(other)) = (&change.recorded, &change.replayed) else { return false };
    let (covered, pointer) = match change.pointer.strip_prefix("sse:") {
        Some(pointer) => (active.for_event_data(), pointer),
        None => (active.for_body(), &*change.pointer),
    };
    let rule = rules_on_the_way(covered.tolerated, pointer).last().copied().flatten();
    let tolerance = covered.tolerances.iter().find(|(at, _)| Some(*at) == rule);
    tolerance.is_some_and(|(_, tolerance)| match &change.vector {
        Some(distance) => tolerance.covers_vector(distance),
        None => tolerance.covers(&one.text, &other.text),
    })
}

impl RuleUse {
    /// Adds the uses of one comparison, or of one call, to those of a whole replay.
    pub fn merge(all: &mut Vec<RuleUse>, more: &[RuleUse]) {
        for used in more {
            match all.iter_mut().find(|known| known.rule == used.rule) {
                Some(known) => known.count = known.count.saturating_add(used.count),
                None => all.push(used.clone()),
            }
        }
    }
}
