//! Pages to look at: of attacks, of some exchanges of each kind, of ten thousand.

use diff::{
    Comparison, Divergence, ExchangeResult, Failure, Flaky, MetricStanding, MissedCall, Output, Repeated, Route, Rules,
    Tally, Unjudged, Verdict, compare_documents, compare_responses,
};
use exchange::{Body, Head, Id};
use replayer::receipt::Receipt;
use report::{
    BodyView,
    html::{Call, Case, Chunk, Content, Look, Of, Report, Side, report},
};
use serde_json::{Value, json};

/// Texts that would do something where they are taken for more than text.
pub(crate) const ATTACKS: [&str; 16] = [
    "<script>window.attacked=1</script>",
    "</script><script>window.attacked=1</script>",
    "<img src=x onerror=window.attacked=1>",
    "</style><style>body{background:url(http://127.0.0.1:9/)}</style>",
    "\"><svg onload=window.attacked=1>",
    "' autofocus tabindex=1 onfocus='window.attacked=1",
    "\" style=\"position:fixed;inset:0\" x=\"",
    "javascript:window.attacked=1//",
    "<a href=\"javascript:window.attacked=1\">x</a><base href=//127.0.0.1:9/>",
    "<!--<script>",
    "]]><!DOCTYPE html><iframe srcdoc='<script>parent.attacked=1</script>'></iframe>",
    "{{constructor.constructor('window.attacked=1')()}} ${window.attacked=1} <%= 1 %> #{1}",
    "\u{202e}gnp.exe \u{2066}\u{2028}\u{2029}\u{feff}",
    "\0\u{1b}[2J\u{9b}1m\u{7f}\r\n",
    "&lt;img src=x onerror=window.attacked=1&gt; &#60;b64&#62; \\u003cscript\\u003e",
    "__proto__",
];

/// The corpus, and one text that is very long.
pub(crate) fn attacks() -> Vec<String> {
    let long = ["<img src=x onerror=window.attacked=1>".repeat(2_000), "\u{300}".repeat(50_000)].concat();
    ATTACKS.iter().map(|text| (*text).to_owned()).chain([long]).collect()
}

fn shown(text: &str) -> Value {
    json!({ "text": text, "len": text.len() })
}

