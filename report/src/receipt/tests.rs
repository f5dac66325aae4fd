use diff::{Change, Comparison, Divergence, MissedCall, RuleUse, Unjudged};
use exchange::{Digest, Id};
use replayer::receipt::{
    Absent, Answers, Attempt, Beside, Determinism, DumpProof, Egress, EnvironmentDifference, Found, GateCounts,
    LiveCalls, MissesAnswered, Pinned, Relation, Skipped, SourceProof, Transport, Void,
};

use super::*;

fn id(number: u8) -> Id {
    Id([number; 16])
}

fn result(number: u8, verdict: Verdict) -> ExchangeResult {
    ExchangeResult {
        id: id(number),
        replayed_id: Some(id(number + 100)),
        title: "POST /tickets".to_owned(),
        route: "POST /tickets".to_owned(),
        recorded_status: Some(200),
        replayed_status: Some(200),
        verdict,
        calls_reordered: false,
        trajectory: None,
        comparison: None,
        repeated: None,
    }
}

fn receipt(results: &[ExchangeResult]) -> Receipt {
    let image = format!("sha256:{}", "ab".repeat(32));
    Receipt {
        run: id(9),
        void: None,
        sources: vec![SourceProof { path: "case.retake".to_owned(), digest: Some(Digest([7; 32])), verified: true }],
        pinned: Pinned { wanted: image.clone(), used: image, relation: Relation::SameConfigDigest },
        recorded_in: Vec::new(),
        uncertain: 0,
        replayed: results.len() as u64,
        skipped: Vec::new(),
        answers: Answers { observed: true, served_by_parent: 2, ..Answers::default() },
        misses: MissesAnswered::default(),
        egress: Egress {
            prevented: true,
            names: Some(Vec::new()),
            without_route: Some(0),
            attempts: Some(Vec::new()),
            ..Egress::default()
        },
        absent: Vec::new(),
        determinism: Determinism {
            level: Some(0),
            asked: 0,
            short: None,
            controls: Vec::new(),
            gates: None,
            exclusions: Vec::new(),
            order: "recorded".to_owned(),
            timing: "asap".to_owned(),
        },
        replacements: Vec::new(),
        ready: Some("its port accepted after 0.1 s".to_owned()),
        injected: Vec::new(),
        beside: Vec::new(),
        environment: Vec::new(),
        punctuality: None,
        repeats: None,
        noise: None,
        rules: vec![RuleUse { rule: "/id".to_owned(), pointer: "/id".to_owned(), count: 2, reason: None }],
        headers_not_compared: Vec::new(),
        tally: Tally::of(results),
        outcome_digest: None,
        service_ended: None,
        interrupted: false,
        resumed: 0,
        skipped_more: 0,
        left_out: replayer::receipt::LeftOut::default(),
    }
}

