//! Walks two values side by side and notes where they differ.

use content::json::Value;
use exchange::Digest;

use super::{
    leave::{by_key, equal},
    print::Prints,
};
use crate::{
    Change, ChangeKind, Shown,
    align::{Pairing, align, by_position},
    findings::Findings,
    pointer::{Cover, Patterns, Step, pointer_text},
    text,
};

/// Texts that are longer than this, in bytes, are shown around their first difference too. A choice: shorter ones are
/// shown whole and can be compared by eye.
const TEXT_LEN_MIN: usize = 60;

/// Where the documents are that are compared: what stands before each pointer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Document {
    /// `sse:` for an event's data, empty for a body.
    pub(crate) prefix: &'static str,
    /// Numbers of the recorded and the replayed event.
    pub(crate) events: Option<(u64, u64)>,
}

/// Compares two documents. `open` is how many values, from the root down the last ones, were cut off in the recording;
/// what the other side has there beyond the recorded part is not compared.
pub(crate) fn compare(
    recorded: &Value,
    replayed: &Value,
    open: usize,
    document: Document,
    patterns: &Patterns<'_>,
    findings: &mut Findings,
) {
    if equal(recorded, replayed) {
        return;
    }
    let (one, other) = (Side::at_root(patterns), Side::at_root(patterns));
    let mut walk = Walk { document, findings, recorded: one, replayed: other };
    walk.pair(Some(recorded), Some(replayed), open);
}

struct Walk<'v, 'f> {
    document: Document,
    findings: &'f mut Findings,
    recorded: Side<'v, 'f>,
    /// Its path differs from the recorded one in indices only.
    replayed: Side<'v, 'f>,
}

