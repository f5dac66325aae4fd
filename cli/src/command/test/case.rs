//! One case: its bundle, what its file says it is for, and how it is to be replayed.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use diff::Rules;
use report::{About, CaseReplay, CaseResult, Outcome};
use toml::de::DeValue;

use super::discover::Found;
use crate::{
    again::DEFAULT_STORE,
    args::{InsteadArgs, ReplayArgs, TestArgs, values},
    clock::Clock,
    rules_file::{self, RulesFile},
    settings::{CaseReader, FlagValues, Origin, OwnKey},
    trouble::Trouble,
};

/// Keys of a case's file that are no flags of `retake replay`.
const OWN_KEYS: &[&str] =
    &["ticket", "owner", "why", "run-book", "tags", "expect", "flaky-max", "timeout", "skip", "cpus", "ignore"];

/// Verdicts that a case may be known for.
const EXPECTED: [&str; 4] = ["changed", "failed", "diverged", "flaky"];

/// A case as it was found, with what its files come to.
pub(super) struct Planned {
    /// Its name.
    pub(super) name: String,
    /// What was found.
    pub(super) found: Found,
    /// What to do, or why it cannot be told.
    pub(super) case: Result<Case, Trouble>,
    /// The command that does it again.
    pub(super) reproduce: String,
}

/// What to do.
pub(super) struct Case {
    /// Its name.
    pub(super) name: String,
    /// Its bundle.
    pub(super) bundle: PathBuf,
    /// What it is for.
    pub(super) about: About,
    /// The verdict that it is known for; `None` where it is to pass.
    pub(super) expect: Option<String>,
    /// The largest rate at which it may fail.
    pub(super) flaky_max: Option<f64>,
    /// How long it may take.
    pub(super) timeout: Duration,
    /// Why it is not to run, where it is not.
    pub(super) skip: Option<String>,
    /// Processors that it takes.
    pub(super) cpus: u16,
    /// How it is replayed.
    pub(super) replay: ReplayArgs,
    /// All rules by hand that hold today: its flags', its files' and those with a reason.
    pub(super) rules: Rules,
    /// What a reader should know.
    pub(super) notes: Vec<String>,
    reproduce: String,
}

/// What its files say beside flags; the innermost wins.
#[derive(Default)]
struct Own {
    about: About,
    expect: Option<String>,
    flaky_max: Option<f64>,
    timeout: Option<Duration>,
    skip: Option<String>,
    cpus: Option<u16>,
    /// Rules with a reason and a last day.
    rules: RulesFile,
}

/// Reads what every case says. A case whose own files are wrong is one that cannot be tested; the others run.
///
/// # Errors
/// When a flag that is given for all does not fit.
pub(super) fn plan(args: &TestArgs, folder: &Path, found: &[Found], clock: &Clock) -> Result<Vec<Planned>, Trouble> {
    let reader = CaseReader::new(OWN_KEYS);
    let given = given_flags(args);
    // What is wrong with what was given is said once.
    let alone = reader.arguments(&[], &given, folder)?;
    if let Some(word) = alone.sources.iter().find(|source| Path::new(source) != folder) {
        return Err(Trouble::new(format!("`{word}` behind `--` is no flag of `retake replay`"))
            .help("what is tested stands before `--`"));
    }
    let planned = found.iter().map(|found| {
        let reproduce = reproduce(args, folder, &found.name);
        let case = read(args, found, &reader, &given, clock.started_unix_ns)
            .map(|case| Case { reproduce: reproduce.clone(), ..case });
        Planned { name: found.name.clone(), found: found.clone(), case, reproduce }
    });
    Ok(planned.collect())
}

/// The flags of `retake replay` that hold for all.
fn given_flags(args: &TestArgs) -> Vec<String> {
    let mut given = vec!["--store".to_owned(), args.store.store.display().to_string()];
    let paths = args.keys.identity.iter().map(|path| ("--identity", path.display().to_string()));
    let InsteadArgs { image, process, target } = &args.instead;
    let single = [("--image", image), ("--process", process), ("--target", target)];
    let single = single.into_iter().filter_map(|(flag, value)| Some((flag, value.clone()?)));
    paths.chain(single).for_each(|(flag, value)| given.extend([flag.to_owned(), value]));
    given.extend(args.replay.iter().cloned());
    given
}

