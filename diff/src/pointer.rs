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

/// The pointer that leads along these steps: empty for the root.
pub(crate) fn pointer_text(steps: &[Step<'_>]) -> String {
    let mut text = String::new();
    for step in steps {
        text.push('/');
        match step {
            Step::Index(index) => text.push_str(&index.to_string()),
            Step::Key(key) => push_escaped(key, &mut text),
        }
    }
    text
}

fn push_escaped(key: &str, text: &mut String) {
    for character in key.chars() {
        match character {
            '~' => text.push_str("~0"),
            '/' => text.push_str("~1"),
            '*' => text.push_str("~2"),
            other => text.push(other),
        }
    }
}

/// The same pointer with every step that is a number as `*`: what differences of one kind have in common.
pub(crate) fn with_indices_as_stars(pointer: &str) -> String {
    let is_number = |step: &str| !step.is_empty() && step.bytes().all(|byte| byte.is_ascii_digit());
    let starred = pointer.split('/').enumerate().map(|(at, step)| if at > 0 && is_number(step) { "*" } else { step });
    starred.collect::<Vec<_>>().join("/")
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
}

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
            steps.push(PatternStep::parse(step).map_err(|(offset, fault)| (at + offset, fault))?);
            at += step.len() + 1;
        }
        Ok(Self { steps })
    }

    /// True when the pattern covers exactly this place (not what lies below it).
    ///
    /// Time is at most the product of both lengths: after a failure only the last `**` is tried longer, which suffices
    /// because any earlier one has already matched as little as it could.
    pub(crate) fn matches(&self, path: &[Step<'_>]) -> bool {
        let (mut pattern_at, mut path_at) = (0, 0);
        let mut retry: Option<(usize, usize)> = None;
        while path_at < path.len() {
            match self.steps.get(pattern_at) {
                Some(PatternStep::AnyNumber) => {
                    retry = Some((pattern_at + 1, path_at));
                    pattern_at += 1;
                }
                Some(step) if step.covers(&path[path_at]) => {
                    pattern_at += 1;
                    path_at += 1;
                }
                _ => {
                    let Some((after_star, eaten)) = retry else { return false };
                    retry = Some((after_star, eaten + 1));
                    (pattern_at, path_at) = (after_star, eaten + 1);
                }
            }
        }
        self.steps[pattern_at..].iter().all(|step| *step == PatternStep::AnyNumber)
    }
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
            (Self::AnyOne | Self::AnyNumber, _) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, path: &[Step<'_>]) -> bool {
        Pattern::parse(pattern).unwrap().matches(path)
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
    }

    #[test]
    fn only_whole_steps_that_are_numbers_become_stars() {
        assert_eq!(with_indices_as_stars("/a/0/b1/22"), "/a/*/b1/*");
        assert_eq!(with_indices_as_stars("sse:/7/x"), "sse:/*/x");
        assert_eq!(with_indices_as_stars("status"), "status");
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
            prop_assert_eq!(pattern.matches(&path), matches_slowly(&pattern.steps, &path));
        }
    }
}
