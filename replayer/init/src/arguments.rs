//! What init is asked to do.

use std::{
    ffi::{OsStr, OsString},
    path::PathBuf,
};

use crate::InitError;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arguments {
    /// Be the first process of a container.
    Run { config: PathBuf, command: Vec<OsString> },
    /// Make name spaces, then be the first process in them.
    Isolate { config: PathBuf, command: Vec<OsString> },
    /// Be the bridge, whose way to the tracer is the descriptor of that number.
    Bridge { config: PathBuf, tracer: Option<i32> },
    /// Be the tracer, whose way to the bridge is the descriptor of that number.
    Trace { config: PathBuf, control: Option<i32>, command: Vec<OsString> },
    /// Say what this process sees of its clocks and random bytes.
    SelfCheck,
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
            [word, config] if word == "--bridge" => Ok(Self::Bridge { config: config.into(), tracer: None }),
            [word, config, tracer] if word == "--bridge" => {
                Ok(Self::Bridge { config: config.into(), tracer: Some(number(tracer)?) })
            }
            [word] if word == "--self-check" => Ok(Self::SelfCheck),
            [word, config, control, dashes, command @ ..]
                if word == "--trace" && dashes == "--" && !command.is_empty() =>
            {
                let control = (control != "none").then(|| number(control)).transpose()?;
                Ok(Self::Trace { config: config.into(), control, command: command.to_vec() })
            }
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

fn number(word: &OsStr) -> Result<i32, InitError> {
    word.to_str().and_then(|word| word.parse().ok()).filter(|number| *number > 2).ok_or(InitError::Arguments)
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
        for words in [
            &[][..],
            &["/c.json"],
            &["/c.json", "--"],
            &["/c.json", "serve"],
            &["--isolate", "--", "x"],
            &["--trace", "/c", "--", "x"],
            &["--trace", "/c", "2", "--", "x"],
            &["--bridge", "/c", "x"],
        ] {
            assert!(read(words).is_err(), "{words:?}");
        }
    }
}
