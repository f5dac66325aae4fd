//! `retake diff --accept POINTER`: what a rule would have hidden in the last runs, and then the rule.
//!
//! In: a pointer, its reason and its last day, and the runs of the store. Out: how many of their differences the rule covers,
//! with examples; after a yes, the rule in its file. What a rule hides is looked at before it hides it.

use std::{
    fs,
    io::{BufRead, IsTerminal, Write},
    path::{Path, PathBuf},
};

use diff::{Change, ExchangeResult, Noise, Route, Rules, Verdict};
use exchange::{Id, Run};
use report::json;
use serde::Serialize;

use super::calls::divergence;
use crate::{
    again,
    args::DiffArgs,
    clock::Clock,
    console::Console,
    exit::Exit,
    noise::newest,
    rules_file::{RulesFile, is_day},
    source::{Source, check_exists, run_files},
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
    /// Calls that were asked otherwise than recorded, and would have been answered.
    calls: u64,
    /// Of how many exchanges.
    exchanges_with_calls: u64,
    /// Exchanges that would have asked nothing else then: what they would have answered is not known.
    no_longer_diverged: u64,
    /// Diverged exchanges that could not be looked at, since what was replayed is not there.
    not_looked_at: u64,
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
    let today = report::day(Clock::start().started_unix_ns);
    if until < today {
        return Err(Trouble::new(format!("`--until {until}` is over: the rule would never hold"))
            .help(format!("a rule holds through its last day; today is {today}")));
    }
    if args.reason.as_deref().is_none_or(|reason| reason.trim().is_empty()) {
        return Err(Trouble::new("`--reason` is empty").help("say why the difference is accepted"));
    }
    let effect = effect_of(pointer, &rules, args)?;
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
fn effect_of(pointer: &str, rules: &Rules, args: &DiffArgs) -> Result<Effect, Trouble> {
    let store = &args.store.store;
    check_exists(store)?;
    let mut effect = Effect { rule: pointer.to_owned(), ..Effect::default() };
    for path in newest(run_files(store)?) {
        // What cannot be read is told by `retake runs`.
        let name = path.display().to_string();
        let Ok(replayed) = Source::open(Some(&name), store, &args.keys) else { continue };
        for run in replayed.archive.runs().unwrap_or_default() {
            let Ok(results) = serde_json::from_value::<Vec<ExchangeResult>>(run.comparison.clone()) else { continue };
            let before = effect.differences + effect.calls;
            effect.add(&run, &results, rules);
            if rules.has_any_for_calls() {
                effect.add_calls(pointer, &run, &results, &replayed, args)?;
            }
            effect.runs_with += u64::from(effect.differences + effect.calls > before);
        }
        if effect.runs as usize >= RUNS_MAX {
            break;
        }
    }
    Ok(effect)
}

impl Effect {
    /// Adds what the rule covers in answers. Those of an exchange that diverged follow from what it asked.
    fn add(&mut self, run: &Run, results: &[ExchangeResult], rules: &Rules) {
        self.runs += 1;
        for result in results.iter().filter(|it| matches!(it.verdict, Verdict::Changed | Verdict::Flaky(_))) {
            let Some(comparison) = &result.comparison else { continue };
            let (method, target) = result.title.split_once(' ').unwrap_or_default();
            let route = Route::new(method, target);
            let covered: Vec<&Change> =
                comparison.changes.iter().filter(|change| rules.cover(&route, change)).collect();
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
    }

    /// Adds the calls of exchanges that diverged which would have been answered from the recording.
    fn add_calls(
        &mut self,
        pointer: &str,
        run: &Run,
        results: &[ExchangeResult],
        replayed: &Source,
        args: &DiffArgs,
    ) -> Result<(), Trouble> {
        let diverged: Vec<(&Id, Id)> = results
            .iter()
            .filter(|result| matches!(result.verdict, Verdict::Diverged(_)))
            .filter_map(|result| Some((&result.id, result.replayed_id?)))
            .collect();
        if diverged.is_empty() {
            return Ok(());
        }
        let source = run.receipt["sources"][0]["path"].as_str().unwrap_or_default();
        let recorded = Source::open(Some(source), &args.store.store, &args.keys);
        let is_there = |recorded: &Source| diverged.iter().all(|(id, _)| recorded.archive.entry(id).is_some());
        let Some(recorded) = recorded.ok().filter(is_there) else {
            self.not_looked_at += diverged.len() as u64;
            return Ok(());
        };
        let rules_of_run = |more: &[&str]| {
            let began = again::began(&replayed.archive);
            let given = began.as_ref().and_then(|began| began.settings["flags"]["ignore"].as_array());
            let given = given.into_iter().flatten().filter_map(serde_json::Value::as_str);
            given.chain(more.iter().copied()).try_fold(Rules::strict(), Rules::ignoring)
        };
        let (without, with) = (rules_of_run(&[])?, rules_of_run(&[pointer])?);
        for (id, replayed_id) in diverged {
            let sides = ((&recorded, id), (replayed, &replayed_id));
            let (before, _) = divergence(sides.0, sides.1, &without, &Noise::none())?;
            let (then, _) = divergence(sides.0, sides.1, &with, &Noise::none())?;
            let answered = before.extra.len().saturating_sub(then.extra.len()) as u64;
            self.calls += answered;
            self.exchanges_with_calls += u64::from(answered > 0);
            self.no_longer_diverged += u64::from(answered > 0 && !then.diverges());
        }
        Ok(())
    }
}

fn page(effect: &Effect, path: &Path, text: &str) -> String {
    let Effect { rule, runs, runs_with, differences, exchanges, same_then, examples, .. } = effect;
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
    if effect.calls > 0 {
        page += &format!(
            "{} calls of {} exchanges would have been answered from the recording; {} of these exchanges would have asked nothing \
             else, and what they would have answered a replay with the rule says\n",
            effect.calls, effect.exchanges_with_calls, effect.no_longer_diverged
        );
    }
    if effect.not_looked_at > 0 {
        page += &format!(
            "{} exchanges asked their dependencies something else and could not be looked at: what was replayed is not there\n",
            effect.not_looked_at
        );
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
    RulesFile::of_text(path, &joined, now)?;
    let written = fs::write(&beside, joined).and_then(|()| fs::rename(&beside, path));
    written.map_err(|error| {
        drop(fs::remove_file(&beside));
        cannot(error)
    })
}
