//! What one place says: settings by flag, each with where it was found.

use std::fmt;

use clap::{ArgAction, Command};

use crate::trouble::Trouble;

/// Flags that stand above the tables of the file, and apply to every command that has them.
pub(crate) const SHARED_KEYS: [&str; 3] = ["store", "identity", "color"];

/// Flags that are for one call, and can be set nowhere else.
pub(crate) const FLAGS_ONLY: [&str; 4] = ["config", "print-settings", "help", "version"];

/// Where a value comes from. The better one is the greater.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    /// A line of the file.
    File {
        /// The file, as it was named.
        path: String,
        /// Its line, from 1.
        line: usize,
    },
    /// A variable of the environment.
    Environment(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(formatter, "`{path}`, line {line}"),
            Self::Environment(variable) => write!(formatter, "variable {variable}"),
        }
    }
}

/// One setting that is not a flag of this call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    /// The command whose flag it is; `None` for a flag of every command.
    pub(crate) command: Option<String>,
    /// The flag's id within clap.
    pub(crate) id: String,
    /// The flag's name without dashes.
    pub(crate) key: String,
    /// Its values, as they would be written behind the flag.
    pub(crate) values: Vec<String>,
    /// Where it was found.
    pub(crate) origin: Origin,
}

/// What environment and file say together, at most one setting for a flag.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layer {
    settings: Vec<Setting>,
}

impl Layer {
    /// Adds a setting, in place of one for the same flag.
    pub(crate) fn set(&mut self, setting: Setting) {
        self.settings.retain(|former| former.id != setting.id);
        self.settings.push(setting);
    }

    /// All settings.
    pub(crate) fn settings(&self) -> impl Iterator<Item = &Setting> {
        self.settings.iter()
    }

    /// The settings, those from the better place first.
    pub(crate) fn best_first(&self) -> Vec<&Setting> {
        let mut settings: Vec<_> = self.settings.iter().collect();
        settings.sort_by(|one, other| other.origin.cmp(&one.origin));
        settings
    }

    /// The setting of a flag, by its id.
    pub(crate) fn of(&self, id: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.id == id)
    }

    /// Both, where `better` wins.
    pub(crate) fn under(mut self, better: Layer) -> Layer {
        better.settings.into_iter().for_each(|setting| self.set(setting));
        self
    }

    /// Without these.
    pub(crate) fn without(mut self, overruled: &[Setting]) -> Layer {
        self.settings.retain(|setting| !overruled.contains(setting));
        self
    }
}

/// A flag that can be set outside the command line.
pub(crate) struct Flag<'a> {
    /// The command that it belongs to; `None` for one of every command.
    pub(crate) command: Option<&'a str>,
    /// clap's definition.
    pub(crate) arg: &'a clap::Arg,
}

impl Flag<'_> {
    /// The flag's name without dashes.
    pub(crate) fn key(&self) -> &str {
        self.arg.get_long().unwrap_or_default()
    }

    /// The setting with these values, or `None` for a switch that is off, which is what it is anyhow.
    ///
    /// # Errors
    /// When a switch is neither on nor off, or a flag that takes one value has several.
    pub(crate) fn setting(&self, values: Vec<String>, origin: Origin) -> Result<Option<Setting>, Trouble> {
        let several = matches!(self.arg.get_action(), ArgAction::Append);
        if super::is_switch(self.arg) {
            let on = values.first().and_then(|value| switch_value(value));
            let wrong = || Trouble::new(format!("{origin}: `{}` is a switch", self.key())).help("write true or false");
            if !on.ok_or_else(wrong)? {
                return Ok(None);
            }
        } else if values.len() != 1 && !several {
            return Err(Trouble::new(format!("{origin}: `{}` takes one value, not {}", self.key(), values.len())));
        }
        let values = if super::is_switch(self.arg) { vec!["true".to_owned()] } else { values };
        let (command, id) = (self.command.map(str::to_owned), self.arg.get_id().to_string());
        Ok((!values.is_empty()).then(|| Setting { command, id, key: self.key().to_owned(), values, origin }))
    }
}

/// The flags of command `name` that can be set outside the command line, those of every command last.
pub(crate) fn flags<'a>(plain: &'a Command, name: &'a str) -> impl Iterator<Item = Flag<'a>> {
    let own = plain.find_subcommand(name).into_iter().flat_map(Command::get_arguments);
    let own = own.filter(|arg| !arg.get_id().as_str().starts_with(super::OFF));
    let own = own.map(move |arg| Flag { command: Some(name), arg });
    let common = plain.get_arguments().map(|arg| Flag { command: None, arg });
    own.chain(common).filter(|flag| flag.arg.get_long().is_some_and(|long| !FLAGS_ONLY.contains(&long)))
}

/// What the environment says: `RETAKE_CAPTURE_BODY_MAX`, and for the shared flags `RETAKE_STORE`. A list has one value a
/// line.
///
/// # Errors
/// When a value does not fit its flag.
pub(crate) fn of_environment(
    plain: &Command,
    name: &str,
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<Layer, Trouble> {
    let mut layer = Layer::default();
    for flag in flags(plain, name) {
        let own = variable(&[name, flag.key()]);
        let shared = SHARED_KEYS.contains(&flag.key()).then(|| variable(&[flag.key()]));
        let found = std::iter::once(own).chain(shared).find_map(|name| Some((lookup(&name)?, name)));
        if let Some((value, variable)) = found {
            let several = matches!(flag.arg.get_action(), ArgAction::Append);
            let values = if several { value.lines().map(str::to_owned).collect() } else { vec![value] };
            flag.setting(values, Origin::Environment(variable))?.into_iter().for_each(|setting| layer.set(setting));
        }
    }
    Ok(layer)
}

fn variable(words: &[&str]) -> String {
    format!("RETAKE_{}", words.join("_").replace('-', "_").to_ascii_uppercase())
}

fn switch_value(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Some(true),
        "" | "0" | "false" | "no" | "off" => Some(false),
        _ => None,
    }
}