fn page(receipt: &Receipt, results: &[ExchangeResult]) -> String {
    let skipped_some = !receipt.skipped.is_empty();
    let exit_code = match receipt.tally.exit_code() {
        _ if receipt.void.is_some() => 3,
        0 if skipped_some => 3,
        code => code,
    };
    let page = ReceiptPage {
        receipt,
        results,
        run_path: ".retake/runs/09.retake",
        command: "retake replay case.retake --only",
        exit_code,
    };
    let text = receipt_page(&page, Style::PLAIN);
    assert!(text.lines().count() <= 8, "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= LINE_CHARS_MAX + 10), "{text}");
    text
}

#[test]
fn same() {
    let results = [result(1, Verdict::Same), result(2, Verdict::Same)];
    insta::assert_snapshot!(page(&receipt(&results), &results), @r"
    SAME     2 same of 2 exchanges; run 090909090909
    pinned   case.retake 070707070707 verified; ran sha256:abababababab, same image, by its config digest
    answers  2 served (2 by parent), 0 missed, 0 never asked for; egress: no network, 0 names asked of the resolver, 0 attempts without a route, 0 things looked for in vain
    held     level 0, order recorded, timing asap; ready: its port accepted after 0.1 s; rules used: /id 2×
    next     retake ls .retake/runs/09.retake
    ");
}

#[test]
fn what_the_level_does_not_claim_stands_below_it() {
    let results = [result(1, Verdict::Same)];
    let mut receipt = receipt(&results);
    receipt.determinism.exclusions = vec!["threads that race".to_owned(), "the wall clock".to_owned()];
    let told = page(&receipt, &results);
    let lines: Vec<&str> = told.lines().collect();
    let held = lines.iter().position(|line| line.starts_with("held ")).unwrap();
    assert_eq!(lines[held + 1], "not held threads that race; the wall clock");
    receipt.determinism.level = None;
    assert!(!page(&receipt, &results).contains("not held"), "no level claims anything");
}

#[test]
fn what_ran_beside_is_named_and_said_not_to_be_compared() {
    let results = [result(1, Verdict::Same)];
    let mut receipt = receipt(&results);
    let db = Beside {
        name: "db".to_owned(),
        image: "postgres:16".to_owned(),
        identity: format!("sha256:{}", "ef".repeat(32)),
        port: 5432,
        dump: Some(DumpProof { path: "shop.sql".to_owned(), digest: Digest([7; 32]), at: "/x/shop.sql".to_owned() }),
        variables: vec!["POSTGRES_PASSWORD".to_owned()],
        ready: Some("its port accepted after 1.2 s".to_owned()),
        calls_not_compared: 3,
    };
    let cache = Beside { name: "cache".to_owned(), image: "redis:7".to_owned(), port: 6379, ..Beside::default() };
    receipt.beside = vec![db, cache];
    receipt.determinism.level = None;
    let text = page(&receipt, &results);
    insta::assert_snapshot!(text.lines().find(|line| line.starts_with("beside")).unwrap(), @"beside   db is postgres:16 sha256:efefefefefef on port 5432, from shop.sql 070707070707, its port accepted after 1.2 s; cache is redis:7  on port 6379; what was asked there was not compared, nor 3 recorded calls to it");
}

#[test]
fn changed_with_all_that_may_have_helped_it_along() {
    let mut results = [result(1, Verdict::Changed), result(2, Verdict::Same)];
    let changes = serde_json::json!([{ "pointer": "/priority", "kind": "changed", "recorded": { "text": "\"high\"", "len": 6 }, "replayed": { "text": "\"low\"", "len": 5 } }]);
    let changes: Vec<Change> = serde_json::from_value(changes).unwrap();
    results[0].comparison = Some(Comparison { changes, ..Comparison::default() });
    let mut receipt = receipt(&results);
    receipt.pinned.used = format!("sha256:{}", "cd".repeat(32));
    receipt.pinned.relation = Relation::OtherImage;
    receipt.replacements = vec!["LLM_API_KEY: a stand-in of the same form, as the secret was not given".to_owned()];
    receipt.environment =
        vec![EnvironmentDifference { what: "kernel".to_owned(), recorded: "6.1".to_owned(), here: "6.2".to_owned() }];
    receipt.service_ended = Some("by itself, with status 1".to_owned());
    insta::assert_snapshot!(page(&receipt, &results), @r#"
    CHANGED  1 changed, 1 same of 2 exchanges; run 090909090909
    pinned   case.retake 070707070707 verified; wanted sha256:abababababab, ran sha256:cdcdcdcdcdcd, another image, as asked
    answers  2 served (2 by parent), 0 missed, 0 never asked for; egress: no network, 0 names asked of the resolver, 0 attempts without a route, 0 things looked for in vain
    held     level 0, order recorded, timing asap; ready: its port accepted after 0.1 s; service ended: by itself, with status 1; differs here: kernel; replaced: LLM_API_KEY: a stand-in of the same form, as the secret was not given; rules used: /id 2×
    differs  1× POST /tickets /priority changed, word: "high" → "low"; retake replay case.retake --only 010101010101
    next     retake show .retake/runs/09.retake 656565656565   (recorded: retake show case.retake 010101010101)
    "#);
}

#[test]
fn diverged_and_a_name_asked() {
    let missed = vec![MissedCall {
        asked: "openai POST /v1/chat/completions".to_owned(),
        nearest: Some("0101 (POST /v1/chat/completions): /model: recorded \"a\", asked \"b\"".to_owned()),
    }];
    let never_asked = vec!["store POST /records (02020202)".to_owned()];
    let results = [result(1, Verdict::Diverged(Divergence { missed, never_asked, ..Divergence::default() }))];
    let mut receipt = receipt(&results);
    receipt.answers = Answers { observed: true, served_anywhere: 1, missed: 1, never_asked: 1, ..Answers::default() };
    receipt.egress.names = Some(vec!["api.example\n".to_owned()]);
    receipt.egress.without_route = Some(1);
    insta::assert_snapshot!(page(&receipt, &results), @r#"
    DIVERGED 1 diverged of 1 exchange; run 090909090909
    pinned   case.retake 070707070707 verified; ran sha256:abababababab, same image, by its config digest
    answers  1 served (1 from elsewhere), 1 missed, 1 never asked for; egress: no network, 1 name asked: api.example\n, 1 attempt without a route, 0 things looked for in vain
    held     level 0, order recorded, timing asap; ready: its port accepted after 0.1 s; rules used: /id 2×
    differs  1× POST /tickets openai POST /v1/chat/completions not recorded: 0101 (POST /v1/chat/completions): /model: recorded "a", asked "b"; also store POST /records never asked; retake replay case.retake --only 010101010101
    next     retake show .retake/runs/09.retake 656565656565   (recorded: retake show case.retake 010101010101)
    "#);
}

#[test]
fn what_the_service_looked_for_in_vain_is_told_with_what_can_be_done() {
    let results = [result(1, Verdict::Changed), result(2, Verdict::Same)];
    let mut receipt = receipt(&results);
    let absent = |number: u8| Absent { what: format!("thing {number} is not there"), help: "record it".to_owned() };
    receipt.absent = (1..=3).map(absent).collect();
    let attempt =
        |address: &str, found| Attempt { transport: Transport::Tcp, address: address.to_owned(), found, count: 9 };
    receipt.egress.attempts =
        Some(vec![attempt("127.0.0.1:9001", Found::Recorded), attempt("127.0.0.1:6379", Found::Nothing)]);
    (receipt.egress.attempts_unread, receipt.egress.attempts_cut) = (1, true);
    insta::assert_snapshot!(page(&receipt, &results), @r"
    CHANGED  1 changed, 1 same of 2 exchanges; run 090909090909
    pinned   case.retake 070707070707 verified; ran sha256:abababababab, same image, by its config digest
    answers  2 served (2 by parent), 0 missed, 0 never asked for; egress: no network, 0 names asked of the resolver, 0 attempts without a route, at least 3 things looked for in vain, 1 connect to where could not be seen
    held     level 0, order recorded, timing asap; ready: its port accepted after 0.1 s; rules used: /id 2×
    absent   thing 1 is not there: record it
    absent   thing 2 is not there: record it
    next     retake show .retake/runs/09.retake 656565656565   (recorded: retake show case.retake 010101010101)
    ");
}

#[test]
fn a_void_names_the_first_thing_in_its_reason_and_the_others_below() {
    let mut receipt = receipt(&[]);
    let absent = |number: u8| Absent { what: format!("thing {number} is not there"), help: "record it".to_owned() };
    receipt.absent = (1..=2).map(absent).collect();
    let reason = "the service ended before it was ready; thing 1 is not there (and one thing more)".to_owned();
    receipt.void = Some(Void { reason, help: "record it".to_owned(), ..Void::default() });
    let text = page(&receipt, &[]);
    assert_eq!(text.matches("thing 1").count(), 1, "{text}");
    assert!(text.contains("absent   thing 2 is not there: record it"), "{text}");
}

#[test]
fn void_says_that_nothing_was_sent_and_observed() {
    let mut receipt = receipt(&[]);
    receipt.void =
        Some(Void { reason: format!("no image{}", "x".repeat(2000)), help: "pull it".to_owned(), ..Void::default() });
    receipt.pinned = Pinned { used: String::new(), relation: Relation::NothingRan, ..receipt.pinned };
    receipt.answers = Answers::default();
    receipt.egress = Egress::default();
    receipt.determinism.level = None;
    receipt.ready = None;
    receipt.rules.clear();
    let text = page(&receipt, &[]).replace(&"x".repeat(300), "");
    insta::assert_snapshot!(text, @r"
    VOID     no imagexxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…
    pinned   case.retake 070707070707 verified; wanted sha256:abababababab, nothing ran
    answers  dependency calls not observed; egress: not prevented, names not observed, addresses not observed, connects not observed
    held     no level, nothing was sent; no rule used
    next     pull it
    ");
}

#[test]
fn gates_that_opened_are_told_once_whether_there_is_a_level_or_not() {
    let results = [result(1, Verdict::Same)];
    let mut receipt = receipt(&results);
    let counts = GateCounts { held: 5, opened: 1, ..GateCounts::default() };
    receipt.determinism.gates = Some(counts);
    let told = |receipt: &Receipt| page(receipt, &results).matches("1 gate opened after 0.5 s").count();
    assert_eq!(told(&receipt), 1);
    receipt.determinism.short = Some(format!("answers: {}", counts.words()));
    assert_eq!(told(&receipt), 1);
    receipt.determinism.level = None;
    assert_eq!(told(&receipt), 1);
    receipt.determinism.gates = Some(GateCounts { opened: 0, ..counts });
    assert_eq!(told(&receipt), 0);
    receipt.determinism.gates = Some(GateCounts { held: 5, unsettled: 2, ..GateCounts::default() });
    assert!(
        page(&receipt, &results)
            .contains("5 held for those that ended first (2 given while the service was still busy)")
    );
}

#[test]
fn a_container_without_network_of_which_calls_were_let_out_is_said_to_be_just_that() {
    let results = [result(1, Verdict::Same)];
    let mut receipt = receipt(&results);
    let url = "http://127.0.0.1:9".to_owned();
    receipt.misses.live = vec![LiveCalls { name: "model".to_owned(), url, calls: 1 }];
    let text = page(&receipt, &results);
    assert!(text.contains("NOT HERMETIC: calls that were not recorded went out, 1 to model"), "{text}");
    assert!(text.contains("egress: no network but for the calls below that were let out, 0 names"), "{text}");
}

#[test]
fn unjudged_where_something_was_skipped_though_all_the_rest_is_same() {
    let results = [result(1, Verdict::Same)];
    let mut receipt = receipt(&results);
    let reason = "its request never came whole".to_owned();
    receipt.skipped = vec![Skipped { id: id(2), title: "POST /tickets".to_owned(), reason }];
    insta::assert_snapshot!(page(&receipt, &results), @r"
    UNJUDGED 1 same, 1 skipped of 2 exchanges; run 090909090909
    pinned   case.retake 070707070707 verified; ran sha256:abababababab, same image, by its config digest
    answers  2 served (2 by parent), 0 missed, 0 never asked for; egress: no network, 0 names asked of the resolver, 0 attempts without a route, 0 things looked for in vain
    held     level 0, order recorded, timing asap; ready: its port accepted after 0.1 s; rules used: /id 2×
    skipped  020202020202 POST /tickets: its request never came whole
    next     retake ls .retake/runs/09.retake
    ");
}

#[test]
fn unjudged_and_interrupted_against_a_service_that_runs_already() {
    let reason = "it was not sent: the replay was stopped before";
    let mut results = [(); 5].map(|()| result(1, Verdict::Unjudged(Unjudged::because(reason))));
    results.iter_mut().for_each(|result| result.replayed_id = None);
    let mut receipt = receipt(&results);
    (receipt.interrupted, receipt.replayed) = (true, 0);
    receipt.pinned = Pinned { used: "127.0.0.1:8000".to_owned(), relation: Relation::NotPinned, ..receipt.pinned };
    receipt.answers = Answers::default();
    receipt.egress = Egress::default();
    receipt.determinism.level = None;
    insta::assert_snapshot!(page(&receipt, &results), @r"
    UNJUDGED 5 unjudged of 5 exchanges; the replay was interrupted; run 090909090909
    pinned   case.retake 070707070707 verified; wanted sha256:abababababab, ran 127.0.0.1:8000, not pinned
    answers  dependency calls not observed; egress: not prevented, names not observed, addresses not observed, connects not observed
    held     no level, nothing was sent; ready: its port accepted after 0.1 s; rules used: /id 2×
    unjudged 010101010101 POST /tickets: it was not sent: the replay was stopped before
    unjudged 010101010101 POST /tickets: it was not sent: the replay was stopped before
    unjudged 010101010101 POST /tickets: it was not sent: the replay was stopped before
    next     retake show case.retake 010101010101
    ");
}
