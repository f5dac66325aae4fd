//! How one case of `retake test` is replayed: TOML files whose keys are flags of `retake replay`, under what was given.
//!
//! In: the files, the outermost first, and flags. Out: [`ReplayArgs`], read and checked by the same code as a command line.
//! Keys that are no flags are handed to whoever asked. A list of a file adds to those of the files further out.

use std::{ffi::OsString, path::Path};

use clap::{ArgAction, Command, CommandFactory, ValueHint};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    Refusal,
    file::{Document, read},
    layer::{Flag, Layer, Origin, flags},
    nearest::nearest,
    overruled, parse, with_off_switches,
};
use crate::{
    args::{Cli, Command as Asked, ReplayArgs},
    trouble::Trouble,
};

/// The command whose flags the keys are.
const REPLAY: &str = "replay";

/// Flags of it that a file of a case cannot say: they are the suite's.
const NOT_OF_A_CASE: [&str; 1] = ["store"];

/// Values for flags, by the flags' names.
pub(crate) type FlagValues = Vec<(&'static str, Vec<String>)>;

/// A key that is no flag.
pub(crate) struct OwnKey<'a> {
    /// The key.
    pub(crate) name: &'a str,
    /// What it says.
    pub(crate) value: &'a Spanned<DeValue<'a>>,
    /// Where it stands.
    pub(crate) origin: Origin,
    /// The file that it stands in.
    pub(crate) document: &'a Document,
}

/// Takes a key that is no flag; gives what it says as flags.
type TakeOwn<'a> = dyn FnMut(&OwnKey<'_>) -> Result<FlagValues, Trouble> + 'a;

/// What the files of cases are read with.
pub(crate) struct CaseReader {
    plain: Command,
    /// Keys that are no flags.
    own: &'static [&'static str],
}

/// What one file says.
#[derive(Clone, Debug, Default)]
pub(crate) struct CaseLayer(Layer);

