use std::collections::{BTreeMap, BTreeSet};

use diff::Class;
use exchange::{Digest, Id};
use stats::Confidence;

use super::*;
use crate::flakiness::cluster::Factor;

fn id(number: u8) -> Id {
    Id([number; 16])
}

/// A trial of exchange `number` that lasts from `from` to `from` + 10.
fn trial(number: u8, repeat: u32, from: u64, failed: bool) -> TrialSeen {
    TrialSeen {
        original: id(number),
        route: "POST /tickets".to_owned(),
        title: "POST /tickets".to_owned(),
        repeat,
        failed,
        started_ns: from,
        ended_ns: from + 10,
        minute: 1,
        timed_out: false,
        calls: Vec::new(),
        leaked: None,
        unseeded: false,
    }
}

fn run(order: &str, environment: &str, trials: Vec<TrialSeen>) -> RunSeen {
    RunSeen {
        name: order.to_owned(),
        environment: Some(Digest::of(environment.as_bytes())),
        host: environment.to_owned(),
        order: order.to_owned(),
        judged: None,
        resets: true,
        held: BTreeSet::new(),
        outcomes: BTreeMap::new(),
        trials,
    }
}

/// What a replay at level 3 holds still.
const LEVEL_3: [Held; 7] = [
    Held::Clock,
    Held::PythonHashSeed,
    Held::Variables,
    Held::Urandom,
    Held::Entropy,
    Held::Addresses,
    Held::RandomDevice,
];

/// Ten repeats of exchange 1 that pass, or fail.
fn ten(failed: bool) -> Vec<TrialSeen> {
    (0..10).map(|repeat| trial(1, repeat, 0, failed)).collect()
}

fn reordered() -> Place {
    let [one, other] = ["[1,2]", "[2,1]"].map(str::to_owned);
    let (route, pointer) = ("POST /tickets".to_owned(), "/tags".to_owned());
    Place { route, pointer, kind: Kind::Order, count: 9, across_hosts: 0, one, other }
}

fn class_of(runs: &[RunSeen]) -> (Class, String) {
    let [it] = &classify(runs)[..] else { panic!("one exchange") };
    (it.class, it.why.clone().unwrap_or_default())
}

fn item(diagnosis: &Diagnosis, source: Source) -> &Item {
    diagnosis.checklist.iter().find(|item| item.source == source).unwrap()
}

/// Exchange 1 fails whenever 2 is in flight with it, in every third repeat.
fn racing(repeats: u32) -> Vec<TrialSeen> {
    let both = |repeat: u32| {
        let together = repeat.is_multiple_of(3);
        let mut first = trial(1, repeat, 0, together);
        if together {
            first.leaked = Some(Leak { pointer: "/summary".to_owned(), of: id(2) });
        }
        [first, trial(2, repeat, if together { 5 } else { 20 }, false)]
    };
    (0..repeats).flat_map(both).collect()
}

#[test]
fn a_failure_that_goes_with_anothers_being_in_flight_is_a_race_and_both_are_named() {
    let runs = [run("recorded", "here", racing(30))];
    let diagnosis = diagnose(&runs, &[], Confidence::DEFAULT);
    let race = item(&diagnosis, Source::CacheRace);
    assert_eq!(race.state, State::Seen);
    assert!(race.evidence[0].starts_with("POST /tickets /summary is another's"), "{race:?}");
    let [cluster] = &diagnosis.clusters[..] else { panic!("{:?}", diagnosis.clusters) };
    assert_eq!(cluster.factor, Factor::Overlap { exchange: id(1), with: id(2) });
    assert_eq!((cluster.unusual_with, cluster.with, cluster.unusual_without, cluster.without), (10, 10, 0, 20));
    assert_eq!(diagnosis.exchanges.iter().map(|it| it.class).collect::<Vec<_>>(), [Class::Flaky, Class::Deterministic]);
}

#[test]
fn what_is_steady_one_at_a_time_and_varies_in_flight_is_called_a_race() {
    let serial = (0..30).flat_map(|repeat| [trial(1, repeat, 0, false), trial(2, repeat, 20, false)]).collect();
    let runs = [run("recorded", "here", racing(30)), run("serial", "here", serial)];
    let conclusions = diagnose(&runs, &[], Confidence::DEFAULT).conclusions;
    assert!(conclusions.iter().any(|it| it.contains("steady at `serial`") && it.contains("a race")), "{conclusions:?}");
}

#[test]
fn steady_in_each_environment_and_not_alike_is_the_environments_doing() {
    let trials = |failed| (0..10).map(|repeat| trial(1, repeat, 0, failed)).collect();
    let runs = [run("recorded", "one", trials(false)), run("recorded", "other", trials(true))];
    let diagnosis = diagnose(&runs, &[], Confidence::DEFAULT);
    assert_eq!(diagnosis.exchanges[0].class, Class::EnvironmentSensitive);
    assert!(diagnosis.clusters.iter().any(|it| it.factor == Factor::Host { host: "other".to_owned() }));
}

