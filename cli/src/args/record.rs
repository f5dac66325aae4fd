//! Arguments of `capture`.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, ValueHint};

use super::{StoreArgs, values};

/// Arguments of `retake capture`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  retake capture --upstream http://127.0.0.1:9000 --container triage
  retake capture --upstream http://127.0.0.1:9000 --dependency model=http://127.0.0.1:8000
  retake capture … --dependency llm=http://127.0.0.1:8000,listen=172.17.0.1:9101  for a bridge
  retake capture … --dependency cache=tcp://127.0.0.1:6379        Redis, or what else is no HTTP
  retake capture --upstream http://127.0.0.1:9000 --annotate tokens=/usage/total_tokens \\
      --annotate tenant=request:header:x-tenant --conversation request:/thread_id
  retake capture -- python app.py        an app of your own, with OPENAI_BASE_URL set
  retake capture --forward-proxy -- python app.py        whatever it calls by HTTPS_PROXY

Requests and answers pass unchanged and are never kept waiting for the recording. Credentials are replaced by \
pseudonyms before anything is queued or written. Stop with Ctrl-C; what was recorded is in the store.")]
pub(crate) struct CaptureArgs {
    /// The service to record, as http://HOST:PORT or https://…; needed unless a command is given
    #[arg(long, value_name = "URL")]
    pub(crate) upstream: Option<String>,
    /// Where clients call instead of the service
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080", value_parser = values::listen_address)]
    pub(crate) listen: SocketAddr,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// A dependency that the service calls, as http://…, https://… or, where it speaks no HTTP, tcp://HOST:PORT; its calls go
    /// to the address printed at start (repeatable)
    #[arg(long = "dependency", value_name = "NAME=URL[,listen=ADDR]")]
    pub(crate) dependencies: Vec<String>,
    /// With a command: do not open the `openai` and `anthropic` listeners
    #[arg(long)]
    pub(crate) no_default_dependencies: bool,
    /// Open a forward proxy for what is called by HTTPS_PROXY, here or on a free port; a command is told of it
    #[arg(long, value_name = "ADDR", num_args = 0..=1, default_missing_value = "0", value_parser = values::listen_address, help_heading = "HTTPS dependencies")]
    pub(crate) forward_proxy: Option<SocketAddr>,
    /// Let the TLS of this host pass the forward proxy unread, as NAME, NAME:PORT or .SUFFIX (repeatable)
    #[arg(long, value_name = "HOST", requires = "forward_proxy", help_heading = "HTTPS dependencies")]
    pub(crate) forward_through: Vec<String>,
    /// Folder of the certificate authority [default: $XDG_DATA_HOME/retake/ca, as `retake ca` shows]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, help_heading = "HTTPS dependencies")]
    pub(crate) ca_dir: Option<PathBuf>,
    /// The container that the service runs in: its image and configuration are recorded, again whenever they change
    /// (repeatable, for replicas behind one upstream)
    #[arg(long, value_name = "NAME", conflicts_with_all = ["pid", "command"])]
    pub(crate) container: Vec<String>,
    /// The process that the service is
    #[arg(long, value_name = "PID", conflicts_with = "command")]
    pub(crate) pid: Option<u32>,
    /// What the service calls its own version
    #[arg(long, value_name = "TEXT")]
    pub(crate) service_version: Option<String>,
    /// Keep this value of each exchange under a name: a pointer into the answer's body, or else the request's (repeatable)
    #[arg(long, value_name = "NAME=POINTER|header:NAME", help_heading = "Notes")]
    pub(crate) annotate: Vec<String>,
    /// Where a request carries its conversation's id [default: its baggage, else inferred from its first messages]
    #[arg(long, value_name = "POINTER|header:NAME", help_heading = "Notes")]
    pub(crate) conversation: Option<String>,
    /// How often to sample what the container or process uses: CPU, throttling, memory, pressure; or `off`
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = values::interval, help_heading = "Notes")]
    pub(crate) samples: values::Interval,
    /// Do not record what the container or command logs
    #[arg(long, help_heading = "Notes")]
    pub(crate) no_logs: bool,
    /// Send requests on as they are: give none a `traceparent` that came without
    #[arg(long)]
    pub(crate) no_traceparent: bool,
    /// One more header field whose value is a secret (repeatable)
    #[arg(long = "redact-header", value_name = "NAME", help_heading = "Secrets")]
    pub(crate) redact_headers: Vec<String>,
    /// One more query key whose value is a secret (repeatable)
    #[arg(long = "redact-query", value_name = "KEY", help_heading = "Secrets")]
    pub(crate) redact_query_keys: Vec<String>,
    /// One more environment variable whose value is a secret (repeatable)
    #[arg(long = "env-secret", value_name = "NAME", help_heading = "Secrets")]
    pub(crate) env_secrets: Vec<String>,
    /// Largest part of a body that is kept
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = values::size, help_heading = "Limits")]
    pub(crate) body_max: u64,
    /// Memory for what waits to be written; beyond it, bodies are cut in the recording and counted
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = values::size, help_heading = "Limits")]
    pub(crate) memory: u64,
    /// Memory for finding what came before; what falls out of it takes space again
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = values::size, help_heading = "Limits")]
    pub(crate) dedup_memory: u64,
    /// How often what was recorded is made safe from power loss
    #[arg(long, value_name = "TIME", default_value = "200ms", value_parser = values::duration, help_heading = "Limits")]
    pub(crate) sync_interval: Duration,
    /// Start the service as a child and record it; the capture ends with it, with its exit status
    #[arg(last = true, value_name = "CMD")]
    pub(crate) command: Vec<std::ffi::OsString>,
}

/// Arguments of `retake ca`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  retake ca                              make it once, and say how to trust it
  retake ca --print > retake-ca.pem
  retake ca --bundle > roots.pem         for variables that replace the system's certificates

`retake capture --forward-proxy` vouches with it for the hosts that the service calls, so that what is said in TLS \
can be recorded. A replay makes one of its own.")]
pub(crate) struct CaArgs {
    /// Folder that it is kept in [default: $XDG_DATA_HOME/retake/ca, else ~/.local/share/retake/ca]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) dir: Option<PathBuf>,
    /// Print the certificate (PEM)
    #[arg(long, conflicts_with = "bundle")]
    pub(crate) print: bool,
    /// Print the system's certificates and this one (PEM)
    #[arg(long)]
    pub(crate) bundle: bool,
    /// Make a new one, which everything has to be told to trust
    #[arg(long)]
    pub(crate) renew: bool,
}
