//! What was probably meant.

/// The candidate that is fewest edits away from `word`, if it is at most a third of the word away.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near_enough = word.chars().count().div_ceil(3).min(3);
    let ranked = candidates.into_iter().map(|candidate| (distance(word, candidate), candidate));
    ranked.filter(|(edits, _)| *edits <= near_enough).min().map(|(_, candidate)| candidate)
}

/// Edits (insert, delete, replace) from one to the other; `_` for `-` is none.
fn distance(one: &str, other: &str) -> usize {
    let letters = |text: &str| text.replace('_', "-").to_lowercase().chars().take(64).collect::<Vec<_>>();
    let (one, other) = (letters(one), letters(other));
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (place, letter) in one.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], place + 1);
        for (column, facing) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != facing);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted_and_a_far_word_is_no_suggestion() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("body_max", "body-max"), 0);
        assert_eq!(nearest("upstraem", ["listen", "upstream"]), Some("upstream"));
        assert_eq!(nearest("listen_addr", ["memory", "pid"]), None);
    }
}
