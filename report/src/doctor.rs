//! What `retake doctor` found: a line for each thing that recording and replaying need, and how to get what is missing.

use serde::Serialize;

use crate::{Style, escape_line, json};

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What: two or three words.
    pub name: String,
    /// How it stands.
    pub state: CheckState,
    /// What was found.
    pub found: String,
    /// What it is for, or what does not work without it; nothing where it is as it should be.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub needed_for: String,
    /// How to get it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub help: String,
}

/// How a thing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckState {
    /// As it should be.
    Fine,
    /// Something works less well, or not at all, without it; the main job goes on.
    Limited,
    /// The main job, replaying a recorded container, cannot be done.
    Missing,
}

impl Check {
    /// As it should be.
    pub fn fine(name: &str, found: impl Into<String>) -> Self {
        Self::of(name, CheckState::Fine, found, "", "")
    }

    /// Less than there could be.
    pub fn limited(name: &str, found: impl Into<String>, needed_for: &str, help: impl Into<String>) -> Self {
        Self::of(name, CheckState::Limited, found, needed_for, help)
    }

    /// Not there.
    pub fn missing(name: &str, found: impl Into<String>, needed_for: &str, help: impl Into<String>) -> Self {
        Self::of(name, CheckState::Missing, found, needed_for, help)
    }

    fn of(name: &str, state: CheckState, found: impl Into<String>, needed_for: &str, help: impl Into<String>) -> Self {
        Self { name: name.to_owned(), state, found: found.into(), needed_for: needed_for.to_owned(), help: help.into() }
    }
}

/// The worst of them; `Fine` where there is none.
pub fn worst_check(checks: &[Check]) -> CheckState {
    checks.iter().map(|check| check.state).max().unwrap_or(CheckState::Fine)
}

/// The checks for a person; what they come to is the last line.
pub fn doctor_page(checks: &[Check], style: Style) -> String {
    let width = checks.iter().map(|check| check.name.chars().count()).max().unwrap_or_default();
    let lines = checks.iter().map(|check| lines_of(check, width, style));
    lines.collect::<String>() + "\n" + &conclusion(checks, style)
}

fn lines_of(check: &Check, width: usize, style: Style) -> String {
    // Padded before it is coloured: what a terminal does not show takes no room.
    let word = match check.state {
        CheckState::Fine => style.green("ok     "),
        CheckState::Limited => style.yellow("limited"),
        CheckState::Missing => style.red("missing"),
    };
    let mut text = format!("{word}  {:width$}  {}\n", check.name, escape_line(&check.found));
    let indent = " ".repeat(width + "limited".len() + 4);
    if !check.needed_for.is_empty() {
        text += &format!("{indent}{}\n", style.dim(&escape_line(&check.needed_for)));
    }
    if !check.help.is_empty() {
        text += &format!("{indent}{} {}\n", style.green("help:"), escape_line(&check.help));
    }
    text
}

fn conclusion(checks: &[Check], style: Style) -> String {
    let of_state = |state| checks.iter().filter(|check| check.state == state).collect::<Vec<_>>();
    let (missing, limited) = (of_state(CheckState::Missing), of_state(CheckState::Limited));
    match (missing.len(), limited.len()) {
        (0, 0) => format!("{}\n", style.green("everything that recording and replaying need is here")),
        (0, count) => format!(
            "{} {count} {} less than it could: see above\n",
            style.green("recording and replaying work;"),
            if count == 1 { "thing offers" } else { "things offer" }
        ),
        (_, _) => {
            let names: Vec<&str> = missing.iter().map(|check| check.name.as_str()).collect();
            format!("{} {}\n", style.red("recorded containers cannot be replayed here yet; missing:"), names.join(", "))
        }
    }
}

/// The checks as a document of schema `retake.doctor`.
pub fn doctor_json(checks: &[Check]) -> String {
    json::document("doctor", &serde_json::json!({ "state": worst_check(checks), "checks": checks }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_has_a_line_and_what_is_missing_says_what_for_and_how_to_get_it() {
        let checks = [
            Check::fine("kernel", "Linux 6.1"),
            Check::limited("IPv6", "no ::1", "services that listen on `::1`", "load the module `ipv6`"),
            Check::missing("container engine", "nobody answers", "replaying a recorded container", "start Docker"),
        ];
        insta::assert_snapshot!(doctor_page(&checks, Style::PLAIN), @r"
        ok       kernel            Linux 6.1
        limited  IPv6              no ::1
                                   services that listen on `::1`
                                   help: load the module `ipv6`
        missing  container engine  nobody answers
                                   replaying a recorded container
                                   help: start Docker

        recorded containers cannot be replayed here yet; missing: container engine
        ");
        assert!(doctor_page(&checks[..2], Style::PLAIN).ends_with("1 thing offers less than it could: see above\n"));
        let read: serde_json::Value = serde_json::from_str(&doctor_json(&checks)).unwrap();
        assert_eq!((&read["state"], &read["checks"][0]["state"]), (&"missing".into(), &"fine".into()));
    }
}
