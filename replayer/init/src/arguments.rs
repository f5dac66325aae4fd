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
    /// Be the bridge, whose way to the tracer is the descriptor of that number, and that sets the clock of the other number.
    Bridge { config: PathBuf, tracer: Option<i32>, clock: Option<i32> },
    /// Be the tracer, whose way to the bridge is the descriptor of that number, with the clock of the other number.
    Trace { config: PathBuf, control: Option<i32>, clock: Option<i32>, command: Vec<OsString> },
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
            [word, config, tracer, clock] if word == "--bridge" => Ok(Self::Bridge {
                config: config.into(),
                tracer: number_or_none(tracer, FIRST_DESCRIPTOR)?,
                clock: number_or_none(clock, 0)?,
            }),
            [word] if word == "--self-check" => Ok(Self::SelfCheck),
            [word, config, control, clock, dashes, command @ ..]
                if word == "--trace" && dashes == "--" && !command.is_empty() =>
            {
                Ok(Self::Trace {
                    config: config.into(),
                    control: number_or_none(control, FIRST_DESCRIPTOR)?,
                    clock: number_or_none(clock, 0)?,
                    command: command.to_vec(),
                })
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

/// The first descriptor that is none of the standard streams.
const FIRST_DESCRIPTOR: i32 = 3;

/// How a missing number is written.
pub(crate) const NONE: &str = "none";

fn number_or_none(word: &OsStr, least: i32) -> Result<Option<i32>, InitError> {
    if word == NONE {
        return Ok(None);
    }
    let number = word.to_str().and_then(|word| word.parse().ok()).filter(|number| *number >= least);
    number.map(Some).ok_or(InitError::Arguments)
}

/// A number as it is read.
pub(crate) fn number_word(number: Option<i32>) -> String {
    number.map_or_else(|| NONE.to_owned(), |number| number.to_string())
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
            &["--trace", "/c", "none", "--", "x"],
            &["--trace", "/c", "2", "none", "--", "x"],
            &["--trace", "/c", "3", "-1", "--", "x"],
            &["--bridge", "/c", "none"],
            &["--bridge", "/c", "x", "none"],
        ] {
            assert!(read(words).is_err(), "{words:?}");
        }
    }

    #[test]
    fn numbers_are_read_as_they_are_written() {
        for (tracer, clock) in [(None, None), (Some(3), Some(0)), (Some(40), None)] {
            let words = ["--bridge", "/c", &number_word(tracer), &number_word(clock)];
            assert_eq!(read(&words).unwrap(), Arguments::Bridge { config: "/c".into(), tracer, clock });
        }
    }
}
