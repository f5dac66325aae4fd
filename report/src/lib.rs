//! One renderer of every result: values in; text, JSON and HTML out.
//!
//! In: exchanges, changes, receipts, verification results and whether colours are wanted. Out: text for a person, or a
//! document `{"schema":"retake.<what>/0", …}` for a machine. Whatever came from outside is escaped on its way to a
//! terminal. Where the text goes, and which exit code follows, is left to `cli`.

mod around;
mod body;
mod causes;
mod changes;
mod curl;
mod diagnosis;
mod doctor;
mod escape;
mod exchange_list;
mod exchange_page;
pub mod html;
mod human;
mod inspection;
pub mod json;
mod junit;
mod noise;
mod pacing;
mod receipt;
mod repeats;
mod sealed;
mod standings;
mod stream_pace;
mod style;
mod suite;
mod summary;
mod table;
mod trajectory;
mod verification;

pub use around::{AroundPage, Moment, What, around_json, around_page};
pub use body::{BodyView, pretty_body};
pub use causes::Again;
pub use changes::{Compared, comparison_page, document_json, document_page, tally_line};
pub use curl::curl_command;
pub use diagnosis::{diagnosis_json, diagnosis_page};
pub use doctor::{Check, CheckState, doctor_json, doctor_page, worst_check};
pub use escape::{escape_line, escape_lines};
pub use exchange_list::{Listed, exchange_list};
pub use exchange_page::{ExchangePage, exchange_page};
pub use human::{bytes, day, instant, span};
pub use inspection::{
    Accepted, Detail, EnvironmentLine, ImagePlace, Inspection, ModelCount, ModelCounter, NoiseLine, Pseudonym,
    RouteCount, count_routes, inspection_page, list_accepted, list_environments,
};
pub use junit::junit;
pub use receipt::{ReceiptPage, receipt_page};
pub use sealed::{SealedFile, SealedTo, SignatureFound, sealed_page};
pub use stream_pace::StreamPace;
pub use style::Style;
pub use suite::{
    About, CaseReplay, CaseResult, Outcome, Suite, SuiteCluster, SuiteTally, case_differences, case_line, case_list,
    clusters, suite_end,
};
pub use summary::summary;
pub use table::{Cell, Paint, Table};
pub use verification::{SignedBy, salvage_page, verification_json, verification_page};
