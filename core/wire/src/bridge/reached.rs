//! How far what was asked of the service's time and chance holds: the table, and the lines that tell of it.
//!
//! The tracer beside init says the lines, which the bridge carries to the host as they are. Every line says how things stand
//! now, so that one that comes twice does no harm. Three kinds, a tab between the words: `held CONTROL off|on|failed`, the
//! last with a reason; `count NAME NUMBER`; `trouble TEXT`.

/// Longest reason or trouble kept, in bytes. A choice: a sentence with a path in it.
const TEXT_LEN_MAX: usize = 400;

/// Different troubles that are kept. A choice: the first ones say what is wrong.
const TROUBLES_MAX: usize = 8;

/// Whether one control holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Held {
    /// It was not asked for.
    #[default]
    Off,
    /// It holds: what the service would see was looked at before it was started.
    On,
    /// It was asked for and does not hold.
    Failed {
        /// Why.
        reason: String,
    },
}

/// What was reached of the settings, and what was done for it so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// The wall clock.
    pub clock: Held,
    /// The kernel's random bytes.
    pub entropy: Held,
    /// Addresses that stay where they are.
    pub aslr_off: Held,
    /// The processor's time stamp counter.
    pub tsc: Held,
    /// The monotonic clocks, frozen until the service is ready.
    pub monotonic: Held,
    /// The library that is loaded before the service's own; off where no program would load it.
    pub preload: Held,
    /// Programs started whose vDSO was redirected.
    pub redirected_count: u64,
    /// Programs started whose vDSO was taken away, for want of room in it.
    pub stripped_count: u64,
    /// Calls that asked for random bytes and got them.
    pub random_count: u64,
    /// Calls that asked for a clock past the vDSO and got it.
    pub clock_count: u64,
    /// Readings of the time stamp counter.
    pub tsc_count: u64,
    /// Calls that could not be served, and failed.
    pub unserved_count: u64,
    /// Processes that were killed because they could not have been served: 32-bit programs, and calls of their kind.
    pub refused_count: u64,
    /// How often the service was started anew.
    pub restart_count: u64,
    /// What else went wrong, in words; the first few of it.
    pub troubles: Vec<String>,
}

impl Reached {
    /// Takes a line as [`Self::lines`] gave it; false when it makes no sense.
    pub fn take(&mut self, line: &str) -> bool {
        self.parse(line).is_some()
    }

    /// All of it as lines, without their ends.
    pub fn lines(&self) -> Vec<String> {
        let mut copy = self.clone();
        let mut lines = Vec::new();
        for (name, held) in copy.controls() {
            lines.push(match held {
                Held::Off => format!("held\t{name}\toff"),
                Held::On => format!("held\t{name}\ton"),
                Held::Failed { reason } => format!("held\t{name}\tfailed\t{}", plain(reason)),
            });
        }
        lines.extend(copy.counts().map(|(name, count)| format!("count\t{name}\t{count}")));
        lines.extend(self.troubles.iter().map(|trouble| format!("trouble\t{}", plain(trouble))));
        lines
    }

    /// Notes something that went wrong.
    pub fn add_trouble(&mut self, trouble: String) {
        if self.troubles.len() < TROUBLES_MAX && !self.troubles.contains(&trouble) {
            self.troubles.push(trouble);
        }
    }

    /// Each control with its name in lines and receipts.
    pub fn controls(&mut self) -> [(&'static str, &mut Held); 6] {
        [
            ("clock", &mut self.clock),
            ("entropy", &mut self.entropy),
            ("aslr_off", &mut self.aslr_off),
            ("tsc", &mut self.tsc),
            ("monotonic", &mut self.monotonic),
            ("preload", &mut self.preload),
        ]
    }

    fn counts(&mut self) -> [(&'static str, &mut u64); 8] {
        [
            ("redirected", &mut self.redirected_count),
            ("stripped", &mut self.stripped_count),
            ("random", &mut self.random_count),
            ("clock", &mut self.clock_count),
            ("tsc", &mut self.tsc_count),
            ("unserved", &mut self.unserved_count),
            ("refused", &mut self.refused_count),
            ("restart", &mut self.restart_count),
        ]
    }

    fn parse(&mut self, line: &str) -> Option<()> {
        let words: Vec<_> = line.splitn(4, '\t').collect();
        match words[..] {
            ["held", name, word] => *self.held(name)? = Held::without_reason(word)?,
            ["held", name, "failed", reason] => *self.held(name)? = Held::Failed { reason: checked(reason)? },
            ["count", name, count] => {
                let count = count.parse().ok()?;
                *self.counts().into_iter().find(|(known, _)| *known == name)?.1 = count;
            }
            ["trouble", text] => self.add_trouble(checked(text)?),
            _ => return None,
        }
        Some(())
    }

    fn held(&mut self, name: &str) -> Option<&mut Held> {
        self.controls().into_iter().find_map(|(known, held)| (known == name).then_some(held))
    }
}

impl Held {
    fn without_reason(word: &str) -> Option<Self> {
        match word {
            "off" => Some(Self::Off),
            "on" => Some(Self::On),
            _ => None,
        }
    }
}

/// As one line, and not too long.
pub(super) fn plain(text: &str) -> String {
    let mut plain = text.replace(char::is_control, " ");
    plain.truncate(plain.floor_char_boundary(TEXT_LEN_MAX));
    plain
}

/// A text as [`plain`] makes it.
pub(super) fn checked(text: &str) -> Option<String> {
    (text.len() <= TEXT_LEN_MAX && !text.contains(char::is_control)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_line_by_line_is_the_same_on_the_other_side() {
        let mut near = Reached { clock: Held::On, random_count: 7, restart_count: u64::MAX, ..Reached::default() };
        near.entropy = Held::Failed { reason: "ptrace is refused".to_owned() };
        near.add_trouble("a 32-bit program: /usr/bin/x".to_owned());
        let mut far = Reached { tsc: Held::On, ..Reached::default() };
        near.lines().iter().for_each(|line| assert!(far.take(line), "{line}"));
        assert_eq!(far, near);
        near.tsc = Held::Failed { reason: "two\nlines".repeat(100) };
        near.lines().iter().for_each(|line| assert!(far.take(line), "{line}"));
        assert!(matches!(&far.tsc, Held::Failed { reason } if reason.len() == TEXT_LEN_MAX && !reason.contains('\n')));
    }

    #[test]
    fn lines_that_make_no_sense_are_refused() {
        let long = format!("trouble\t{}", "x".repeat(TEXT_LEN_MAX + 1));
        for line in [
            "",
            "held\tclock",
            "held\tclock\tfailed",
            "held\tclock\tmaybe",
            "held\tweather\ton",
            "count\trandom\t-1",
            "count\tstars\t1",
            "trouble\ta\u{1b}[2J",
            "trouble\ta\tb",
            &long,
        ] {
            assert!(!Reached::default().take(line), "{line:?}");
        }
    }
}
