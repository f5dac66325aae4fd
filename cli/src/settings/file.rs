//! `retake.toml`: a table for each command, its keys named like the command's flags.

use std::{
    fs::File,
    io::{ErrorKind, Read},
    path::Path,
};

use clap::Command;
use toml::de::{DeTable, DeValue};

use super::{
    layer::{Flag, Layer, Origin, SHARED_KEYS, flags},
    nearest::nearest,
};
use crate::trouble::Trouble;

/// Read from the working folder where no other file is named.
pub(crate) const FILE_NAME: &str = "retake.toml";

/// Largest file that is read, in bytes: a choice, far above what settings need.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A file's text and the name to blame it by.
#[derive(Debug)]
pub(crate) struct Document {
    path: String,
    text: String,
}

/// Reads the file at `named`, or the one in the working folder, which need not be there.
///
/// # Errors
/// When it cannot be read, or is longer than settings ever are.
pub(crate) fn read(named: Option<&Path>) -> Result<Option<Document>, Trouble> {
    let path = named.unwrap_or(Path::new(FILE_NAME));
    let unreadable =
        |error: std::io::Error| Trouble::of(&error).while_doing(format!("cannot read `{}`", path.display()));
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound && named.is_none() => return Ok(None),
        opened => opened.map_err(unreadable)?,
    };
    let mut text = String::new();
    let read = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(unreadable)?;
    if read as u64 > FILE_BYTES_MAX {
        return Err(Trouble::new(format!("`{}` is longer than {FILE_BYTES_MAX} bytes", path.display())));
    }
    Ok(Some(Document { path: path.display().to_string(), text }))
}

impl Document {
    /// A document of this text.
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// The file's text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// What the file says for command `name`. All of it is checked, also what other commands read.
    ///
    /// # Errors
    /// When it is no TOML, or has a key that no flag has, or a value that does not fit.
    pub(crate) fn layer(&self, plain: &Command, name: &str) -> Result<Layer, Trouble> {
        let parsed = DeTable::parse(&self.text).map_err(|error| self.no_toml(&error))?;
        let mut layer = Layer::default();
        let (tables, shared): (Vec<_>, Vec<_>) =
            parsed.get_ref().iter().partition(|(_, value)| value.get_ref().is_table());
        for (key, value) in shared {
            self.shared(plain, name, (key.get_ref(), key.span().start), value.get_ref(), &mut layer)?;
        }
        for (key, value) in tables {
            let Some(command) = plain.find_subcommand(key.get_ref().as_ref()) else {
                return Err(self.no_table(plain, key.get_ref(), key.span().start));
            };
            let table = value.get_ref().as_table().expect("partitioned by being a table");
            let read = self.table(plain, command.get_name(), table)?;
            if command.get_name() == name {
                layer = layer.under(read);
            }
        }
        Ok(layer)
    }

    /// A key above the tables.
    fn shared(
        &self,
        plain: &Command,
        name: &str,
        (key, at): (&str, usize),
        value: &DeValue<'_>,
        layer: &mut Layer,
    ) -> Result<(), Trouble> {
        if !SHARED_KEYS.contains(&key) {
            return Err(self.no_shared_key(plain, key, at));
        }
        let Some(flag) = flags(plain, name).find(|flag| flag.key() == key) else { return Ok(()) };
        self.set(&flag, at, value, layer)
    }

    fn table(&self, plain: &Command, name: &str, table: &DeTable<'_>) -> Result<Layer, Trouble> {
        let mut layer = Layer::default();
        for (key, value) in table.iter() {
            let at = key.span().start;
            match flags(plain, name).find(|flag| flag.key() == key.get_ref().as_ref()) {
                Some(flag) => self.set(&flag, at, value.get_ref(), &mut layer)?,
                None => return Err(self.no_key(plain, name, key.get_ref(), at)),
            }
        }
        Ok(layer)
    }

    /// Sets a flag to what stands at `at`.
    pub(super) fn set(
        &self,
        flag: &Flag<'_>,
        at: usize,
        value: &DeValue<'_>,
        layer: &mut Layer,
    ) -> Result<(), Trouble> {
        let origin = self.origin(at);
        let values = match value {
            DeValue::Array(items) => items.iter().map(|item| plain_text(item.get_ref())).collect(),
            single => plain_text(single).map(|text| vec![text]),
        };
        let wrong = || Trouble::new(format!("{origin}: `{}` is no text, number or list of them", flag.key()));
        let setting = flag.setting(values.ok_or_else(wrong)?, origin.clone())?;
        setting.into_iter().for_each(|setting| layer.set(setting));
        Ok(())
    }

    /// The line of byte `at`.
    pub(crate) fn origin(&self, at: usize) -> Origin {
        let before = self.text.as_bytes().get(..at).unwrap_or_default();
        let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
        Origin::File { path: self.path.clone(), line }
    }

    /// What the parser has to say, with its line.
    pub(crate) fn no_toml(&self, error: &toml::de::Error) -> Trouble {
        let origin = self.origin(error.span().map_or(0, |span| span.start));
        Trouble::new(format!("{origin}: {}", error.message())).help("the file is TOML: https://toml.io")
    }

    fn no_table(&self, plain: &Command, key: &str, at: usize) -> Trouble {
        let trouble = Trouble::new(format!("{}: there is no command `{key}`", self.origin(at)));
        match nearest(key, plain.get_subcommands().map(Command::get_name)) {
            Some(name) => trouble.help(format!("did you mean `[{name}]`?")),
            None => trouble.help("a table is named after a command, such as `[capture]`"),
        }
    }

    fn no_shared_key(&self, plain: &Command, key: &str, at: usize) -> Trouble {
        let trouble = Trouble::new(format!("{}: there is no setting `{key}` above the tables", self.origin(at)));
        let mut names = plain.get_subcommands().map(Command::get_name);
        let owner = names.find(|name| flags(plain, name).any(|flag| flag.command.is_some() && flag.key() == key));
        match (nearest(key, SHARED_KEYS), owner) {
            (Some(known), _) => trouble.help(format!("did you mean `{known}`?")),
            (None, Some(name)) => trouble.help(format!("`{key}` belongs into the table `[{name}]`")),
            (None, None) => trouble.help("a command's settings stand in the table named after it, such as `[capture]`"),
        }
    }

    fn no_key(&self, plain: &Command, name: &str, key: &str, at: usize) -> Trouble {
        let trouble = Trouble::new(format!("{}: `{name}` has no setting `{key}`", self.origin(at)));
        let known: Vec<String> = flags(plain, name).map(|flag| flag.key().to_owned()).collect();
        match nearest(key, known.iter().map(String::as_str)) {
            Some(near) => trouble.help(format!("did you mean `{near}`?")),
            None => trouble.help(format!("keys are named like the flags in `retake {name} --help`")),
        }
    }
}

/// The text of a scalar as it would be written behind a flag.
fn plain_text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(on) => Some(on.to_string()),
        _ => None,
    }
}
