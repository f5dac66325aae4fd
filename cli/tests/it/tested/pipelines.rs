//! The pipelines of `docs/ci`, as far as they run without their service: the steps are taken out of the files and executed, in
//! their order and with the variables that the service would set, against a real engine.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::tempdir;

use super::{Suite, process};
use crate::{contained::Image, retake, shipped::docker};

fn pipeline(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/ci").join(name)).unwrap()
}

/// The scripts of a workflow, by the step's name.
fn steps(workflow: &str) -> BTreeMap<String, String> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let lines: Vec<&str> = workflow.lines().collect();
    let mut steps = BTreeMap::new();
    let mut name = String::new();
    for (at, line) in lines.iter().enumerate() {
        if let Some(text) = line.trim_start().strip_prefix("- name: ") {
            text.clone_into(&mut name);
        }
        let Some(script) = line.trim_start().strip_prefix("run: ") else { continue };
        let body = lines[at + 1..].iter().take_while(|next| next.is_empty() || indent(next) > indent(line));
        let script = if script == "|" { body.copied().collect::<Vec<_>>().join("\n") } else { script.to_owned() };
        steps.insert(name.clone(), script);
    }
    steps
}

/// A checkout with cases, `./retake` beside them, and an image to test.
struct Checkout {
    suite: Suite,
    image: Image,
}

impl Checkout {
    fn new(name: &str) -> Self {
        let suite = Suite::new();
        for record in [1, 2, 3, 4, 6, 8] {
            suite.case(&format!("case-{record}"), &[record], "");
        }
        let image = Image::of_triage(name, &["ENTRYPOINT [\"/triage\"]", "ENV TRIAGE_DEFECTS=summary"]);
        Self { suite, image }
    }

    /// The address of a tarball as `scripts/dist` makes it, for the step that installs Retake.
    fn tarball(&self) -> String {
        let folder = tempdir().unwrap();
        let path = self.path("retake-0.1.0-x86_64-linux.tar.gz");
        let inner = folder.path().join("retake-0.1.0-x86_64-linux");
        fs::create_dir(&inner).unwrap();
        symlink(env!("CARGO_BIN_EXE_retake"), inner.join("retake")).unwrap();
        let mut tar = Command::new("tar");
        tar.arg("-czf").arg(&path).arg("-C").arg(folder.path()).arg(inner.file_name().unwrap());
        assert!(tar.status().unwrap().success());
        format!("file://{}", path.display())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.suite.folder.path().join(name)
    }

    /// Runs a step as a runner does: a shell that stops at the first error.
    fn run(&self, shell: &[&str], script: &str, variables: &[(&str, &str)]) -> Option<i32> {
        let mut step = Command::new(shell[0]);
        step.args(&shell[1..]).arg(script).current_dir(self.suite.folder.path());
        step.env("CANDIDATE", &self.image.0).envs(variables.iter().copied());
        let output = step.output().unwrap();
        eprintln!("{script}\n{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        output.status.code()
    }

    fn check_reports(&self) {
        let summary = fs::read_to_string(self.path("summary.md")).unwrap();
        assert!(summary.contains("**1 failed, 5 passed** of 6 cases"), "{summary}");
        assert!(fs::read_to_string(self.path("junit.xml")).unwrap().contains("tests=\"6\" failures=\"1\""));
        let page = fs::read_to_string(self.path("report.html")).unwrap();
        assert!(page.contains("case-3") && page.contains("\"replayed\":{\""), "the runs are there to be shown");
    }
}

#[test]
fn docker_the_github_workflow_tests_in_parts_and_reports_once() {
    if !docker("docker_the_github_workflow_tests_in_parts_and_reports_once") {
        return;
    }
    const BASH: &[&str] = &["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c"];
    let checkout = Checkout::new("cases-github");
    let steps = steps(&pipeline("github.yml"));
    let tarball = checkout.tarball();
    assert_eq!(checkout.run(BASH, &steps["Install Retake"], &[("RETAKE_TARBALL", &tarball)]), Some(0));
    for part in ["1", "2", "3", "4"] {
        assert_eq!(checkout.run(BASH, &steps["Test"], &[("PART", part)]), Some(0), "what differs is judged at the end");
        assert!(checkout.path(&format!("part-{part}.json")).exists());
    }
    assert_eq!(checkout.run(BASH, &steps["Put the parts together"], &[]), Some(1));
    checkout.check_reports();
    let page = checkout.path("step-summary.md");
    let variables = [("GITHUB_STEP_SUMMARY", page.to_str().unwrap()), ("NUMBER", "1"), ("GH_TOKEN", "none")];
    assert_eq!(checkout.run(BASH, &steps["Summarise"], &variables), Some(0));
    assert_eq!(fs::read_to_string(page).unwrap(), fs::read_to_string(checkout.path("summary.md")).unwrap());
    // Trouble ends the part itself.
    fs::remove_dir_all(checkout.path("cases")).unwrap();
    assert_eq!(checkout.run(BASH, &steps["Test"], &[("PART", "1")]), Some(1));
}

#[test]
fn docker_the_gitlab_job_tests_in_parts_and_reports_once() {
    if !docker("docker_the_gitlab_job_tests_in_parts_and_reports_once") {
        return;
    }
    let checkout = Checkout::new("cases-gitlab");
    let file = pipeline("gitlab.yml");
    let install =
        file.lines().find_map(|line| line.trim_start().strip_prefix("- ").filter(|it| it.starts_with("curl")));
    assert_eq!(checkout.run(&["sh", "-ec"], install.unwrap(), &[("RETAKE_TARBALL", &checkout.tarball())]), Some(0));
    let script = |word: &str| {
        let line = file.lines().find(|line| line.trim_start().starts_with("- ./retake test") && line.contains(word));
        line.unwrap().trim_start().trim_start_matches("- ").to_owned()
    };
    for part in ["1", "2", "3", "4"] {
        let variables = [("CI_NODE_INDEX", part), ("CI_NODE_TOTAL", "4")];
        assert_eq!(checkout.run(&["sh", "-ec"], &script("--shard"), &variables), Some(0));
    }
    assert_eq!(checkout.run(&["sh", "-ec"], &script("--merge"), &[]), Some(1));
    checkout.check_reports();
}

#[test]
fn a_store_left_by_the_tests_of_many_cases_at_a_time_is_whole() {
    let suite = Suite::new();
    for record in [1, 2, 4, 6] {
        suite.case(&format!("case-{record}"), &[record], "");
    }
    let ran = suite.test("", &["--jobs", "4"]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    let runs = retake(suite.folder.path(), &["runs", "--json"]).json();
    assert_eq!(runs["runs"].as_array().unwrap().len(), 4);
    assert_eq!(retake(suite.folder.path(), &["verify", ".retake"]).code, 0);
    // Kept: names and outcomes, and nothing of what was answered.
    let last = fs::read_dir(suite.folder.path().join(".retake/tests")).unwrap().next().unwrap().unwrap().path();
    let last = fs::read_to_string(last).unwrap();
    assert!(last.contains("\"case-1\":\"passed\"") && !last.contains("priority"), "{last}");
    let again =
        retake(suite.folder.path(), &["test", "cases", "--process", &process(""), "--cpus", "1", "--jobs", "8"]);
    assert_eq!(again.code, 0, "{}{}", again.out, again.err);
}
