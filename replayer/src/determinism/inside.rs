//! What the container's init is told of time and chance, and what it tells of them (level 3).
//!
//! In: what was asked for, and when the exchanges were recorded. Out: its settings, the moment that the wall clock is set to
//! before each exchange, and what became of each control.

use bundle::Archive;
use exchange::Exchange;
use serde::{Deserialize, Serialize};
use wire::bridge::{Held, Monotonic, Reached, Virtual, WallClock};

use super::{Asked, Control, Controls, State};
use crate::order::Order;

/// The controls that are its, and what each is called here.
const CONTROLS: [Control; 6] =
    [Control::Clock, Control::Entropy, Control::Addresses, Control::RandomDevice, Control::Monotonic, Control::Tsc];

/// Most troubles that are told of all services together. A choice: more than one tells, fewer than anybody reads.
const TROUBLES_MAX: usize = 20;

/// Name of the file of the library that is loaded before the service's own.
pub(crate) const SHIM: &str = "shim.so";

/// What is said of it in the receipt.
pub(crate) fn shim_words(path: &str) -> String {
    format!(
        "{path}: loaded before the service's own libraries where these are glibc's (LD_PRELOAD), for std::random_device and \
         small requests of getrandom"
    )
}

impl Asked {
    /// What init is told; nothing where no control of its is asked for. The wall clock begins at the first exchange's time.
    pub(crate) fn inside(&self, order: Order, first: Option<u64>) -> Option<Virtual> {
        let [clock, entropy, aslr_off, _, monotonic, tsc] = CONTROLS.map(|control| self.why_off(control).is_none());
        (clock || entropy || aslr_off || monotonic || tsc).then(|| Virtual {
            seed: self.key("retake 2026-11 what init gives"),
            wall_clock: wall_clock(order, first.unwrap_or_default()),
            clock: clock && first.is_some(),
            entropy,
            aslr_off,
            tsc,
            monotonic: if monotonic { Monotonic::FrozenUntilReady } else { Monotonic::Real },
            fallback: true,
        })
    }
}

/// One moment for each exchange where they go one after the other; else it goes on from the first exchange's.
pub(crate) fn wall_clock(order: Order, at_ns: u64) -> WallClock {
    match order {
        Order::Serial => WallClock::Frozen { at_ns },
        Order::Recorded => WallClock::Running { from_ns: at_ns },
    }
}

/// When an exchange began by production's wall clock, in nanoseconds since 1970; nothing where its session is not known.
pub(crate) fn recorded_time(archive: &Archive, exchange: &Exchange) -> Option<u64> {
    let session = archive.sessions().iter().find(|session| session.id == exchange.session)?;
    Some(session.started.wall_at(exchange.times.started_ns)).filter(|at| *at > 0)
}

/// Says what became of init's controls; `None` for one that told nothing. What failed once stays so, whatever later repeats tell; what
/// is counted is that of services that have ended as well.
pub(crate) fn say_reached(controls: &mut Controls, asked: &Asked, reached: Option<&Reached>) {
    let reached = reached.map(|reached| with_earlier(reached, &controls.ended));
    let reached = reached.as_ref();
    for control in CONTROLS.into_iter().filter(|control| asked.why_off(*control).is_none()) {
        if controls.has_failed(control) {
            continue;
        }
        let (state, words) = match reached {
            None => (State::Failed, vec!["nothing was told of it from inside".to_owned()]),
            Some(reached) => became(control, reached),
        };
        controls.say(control, state, words);
    }
    let troubles = reached.map(troubles).unwrap_or_default();
    if !troubles.is_empty() {
        controls.troubles = troubles;
    }
}

/// Says the same of a service that has ended: another one may come.
pub(crate) fn say_reached_at_end(controls: &mut Controls, asked: &Asked, reached: Option<&Reached>) {
    say_reached(controls, asked, reached);
    if let Some(reached) = reached {
        controls.ended = Ended::of(with_earlier(reached, &controls.ended));
    }
}

/// What services that have ended counted, in all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ended {
    redirected: u64,
    random: u64,
    clock: u64,
    tsc: u64,
    unserved: u64,
    refused: u64,
    troubles: Vec<String>,
}

impl Ended {
    fn of(reached: Reached) -> Self {
        Self {
            redirected: reached.redirected_count,
            random: reached.random_count,
            clock: reached.clock_count,
            tsc: reached.tsc_count,
            unserved: reached.unserved_count,
            refused: reached.refused_count,
            troubles: reached.troubles,
        }
    }
}

/// What a service has told, with what others have counted before it.
fn with_earlier(reached: &Reached, earlier: &Ended) -> Reached {
    let more = reached.troubles.iter().filter(|trouble| !earlier.troubles.contains(trouble));
    Reached {
        redirected_count: reached.redirected_count + earlier.redirected,
        random_count: reached.random_count + earlier.random,
        clock_count: reached.clock_count + earlier.clock,
        tsc_count: reached.tsc_count + earlier.tsc,
        unserved_count: reached.unserved_count + earlier.unserved,
        refused_count: reached.refused_count + earlier.refused,
        troubles: earlier.troubles.iter().chain(more).take(TROUBLES_MAX).cloned().collect(),
        ..reached.clone()
    }
}

