//! The real binary, run the way people and scripts run it.

#![allow(clippy::unwrap_used, reason = "helpers of tests may stop the test")]

mod advised;
mod anew;
mod beside;
mod called;
mod captured;
mod compared;
mod contained;
mod determined;
mod doctor;
mod engines;
mod examples;
mod harm;
mod held;
mod imported;
mod inspected;
mod kept;
mod looked_at;
mod missed;
mod mounted;
mod noisy;
mod objects;
mod otherwise;
mod overtime;
mod paced;
mod preloaded;
mod proxied;
mod raced;
mod recordings;
mod refused;
mod repeated;
mod replayed;
mod resumed;
mod sealed;
mod searched;
mod secret;
mod services;
mod settled;
mod shipped;
mod spoken;
mod surrounded;
mod tested;
mod titled;
mod trusting;
mod unrecorded;
mod untrue;
mod wrapped;

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

/// What a call of `retake` came to.
struct Ran {
    code: i32,
    out: String,
    err: String,
}

/// Runs `retake` in `folder` without anything of this environment that would change what it does.
fn retake(folder: &Path, arguments: &[&str]) -> Ran {
    let output = command(folder, arguments).output().expect("the binary was built with this test");
    Ran::of(&output)
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_retake"));
    command.args(arguments).current_dir(folder).env_clear().stdin(Stdio::null());
    command
}

impl Ran {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            code: output.status.code().expect("it ended by itself"),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }

    /// The document on stdout.
    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}{}", self.out, self.err))
    }
}