#[test]
fn what_could_not_be_looked_for_is_not_called_unseen() {
    let runs = [run("serial", "here", vec![trial(1, 0, 0, false)])];
    let diagnosis = diagnose(&runs, &[], Confidence::DEFAULT);
    assert_eq!(item(&diagnosis, Source::Clock).state, State::NotLookedAt);
    assert_eq!(item(&diagnosis, Source::CacheRace).state, State::NotLookedAt);
    assert_eq!(item(&diagnosis, Source::TimeOuts).state, State::NotSeen);
    assert!(diagnosis.clusters.is_empty());
}

#[test]
fn time_outs_are_not_called_unseen_where_all_answers_came_at_once() {
    let at_once = || RunSeen { held: BTreeSet::from([Held::Durations]), ..run("recorded", "here", ten(false)) };
    let diagnosis = diagnose(&[at_once()], &[], Confidence::DEFAULT);
    let time_outs = item(&diagnosis, Source::TimeOuts);
    assert_eq!(time_outs.state, State::NotLookedAt);
    assert!(time_outs.evidence[0].ends_with("replay with `--timing recorded`"), "{time_outs:?}");
    let diagnosis = diagnose(&[at_once(), run("serial", "here", ten(false))], &[], Confidence::DEFAULT);
    assert_eq!(item(&diagnosis, Source::TimeOuts).evidence, ["none in 10 exchanges"]);
}

#[test]
fn another_order_is_put_down_to_hash_tables_or_threads_at_every_level_since_some_tables_vary_at_each() {
    for held in [BTreeSet::new(), BTreeSet::from([Held::PythonHashSeed]), BTreeSet::from(LEVEL_3)] {
        let is_open = held.is_empty();
        let runs = [RunSeen { held, ..run("recorded", "here", ten(false)) }];
        let items = checklist(&runs, &[reordered()], &[]);
        for source in [Source::HashOrder, Source::ThreadOrder] {
            let item = items.iter().find(|item| item.source == source).unwrap();
            assert_eq!(item.state, State::Unclear, "{item:?}");
            assert!(item.evidence[0].contains("/tags in 9 pairs"), "{item:?}");
            assert!(item.evidence[1].starts_with("which of the two is not known"), "{item:?}");
            assert_eq!(item.evidence[1].contains("--determinism 3"), is_open, "{item:?}");
        }
    }
}

#[test]
fn what_was_held_still_is_not_called_unseen_and_it_is_said_by_what() {
    let held_run = || RunSeen { held: BTreeSet::from(LEVEL_3), ..run("recorded", "here", ten(false)) };
    let diagnosis = diagnose(&[held_run()], &[], Confidence::DEFAULT);
    let held = [Source::Clock, Source::Identifiers, Source::Seeds, Source::HashOrder, Source::Floats];
    for source in held {
        let item = item(&diagnosis, source);
        assert_eq!(item.state, State::NotLookedAt, "{item:?}");
        assert!(
            item.evidence[0].starts_with("held still (") && item.evidence[0].contains("`--determinism 0`"),
            "{item:?}"
        );
    }
    assert_eq!(item(&diagnosis, Source::Clock).evidence, ["held still (clock): replay with `--determinism 0`"]);
    assert_eq!(item(&diagnosis, Source::ThreadOrder).state, State::NotSeen);
    // Another run in which it was free is where it was looked for, once that one was repeated.
    let few = run("recorded", "here", vec![trial(1, 0, 0, false)]);
    let diagnosis = diagnose(&[held_run(), few], &[], Confidence::DEFAULT);
    assert_eq!(item(&diagnosis, Source::Clock).state, State::NotLookedAt);
    let diagnosis = diagnose(&[held_run(), run("recorded", "here", ten(false))], &[], Confidence::DEFAULT);
    assert!(held.iter().all(|&source| item(&diagnosis, source).state == State::NotSeen), "{diagnosis:?}");
}

#[test]
fn the_order_of_calls_is_not_called_unseen_where_answers_were_held_for_it() {
    let call = CallSeen { dependency: "a".to_owned(), asked: "a".to_owned(), failed: false };
    let trials: Vec<TrialSeen> =
        ten(false).into_iter().map(|it| TrialSeen { calls: vec![call.clone()], ..it }).collect();
    let free = run("recorded", "here", trials.clone());
    let held = RunSeen { held: BTreeSet::from([Held::Answers]), ..run("recorded", "here", trials) };
    let state = |run| item(&diagnose(&[run], &[], Confidence::DEFAULT), Source::DependencyOrder).state;
    assert_eq!((state(free), state(held)), (State::NotSeen, State::NotLookedAt));
}

