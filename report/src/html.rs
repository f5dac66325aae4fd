//! One page for a browser: verdict and tally, what differs in a few lines, every exchange, receipts; one file that asks for nothing.
//!
//! In: a [`Report`], whose [`Case`]s hold results, receipts and, for each exchange, a [`Look`] at both sides. Out: HTML, the same
//! bytes for the same values. Read in this order: `markup` (the only way to write: what is no constant is escaped), `summary`,
//! `proof` and `repeats` (what stands in the page without a script), `data` (what the page's script shows: JSON in blocks,
//! unfolded when it is looked at), `look`. Style and script are in `assets/report`, by hand and without a framework.
//!
//! Nothing of a recording can run in it: the policy in the page's head lets only the one script and the one style run whose
//! digests it names, forbids every request, and has the browser refuse text as markup (Trusted Types); and the script
//! writes text as text.

mod data;
mod look;
mod markup;
mod proof;
mod repeats;
mod standings;
mod summary;

use std::io;

use diff::{ExchangeResult, MetricStanding, RuleUse, Tally};
use replayer::receipt::Receipt;
use sha2::{Digest as _, Sha256};

pub use self::look::{Call, Chunk, Content, Look, Side};
use self::markup::Markup;
use crate::Outcome;

/// The page's style.
const STYLE: &str = include_str!("../assets/report/report.css");

/// The page's script: one block, of which the parts see each other.
const SCRIPT: &str = concat!(
    "\"use strict\";\n",
    include_str!("../assets/report/base.js"),
    include_str!("../assets/report/changes.js"),
    include_str!("../assets/report/bodies.js"),
    include_str!("../assets/report/charts.js"),
    include_str!("../assets/report/detail.js"),
    include_str!("../assets/report/list.js"),
    include_str!("../assets/report/page.js"),
);

/// The tab's icon: two arrows that follow each other. `%23` is `#` in a URL.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath d='M2 4.5h8a3.5 3.5 0 0 1 0 7H5m2-3-3 3 3 3' fill='none' stroke='%232f6feb' stroke-width='2'/%3E%3C/svg%3E";

/// What one page shows.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// What was done, for the tab and the first heading: `replay of case.retake`.
    pub title: &'a str,
    /// Version of the tool, for the foot of the page.
    pub tool_version: &'a str,
    /// The exit code of all of it.
    pub exit_code: u8,
    /// What the results are of.
    pub of: Of,
    /// What is missing of it, such as cases of a part without results: one sentence each.
    pub missing: &'a [String],
    /// What was compared, one or more.
    pub cases: &'a [Case<'a>],
}

/// What the results of a page are of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Of {
    /// Exchanges of two archives, which other commands show by their ids.
    #[default]
    Exchanges,
    /// Plain files.
    Files,
}

impl Of {
    /// One of them, and several.
    fn words(self) -> [&'static str; 2] {
        match self {
            Self::Exchanges => ["exchange", "exchanges"],
            Self::Files => ["pair of files", "pairs of files"],
        }
    }

    /// Several of them, as a heading.
    fn title(self) -> &'static str {
        match self {
            Self::Exchanges => "Exchanges",
            Self::Files => "Files",
        }
    }
}

/// One comparison: a replay of a SOURCE in one environment, or two runs.
#[derive(Clone, Copy)]
pub struct Case<'a> {
    /// What it is called: as the SOURCE was named.
    pub name: &'a str,
    /// What is known of it beside: label and words, such as a ticket, its owner, why it exists.
    pub notes: &'a [(String, String)],
    /// Its exit code.
    pub exit_code: u8,
    /// What came of it as a case of a suite; `None` where it is none.
    pub outcome: Option<Outcome>,
    /// The recorded side as a SOURCE of other commands.
    pub recorded: &'a str,
    /// The replayed side as one: a run's path.
    pub replayed: &'a str,
    /// The command that does one exchange again, up to its id: `retake replay case.retake --only`; `None` where there is none.
    pub command: Option<&'a str>,
    /// What a replay proves; a comparison of two runs has none.
    pub receipt: Option<&'a Receipt>,
    /// One entry for each exchange.
    pub results: &'a [ExchangeResult],
    /// Rules that hid a difference.
    pub rules_used: &'a [RuleUse],
    /// Of two runs: whether the second is no worse than the first, for each metric.
    pub standings: &'a [MetricStanding],
    /// What is to be shown of an exchange beside its result: asked for once for each, in their order, and not kept.
    pub look: &'a dyn Fn(&ExchangeResult) -> Look,
}

