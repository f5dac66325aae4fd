//! `retake replay --resume RUN`: what is written down of a replay, so that it can be asked for again, and asking for it.
//!
//! In: the flags of a replay. Out: those that may be written down, with the run; and from a run the arguments that it was begun
//! with. Values that may be secrets are not written down: they have to be given again.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use content::redact::{Extra, Redactor};
use replayer::{Resumable, ResumeError};
use serde_json::{Value, json};

use crate::{
    again::{asked, quoted},
    args::ReplayArgs,
    noise,
    settings::{CaseReader, Said},
    source::{check_exists, runs_with_prefix},
    trouble::{Trouble, trouble_from},
};

trouble_from!(ResumeError);

/// Where the source was when the run began, whatever folder the command was given in.
const SOURCE_AT: &str = "source_at";

/// Flags that are no part of what a run is: where it is kept and shown, and keys.
const NO_PART: [&str; 6] = ["resume", "trust", "store", "html", "identity", "only"];

/// Flags that a run may be given again: what was not written down of them, or may be a file that moved.
const GIVEN_AGAIN: [&str; 9] = ["resume", "trust", "store", "html", "identity", "env", "env-file", "secrets", "mount"];

/// Which flags are written down with a run, and which would have to be given again; and where its source is, as long as that is a
/// file or folder.
pub(super) fn written_down(said: &Said, source: &str) -> Value {
    let finder = Redactor::new([0; 32], &Extra::default());
    let mut flags = serde_json::Map::new();
    let mut withheld = Vec::new();
    for (flag, values) in said.flags.iter().filter(|(flag, _)| !NO_PART.contains(&flag.as_str())) {
        let values: Vec<String> = values.iter().map(|value| Said::without_values(flag, value)).collect();
        if values.iter().any(|value| finder.text(value).0 != *value) {
            withheld.push(flag);
        } else {
            flags.insert(flag.clone(), json!(values));
        }
    }
    let mut written = json!({ "flags": flags, "withheld": withheld });
    if let Some(at) = Path::new(source).canonicalize().ok().and_then(|path| path.into_os_string().into_string().ok()) {
        written[SOURCE_AT] = json!(at);
    }
    written
}