#[test]
fn one_service_for_all_repeats_makes_none_deterministic_and_shows_no_seed_that_is_drawn_at_its_start() {
    let shared = RunSeen { resets: false, ..run("recorded", "here", ten(false)) };
    let (class, why) = class_of(std::slice::from_ref(&shared));
    assert_eq!(class, Class::Unconfirmed);
    assert!(why.contains("one service answered several repeats"), "{why}");
    let diagnosis = diagnose(std::slice::from_ref(&shared), &[], Confidence::DEFAULT);
    let hashes = item(&diagnosis, Source::HashOrder);
    assert_eq!(hashes.state, State::NotLookedAt);
    assert!(hashes.evidence[0].contains("--reset process"), "{hashes:?}");
    // Ten of their own beside them are enough, and what fails each time does so whatever it remembers.
    assert_eq!(class_of(&[shared, run("recorded", "here", ten(false))]).0, Class::Deterministic);
    assert_eq!(
        class_of(&[RunSeen { resets: false, ..run("recorded", "here", ten(true)) }]).0,
        Class::ReproducibleFailure
    );
}

#[test]
fn outcomes_that_differ_as_noise_are_not_deterministic() {
    let outcome = |verdict: &str, text: &str| OutcomeSeen {
        verdict: verdict.to_owned(),
        content: Some((Some(Digest::of(text.as_bytes())), Digest::of(b""))),
    };
    let with = |outcomes: &[OutcomeSeen]| RunSeen {
        outcomes: BTreeMap::from([(id(1), outcomes.iter().cloned().collect())]),
        ..run("recorded", "here", ten(false))
    };
    let (one, other) = (outcome("same", "one"), outcome("noise", "other"));
    assert_eq!(class_of(&[with(std::slice::from_ref(&one))]).0, Class::Deterministic);
    let (class, why) = class_of(&[with(&[one.clone(), other.clone()])]);
    assert_eq!(class, Class::Unconfirmed);
    assert!(why.contains("2 outcomes"), "{why}");
    assert_eq!(class_of(&[with(std::slice::from_ref(&one)), with(&[other])]).0, Class::Unconfirmed);
    let once = OutcomeSeen { verdict: "same".to_owned(), content: None };
    assert_eq!(class_of(&[with(&[one]), with(&[once])]).0, Class::Deterministic);
}

#[test]
fn environments_that_are_not_alike_are_flaky_in_none_and_few_repeats_say_nothing_of_them() {
    let few = |failed| ten(failed)[..5].to_vec();
    let unlike = [run("recorded", "one", few(false)), run("recorded", "other", few(true))];
    let (class, why) = class_of(&unlike);
    assert_eq!(class, Class::Unconfirmed);
    assert!(why.contains("environments are not alike"), "{why}");
    // Ten in all are not ten in one; two that nothing is known of are not known to be one.
    assert_eq!(
        class_of(&[run("recorded", "one", few(false)), run("recorded", "other", few(false))]).0,
        Class::Unconfirmed
    );
    let unknown = |failed| RunSeen { environment: None, ..run("recorded", "", ten(failed)) };
    assert_eq!(class_of(&[unknown(false), unknown(true)]).0, Class::EnvironmentSensitive);
    // In one environment it is the order that decides, which is a race.
    assert_eq!(class_of(&[run("recorded", "one", few(true)), run("serial", "one", few(false))]).0, Class::Flaky);
    let apart = [run("recorded", "one", ten(true)), run("serial", "other", ten(false))];
    assert_eq!(class_of(&apart).0, Class::Unconfirmed);
}

#[test]
fn what_fails_by_other_rules_is_neither_flaky_nor_sensitive() {
    let by = |rules: &str, environment: &str, failed: bool| RunSeen {
        judged: Some(Digest::of(rules.as_bytes())),
        ..run("recorded", environment, ten(failed))
    };
    for environment in ["here", "there"] {
        let (class, why) = class_of(&[by("/id", "here", false), by("", environment, true)]);
        assert_eq!(class, Class::Unconfirmed);
        assert!(why.contains("other rules or other noise"), "{why}");
    }
    let twice = [by("", "here", true), by("/id", "here", false), by("", "there", false)];
    assert_eq!(class_of(&twice).0, Class::EnvironmentSensitive, "two were judged alike");
    // What passes by all of them passes.
    assert_eq!(class_of(&[by("/id", "here", false), by("", "here", false)]).0, Class::Deterministic);
}

#[test]
fn calls_in_several_orders_and_time_outs_are_told_with_how_often_they_failed() {
    let call = |name: &str| CallSeen { dependency: name.to_owned(), asked: name.to_owned(), failed: false };
    let with_calls = |repeat: u32, names: [&str; 2], failed| TrialSeen {
        calls: names.map(call).to_vec(),
        timed_out: failed,
        ..trial(1, repeat, 0, failed)
    };
    let trials = vec![with_calls(0, ["a", "b"], false), with_calls(1, ["b", "a"], true)];
    let diagnosis = diagnose(&[run("recorded", "here", trials)], &[], Confidence::DEFAULT);
    let order = item(&diagnosis, Source::DependencyOrder);
    assert!(order.evidence[0].contains("calls came in 2 ways, failed 0 of 1, 1 of 1"), "{order:?}");
    assert_eq!(item(&diagnosis, Source::TimeOuts).evidence, ["POST /tickets: 1 ended by a time-out"]);
}
