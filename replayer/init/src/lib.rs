//! The first process of a replay's container.
//!
//! It starts the bridge as a process of its own and waits until that listens, starts the recorded command with the
//! environment it finds, hands on the signals it gets, reaps what the service leaves behind, and ends as the service
//! ended. When the service is over the bridge may say its last counts; when the bridge is over, because whoever
//! replays is done or dead, the service is asked to end. The same binary runs outside: `main` has to come here before
//! any runtime or thread starts.
//!
//! Where its time and chance are given, a tracer stands between init and the service (`trace`).
//!
//! Where the system lets it, it also sees what the service tries to connect to, and has the bridge tell that.
//!
//! With `--isolate` it first makes name spaces of its own, for replaying a process without a container engine.

mod arguments;
mod bridge;
mod clock;
mod config;
mod isolate;
mod plant;
mod preload;
mod relay;
mod rest;
mod service;
#[allow(unsafe_code, reason = "signals, name spaces, mounts and filters have no safe wrapper in the standard library")]
mod system;
#[cfg_attr(not(target_arch = "x86_64"), path = "trace/elsewhere.rs")]
mod trace;
mod watch;

use std::{ffi::OsString, fmt, process::ExitCode};

pub use config::Config;
#[doc(hidden)]
pub use plant::Plant;

use arguments::Arguments;

/// The first argument that makes `retake` an init.
pub const WORD: &str = "__init";

/// A library for `LD_PRELOAD`, for x86-64, that has `std::random_device` and openings of `/dev/urandom` ask the kernel, whose
/// answers are given where entropy is, and that makes what small requests of `getrandom` get from one such answer in each process.
/// It needs nothing but a C library, and loads under glibc and under musl.
pub const SHIM: &[u8] = include_bytes!("../blob/shim.so");

/// Exit status when the container could not be set up, as container engines use it.
const STATUS_SETUP_FAILED: u8 = 125;

/// Runs as init with the arguments after [`WORD`]: `[--isolate] CONFIG -- COMMAND…`, `--bridge CONFIG FD|none CLOCK|none`,
/// `--trace CONFIG FD|none CLOCK|none -- COMMAND…`, `--self-check`, `--relay` or `--probe`.
///
/// The status is the service's own, 128 and its signal, 127 or 126 where it could not be started, and 125 where it
/// never came to that.
pub fn main(arguments: &[OsString]) -> ExitCode {
    let status = match Arguments::read(arguments) {
        Ok(Arguments::Run { config, command }) => service::run(&config, &command),
        Ok(Arguments::Isolate { config, command }) => isolate::run(&config, &command),
        Ok(Arguments::Bridge { config, tracer, clock }) => bridge::run(&config, tracer, clock),
        Ok(Arguments::Trace { config, control, clock, command }) => trace::run(&config, control, clock, &command),
        Ok(Arguments::SelfCheck) => trace::self_check(),
        Ok(Arguments::Relay) => relay::run(),
        Ok(Arguments::Probe) => isolate::probe(),
        Err(error) => Err(error),
    };
    ExitCode::from(status.unwrap_or_else(|error| {
        say(&error);
        error.status()
    }))
}

/// Why the service was not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InitError {
    #[error("`{WORD}` takes `CONFIG -- COMMAND…`")]
    Arguments,
    #[error("cannot read `{path}`: {reason}")]
    Config { path: String, reason: String },
    #[error("cannot {what}: {source}")]
    System { what: &'static str, source: std::io::Error },
    #[error("the service is not started: {0}")]
    Determinism(String),
    #[error("the container bridge did not start")]
    Bridge,
    #[error("cannot start `{program}`: {source}")]
    Start { program: String, source: std::io::Error },
}

impl InitError {
    /// 127 for a program that is not there and 126 for one that cannot be run, as shells have it (POSIX, 2.8.2).
    fn status(&self) -> u8 {
        match self {
            Self::Start { source, .. } if source.kind() == std::io::ErrorKind::NotFound => 127,
            Self::Start { .. } => 126,
            _ => STATUS_SETUP_FAILED,
        }
    }
}

/// Says something on standard error, where the service's log is.
pub(crate) fn say(what: &impl fmt::Display) {
    eprintln!("retake: {what}");
}
