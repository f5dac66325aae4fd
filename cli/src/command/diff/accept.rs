//! `retake diff --accept POINTER`: what a rule would have hidden in the last runs, and then the rule.
//!
//! In: a pointer, its reason and its last day, and the runs of the store. Out: how many of their differences the rule covers,
//! with examples; after a yes, the rule in its file. What a rule hides is looked at before it hides it.

use std::{
    fs,
    io::{BufRead, IsTerminal, Write},
    path::{Path, PathBuf},
};

use bundle::Archive;
use diff::{Change, ExchangeResult, Route, Rules, Verdict};
use exchange::{Id, Run};
use report::json;
use serde::Serialize;

use crate::{
    args::DiffArgs,
    clock::Clock,
    console::Console,
    exit::Exit,
    noise::newest,
    rules_file::{RulesFile, is_day},
    source::{check_exists, run_files},
    trouble::Trouble,
};

/// Runs that are looked into, the newest first. A choice.
const RUNS_MAX: usize = 20;
/// Differences that are shown. A choice.
const SHOWN_MAX: usize = 8;
/// The file that a rule is written to where none is named.
const FILE_NAME: &str = "rules.toml";

/// What the rule would have hidden.
#[derive(Debug, Default, Serialize)]
struct Effect {
    rule: String,
    runs: u64,
    runs_with: u64,
    differences: u64,
    exchanges: u64,
    /// Exchanges of which nothing else differs.
    same_then: u64,
    examples: Vec<Example>,
}

#[derive(Debug, Serialize)]
struct Example {
    run: Id,
    id: Id,
    title: String,
    change: Change,
}

/// Shows what the rule hides, asks, and writes it.
pub(super) fn accept(pointer: &str, args: &DiffArgs, as_json: bool, console: &Console) -> Result<Exit, Trouble> {
    let rules = Rules::strict().ignoring(pointer)?;
    let until = args.until.clone().unwrap_or_default();
    if !is_day(&until) {
        return Err(Trouble::new(format!("`--until {until}` is no day")).help("write it as in `--until 2027-03-31`"));
    }
    let effect = effect_of(pointer, &rules, &args.store.store)?;
    let path = args.by_hand.rules.first().cloned().unwrap_or_else(|| PathBuf::from(FILE_NAME));
    let text = rule_text(pointer, args, &until);
    if !as_json {
        console.write(Exit::Passed, |out| out.write_all(page(&effect, &path, &text).as_bytes()))?;
    }
    let is_meant = args.yes || (!as_json && asked(&path)?);
    if is_meant {
        append(&path, &text)?;
    }
    if as_json {
        let fields = serde_json::json!({ "effect": effect, "path": path.display().to_string(), "written": is_meant });
        return console.write(Exit::Passed, |out| out.write_all(json::document("accept", &fields).as_bytes()));
    }
    console.note(&match is_meant {
        true => format!("written to `{0}`; `--rules {0}` applies it", path.display()),
        false => "nothing was written; say --yes to write it".to_owned(),
    });
    Ok(Exit::Passed)
}

/// What the rule covers in the newest runs.
fn effect_of(pointer: &str, rules: &Rules, store: &Path) -> Result<Effect, Trouble> {
    check_exists(store)?;
    let mut effect = Effect { rule: pointer.to_owned(), ..Effect::default() };
    for path in newest(run_files(store)?) {
        // What cannot be read is told by `retake runs`.
        let Ok(runs) = Archive::open(&path).map_err(Trouble::from).and_then(|it| Ok(it.runs()?)) else { continue };
        for run in runs {
            effect.add(&run, rules);
        }
        if effect.runs as usize >= RUNS_MAX {
            break;
        }
    }
    Ok(effect)
}

impl Effect {
    fn add(&mut self, run: &Run, rules: &Rules) {
        let Ok(results) = serde_json::from_value::<Vec<ExchangeResult>>(run.comparison.clone()) else { return };
        self.runs += 1;
        let before = self.differences;
        for result in results.iter().filter(|it| matches!(it.verdict, Verdict::Changed | Verdict::Flaky(_))) {
            let Some(comparison) = &result.comparison else { continue };
            let (method, target) = result.title.split_once(' ').unwrap_or_default();
            let route = Route::new(method, target);
            let covered: Vec<&Change> =
                comparison.changes.iter().filter(|change| rules.cover(&route, &change.pointer)).collect();
            self.differences += covered.len() as u64;
            self.exchanges += u64::from(!covered.is_empty());
            let is_all = covered.len() as u64 == comparison.changes_count();
            self.same_then += u64::from(is_all && !covered.is_empty());
            let room = SHOWN_MAX.saturating_sub(self.examples.len());
            self.examples.extend(covered.into_iter().take(room).map(|change| Example {
                run: run.id,
                id: result.id,
                title: result.title.clone(),
                change: change.clone(),
            }));
        }
        self.runs_with += u64::from(self.differences > before);
    }
}

fn page(effect: &Effect, path: &Path, text: &str) -> String {
    let Effect { rule, runs, runs_with, differences, exchanges, same_then, examples } = effect;
    let mut page = format!(
        "`{rule}` would have hidden {differences} differences of {exchanges} exchanges in {runs_with} of the last {runs} runs; \
         {same_then} would be the same then\n"
    );
    for Example { run, id, title, change } in examples {
        let side =
            |shown: &Option<diff::Shown>| shown.as_ref().map_or("nothing", |shown| shown.text.as_str()).to_owned();
        let (recorded, replayed) = (side(&change.recorded), side(&change.replayed));
        let line = format!(
            "{} {} {title}  {}  {} → {}",
            run.short(),
            id.short(),
            change.pointer,
            cut(&recorded),
            cut(&replayed)
        );
        page += &format!("  {}\n", report::escape_line(&line));
    }
    let hidden = differences.saturating_sub(examples.len() as u64);
    if hidden > 0 {
        page += &format!("  … and {hidden} more\n");
    }
    page + &format!("to be written to `{}`:\n{}", path.display(), report::escape_lines(text))
}

fn cut(text: &str) -> String {
    let mut cut: String = text.chars().take(60).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
}

fn rule_text(pointer: &str, args: &DiffArgs, until: &str) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let mut text = format!("\n[[ignore]]\npointer = {}\n", quoted(pointer));
    text += &format!("reason = {}\nuntil = {}\n", quoted(args.reason.as_deref().unwrap_or_default()), quoted(until));
    if let Some(owner) = &args.owner {
        text += &format!("owner = {}\n", quoted(owner));
    }
    text
}

/// Asks where somebody can answer.
fn asked(path: &Path) -> Result<bool, Trouble> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Ok(false);
    }
    let mut stderr = std::io::stderr();
    write!(stderr, "write it to `{}`? [y/N] ", path.display())?;
    stderr.flush()?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Adds the rule at the end of the file, which has to be one of rules before and after.
fn append(path: &Path, text: &str) -> Result<(), Trouble> {
    let now = Clock::start().started_unix_ns;
    let cannot = |error: std::io::Error| Trouble::of(&error).while_doing(format!("cannot write `{}`", path.display()));
    let before = if path.exists() {
        RulesFile::read(path, now)?;
        fs::read_to_string(path).map_err(cannot)?
    } else {
        String::new()
    };
    let beside = path.with_extension("toml.new");
    let joined =
        if before.is_empty() { text.trim_start().to_owned() } else { format!("{}\n{text}", before.trim_end()) };
    fs::write(&beside, joined).map_err(cannot)?;
    RulesFile::read(&beside, now)?;
    fs::rename(&beside, path).map_err(cannot)
}
