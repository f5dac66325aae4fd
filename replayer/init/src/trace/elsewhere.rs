//! Where the service cannot be traced because there is no blob for this architecture: it says so.

use std::{ffi::OsString, path::Path};

use crate::{Config, InitError, say, system::launch};

const REASON: &str = "a service can be traced on x86-64 only";

pub(crate) fn run(config: &Path, _: Option<i32>, _: Option<i32>, command: &[OsString]) -> Result<u8, InitError> {
    let settings = Config::read(config)?;
    if !settings.determinism.is_some_and(|asked| asked.fallback) {
        return Err(InitError::Determinism(REASON.to_owned()));
    }
    say(&REASON);
    let program = settings.program.map_or_else(|| command[0].clone(), OsString::from);
    let source = launch::become_program(&program, command);
    Err(InitError::Start { program: program.to_string_lossy().into_owned(), source })
}

pub(crate) fn self_check() -> Result<u8, InitError> {
    Err(InitError::Determinism(REASON.to_owned()))
}
