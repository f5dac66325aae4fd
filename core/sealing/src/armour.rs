//! An encrypted file as it lies on the disk: binary, or as lines of text.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek},
};

use age::armor::ArmoredReader;

/// How a binary age file begins, of whatever version.
const MAGIC: &[u8] = b"age-encryption.org/";

/// How one begins that was encoded as text (`age --armor`).
const ARMOUR: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";

/// How an encrypted file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As bytes.
    Binary,
    /// As lines of text.
    Text,
}

/// The form of an encrypted file, by its first bytes; `None` where it is not encrypted. The file is read from its beginning.
pub(crate) fn form_of(mut file: &File) -> io::Result<Option<Form>> {
    file.rewind()?;
    let mut beginning = Vec::with_capacity(ARMOUR.len());
    file.take(ARMOUR.len() as u64).read_to_end(&mut beginning)?;
    file.rewind()?;
    Ok(match &beginning[..] {
        it if it.starts_with(MAGIC) => Some(Form::Binary),
        it if it == ARMOUR => Some(Form::Text),
        _ => None,
    })
}

/// The encrypted bytes of a file from its beginning, decoded where they are text.
pub(crate) fn reader(mut file: &File) -> io::Result<impl BufRead + '_> {
    file.rewind()?;
    Ok(BufReader::with_capacity(1 << 16, ArmoredReader::new(file)))
}
