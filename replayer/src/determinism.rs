//! How deterministic a replay is made: levels, the controls that each of them adds, and what is said of them.
//!
//! In: what was asked for, and what came of each control. Out: the level that holds, and why not the one that was asked for.
//! A level is a claim, and every control that it takes has to be on for it; each can be switched off by itself.

mod gates;
mod inside;
mod place;
mod urandom;
mod variables;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use self::inside::Ended;
use crate::order::Order;

pub use self::gates::GateCounts;
pub(crate) use self::{
    gates::{Gates, not_gated, without_gates},
    inside::{SHIM, recorded_time, say_reached, say_reached_at_end, shim_words, wall_clock},
    place::{keep_place, set_place},
    urandom::{DEVICES, SeededDevice},
    variables::{Processors, left_random, set_variables},
};

/// The highest level that can be had.
pub const LEVEL_MAX: u8 = 3;

/// Something that is held still in a replay, so that two of them are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Control {
    /// Level 1: variables that languages and libraries take their own randomness from.
    Variables,
    /// Level 1: how many threads numeric libraries start.
    Threads,
    /// Level 1: what the container is called.
    HostName,
    /// Level 1: the processors that the container has.
    CpuSet,
    /// Level 2: answers of dependencies end in the recorded order, within each exchange.
    Answers,
    /// Level 2: what `/dev/urandom` and `/dev/random` give.
    Urandom,
    /// Level 3: the wall clock.
    Clock,
    /// Level 3: what `getrandom` gives, and the bytes that each program is started with.
    Entropy,
    /// Level 3: where a program's memory lies.
    Addresses,
    /// Level 3: what C++'s `std::random_device` gives, which asks the processor.
    RandomDevice,
    /// Of no level: the clocks that only go on, which stand still until the service is ready.
    Monotonic,
    /// Of no level: the processor's time stamp counter.
    Tsc,
}

impl Control {
    /// All of them, lower levels first.
    pub const ALL: [Self; 12] = [
        Self::Variables,
        Self::Threads,
        Self::HostName,
        Self::CpuSet,
        Self::Answers,
        Self::Urandom,
        Self::Clock,
        Self::Entropy,
        Self::Addresses,
        Self::RandomDevice,
        Self::Monotonic,
        Self::Tsc,
    ];

    /// The level that it is part of; one above all levels for what is part of none.
    pub fn level(self) -> u8 {
        match self {
            Self::Variables | Self::Threads | Self::HostName | Self::CpuSet => 1,
            Self::Answers | Self::Urandom => 2,
            Self::Clock | Self::Entropy | Self::Addresses | Self::RandomDevice => 3,
            Self::Monotonic | Self::Tsc => LEVEL_MAX + 1,
        }
    }

    /// What it holds still, in a few words.
    pub fn what(self) -> &'static str {
        match self {
            Self::Variables => "Variables that languages take their randomness from",
            Self::Threads => "How many threads numeric libraries start",
            Self::HostName => "What the container is called",
            Self::CpuSet => "The processors that the container has",
            Self::Answers => "The recorded order of dependencies' answers",
            Self::Urandom => "What /dev/urandom gives",
            Self::Clock => "The wall clock",
            Self::Entropy => "What getrandom gives",
            Self::Addresses => "Where a program's memory lies",
            Self::RandomDevice => "What C++'s std::random_device gives",
            Self::Monotonic => "The monotonic clocks, until the service is ready",
            Self::Tsc => "The processor's time stamp counter",
        }
    }

    /// Its name on the command line and in a receipt.
    pub fn word(self) -> &'static str {
        match self {
            Self::Variables => "variables",
            Self::Threads => "threads",
            Self::HostName => "host-name",
            Self::CpuSet => "cpu-set",
            Self::Answers => "answers",
            Self::Urandom => "urandom",
            Self::Clock => "clock",
            Self::Entropy => "entropy",
            Self::Addresses => "addresses",
            Self::RandomDevice => "random-device",
            Self::Monotonic => "monotonic",
            Self::Tsc => "tsc",
        }
    }
}

/// What a replay is to be alike to, where that is not the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Alike {
    /// Production: numbers of threads are production's, and no library is made to compute otherwise.
    #[default]
    Production,
    /// Itself: one thread, and the paths of libraries that give the same on every processor.
    Itself,
}

