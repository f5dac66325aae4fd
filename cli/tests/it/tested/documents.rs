//! What other programs read: JSON by its schema, JUnit by its schemas and a real consumer.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::Suite;
use crate::{retake, shipped::skipped};

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

/// A suite with each outcome that there is without an interruption.
fn suite_of_all_kinds() -> Suite {
    let suite = Suite::new();
    suite.case("changed", &[3], "ticket = 'BUG-3'\nowner = 'team <a>'\nwhy = 'a \"quoted\" & <b>why</b>'\n");
    suite.case("known", &[13], "expect = 'changed'\n");
    suite.case("off", &[2], "skip = 'needs a GPU'\n");
    suite.case("steady", &[1], "repeat = 2\n");
    suite.tickets.seal_on_another_processor(&suite.path("void.retake"), 4);
    suite.write("void.toml", "strict-env = true\n");
    suite.damaged("damaged");
    suite
}

/// Runs a Python program that needs these modules; `None` where there is no Python with them, which is said.
fn python(test: &str, modules: &[&str], program: &str, arguments: &[&Path]) -> Option<String> {
    let imports = format!("import {}", modules.join(", "));
    let has = Command::new("python3").args(["-c", &imports]).output().is_ok_and(|output| output.status.success());
    if !has {
        skipped(test, &format!("no python3 with {}", modules.join(" and ")));
        return None;
    }
    let output = Command::new("python3").args(["-c", program]).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn the_document_keeps_to_its_published_schema() {
    let suite = suite_of_all_kinds();
    let ran = suite.test("summary", &["--results", "results.json"]);
    assert_eq!(ran.code, 2, "{}{}", ran.out, ran.err);
    let program = "
import json, sys, jsonschema
schema, document = (json.load(open(path)) for path in sys.argv[1:3])
validator = jsonschema.Draft202012Validator(schema)
jsonschema.Draft202012Validator.check_schema(schema)
errors = list(validator.iter_errors(document))
assert not errors, errors[:3]
assert {case['outcome'] for case in document['cases']} == {'failed', 'known-failure', 'skipped', 'passed', 'inconclusive', 'trouble'}
document['cases'][0]['outcome'] = 'fine'
assert list(validator.iter_errors(document)), 'the schema refuses what is none'
";
    let (schema, results) = (docs().join("schema/test-0.json"), suite.folder.path().join("results.json"));
    python("the_document_keeps_to_its_published_schema", &["jsonschema"], program, &[&schema, &results]);
}

#[test]
fn junit_keeps_to_its_schemas_and_is_read_by_a_consumer() {
    let suite = suite_of_all_kinds();
    assert_eq!(suite.test("summary", &["--junit", "junit.xml"]).code, 2);
    let junit = suite.folder.path().join("junit.xml");
    let text = fs::read_to_string(&junit).unwrap();
    assert!(text.contains("tests=\"6\" failures=\"1\" errors=\"2\"") && text.contains("skipped=\"2\""), "{text}");
    let program = "
import sys
from junitparser import JUnitXml, Failure, Error, Skipped
xml = JUnitXml.fromfile(sys.argv[1])
suite = next(iter(xml))
kinds = {case.name: [type(result).__name__ for result in case.result] for case in suite}
assert kinds == {'changed': ['Failure'], 'damaged': ['Error'], 'known': ['Skipped'], 'off': ['Skipped'], 'steady': [], 'void': ['Error']}, kinds
changed = next(case for case in suite if case.name == 'changed')
assert '<b>why</b>' in changed.result[0].text and '/summary' in changed.result[0].message
assert changed.classname == 'cases' and changed.time > 0
assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (6, 1, 2, 2)
";
    python("junit_keeps_to_its_schemas_and_is_read_by_a_consumer", &["junitparser"], program, &[&junit]);
    let program = "
import sys, xmlschema
for path in sys.argv[2:]:
    xmlschema.XMLSchema(path).validate(sys.argv[1])
";
    let schemas: Vec<PathBuf> = junit_schemas();
    if schemas.is_empty() {
        return skipped("junit_keeps_to_its_schemas_and_is_read_by_a_consumer", "RETAKE_JUNIT_XSD names no schemas");
    }
    let paths: Vec<&Path> = [junit.as_path()].into_iter().chain(schemas.iter().map(PathBuf::as_path)).collect();
    python("junit_keeps_to_its_schemas_and_is_read_by_a_consumer", &["xmlschema"], program, &paths);
}

#[test]
fn junit_without_skipped_cases_keeps_to_ants_schema() {
    const TEST: &str = "junit_without_skipped_cases_keeps_to_ants_schema";
    // Its edition that packages have knows no skipped cases.
    let Some(schema) = std::env::var_os("RETAKE_JUNIT_ANT_XSD").map(PathBuf::from).filter(|path| path.exists()) else {
        return skipped(TEST, "RETAKE_JUNIT_ANT_XSD names no schema");
    };
    let suite = suite_of_all_kinds();
    let only: Vec<&str> = ["changed", "damaged", "steady", "void"].iter().flat_map(|case| ["--only", case]).collect();
    assert_eq!(suite.test("summary", &[&["--junit", "junit.xml"], &only[..]].concat()).code, 2);
    let junit = suite.folder.path().join("junit.xml");
    let text = fs::read_to_string(&junit).unwrap();
    assert!(text.contains("tests=\"4\" failures=\"1\" errors=\"2\"") && !text.contains("skipped"), "{text}");
    let program = "
import sys, xmlschema
schema = xmlschema.XMLSchema(sys.argv[2])
schema.validate(sys.argv[1])
assert not schema.is_valid(open(sys.argv[1]).read().replace('timestamp=', 'when=')), 'the schema refuses what is none'
";
    python(TEST, &["xmlschema"], program, &[&junit, &schema]);
}

#[test]
fn a_page_for_a_browser_is_written_also_from_results_whose_runs_are_gone() {
    let suite = suite_of_all_kinds();
    assert_eq!(suite.test("summary", &["--html", "page.html", "--results", "results.json"]).code, 2);
    let page = |name: &str| fs::read_to_string(suite.folder.path().join(name)).unwrap();
    assert!(page("page.html").starts_with("<!doctype html>") && page("page.html").contains("test of cases"));
    fs::remove_dir_all(suite.folder.path().join(".retake")).unwrap();
    let ran = retake(suite.folder.path(), &["test", "--merge", "results.json", "--html", "later.html"]);
    assert_eq!(ran.code, 2, "{}{}", ran.out, ran.err);
    assert!(page("later.html").contains("test of cases"));
}

#[test]
fn a_page_calls_a_known_failure_and_a_skipped_case_what_they_are() {
    let suite = suite_of_all_kinds();
    let only = ["--only", "known", "--only", "off", "--html", "page.html"];
    assert_eq!(suite.test("summary", &only).code, 0);
    let page = fs::read_to_string(suite.folder.path().join("page.html")).unwrap();
    assert!(page.contains("<title>known failure: test of cases"), "{}", &page[..2_000]);
    assert!(page.contains("</span>skipped</span>") && !page.contains("</span>same</span>"));
}

/// Schemas of JUnit's XML: those of packages, which are not ours to keep here. `RETAKE_JUNIT_XSD` names them, with colons.
fn junit_schemas() -> Vec<PathBuf> {
    let named = std::env::var_os("RETAKE_JUNIT_XSD").unwrap_or_default();
    std::env::split_paths(&named).filter(|path| !path.as_os_str().is_empty()).collect()
}
