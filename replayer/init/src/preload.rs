//! The library that is loaded before the service's own (`LD_PRELOAD`, ld.so(8)), where programs here load glibc's.
//!
//! In: its file, and what the variable holds already. Out: what the variable is to hold, and whether that is of any use here.

use std::{
    env,
    ffi::OsString,
    fs::File,
    path::{Path, PathBuf},
};

use wire::bridge::Held;

/// What loads a program of glibc on x86-64 (System V ABI, AMD64 supplement).
const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

const VARIABLE: &str = "LD_PRELOAD";

/// The variable and what it is to hold, with `library` behind what was there; nothing where no program here would load it.
pub(crate) fn variable(library: Option<&PathBuf>) -> Option<(&'static str, OsString)> {
    let library = library.filter(|_| Path::new(LOADER).exists())?;
    Some((VARIABLE, behind(env::var_os(VARIABLE), library)))
}

fn behind(before: Option<OsString>, library: &Path) -> OsString {
    let mut value = before.filter(|before| !before.is_empty()).map_or_else(OsString::new, |mut before| {
        before.push(":");
        before
    });
    value.push(library);
    value
}

/// Whether it is loaded: off also where no program here would load it.
pub(crate) fn held(library: Option<&PathBuf>) -> Held {
    match library.filter(|_| Path::new(LOADER).exists()).map(File::open) {
        None => Held::Off,
        Some(Ok(_)) => Held::On,
        Some(Err(error)) => Held::Failed { reason: format!("the service may not read its library: {error}") },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_comes_behind_what_was_recorded() {
        let library = Path::new("/lib/shim.so");
        assert_eq!(behind(None, library), "/lib/shim.so");
        assert_eq!(behind(Some("".into()), library), "/lib/shim.so");
        assert_eq!(behind(Some("/lib/jemalloc.so".into()), library), "/lib/jemalloc.so:/lib/shim.so");
    }
}
