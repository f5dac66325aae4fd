//! `retake replay`: run again what was recorded, and compare with production.

mod beside;
mod determinism;
mod html;
mod on_miss;
mod pacing;
mod resume;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use bundle::{Archive, Store};
use diff::Rules;
use exchange::{Digest, Id};
use replayer::{
    BridgeWay, GivenMount, GivenVariable, Repeating, ReplayError, Resumable,
    receipt::SourceProof,
    replay::{Against, Progressed, Replayed, SecretsFile, Settings, Watched, by_environment, replay as run_replay},
};
use report::{ReceiptPage, receipt_page};
use tokio::sync::watch;
use wire::client::{Limits, Room};

use crate::{
    again::{places, replayed_again},
    args::{Bridge, ReplayArgs, Reset},
    bucket,
    clock::Clock,
    console::{Console, Unit},
    env_file,
    exit::Exit,
    html::HtmlFile,
    noise, rules_file,
    source::Source,
    trouble::{Trouble, trouble_from},
};

trouble_from!(ReplayError);

/// What all answers that are being received or compared may have at once, in bytes. A choice: room for four of the longest that are
/// compared. One that finds none is not judged.
const ANSWERS_BYTES_MAX: u64 = 1 << 30;

/// Replays every SOURCE; the gravest outcome is the exit code.
pub(crate) fn replay(args: &ReplayArgs, as_json: bool, console: &Console) -> Result<Exit, Trouble> {
    let begun = args.resume.as_deref().map(|run| resume::begun(run, args)).transpose()?;
    let (args, resumed) = begun.as_ref().map_or((args, None), |(args, run)| (args, Some(run)));
    without_effect(args).into_iter().for_each(|words| console.note(&words));
    let runtime = tokio::runtime::Runtime::new()?;
    let stop = runtime.block_on(async { stop_on_signals() });
    let page = args.html.as_deref().map(HtmlFile::begin).transpose()?;
    let mut shown = Vec::new();
    rules_file::rules(&args.by_hand, Clock::start().started_unix_ns, |words| console.warn(words))?;
    let mut exit = Exit::Passed;
    let sources = determinism::sources(args)?;
    'sources: for (at, source) in sources.iter().enumerate() {
        let mut settings = settings_of(source, args)?;
        if let Some(run) = resumed {
            go_on_with(&mut settings, run, args)?;
        }
        let mut environments = each_in_its_own(settings)?.into_iter();
        while let Some((settings, environment)) = environments.next() {
            environment.into_iter().for_each(|words| console.note(&words));
            let archive = Arc::clone(&settings.archive);
            let replayed = runtime.block_on(replay_one(settings, console, stop.clone()))?;
            let exit_of_one = show(&replayed, &replayed_again(source, args), as_json, console)?;
            exit = exit.or_worse(exit_of_one);
            if replayed.receipt.interrupted {
                let run = replayed.receipt.run.short();
                let places: String = places(&args.store.store, &args.keys).map(|place| format!(" {place}")).collect();
                console.note(&format!("go on with it: `retake replay --resume {run}{places}`"));
            }
            if page.is_some() {
                shown.push(html::Shown { source: source.clone(), archive, replayed, exit: exit_of_one });
            }
            if *stop.borrow() {
                let left = not_replayed(source, environments.filter_map(|(_, words)| words), &sources[at + 1..]);
                exit = exit.or_worse(tell_not_replayed(&left, console));
                break 'sources;
            }
        }
    }
    if let Some(page) = page {
        html::write(page, args, &shown, exit)?;
    }
    Ok(exit)
}

/// What is said of flags of the command line that have no effect without repeats.
fn without_effect(args: &ReplayArgs) -> Vec<String> {
    let is_named = |flag: &str| args.said.as_ref().is_some_and(|said| said.named.iter().any(|named| named == flag));
    let words = |flag: &str| format!("`--{flag}` has no effect without repeats: say `--repeat N` too");
    let idle = [("reset", args.repeat.is_none()), ("confidence", args.repeat.is_none() && args.load == 1)];
    idle.into_iter().filter(|(flag, is_idle)| *is_idle && is_named(flag)).map(|(flag, _)| words(flag)).collect()
}

/// What an interrupted command has not come to: the other environments of a source, and the sources behind it.
fn not_replayed(source: &str, environments: impl Iterator<Item = String>, behind: &[String]) -> Vec<String> {
    let environments = environments.map(|words| format!("`{source}`, {words}"));
    environments.chain(behind.iter().map(|source| format!("`{source}`"))).collect()
}