impl<'v> Walk<'v, '_> {
    fn pair(&mut self, recorded: Option<&'v Value>, replayed: Option<&'v Value>, open: usize) {
        if let Some(rule_at) = self.rule() {
            let differs = match (recorded, replayed) {
                (Some(recorded), Some(replayed)) => !equal(recorded, replayed),
                _ => true,
            };
            if differs {
                let side = if recorded.is_none() { &self.replayed } else { &self.recorded };
                self.findings.count_use(rule_at, || side.pointer(self.document));
            }
            return;
        }
        match (recorded, replayed) {
            (Some(Value::Object(recorded)), Some(Value::Object(replayed))) => self.members(recorded, replayed, open),
            (Some(Value::Array(recorded)), Some(Value::Array(replayed))) => self.elements(recorded, replayed, open),
            (Some(Value::String(recorded)), Some(Value::String(replayed))) => self.strings(recorded, replayed, open),
            (Some(recorded), Some(replayed)) if recorded == replayed => {}
            (recorded, replayed) => self.add(recorded, replayed),
        }
    }

    /// Members in the order of their keys, so that neither document's order matters.
    fn members(&mut self, recorded: &'v [(String, Value)], replayed: &'v [(String, Value)], open: usize) {
        let last_key = recorded.last().map(|(key, _)| key.as_str());
        let (recorded, replayed) = (by_key(recorded), by_key(replayed));
        let (mut recorded, mut replayed) = (recorded.into_iter().peekable(), replayed.into_iter().peekable());
        loop {
            let key = match (recorded.peek(), replayed.peek()) {
                (Some((one, _)), Some((other, _))) => (*one).min(*other),
                (Some((key, _)), None) | (None, Some((key, _))) => *key,
                (None, None) => return,
            };
            let of_recorded = recorded.next_if(|(found, _)| *found == key).map(|(_, value)| value);
            let of_replayed = replayed.next_if(|(found, _)| *found == key).map(|(_, value)| value);
            let may_come_later = of_recorded.is_none() && open > 0;
            if !may_come_later {
                let open = if last_key == Some(key) { open.saturating_sub(1) } else { 0 };
                self.below(Step::Key(key), Step::Key(key), |walk| walk.pair(of_recorded, of_replayed, open));
            }
        }
    }

    fn elements(&mut self, recorded: &'v [Value], replayed: &'v [Value], open: usize) {
        let replayed = if open > 0 { &replayed[..replayed.len().min(recorded.len())] } else { replayed };
        for Pairing { recorded: recorded_at, replayed: replayed_at } in self.pairings(recorded, replayed) {
            let (one, other) = (recorded_at.map(|at| &recorded[at]), replayed_at.map(|at| &replayed[at]));
            let is_last = recorded_at.is_some_and(|at| at + 1 == recorded.len());
            let open = if is_last { open.saturating_sub(1) } else { 0 };
            // An element that only one side has is at its own index there; the other side's path has no better one.
            let at = recorded_at.or(replayed_at).unwrap_or_default();
            let replayed_at = replayed_at.unwrap_or(at);
            self.below(Step::Index(at), Step::Index(replayed_at), |walk| walk.pair(one, other, open));
        }
    }

    /// By position for lists of numbers of one length (vectors), else by what rules leave of each element.
    fn pairings(&mut self, recorded: &'v [Value], replayed: &'v [Value]) -> Vec<Pairing> {
        let is_number = |value: &Value| matches!(value, Value::Number(_));
        if recorded.len() == replayed.len() && recorded.iter().chain(replayed).all(is_number) {
            return by_position(recorded.len(), replayed.len());
        }
        let (recorded, replayed) = (self.recorded.prints_of(recorded), self.replayed.prints_of(replayed));
        align(&recorded, &replayed, self.findings)
    }

    fn strings(&mut self, recorded: &'v str, replayed: &'v str, open: usize) {
        let is_equal = if open > 0 { replayed.starts_with(recorded) } else { recorded == replayed };
        if is_equal {
            return;
        }
        if !self.findings.has_room() {
            return;
        }
        let shown = |text: &str| Shown::of_json(&Value::String(text.to_owned()));
        let is_long = recorded.len().max(replayed.len()) > TEXT_LEN_MIN;
        let text = is_long.then(|| text::change(recorded, replayed, self.findings));
        let (recorded, replayed) = (Some(shown(recorded)), Some(shown(replayed)));
        let change = Change { recorded, replayed, text, ..self.change(ChangeKind::Changed) };
        self.findings.add(change);
    }

    fn add(&mut self, recorded: Option<&Value>, replayed: Option<&Value>) {
        let kind = match (recorded, replayed) {
            (Some(recorded), Some(replayed)) if recorded.kind_name() == replayed.kind_name() => ChangeKind::Changed,
            (Some(_), Some(_)) => ChangeKind::TypeChanged,
            (Some(_), None) => ChangeKind::Removed,
            (None, _) => ChangeKind::Added,
        };
        if !self.findings.has_room() {
            return;
        }
        let (recorded, replayed) = (recorded.map(Shown::of_json), replayed.map(Shown::of_json));
        let change = Change { recorded, replayed, ..self.change(kind) };
        self.findings.add(change);
    }

    /// A difference here, its values still to be filled in.
    fn change(&self, kind: ChangeKind) -> Change {
        let is_added = kind == ChangeKind::Added;
        let one_side_only = is_added || kind == ChangeKind::Removed;
        let replayed_pointer = self.replayed.pointer(self.document);
        let pointer = if is_added { replayed_pointer.clone() } else { self.recorded.pointer(self.document) };
        let replayed_pointer = (!one_side_only && replayed_pointer != pointer).then_some(replayed_pointer);
        let (event, replayed_event) = match self.document.events {
            None => (None, None),
            Some((_, replayed)) if is_added => (Some(replayed), None),
            Some((recorded, replayed)) => {
                (Some(recorded), (!one_side_only && replayed != recorded).then_some(replayed))
            }
        };
        Change { pointer, replayed_pointer, event, replayed_event, kind, recorded: None, replayed: None, text: None }
    }

    fn below(&mut self, recorded: Step<'v>, replayed: Step<'v>, work: impl FnOnce(&mut Self)) {
        self.recorded.enter(recorded);
        self.replayed.enter(replayed);
        work(self);
        self.recorded.leave();
        self.replayed.leave();
    }

    /// The first rule that covers this place, as either side numbers it.
    fn rule(&self) -> Option<usize> {
        [self.recorded.cover.rule(), self.replayed.cover.rule()].into_iter().flatten().min()
    }
}

/// Where the walk is on one side.
struct Side<'v, 'f> {
    path: Vec<Step<'v>>,
    cover: Cover<'f>,
    prints: Prints,
}

impl<'v, 'f> Side<'v, 'f> {
    fn at_root(patterns: &'f Patterns<'f>) -> Self {
        Self { path: Vec::new(), cover: Cover::new(patterns), prints: Prints::default() }
    }

    fn enter(&mut self, step: Step<'v>) {
        self.cover.enter(&step);
        self.path.push(step);
    }

    fn leave(&mut self) {
        self.cover.leave();
        self.path.pop();
    }

    fn pointer(&self, document: Document) -> String {
        format!("{}{}", document.prefix, pointer_text(&self.path))
    }

    fn prints_of(&mut self, elements: &[Value]) -> Vec<Digest> {
        self.prints.of_elements(elements, &mut self.cover)
    }
}

#[cfg(test)]
mod tests;
