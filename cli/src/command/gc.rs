//! `retake gc`: what a store no longer has to keep, and what killed processes left.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use bundle::prune::{self, Action, FilePlan, Limits, Plan};
use host::{Docker, DockerError};
use replayer::LeftService;
use report::{Cell, Paint, Table, bytes, json};

use crate::{
    again::DEFAULT_STORE,
    args::GcArgs,
    clock::Clock,
    console::Console,
    exit::Exit,
    noise,
    source::check_exists,
    trouble::{Trouble, trouble_from},
};

trouble_from!(bundle::PruneError);

/// Plans, shows the plan, and carries it out unless that was all.
pub(crate) fn gc(args: &GcArgs, as_json: bool, console: &Console) -> Result<Exit, Trouble> {
    let store = &args.store.store;
    // Replays that were killed leave things elsewhere too, and a replay from a URL or of another folder's bundle may have been all.
    let is_nothing_asked = args.older_than.is_none() && args.max_size.is_none() && !args.stale_noise;
    let has_store = store.exists() || !is_nothing_asked || store != Path::new(DEFAULT_STORE);
    if has_store {
        check_exists(store)?;
    }
    let age_ns_max = args.older_than.map(|age| u64::try_from(age.as_nanos()).unwrap_or(u64::MAX));
    let limits = Limits { age_ns_max, bytes_max: args.max_size };
    let now_unix_ns = Clock::start().started_unix_ns;
    let mut plan = if has_store { prune::plan(store, limits, now_unix_ns)? } else { Plan::default() };
    if args.stale_noise {
        let stay = plan.files.iter().filter(|file| file.action != Action::Remove);
        let stale = noise::stale_files(stay.map(|file| file.path.as_path())).unwrap_or_else(|path| {
            let path = path.display();
            console.warn(&format!(
                "`{path}` cannot be read: whether its noise is still needed is not known, and all noise stays"
            ));
            BTreeSet::new()
        });
        plan.files.iter_mut().filter(|file| stale.contains(&file.path)).for_each(|file| file.action = Action::Remove);
    }
    let temporary = std::env::temp_dir();
    let cannot = |error| Trouble::of(&error).while_doing(format!("cannot read `{}`", temporary.display()));
    let folders = replayer::dead_run_folders(&temporary, now_unix_ns).map_err(cannot)?;
    let services: Vec<LeftService> = folders.iter().filter_map(|folder| LeftService::of(folder)).collect();
    if !args.dry_run {
        prune::apply(&plan)?;
        end_all(&services, console);
        remove_all(&folders, console);
    }
    // The store is seen to by now: an engine that cannot be asked is no reason to have failed.
    let containers = tokio::runtime::Runtime::new()?.block_on(left_in_engine(args.dry_run)).unwrap_or_else(|error| {
        console.warn(&format!("what killed replays left in the container engine stays: {error}"));
        0
    });
    warn(&plan, console);
    let text = if as_json {
        document(&plan, &folders, (services.len(), containers), args.dry_run)
    } else {
        page(&plan, &folders, (services.len(), containers), args.dry_run, console)
    };
    console.write(Exit::Passed, |out| out.write_all(text.as_bytes()))
}

/// Removes containers and volumes whose replays are dead, where an engine answers; says how many there were.
async fn left_in_engine(is_dry: bool) -> Result<usize, DockerError> {
    let docker = match Docker::connect().await {
        Err(DockerError::NoEngine { .. }) => return Ok(0),
        connected => connected?,
    };
    Ok(if is_dry { docker.left_behind_count().await? } else { docker.remove_left_behind().await? })
}

fn end_all(services: &[LeftService], console: &Console) {
    for service in services {
        if let Err(error) = service.end() {
            console.warn(&format!("the service of a replay that was killed cannot be ended: {error}"));
        }
    }
}

/// A service that ran as another user may have left what is not ours to remove.
fn remove_all(folders: &[PathBuf], console: &Console) {
    for folder in folders {
        if let Err(error) = std::fs::remove_dir_all(folder) {
            console.warn(&format!("`{}` cannot be removed: {error}", folder.display()));
        }
    }
}

