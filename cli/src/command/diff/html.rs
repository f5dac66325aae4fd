//! `retake diff --html FILE`: two runs or bundles on one page.

use report::{
    Compared,
    html::{Case, Report},
};

use super::pair::Pair;
use crate::{
    exit::Exit,
    html::{HtmlFile, Looks, quoted},
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
        recorded: &recorded,
        replayed: &replayed,
        command: None,
        receipt: None,
        results: compared.results,
        rules_used: compared.rules_used,
        look: &|result| looks.of(result),
    };
    let cases = [case];
    let tool_version = env!("CARGO_PKG_VERSION");
    file.finish(&Report { title: &title, tool_version, exit_code: exit.code(), cases: &cases })
}
