//! A day of CI, acted out: many bundles, a new version with three regressions, one case that is flaky, one that cannot be
//! judged here, one that is damaged.

use std::fs;

use super::{Suite, case, outcomes, process};
use crate::{contained::Image, retake, shipped::docker};

/// Three regressions of the new version: a summary, a status, a priority. And a service that is flaky. It is what its environment
/// has behind `TRIAGE_DEFECTS=`.
const NEW: &str = "summary,status,coin TRIAGE_RULES=2";

/// Fills the folder: `count` bundles of three tickets each, in which the regressions are as rare as they are.
fn fill(suite: &Suite, count: usize) {
    let repriced = suite.tickets.repriced();
    let is_plain = |digit| {
        let mut numbers = suite.tickets.ending_in(digit, |_| true);
        numbers.retain(|number| !repriced.contains(number));
        numbers
    };
    let plain: Vec<u64> = [0, 1, 2, 4, 6, 8, 9].into_iter().flat_map(is_plain).collect();
    let (cut, refused) = (is_plain(3), is_plain(5));
    for number in 0..count {
        let mut records: Vec<u64> = (0..3).map(|at| plain[(number * 3 + at) % plain.len()]).collect();
        match number {
            3 | 11 => records.push(cut[number % cut.len()]),
            5 => records.extend(repriced.iter().find(|number| ![3, 5, 7].contains(&(*number % 10)))),
            7 => records.push(refused[0]),
            _ => {}
        }
        records.sort_unstable();
        records.dedup();
        let file = format!("ticket = 'BUG-{number}'\nowner = 'team-{}'\n", number % 3);
        suite.case(&format!("area-{}/bug-{number:02}", number % 4), &records, &file);
    }
    let coins = suite.tickets.ending_in(7, |answer| answer["category"] != "other");
    let coin = *coins.iter().find(|number| !repriced.contains(number)).unwrap();
    suite.case("flaky", &[coin], "repeat = 20\ndeterminism = 0\nwhy = 'an answer that changes by itself'\n");
    suite.tickets.seal_on_another_processor(&suite.path("gpu.retake"), 4);
    suite.write("gpu.toml", "strict-env = true\nwhy = 'must run where it was recorded'\n");
}

/// What a reader of the summary alone has to be told.
fn check_summary(summary: &str, failed: usize) {
    assert!(summary.starts_with("## retake test: failed\n"), "{summary}");
    assert!(summary.contains(&format!("**{failed} failed, 1 inconclusive, ")), "{summary}");
    for wanted in [
        "POST /tickets /summary changed",
        "POST /tickets status changed",
        "POST /tickets /priority changed",
        "/category changed",
        "`flaky`",
        " of 20 failed, ",
        "cpu model was Imaginary 1",
        "BUG-3",
        "BUG-5",
        "BUG-7",
        "retake test cases --only area-3/bug-03",
        "Differences hidden by rules: `/",
        "in 2 cases: `area-3/bug-03`, `area-3/bug-11`",
    ] {
        assert!(summary.contains(wanted), "{wanted}\n{summary}");
    }
    assert!(summary.len() < 65_536);
}

#[test]
fn a_summary_tells_what_a_new_version_broke() {
    let suite = Suite::new();
    fill(&suite, 12);
    let ran = suite.test(NEW, &["--summary", "summary.md", "--junit", "junit.xml"]);
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    check_summary(&fs::read_to_string(suite.folder.path().join("summary.md")).unwrap(), 5);
    assert!(ran.out.contains("5 failed, 1 inconclusive, 8 passed of 14 cases"), "{}", ran.out);
    // Before the new version there was nothing but what cannot be judged here.
    let ran = suite.test("", &[]);
    assert_eq!(ran.code, 3, "{}{}", ran.out, ran.err);
}

#[test]
fn each_combination_of_regressed_flaky_and_void_cases_has_its_exit_code_and_damage_beats_them() {
    let suite = Suite::new();
    suite.case("pass", &[1], "");
    suite.case("regressed", &[3], "");
    let coin = suite.tickets.ending_in(7, |answer| answer["category"] != "other")[0];
    suite.case("flaky", &[coin], "repeat = 20\ndeterminism = 0\n");
    suite.tickets.seal_on_another_processor(&suite.path("void.retake"), 4);
    suite.write("void.toml", "strict-env = true\n");
    suite.damaged("damaged");
    let names = ["regressed", "flaky", "void", "damaged"];
    // The last two are with damage beside nothing and beside all.
    for chosen in [0_usize, 1, 2, 3, 4, 5, 6, 7, 8, 15] {
        let is = |bit: usize| chosen & (1 << bit) != 0;
        let only: Vec<&str> = names.into_iter().enumerate().filter(|(bit, _)| is(*bit)).map(|(_, name)| name).collect();
        let wanted = match (is(3), is(0) || is(1), is(2)) {
            (true, ..) => 2,
            (false, true, _) => 1,
            (false, false, true) => 3,
            (false, false, false) => 0,
        };
        let words: Vec<&str> = ["pass"].iter().chain(&only).flat_map(|name| ["--only", name]).collect();
        let (code, document) = suite.document("summary,coin", &words);
        assert_eq!((code, &document["exit_code"]), (wanted, &wanted.into()), "{only:?}: {:?}", outcomes(&document));
        assert_eq!(document["cases"].as_array().unwrap().len(), only.len() + 1);
        assert_eq!(case(&document, "pass")["outcome"], "passed");
    }
}

/// The same day with 40 bundles and images: the recorded one is pinned, the new one differs by what its environment says.
#[test]
fn slow_cases_forty_bundles_and_a_new_image() {
    if !docker("slow_cases_forty_bundles_and_a_new_image") {
        return;
    }
    let suite = Suite::new();
    fill(&suite, 38);
    let defects = format!("ENV TRIAGE_DEFECTS={NEW}");
    let image = Image::of_triage("cases-new", &["ENTRYPOINT [\"/triage\"]", &defects]);
    let name = image.0.clone();
    let ran = retake(
        suite.folder.path(),
        &[
            "test",
            "cases",
            "--image",
            &name,
            "--summary",
            "summary.md",
            "--junit",
            "junit.xml",
            "--results",
            "results.json",
        ],
    );
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    let summary = fs::read_to_string(suite.folder.path().join("summary.md")).unwrap();
    assert!(summary.contains("of 40 cases"), "{summary}");
    check_summary(&summary, 5);
    // In four parts, put together, it is the same.
    for part in 1..=4 {
        let (shard, file) = (format!("{part}/4"), format!("part-{part}.json"));
        let words =
            ["test", "cases", "--image", &name, "--shard", &shard, "--results", &file, "--balance", "results.json"];
        retake(suite.folder.path(), &words);
    }
    let parts = ["part-1.json", "part-2.json", "part-3.json", "part-4.json"];
    let merged = retake(suite.folder.path(), &[&["test", "--json", "--merge"][..], &parts].concat());
    assert_eq!((merged.code, merged.json()["cases"].as_array().unwrap().len()), (1, 40), "{}", merged.err);
    let whole: serde_json::Value =
        serde_json::from_slice(&fs::read(suite.folder.path().join("results.json")).unwrap()).unwrap();
    assert_eq!(outcomes(&merged.json()), outcomes(&whole));
    // The same service as a process says the same.
    let by_process = retake(suite.folder.path(), &["test", "cases", "--process", &process(NEW), "--json"]);
    assert_eq!(outcomes(&by_process.json()), outcomes(&whole));
}