/// What refers to what goes, what could not be looked at, and what is too much even so.
fn warn(plan: &Plan, console: &Console) {
    for file in &plan.files {
        if let Action::Keep { held: Some(why) } = &file.action {
            console.note(&format!("`{}` stays: {why}", file.path.display()));
        }
    }
    for (run, count) in &plan.runs_left {
        let many = if *count == 1 { "exchange that goes" } else { "exchanges that go" };
        console.note(&format!("`{}` stays and repeats {count} {many}: its receipt names them", run.display()));
    }
    if plan.bytes_over > 0 {
        console.warn(&format!("{} more than --max-size stay", bytes(plan.bytes_over)));
    }
}

fn page(
    plan: &Plan,
    folders: &[PathBuf],
    (services, containers): (usize, usize),
    is_dry: bool,
    console: &Console,
) -> String {
    let verb = if is_dry { "would go (--dry-run)" } else { "are gone" };
    let left = |count: usize, what: &str| match count {
        0 => String::new(),
        count => format!("{count} {what} of replays that were killed {verb}\n"),
    };
    let of_engine = left(services, "services") + &left(containers, "containers and volumes");
    if plan.is_empty() && folders.is_empty() && !of_engine.is_empty() {
        return of_engine;
    }
    if plan.is_empty() && folders.is_empty() {
        return "nothing to remove\n".to_owned();
    }
    let mut table = Table::new(&["WHAT", "EXCHANGES", "SIZE", "FILE"]);
    for file in plan.files.iter().filter(|file| !matches!(file.action, Action::Keep { .. })) {
        let exchanges = format!("{} of {}", file.exchanges_gone(), file.exchanges);
        let path = file.path.display().to_string();
        table.row([Cell::new(word(file), Paint::Yellow), exchanges.into(), bytes(file.bytes).into(), path.into()]);
    }
    for path in plan.leftovers.iter().chain(folders) {
        table.row([Cell::new("left over", Paint::Yellow), "".into(), "".into(), path.display().to_string().into()]);
    }
    let gone: u64 = plan.files.iter().map(FilePlan::exchanges_gone).sum();
    let all: u64 = plan.files.iter().map(|file| file.exchanges).sum();
    format!("{}{gone} of {all} exchanges {verb}\n{of_engine}", table.to_text(console.out))
}

fn word(file: &FilePlan) -> &'static str {
    match file.action {
        Action::Keep { .. } => "keep",
        Action::Remove => "remove",
        Action::Rewrite { .. } => "rewrite",
    }
}

fn document(plan: &Plan, folders: &[PathBuf], (services, containers): (usize, usize), is_dry: bool) -> String {
    let file = |file: &FilePlan| {
        let held = match &file.action {
            Action::Keep { held } => held.clone(),
            _ => None,
        };
        serde_json::json!({
            "path": file.path.to_string_lossy(),
            "run": file.is_run,
            "action": word(file),
            "bytes": file.bytes,
            "exchanges": file.exchanges,
            "exchanges_gone": file.exchanges_gone(),
            "held": held,
        })
    };
    let left =
        |(path, count): &(PathBuf, u64)| serde_json::json!({ "path": path.to_string_lossy(), "exchanges_gone": count });
    json::document(
        "gc",
        &serde_json::json!({
            "dry_run": is_dry,
            "files": plan.files.iter().map(file).collect::<Vec<_>>(),
            "leftovers": plan.leftovers.iter().map(|path| path.to_string_lossy()).collect::<Vec<_>>(),
            "containers_and_volumes": containers,
            "services": services,
            "run_folders": folders.iter().map(|path| path.to_string_lossy()).collect::<Vec<_>>(),
            "runs_left": plan.runs_left.iter().map(left).collect::<Vec<_>>(),
            "bytes_over": plan.bytes_over,
        }),
    )
}