impl std::fmt::Debug for Case<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Case").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Case<'_> {
    fn tally(&self) -> Tally {
        Tally::of(self.results)
    }

    fn skipped(&self) -> u64 {
        self.receipt.map_or(0, |receipt| receipt.skipped.len() as u64)
    }
}

/// The page as text.
pub fn report(report: &Report<'_>) -> String {
    let mut page = Vec::new();
    write_report(report, &mut page).expect("a vector takes all");
    String::from_utf8(page).expect("the page is made of text")
}

/// Writes the page piece by piece: of many exchanges it is long.
///
/// # Errors
/// Those of `out`.
pub fn write_report(report: &Report<'_>, out: &mut dyn io::Write) -> io::Result<()> {
    let mut page = Markup::default();
    begin(&mut page, report);
    summary::write(&mut page, report);
    places_for_the_script(&mut page, report.of);
    for (number, case) in report.cases.iter().enumerate() {
        repeats::write(&mut page, report, number, case);
        proof::write(&mut page, report, number, case);
    }
    foot(&mut page, report);
    out.write_all(page.as_bytes())?;
    data::write(report, out)?;
    let mut end = Markup::default();
    end.raw("<script>").constant(SCRIPT).raw("</script>\n</body>\n</html>\n");
    out.write_all(end.as_bytes())
}

fn begin(page: &mut Markup, report: &Report<'_>) {
    page.raw("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    page.raw("<meta http-equiv=\"Content-Security-Policy\" content=\"").text(&policy()).raw("\">\n");
    page.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    page.raw("<meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" content=\"no-referrer\">\n");
    page.raw("<link rel=\"icon\" href=\"").constant(ICON).raw("\">\n");
    page.raw("<title>").text(summary::word(report)).raw(": ").text(report.title).raw(" · Retake</title>\n");
    page.raw("<style>").constant(STYLE).raw("</style>\n</head>\n<body>\n");
    page.raw("<a class=\"skip\" href=\"#exchanges\">Skip to the exchanges</a>\n");
}

/// Everything is forbidden but the one style, the one script and the icon above.
fn policy() -> String {
    let digest = |text: &str| content::base64::encode(&Sha256::digest(text.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:; base-uri 'none'; form-action 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'",
        digest(STYLE),
        digest(SCRIPT)
    )
}

/// Where the script puts the list and the charts; without one a note says what is missing.
fn places_for_the_script(page: &mut Markup, of: Of) {
    page.raw(
        "<section id=\"exchanges\" aria-labelledby=\"exchanges-title\" tabindex=\"-1\">\n<h2 id=\"exchanges-title\">",
    );
    page.raw(of.title()).raw(
        "</h2>\n\
         <noscript><p class=\"note\">The list of exchanges needs scripts, which are off here. All of it is in the output of \
         <code>--json</code>.</p></noscript>\n<div id=\"list\"></div>\n</section>\n\
         <section id=\"times\" aria-labelledby=\"times-title\" hidden>\n<h2 id=\"times-title\">Times</h2>\n<div id=\"latency\"></div>\n\
         </section>\n",
    );
}

fn foot(page: &mut Markup, report: &Report<'_>) {
    page.raw("</main>\n<footer>\n<p>Written by Retake ").text(report.tool_version);
    page.raw(
        ". This file is whole: it asks for nothing, and nothing in it leaves it. It holds what the recording holds: hand it on \
         with the same care.</p>\n</footer>\n",
    );
}
