//! `retake diff --html FILE`: two runs, bundles or files on one page.

use diff::{Comparison, ExchangeResult, Verdict};
use exchange::{Digest, Id};
use report::{
    Again, Compared,
    html::{Case, Content, Look, Of, Report, Side},
};

use super::pair::Pair;
use crate::{
    again::quoted,
    exit::Exit,
    html::{HtmlFile, Looks},
    source::Source,
    trouble::Trouble,
};

/// Writes the page.
pub(super) fn write(
    file: HtmlFile,
    (recorded, replayed): (&Source, &Source),
    pairs: &[Pair<'_>],
    compared: &Compared<'_>,
    exit: Exit,
) -> Result<(), Trouble> {
    let of_pair = |pair: &Pair<'_>| match pair {
        Pair::Both(one, other) => Some((other.id, one.id)),
        Pair::RecordedOnly(_) | Pair::ReplayedOnly(_) => None,
    };
    let recorded_ids = pairs.iter().filter_map(of_pair).collect();
    let looks = Looks::new(&recorded.archive, Some(&replayed.archive), compared.results).paired(recorded_ids);
    let title = format!("{} against {}", compared.replayed, compared.recorded);
    let (recorded, replayed) = (quoted(compared.recorded), quoted(compared.replayed));
    let case = Case {
        name: compared.replayed,
        notes: &[],
        exit_code: exit.code(),
        outcome: None,
        recorded: &recorded,
        replayed: &replayed,
        command: match compared.again {
            Again::Replay(command) => Some(command),
            Again::Show(_) => None,
        },
        receipt: None,
        results: compared.results,
        rules_used: compared.rules_used,
        standings: compared.standings,
        look: &|result| looks.of(result),
    };
    let cases = [case];
    let tool_version = env!("CARGO_PKG_VERSION");
    file.finish(&Report {
        title: &title,
        tool_version,
        exit_code: exit.code(),
        of: Of::Exchanges,
        missing: &[],
        cases: &cases,
    })
}

/// A file, and how it was named.
#[derive(Clone, Copy)]
pub(super) struct NamedFile<'a> {
    pub(super) name: &'a str,
    pub(super) bytes: &'a [u8],
}

/// Writes the page of two files: one result, whose values and lines are theirs.
pub(super) fn write_files(
    file: HtmlFile,
    recorded: NamedFile<'_>,
    replayed: NamedFile<'_>,
    comparison: &Comparison,
    exit: Exit,
) -> Result<(), Trouble> {
    let result = ExchangeResult {
        id: Id::of_item(&Digest::of(recorded.bytes), 0),
        replayed_id: None,
        title: replayed.name.to_owned(),
        route: replayed.name.to_owned(),
        recorded_status: None,
        replayed_status: None,
        verdict: if comparison.is_equal() { Verdict::Same } else { Verdict::Changed },
        calls_reordered: false,
        trajectory: None,
        comparison: Some(comparison.clone()),
        repeated: None,
    };
    let side = |file: NamedFile<'_>| {
        let content = Content::of_file(file.bytes, comparison.compared_as);
        Some(Side { response: Some(content), ..Side::default() })
    };
    let look = Look { recorded: side(recorded), replayed: side(replayed), troubles: Vec::new() };
    let case = Case {
        name: replayed.name,
        notes: &[],
        exit_code: exit.code(),
        outcome: None,
        recorded: recorded.name,
        replayed: replayed.name,
        command: None,
        receipt: None,
        results: &[result],
        rules_used: &comparison.rules_used,
        standings: &[],
        look: &|_| look.clone(),
    };
    let title = format!("{} against {}", replayed.name, recorded.name);
    let tool_version = env!("CARGO_PKG_VERSION");
    file.finish(&Report {
        title: &title,
        tool_version,
        exit_code: exit.code(),
        of: Of::Files,
        missing: &[],
        cases: &[case],
    })
}
