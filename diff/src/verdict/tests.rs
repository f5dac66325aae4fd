use super::*;

const COMPLETE: End = End::Complete;
const RESET: End = End::UpstreamReset;

fn came(status: Option<u16>, end: &End) -> Came<'_> {
    Came { status, end, whole: true }
}

fn changed() -> Comparison {
    Comparison { changes: vec![crate::Change::at("/a", crate::ChangeKind::Changed)], ..Comparison::default() }
}

fn missed() -> Divergence {
    Divergence { missed: vec![MissedCall { asked: "llm POST /".to_owned(), nearest: None }], ..Divergence::default() }
}

/// The verdict over two complete answers, with what the story changes.
fn verdict(change: impl FnOnce(&mut Evidence<'_>)) -> Verdict {
    let (calls, comparison) = (Divergence::default(), Comparison::default());
    let answer = came(Some(200), &COMPLETE);
    let mut evidence = Evidence {
        recorded: answer,
        replayed: answer,
        calls: &calls,
        comparison: Some(&comparison),
        secrets_missing: false,
    };
    change(&mut evidence);
    decide(&evidence)
}

/// Like [`verdict`], with these in place of calls without a miss and an equal answer.
fn verdict_of(calls: &Divergence, comparison: &Comparison, change: impl FnOnce(&mut Evidence<'_>)) -> Verdict {
    let answer = came(Some(200), &COMPLETE);
    let mut evidence =
        Evidence { recorded: answer, replayed: answer, calls, comparison: Some(comparison), secrets_missing: false };
    change(&mut evidence);
    decide(&evidence)
}

fn reason(verdict: Verdict) -> String {
    match verdict {
        Verdict::Unjudged(unjudged) => format!("unjudged: {}", unjudged.reason),
        Verdict::Failed(failure) => format!("failed: {}", failure.reason),
        other => other.word().to_owned(),
    }
}

#[test]
fn equal_answers_are_same_and_different_ones_changed() {
    assert_eq!(verdict(|_| {}), Verdict::Same);
    assert_eq!(verdict_of(&Divergence::default(), &changed(), |_| {}), Verdict::Changed);
}

#[test]
fn another_status_is_an_answer_and_no_failure() {
    assert_eq!(verdict_of(&Divergence::default(), &changed(), |it| it.replayed.status = Some(500)), Verdict::Changed);
}

#[test]
fn a_divergence_comes_before_a_failure_and_a_changed_answer() {
    let verdict = verdict_of(&missed(), &changed(), |it| it.replayed = came(None, &End::UpstreamReset));
    assert_eq!(verdict, Verdict::Diverged(missed()));
}

#[test]
fn another_order_of_calls_alone_is_no_divergence() {
    let reordered = Divergence { reordered: true, ..Divergence::default() };
    assert_eq!(verdict_of(&reordered, &Comparison::default(), |_| {}), Verdict::Same);
}

#[test]
fn no_complete_answer_where_production_had_one_is_a_failure_that_says_how_it_ended() {
    let failed = |status: Option<u16>, end: &End| {
        let (calls, comparison) = (Divergence::default(), changed());
        let recorded = came(Some(200), &COMPLETE);
        reason(decide(&Evidence {
            recorded,
            replayed: came(status, end),
            calls: &calls,
            comparison: Some(&comparison),
            secrets_missing: false,
        }))
    };
    insta::assert_snapshot!(failed(Some(200), &End::UpstreamReset), @"failed: the service closed the connection before its answer was whole");
    insta::assert_snapshot!(failed(None, &End::Unreachable { reason: "refused".to_owned() }), @"failed: the service could not be reached: refused");
    insta::assert_snapshot!(failed(None, &End::TimedOut), @"failed: no whole answer came in time");
}

#[test]
fn an_answer_that_was_cut_in_production_too_is_compared_as_far_as_it_was_recorded() {
    assert_eq!(verdict(|it| (it.recorded.end, it.replayed.end) = (&RESET, &RESET)), Verdict::Same);
    assert_eq!(verdict(|it| it.recorded.end = &RESET), Verdict::Same);
}

#[test]
fn what_was_not_kept_was_not_compared_unless_a_difference_was_found_before() {
    insta::assert_snapshot!(reason(verdict(|it| it.recorded.whole = false)), @"unjudged: the recording kept a part of the answer only; that part is equal");
    insta::assert_snapshot!(reason(verdict(|it| it.replayed.whole = false)), @"unjudged: the replay kept a part of the answer only; that part is equal");
    assert_eq!(verdict_of(&Divergence::default(), &changed(), |it| it.recorded.whole = false), Verdict::Changed);
}

#[test]
fn without_an_answer_from_production_there_is_no_verdict() {
    let without = reason(verdict(|it| it.recorded = came(None, &RESET)));
    insta::assert_snapshot!(without, @"unjudged: production gave no answer to compare with (upstream reset)");
    insta::assert_snapshot!(reason(verdict(|it| it.comparison = None)), @"unjudged: the answers were not compared");
    insta::assert_snapshot!(reason(verdict(|it| it.replayed.end = &End::CaptureStopped)), @"unjudged: the replay was stopped before the answer was whole");
}

#[test]
fn a_refused_pseudonym_says_nothing_about_the_service() {
    let refused = |recorded_status, secrets_missing| {
        reason(verdict_of(&missed(), &changed(), |it| {
            it.recorded.status = Some(recorded_status);
            it.replayed.status = Some(401);
            it.secrets_missing = secrets_missing;
        }))
    };
    insta::assert_snapshot!(refused(200, true), @"unjudged: the service answered 401 where production answered 200, and the request's secrets are known by pseudonym only; give them with `--secrets FILE`");
    assert_eq!(refused(200, false), "diverged");
    assert_eq!(refused(401, true), "diverged");
}
