//! One answer compared with another: status, header fields, body.
//!
//! In: two answers and the rules. Out: a [`Comparison`]. Where one answer is a part only, that part is compared with the
//! beginning of the other. Whether a difference makes a verdict is decided in `verdict`.

use content::{
    canonical::{BODY_BYTES_MAX, VALUES_MAX},
    json::{Kind, Tree},
    message, multipart,
};
use exchange::{Head, MediaKind};

use crate::{
    Change, ChangeKind, ComparedAs, Comparison, ListSeen, Output, Route, Rules, Shown,
    findings::Findings,
    headers, json, media,
    pointer::rule_for_root,
    rules::Active,
    said::{self, Cut, Message, tree_of},
    stream,
    structured::{has_element, is_html},
    text,
    view::View,
};

/// Compares the replayed answer of the service with the recorded one.
pub fn compare_responses(recorded: &Output<'_>, replayed: &Output<'_>, rules: &Rules, route: &Route) -> Comparison {
    compare(recorded, replayed, rules, &rules.for_response(route), &route.path, Findings::new()).0
}

/// The same, and the lists in which something differs.
pub(crate) fn compare_responses_with_lists(
    recorded: &Output<'_>,
    replayed: &Output<'_>,
    rules: &Rules,
    route: &Route,
) -> (Comparison, Vec<ListSeen>) {
    compare(recorded, replayed, rules, &rules.for_response(route), &route.path, Findings::noting_lists())
}

/// Compares two answers of a dependency, under the `dep:NAME:response:/…` rules.
pub fn compare_call_responses(
    recorded: &Output<'_>,
    replayed: &Output<'_>,
    rules: &Rules,
    dependency: &str,
) -> Comparison {
    compare(recorded, replayed, rules, &rules.for_call_response(dependency), "", Findings::new()).0
}

/// Compares two whole answers whose canonical content is known to be equal, by its digests, without their bodies, which have
/// so many bytes as sent. Where these are as many, so are those that the heads announce.
pub fn compare_unread(recorded: (&Head, u64), replayed: (&Head, u64), rules: &Rules, route: &Route) -> Comparison {
    let mut findings = Findings::new();
    let ((one, len), (other, other_len)) = (recorded, replayed);
    headers::compare(one, other, len == other_len, &rules.for_response(route), &mut findings);
    let compared_as = if len == 0 && other_len == 0 { ComparedAs::Nothing } else { ComparedAs::Digest };
    findings.into_comparison(rules, compared_as)
}

fn compare(
    recorded: &Output<'_>,
    replayed: &Output<'_>,
    rules: &Rules,
    active: &Active<'_>,
    path: &str,
    findings: Findings,
) -> (Comparison, Vec<ListSeen>) {
    // What was cut in production has to be there again in full, unless it is us who did not keep it.
    let shorter_part = !replayed.whole && replayed.body.len() < recorded.body.len();
    let both = recorded.is_part() && replayed.is_part() && !replayed.whole;
    let (comparison, lists) = if replayed.is_part() && (!recorded.is_part() || shorter_part) {
        let cut = Cut { recorded: true, both };
        let (comparison, lists) = compare_beginning(replayed, recorded, cut, rules, active, path, findings);
        (comparison.mirrored(), lists)
    } else {
        let cut = Cut { recorded: recorded.is_part(), both };
        compare_beginning(recorded, replayed, cut, rules, active, path, findings)
    };
    let (recorded_part_only, replayed_part_only) = (recorded.is_part(), replayed.is_part());
    (Comparison { recorded_part_only, replayed_part_only, ..comparison }, lists)
}

