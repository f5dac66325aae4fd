//! The flags of a replay as they were settled, in words that ask for the same again.
//!
//! In: what clap read. Out: each flag that is not at its default, wherever its values came from, and which of them this very
//! command line named.

use clap::{ArgAction, ArgMatches, Command, parser::ValueSource};

use super::{explicit, is_switch};

/// What was said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    /// Flags by their names, with their values; a switch has none.
    pub(crate) flags: Vec<(String, Vec<String>)>,
    /// The names of those that stand on the command line.
    pub(crate) named: Vec<String>,
}

impl Said {
    /// What `matches` have for the command `name`.
    pub(super) fn of(plain: &Command, name: &str, matches: &ArgMatches) -> Self {
        let (Some(command), Some((_, inner))) = (plain.find_subcommand(name), matches.subcommand()) else {
            return Self::default();
        };
        let named = explicit(command, inner);
        let mut said = Self::default();
        for arg in command.get_arguments().filter(|arg| !arg.is_global_set()) {
            let (Some(long), id) = (arg.get_long(), arg.get_id().as_str()) else { continue };
            if id.starts_with(super::OFF) || matches!(arg.get_action(), ArgAction::Help) {
                continue;
            }
            let raw = inner.get_raw(id).into_iter().flatten();
            let values: Vec<String> = raw.map(|value| value.to_string_lossy().into_owned()).collect();
            let is_default = inner.value_source(id) == Some(ValueSource::DefaultValue)
                && arg.get_default_values().iter().map(|value| value.to_string_lossy()).eq(values.iter().cloned());
            let is_said = if is_switch(arg) { inner.get_flag(id) } else { !values.is_empty() && !is_default };
            if !is_said {
                continue;
            }
            said.flags.push((long.to_owned(), if is_switch(arg) { Vec::new() } else { values }));
            said.named.extend(named.contains(&id).then(|| long.to_owned()));
        }
        said
    }

    /// The words of flags, as they are written behind a command.
    pub(crate) fn words<'a>(flags: impl IntoIterator<Item = &'a (String, Vec<String>)>) -> Vec<String> {
        let words = |(flag, values): &(String, Vec<String>)| match &values[..] {
            [] => vec![format!("--{flag}")],
            values => values.iter().map(|value| format!("--{flag}={value}")).collect(),
        };
        flags.into_iter().flat_map(words).collect()
    }

    /// A value without those of variables, which are taken from the environment then.
    pub(crate) fn without_values(flag: &str, value: &str) -> String {
        let name = |variable: &str| variable.split('=').next().unwrap_or_default().to_owned();
        match flag {
            "env" => name(value),
            "beside" => {
                let part = |part: &str| match part.strip_prefix("env=") {
                    Some(variable) => format!("env={}", name(variable)),
                    None => part.to_owned(),
                };
                value.split(',').map(part).collect::<Vec<_>>().join(",")
            }
            // What stands behind it may have been a SOURCE.
            "require-determinism" if value.parse::<u8>().is_err() => "asked".to_owned(),
            _ => value.to_owned(),
        }
    }
}
