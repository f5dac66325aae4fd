//! Where a difference is, and where a rule applies: JSON Pointers (RFC 6901), and patterns made of them.
//!
//! In: steps from a document's root, or the text of a pattern. Out: a pointer's text, and whether a pattern covers a place.
//! A pattern is a pointer in which `*` stands for any one step and `**` for any number of steps; `~2` is a literal `*`,
//! beside RFC 6901's `~0` for `~` and `~1` for `/`. Pointers are written with the same escapes, so that each of them can
//! be pasted as a pattern. What lies before the pointer (`header:`, `sse:`, `dep:`) is read by `rules`.

/// One step down a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step<'a> {
    /// To an object's member.
    Key(&'a str),
    /// To an array's element.
    Index(usize),
}

/// Longest pointer written, in bytes; `…` stands for the rest. A choice: a document can make pointers of megabytes, one for
/// each of its values, and none that is read has more than a few dozen.
const POINTER_LEN_MAX: usize = 1_024;

/// What is set aside for a pointer at first, in bytes: most are shorter. A choice.
const POINTER_LEN_MOSTLY: usize = 24;

/// The pointer that leads along these steps: empty for the root.
pub(crate) fn pointer_text(steps: &[Step<'_>]) -> String {
    pointer_text_behind("", steps)
}

/// The same behind a prefix.
pub(crate) fn pointer_text_behind(prefix: &str, steps: &[Step<'_>]) -> String {
    let mut text = String::with_capacity(prefix.len() + POINTER_LEN_MOSTLY);
    text.push_str(prefix);
    let len_max = prefix.len() + POINTER_LEN_MAX;
    for step in steps {
        text.push('/');
        match step {
            Step::Index(index) => push_index(*index, &mut text),
            Step::Key(key) => push_escaped(key, &mut text),
        }
        if text.len() > len_max {
            text.truncate(text.floor_char_boundary(len_max));
            text.push('…');
            break;
        }
    }
    text
}

fn push_index(index: usize, text: &mut String) {
    if index >= 10 {
        push_index(index / 10, text);
    }
    text.push(char::from(b'0' + (index % 10) as u8));
}

fn push_escaped(key: &str, text: &mut String) {
    if key.len() <= POINTER_LEN_MAX && !key.bytes().any(|byte| matches!(byte, b'~' | b'/' | b'*')) {
        return text.push_str(key);
    }
    for character in key.chars().take(POINTER_LEN_MAX) {
        match character {
            '~' => text.push_str("~0"),
            '/' => text.push_str("~1"),
            '*' => text.push_str("~2"),
            other => text.push(other),
        }
    }
}

/// The same pointer with every step that is an index as `*`: what differences of one kind have in common. Segments of a call's
/// path and fields of its query are no elements of a list: each stays by itself.
pub fn with_indices_as_stars(pointer: &str) -> String {
    let place = pointer.split('/').next().unwrap_or_default();
    if place.starts_with("dep:") && [":path:", ":query:"].iter().any(|part| place.ends_with(part)) {
        return pointer.to_owned();
    }
    let starred = pointer.split('/').enumerate().map(|(at, step)| if at > 0 && is_number(step) { "*" } else { step });
    starred.collect::<Vec<_>>().join("/")
}

/// True for a pointer of which [`with_indices_as_stars`] left an index out.
pub(crate) fn is_starred(pointer: &str) -> bool {
    pointer.split('/').skip(1).any(|step| step == "*")
}

/// True for a step that [`with_indices_as_stars`] takes for an index.
pub(crate) fn is_number(step: &str) -> bool {
    !step.is_empty() && step.bytes().all(|byte| byte.is_ascii_digit())
}

/// A pointer with wildcards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    steps: Vec<PatternStep>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum PatternStep {
    /// This key; or this index, where the text is a number as JSON Pointers write it.
    Literal { key: String, index: Option<usize> },
    /// `*`
    AnyOne,
    /// `**`
    AnyNumber,
}

/// What is wrong with a pattern's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PatternFault {
    /// It does not begin with `/`.
    NoSlash,
    /// A `~` that is not followed by 0, 1 or 2.
    BadEscape,
    /// A `*` beside other characters in one step.
    StarInsideStep,
    /// More than [`STEPS_LEN_MAX`] steps.
    TooManySteps,
}

/// Most steps of a pattern: what a state of 64 bits can tell apart. Documents may be twice as deep, `**` reaches there.
const STEPS_LEN_MAX: usize = 63;

impl Pattern {
    /// Reads a pattern. The empty text is the root alone.
    ///
    /// On refusal gives the byte offset at which it stopped, and why.
    pub(crate) fn parse(text: &str) -> Result<Self, (usize, PatternFault)> {
        if text.is_empty() {
            return Ok(Self { steps: Vec::new() });
        }
        let rest = text.strip_prefix('/').ok_or((0, PatternFault::NoSlash))?;
        let mut at = 1;
        let mut steps = Vec::new();
        for step in rest.split('/') {
            if steps.len() == STEPS_LEN_MAX {
                return Err((at, PatternFault::TooManySteps));
            }
            steps.push(PatternStep::parse(step).map_err(|(offset, fault)| (at + offset, fault))?);
            at += step.len() + 1;
        }
        Ok(Self { steps })
    }

