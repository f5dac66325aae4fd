//! `retake diff`: two files, two bundles, two runs, or a run and production.

mod accept;
mod calls;
mod html;
mod learn;
mod pair;
mod question;
mod standing;
mod unread;
mod unreadable;

use std::{fs::File, io::Read, path::Path};

use bundle::{Entry, OpenError};
use diff::{
    Came, Comparison, Evidence, ExchangeResult, Margins, Noise, NoiseUse, Output, Route, RuleUse, Rules, Tally,
    Unjudged, Verdict,
};
use exchange::{End, Exchange, Id};
use report::{Again, Compared, StreamPace, comparison_page, document_json, document_page};

use crate::{
    again::Shown,
    args::DiffArgs,
    clock::Clock,
    command::diff::{
        pair::Pair,
        question::Question,
        unreadable::{Unread, Unreadable},
    },
    console::Console,
    exit::Exit,
    html::HtmlFile,
    noise, rules_file, sealed,
    source::Source,
    trouble::{Trouble, trouble_from},
};

trouble_from!(diff::RuleError);

/// Largest file or body that is compared, in bytes.
const COMPARED_BYTES_MAX: u64 = 256 << 20;

/// One side: a plain file, or exchanges.
enum Side {
    File(Vec<u8>),
    Exchanges(Box<Source>),
}

/// Compares what the two names lead to.
pub(crate) fn diff(args: &DiffArgs, as_json: bool, console: &Console) -> Result<Exit, Trouble> {
    if let Some(pointer) = &args.accept {
        return accept::accept(pointer, args, as_json, console);
    }
    let (one, other) = (args.recorded.as_deref().unwrap_or_default(), args.replayed.as_deref().unwrap_or_default());
    let now = Clock::start().started_unix_ns;
    let rules = rules_file::rules(&args.by_hand, now, |words| console.warn(words))?;
    let page = args.html.as_deref().map(HtmlFile::begin).transpose()?;
    match (side(one, args)?, side(other, args)?) {
        (Side::File(recorded), Side::File(replayed)) => {
            check_files_do(one, other, args)?;
            let [recorded, replayed] =
                [(one, &recorded), (other, &replayed)].map(|(name, bytes)| html::NamedFile { name, bytes });
            files(recorded, replayed, (&rules, args.memory), as_json, page, console)
        }
        (Side::Exchanges(recorded), Side::Exchanges(replayed)) => {
            exchanges(&recorded, &replayed, &rules, args, as_json, page, console)
        }
        _ => Err(Trouble::new(format!("`{one}` and `{other}` are not of one kind"))
            .help("compare two files, or two of bundle, store and run")),
    }
}

/// What only exchanges can be asked is not left out in silence: a gate that never ran must not look like one that held. What a settings
/// file says of all that is compared is left out.
fn check_files_do(one: &str, other: &str, args: &DiffArgs) -> Result<(), Trouble> {
    let is_named = |flag: &str| args.said.as_ref().is_some_and(|said| said.named.iter().any(|named| named == flag));
    let noise = args.noise.iter().find(|name| *name != "none").filter(|_| is_named("noise"));
    let flag = ["learn", "margin", "latency-margin"].into_iter().find(|flag| is_named(flag));
    let flag = flag.map(|flag| format!("--{flag}")).or_else(|| noise.map(|name| format!("--noise {name}")));
    let Some(flag) = flag else { return Ok(()) };
    Err(Trouble::new(format!("`{flag}` needs runs or bundles, and `{one}` and `{other}` are plain files"))
        .help("leave it out, or compare two of bundle, store and run"))
}

/// A file that is no bundle is compared as a document.
fn side(name: &str, args: &DiffArgs) -> Result<Side, Trouble> {
    let path = Path::new(name);
    let is_plain = path.is_file() && sealed::open(path)?.is_none();
    if is_plain && matches!(bundle::Archive::open(path), Err(OpenError::NotABundle { .. })) {
        return Ok(Side::File(read(path)?));
    }
    Ok(Side::Exchanges(Box::new(Source::open(Some(name), &args.store.store, &args.keys)?)))
}

