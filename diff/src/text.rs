//! Where two texts part, and how far: the first difference, words gone and new, groups of lines.
//!
//! In: two texts that differ, or two byte strings. Out: a [`TextChange`]. Which words and lines are equal is `similar`'s
//! work (Myers' algorithm), given only as much as it can do quickly.

use std::{hash::Hash, ops::Range};

use similar::{Algorithm, DiffOp, capture_diff_slices};

use crate::{Hunk, SHOWN_CHARS_MAX, TextChange, findings::Findings};

/// Words or lines of both texts together that are compared one by one. Myers' algorithm takes at most the square of it:
/// 16 million steps. A choice.
const PIECES_LEN_MAX: usize = 4_000;

/// Longest text that is compared by words, in bytes. A choice that bounds the memory for its words to 16 MB.
const WORDS_BYTES_MAX: usize = 1 << 20;

/// How long a word is for which memory is set aside, in bytes, and for how many of them at most. Choices: most are longer.
const WORD_LEN: usize = 4;
const WORDS_AT_FIRST_MAX: usize = 1_024;

/// Bytes that are compared in one step.
const STEP: usize = 8;

/// Characters shown before the first difference. A choice.
const EXCERPT_CHARS_BEFORE: usize = 30;

/// Characters shown from the first difference on. A choice.
const EXCERPT_CHARS_AFTER: usize = 70;

/// Most lines listed of one group, of either side. A choice.
const HUNK_LINES_MAX: usize = 20;

/// How two different texts differ.
pub(crate) fn change(recorded: &str, replayed: &str, findings: &mut Findings) -> TextChange {
    let first_difference = common_start(recorded, replayed);
    let words = changed_words((recorded, replayed), first_difference, findings);
    let mut change = TextChange {
        first_word: Some(recorded[..first_difference].matches(char::is_whitespace).count() as u64),
        first_difference: first_difference as u64,
        recorded_excerpt: excerpt(recorded, first_difference),
        replayed_excerpt: excerpt(replayed, first_difference),
        words_removed: words.map(|(removed, _)| removed),
        words_added: words.map(|(_, added)| added),
        ..TextChange::default()
    };
    if recorded.contains('\n') || replayed.contains('\n') {
        add_hunks(&mut change, (recorded, replayed), first_difference, findings);
    } else if words.is_none() {
        findings.note_coarse();
    }
    change
}

/// What each of two texts has of its own: ranges of bytes, in order, by words and signs. White space and signs between two
/// words of its own count with them. Beyond what can be compared quickly, all from the first difference on.
pub fn own_words(one: &str, other: &str) -> [Vec<Range<usize>>; 2] {
    let (words, others) = (tokens(one), tokens(other));
    let Some(groups) = changed_pieces(&words, &others, &mut Findings::new()) else {
        let begin = common_start(one, other);
        return [one, other].map(|text| Vec::from_iter((begin < text.len()).then_some(begin..text.len())));
    };
    let of_one = groups.iter().map(|group| (group.recorded_at, group.recorded_len));
    let of_other = groups.iter().map(|group| (group.replayed_at, group.replayed_len));
    [ranges(one, &words, of_one), ranges(other, &others, of_other)]
}

/// A text in words and single signs.
fn tokens(text: &str) -> Vec<&str> {
    let is_of_word = |it: char| it.is_alphanumeric() || it == '_';
    let (mut tokens, mut rest) = (Vec::new(), text);
    while let Some(first) = rest.chars().next() {
        let len = if is_of_word(first) { rest.find(|it| !is_of_word(it)) } else { Some(first.len_utf8()) };
        let (token, behind) = rest.split_at(len.unwrap_or(rest.len()));
        tokens.push(token);
        rest = behind;
    }
    tokens
}

/// Where groups of a text's tokens lie, those without a word between them as one.
fn ranges(text: &str, tokens: &[&str], groups: impl Iterator<Item = (usize, usize)>) -> Vec<Range<usize>> {
    let ends = |tokens: &[&str]| tokens.iter().map(|token| token.len()).sum::<usize>();
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for (at, len) in groups.filter(|(_, len)| *len > 0) {
        let begin = ends(&tokens[..at]);
        let end = begin + ends(&tokens[at..at + len]);
        match ranges.last_mut() {
            Some(last) if !text[last.end..begin].contains(char::is_alphanumeric) => last.end = end,
            _ => ranges.push(begin..end),
        }
    }
    ranges
}

