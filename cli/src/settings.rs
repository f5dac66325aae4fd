//! Settings from three places, with the same name in each: flags, the environment, `retake.toml`.
//!
//! In: the process's arguments, its environment and the file. Out: [`Cli`]. Flags beat the environment, the environment
//! beats the file, the file beats the defaults. What environment and file say is given to clap as a flag's default, so
//! that it is read and checked by the same code, wherever it came from.

mod case;
mod explain;
pub(crate) mod file;
mod layer;
pub(crate) mod nearest;
mod said;

use std::{ffi::OsString, path::PathBuf};

pub(crate) use self::{
    case::{CaseReader, FlagValues, OwnKey},
    layer::Origin,
    nearest::nearest,
    said::Said,
};
use clap::{ArgAction, ArgMatches, Command, CommandFactory, FromArgMatches, parser::ValueSource};

use crate::{
    args::{Cli, Command as Asked},
    settings::layer::{Layer, Setting},
    trouble::Trouble,
};

/// Id prefix of the hidden switch that turns another one off.
const OFF: &str = "off:";

/// What the arguments come to.
#[derive(Debug)]
pub(crate) enum Settled {
    /// A command to run.
    Run(Box<Cli>),
    /// Settings, explained: to be printed, and nothing else to be done.
    Said(String),
}

/// Why there is nothing to run.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// A usage error, or help and version, which clap words itself.
    Clap(clap::Error),
    /// The file or a variable is wrong.
    Trouble(Trouble),
}

impl From<clap::Error> for Refusal {
    fn from(error: clap::Error) -> Self {
        Self::Clap(error)
    }
}

