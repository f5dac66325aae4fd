//! What an encrypted file says of itself to someone who has no key to it, and the signature beside a file.
//!
//! In: the kinds of keys that it was encrypted to, and what became of its signature. Out: a page, or the same as a document.
//! Nothing of it is proved but the signature, and of that only which key made it.

use serde::Serialize;

use crate::{Style, bytes, escape_line, json};

/// A signature that lies beside a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SignatureFound {
    /// Where it lies.
    pub path: String,
    /// The key that made it, where it holds.
    pub key: Option<String>,
    /// Why it does not hold.
    pub why: Option<String>,
}

/// An encrypted file, from without.
#[derive(Clone, Debug, Serialize)]
pub struct SealedFile<'a> {
    /// As it was named.
    pub source: &'a str,
    /// Its length.
    pub bytes: u64,
    /// Kinds of keys that it was encrypted to, with how many of each.
    pub recipients: Vec<SealedTo>,
    /// Written as text.
    pub is_text: bool,
    /// The signature beside it.
    pub signature: Option<&'a SignatureFound>,
}

/// Keys of one kind that a file was encrypted to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SealedTo {
    /// The kind.
    pub kind: String,
    /// How many of them.
    pub count: u64,
}

impl SignatureFound {
    /// What it comes to, in a line.
    pub(crate) fn words(&self) -> String {
        match (&self.key, &self.why) {
            (Some(key), _) => {
                format!("{}: it holds, by {key}; `retake verify --signed-by` says whose that is", self.path)
            }
            (None, why) => format!("does not hold: {}", why.as_deref().unwrap_or("it cannot be read")),
        }
    }
}

impl SealedFile<'_> {
    /// The page for a machine: schema `retake.sealed/0`.
    pub fn to_json(&self) -> String {
        json::document("sealed", self)
    }
}

/// The page for a person.
pub fn sealed_page(file: &SealedFile<'_>, style: Style) -> String {
    let line = |label: &str, words: &str| format!("{} {}\n", style.dim(&format!("{label:<12}")), escape_line(words));
    let form = if file.is_text { "encrypted with age, as text" } else { "encrypted with age" };
    let mut text = line("source", &format!("{}, {}, {form}", file.source, bytes(file.bytes)));
    for (number, to) in file.recipients.iter().enumerate() {
        text += &line(if number == 0 { "to" } else { "" }, &format!("{} × {}", to.count, to.kind));
    }
    let signature = file.signature.map_or_else(|| "none beside it".to_owned(), SignatureFound::words);
    text += &line("signature", &signature);
    text + &format!(
        "\n{} retake inspect {} --identity KEYFILE\n",
        style.bold("To see what is in it, with one of the private keys:"),
        escape_line(&crate::inspection::quoted(file.source))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encrypted_file_says_for_whom_it_is_and_by_which_key_it_was_signed() {
        let key = "ssh-ed25519 SHA256:abc".to_owned();
        let signature = SignatureFound { path: "case.retake.age.sig".to_owned(), key: Some(key), why: None };
        let to = |kind: &str, count| SealedTo { kind: kind.to_owned(), count };
        let file = SealedFile {
            source: "case.retake.age",
            bytes: 2048,
            recipients: vec![to("age key (age1…)", 2), to("\u{1b}[2J", 1)],
            is_text: false,
            signature: Some(&signature),
        };
        insta::assert_snapshot!(sealed_page(&file, Style::PLAIN), @r"
        source       case.retake.age, 2.0 KiB, encrypted with age
        to           2 × age key (age1…)
                     1 × \x1b[2J
        signature    case.retake.age.sig: it holds, by ssh-ed25519 SHA256:abc; `retake verify --signed-by` says whose that is

        To see what is in it, with one of the private keys: retake inspect case.retake.age --identity KEYFILE
        ");
        let broken = SignatureFound { key: None, why: Some("no".to_owned()), ..signature.clone() };
        let page = sealed_page(&SealedFile { signature: Some(&broken), ..file.clone() }, Style::PLAIN);
        assert!(page.contains("does not hold: no"), "{page}");
        let read: serde_json::Value = serde_json::from_str(&file.to_json()).unwrap();
        assert_eq!((&read["schema"], &read["recipients"][0]["count"]), (&"retake.sealed/0".into(), &2.into()));
    }
}
