//! `retake replay --html FILE`: all replays of one command on one page.

use std::sync::Arc;

use bundle::Archive;
use diff::ExchangeResult;
use replayer::replay::{Against, Replayed};
use report::html::{Case, Of, Report};

use crate::{
    args::ReplayArgs,
    exit::Exit,
    html::{HtmlFile, Looks, quoted},
    trouble::Trouble,
};

/// One replay that is to stand on the page.
pub(super) struct Shown {
    pub(super) source: String,
    pub(super) archive: Arc<Archive>,
    pub(super) replayed: Replayed,
    pub(super) exit: Exit,
}

/// Writes the page.
pub(super) fn write(
    file: HtmlFile,
    args: &ReplayArgs,
    against: &Against,
    shown: &[Shown],
    exit: Exit,
) -> Result<(), Trouble> {
    let runs = shown.iter().map(|it| Archive::open(&it.replayed.run_path)).collect::<Result<Vec<_>, _>>()?;
    let looks: Vec<_> =
        shown.iter().zip(&runs).map(|(it, run)| Looks::new(&it.archive, Some(run), &it.replayed.results)).collect();
    let look: Vec<_> = looks.iter().map(|looks| move |result: &ExchangeResult| looks.of(result)).collect();
    let names: Vec<_> =
        shown.iter().map(|it| (quoted(&it.source), quoted(&it.replayed.run_path.display().to_string()))).collect();
    let commands: Vec<_> = names.iter().map(|(source, _)| command(source, args, against)).collect();
    let case = |at: usize| Case {
        name: &shown[at].source,
        notes: &[],
        exit_code: shown[at].exit.code(),
        outcome: None,
        recorded: &names[at].0,
        replayed: &names[at].1,
        command: Some(&commands[at]),
        receipt: Some(&shown[at].replayed.receipt),
        results: &shown[at].replayed.results,
        rules_used: &shown[at].replayed.receipt.rules,
        standings: &[],
        look: &look[at],
    };
    let cases: Vec<_> = (0..shown.len()).map(case).collect();
    let title = format!("replay of {}", args.sources.join(", "));
    let report = Report {
        title: &title,
        tool_version: env!("CARGO_PKG_VERSION"),
        exit_code: exit.code(),
        of: Of::Exchanges,
        missing: &[],
        cases: &cases,
    };
    file.finish(&report)
}

/// What does one exchange again, up to its id: without values of variables, which may be secret.
fn command(source: &str, args: &ReplayArgs, against: &Against) -> String {
    let mut words = vec![format!("retake replay {source}")];
    words.extend(match against {
        Against::Recorded => None,
        Against::Image(image) => Some(format!("--image {}", quoted(image))),
        Against::Process(_) => args.instead.process.as_deref().map(|command| format!("--process {}", quoted(command))),
        Against::Url(url) => Some(format!("--target {}", quoted(url))),
    });
    words.extend(args.port.map(|port| format!("--port {port}")));
    let by_hand = &args.by_hand;
    words.extend(by_hand.ignore.iter().map(|rule| format!("--ignore {}", quoted(rule))));
    words.extend(by_hand.tolerance.iter().map(|rule| format!("--tolerance {}", quoted(rule))));
    words.extend(by_hand.rules.iter().map(|path| format!("--rules {}", quoted(&path.display().to_string()))));
    words.extend(
        by_hand.descriptors.iter().map(|path| format!("--descriptors {}", quoted(&path.display().to_string()))),
    );
    words.extend(by_hand.message.iter().map(|name| format!("--message {}", quoted(name))));
    let names = args.env.iter().map(|given| given.split_once('=').map_or(given.as_str(), |(name, _)| name));
    words.extend(names.map(|name| format!("--env {}", quoted(name))));
    words.push("--only".to_owned());
    words.join(" ")
}