/// Says so. What was not replayed is no pass.
fn tell_not_replayed(left: &[String], console: &Console) -> Exit {
    if left.is_empty() {
        return Exit::Passed;
    }
    console.warn(&format!("interrupted; not replayed: {}", left.join("; ")));
    Exit::Inconclusive
}

/// Sets what goes on with a run: its exchanges, its clock, and the rules that held on the day when it began.
fn go_on_with(settings: &mut Settings, run: &Arc<Resumable>, args: &ReplayArgs) -> Result<(), Trouble> {
    settings.rules = rules_file::rules(&args.by_hand, run.began.started_unix_ns, |_| {})?;
    settings.source.path.clone_from(&run.began.source.path);
    settings.only.clone_from(&run.began.only);
    let before_ns = settings.started_unix_ns.saturating_sub(run.began.started_unix_ns);
    let since = Arc::clone(&settings.clock);
    settings.clock = Arc::new(move || before_ns.saturating_add(since()));
    settings.started_unix_ns = run.began.started_unix_ns;
    settings.resume = Some(Arc::clone(run));
    Ok(())
}

/// One replay for each environment that is recorded, with what is said before it where there are several. What is given on
/// the command line instead of a recorded one is one for all.
pub(super) fn each_in_its_own(settings: Settings) -> Result<Vec<(Settings, Option<String>)>, Trouble> {
    if matches!(settings.against, Against::Process(_) | Against::Url(_)) {
        return Ok(vec![(settings, None)]);
    }
    let groups = by_environment(&settings.archive, &settings.only)?;
    let total = groups.len();
    if total < 2 {
        return Ok(vec![(settings, None)]);
    }
    let of_group = |(number, only): (usize, Vec<Id>)| {
        let began = only.first().and_then(|id| settings.archive.entry(id)?.fingerprint);
        let name = began.map(|digest| format!(" ({})", digest.short())).unwrap_or_default();
        let many = if only.len() == 1 { "exchange" } else { "exchanges" };
        let words = format!("environment {} of {total}{name}: {} {many}", number + 1, only.len());
        (Settings { only, ..settings.clone() }, Some(words))
    };
    Ok(groups.into_iter().enumerate().map(of_group).collect())
}

async fn replay_one(settings: Settings, console: &Console, stop: watch::Receiver<bool>) -> Result<Replayed, Trouble> {
    let unit = if settings.repeating.count.is_some_and(|count| count > 1) { Unit::Repeats } else { Unit::Exchanges };
    let bar = console.progress("replaying", unit);
    let progress = |it: Progressed| match it.repeats {
        1 => bar.show(it.done, it.total),
        _ => bar.show_repeats(it.repeat, it.repeats, it.failed),
    };
    Ok(run_replay(settings, Watched { progress: &progress, stop }).await?)
}