fn became(control: Control, reached: &Reached) -> (State, Vec<String>) {
    let (held, count) = match control {
        Control::Clock => {
            let (programs, calls) = (reached.redirected_count, reached.clock_count);
            (&reached.clock, Some(format!("{programs} programs redirected, {calls} calls past the vDSO served")))
        }
        Control::Entropy => {
            let beside = if reached.preload == Held::On { ", beside what is given without a call" } else { "" };
            (&reached.entropy, Some(format!("{} calls served{beside}", reached.random_count)))
        }
        Control::RandomDevice => match &reached.preload {
            Held::Off => {
                return (State::On, vec!["no program here loads libraries of glibc from its usual place".to_owned()]);
            }
            held => (held, Some("asked of getrandom, by a library that is loaded first".to_owned())),
        },
        Control::Monotonic => (&reached.monotonic, Some("one moment until the service was ready".to_owned())),
        Control::Tsc => (&reached.tsc, Some(format!("{} readings served", reached.tsc_count))),
        _ => (&reached.aslr_off, None),
    };
    match held {
        Held::On => (State::On, count.into_iter().collect()),
        Held::Off => (State::Failed, vec!["it could not be given to this recording".to_owned()]),
        Held::Failed { reason } => (State::Failed, vec![reason.clone()]),
    }
}

/// What was not served, and what else went wrong.
fn troubles(reached: &Reached) -> Vec<String> {
    let counted = [
        (reached.unserved_count, "calls could not be served and failed"),
        (reached.refused_count, "processes were ended, as they could not have been served"),
    ];
    let counted = counted.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
    counted.chain(reached.troubles.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn init_is_told_of_what_is_asked_for_and_of_nothing_below_level_3() {
        let asked = Asked { without: BTreeSet::from([Control::Entropy]), ..Asked::default() };
        let told = asked.inside(Order::Serial, Some(7)).unwrap();
        assert_eq!((told.clock, told.entropy, told.aslr_off), (true, false, true));
        assert_eq!(told.wall_clock, WallClock::Frozen { at_ns: 7 });
        assert_eq!(asked.inside(Order::Recorded, Some(7)).unwrap().wall_clock, WallClock::Running { from_ns: 7 });
        assert!(!asked.inside(Order::Recorded, None).unwrap().clock);
        assert_eq!(Asked { level: 2, ..Asked::default() }.inside(Order::Serial, Some(7)), None);
        assert_eq!((told.monotonic, told.tsc), (Monotonic::Real, false));
        let more = Asked { with: BTreeSet::from([Control::Monotonic, Control::Tsc]), ..asked };
        let told = more.inside(Order::Serial, Some(7)).unwrap();
        assert_eq!((told.monotonic, told.tsc), (Monotonic::FrozenUntilReady, true));
    }

    #[test]
    fn what_services_that_ended_could_not_serve_is_told_beside_what_later_ones_could() {
        let (asked, mut controls) = (Asked::default(), Controls::default());
        let told = |unserved_count, random_count, trouble: &str| Reached {
            entropy: Held::On,
            unserved_count,
            random_count,
            troubles: vec![trouble.to_owned()],
            ..Reached::default()
        };
        say_reached_at_end(&mut controls, &asked, Some(&told(2, 5, "one")));
        // Another service, asked when it starts and when it has ended.
        say_reached(&mut controls, &asked, Some(&told(0, 1, "one")));
        say_reached_at_end(&mut controls, &asked, Some(&told(1, 3, "two")));
        assert_eq!(controls.troubles(), ["3 calls could not be served and failed", "one", "two"]);
        let entropy = controls.all(&asked).into_iter().find(|one| one.control == Control::Entropy).unwrap();
        assert_eq!(entropy.words, ["8 calls served"]);
    }

    #[test]
    fn the_random_device_is_left_off_with_what_it_gives() {
        for asked in [
            Asked { without: BTreeSet::from([Control::Entropy]), ..Asked::default() },
            Asked { level: 2, with: BTreeSet::from([Control::RandomDevice]), ..Asked::default() },
        ] {
            assert!(asked.why_off(Control::RandomDevice).is_some(), "{asked:?}");
        }
        let both = BTreeSet::from([Control::RandomDevice, Control::Entropy]);
        assert_eq!(Asked { level: 2, with: both, ..Asked::default() }.why_off(Control::RandomDevice), None);
    }

    #[test]
    fn a_control_that_failed_says_why_and_silence_is_no_success() {
        let asked = Asked::default();
        let mut silent = Controls::default();
        say_reached(&mut silent, &asked, None);
        assert!(silent.all(&asked).iter().all(|one| one.state != State::On));
        let mut controls = Controls::default();
        let failed = Held::Failed { reason: "refused".to_owned() };
        let reached =
            Reached { clock: Held::On, entropy: Held::On, aslr_off: failed, random_count: 3, ..Reached::default() };
        say_reached(&mut controls, &asked, Some(&reached));
        let of = |control| controls.all(&asked).into_iter().find(|one| one.control == control).unwrap();
        assert_eq!(
            (of(Control::Entropy).state, of(Control::Entropy).words),
            (State::On, vec!["3 calls served".to_owned()])
        );
        assert_eq!(
            (of(Control::Addresses).state, of(Control::Addresses).words),
            (State::Failed, vec!["refused".to_owned()])
        );
    }
}