/// How two different byte strings differ.
pub(crate) fn change_of_bytes(recorded: &[u8], replayed: &[u8]) -> TextChange {
    let at = recorded.iter().zip(replayed).take_while(|(one, other)| one == other).count();
    let excerpt = |bytes: &[u8]| match bytes.get(at) {
        Some(byte) => format!("0x{byte:02x} at byte {at}"),
        None => format!("ends after {at} bytes"),
    };
    TextChange {
        first_difference: at as u64,
        recorded_excerpt: excerpt(recorded),
        replayed_excerpt: excerpt(replayed),
        ..TextChange::default()
    }
}

/// Length of the common beginning, in bytes, up to the end of a character.
fn common_start(one: &str, other: &str) -> usize {
    let len = common_len(one.as_bytes(), other.as_bytes());
    (0..=len).rev().find(|&at| one.is_char_boundary(at) && other.is_char_boundary(at)).unwrap_or(0)
}

/// How many bytes both have in common at their beginnings.
fn common_len(one: &[u8], other: &[u8]) -> usize {
    let (steps, other_steps) = (one.chunks_exact(STEP), other.chunks_exact(STEP));
    let len = STEP * steps.zip(other_steps).take_while(|(one, other)| one == other).count();
    len + one[len..].iter().zip(&other[len..]).take_while(|(one, other)| one == other).count()
}

/// The same at their ends.
fn common_end_len(one: &[u8], other: &[u8]) -> usize {
    let (steps, other_steps) = (one.rchunks_exact(STEP), other.rchunks_exact(STEP));
    let len = STEP * steps.zip(other_steps).take_while(|(one, other)| one == other).count();
    let (rest, other_rest) = (one[..one.len() - len].iter().rev(), other[..other.len() - len].iter().rev());
    len + rest.zip(other_rest).take_while(|(one, other)| one == other).count()
}

/// The surroundings of a place, `…` where something was left out.
fn excerpt(text: &str, at: usize) -> String {
    let (before, after) = text.split_at(at);
    let begin = match before.as_bytes().last_chunk::<EXCERPT_CHARS_BEFORE>() {
        Some(last) if last.is_ascii() => before.len() - EXCERPT_CHARS_BEFORE,
        _ => before.char_indices().rev().nth(EXCERPT_CHARS_BEFORE - 1).map_or(0, |(begin, _)| begin),
    };
    let end = match after.as_bytes().first_chunk::<EXCERPT_CHARS_AFTER>() {
        None => after.len(),
        Some(first) if first.is_ascii() => EXCERPT_CHARS_AFTER,
        _ => after.char_indices().nth(EXCERPT_CHARS_AFTER).map_or(after.len(), |(end, _)| end),
    };
    let mark = |is_cut: bool| if is_cut { "…" } else { "" };
    [mark(begin > 0), &before[begin..], &after[..end], mark(end < after.len())].concat()
}

/// How many words are gone, and how many are new; `None` when there are too many to tell. Both texts begin with the same
/// `common` bytes.
fn changed_words(texts: (&str, &str), common: usize, findings: &mut Findings) -> Option<(u64, u64)> {
    let (recorded, replayed) = texts;
    if recorded.len().max(replayed.len()) > WORDS_BYTES_MAX {
        return None;
    }
    // Words that end before the first difference are the same, and so are those that begin behind the last.
    let begin = recorded[..common].trim_end_matches(|it: char| !it.is_whitespace()).len();
    let (recorded, replayed) = without_common_words(&recorded[begin..], &replayed[begin..]);
    let groups = changed_pieces(&words(recorded), &words(replayed), findings)?;
    let total = |len: fn(&Group) -> usize| groups.iter().map(len).sum::<usize>() as u64;
    Some((total(|group| group.recorded_len), total(|group| group.replayed_len)))
}

/// Both without words that they have in common at their ends, which are whole words in both.
fn without_common_words<'t>(one: &'t str, other: &'t str) -> (&'t str, &'t str) {
    let common = common_end_len(one.as_bytes(), other.as_bytes());
    // Behind the first white space that both have there, if it is a byte.
    let is_space = |byte: &u8| byte.is_ascii_whitespace();
    let len = one.as_bytes()[one.len() - common..].iter().position(is_space).map_or(0, |at| common - at - 1);
    (&one[..one.len() - len], &other[..other.len() - len])
}