/// Becomes true at the first Ctrl-C or request to end; a second one ends the program as it always does.
pub(crate) fn stop_on_signals() -> watch::Receiver<bool> {
    use tokio::signal::unix::{SignalKind, signal};
    let (sender, receiver) = watch::channel(false);
    let (interrupt, terminate) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    tokio::spawn(async move {
        let (Ok(mut interrupt), Ok(mut terminate)) = (interrupt, terminate) else {
            // Without handlers the signals end the program; keeping the sender keeps the receivers waiting.
            return std::future::pending().await;
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        sender.send_replace(true);
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        std::process::exit(130);
    });
    receiver
}

pub(super) fn settings_of(source: &str, args: &ReplayArgs) -> Result<Settings, Trouble> {
    let opened = open_verified(source, args)?;
    let mut only = opened.resolve_all(&args.only)?;
    only.extend(opened.only);
    // A folder with runs alone would be no store, and what is captured into it later refused.
    let store = Store::open_or_create(&args.store.store)?;
    let clock = Clock::start();
    Ok(Settings {
        source: SourceProof { path: source.to_owned(), digest: opened.archive.digest(), verified: true },
        only,
        against: against(args)?,
        rules: rules_file::rules(&args.by_hand, clock.started_unix_ns, |_| {})?,
        noise: noise::found(&args.noise, &opened.archive, &args.store.store, &args.keys)?,
        given: given_variables(&args.env, args.env_file.as_deref())?,
        mounts: args.mounts.iter().map(|text| given_mount(text)).collect::<Result<_, _>>()?,
        beside: beside::given(&args.beside)?,
        secrets: args.secrets.as_deref().map(secrets_file).transpose()?,
        port: args.port,
        ready_path: args.ready.clone(),
        ready_timeout: args.ready_timeout,
        bridge: way(args.bridge),
        strict_environment: args.strict_env,
        determinism: determinism::asked(args)?,
        order: determinism::order(args.order),
        pacing: pacing::asked(args)?,
        seed: args.seed,
        on_miss: on_miss::asked(args)?,
        live: on_miss::live(args)?,
        limits: Limits { room: Some(Room::of(ANSWERS_BYTES_MAX)), ..Limits::default() },
        repeating: repeating(args),
        files: files_of(args),
        resumable: args.said.as_ref().map(|said| resume::written_down(said, source)),
        resume: None,
        runs_folder: store.runs_dir(),
        executable: own_executable()?,
        shim: init::SHIM,
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        started_unix_ns: clock.started_unix_ns,
        clock: clock.monotonic,
        archive: Arc::new(opened.archive),
    })
}

/// Opens a SOURCE after every byte of it was verified: what does not verify is not judged.
fn open_verified(source: &str, args: &ReplayArgs) -> Result<Source, Trouble> {
    let store: &Path = &args.store.store;
    let mut opened = Source::open(Some(source), store, &args.keys)?;
    let path = if opened.only.is_some() {
        store.to_owned()
    } else if Path::new(source).exists() || bucket::address(Path::new(source))?.is_some() {
        PathBuf::from(source)
    } else {
        let run = opened.archive.runs()?.into_iter().next();
        let name = run.map(|run| format!("{}.{}", run.id, bundle::EXTENSION)).unwrap_or_default();
        store.join("runs").join(name)
    };
    let verified = match (opened.decrypted.take(), bucket::address(&path)?) {
        (Some(decrypted), _) => Archive::open_file_verified(decrypted, &path).map_err(Trouble::from),
        (None, Some(address)) => bucket::open_verified(&address, &path),
        (None, None) => Archive::open_verified(&path).map_err(Trouble::from),
    };
    opened.archive = verified.map_err(|trouble| {
        trouble.while_doing(format!("`{}` cannot be trusted, so nothing was replayed", path.display()))
    })?;
    Ok(opened)
}

/// What the files say by which answers are compared, by flag and name. One that cannot be read again, such as a pipe, is not held to.
fn files_of(args: &ReplayArgs) -> BTreeMap<String, String> {
    let rules = args.by_hand.rules.iter().map(|path| ("rules", path));
    let descriptors = args.by_hand.descriptors.iter().map(|path| ("descriptors", path));
    let said = |(flag, path): (&str, &PathBuf)| {
        let bytes = path.is_file().then(|| std::fs::read(path).ok()).flatten()?;
        Some((format!("--{flag} {}", path.display()), format!("blake3:{}", Digest::of(&bytes))))
    };
    rules.chain(descriptors).filter_map(said).collect()
}

fn against(args: &ReplayArgs) -> Result<Against, Trouble> {
    let instead = &args.instead;
    Ok(match (&instead.image, &instead.process, &instead.target) {
        (Some(image), ..) => Against::Image(image.clone()),
        (_, Some(command), _) => Against::Process(words_of(command)?),
        (.., Some(url)) => Against::Url(url.clone()),
        _ => Against::Recorded,
    })
}

/// How often, and what is done in between. A service that runs already is nobody's to reset.
fn repeating(args: &ReplayArgs) -> Repeating {
    let reset = match args.reset {
        Reset::Container if args.instead.target.is_none() => replayer::Reset::Container,
        Reset::Process if args.instead.target.is_none() => replayer::Reset::Process,
        Reset::Container | Reset::Process | Reset::None => replayer::Reset::None,
    };
    Repeating {
        count: args.repeat.or((args.load > 1).then_some(1)),
        reset,
        copies: args.load,
        until_failure: args.until_failure,
        confidence: args.confidence,
    }
}

fn way(bridge: Bridge) -> BridgeWay {
    match bridge {
        Bridge::Auto => BridgeWay::Auto,
        Bridge::Socket => BridgeWay::Socket,
        Bridge::Exec => BridgeWay::Exec,
    }
}

/// Splits a command line as a POSIX shell would, without its expansions.
fn words_of(command: &str) -> Result<Vec<String>, Trouble> {
    let words = shlex::split(command).filter(|words| !words.is_empty());
    words.ok_or_else(|| {
        Trouble::new(format!("`--process {command}` is no command line")).help("close every quote that it opens")
    })
}

pub(crate) fn rules(ignore: &[String]) -> Result<Rules, Trouble> {
    ignore.iter().try_fold(Rules::strict(), |rules, text| Ok(rules.ignoring(text)?))
}

/// `NAME=VALUE`, or `NAME` for the value that this process has.
fn given_variables(given: &[String], file: Option<&Path>) -> Result<Vec<GivenVariable>, Trouble> {
    let mut variables = Vec::new();
    if let Some(path) = file {
        variables.extend(env_file::read(path)?);
    }
    for text in given {
        variables.push(given_variable(text)?);
    }
    Ok(variables)
}

fn given_variable(text: &str) -> Result<GivenVariable, Trouble> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, value.to_owned()),
        None => {
            let unset = |_| {
                Trouble::new(format!("variable `{text}` is not set here"))
                    .help(format!("say `--env {text}=VALUE`; a secret that is left out gets a stand-in"))
            };
            (text, std::env::var(text).map_err(unset)?)
        }
    };
    if name.is_empty() {
        return Err(Trouble::new("a variable needs a name").help("write it as NAME=VALUE"));
    }
    Ok(GivenVariable { name: name.to_owned(), value })
}