    /// Where reading a path begins. A state is a set of bits: bit `n` stands for having used up the first `n` steps.
    fn begin(&self) -> u64 {
        self.with_empty_stars(1)
    }

    /// The state one step further down; 0 when nothing below can be covered.
    fn after(&self, state: u64, step: &Step<'_>) -> u64 {
        let mut after = 0;
        for (at, expected) in self.steps.iter().enumerate().filter(|(at, _)| state & (1 << at) != 0) {
            if *expected == PatternStep::AnyNumber {
                after |= 1 << at;
            } else if expected.covers(step) {
                after |= 1 << (at + 1);
            }
        }
        self.with_empty_stars(after)
    }

    /// `**` may stand for no step at all.
    fn with_empty_stars(&self, mut state: u64) -> u64 {
        for (at, _) in self.steps.iter().enumerate().filter(|(_, step)| **step == PatternStep::AnyNumber) {
            state |= (state & (1 << at)) << 1;
        }
        state
    }

    fn covers(&self, state: u64) -> bool {
        state & (1 << self.steps.len()) != 0
    }
}

/// Several patterns, each with the number of its rule.
pub(crate) type Patterns<'p> = [(usize, &'p Pattern)];

/// Goes down a document and knows at each place which pattern covers it, without reading the path again.
#[derive(Debug)]
pub(crate) struct Cover<'p> {
    patterns: &'p Patterns<'p>,
    /// States of all patterns, one group for each level.
    states: Vec<u64>,
}

impl<'p> Cover<'p> {
    /// At the root.
    pub(crate) fn new(patterns: &'p Patterns<'p>) -> Self {
        Self { patterns, states: patterns.iter().map(|(_, pattern)| pattern.begin()).collect() }
    }

    /// Goes one step down.
    pub(crate) fn enter(&mut self, step: &Step<'_>) {
        if self.patterns.is_empty() {
            return;
        }
        let here = self.states.len() - self.patterns.len();
        for (at, (_, pattern)) in self.patterns.iter().enumerate() {
            let state = self.states[here + at];
            self.states.push(if state == 0 { 0 } else { pattern.after(state, step) });
        }
    }

    /// Goes one step up again.
    pub(crate) fn leave(&mut self) {
        self.states.truncate(self.states.len() - self.patterns.len());
    }

    /// True where nothing is covered anywhere.
    pub(crate) fn is_without_patterns(&self) -> bool {
        self.patterns.is_empty()
    }

    /// The number of the first rule that covers this place (not what lies below it).
    pub(crate) fn rule(&self) -> Option<usize> {
        if self.patterns.is_empty() {
            return None;
        }
        let states = &self.states[self.states.len() - self.patterns.len()..];
        let covering = self.patterns.iter().zip(states).find(|((_, pattern), state)| pattern.covers(**state));
        covering.map(|((rule_at, _), _)| *rule_at)
    }
}

/// The first rule that covers a document as a whole.
pub(crate) fn rule_for_root(patterns: &Patterns<'_>) -> Option<usize> {
    Cover::new(patterns).rule()
}

impl PatternStep {
    fn parse(step: &str) -> Result<Self, (usize, PatternFault)> {
        match step {
            "*" => return Ok(Self::AnyOne),
            "**" => return Ok(Self::AnyNumber),
            _ => {}
        }
        let mut key = String::with_capacity(step.len());
        let mut characters = step.char_indices();
        while let Some((at, character)) = characters.next() {
            key.push(match character {
                '*' => return Err((at, PatternFault::StarInsideStep)),
                '~' => match characters.next() {
                    Some((_, '0')) => '~',
                    Some((_, '1')) => '/',
                    Some((_, '2')) => '*',
                    _ => return Err((at, PatternFault::BadEscape)),
                },
                other => other,
            });
        }
        let index = key.parse().ok().filter(|index: &usize| index.to_string() == key);
        Ok(Self::Literal { key, index })
    }

