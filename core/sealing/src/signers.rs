//! Whose keys are trusted to sign.
//!
//! In: public keys, or a file of them as `ssh-keygen -Y verify` and git read it (`allowed_signers`). Out: who signed, by the
//! name that stands before the key. A line's conditions are kept; one that cannot be judged here never lets a key pass.

use std::path::{Path, PathBuf};

use ssh_key::{PublicKey, public::KeyData};

use crate::{KeyError, Signature, SignatureError, recipient::read_text, signature::NAMESPACE};

/// Keys that are trusted to sign, each with its owner.
#[derive(Default)]
pub struct Signers {
    lines: Vec<Line>,
}

struct Line {
    /// `None` where a key was given without a name.
    name: Option<String>,
    options: Vec<String>,
    key: KeyData,
    /// Where it stands; `None` for a key that was typed.
    place: Option<(PathBuf, usize)>,
}

/// Who signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// The name that stands before the key, where there is one.
    pub name: Option<String>,
    /// The key: its kind and its fingerprint.
    pub key: String,
}

impl Signers {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what `text` names: a public key (`ssh-ed25519 …`), or a file of them, each alone in its line or behind the name of
    /// its owner.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn add(&mut self, text: &str) -> Result<(), KeyError> {
        if is_key_type(text.split_whitespace().next().unwrap_or_default()) {
            let why = |why: String| KeyError::NoKeys { path: PathBuf::from("--signed-by"), why };
            let key = PublicKey::from_openssh(text.trim()).map_err(|error| why(error.to_string()))?;
            self.lines.push(Line { name: None, options: Vec::new(), key: key.into(), place: None });
            return Ok(());
        }
        self.add_file(Path::new(text))
    }

    fn add_file(&mut self, path: &Path) -> Result<(), KeyError> {
        let text = read_text(path)?;
        let before = self.lines.len();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = |why| KeyError::SignerLine { path: path.to_owned(), line: number + 1, why };
            let mut read = Line::read(line).map_err(wrong)?;
            read.place = Some((path.to_owned(), number + 1));
            self.lines.push(read);
        }
        if self.lines.len() == before {
            return Err(KeyError::Empty { path: path.to_owned() });
        }
        Ok(())
    }

    /// Who made a signature that was proved.
    ///
    /// # Errors
    /// `Stranger`; `Condition` where the key's line says more than can be judged.
    pub fn who(&self, signature: &Signature) -> Result<Signer, SignatureError> {
        let mut condition = None;
        for line in self.lines.iter().filter(|line| line.key == *signature.key()) {
            match line.first_unjudged() {
                None if line.is_for_files() => {
                    return Ok(Signer { name: line.name.clone(), key: signature.key_name() });
                }
                None => {}
                Some(option) => {
                    let (path, line) = line.place.clone().unwrap_or_default();
                    condition.get_or_insert(SignatureError::Condition { path, line, option: option.to_owned() });
                }
            }
        }
        Err(condition.unwrap_or_else(|| SignatureError::Stranger { key: signature.key_name() }))
    }
}

impl Line {
    fn read(line: &str) -> Result<Self, String> {
        let (first, rest) = field(line)?;
        if is_key_type(&first) {
            return Ok(Self { name: None, options: Vec::new(), key: key_of(line)?, place: None });
        }
        let (second, _) = field(rest)?;
        if is_key_type(&second) {
            return Ok(Self { name: Some(first), options: Vec::new(), key: key_of(rest)?, place: None });
        }
        let (_, key) = field(rest)?;
        Ok(Self { name: Some(first), options: options_of(&second), key: key_of(key)?, place: None })
    }

    /// The first condition that only `ssh-keygen` judges.
    fn first_unjudged(&self) -> Option<&str> {
        self.options.iter().map(String::as_str).find(|option| !is_of_namespaces(option))
    }

    /// False where the line names what its key may sign, and files are not among it.
    fn is_for_files(&self) -> bool {
        let patterns = |option: &String| option.split_once('=').map(|(_, list)| list.trim_matches('"').to_owned());
        let of_namespaces = self.options.iter().filter(|option| is_of_namespaces(option));
        of_namespaces.filter_map(patterns).all(|list| list.split(',').any(|name| name == NAMESPACE || name == "*"))
    }
}

fn is_of_namespaces(option: &str) -> bool {
    option.to_ascii_lowercase().starts_with("namespaces=")
}

/// The first field of a line, without quotes around all of it, and what follows it. Blanks within quotes belong to a field.
fn field(line: &str) -> Result<(String, &str), String> {
    let line = line.trim_start();
    let mut quoted = false;
    let end = line.find(|letter: char| {
        quoted ^= letter == '"';
        letter.is_whitespace() && !quoted
    });
    if quoted && end.is_none() {
        return Err("a quote is not closed".to_owned());
    }
    let (first, rest) = line.split_at(end.unwrap_or(line.len()));
    if first.is_empty() {
        return Err("there is no key in it".to_owned());
    }
    let unquoted = first.strip_prefix('"').and_then(|first| first.strip_suffix('"')).unwrap_or(first);
    Ok((unquoted.to_owned(), rest.trim_start()))
}

/// Options are separated by commas that stand outside quotes.
fn options_of(field: &str) -> Vec<String> {
    let mut quoted = false;
    let is_end = |letter: char| {
        quoted ^= letter == '"';
        letter == ',' && !quoted
    };
    field.split(is_end).map(str::to_owned).collect()
}

fn key_of(text: &str) -> Result<KeyData, String> {
    PublicKey::from_openssh(text).map(KeyData::from).map_err(|error| format!("its key cannot be read: {error}"))
}

fn is_key_type(word: &str) -> bool {
    ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"].iter().any(|beginning| word.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

    #[test]
    fn a_line_is_a_key_alone_or_behind_a_name_and_conditions() {
        let line = Line::read(&format!("{KEY} a comment")).unwrap();
        assert_eq!((line.name, line.options.len()), (None, 0));
        let line = Line::read(&format!("ann@example.org {KEY}")).unwrap();
        assert_eq!(line.name.as_deref(), Some("ann@example.org"));
        let line = Line::read(&format!(r#"ann@example.org,bob namespaces="git,file",valid-before="20300101" {KEY} x"#))
            .unwrap();
        assert_eq!(line.options, [r#"namespaces="git,file""#, r#"valid-before="20300101""#]);
        assert!(line.is_for_files());
        assert_eq!(line.first_unjudged(), Some(r#"valid-before="20300101""#));
        let line = Line::read(&format!(r#""an n" namespaces="git" {KEY}"#)).unwrap();
        assert_eq!((line.name.as_deref(), line.is_for_files(), line.first_unjudged()), (Some("an n"), false, None));
    }

    #[test]
    fn what_is_no_line_says_why() {
        for line in
            ["ann", "ann ssh-ed25519", "ann ssh-ed25519 AAAA", r#"ann namespaces="git"#, &format!("ann bob cyd {KEY}")]
        {
            assert!(Line::read(line).is_err(), "{line}");
        }
    }
}