impl CaseReader {
    /// One that knows these keys beside the flags.
    pub(crate) fn new(own: &'static [&'static str]) -> Self {
        Self { plain: with_off_switches(Cli::command()), own }
    }

    /// Reads a file; `None` where there is none. `own` is given each key that is no flag, and gives back values for flags.
    ///
    /// # Errors
    /// When it is no TOML, has an unknown key, or a value that does not fit.
    pub(crate) fn read(&self, path: &Path, own: &mut TakeOwn<'_>) -> Result<Option<CaseLayer>, Trouble> {
        if !path.exists() {
            return Ok(None);
        }
        let Some(document) = read(Some(path))? else { return Ok(None) };
        let parsed = DeTable::parse(document.text()).map_err(|error| document.no_toml(&error))?;
        let mut layer = Layer::default();
        for (key, value) in parsed.get_ref().iter() {
            let (name, origin): (&str, _) = (key.get_ref(), document.origin(key.span().start));
            if self.own.contains(&name) {
                let key = OwnKey { name, value, origin: origin.clone(), document: &document };
                for (flag, values) in own(&key)? {
                    let flag = self.flag(flag).expect("own keys stand for flags that there are");
                    flag.setting(values, origin.clone())?.into_iter().for_each(|setting| layer.set(setting));
                }
                continue;
            }
            let flag = self.flag(name).ok_or_else(|| self.unknown(name, &origin))?;
            document.set(&flag, key.span().start, value.get_ref(), &mut layer)?;
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        let layer = self.with_paths_from(layer, folder);
        // What does not fit is blamed on this file, whatever else there is.
        let alone = [REPLAY, "BUNDLE"].map(OsString::from);
        self.parsed(&layer, &alone)?;
        self.refuse_exclusive(&layer)?;
        Ok(Some(CaseLayer(layer)))
    }

    /// The arguments of a replay of `bundle`: flags that were given, over the last of the files, over those before it.
    ///
    /// # Errors
    /// When a flag that was given does not fit.
    pub(crate) fn arguments(
        &self,
        layers: &[CaseLayer],
        given: &[String],
        bundle: &Path,
    ) -> Result<ReplayArgs, Trouble> {
        let layer = layers.iter().fold(Layer::default(), |outer, CaseLayer(inner)| self.added(outer, inner));
        let words = std::iter::once(REPLAY).chain(given.iter().map(String::as_str)).chain(["--"]);
        let words: Vec<OsString> = words.map(OsString::from).chain([bundle.into()]).collect();
        self.parsed(&layer, &words)
    }

    fn parsed(&self, layer: &Layer, words: &[OsString]) -> Result<ReplayArgs, Trouble> {
        let words: Vec<OsString> = std::iter::once("retake".into()).chain(words.iter().cloned()).collect();
        let read = || -> Result<Cli, Refusal> {
            let matches = parse(&self.plain, layer, &words)?;
            let layer = layer.clone().without(&overruled(&self.plain, layer, &matches));
            Ok(clap::FromArgMatches::from_arg_matches(&parse(&self.plain, &layer, &words)?)?)
        };
        match read() {
            Ok(Cli { command: Asked::Replay(args), .. }) => Ok(*args),
            Ok(_) => unreachable!("the words name this command"),
            Err(Refusal::Trouble(trouble)) => Err(trouble),
            Err(Refusal::Clap(error)) => Err(clap_trouble(&error)),
        }
    }

    fn flag(&self, name: &str) -> Option<Flag<'_>> {
        self.flags().find(|flag| flag.key() == name)
    }

    fn flags(&self) -> impl Iterator<Item = Flag<'_>> {
        flags(&self.plain, REPLAY).filter(|flag| flag.command.is_some() && !NOT_OF_A_CASE.contains(&flag.key()))
    }

    fn unknown(&self, key: &str, origin: &Origin) -> Trouble {
        let flags: Vec<String> = self.flags().map(|flag| flag.key().to_owned()).collect();
        let known = self.own.iter().copied().chain(flags.iter().map(String::as_str));
        let trouble = Trouble::new(format!("{origin}: a case has no key `{key}`"));
        match nearest(key, known) {
            Some(near) => trouble.help(format!("did you mean `{near}`?")),
            None => trouble.help(format!(
                "keys are {}, and the flags of `retake replay --help` without their dashes",
                self.own.join(", ")
            )),
        }
    }

    /// Both, where `inner` wins and its lists add to those of `outer`.
    fn added(&self, mut outer: Layer, inner: &Layer) -> Layer {
        for setting in inner.settings() {
            let mut setting = setting.clone();
            let adds = self.flag(&setting.key).is_some_and(|flag| matches!(flag.arg.get_action(), ArgAction::Append));
            if let Some(before) = outer.of(&setting.id).filter(|_| adds) {
                setting.values = before.values.iter().chain(&setting.values).cloned().collect();
            }
            outer.set(setting);
        }
        // What the outer file says another way is taken back, as a flag takes back what a file says.
        let excluded: Vec<_> = outer
            .settings()
            .filter(|setting| {
                inner.of(&setting.id).is_none()
                    && inner.settings().any(|it| self.exclude_each_other(&it.id, &setting.id))
            })
            .cloned()
            .collect();
        outer.without(&excluded)
    }

    fn exclude_each_other(&self, one: &str, other: &str) -> bool {
        let sub = self.plain.find_subcommand(REPLAY).expect("there is such a command");
        super::exclude_each_other(sub, one, other)
    }

    /// Two keys of one file that say the same thing in two ways: nobody can tell which is meant.
    fn refuse_exclusive(&self, layer: &Layer) -> Result<(), Trouble> {
        let settings: Vec<_> = layer.settings().collect();
        for (place, one) in settings.iter().enumerate() {
            if let Some(other) = settings[place + 1..].iter().find(|other| self.exclude_each_other(&one.id, &other.id))
            {
                let (one, other) = if one.origin < other.origin { (one, other) } else { (other, one) };
                return Err(Trouble::new(format!(
                    "{}: `{}` and `{}` exclude each other",
                    other.origin, one.key, other.key
                ))
                .help("leave one of them out"));
            }
        }
        Ok(())
    }

    /// Paths in a file are from the file's folder.
    fn with_paths_from(&self, layer: Layer, folder: &Path) -> Layer {
        let mut moved = Layer::default();
        for setting in layer.settings() {
            let mut setting = setting.clone();
            let hint = self.flag(&setting.key).map(|flag| flag.arg.get_value_hint());
            let is_path = matches!(hint, Some(ValueHint::FilePath | ValueHint::DirPath | ValueHint::AnyPath));
            for value in &mut setting.values {
                match setting.key.as_str() {
                    _ if is_path => *value = from(folder, value),
                    "mount" => *value = mount_from(folder, value),
                    "beside" => *value = beside_from(folder, value),
                    _ => {}
                }
            }
            moved.set(setting);
        }
        moved
    }
}