/// Compares all of `one` with `other`, or with its beginning where `one` is a part.
fn compare_beginning(
    one: &Output<'_>,
    other: &Output<'_>,
    cut: Cut,
    rules: &Rules,
    active: &Active<'_>,
    path: &str,
    mut findings: Findings,
) -> (Comparison, Vec<ListSeen>) {
    let bodies_equal = one.body == other.body;
    headers::compare(one.head, other.head, bodies_equal, active, &mut findings);
    if bodies_equal && !one.is_part() && !other.is_part() {
        let compared_as = if one.body.is_empty() { ComparedAs::Nothing } else { ComparedAs::Bytes };
        return (findings.into_comparison(rules, compared_as), Vec::new());
    }
    let before = findings.changes_count();
    let reading = rules.reading(path);
    let first = View::of(one, reading);
    let second = View::of_alike(other, reading, Some(&first));
    let mut views = Views { one: first, other: second, cut };
    views.note_not_json(one, other, &mut findings);
    views.read_alike(one, other);
    let compared_as = views.compare(active, &mut findings);
    let too_long = |output: &Output<'_>| output.body.len() as u64 > BODY_BYTES_MAX;
    let is_refused = views.is_refused_as_html([one, other].map(|output| {
        let content_type = output.head.text_of("content-type").unwrap_or_default();
        is_html(&multipart::essence(content_type)) && !output.is_part()
    }));
    if findings.changes_count() > before && (too_long(one) || too_long(other) || is_refused) {
        findings.note_coarse();
    }
    let lists = findings.take_lists();
    (findings.into_comparison(rules, compared_as), lists)
}

/// Two bodies that are to be compared.
pub(crate) struct Views<'a> {
    /// The recorded one.
    pub(crate) one: View<'a>,
    /// The replayed one.
    pub(crate) other: View<'a>,
    /// Which of them were cut.
    pub(crate) cut: Cut,
}

impl<'a> Views<'a> {
    /// True where one of those that are HTML is too much or too deep to be read as that.
    pub(crate) fn is_refused_as_html(&self, is_html: [bool; 2]) -> bool {
        let is_refused = |view: &View<'_>| matches!(view, View::Text(text) if has_element(text));
        [&self.one, &self.other].into_iter().zip(is_html).any(|(view, is_html)| is_html && is_refused(view))
    }

    /// Notes why one of these answers was not read as the JSON that it should be.
    fn note_not_json(&self, one: &Output<'a>, other: &Output<'a>, findings: &mut Findings) {
        let why = |view: &View<'a>, output: &Output<'a>| {
            let is_announced = output.head.value_of("content-type").is_some();
            let may_be = !is_announced || MediaKind::of(output.head) == MediaKind::Json;
            (may_be && !output.is_part()).then(|| view.not_json(is_announced, VALUES_MAX)).flatten()
        };
        findings.note_not_json([why(&self.one, one), why(&self.other, other)]);
    }

    /// A part that could not be read as what it is a part of is compared as text.
    fn read_alike(&mut self, one: &Output<'a>, other: &Output<'a>) {
        let other_is_joined = matches!(self.other, View::Lines(..));
        if matches!(self.one, View::Lines(..)) && self.cut.recorded && !other_is_joined {
            self.one = View::of_as(MediaKind::Other, one);
        }
        let one_is_raw = self.one.as_bytes().is_some();
        if self.cut.recorded && one_is_raw && self.other.as_bytes().is_none() {
            self.other = View::of_as(MediaKind::Other, other);
        }
    }