/// The run that is to be gone on with, and the arguments that it was begun with.
pub(super) fn begun(prefix: &str, args: &ReplayArgs) -> Result<(ReplayArgs, Arc<Resumable>), Trouble> {
    let path = find(prefix, &args.store.store)?;
    let run = Resumable::open(&path)?;
    let said = args.said.as_ref().map(|said| &said.flags[..]).unwrap_or_default();
    let named = args.said.as_ref().map(|said| &said.named[..]).unwrap_or_default();
    let settings = &run.began.settings;
    let senseless = || Trouble::from(ResumeError::Senseless { path: path.clone(), what: "its settings".to_owned() });
    let kept = settings["flags"].as_object().ok_or_else(senseless)?;
    let withheld: Vec<&str> = settings["withheld"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if let Some(other) =
        named.iter().find(|flag| !GIVEN_AGAIN.contains(&flag.as_str()) && !withheld.contains(&flag.as_str()))
    {
        return Err(Trouble::new(format!("`--{other}` cannot be said with `--resume`: a run goes on as it was begun"))
            .help("leave it out, or replay anew"));
    }
    if let Some(missing) = withheld.iter().find(|flag| named.iter().all(|named| named != *flag)) {
        return Err(Trouble::new(format!("what `--{missing}` was is not written down, since it holds a secret"))
            .help(format!("say it again: `--resume {prefix} --{missing} …`")));
    }
    let mut flags: Vec<(String, Vec<String>)> = Vec::new();
    for (flag, values) in kept {
        let texts = values.as_array().ok_or_else(senseless)?.iter();
        let values = texts.map(|value| value.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>();
        flags.push((flag.clone(), values.ok_or_else(senseless)?));
    }
    let again = said.iter().filter(|(flag, _)| named.contains(flag) && !NO_PART.contains(&flag.as_str()));
    for (flag, values) in again {
        give_again(&mut flags, flag, values);
    }
    if !args.trust && !is_of_store(&path, &args.store.store) {
        return Err(not_ours(&run, &flags, args));
    }
    // What it knows of noise it has: the files that told it may be gone, or say something else by now.
    let is_read = |(flag, _): &&(String, Vec<String>)| flag != "noise" || !run.knows_noise();
    let words = Said::words(flags.iter().filter(is_read));
    let mut begun = CaseReader::new(&[]).arguments(&[], &words, &source_of(&run)?)?;
    begun.store.store.clone_from(&args.store.store);
    begun.keys.identity.clone_from(&args.keys.identity);
    begun.html.clone_from(&args.html);
    if run.knows_noise() {
        begun.noise = vec![noise::NONE.to_owned()];
    }
    begun.said = Some(Said { flags, named: Vec::new() });
    Ok((begun, Arc::new(run)))
}

/// Where the source of a run is: where it was when that began, else what has its name here.
fn source_of(run: &Resumable) -> Result<PathBuf, Trouble> {
    let named = PathBuf::from(&run.began.source.path);
    match run.began.settings[SOURCE_AT].as_str().map(PathBuf::from) {
        Some(at) if at.exists() => Ok(at),
        Some(at) if !named.exists() => {
            let (at, named) = (at.display(), named.display());
            let moved = Trouble::new(format!("the source of run {} is not at `{at}` any more", run.run().short()));
            Err(moved
                .help(format!("put it back there, or go on with the run in a folder from which `{named}` leads to it")))
        }
        _ => Ok(named),
    }
}

/// True for a run in the store's own folder of runs: this program wrote it there, or somebody who may write there.
fn is_of_store(run: &Path, store: &Path) -> bool {
    let folder = run.canonicalize().ok().and_then(|path| path.parent().map(Path::to_owned));
    folder.is_some() && folder == store.join("runs").canonicalize().ok()
}

/// A run is a file that is handed on, and says what is to be run on this machine: nobody runs that without having read it.
fn not_ours(run: &Resumable, flags: &[(String, Vec<String>)], args: &ReplayArgs) -> Trouble {
    let (id, store) = (run.run().short(), args.store.store.display());
    let source = source_of(run).unwrap_or_else(|_| PathBuf::from(&run.began.source.path));
    let command = asked(&source.display().to_string(), flags);
    let named = args.resume.as_deref().unwrap_or_default();
    Trouble::new(report::escape_line(&command).into_owned())
        .while_doing(format!(
            "run {id} is none that the store `{store}` made, and going on with it would run what it says"
        ))
        .help(format!(
            "if that is what is to run here, say `--resume {} --trust`; `--store` says where one's own runs are",
            quoted(named)
        ))
}

/// Puts what is given again in the place of what is known: of a variable or a mount that of the same name, else all of the flag.
fn give_again(flags: &mut Vec<(String, Vec<String>)>, flag: &str, values: &[String]) {
    let at = flags.iter().position(|(known, _)| known == flag);
    match at {
        Some(at) if matches!(flag, "env" | "mount") => {
            let name = |value: &str| value.split('=').next().unwrap_or_default().to_owned();
            let known = &mut flags[at].1;
            known.retain(|known| values.iter().all(|given| name(given) != name(known)));
            known.extend_from_slice(values);
        }
        Some(at) => flags[at].1 = values.to_vec(),
        None => flags.push((flag.to_owned(), values.to_vec())),
    }
}

/// The run's file: a path, or the run of the store whose id begins so.
fn find(run: &str, store: &Path) -> Result<PathBuf, Trouble> {
    let path = PathBuf::from(run);
    if path.is_file() {
        return Ok(path);
    }
    check_exists(store)?;
    match &runs_with_prefix(store, run)?[..] {
        [only] => Ok(only.clone()),
        [] => Err(Trouble::new(format!("no run in `{}` begins with `{run}`", store.display()))
            .help("`retake runs` lists them; `--store` says where else to look")),
        _ => Err(Trouble::new(format!("more than one run begins with `{run}`")).help("give more digits")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(flags: &[(&str, &[&str])]) -> Said {
        let owned = |(flag, values): &(&str, &[&str])| {
            ((*flag).to_owned(), values.iter().map(|value| (*value).to_owned()).collect())
        };
        Said { flags: flags.iter().map(owned).collect(), named: Vec::new() }
    }

    #[test]
    fn values_of_variables_and_secrets_are_not_written_down() {
        let asked = said(&[
            ("env", &["TOKEN=hunter2", "PLAIN"]),
            ("beside", &["db=postgres:16,env=POSTGRES_PASSWORD=x,port=5432"]),
            ("process", &["serve --api-key sk-abcdefghijklmnopqrstuvwxyz012345"]),
            ("until-failure", &[]),
            ("require-determinism", &["case.retake"]),
            ("store", &["/elsewhere"]),
        ]);
        let written = written_down(&asked, "81d0 is no file");
        let flags = json!({
            "env": ["TOKEN", "PLAIN"],
            "beside": ["db=postgres:16,env=POSTGRES_PASSWORD,port=5432"],
            "until-failure": [],
            "require-determinism": ["asked"],
        });
        assert_eq!(written, json!({ "flags": flags, "withheld": ["process"] }));
    }

    #[test]
    fn what_is_given_again_takes_the_place_of_what_is_known() {
        let mut flags = said(&[("env", &["A", "B"]), ("secrets", &["old"])]).flags;
        give_again(&mut flags, "env", &["B=2".to_owned()]);
        give_again(&mut flags, "secrets", &["new".to_owned()]);
        give_again(&mut flags, "mount", &["/m=./m".to_owned()]);
        assert_eq!(flags, said(&[("env", &["A", "B=2"]), ("secrets", &["new"]), ("mount", &["/m=./m"])]).flags);
        assert_eq!(Said::words(&flags)[..2], ["--env=A", "--env=B=2"]);
    }
}