    fn covers(&self, step: &Step<'_>) -> bool {
        match (self, step) {
            (Self::Literal { key, .. }, Step::Key(found)) => key == found,
            (Self::Literal { index, .. }, Step::Index(found)) => index.as_ref() == Some(found),
            (Self::AnyOne, _) => true,
            (Self::AnyNumber, _) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, path: &[Step<'_>]) -> bool {
        covers(&Pattern::parse(pattern).unwrap(), path)
    }

    fn covers(pattern: &Pattern, path: &[Step<'_>]) -> bool {
        let patterns = [(7, pattern)];
        let mut cover = Cover::new(&patterns);
        path.iter().for_each(|step| cover.enter(step));
        cover.rule() == Some(7)
    }

    #[test]
    fn a_star_is_one_step_and_two_are_any_number() {
        let path = [Step::Key("choices"), Step::Index(3), Step::Key("delta"), Step::Key("id")];
        for covered in ["/choices/3/delta/id", "/choices/*/delta/id", "/**/id", "/**", "/choices/**", "/**/*/**/id/**"]
        {
            assert!(matches(covered, &path), "{covered}");
        }
        for other in ["", "/choices", "/choices/*/id", "/choices/03/delta/id", "/**/delta", "/*"] {
            assert!(!matches(other, &path), "{other}");
        }
    }

    #[test]
    fn escapes_stand_for_the_characters_that_pointers_use() {
        assert!(matches("/a~1b/~0/~2", &[Step::Key("a/b"), Step::Key("~"), Step::Key("*")]));
        assert!(!matches("/~2", &[Step::Key("anything")]));
        assert!(matches("/", &[Step::Key("")]));
    }

    #[test]
    fn what_is_no_pattern_says_where_and_why() {
        assert_eq!(Pattern::parse("id"), Err((0, PatternFault::NoSlash)));
        assert_eq!(Pattern::parse("/a/b*"), Err((4, PatternFault::StarInsideStep)));
        assert_eq!(Pattern::parse("/a/***"), Err((3, PatternFault::StarInsideStep)));
        assert_eq!(Pattern::parse("/a~3"), Err((2, PatternFault::BadEscape)));
        assert_eq!(Pattern::parse("/a~"), Err((2, PatternFault::BadEscape)));
        assert!(Pattern::parse(&"/*".repeat(63)).is_ok());
        assert_eq!(Pattern::parse(&"/*".repeat(64)), Err((127, PatternFault::TooManySteps)));
    }

    #[test]
    fn going_up_again_forgets_what_lay_below_and_the_first_rule_counts() {
        let patterns = ["/a/b", "/a/*", "/**/b"].map(|text| Pattern::parse(text).unwrap());
        let numbered: Vec<_> = patterns.iter().enumerate().collect();
        let mut cover = Cover::new(&numbered);
        cover.enter(&Step::Key("a"));
        assert_eq!(cover.rule(), None);
        for (key, rule) in [("b", Some(0)), ("c", Some(1))] {
            cover.enter(&Step::Key(key));
            assert_eq!(cover.rule(), rule);
            cover.leave();
        }
        cover.leave();
        cover.enter(&Step::Key("b"));
        assert_eq!(cover.rule(), Some(2));
    }

    #[test]
    fn a_pointer_that_nobody_can_read_is_cut() {
        let long = "é".repeat(POINTER_LEN_MAX);
        for steps in [vec![Step::Key(&long)], vec![Step::Key("key"); 900]] {
            let pointer = pointer_text(&steps);
            assert!(pointer.ends_with('…') && pointer.len() <= POINTER_LEN_MAX + '…'.len_utf8());
        }
    }

    #[test]
    fn only_whole_steps_that_are_numbers_become_stars() {
        assert_eq!(with_indices_as_stars("/a/0/b1/22"), "/a/*/b1/*");
        assert_eq!(with_indices_as_stars("sse:/7/x"), "sse:/*/x");
        assert_eq!(with_indices_as_stars("status"), "status");
        assert_eq!(with_indices_as_stars("dep:llm:/a/0"), "dep:llm:/a/*");
        assert_eq!(with_indices_as_stars("dep:llm:path:/1"), "dep:llm:path:/1");
        assert_eq!(with_indices_as_stars("dep:llm:query:/id/1"), "dep:llm:query:/id/1");
    }

    /// The obvious way to match, exponential in the number of `**`.
    fn matches_slowly(pattern: &[PatternStep], path: &[Step<'_>]) -> bool {
        match pattern.split_first() {
            None => path.is_empty(),
            Some((PatternStep::AnyNumber, rest)) => (0..=path.len()).any(|eaten| matches_slowly(rest, &path[eaten..])),
            Some((step, rest)) => {
                path.split_first().is_some_and(|(first, below)| step.covers(first) && matches_slowly(rest, below))
            }
        }
    }

    proptest! {
        #[test]
        fn any_path_is_covered_by_its_own_pointer(keys in prop::collection::vec("[a-z0-9~/*é]{0,4}", 0..6)) {
            let path: Vec<_> = keys.iter().map(|key| Step::Key(key)).collect();
            prop_assert!(matches(&pointer_text(&path), &path));
        }

        #[test]
        fn the_fast_way_agrees_with_the_slow_one(pattern in "(/([ab]|\\*|\\*\\*)){0,6}", keys in prop::collection::vec("[ab]", 0..7)) {
            let path: Vec<_> = keys.iter().map(|key| Step::Key(key)).collect();
            let pattern = Pattern::parse(&pattern).unwrap();
            prop_assert_eq!(covers(&pattern, &path), matches_slowly(&pattern.steps, &path));
        }
    }
}
