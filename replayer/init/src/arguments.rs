//! What init is asked to do.

use std::{ffi::OsString, path::PathBuf};

use crate::InitError;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arguments {
    /// Be the first process of a container.
    Run { config: PathBuf, command: Vec<OsString> },
    /// Make name spaces, then be the first process in them.
    Isolate { config: PathBuf, command: Vec<OsString> },
    /// Be the bridge.
    Bridge { config: PathBuf },
    /// Be the relay between the standard streams and the bridge.
    Relay,
    /// Say whether `Isolate` would work here.
    Probe,
}

impl Arguments {
    pub(crate) fn read(arguments: &[OsString]) -> Result<Self, InitError> {
        match arguments {
            [word] if word == "--probe" => Ok(Self::Probe),
            [word] if word == "--relay" => Ok(Self::Relay),
            [word, config] if word == "--bridge" => Ok(Self::Bridge { config: config.into() }),
            [word, config, dashes, command @ ..] if word == "--isolate" && dashes == "--" && !command.is_empty() => {
                Ok(Self::Isolate { config: config.into(), command: command.to_vec() })
            }
            [config, dashes, command @ ..]
                if !config.as_encoded_bytes().starts_with(b"-") && dashes == "--" && !command.is_empty() =>
            {
                Ok(Self::Run { config: config.into(), command: command.to_vec() })
            }
            _ => Err(InitError::Arguments),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Arguments, InitError> {
        Arguments::read(&words.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn the_command_keeps_dashes_of_its_own() {
        let Ok(Arguments::Run { config, command }) = read(&["/c.json", "--", "serve", "--", "-x"]) else { panic!() };
        assert_eq!(config, PathBuf::from("/c.json"));
        assert_eq!(command, ["serve", "--", "-x"]);
    }

    #[test]
    fn no_command_is_an_error() {
        for words in [&[][..], &["/c.json"], &["/c.json", "--"], &["/c.json", "serve"], &["--isolate", "--", "x"]] {
            assert!(read(words).is_err(), "{words:?}");
        }
    }
}
