//! Exit codes, like `diff`'s, and which of two wins.

use std::process::ExitCode;

/// How a command ended, as the shell sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 0: everything compared and passed, or there was nothing to compare and all went well.
    #[default]
    Passed,
    /// 1: something changed, diverged, failed or broke a gate, whatever else was left unjudged.
    Changed,
    /// 2: usage or environment trouble, or damage: what it touches was not judged.
    Trouble,
    /// 3: void, or nothing failed but something is unjudged or short of its sample.
    Inconclusive,
    /// The status of a service that `capture` started, passed on as it was.
    OfService(u8),
}

impl Exit {
    /// The number given to the shell.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::Changed => 1,
            Self::Trouble => 2,
            Self::Inconclusive => 3,
            Self::OfService(status) => status,
        }
    }

    /// The one that counts when both happened: 2 beats 1 beats 3 beats 0.
    pub(crate) fn or_worse(self, other: Self) -> Self {
        if other.weight() > self.weight() { other } else { self }
    }

    /// What the verdicts of a replay or comparison come to.
    pub(crate) fn of(tally: &diff::Tally) -> Self {
        match tally.exit_code() {
            0 => Self::Passed,
            1 => Self::Changed,
            _ => Self::Inconclusive,
        }
    }

    fn weight(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::OfService(_) => 1,
            Self::Inconclusive => 2,
            Self::Changed => 3,
            Self::Trouble => 4,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_beats_a_change_beats_an_open_question_beats_success_in_either_order() {
        let rising = [Exit::Passed, Exit::Inconclusive, Exit::Changed, Exit::Trouble];
        for (place, better) in rising.iter().enumerate() {
            for worse in &rising[place..] {
                assert_eq!(better.or_worse(*worse), *worse);
                assert_eq!(worse.or_worse(*better), *worse);
            }
        }
        assert_eq!(rising.map(Exit::code), [0, 3, 1, 2]);
    }
}