fn read(path: &Path) -> Result<Vec<u8>, Trouble> {
    let cannot = |error: std::io::Error| Trouble::of(&error).while_doing(format!("cannot read `{}`", path.display()));
    let mut bytes = Vec::new();
    File::open(path).map_err(cannot)?.take(COMPARED_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > COMPARED_BYTES_MAX {
        return Err(Trouble::new(format!("`{}` is longer than {}", path.display(), report::bytes(COMPARED_BYTES_MAX))));
    }
    Ok(bytes)
}

fn files(
    recorded: html::NamedFile<'_>,
    replayed: html::NamedFile<'_>,
    (rules, memory): (&Rules, u64),
    as_json: bool,
    page: Option<HtmlFile>,
    console: &Console,
) -> Result<Exit, Trouble> {
    let len = recorded.bytes.len() as u64 + replayed.bytes.len() as u64;
    if len > memory {
        let (one, other) = (recorded.name, replayed.name);
        let words = format!("`{one}` and `{other}` have {}, more than the memory they may take", report::bytes(len));
        return Err(Trouble::new(words).help("give them more: `--memory 4GiB`"));
    }
    let comparison = diff::compare_documents_within(recorded.bytes, replayed.bytes, rules, memory);
    let text = if as_json { document_json(&comparison) } else { document_page(&comparison, console.out) };
    let exit = if comparison.is_equal() { Exit::Passed } else { Exit::Changed };
    if let Some(page) = page {
        html::write_files(page, recorded, replayed, &comparison, exit)?;
    }
    console.write(exit, |out| out.write_all(text.as_bytes()))
}

fn exchanges(
    recorded: &Source,
    replayed: &Source,
    rules: &Rules,
    args: &DiffArgs,
    as_json: bool,
    page: Option<HtmlFile>,
    console: &Console,
) -> Result<Exit, Trouble> {
    let damage = recorded.warn(console).or_worse(replayed.warn(console));
    let mut unread = Unread::default();
    let pairs = pair::pairs(&ingress(recorded), &ingress(replayed), |side, entries| {
        let source = if side == pair::Side::Recorded { recorded } else { replayed };
        entries.iter().map(|entry| asked(source, entry, &mut unread)).collect::<Result<Vec<_>, Trouble>>()
    })?;
    if args.learn {
        unread.refuse()?;
        return learn::learn((recorded, replayed), &pairs, rules, args, as_json, console)
            .map(|exit| damage.or_worse(exit));
    }
    let noise = known_noise(recorded, args, &mut unread)?;
    let compare = |pair| result(pair, recorded, replayed, rules, &noise, &mut unread);
    let (results, paces): (Vec<ExchangeResult>, Vec<_>) =
        pairs.iter().map(compare).collect::<Result<Vec<_>, Trouble>>()?.into_iter().unzip();
    let mut rules_used: Vec<RuleUse> = Vec::new();
    for comparison in results.iter().filter_map(|result| result.comparison.as_ref()) {
        RuleUse::merge(&mut rules_used, &comparison.rules_used);
    }
    let margins = Margins { failing: args.margin.unwrap_or(Margins::default().failing), latency: args.latency_margin };
    let mut is_run = |source: &Source| {
        Ok::<_, Trouble>(unread.if_read(source, source.archive.runs())?.is_some_and(|it| it.len() == 1))
    };
    let is_of_runs = is_run(recorded)? && is_run(replayed)?;
    let standings = if args.margin.is_some() || is_of_runs { standing::standings(&pairs, margins) } else { Vec::new() };
    let differing = results.iter().filter(|result| result.verdict.is_failing());
    let ids: Vec<Id> = differing.map(|result| result.id).collect();
    let again = Shown::of(replayed, &ids, &args.store.store, &args.keys);
    let compared = Compared {
        recorded: &recorded.name,
        replayed: &replayed.name,
        again: match &again {
            Shown::Replayed(command) => Again::Replay(command),
            Shown::Exchange(command) => Again::Show(command),
        },
        results: &results,
        rules_used: &rules_used,
        noise_used: &noise_used(&results),
        paces: &paces,
        standings: &standings,
    };
    let text = if as_json { compared.to_json() } else { comparison_page(&compared, console.out) };
    let asked = if args.margin.is_some() { standing::exit_of(&standings) } else { Exit::Passed };
    let exit = damage.or_worse(unread.warn(console)).or_worse(Exit::of(&Tally::of(&results))).or_worse(asked);
    if let Some(page) = page {
        html::write(page, (recorded, replayed), &pairs, &compared, exit)?;
    }
    console.write(exit, |out| out.write_all(text.as_bytes()))
}

/// What an exchange asks. One that cannot be read is equal to no other.
fn asked(source: &Source, entry: &Entry, unread: &mut Unread) -> Result<(Option<Id>, Question), Trouble> {
    match question::question(source, entry, |_| {}) {
        Ok(question) => Ok((None, question)),
        Err(unreadable) => {
            unread.note_unpaired(entry.id, unreadable)?;
            Ok((Some(entry.id), Err(entry.title.to_string())))
        }
    }
}

/// The noise that is known of the first side's version. Where that cannot be read none is: every difference counts then.
fn known_noise(recorded: &Source, args: &DiffArgs, unread: &mut Unread) -> Result<Noise, Trouble> {
    let archive = &recorded.archive;
    let looked_into = || if args.noise.is_empty() { archive.noise_profiles() } else { Ok(Vec::new()) };
    let read = archive.fingerprints().and_then(|_| looked_into());
    if unread.if_read(recorded, read)?.is_none() {
        return Ok(Noise::none());
    }
    let found = noise::found(&args.noise, archive, &args.store.store, &args.keys)?;
    Ok(noise::of_versions(found, &noise::versions_of(recorded)?))
}

/// What clients asked the service. Its own calls are compared with the exchange they belong to.
fn ingress(source: &Source) -> Vec<&Entry> {
    let is_meant = |entry: &&Entry| entry.dependency.is_none() && source.only.is_none_or(|only| entry.id == only);
    source.archive.entries().iter().filter(is_meant).collect()
}

fn noise_used(results: &[ExchangeResult]) -> Vec<NoiseUse> {
    let mut used = Vec::new();
    for result in results {
        let noise = result.comparison.iter().flat_map(|comparison| &comparison.noise).cloned().collect::<Vec<_>>();
        NoiseUse::merge(&mut used, &result.route, &noise);
    }
    used
}

/// How both answers of a pair came, where they are streams.
type Paces = [Option<StreamPace>; 2];

/// What comes of a pair. What cannot be read of it leaves it unjudged.
fn result(
    pair: &Pair<'_>,
    recorded: &Source,
    replayed: &Source,
    rules: &Rules,
    noise: &Noise,
    unread: &mut Unread,
) -> Result<(ExchangeResult, Paces), Trouble> {
    let (one, other) = match *pair {
        Pair::Both(one, other) => (one, other),
        Pair::RecordedOnly(entry) => return Ok((alone(entry, &replayed.name, unread), [None, None])),
        Pair::ReplayedOnly(entry) => return Ok((alone(entry, &recorded.name, unread), [None, None])),
    };
    compared((one, recorded), (other, replayed), rules, noise).or_else(|unreadable| {
        let verdict = Verdict::Unjudged(Unjudged::because(unread.note(unreadable)?));
        let (id, replayed_id) = (pair::original(one), Some(other.id));
        Ok((ExchangeResult { id, replayed_id, verdict, ..of_entry(one, other.status) }, [None, None]))
    })
}

/// Compares the answers of a pair, and what was asked for them.
fn compared(
    (one, recorded): (&Entry, &Source),
    (other, replayed): (&Entry, &Source),
    rules: &Rules,
    noise: &Noise,
) -> Result<(ExchangeResult, Paces), Unreadable> {
    let mut paces = [None, None];
    let before = recorded.archive.exchange(&one.id).map_err(Unreadable::of(recorded))?;
    let now = replayed.archive.exchange(&other.id).map_err(Unreadable::of(replayed))?;
    let (route, original) = (Route::of(&before.request.head), pair::original(one));
    let comparison = match unread::compare(&before, &now, rules, &route) {
        Some(comparison) => Some(comparison),
        None => with_outputs((&before, recorded), (&now, replayed), |one, other| {
            paces = [StreamPace::of(&before, one.body), StreamPace::of(&now, other.body)];
            diff::compare_responses(one, other, rules, &route)
        })?,
    };
    let comparison = comparison.map(|mut comparison| {
        noise.set_apart(&mut comparison, &route, original);
        comparison
    });
    let (calls, noise_of_calls) = calls::divergence((recorded, &one.id), (replayed, &other.id), rules, noise)?;
    let with_calls =
        |comparison: Comparison| Comparison { noise: [noise_of_calls, comparison.noise].concat(), ..comparison };
    let comparison = comparison.map(with_calls);
    let verdict = diff::decide(&Evidence {
        recorded: came(&before),
        replayed: came(&now),
        calls: &calls,
        comparison: comparison.as_ref(),
        secrets_missing: false,
    });
    let result = ExchangeResult {
        id: pair::original(one),
        replayed_id: Some(other.id),
        calls_reordered: calls.reordered,
        verdict,
        comparison,
        ..of_entry(one, now.status())
    };
    Ok((result, paces))
}

/// What `look` says of both answers; nothing where one side has none.
fn with_outputs<T>(
    (before, recorded): (&Exchange, &Source),
    (now, replayed): (&Exchange, &Source),
    look: impl FnOnce(&Output<'_>, &Output<'_>) -> T,
) -> Result<Option<T>, Unreadable> {
    let (Some(one), Some(other)) = (&before.response, &now.response) else { return Ok(None) };
    let bodies = (
        recorded.archive.body(&one.body, COMPARED_BYTES_MAX).map_err(Unreadable::of(recorded))?,
        replayed.archive.body(&other.body, COMPARED_BYTES_MAX).map_err(Unreadable::of(replayed))?,
    );
    let output = |exchange: &Exchange| exchange.end == End::Complete;
    let one = Output { head: &one.head, body: &bodies.0, complete: output(before), whole: one.body.is_whole() };
    let other = Output { head: &other.head, body: &bodies.1, complete: output(now), whole: other.body.is_whole() };
    Ok(Some(look(&one, &other)))
}

fn came(exchange: &Exchange) -> Came<'_> {
    let whole = exchange.response.as_ref().is_none_or(|response| response.body.is_whole());
    Came { status: exchange.status(), end: &exchange.end, whole }
}

/// An exchange without counterpart is not judged, and never a pass.
fn alone(entry: &Entry, missing_in: &str, unread: &Unread) -> ExchangeResult {
    let verdict = Verdict::Unjudged(Unjudged::because(unread.why_alone(&entry.id, missing_in)));
    ExchangeResult { verdict, ..of_entry(entry, None) }
}

fn of_entry(entry: &Entry, replayed_status: Option<u16>) -> ExchangeResult {
    let (method, target) = entry.title.split_once(' ').unwrap_or_default();
    ExchangeResult {
        id: entry.id,
        replayed_id: None,
        title: entry.title.to_string(),
        route: Route::new(method, target).to_string(),
        recorded_status: entry.status,
        replayed_status,
        verdict: Verdict::Same,
        calls_reordered: false,
        trajectory: None,
        comparison: None,
        repeated: None,
    }
}
