//! The library that is loaded before the service's own (`LD_PRELOAD`, ld.so(8)), where programs here load glibc's.
//!
//! In: its file, and what the variable holds already. Out: what the variable is to hold, and whether that is of any use here. It asks
//! `getrandom`, and is taken back where the tracer does not answer that.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs::File,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use wire::bridge::Held;

use crate::system;

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

/// What the variable held before `library` came behind that; nothing where it held nothing, or holds something else by now.
fn before(value: &OsStr, library: &Path) -> Option<OsString> {
    let before = value.as_bytes().strip_suffix(library.as_os_str().as_bytes())?.strip_suffix(b":")?;
    Some(OsStr::from_bytes(before).to_owned())
}

/// Has what this process runs from now on load it no more. This process must have no other threads.
pub(crate) fn take_back(library: Option<&PathBuf>) {
    if let Some((library, value)) = library.zip(env::var_os(VARIABLE)) {
        system::set_variable(VARIABLE, before(&value, library).as_deref());
    }
}

/// Whether it is loaded: off where no program here would load it, failed where the tracer does not answer what it asks.
pub(crate) fn held(library: Option<&PathBuf>, is_answered: bool) -> Held {
    let Some(library) = library.filter(|_| Path::new(LOADER).exists()) else { return Held::Off };
    if !is_answered {
        return Held::Failed { reason: "it gives what `getrandom` gives, and that is not given".to_owned() };
    }
    match File::open(library) {
        Ok(_) => Held::On,
        Err(error) => Held::Failed { reason: format!("the service may not read its library: {error}") },
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

    #[test]
    fn what_was_recorded_is_what_is_left_where_the_library_is_taken_back() {
        let library = Path::new("/lib/shim.so");
        for recorded in ["/lib/jemalloc.so", "/lib/a.so:/lib/b.so"] {
            assert_eq!(before(&behind(Some(recorded.into()), library), library).unwrap(), recorded);
        }
        assert_eq!(before(&behind(None, library), library), None);
    }
}
