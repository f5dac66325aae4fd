//! Arguments of `retake import`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::{StoreArgs, values};

/// Arguments of `retake import`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  retake import session.har
  retake import session.har -o case.retake
  retake import session.har --ingress app.example --dependency model=api.openai.com
  zcat big.har.gz | retake import -

The file is read entry by entry. Importing it again adds nothing. Each exchange says what a HAR does not tell, and so \
does the import, once. Secrets in heads are replaced as a capture does it. Where the file is wrong its byte is named, and \
what came before is kept.

Exit codes: 0 all of it was read, 2 trouble, or the file is wrong.")]
pub(crate) struct ImportArgs {
    /// An HTTP archive (HAR 1.2), or `-` for standard input
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// Seal it into this bundle instead of adding it to the store
    #[arg(short, long, value_name = "BUNDLE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Replace BUNDLE where it exists
    #[arg(short, long)]
    pub(crate) force: bool,
    /// The service's own host, or HOST:PORT: requests to any other are its dependency calls (repeatable) [default: all
    /// are the service's]
    #[arg(long, value_name = "HOST")]
    pub(crate) ingress: Vec<String>,
    /// Requests to this host are calls to the dependency NAME (repeatable)
    #[arg(long = "dependency", value_name = "NAME=HOST", value_parser = values::name_and_value)]
    pub(crate) dependencies: Vec<(String, String)>,
    /// Take this header field for a secret too (repeatable)
    #[arg(long = "redact-header", value_name = "NAME")]
    pub(crate) redact_headers: Vec<String>,
    /// Take this key of a query for a secret too (repeatable)
    #[arg(long = "redact-query", value_name = "KEY")]
    pub(crate) redact_queries: Vec<String>,
    /// Longest entry of the file; reading takes a few times as much memory
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = values::size)]
    pub(crate) entry_max: u64,
}
