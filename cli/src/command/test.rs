//! `retake test`: every bundle of a folder as a regression test.

mod case;
mod changed;
mod choose;
mod discover;
mod html;
mod judge;
mod last;
mod merge;
mod play;
mod schedule;
mod shard;
mod update;

use std::{io, path::Path};

use bundle::Store;
use report::{CaseResult, Outcome, Suite, SuiteTally};

use self::{
    case::Planned,
    play::Player,
    schedule::{Budget, run_all},
};
use crate::{
    args::TestArgs,
    clock::Clock,
    command::replay::stop_on_signals,
    console::{Console, Unit},
    exit::Exit,
    html::HtmlFile,
    trouble::Trouble,
};

/// Finds the cases, replays those that are chosen, and says what came of them; the gravest is the exit code.
pub(crate) fn test(args: &TestArgs, as_json: bool, console: &Console) -> Result<Exit, Trouble> {
    outputs(args).try_for_each(check_can_be_made)?;
    let page = args.html.as_deref().map(HtmlFile::begin).transpose()?;
    let Some(folder) = &args.folder else { return merged(args, page, as_json, console) };
    if args.update {
        update::check(args.yes)?;
    }
    let clock = Clock::start();
    let found = discover::cases(folder)?;
    let planned = case::plan(args, folder, &found, &clock)?;
    let planned = chosen(args, folder, planned)?;
    if args.list {
        return list(args, &planned, as_json, &clock, console);
    }
    if planned.is_empty() {
        console.note("no case is to be tested");
    }
    // Before many cases do it at the same time.
    drop(Store::open_or_create(&args.store.store)?);
    let (cases, interrupted) = tested(args, &planned, as_json, &clock, console)?;
    let mut suite = suite_of(args, cases, interrupted, &clock);
    if args.update {
        suite = update::update(suite, args.yes, clock.started_unix_ns, console);
    }
    if let Err(trouble) = last::remember(&suite.cases, &args.store.store, folder) {
        console.warn(&format!("`--failed` will not know of this: {trouble}"));
    }
    finish(args, &suite, page, as_json, console)
}

/// What the options leave of the cases.
fn chosen(args: &TestArgs, folder: &Path, planned: Vec<Planned>) -> Result<Vec<Planned>, Trouble> {
    let mut planned = choose::only(planned, &args.only)?;
    if args.failed {
        planned = last::failed(planned, &args.store.store, folder)?;
    }
    if let Some(reference) = &args.changed_since {
        planned = changed::changed(planned, folder, reference)?;
    }
    match args.shard {
        Some(shard) => shard::part(planned, shard, args.balance.as_deref()),
        None => Ok(planned),
    }
}

/// Tests them, and tells each as it is done; gives their results, and whether it was ended before all had run.
fn tested(
    args: &TestArgs,
    planned: &[Planned],
    as_json: bool,
    clock: &Clock,
    console: &Console,
) -> Result<(Vec<CaseResult>, bool), Trouble> {
    let runtime = tokio::runtime::Runtime::new()?;
    let stop = runtime.block_on(async { stop_on_signals() });
    let name_len = planned.iter().map(|planned| planned.name.chars().count()).max().unwrap_or(0);
    let bar = console.progress("testing", Unit::Cases);
    let total = planned.len() as u64;
    bar.show(0, total);
    let player = Player::new(&runtime, stop.clone(), clock.clone())?;
    let cases = run_all(planned, &Budget::of(args), &player, &mut |done, case| {
        if !as_json {
            bar.aside(|| console.tell(&report::case_line(case, name_len, console.out)));
        }
        bar.show(done, total);
    });
    let interrupted = *stop.borrow();
    Ok((cases, interrupted))
}

/// Reports on results that are there.
fn merged(args: &TestArgs, page: Option<HtmlFile>, as_json: bool, console: &Console) -> Result<Exit, Trouble> {
    let suite = merge::merge(&args.merge)?;
    if !suite.missing_parts.is_empty() {
        console.warn(&format!("no results of part {}: its cases were not tested", suite.missing_parts.join(", ")));
    }
    if !as_json {
        let name_len = suite.cases.iter().map(|case| case.name.chars().count()).max().unwrap_or(0);
        suite.cases.iter().for_each(|case| console.tell(&report::case_line(case, name_len, console.out)));
    }
    finish(args, &suite, page, as_json, console)
}