pub(crate) fn id(number: u64) -> Id {
    let mut bytes = [0x5a; 16];
    bytes[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    Id(bytes)
}

/// An exchange of which every text is this one.
pub(crate) fn attacked(number: u64, text: &str) -> ExchangeResult {
    let change = json!({
        "pointer": text, "replayed_pointer": text, "kind": "changed", "recorded": shown(text), "replayed": shown(&format!("{text}!")),
        "text": {
            "first_difference": 1, "recorded_excerpt": text, "replayed_excerpt": text, "words_removed": 1, "words_added": 1,
            "hunks": [{ "recorded_line": 1, "replayed_line": 1, "removed": [text], "added": [format!("{text}!"), text] }],
        },
    });
    let comparison = json!({
        "changes": [change], "rules_used": [{ "rule": text, "pointer": text, "count": 1 }], "noise": [noisy(text, text, text)],
        "compared_as": "json",
    });
    let missed = vec![MissedCall { asked: text.to_owned(), nearest: Some(text.to_owned()) }];
    let (extra, never_asked) = (vec![text.to_owned()], vec![text.to_owned()]);
    let verdict = match number % 3 {
        0 => Verdict::Changed,
        1 => Verdict::Diverged(Divergence { missed, extra, never_asked, reordered: false }),
        _ => Verdict::Failed(Failure { reason: text.to_owned() }),
    };
    ExchangeResult {
        id: id(number),
        replayed_id: Some(id(number + 1_000_000)),
        title: format!("POST {text}"),
        route: format!("POST {text}"),
        recorded_status: Some(200),
        replayed_status: Some(500),
        verdict,
        calls_reordered: true,
        trajectory: None,
        comparison: Some(serde_json::from_value::<Comparison>(comparison).unwrap()),
        repeated: Some(Box::new(repeated(text))),
    }
}

/// A difference within noise at this place, in a call where one is named.
fn noisy(place: &str, call: &str, text: &str) -> Value {
    json!({
        "pointer": place, "kind": "changed", "recorded": shown(text), "replayed": shown(&format!("{text}!")),
        "evidence": { "place": place, "call": call, "differed": estimate(30, 30), "runs": ["09".repeat(16)] },
    })
}

fn estimate(events: u64, of: u64) -> Value {
    json!({ "events": events, "of": of, "low": 0.011, "high": 0.2, "exact_low": 0.01, "exact_high": 0.3 })
}

fn repeated(text: &str) -> Repeated {
    let outcome = |verdict: &str, count: u64| json!({ "verdict": verdict, "parsed": "ab".repeat(32), "effects": "cd".repeat(32), "count": count, "first": 0 });
    serde_json::from_value(json!({
        "class": "flaky", "failed": estimate(2, 20), "unjudged": 1, "verdicts": "..c....f...?.........", "distinct_exact": 20,
        "distinct_parsed": 2, "distinct_effects": 1, "first_divergence": 143, "flip_rate": 0.2, "entropy": 0.1,
        "pass_hat": [{ "k": 1, "value": 0.9 }, { "k": 8, "value": 0.4 }], "outcomes": [outcome("same", 18), outcome("changed", 2)],
        "compared_with_first": 19, "apart": [{ "pointer": text, "count": 19, "one": shown(text), "other": shown(text) }],
    }))
    .unwrap()
}

/// A receipt of which every text is this one.
pub(crate) fn receipt(text: &str, results: &[ExchangeResult]) -> Receipt {
    let tally = serde_json::to_value(Tally::of(results)).unwrap();
    serde_json::from_value(json!({
        "run": "09".repeat(16), "sources": [{ "path": text, "verified": true }], "pinned": { "relation": "not-pinned" },
        "replayed": results.len(), "skipped": [{ "id": "07".repeat(16), "title": text, "reason": text }],
        "answers": { "observed": true, "served_by_parent": 2, "served_by_inference": 0, "served_anywhere": 0, "missed": 0, "never_asked": 0 },
        "egress": { "prevented": true, "names": [text] }, "absent": [{ "what": text, "help": text }],
        "determinism": {
            "level": 2, "asked": 3, "short": text, "order": "recorded", "timing": "asap", "exclusions": [text],
            "controls": [
                { "control": "variables", "state": "on", "words": [text] }, { "control": "urandom", "state": "off", "words": [text] },
                { "control": "clock", "state": "failed", "words": [text] },
            ],
        },
        "replacements": [text], "injected": [text], "environment": [{ "what": text, "recorded": text, "here": text }],
        "rules": [{ "rule": text, "pointer": text, "count": 3 }], "headers_not_compared": ["date"], "tally": tally,
        "repeats": {
            "asked": 20, "done": 20, "reset": "container", "confidence": 0.95, "failed": estimate(2, 20),
            "unusual_in_production": estimate(0, 1), "unusual_here": estimate(2, 20), "intervals_overlap": true,
            "production": { "in_flight_max": 1, "took_ms_median": 1.0 }, "here": { "in_flight_max": 1, "took_ms_median": 1.0 },
            "noise": [{ "route": text, "pointer": text, "compared": 19, "differed": 19 }, { "route": text, "pointer": "/created", "compared": 19, "differed": 3 }],
        },
    }))
    .unwrap()
}

fn message(start: &str, kind: &str, body: &str) -> Content {
    let head = Head::new(format!("{start}\r\ncontent-type: {kind}\r\nx-served-by: a\r\n\r\n"));
    let of_body = Body { parts: vec![(0, body.len() as u64).into()], len: body.len() as u64, ..Body::default() };
    Content::of(&BodyView { head: &head, body: &of_body, bytes: body.as_bytes(), started_ns: 0 })
}

/// Both sides of an exchange with these bodies, its calls and its chunks.
pub(crate) fn look(text: &str, recorded: &str, replayed: &str, factor: u64) -> Look {
    let side = |body: &str, is_run: bool, factor: u64| Side {
        began: Some("2026-11-23 19:04:11.123 UTC".to_owned()),
        answered_ns: Some(factor * 400_000),
        took_ns: Some(factor * 1_000_000),
        end: None,
        chunks: (0..12).map(|at| Chunk { at_ns: factor * (400_000 + at * 50_000), len: 120 }).collect(),
        chunks_more: 0,
        calls: calls(text, is_run, factor),
        request: Some(message("POST /tickets HTTP/1.1", "application/json", &json!({ "text": text }).to_string())),
        response: Some(message("HTTP/1.1 200 OK", "application/json", body)),
    };
    Look {
        recorded: Some(side(recorded, false, factor)),
        replayed: Some(side(replayed, true, factor / 2 + 1)),
        troubles: Vec::new(),
    }
}

fn calls(text: &str, is_run: bool, factor: u64) -> Vec<Call> {
    let call = |number: u64, dependency: &str, title: &str, status| Call {
        id: id(number + if is_run { 2_000 } else { 0 }),
        answered_by: is_run.then(|| id(number)),
        dependency: dependency.to_owned(),
        title: title.to_owned(),
        status: Some(status),
        end: "complete",
        began_ns: i64::try_from(factor * 100_000 * number).unwrap(),
        took_ns: factor * 200_000,
        certain: number != 2,
    };
    vec![call(1, "model", "POST /v1/chat/completions", 200), call(2, text, text, if is_run { 502 } else { 200 })]
}

/// A page of which every text is an attack: one case for each.
pub(crate) fn attack_page(texts: &[String]) -> String {
    let results: Vec<Vec<_>> = texts.iter().zip(0..).map(|(text, number)| vec![attacked(number, text)]).collect();
    let receipts: Vec<_> = texts.iter().zip(&results).map(|(text, results)| receipt(text, results)).collect();
    let notes: Vec<_> = texts.iter().map(|text| vec![(text.clone(), text.clone())]).collect();
    let looks: Vec<_> = texts
        .iter()
        .map(|text| {
            move |_: &ExchangeResult| Look {
                troubles: vec![text.clone()],
                ..look(text, text, &format!("{text}\n!"), 9)
            }
        })
        .collect();
    let case = |at: usize| Case {
        name: &texts[at],
        notes: &notes[at],
        exit_code: 1,
        outcome: None,
        recorded: &texts[at],
        replayed: &texts[at],
        command: Some(&texts[at]),
        receipt: Some(&receipts[at]),
        results: &results[at],
        rules_used: &receipts[at].rules,
        standings: &[],
        look: &looks[at],
    };
    let cases: Vec<_> = (0..texts.len()).map(case).collect();
    report(&Report {
        title: &texts[0],
        tool_version: "0.1.0",
        exit_code: 1,
        of: Of::Exchanges,
        missing: &[],
        cases: &cases,
    })
}

/// Where one run stands against another.
fn standings() -> Vec<MetricStanding> {
    let standing =
        |metric: &str, verdict: &str, sides: [f64; 2], bounds: [f64; 2], needed: Option<u64>| MetricStanding {
            metric: metric.to_owned(),
            verdict: verdict.to_owned(),
            pairs: 120,
            before: sides[0],
            after: sides[1],
            difference: bounds.iter().sum::<f64>() / 2.0,
            low: Some(bounds[0]),
            high: Some(bounds[1]),
            margin: if metric == "latency" { 0.25 } else { 0.05 },
            probability: 0.02,
            needed,
        };
    vec![
        standing("failing", "inconclusive", [0.02, 0.04], [-0.021, 0.061], Some(460)),
        standing("latency", "regressed", [210.0, 302.5], [0.31, 0.55], None),
    ]
}

/// Two files on one page.
pub(crate) fn files_page() -> String {
    let (one, other) = (br#"{"id":7,"text":"yes"}"#, br#"{"text":"no","id":7}"#);
    let comparison = compare_documents(one, other, &Rules::strict());
    let side =
        |bytes: &[u8]| Side { response: Some(Content::of_file(bytes, comparison.compared_as)), ..Side::default() };
    let look = Look { recorded: Some(side(one)), replayed: Some(side(other)), troubles: Vec::new() };
    let result = ExchangeResult {
        replayed_id: None,
        recorded_status: None,
        replayed_status: None,
        comparison: Some(comparison),
        ..exchange(3)
    };
    let case = Case {
        name: "got.json",
        notes: &[],
        exit_code: 1,
        outcome: None,
        recorded: "expected.json",
        replayed: "got.json",
        command: None,
        receipt: None,
        results: &[result],
        rules_used: &[],
        standings: &[],
        look: &|_| look.clone(),
    };
    let title = "got.json against expected.json";
    report(&Report { title, tool_version: "0.1.0", exit_code: 1, of: Of::Files, missing: &[], cases: &[case] })
}

/// Pairs of bodies that look alike where they are shown: text with and without a line feed at its end, bytes that part behind what is
/// shown of them, and text that does.
pub(crate) fn alike_pairs() -> Vec<(&'static str, Vec<u8>, Vec<u8>)> {
    let bytes = |at: usize, len: usize| {
        let mut bytes: Vec<u8> = (0..len).map(|at| u8::try_from(at % 200).unwrap() | 0x80).collect();
        bytes[at] = 0;
        bytes
    };
    let text = |last: &str| format!("{}{last}\n", "one line of many\n".repeat(2_000)).into_bytes();
    vec![
        ("text/plain", b"a".to_vec(), b"a\n".to_vec()),
        ("application/octet-stream", bytes(1_024, 2_000), bytes(1_500, 2_000)),
        ("application/octet-stream", bytes(1_024, 2_000), bytes(1_500, 2_345)),
        ("text/plain", text("the last"), text("the end")),
    ]
}

/// A page of these pairs, one exchange each.
pub(crate) fn alike_page() -> String {
    let pairs = alike_pairs();
    let content = |kind: &str, bytes: &[u8]| {
        let head = Head::new(format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n\r\n"));
        let body = Body { parts: vec![(0, bytes.len() as u64).into()], len: bytes.len() as u64, ..Body::default() };
        Content::of(&BodyView { head: &head, body: &body, bytes, started_ns: 0 })
    };
    let result = |(number, (kind, one, other)): (u64, &(&str, Vec<u8>, Vec<u8>))| {
        let head = Head::new(format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n\r\n"));
        let output = |body| Output { head: &head, body, complete: true, whole: true };
        let comparison = compare_responses(&output(one), &output(other), &Rules::strict(), &Route::default());
        ExchangeResult { comparison: Some(comparison), repeated: None, ..exchange(3 + number * 40) }
    };
    let results: Vec<ExchangeResult> = (0..).zip(&pairs).map(result).collect();
    let look = |result: &ExchangeResult| {
        let at = results.iter().position(|it| it.id == result.id).unwrap();
        let (kind, one, other) = &pairs[at];
        let side = |bytes: &[u8]| Some(Side { response: Some(content(kind, bytes)), ..Side::default() });
        Look { recorded: side(one), replayed: side(other), troubles: Vec::new() }
    };
    let case = Case {
        name: "case.retake",
        notes: &[],
        exit_code: 1,
        outcome: None,
        recorded: "case.retake",
        replayed: ".retake/runs/5f0c1a.retake",
        command: None,
        receipt: None,
        results: &results,
        rules_used: &[],
        standings: &[],
        look: &look,
    };
    report(&Report {
        title: "alike",
        tool_version: "0.1.0",
        exit_code: 1,
        of: Of::Exchanges,
        cases: &[case],
        missing: &[],
    })
}

/// A page with these results of one case.
pub(crate) fn page(results: &[ExchangeResult], exit_code: u8, with_receipt: bool) -> String {
    let receipt = receipt("words", results);
    let body = |priority: &str| {
        let notes: Vec<_> = (0..18).map(|at| json!({ "at": at, "text": format!("note {at}") })).collect();
        json!({ "id": 7, "labels": ["billing", "overdue"], "notes": notes, "priority": priority, "summary": "The customer asks for a refund." }).to_string()
    };
    let look = |result: &ExchangeResult| {
        let factor = 20 + u64::from(result.id.0[3]);
        let replayed =
            if matches!(result.verdict, Verdict::Changed | Verdict::Flaky(_)) { body("low") } else { body("high") };
        let mut look = look("store", &body("high"), &replayed, factor);
        if results.len() > 500 && matches!(result.verdict, Verdict::Same | Verdict::Noise) {
            for side in [&mut look.recorded, &mut look.replayed].into_iter().flatten() {
                (side.request, side.response) = (None, None);
            }
        }
        look
    };
    let standings = standings();
    let case = Case {
        name: "case.retake",
        notes: &[],
        exit_code,
        outcome: None,
        recorded: "case.retake",
        replayed: ".retake/runs/5f0c1a.retake",
        command: Some("retake replay case.retake --ignore /id --only"),
        receipt: with_receipt.then_some(&receipt),
        results,
        rules_used: &[],
        // What has no receipt is a comparison of two runs.
        standings: if with_receipt { &[] } else { &standings },
        look: &look,
    };
    report(&Report {
        title: "replay of case.retake",
        tool_version: "0.1.0",
        exit_code,
        of: Of::Exchanges,
        missing: &[],
        cases: &[case],
    })
}

/// So many exchanges of all kinds, one in four not the same.
pub(crate) fn exchanges(count: u64) -> Vec<ExchangeResult> {
    (0..count).map(exchange).collect()
}

fn exchange(number: u64) -> ExchangeResult {
    let routes = ["POST /tickets", "GET /tickets/*", "POST /v1/chat/completions"];
    let route = routes[usize::try_from(number % 3).unwrap()];
    let missed = vec![MissedCall {
        asked: "store PUT /records/7".to_owned(),
        nearest: Some("the same path, where /text differs".to_owned()),
    }];
    let verdict = match number % 40 {
        0 => Verdict::Failed(Failure {
            reason: "the service closed the connection before its answer was whole".to_owned(),
        }),
        1 | 2 => Verdict::Diverged(Divergence { missed, ..Divergence::default() }),
        3..=6 => Verdict::Changed,
        7 => Verdict::Flaky(Flaky { failed: 2, of: 20 }),
        8 => Verdict::Unjudged(Unjudged::because("the recording kept a part of the answer only; that part is equal")),
        9 | 10 => Verdict::Noise,
        _ => Verdict::Same,
    };
    let changes = match verdict {
        Verdict::Changed | Verdict::Flaky(_) => vec![
            json!({ "pointer": "/priority", "kind": "changed", "recorded": shown("\"high\""), "replayed": shown("\"low\"") }),
            json!({ "pointer": "/notes/3", "replayed_pointer": "/notes/2", "kind": "removed", "recorded": shown("{\"at\":3}") }),
            json!({ "pointer": "header:x-model", "kind": "added", "replayed": shown("small-2") }),
        ],
        _ => Vec::new(),
    };
    let noise = match verdict {
        Verdict::Noise => {
            let (id, call) = ("\"9b9a6c1e-4f7d-4a52-9c7e-1d2f3a4b5c6d\"", "model POST /v1/chat/completions");
            vec![noisy("/id", "", id), noisy("dep:model:/user", call, id)]
        }
        _ => Vec::new(),
    };
    let comparison = json!({ "changes": changes, "noise": noise, "compared_as": "json" });
    ExchangeResult {
        id: id(number),
        replayed_id: Some(id(number + 1_000_000)),
        title: route.replace('*', &number.to_string()),
        route: route.to_owned(),
        recorded_status: Some(200),
        replayed_status: Some(if matches!(verdict, Verdict::Failed(_)) { 502 } else { 200 }),
        repeated: matches!(verdict, Verdict::Flaky(_)).then(|| Box::new(repeated("/priority"))),
        verdict,
        calls_reordered: false,
        trajectory: None,
        comparison: Some(serde_json::from_value(comparison).unwrap()),
    }
}
