//! Opens an encrypted file.
//!
//! In: the file and those who it may have been encrypted to. Out: its content in a private file, all of it proved, or an
//! error and nothing.

use std::{
    fs::File,
    io::{self, Read, Seek, Write},
};

use age::{Decryptor, stream::StreamReader};

use crate::{DecryptError, Envelope, Identities, RecipientKind, armour::reader, private::private_file};

/// Plain bytes of one piece that is proved by itself, and those that the file has for it.
const PIECE: u64 = 64 << 10;
const SEALED_PIECE: u64 = PIECE + 16;

/// Bytes of the nonce between header and content.
const NONCE: u64 = 16;

/// Decrypts a file into one without a name. Nothing of it is given out before all of it is proved.
///
/// # Errors
/// See [`DecryptError`].
pub fn decrypt(sealed: &File, identities: &Identities) -> Result<File, DecryptError> {
    let envelope = Envelope::read(sealed)?;
    if envelope.recipients.contains_key(&RecipientKind::Passphrase) {
        return Err(DecryptError::Passphrase);
    }
    let len = sealed.metadata().map_err(DecryptError::read)?.len();
    // What is decrypted is shorter than what was read.
    let mut plain = private_file(len).map_err(|source| DecryptError::Keep { source })?;
    let input = reader(sealed).map_err(DecryptError::read)?;
    let decryptor = Decryptor::new_buffered(input).map_err(DecryptError::of_age)?;
    let opened = decryptor.decrypt(identities.iter());
    let opened = opened.map_err(|error| DecryptError::of_age(error).naming(&envelope))?;
    copy(opened, &mut plain, &envelope)?;
    plain.rewind().map_err(|source| DecryptError::Keep { source })?;
    Ok(plain)
}

fn copy(mut opened: StreamReader<impl Read>, plain: &mut File, envelope: &Envelope) -> Result<(), DecryptError> {
    let mut piece = vec![0; PIECE as usize];
    let mut done = 0;
    loop {
        match opened.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(read) => {
                plain.write_all(&piece[..read]).map_err(|source| DecryptError::Keep { source })?;
                done += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(what_failed(error, done, envelope)),
        }
    }
}

/// A read that failed after `done` plain bytes: the piece that follows does not hold, or the disk does not give it.
fn what_failed(source: io::Error, done: u64, envelope: &Envelope) -> DecryptError {
    match source.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput => {
            let at = envelope.content_offset + NONCE + done / PIECE * SEALED_PIECE;
            DecryptError::Damaged { at: (!envelope.is_text).then_some(at) }
        }
        _ => DecryptError::Read { source },
    }
}