/// How deterministic a replay was asked to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The level.
    pub level: u8,
    /// The level below which nothing is judged.
    pub required: Option<u8>,
    /// Controls that are left off.
    pub without: BTreeSet<Control>,
    /// Controls of no level, or of one above, that are asked for all the same.
    pub with: BTreeSet<Control>,
    /// What it is to be alike to.
    pub alike: Alike,
    /// What all that is random is derived from.
    pub seed: u64,
}

impl Default for Asked {
    fn default() -> Self {
        Self {
            level: LEVEL_MAX,
            required: None,
            without: BTreeSet::new(),
            with: BTreeSet::new(),
            alike: Alike::default(),
            seed: 0,
        }
    }
}

impl Asked {
    /// Why a control is left off; nothing where it is asked for.
    pub(crate) fn why_off(&self, control: Control) -> Option<String> {
        if self.without.contains(&control) {
            Some(format!("left off by `--without {}`", control.word()))
        } else if self.with.contains(&control) {
            self.why_left_off_with_another(control)
        } else if control.level() > LEVEL_MAX {
            Some(format!("of no level, and not asked for (`--with {}`)", control.word()))
        } else if control.level() > self.level {
            Some(format!("left off by `--determinism {}`", self.level))
        } else {
            self.why_left_off_with_another(control)
        }
    }

    /// What C++'s random device gives is what `getrandom` gives.
    fn why_left_off_with_another(&self, control: Control) -> Option<String> {
        (control == Control::RandomDevice).then(|| self.why_off(Control::Entropy)).flatten()
    }

    /// 32 bytes for one use of randomness, the same in each replay with this seed; `what` is the use, as BLAKE3's context of a
    /// derived key.
    pub(crate) fn key(&self, what: &str) -> [u8; 32] {
        blake3::derive_key(what, &self.seed.to_le_bytes())
    }
}

/// What came of a control.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It was in force from the service's start to its end.
    On,
    /// It was not asked for.
    Off,
    /// It was asked for, and cannot be had here, or did not hold.
    Failed,
}

/// A control and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Controlled {
    /// Which.
    pub control: Control,
    /// Whether it held.
    pub state: State,
    /// What was set and how often it was used; else why it is not on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<String>,
}

/// What became of the controls.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Controls {
    /// One entry for each that was heard of.
    said: Vec<Controlled>,
    /// What was not served inside, and what else went wrong there, in words.
    troubles: Vec<String>,
    /// What services that have ended told of the same, in all.
    #[serde(default)]
    ended: Ended,
}

impl Controls {
    /// Says what became of a control; what was said of it before no longer counts.
    pub(crate) fn say(&mut self, control: Control, state: State, words: Vec<String>) {
        self.said.retain(|one| one.control != control);
        self.said.push(Controlled { control, state, words });
    }

    /// True where a control was said to have failed.
    fn has_failed(&self, control: Control) -> bool {
        self.said.iter().any(|one| one.control == control && one.state == State::Failed)
    }

    /// True where none was heard of: nothing ran.
    pub(crate) fn is_empty(&self) -> bool {
        self.said.is_empty()
    }

    /// Takes note of a service that was not asked at its end what could not be served inside.
    pub(crate) fn leave_unasked(&mut self) {
        let is_inside = |one: &Controlled| one.control.level() >= 3 && one.state == State::On;
        if self.said.iter().any(is_inside) {
            let words = "what could not be served of time and chance to the service that was cut off: it was not asked at its end";
            self.troubles.push(words.to_owned());
        }
    }

    /// What was not served inside, and what else went wrong there.
    pub(crate) fn troubles(&self) -> &[String] {
        &self.troubles
    }

    /// All controls of levels, and those that were asked for beside them; what was never heard of as failed or off.
    pub(crate) fn all(&self, asked: &Asked) -> Vec<Controlled> {
        let is_told = |control: &Control| control.level() <= LEVEL_MAX || asked.with.contains(control);
        let of = |control: Control| {
            if let Some(said) = self.said.iter().find(|one| one.control == control) {
                return said.clone();
            }
            match asked.why_off(control) {
                Some(why) => Controlled { control, state: State::Off, words: vec![why] },
                None => Controlled {
                    control,
                    state: State::Failed,
                    words: vec!["not to be had for what was replayed here".to_owned()],
                },
            }
        };
        Control::ALL.into_iter().filter(is_told).map(of).collect()
    }
}