/// `PATH=HERE` or `PATH=none`.
fn given_mount(text: &str) -> Result<GivenMount, Trouble> {
    let wrong = || {
        Trouble::new(format!(
            "`--mount {text}` is not `PATH=HERE`: a whole path in the container, `=`, and a path here"
        ))
        .help("write it as `--mount /models=./models`, the container's first; `--mount /models=none` leaves it out")
    };
    let (path, here) =
        text.split_once('=').filter(|(path, here)| path.starts_with('/') && !here.is_empty()).ok_or_else(wrong)?;
    Ok(GivenMount { path: path.to_owned(), here: (here != "none").then(|| here.into()) })
}

/// Reads the file of secrets.
fn secrets_file(path: &Path) -> Result<SecretsFile, Trouble> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Trouble::of(&error)
            .while_doing(format!("cannot read `--secrets {}`", path.display()))
            .help("name a file with lines `PSEUDONYM=VALUE`; `retake inspect` lists the recording's pseudonyms")
    })?;
    Ok(SecretsFile { path: path.to_owned(), text })
}

/// This very program: it becomes the container's init.
pub(super) fn own_executable() -> Result<PathBuf, Trouble> {
    std::env::current_exe().map_err(|error| Trouble::of(&error).while_doing("cannot find this program's own file"))
}

fn show(replayed: &Replayed, command: &str, as_json: bool, console: &Console) -> Result<Exit, Trouble> {
    let exit = match replayed.exit_code() {
        0 => Exit::Passed,
        1 => Exit::Changed,
        _ => Exit::Inconclusive,
    };
    let run_path = replayed.run_path.display().to_string();
    let page = ReceiptPage {
        receipt: &replayed.receipt,
        results: &replayed.results,
        run_path: &run_path,
        command,
        exit_code: exit.code(),
    };
    let text = if as_json { page.to_json() } else { receipt_page(&page, console.out) };
    console.write(exit, |out| out.write_all(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_split_as_a_shell_would() {
        assert_eq!(words_of("python 'my app.py' --port 1").unwrap(), ["python", "my app.py", "--port", "1"]);
        assert!(words_of("python 'my app.py").is_err());
        assert!(words_of("").is_err());
    }

    #[test]
    fn what_an_interrupted_command_has_not_come_to_is_named() {
        let environments = ["environment 2 of 2: 5 exchanges".to_owned()];
        let left = not_replayed("a.retake", environments.into_iter(), &["b.retake".to_owned()]);
        assert_eq!(left, ["`a.retake`, environment 2 of 2: 5 exchanges", "`b.retake`"]);
        assert_eq!(tell_not_replayed(&left, &Console::default()), Exit::Inconclusive);
        assert_eq!(tell_not_replayed(&[], &Console::default()), Exit::Passed);
    }

    #[test]
    fn a_mount_is_a_path_inside_and_one_here_or_none() {
        assert_eq!(given_mount("/m=./a=b").unwrap().here, Some("./a=b".into()));
        assert_eq!(given_mount("/m=none").unwrap().here, None);
        assert!(["m=x", "/m", "/m=", "=x"].iter().all(|text| given_mount(text).is_err()));
    }

    #[test]
    fn a_variable_is_given_with_its_value_or_taken_from_here() {
        assert_eq!(given_variable("A=b=c").unwrap(), GivenVariable { name: "A".to_owned(), value: "b=c".to_owned() });
        assert!(given_variable("RETAKE_TEST_NOT_SET_ANYWHERE").is_err());
        assert!(given_variable("=x").is_err());
    }
}