    /// Compares them, and says as what.
    pub(crate) fn compare(&self, rules: &Active<'_>, findings: &mut Findings) -> ComparedAs {
        match (&self.one, &self.other) {
            (View::Nothing, View::Nothing) => ComparedAs::Nothing,
            (View::Nothing, _) if self.cut.recorded => ComparedAs::Nothing,
            (View::Json(one, written), View::Json(other, _)) => {
                self.note_lines(rules, findings);
                self.compare_json(one, written.open, other, rules, findings);
                ComparedAs::Json
            }
            (View::Lines(one, _), View::Lines(other, _)) => self.compare_joined(rules, findings).unwrap_or_else(|| {
                self.compare_json(one, usize::from(self.cut.recorded), other, rules, findings);
                ComparedAs::Json
            }),
            (View::Events(one), View::Events(other)) => self.compare_joined(rules, findings).unwrap_or_else(|| {
                stream::compare(one, other, self.cut.recorded, rules, findings);
                ComparedAs::Events
            }),
            (View::CutLines(..), View::Lines(..) | View::CutLines(..)) | (View::Lines(..), View::CutLines(..)) => {
                self.compare_joined(rules, findings).unwrap_or_else(|| self.compare_lists(rules, findings))
            }
            // Lines that are no message, or contradict themselves, or of which the last was cut.
            (View::Lines(..) | View::CutLines(..), View::Json(..)) | (View::Json(..), View::CutLines(..))
                if self.one.list().is_some() && self.other.list().is_some() =>
            {
                self.note_lines(rules, findings);
                self.compare_lists(rules, findings)
            }
            (View::Json(one, written), View::Lines(other, _) | View::CutLines(other, _))
                if one.root().kind() == Kind::Array && other.root().kind() == Kind::Array =>
            {
                self.note_lines(rules, findings);
                self.compare_json(one, written.open, other, rules, findings);
                ComparedAs::Json
            }
            (View::Events(stream) | View::Lines(_, stream), View::Json(whole, _))
            | (View::Json(whole, _), View::Events(stream) | View::Lines(_, stream)) => {
                let is_mirrored = self.other.stream().is_some();
                let is_part = self.cut.recorded;
                let message = Message::of(stream, is_part, rules).filter(|_| !(is_part && is_mirrored));
                let compared =
                    message.and_then(|it| said::compare_with_whole(&it, whole, is_mirrored, is_part, rules, findings));
                if compared.is_some() { ComparedAs::Message } else { self.compare_as_bytes(rules, findings) }
            }
            (View::Structured(one), View::Structured(other)) if self.one.is_like(&self.other) => {
                let (value, other_value) = one.pair(other);
                match (tree_of(&value), tree_of(&other_value)) {
                    (Some(value), Some(other_value)) => {
                        let document = json::Document::default();
                        json::compare(value.root(), other_value.root(), 0, document, rules.for_body(), findings);
                        one.compared_as
                    }
                    _ => self.compare_as_bytes(rules, findings),
                }
            }
            (View::Media(one), View::Media(other)) if self.one.is_like(&self.other) => {
                match media::compare(one, other, rules, findings) {
                    Some(()) => one.compared_as,
                    None => self.compare_as_bytes(rules, findings),
                }
            }
            (View::Text(one), View::Text(other)) => {
                let is_equal = if self.cut.recorded { other.starts_with(&**one) } else { one == other };
                self.add_whole(is_equal, ChangeKind::Changed, rules, findings);
                ComparedAs::Text
            }
            _ => self.compare_as_bytes(rules, findings),
        }
    }

    /// Compares two streams by the messages that they join to; `None` where one joins to none.
    fn compare_joined(&self, rules: &Active<'_>, findings: &mut Findings) -> Option<ComparedAs> {
        let (stream, other_stream) = (self.one.stream()?, self.other.stream()?);
        let one = Message::of(stream, self.cut.recorded, rules);
        let other = Message::of(other_stream, self.cut.both, rules);
        let (one, other) = match (one, other) {
            (Some(one), Some(other)) => (one, other),
            (Some(one), None) => (one, Message::of_error(other_stream, rules)?),
            (None, Some(other)) => (Message::of_error(stream, rules)?, other),
            (None, None) => return None,
        };
        said::compare(&one, &other, self.cut, rules, findings)?;
        Some(ComparedAs::Message)
    }