fn from(folder: &Path, path: &str) -> String {
    folder.join(path).to_string_lossy().into_owned()
}

/// `PATH=HERE`, where `none` is no path.
fn mount_from(folder: &Path, text: &str) -> String {
    match text.split_once('=') {
        Some((inside, here)) if here != "none" && !here.is_empty() => format!("{inside}={}", from(folder, here)),
        _ => text.to_owned(),
    }
}

/// `NAME=IMAGE,dump=PATH,…`.
fn beside_from(folder: &Path, text: &str) -> String {
    let moved = |part: &str| match part.strip_prefix("dump=") {
        Some(path) if !path.is_empty() => format!("dump={}", from(folder, path)),
        _ => part.to_owned(),
    };
    text.split(',').map(moved).collect::<Vec<_>>().join(",")
}

/// clap's words without its usage lines.
fn clap_trouble(error: &clap::Error) -> Trouble {
    let text = error.to_string();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default().trim_start_matches("error: ").to_owned();
    Trouble::new(first).help("see `retake replay --help`")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn reader() -> CaseReader {
        CaseReader::new(&["ticket"])
    }

    fn written(folder: &Path, name: &str, text: &str) -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn layer(path: &Path) -> Result<CaseLayer, Trouble> {
        Ok(reader().read(path, &mut |_| Ok(Vec::new()))?.unwrap())
    }

    #[test]
    fn keys_are_flags_lists_add_up_and_what_was_given_wins() {
        let folder = tempfile::tempdir().unwrap();
        let outer =
            written(folder.path(), "all.toml", "ignore = ['/id']\nrepeat = 5\nprocess = './a'\nready-timeout = '9s'");
        let inner =
            written(folder.path(), "a.toml", "ticket = 'T'\nignore = '/created'\nimage = 'x:1'\nstrict-env = true");
        let layers = [layer(&outer).unwrap(), layer(&inner).unwrap()];
        let args = reader().arguments(&layers, &[], Path::new("-a.retake")).unwrap();
        assert_eq!(args.sources, ["-a.retake"]);
        assert_eq!(args.by_hand.ignore, ["/id", "/created"]);
        let instead = &args.instead;
        assert_eq!((args.repeat, instead.image.as_deref(), instead.process.as_deref()), (Some(5), Some("x:1"), None));
        assert!(args.strict_env);
        let given = ["--target", "http://127.0.0.1:1", "--repeat", "7"].map(str::to_owned);
        let args = reader().arguments(&layers, &given, Path::new("a.retake")).unwrap();
        let instead = args.instead;
        assert_eq!(
            (args.repeat, instead.image, instead.target.as_deref()),
            (Some(7), None, Some("http://127.0.0.1:1"))
        );
    }

    #[test]
    fn paths_are_from_the_files_own_folder() {
        let folder = tempfile::tempdir().unwrap();
        let text = "mount = ['/models=./models', '/tmp=none']\nsecrets = 'secrets.txt'\nbeside = 'db=postgres:16,dump=shop.sql'";
        let path = written(folder.path(), "a.toml", text);
        let args = reader().arguments(&[layer(&path).unwrap()], &[], Path::new("a.retake")).unwrap();
        let here = folder.path().display();
        assert_eq!(args.mounts, [format!("/models={here}/./models"), "/tmp=none".to_owned()]);
        assert_eq!(args.secrets, Some(folder.path().join("secrets.txt")));
        assert_eq!(args.beside, [format!("db=postgres:16,dump={here}/shop.sql")]);
    }

    #[test]
    fn what_is_wrong_is_told_with_file_line_and_what_was_meant() {
        let folder = tempfile::tempdir().unwrap();
        for (text, line, words) in [
            ("ticket = 'T'\nrepaet = 3", 2, "did you mean `repeat`?"),
            ("\n\nrepeat = 0", 3, "repeat"),
            ("image = 'a'\ntarget = 'http://b'", 2, "exclude each other"),
            ("store = 'x'", 1, "no key `store`"),
            ("json = true", 1, "no key `json`"),
            ("ignore = {a = 1}", 1, "no text, number or list"),
            ("ready-timeout = 'soon'", 1, "soon"),
            ("a =", 1, "toml"),
        ] {
            let path = written(folder.path(), "a.toml", text);
            let told = layer(&path).unwrap_err().to_string();
            assert!(told.contains(&format!("a.toml`, line {line}")), "{text}: {told}");
            assert!(told.to_lowercase().contains(words), "{text}: {told}");
        }
    }
}