/// Words, each with the white space that ends it.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::with_capacity((text.len() / WORD_LEN + 1).min(WORDS_AT_FIRST_MAX));
    words.extend(text.split_inclusive(char::is_whitespace));
    words
}

/// Pieces that stand where other pieces stood.
struct Group {
    recorded_at: usize,
    recorded_len: usize,
    replayed_at: usize,
    replayed_len: usize,
}

impl Group {
    fn mirrored(self) -> Self {
        Self {
            recorded_at: self.replayed_at,
            recorded_len: self.replayed_len,
            replayed_at: self.recorded_at,
            replayed_len: self.recorded_len,
        }
    }
}

/// The groups that differ, or `None` when there are too many pieces to tell. Swapping sides swaps the groups.
fn changed_pieces<T: Hash + Ord>(recorded: &[T], replayed: &[T], findings: &mut Findings) -> Option<Vec<Group>> {
    if recorded > replayed {
        let mirrored = changed_pieces(replayed, recorded, findings)?;
        return Some(mirrored.into_iter().map(Group::mirrored).collect());
    }
    let begin = recorded.iter().zip(replayed).take_while(|(one, other)| one == other).count();
    let (recorded, replayed) = (&recorded[begin..], &replayed[begin..]);
    let end = recorded.iter().rev().zip(replayed.iter().rev()).take_while(|(one, other)| one == other).count();
    let (recorded, replayed) = (&recorded[..recorded.len() - end], &replayed[..replayed.len() - end]);
    let pieces = recorded.len() + replayed.len();
    let one_side_only = recorded.is_empty() || replayed.is_empty();
    if !one_side_only && (pieces > PIECES_LEN_MAX || !findings.spend((pieces * pieces) as u64)) {
        return None;
    }
    if recorded.len() == 1 && replayed.len() == 1 {
        return Some(vec![Group { recorded_at: begin, recorded_len: 1, replayed_at: begin, replayed_len: 1 }]);
    }
    let group = |op: &DiffOp| {
        let (recorded, replayed) = (op.old_range(), op.new_range());
        Group {
            recorded_at: begin + recorded.start,
            recorded_len: recorded.len(),
            replayed_at: begin + replayed.start,
            replayed_len: replayed.len(),
        }
    };
    let ops = capture_diff_slices(Algorithm::Myers, recorded, replayed);
    Some(ops.iter().filter(|op| !matches!(op, DiffOp::Equal { .. })).map(group).collect())
}

/// Lists the lines that differ of texts that begin with the same `common` bytes. Only lines that may differ are held.
fn add_hunks(change: &mut TextChange, texts: (&str, &str), common: usize, findings: &mut Findings) {
    let begin = texts.0[..common].rfind('\n').map_or(0, |at| at + 1);
    let first_line = line_count(&texts.0[..begin]);
    let (recorded, replayed) = without_common_end(&texts.0[begin..], &texts.1[begin..]);
    let (recorded_len, replayed_len) = (line_count(recorded), line_count(replayed));
    let one_side_only = recorded.is_empty() || replayed.is_empty();
    if !one_side_only && recorded_len + replayed_len > PIECES_LEN_MAX {
        return findings.note_coarse();
    }
    let held = if one_side_only { HUNK_LINES_MAX } else { PIECES_LEN_MAX };
    let lines = |text| -> Vec<&str> { lines(text).take(held).collect() };
    let (recorded, replayed) = (lines(recorded), lines(replayed));
    let groups = if one_side_only {
        Some(vec![Group { recorded_at: 0, recorded_len, replayed_at: 0, replayed_len }])
    } else {
        changed_pieces(&recorded, &replayed, findings)
    };
    let Some(groups) = groups else { return findings.note_coarse() };
    change.hunks_more = groups.len().saturating_sub(TextChange::HUNKS_LEN_MAX) as u64;
    let listed = groups.iter().take(TextChange::HUNKS_LEN_MAX);
    change.hunks = listed.map(|group| hunk(group, first_line, &recorded, &replayed)).collect();
}

/// Lines with their ends, which count.
fn lines(text: &str) -> impl DoubleEndedIterator<Item = &str> {
    text.split_inclusive('\n')
}

fn line_count(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count() + usize::from(!text.is_empty() && !text.ends_with('\n'))
}

