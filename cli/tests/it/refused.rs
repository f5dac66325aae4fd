//! What a newcomer meets when something is missing or wrong: each failure provoked for real, its exit code, and its words as
//! they are read. One module for each subject.

mod beside;
mod capture;
mod given;
mod mounts;
mod readiness;
mod started;

use std::path::Path;

use crate::{Ran, retake};

/// What it says, result and complaint together, with what differs from run to run as words.
fn words(ran: &Ran, names: &[(&str, &str)]) -> String {
    let said = format!("{}{}", ran.out, ran.err);
    let said = names.iter().filter(|(from, _)| !from.is_empty()).fold(said, |text, (from, to)| text.replace(from, to));
    format!("exit code {}\n{}", ran.code, said.trim_end())
}

/// The lines that a person needs: why, what the service wrote, and what to do next.
pub(crate) fn refusal(ran: &Ran, names: &[(&str, &str)]) -> String {
    let said = words(ran, names);
    let is_needed = |line: &&str| {
        ["exit code", "VOID", "  wrote |", "next", "error:", "  because:", "help:"]
            .iter()
            .any(|it| line.starts_with(it))
    };
    said.lines().filter(is_needed).collect::<Vec<_>>().join("\n")
}

/// Runs `retake` and gives its refusal.
fn refused(folder: &Path, arguments: &[&str], names: &[(&str, &str)]) -> String {
    refusal(&retake(folder, arguments), names)
}
