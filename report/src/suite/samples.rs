//! A suite for tests: one case of each outcome, with texts that a stranger could have written.

use diff::{Estimate, NoiseEvidence, NoiseUse, RuleUse};
use replayer::{NoiseProof, receipt::Receipt};
use serde_json::{Value, json};

use super::{About, CaseReplay, CaseResult, Outcome, Suite, SuiteTally};

fn receipt(void: Option<Value>) -> Receipt {
    let receipt = json!({
        "run": "09".repeat(16), "void": void, "sources": [], "replayed": 1, "skipped": [],
        "pinned": { "relation": "other-image" },
        "answers": {
            "observed": true, "served_by_parent": 2, "served_by_inference": 0, "served_anywhere": 0, "missed": 0,
            "never_asked": 0,
        },
        "egress": { "prevented": true }, "determinism": { "order": "recorded", "timing": "asap" },
        "replacements": [], "injected": [], "environment": [], "rules": [], "headers_not_compared": [],
        "tally": { "same": 0, "noise": 0, "changed": 0, "failed": 0, "diverged": 0, "unjudged": 0 },
    });
    serde_json::from_value(receipt).unwrap()
}

fn result(number: u8, change: Option<Value>) -> Value {
    let verdict = if change.is_some() { "changed" } else { "same" };
    json!({
        "id": format!("{number:02x}").repeat(16), "title": "POST /tickets", "route": "POST /tickets", "verdict": verdict,
        "comparison": { "changes": change.into_iter().collect::<Vec<_>>(), "compared_as": "json" },
    })
}

/// A change of a value that came from a response.
fn change(replayed: &str) -> Value {
    let shown = |text: &str| json!({ "text": text, "len": text.len() });
    json!({ "pointer": "/priority", "kind": "changed", "recorded": shown("\"high\""), "replayed": shown(replayed) })
}

pub(crate) fn case(name: &str, outcome: Outcome, verdict: &str, reasons: &[&str], results: Vec<Value>) -> CaseResult {
    let void = (verdict == "void").then(|| json!({ "reason": reasons.first(), "help": "" }));
    let replay = CaseReplay {
        receipt: receipt(void),
        results: serde_json::from_value(Value::Array(results)).unwrap(),
        run_path: format!(".retake/runs/{}.retake", "09".repeat(16)),
        exit_code: outcome.exit_code(),
    };
    let ran = !matches!(outcome, Outcome::Skipped | Outcome::NotRun | Outcome::Trouble);
    CaseResult {
        name: name.to_owned(),
        bundle: format!("cases/{name}.retake"),
        digest: None,
        about: About::default(),
        expect: "pass".to_owned(),
        outcome,
        exit_code: outcome.exit_code(),
        verdict: verdict.to_owned(),
        reasons: reasons.iter().map(|&reason| reason.to_owned()).collect(),
        notes: Vec::new(),
        reproduce: format!("retake test cases --only {name} --image triage:next"),
        took_ms: if ran { 1_250 } else { 0 },
        replays: if ran { vec![replay] } else { Vec::new() },
    }
}

/// A case that passed: of its exchanges one is the same, and two have noise.
pub(crate) fn noisy(name: &str) -> CaseResult {
    let evidence = |place: &str| NoiseEvidence { place: place.to_owned(), ..NoiseEvidence::default() };
    let result_with_noise = |number: u8, place: &str| {
        let differed = serde_json::to_value(Estimate::default()).unwrap();
        let noise =
            json!({ "pointer": place, "kind": "changed", "evidence": { "place": place, "differed": differed } });
        let mut result = result(number, None);
        result["verdict"] = "noise".into();
        result["comparison"]["noise"] = json!([noise]);
        result
    };
    let results = vec![result(6, None), result_with_noise(7, "/id"), result_with_noise(8, "sse:/id")];
    let mut case = case(name, Outcome::Passed, "noise", &[], results);
    let used = |place: &str, count| NoiseUse { route: "POST /tickets".to_owned(), count, evidence: evidence(place) };
    let receipt = &mut case.replays[0].receipt;
    receipt.noise =
        Some(Box::new(NoiseProof { hidden: vec![used("/id", 2), used("sse:/id", 1)], ..NoiseProof::default() }));
    receipt.rules =
        vec![RuleUse { rule: "/created".to_owned(), pointer: "/created".to_owned(), count: 3, reason: None }];
    case
}

pub(crate) fn suite() -> Suite {
    let nasty = "\"<script>alert(1)</script> `|` ]]>\n@everyone #1\"";
    let mut changed =
        case("bug-1234", Outcome::Failed, "changed", &[], vec![result(1, Some(change(nasty))), result(2, None)]);
    changed.about = About {
        ticket: "BUG-1234".to_owned(),
        owner: "team-triage".to_owned(),
        why: "an urgent ticket lost its priority".to_owned(),
        run_book: "https://wiki.example/triage".to_owned(),
        tags: Vec::new(),
    };
    let cases = vec![
        changed,
        case("checkout/total", Outcome::Failed, "changed", &[], vec![result(3, Some(change("\"low\"")))]),
        case("damaged", Outcome::Trouble, "trouble", &["block 3 does not verify"], Vec::new()),
        case("known", Outcome::KnownFailure, "changed", &[], vec![result(4, Some(change("\"low\"")))]),
        case("later", Outcome::NotRun, "not run", &[], Vec::new()),
        case("off", Outcome::Skipped, "skipped", &["needs a GPU"], Vec::new()),
        case("steady", Outcome::Passed, "same", &[], vec![result(5, None)]),
        case("void", Outcome::Inconclusive, "void", &["`/models` is not here"], Vec::new()),
    ];
    let tally = SuiteTally::of(cases.iter().map(|case| case.outcome));
    Suite {
        folder: "cases".to_owned(),
        against: "--image triage:next".to_owned(),
        tool_version: "0.1.0".to_owned(),
        started_unix_ns: 1_795_460_651_123_000_000,
        shard: None,
        missing_parts: Vec::new(),
        exit_code: tally.exit_code(),
        interrupted: true,
        tally,
        cases,
    }
}