/// The command line that tests this case alone.
fn reproduce(args: &TestArgs, folder: &Path, name: &str) -> String {
    let mut words = vec!["retake".to_owned(), "test".to_owned(), folder.display().to_string()];
    if !folder.is_file() {
        words.extend(["--only".to_owned(), name.to_owned()]);
    }
    let given = given_flags(args);
    let is_default = args.store.store == Path::new(DEFAULT_STORE);
    let own = given.len() - args.replay.len();
    words.extend(given[..own].iter().skip(if is_default { 2 } else { 0 }).cloned());
    if !args.replay.is_empty() {
        words.push("--".to_owned());
        words.extend(without_values(&args.replay));
    }
    shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_| words.join(" "))
}

/// Flags without the values of variables, which may be secret: whoever does it again gives them anew.
fn without_values(flags: &[String]) -> Vec<String> {
    let name = |text: &str| text.split('=').next().unwrap_or_default().to_owned();
    let mut told = Vec::new();
    let mut flags = flags.iter();
    while let Some(flag) = flags.next() {
        match flag.strip_prefix("--env=") {
            Some(given) => told.push(format!("--env={}", name(given))),
            None => told.push(flag.clone()),
        }
        if flag == "--env" {
            told.extend(flags.next().map(|given| name(given)));
        }
    }
    told
}

fn read(
    args: &TestArgs,
    found: &Found,
    reader: &CaseReader,
    given: &[String],
    now_unix_ns: u64,
) -> Result<Case, Trouble> {
    if !found.bundle.exists() {
        return Err(Trouble::new(format!("`{}` has no bundle beside it", found.file.display()))
            .help(format!("put `{}` back, or remove the file", found.bundle.display())));
    }
    let today = report::day(now_unix_ns);
    let mut own = Own::default();
    let mut layers = Vec::new();
    for path in found.defaults.iter().chain([&found.file]) {
        layers.extend(reader.read(path, &mut |key| own.take(key, &today))?);
    }
    let replay = reader.arguments(&layers, given, &found.bundle)?;
    if own.flaky_max.is_some() && replay.repeat.is_none_or(|count| count < 2) {
        return Err(Trouble::new(format!("`{}`: `flaky-max` needs `repeat`", found.file.display()))
            .help("say how often it is repeated: a rate is measured on repeats"));
    }
    let mut notes = std::mem::take(&mut own.rules.expired);
    let rules = rules_file::rules(&replay.by_hand, now_unix_ns, |words| notes.push(words.to_owned()))
        .map_err(|trouble| trouble.while_doing(format!("`{}` has what is no rule", found.file.display())))?;
    Ok(Case {
        name: found.name.clone(),
        bundle: found.bundle.clone(),
        about: own.about,
        expect: own.expect,
        flaky_max: own.flaky_max,
        timeout: own.timeout.unwrap_or(args.timeout),
        skip: own.skip,
        cpus: own.cpus.unwrap_or(1),
        replay,
        rules: own.rules.over(rules)?,
        notes,
        reproduce: String::new(),
    })
}

impl Own {
    /// Takes one key; gives back what it says as flags.
    fn take(&mut self, own: &OwnKey<'_>, today: &str) -> Result<FlagValues, Trouble> {
        let OwnKey { name: key, origin, .. } = own;
        let value = own.value.get_ref();
        let text = || text_of(key, value, origin);
        let wrong = |what: &str| Trouble::new(format!("{origin}: `{key}` {what}"));
        match *key {
            "ticket" => self.about.ticket = text()?,
            "owner" => self.about.owner = text()?,
            "why" => self.about.why = text()?,
            "run-book" => self.about.run_book = text()?,
            "skip" => self.skip = Some(text()?),
            "tags" => {
                self.about.tags.extend(list_of(key, value, origin)?);
                self.about.tags.sort();
                self.about.tags.dedup();
            }
            "expect" => {
                let word = text()?;
                self.expect = match word.as_str() {
                    "pass" => None,
                    known if EXPECTED.contains(&known) => Some(word),
                    _ => return Err(wrong(&format!("is pass, {} and not `{word}`", EXPECTED.join(", ")))),
                };
            }
            "flaky-max" => {
                let rate = number(value).filter(|rate| (0.0..1.0).contains(rate));
                self.flaky_max = Some(rate.ok_or_else(|| wrong("is a rate from 0 to below 1, such as 0.05"))?);
            }
            "timeout" => {
                let written = scalar(value).ok_or_else(|| wrong("is a time, such as \"2m\""))?;
                self.timeout = Some(values::duration(&written).map_err(|why| wrong(&format!("`{written}`: {why}")))?);
            }
            "cpus" => {
                let count = scalar(value).and_then(|text| text.parse().ok()).filter(|count| *count > 0);
                self.cpus = Some(count.ok_or_else(|| wrong("is a number of processors, 1 or more"))?);
            }
            "ignore" => return Ok(vec![("ignore", self.rules(own, today)?)]),
            _ => unreachable!("`OWN_KEYS` has no other"),
        }
        Ok(Vec::new())
    }

