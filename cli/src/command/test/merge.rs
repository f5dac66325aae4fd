//! Results of parts, put together as if all had been tested at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use report::{CaseResult, Suite, SuiteTally};
use serde::Deserialize;

use crate::{args::values::Shard, trouble::Trouble};

/// Largest results file that is read, in bytes. A choice: a suite of 1,000 cases with 100 changes each stays below.
const FILE_BYTES_MAX: u64 = 512 << 20;

/// The schema that is read.
const SCHEMA: &str = "retake.test/0";

/// The first field of a document.
#[derive(Deserialize)]
struct Named {
    schema: String,
}

/// Reads a results file.
///
/// # Errors
/// When it cannot be read or is none.
pub(super) fn read(path: &Path) -> Result<Suite, Trouble> {
    let wrong = |why: String| {
        Trouble::new(format!("`{}` is no file of results: {why}", path.display()))
            .help("`retake test DIR --results FILE` writes one")
    };
    let file = File::open(path)
        .map_err(|error| Trouble::of(&error).while_doing(format!("cannot read `{}`", path.display())))?;
    let mut bytes = Vec::new();
    let read = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|error| Trouble::of(&error).while_doing(format!("cannot read `{}`", path.display())))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(wrong(format!("it is longer than {FILE_BYTES_MAX} bytes")));
    }
    let named: Named = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
    if named.schema != SCHEMA {
        return Err(wrong(format!("its schema is `{}`, and this reads `{SCHEMA}`", named.schema)));
    }
    let suite: Suite = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
    // What follows from the cases is worked out anew: a file may say anything.
    let cases =
        suite.cases.into_iter().map(|case| CaseResult { exit_code: case.outcome.exit_code(), ..case }).collect();
    Ok(Suite { cases, ..suite })
}

/// Puts them together; of a case that is in several the gravest result counts.
///
/// # Errors
/// When a file cannot be read, or does not belong to the same suite as the others.
pub(super) fn merge(paths: &[PathBuf]) -> Result<Suite, Trouble> {
    let mut suites = Vec::new();
    for path in paths {
        suites.push((path, read(path)?));
    }
    let Some((first_path, first)) = suites.first().cloned() else {
        return Err(Trouble::new("there is nothing to put together").help("name files that `--results` wrote"));
    };
    let mut cases: BTreeMap<String, (&Path, CaseResult)> = BTreeMap::new();
    for (path, suite) in &suites {
        let belongs = suite.folder == first.folder && suite.against == first.against;
        if !belongs {
            return Err(Trouble::new(format!(
                "`{}` is of `{}`, {}, and `{}` of `{}`, {}",
                path.display(),
                suite.folder,
                suite.against,
                first_path.display(),
                first.folder,
                first.against
            ))
            .help("put together what was tested in the same way"));
        }
        for case in &suite.cases {
            match cases.get(&case.name) {
                Some((other, known))
                    if known.digest.is_some() && case.digest.is_some() && known.digest != case.digest =>
                {
                    return Err(Trouble::new(format!(
                        "case `{}` of `{}` is another bundle than that of `{}`",
                        case.name,
                        path.display(),
                        other.display()
                    ))
                    .help("test all parts at the same commit"));
                }
                Some((_, known)) if known.outcome >= case.outcome => {}
                _ => drop(cases.insert(case.name.clone(), (path, case.clone()))),
            }
        }
    }
    let cases: Vec<CaseResult> = cases.into_values().map(|(_, case)| case).collect();
    let missing_parts = missing_parts(suites.iter().map(|(_, suite)| suite))?;
    let interrupted = suites.iter().any(|(_, suite)| suite.interrupted);
    let tally = SuiteTally::of(cases.iter().map(|case| case.outcome));
    let exit_code = match tally.exit_code() {
        0 if !missing_parts.is_empty() => 3,
        code => code,
    };
    let started_unix_ns = suites.iter().map(|(_, suite)| suite.started_unix_ns).min().unwrap_or_default();
    Ok(Suite { shard: None, missing_parts, exit_code, interrupted, tally, started_unix_ns, cases, ..first })
}

/// Parts that none of the files has.
fn missing_parts<'a>(suites: impl Iterator<Item = &'a Suite>) -> Result<Vec<String>, Trouble> {
    let mut found: BTreeSet<(u32, u32)> = BTreeSet::new();
    for text in suites.filter_map(|suite| suite.shard.as_deref()) {
        let Shard { index, of } = crate::args::values::shard(text)
            .map_err(|why| Trouble::new(format!("a file of results is of part `{text}`: {why}")))?;
        found.insert((of, index));
    }
    let wholes: BTreeSet<u32> = found.iter().map(|(of, _)| *of).collect();
    let all = wholes.into_iter().flat_map(|of| (1..=of).map(move |index| (of, index)));
    Ok(all.filter(|part| !found.contains(part)).map(|(of, index)| format!("{index}/{of}")).collect())
}
