//! `retake diagnose`: why a workflow failed. What is read here is judged in the crate `diagnose`.

mod judged;
mod seen;

use std::collections::BTreeSet;

use diagnose::flakiness::{AnswerPair, Diagnosis, RunSeen, diagnose as diagnose_flakiness};
use diff::Class;
use report::{diagnosis_json, diagnosis_page};

use self::{
    judged::JudgedBy,
    seen::{Answers, read_run},
};
use crate::{
    args::{DiagnoseArgs, Failure},
    console::Console,
    exit::Exit,
    source::Source,
    trouble::Trouble,
};

/// Diagnoses.
pub(crate) fn diagnose(args: &DiagnoseArgs, as_json: bool, console: &Console) -> Result<Exit, Trouble> {
    match args.what {
        Failure::Flakiness => flakiness(args, as_json, console),
    }
}

fn flakiness(args: &DiagnoseArgs, as_json: bool, console: &Console) -> Result<Exit, Trouble> {
    let mut runs: Vec<RunSeen> = Vec::new();
    let mut answers = Answers::default();
    let (mut seen, mut judged) = (BTreeSet::new(), Vec::new());
    let mut exit = Exit::Passed;
    for text in &args.runs {
        let source = Source::open(Some(text), &args.store.store, &args.keys)?;
        exit = exit.or_worse(source.warn(console));
        let found = source.archive.runs()?;
        let [run] = &found[..] else {
            return Err(Trouble::new(format!("`{text}` holds {} runs, where one is needed", found.len()))
                .help("`retake replay … --repeat N` makes one, and `retake runs` lists those there are"));
        };
        if !seen.insert(run.id) {
            console.note(&format!("run {} was given more than once, and is looked at once", run.id.short()));
            continue;
        }
        judged.push(JudgedBy::of(&source.archive, &run.receipt));
        runs.push(read_run(&source.archive, (run, runs.len()), &mut answers)?);
    }
    runs.iter_mut().zip(JudgedBy::digests(&judged)).for_each(|(run, judged)| run.judged = judged);
    let pairs: Vec<AnswerPair<'_>> = answers.pairs(&mut runs);
    let diagnosis = diagnose_flakiness(&runs, &pairs, stats::Confidence::DEFAULT);
    exit = exit.or_worse(exit_of(&diagnosis));
    let text = if as_json { diagnosis_json(&diagnosis) } else { diagnosis_page(&diagnosis, console.out) };
    console.write(exit, |out| out.write_all(text.as_bytes()))
}

fn exit_of(diagnosis: &Diagnosis) -> Exit {
    let has = |class: Class| diagnosis.exchanges.iter().any(|it| it.class == class);
    if has(Class::Flaky) || has(Class::EnvironmentSensitive) {
        Exit::Changed
    } else if has(Class::Unconfirmed) || diagnosis.exchanges.is_empty() {
        Exit::Inconclusive
    } else {
        Exit::Passed
    }
}
