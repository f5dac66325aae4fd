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
        resets: true,
        level: Some(0),
        trials,
    }
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