impl From<Trouble> for Refusal {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

/// Reads arguments, environment and file.
pub(crate) fn settle(arguments: &[OsString]) -> Result<Settled, Refusal> {
    let plain = with_off_switches(Cli::command());
    let layer = match peek(&plain, arguments) {
        Some((name, config)) => layers(&plain, &name, config)?,
        None => Layer::default(),
    };
    let matches = parse(&plain, &layer, arguments)?;
    let overruled = overruled(&plain, &layer, &matches);
    let layer = layer.without(&overruled);
    let matches = if overruled.is_empty() { matches } else { parse(&plain, &layer, arguments)? };
    let mut cli = Cli::from_arg_matches(&matches)?;
    if let Asked::Replay(args) = &mut cli.command {
        args.said = Some(Said::of(&plain, "replay", &matches));
    }
    if let Asked::Diff(args) = &mut cli.command {
        args.said = Some(Said::of(&plain, "diff", &matches));
    }
    if cli.common.print_settings {
        return Ok(Settled::Said(explain::explain(&plain, &matches, &layer, cli.common.json)));
    }
    Ok(Settled::Run(Box::new(cli)))
}

/// The command that was named and the value of `--config`, or `None` where the arguments ask for help or make no sense:
/// then clap has the word.
fn peek(plain: &Command, arguments: &[OsString]) -> Option<(String, Option<PathBuf>)> {
    let matches = plain.clone().ignore_errors(true).try_get_matches_from(arguments).ok()?;
    let (name, inner) = matches.subcommand()?;
    Some((name.to_owned(), inner.get_one::<PathBuf>("config").cloned()))
}

fn layers(plain: &Command, name: &str, config: Option<PathBuf>) -> Result<Layer, Trouble> {
    let config =
        config.or_else(|| std::env::var_os("RETAKE_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from));
    let from_file = match file::read(config.as_deref())? {
        Some(document) => document.layer(plain, name)?,
        None => Layer::default(),
    };
    let from_environment = layer::of_environment(plain, name, |variable| std::env::var(variable).ok())?;
    Ok(from_file.under(from_environment))
}

/// Gives every switch a hidden `--no-…`, for turning off what a file turned on.
fn with_off_switches(command: Command) -> Command {
    command.mut_subcommands(|sub| {
        let off_switches: Vec<_> = sub.get_arguments().filter(|arg| is_switch(arg)).filter_map(off_switch).collect();
        sub.args(off_switches)
    })
}

fn is_switch(arg: &clap::Arg) -> bool {
    matches!(arg.get_action(), ArgAction::SetTrue)
}

fn off_switch(arg: &clap::Arg) -> Option<clap::Arg> {
    let long = arg.get_long()?;
    let off = long.strip_prefix("no-").map_or_else(|| format!("no-{long}"), str::to_owned);
    let id = arg.get_id().as_str();
    Some(
        clap::Arg::new(format!("{OFF}{id}"))
            .long(off)
            .action(ArgAction::SetTrue)
            .hide(true)
            .overrides_with(id.to_owned()),
    )
}

fn parse(plain: &Command, layer: &Layer, arguments: &[OsString]) -> Result<ArgMatches, Refusal> {
    let with_defaults = layer.settings().fold(plain.clone(), with_default);
    with_defaults.try_get_matches_from(arguments).map_err(|error| blame(error, layer))
}

fn with_default(command: Command, setting: &Setting) -> Command {
    let with_value = |arg: clap::Arg| arg.default_values(setting.values.iter().cloned()).required(false);
    match &setting.command {
        None => command.mut_arg(&setting.id, with_value),
        Some(name) => command.mut_subcommand(name, |sub| sub.mut_arg(&setting.id, with_value)),
    }
}

/// Says which file and line, or which variable, a value that clap refuses came from.
fn blame(error: clap::Error, layer: &Layer) -> Refusal {
    use clap::error::{ContextKind, ContextValue};
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.as_str(),
        _ => "",
    };
    let flag = text(ContextKind::InvalidArg).split([' ', '=']).next().unwrap_or_default().trim_start_matches("--");
    let value = text(ContextKind::InvalidValue);
    let guilty = layer.settings().find(|setting| setting.key == flag && setting.values.iter().any(|it| it == value));
    let Some(setting) = guilty else { return Refusal::Clap(error) };
    let reason = std::error::Error::source(&error).map(ToString::to_string);
    let reason = reason.unwrap_or_else(|| format!("see `retake {} --help`", setting.command.as_deref().unwrap_or("")));
    Refusal::Trouble(Trouble::new(format!("{}: `{value}` is no value for `{flag}`", setting.origin)).help(reason))
}

/// Settings that are taken back: by an off switch, or because a flag or a better place says something that excludes them.
fn overruled(plain: &Command, layer: &Layer, matches: &ArgMatches) -> Vec<Setting> {
    let Some((name, inner)) = matches.subcommand() else { return Vec::new() };
    let Some(sub) = plain.find_subcommand(name) else { return Vec::new() };
    let mut standing: Vec<&str> = explicit(sub, inner);
    let mut overruled = Vec::new();
    for setting in layer.best_first() {
        let id = setting.id.as_str();
        let off = standing.iter().any(|it| it.strip_prefix(OFF) == Some(id));
        if off || standing.iter().any(|other| exclude_each_other(sub, id, other)) {
            overruled.push(setting.clone());
        } else {
            standing.push(id);
        }
    }
    overruled
}

fn explicit<'a>(sub: &'a Command, matches: &ArgMatches) -> Vec<&'a str> {
    let ids = sub.get_arguments().map(|arg| arg.get_id().as_str());
    ids.filter(|id| matches.try_contains_id(id).is_ok() && matches.value_source(id) == Some(ValueSource::CommandLine))
        .collect()
}

fn exclude_each_other(sub: &Command, one: &str, other: &str) -> bool {
    let excludes = |one: &str, other: &str| {
        let arg = sub.get_arguments().find(|arg| arg.get_id() == one);
        arg.is_some_and(|arg| sub.get_arg_conflicts_with(arg).iter().any(|it| it.get_id() == other))
    };
    one != other && (excludes(one, other) || excludes(other, one))
}

#[cfg(test)]
mod tests;