    /// Compares two lists of what stands in each line.
    fn compare_lists(&self, rules: &Active<'_>, findings: &mut Findings) -> ComparedAs {
        let (Some(one), Some(other)) = (self.one.list(), self.other.list()) else {
            return self.compare_as_bytes(rules, findings);
        };
        let last = |tree: &Tree<'_>| tree.root().elements().enumerate().last().map(|(at, last)| (at, last.to_value()));
        let is_cut = [&self.one, &self.other].map(|view| matches!(view, View::CutLines(..)));
        // A text that says of itself that it is a line that was cut is none.
        if is_cut[0] != is_cut[1] && last(one) == last(other) {
            self.add_whole(false, ChangeKind::TypeChanged, rules, findings);
        } else {
            self.compare_json(one, 0, other, rules, findings);
        }
        ComparedAs::Json
    }

    /// Notes where one is a single document and the other one in each line: read as one document, that is no JSON.
    fn note_lines(&self, rules: &Active<'_>, findings: &mut Findings) {
        let is_in_lines = |view: &View<'_>| match view {
            View::Json(_, written) => written.in_lines,
            _ => true,
        };
        let sides = [&self.one, &self.other].map(is_in_lines);
        if sides[0] == sides[1] {
            return;
        }
        if let Some(rule_at) = rule_for_root(&rules.body) {
            return findings.count_use(rule_at, String::new);
        }
        let [recorded, replayed] = sides.map(|in_lines| {
            Some(Shown::beginning_of(if in_lines { "a JSON document in each line" } else { "one JSON document" }))
        });
        if findings.has_room() {
            findings.add(Change { recorded, replayed, ..Change::at("", ChangeKind::TypeChanged) });
        }
    }

    /// Compares two documents, of the first of which `open` values were cut off, and those with calls of tools in normal form.
    fn compare_json(&self, one: &Tree<'_>, open: usize, other: &Tree<'_>, rules: &Active<'_>, findings: &mut Findings) {
        let normal = if self.cut.recorded { None } else { message::normal_pair(one.root(), other.root()) };
        let mut document = json::Document::default();
        let trees = normal.and_then(|(one, other)| Some((tree_of(&one)?, tree_of(&other)?)));
        if let Some((one, other)) = trees {
            document.has_calls = true;
            return json::compare(one.root(), other.root(), 0, document, rules.for_body(), findings);
        }
        json::compare(one.root(), other.root(), open, document, rules.for_body(), findings);
    }

    fn compare_as_bytes(&self, rules: &Active<'_>, findings: &mut Findings) -> ComparedAs {
        let (is_equal, kind) = match (self.one.as_bytes(), self.other.as_bytes()) {
            (Some(one), Some(other)) if self.cut.recorded => (other.starts_with(one), ChangeKind::Changed),
            (Some(one), Some(other)) => (one == other, ChangeKind::Changed),
            _ => match (&self.one, &self.other) {
                (View::Nothing, _) => (false, ChangeKind::Added),
                (_, View::Nothing) => (false, ChangeKind::Removed),
                _ => (false, ChangeKind::TypeChanged),
            },
        };
        self.add_whole(is_equal, kind, rules, findings);
        ComparedAs::Bytes
    }

    /// Notes that the bodies differ as a whole, unless a rule covers all of it.
    fn add_whole(&self, is_equal: bool, kind: ChangeKind, rules: &Active<'_>, findings: &mut Findings) {
        if is_equal {
            return;
        }
        if let Some(rule_at) = rule_for_root(&rules.body) {
            return findings.count_use(rule_at, String::new);
        }
        if !findings.has_room() {
            return;
        }
        let text = match (&self.one, &self.other) {
            (View::Text(one), View::Text(other)) => Some(text::change(one, other, findings)),
            (one, other) => one.as_bytes().zip(other.as_bytes()).map(|(one, other)| text::change_of_bytes(one, other)),
        };
        findings.add(Change { recorded: self.one.shown(), replayed: self.other.shown(), text, ..Change::at("", kind) });
    }
}

#[cfg(test)]
mod alike;
#[cfg(test)]
mod tests;