/// Both without the lines that they have in common at their ends.
fn without_common_end<'t>(one: &'t str, other: &'t str) -> (&'t str, &'t str) {
    let common = lines(one).rev().zip(lines(other).rev()).take_while(|(one, other)| one == other);
    let len: usize = common.map(|(line, _)| line.len()).sum();
    (&one[..one.len() - len], &other[..other.len() - len])
}

fn hunk(group: &Group, first_line: usize, recorded: &[&str], replayed: &[&str]) -> Hunk {
    let shown = |lines: &[&str], len: usize| -> Vec<String> {
        lines.iter().take(len.min(HUNK_LINES_MAX)).map(|line| shown_line(line)).collect()
    };
    let more = |len: usize| len.saturating_sub(HUNK_LINES_MAX) as u64;
    Hunk {
        recorded_line: (first_line + group.recorded_at) as u64 + 1,
        replayed_line: (first_line + group.replayed_at) as u64 + 1,
        removed: shown(&recorded[group.recorded_at..], group.recorded_len),
        added: shown(&replayed[group.replayed_at..], group.replayed_len),
        lines_more: more(group.recorded_len) + more(group.replayed_len),
    }
}

fn shown_line(line: &str) -> String {
    let line = line.strip_suffix('\n').unwrap_or(line);
    let mut characters = line.chars();
    let shown: String = characters.by_ref().take(SHOWN_CHARS_MAX - 1).collect();
    if characters.next().is_some() { shown + "…" } else { shown }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_text_has_of_its_own_is_found_by_words_and_signs() {
        let own = |one: &str, other: &str| {
            let [of_one, of_other] = own_words(one, other);
            let texts =
                |text: &str, ranges: Vec<Range<usize>>| ranges.into_iter().map(|it| text[it].to_owned()).collect();
            (texts(one, of_one), texts(other, of_other))
        };
        let texts = |one: &[&str], other: &[&str]| -> (Vec<String>, Vec<String>) {
            (one.iter().map(ToString::to_string).collect(), other.iter().map(ToString::to_string).collect())
        };
        assert_eq!(own("a cat sat.", "a dog sat!"), texts(&["cat", "."], &["dog", "!"]));
        assert_eq!(own("é one two three", "é un deux three"), texts(&["one two"], &["un deux"]));
        assert_eq!(own("here", "here, and there"), texts(&[], &[", and there"]));
        assert_eq!(own("", "all"), texts(&[], &["all"]));
        let (long, longer) = ("a ".repeat(3_000), format!("{}b{}", "a ".repeat(1_000), "a c ".repeat(2_000)));
        assert_eq!(
            own_words(&long, &longer).map(|it| it.last().cloned()),
            [Some(2_000..6_000), Some(2_000..longer.len())]
        );
    }

    fn between(recorded: &str, replayed: &str) -> TextChange {
        change(recorded, replayed, &mut Findings::new())
    }

    #[test]
    fn the_first_difference_is_shown_with_its_surroundings_and_words_are_counted() {
        let recorded = format!("{}the invoice is wrong and must be paid{}", "so ".repeat(30), " now".repeat(30));
        let change = between(&recorded, &recorded.replace("wrong", "right"));
        assert_eq!(change.first_difference, 105);
        insta::assert_snapshot!(change.recorded_excerpt, @"…so so so so so the invoice is wrong and must be paid now now now now now now now now now now now now…");
        assert_eq!((change.words_removed, change.words_added), (Some(1), Some(1)));
        assert!(change.hunks.is_empty());
    }

    #[test]
    fn texts_of_several_lines_list_the_groups_of_lines_that_differ() {
        let change = between("a\nb\nc\nd\n", "a\nB\nc\nd\ne");
        let first = Hunk {
            recorded_line: 2,
            replayed_line: 2,
            removed: vec!["b".into()],
            added: vec!["B".into()],
            lines_more: 0,
        };
        let last = Hunk { recorded_line: 5, replayed_line: 5, removed: vec![], added: vec!["e".into()], lines_more: 0 };
        assert_eq!(change.hunks, [first, last]);
    }

    #[test]
    fn one_piece_that_stands_where_another_stood_is_one_group() {
        let ops = capture_diff_slices(Algorithm::Myers, &["a"], &["b"]);
        let [op] = &ops[..] else { panic!("{ops:?}") };
        assert_eq!((op.old_range(), op.new_range()), (0..1, 0..1));
    }

    #[test]
    fn a_difference_inside_a_character_is_reported_at_its_start() {
        assert_eq!(between("aé", "aè").first_difference, 1);
    }

    #[test]
    fn of_bytes_the_first_that_differs_is_told() {
        let change = change_of_bytes(&[1, 2, 3], &[1, 2]);
        assert_eq!(
            (change.first_difference, &*change.recorded_excerpt, &*change.replayed_excerpt),
            (2, "0x03 at byte 2", "ends after 2 bytes")
        );
    }

    #[test]
    fn very_long_texts_that_have_nothing_in_common_are_not_compared_by_words_which_is_said() {
        let compared = |one: &str, other: &str| {
            let mut findings = Findings::new();
            let change = change(one, other, &mut findings);
            let is_coarse = findings.into_comparison(&crate::Rules::strict(), crate::ComparedAs::Text).coarse;
            (change.first_difference, change.words_removed, change.hunks.len(), is_coarse)
        };
        let many = |word: &str| format!("{word} ").repeat(150_000);
        assert_eq!(compared(&many("one"), &many("two")), (0, None, 0, true));
        assert_eq!(compared(&many(&"one".repeat(9)), &many(&"two".repeat(9))), (0, None, 0, true), "too many bytes");
        // Lines are told where there are few of them.
        assert_eq!(compared(&(many("one") + "\n"), &(many("two") + "\n")), (0, None, 1, false));
        assert_eq!(compared(&many("one"), &(many("one") + "two")), (600_000, Some(0), 0, false));
    }

    /// How many words differ, all of them looked at.
    fn changed_words_of_all(one: &str, other: &str) -> Option<(u64, u64)> {
        let groups = changed_pieces(&words(one), &words(other), &mut Findings::new())?;
        let total = |len: fn(&Group) -> usize| groups.iter().map(len).sum::<usize>() as u64;
        Some((total(|group| group.recorded_len), total(|group| group.replayed_len)))
    }

    /// The groups of lines that differ, all lines looked at.
    fn hunks_of_all(one: &str, other: &str) -> Vec<Hunk> {
        let (one, other): (Vec<_>, Vec<_>) = (lines(one).collect(), lines(other).collect());
        let groups = changed_pieces(&one, &other, &mut Findings::new()).unwrap();
        groups.iter().map(|group| hunk(group, 0, &one, &other)).collect()
    }

    #[test]
    fn of_very_many_lines_on_one_side_the_first_are_listed_and_the_others_counted() {
        let change = between("a\nz", &format!("a\n{}z", "b\n".repeat(1_000_000)));
        let [hunk] = &change.hunks[..] else { panic!("{:?}", change.hunks) };
        assert_eq!((hunk.added.len(), hunk.lines_more, hunk.replayed_line), (20, 999_980, 2));
    }

    proptest! {
        #[test]
        fn lines_that_both_begin_and_end_with_need_not_be_looked_at(
            begin in "[ab\n]{0,9}", one in "[ab\n]{0,9}", other in "[ab\n]{0,9}", end in "[ab\n]{0,9}",
        ) {
            let (one, other) = (format!("{begin}{one}{end}"), format!("{begin}{other}{end}"));
            prop_assume!(one != other && (one.contains('\n') || other.contains('\n')));
            prop_assert_eq!(between(&one, &other).hunks, hunks_of_all(&one, &other));
        }

        #[test]
        fn words_that_both_begin_and_end_with_need_not_be_looked_at(
            begin in "[ab é\n]{0,20}", one in "[ab é\n\u{2003}]{0,20}", other in "[ab é\n\u{2003}]{0,20}", end in "[ab é\n\u{2003}]{0,20}",
        ) {
            prop_assume!(one != other);
            let (one, other) = (format!("{begin}{one}{end}"), format!("{begin}{other}{end}"));
            let change = between(&one, &other);
            prop_assert_eq!(change.words_removed.zip(change.words_added), changed_words_of_all(&one, &other));
        }

        #[test]
        fn swapping_sides_swaps_the_change(one in "[ab \n]{0,40}", other in "[ab \n]{0,40}") {
            prop_assume!(one != other);
            let text = Some(between(&other, &one));
            let mirrored = crate::Change { text, ..crate::Change::at("", crate::ChangeKind::Changed) }.mirrored();
            prop_assert_eq!(Some(between(&one, &other)), mirrored.text);
        }
    }
}
