//! Compares two outputs or two runs: changes, rules, noise, causes, verdicts.
//!
//! In: two answers as they came, and the rules by hand. Out: every difference with its pointer, one verdict for each
//! exchange, and the count that chooses the exit code. Pure: no files, sockets, clock or threads, and the same input
//! gives the same output on every machine. How results look is left to `report`.

mod align;
mod apart;
mod call;
mod change;
mod cluster;
mod compare;
mod documents;
mod fields;
mod findings;
mod form;
mod format;
mod headers;
mod json;
mod media;
mod noise;
mod numbers;
mod outcome;
mod output;
mod pointer;
mod repeats;
mod result;
mod route;
mod rules;
mod said;
mod standing;
mod stream;
mod structured;
mod text;
mod trajectory;
mod verdict;
mod view;
mod weight;

pub use apart::{Apart, ElementApart, Inside, ListSeen, Sighting, add_places, places_apart, places_of_calls_apart};
pub use call::{CallRequest, compare_calls};
pub use change::{
    CHANGES_LEN_MAX, Change, ChangeKind, ComparedAs, Comparison, Hunk, NotJson, SHOWN_CHARS_MAX, Shown, TextChange,
};
pub use cluster::{Cluster, top_changes};
pub use compare::{compare_call_responses, compare_responses, compare_unread};
pub use documents::{compare_documents, compare_documents_within};
pub use form::{form_of, fresh_form};
pub use format::Format;
pub use headers::headers_not_compared;
pub use noise::{COMPARED_MIN, Noise, NoiseEvidence, NoiseLearner, NoiseUse, NoisyChange};
pub use numbers::{Distance, VectorChange};
pub use outcome::outcome_bytes;
pub use output::Output;
pub use pointer::with_indices_as_stars;
pub use repeats::{Class, Estimate, PassHat, RepeatOutcome, Repeated, SCREEN_COUNT, Trial};
pub use result::{ExchangeResult, Tally};
pub use route::Route;
pub use rules::{Reason, RuleError, RuleFault, RuleUse, Rules, TakenOut};
pub use said::{Streamed, Streams};
pub use standing::{Margins, MetricStanding, PairedOutcome, standings};
pub use text::own_words;
pub use trajectory::{NearCall, RecordedCall, ReplayedCall, StepKind, Trajectory, TrajectoryStep};
pub use verdict::{Came, Divergence, Evidence, Failure, Flaky, MissedCall, Unjudged, Verdict, decide};
pub use weight::Weight;
