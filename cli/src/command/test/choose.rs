//! Which of the cases are run.

use super::case::Planned;
use crate::{settings::nearest, trouble::Trouble};

/// Those that one of the patterns names, or all where there is none.
///
/// # Errors
/// When a pattern names nothing: a test that is meant to run must not be left out by a slip.
pub(super) fn only(planned: Vec<Planned>, patterns: &[String]) -> Result<Vec<Planned>, Trouble> {
    for pattern in patterns {
        if !planned.iter().any(|planned| names(pattern, planned)) {
            let trouble = Trouble::new(format!("`--only {pattern}` names no case"));
            return Err(match nearest(pattern, planned.iter().map(|planned| planned.name.as_str())) {
                Some(near) => trouble.help(format!("did you mean `{near}`?")),
                None => trouble.help("`--list` shows their names; a `*` in a pattern stands for anything"),
            });
        }
    }
    let is_chosen = |planned: &Planned| patterns.is_empty() || patterns.iter().any(|pattern| names(pattern, planned));
    Ok(planned.into_iter().filter(is_chosen).collect())
}

/// By name, by a folder of the name, by ticket, by `tag:WORD`, or by a pattern for the name.
fn names(pattern: &str, planned: &Planned) -> bool {
    let name = planned.name.as_str();
    let about = planned.case.as_ref().ok().map(|case| &case.about);
    if let Some(tag) = pattern.strip_prefix("tag:") {
        return about.is_some_and(|about| about.tags.iter().any(|other| other == tag));
    }
    let in_folder = || name.strip_prefix(pattern.trim_end_matches('/')).is_some_and(|rest| rest.starts_with('/'));
    let is_ticket = || !pattern.is_empty() && about.is_some_and(|about| is_ticket(pattern, &about.ticket));
    fits(pattern, name) || in_folder() || is_ticket()
}

/// The ticket as it was written, or where that is an address, what its path ends with: `BUG-1234`.
fn is_ticket(pattern: &str, ticket: &str) -> bool {
    let last = ticket.contains("://").then(|| ticket.trim_end_matches('/').rsplit('/').next()).flatten();
    ticket == pattern || last == Some(pattern)
}

/// True where `*` can stand for something, `/` too, so that the pattern is the text.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = text.find(part) else { return false };
        text = &text[at + part.len()..];
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_named_as_written_or_by_the_end_of_its_address() {
        let address = "https://tickets.example/browse/BUG-1234";
        assert!(is_ticket("BUG-1234", "BUG-1234") && is_ticket("BUG-1234", address) && is_ticket(address, address));
        assert!(!is_ticket("BUG-123", address) && !is_ticket("BUG-1234", "see/BUG-1234"));
    }

    #[test]
    fn a_star_stands_for_anything_and_nothing_else_is_special() {
        for (pattern, text) in
            [("a", "a"), ("*", ""), ("a*", "a/b"), ("*b", "a/b"), ("a*c*e", "abcde"), ("**", "x"), ("a*a", "aa")]
        {
            assert!(fits(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("a", "ab"), ("a*a", "a"), ("a*c*e", "abde"), ("[a]", "a"), ("a?", "ab")] {
            assert!(!fits(pattern, text), "{pattern} {text}");
        }
    }
}