/// The level that holds where these controls do and the image is the recorded one: the highest of which, and of those below
/// which, every control is on. Also why the next one does not.
pub(crate) fn level_of(controls: &[Controlled], asked: u8) -> (u8, Option<String>) {
    for level in 1..=asked.min(LEVEL_MAX) {
        let missing = controls.iter().find(|one| one.control.level() == level && one.state != State::On);
        if let Some(missing) = missing {
            let why = missing.words.join("; ");
            return (level - 1, Some(format!("{}: {why}", missing.control.word())));
        }
    }
    (asked.min(LEVEL_MAX), None)
}

/// What the claim of a level leaves out, whatever the service is.
pub(crate) fn exclusions(level: u8, order: Order) -> Vec<String> {
    let mut left_out = Vec::new();
    if order == Order::Recorded {
        left_out.push("exchanges that overlap (`--order serial` keeps them apart)");
    }
    left_out.push("threads of the service that race, and the order of what they add up");
    if level < 1 {
        left_out.push("what the environment decides: recorded variables, the seed of Python's hashes, thread counts, host name, processors");
    }
    if level < 2 {
        left_out.push("the order in which dependencies answer what is asked at once, and /dev/urandom");
    }
    left_out.push(match level {
        3 => {
            "how long things take, process ids, file times, ports and addresses of the network, version 1 UUIDs, timers until a \
             time of day, Go's map order, Java's seeds, what is asked of the processor itself (but for std::random_device of programs that load glibc)"
        }
        _ => "the wall clock, random numbers, the order of hashes that are seeded with them, and addresses of memory",
    });
    left_out.into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn controls(off: &[Control], asked: &Asked) -> Vec<Controlled> {
        let mut controls = Controls::default();
        for control in Control::ALL.into_iter().filter(|control| !off.contains(control)) {
            controls.say(control, State::On, Vec::new());
        }
        controls.all(asked)
    }

    #[test]
    fn a_level_takes_all_of_its_controls_and_all_of_those_below() {
        let asked = Asked::default();
        assert_eq!(level_of(&controls(&[], &asked), 3), (3, None));
        let (level, why) = level_of(&controls(&[Control::Addresses], &asked), 3);
        assert_eq!(level, 2);
        assert!(why.unwrap().starts_with("addresses: "));
        assert_eq!(level_of(&controls(&[Control::Threads], &asked), 3).0, 0);
        assert_eq!(level_of(&controls(&[Control::Clock], &asked), 2), (2, None));
    }

    #[test]
    fn a_lower_level_leaves_out_more() {
        let count = |level| exclusions(level, Order::Serial).len();
        assert_eq!([0, 1, 2, 3].map(count), [4, 3, 2, 2]);
        let said = |level| exclusions(level, Order::Serial).join("; ");
        assert!(said(1).contains("/dev/urandom") && !said(2).contains("/dev/urandom"));
        assert!(said(2).contains("the wall clock") && !said(3).contains("the wall clock"));
        assert!(exclusions(3, Order::Recorded)[0].contains("overlap"));
    }

    #[test]
    fn what_was_left_off_says_by_which_flag() {
        let asked = Asked { level: 2, without: BTreeSet::from([Control::Urandom]), ..Asked::default() };
        let all = Controls::default().all(&asked);
        let of = |control| all.iter().find(|one| one.control == control).unwrap();
        assert_eq!(of(Control::Urandom).words, ["left off by `--without urandom`"]);
        assert_eq!(of(Control::Clock).words, ["left off by `--determinism 2`"]);
        assert_eq!(of(Control::Answers).state, State::Failed);
    }

    #[test]
    fn what_is_of_no_level_is_there_where_it_is_asked_for_and_makes_no_level() {
        let all = Controls::default().all(&Asked::default());
        assert!(all.iter().all(|one| one.control.level() <= LEVEL_MAX));
        let asked = Asked { level: 0, with: BTreeSet::from([Control::Monotonic, Control::Clock]), ..Asked::default() };
        assert_eq!((asked.why_off(Control::Monotonic), asked.why_off(Control::Clock)), (None, None));
        assert!(asked.why_off(Control::Tsc).unwrap().contains("--with tsc"));
        assert!(Controls::default().all(&asked).iter().any(|one| one.control == Control::Monotonic));
        assert_eq!(level_of(&controls(&[], &asked), 0), (0, None));
    }

    #[test]
    fn a_key_depends_on_the_seed_and_on_the_use() {
        let (one, other) = (Asked::default(), Asked { seed: 1, ..Asked::default() });
        assert_eq!(one.key("a test"), Asked::default().key("a test"));
        assert_ne!(one.key("a test"), one.key("another"));
        assert_ne!(one.key("a test"), other.key("a test"));
    }
}