/// The files that are to be written.
fn outputs(args: &TestArgs) -> impl Iterator<Item = &Path> {
    [&args.junit, &args.summary, &args.results].into_iter().flatten().map(std::path::PathBuf::as_path)
}

fn suite_of(args: &TestArgs, cases: Vec<CaseResult>, interrupted: bool, clock: &Clock) -> Suite {
    let tally = SuiteTally::of(cases.iter().map(|case| case.outcome));
    Suite {
        folder: args.folder.as_ref().map(|folder| folder.display().to_string()).unwrap_or_default(),
        against: against(args),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        started_unix_ns: clock.started_unix_ns,
        shard: args.shard.map(|shard| shard.to_string()),
        missing_parts: Vec::new(),
        exit_code: tally.exit_code(),
        interrupted,
        tally,
        cases,
    }
}

/// The flag that says what ran.
fn against(args: &TestArgs) -> String {
    let instead = &args.instead;
    match (&instead.image, &instead.process, &instead.target) {
        (Some(image), ..) => format!("--image {image}"),
        (_, Some(command), _) => format!("--process {command}"),
        (.., Some(url)) => format!("--target {url}"),
        _ => "as recorded".to_owned(),
    }
}

/// What a file is to have.
type Document = fn(&Suite) -> String;

/// Writes all that was asked for.
fn finish(
    args: &TestArgs,
    suite: &Suite,
    page: Option<HtmlFile>,
    as_json: bool,
    console: &Console,
) -> Result<Exit, Trouble> {
    let documents: [(_, Document); 3] =
        [(&args.junit, report::junit), (&args.summary, report::summary), (&args.results, Suite::to_json)];
    for (path, document) in documents {
        if let Some(path) = path {
            let cannot = |error| Trouble::of(&error).while_doing(format!("cannot write `{}`", path.display()));
            write_whole(path, document(suite).as_bytes(), 0o644).map_err(cannot)?;
        }
    }
    if let Some(page) = page {
        html::write(page, suite)?;
    }
    let text = if as_json { suite.to_json() } else { report::suite_end(suite, console.out) };
    console.write(exit_of(suite), |out| out.write_all(text.as_bytes()))
}

fn exit_of(suite: &Suite) -> Exit {
    match suite.exit_code {
        0 => Exit::Passed,
        1 => Exit::Changed,
        2 => Exit::Trouble,
        _ => Exit::Inconclusive,
    }
}

/// The cases with what their files say; none is run, and a file that cannot be read is trouble.
fn list(
    args: &TestArgs,
    planned: &[Planned],
    as_json: bool,
    clock: &Clock,
    console: &Console,
) -> Result<Exit, Trouble> {
    let listed = |planned: &Planned| match &planned.case {
        Ok(case) => case.result(Outcome::NotRun, "not run"),
        Err(trouble) => planned.in_trouble(trouble),
    };
    let cases: Vec<CaseResult> = planned.iter().map(listed).collect();
    let exit = if planned.iter().any(|planned| planned.case.is_err()) { Exit::Trouble } else { Exit::Passed };
    let text = if as_json {
        Suite { exit_code: exit.code(), ..suite_of(args, cases, false, clock) }.to_json()
    } else {
        report::case_list(&cases, console.out)
    };
    console.write(exit, |out| out.write_all(text.as_bytes()))
}

/// Before everything has run is the time to say that its result cannot be written.
fn check_can_be_made(path: &Path) -> Result<(), Trouble> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if folder.is_dir() && !path.is_dir() {
        return Ok(());
    }
    Err(Trouble::new(format!("`{}` cannot be written", path.display())).help("name a file in a folder that is there"))
}

/// Writes a file so that there is never half of one; what is no plain file (`/dev/stdout`, a pipe) is written as it is.
fn write_whole(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    if path.exists() && !path.is_file() {
        return std::fs::write(path, bytes);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file =
        tempfile::Builder::new().permissions(std::os::unix::fs::PermissionsExt::from_mode(mode)).tempfile_in(folder)?;
    io::Write::write_all(&mut file, bytes)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