    /// Rules as texts, which become flags, or as tables with a reason and a last day.
    fn rules(&mut self, own: &OwnKey<'_>, today: &str) -> Result<Vec<String>, Trouble> {
        let OwnKey { name, value, origin, document } = own;
        let items = match value.get_ref() {
            DeValue::Array(items) => items.iter().collect(),
            _ => vec![*value],
        };
        let mut texts = Vec::new();
        for item in items {
            match item.get_ref() {
                DeValue::Table(_) => self.rules.take(document, item, today)?,
                text => texts.push(text_of(name, text, origin)?),
            }
        }
        // A rule that is none is told here, where its line is known.
        crate::command::replay::rules(&texts)
            .map_err(|trouble| trouble.while_doing(format!("{origin}: `{name}` has what is no rule")))?;
        Ok(texts)
    }
}

fn text_of(key: &str, value: &DeValue<'_>, origin: &Origin) -> Result<String, Trouble> {
    match value {
        DeValue::String(text) => Ok(text.to_string()),
        _ => Err(Trouble::new(format!("{origin}: `{key}` is no text")).help(format!("write it as {key} = \"…\""))),
    }
}

fn list_of(key: &str, value: &DeValue<'_>, origin: &Origin) -> Result<Vec<String>, Trouble> {
    match value {
        DeValue::Array(items) => items.iter().map(|item| text_of(key, item.get_ref(), origin)).collect(),
        single => Ok(vec![text_of(key, single, origin)?]),
    }
}

fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        _ => None,
    }
}

fn number(value: &DeValue<'_>) -> Option<f64> {
    matches!(value, DeValue::Integer(_) | DeValue::Float(_)).then(|| scalar(value)?.parse().ok())?
}

impl Case {
    /// Its result before there is one.
    pub(super) fn result(&self, outcome: Outcome, verdict: &str) -> CaseResult {
        CaseResult {
            name: self.name.clone(),
            bundle: self.bundle.display().to_string(),
            digest: None,
            about: self.about.clone(),
            expect: self.expect.clone().unwrap_or_else(|| "pass".to_owned()),
            outcome,
            exit_code: outcome.exit_code(),
            verdict: verdict.to_owned(),
            reasons: Vec::new(),
            notes: self.notes.clone(),
            reproduce: self.reproduce.clone(),
            took_ms: 0,
            replays: Vec::new(),
        }
    }

    /// The same with what replays there were before it met this trouble.
    pub(super) fn in_trouble(&self, trouble: &Trouble, replays: Vec<CaseReplay>) -> CaseResult {
        CaseResult { reasons: trouble.lines(), replays, ..self.result(Outcome::Trouble, "trouble") }
    }
}

impl Planned {
    /// The result of a case whose files are wrong.
    pub(super) fn in_trouble(&self, trouble: &Trouble) -> CaseResult {
        CaseResult {
            name: self.name.clone(),
            bundle: self.found.bundle.display().to_string(),
            digest: None,
            about: About::default(),
            expect: "pass".to_owned(),
            outcome: Outcome::Trouble,
            exit_code: Outcome::Trouble.exit_code(),
            verdict: "trouble".to_owned(),
            reasons: trouble.lines(),
            notes: Vec::new(),
            reproduce: self.reproduce.clone(),
            took_ms: 0,
            replays: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_that_is_told_has_no_values_of_variables() {
        let flags = ["--env", "TOKEN=s3cret=x", "--env=B=c", "--port", "1"].map(str::to_owned);
        assert_eq!(without_values(&flags), ["--env", "TOKEN", "--env=B", "--port", "1"]);
    }
}
