//! Encrypts a stream to its recipients.

use std::io::{self, Read, Write};

use age::Encryptor;

use crate::{EncryptError, Recipients};

/// Encrypts all that `plain` gives into `out`, as it comes, and says how many bytes it gave. Whoever has the private key of
/// one of the recipients can decrypt it, and nobody else.
///
/// # Errors
/// `NoRecipients`, `Read`, `Write`; what is in `out` then is not whole, and no reader takes it for it.
pub fn encrypt(mut plain: impl Read, out: impl Write, recipients: &Recipients) -> Result<u64, EncryptError> {
    let encryptor = match Encryptor::with_recipients(recipients.iter()) {
        Err(age::EncryptError::MissingRecipients) => return Err(EncryptError::NoRecipients),
        made => made.map_err(|error| EncryptError::Write { source: io::Error::other(error.to_string()) })?,
    };
    let mut out = encryptor.wrap_output(out).map_err(|source| EncryptError::Write { source })?;
    let mut piece = vec![0; 64 << 10];
    let mut done = 0;
    loop {
        match plain.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => {
                out.write_all(&piece[..read]).map_err(|source| EncryptError::Write { source })?;
                done += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(EncryptError::Read { source }),
        }
    }
    let mut out = out.finish().map_err(|source| EncryptError::Write { source })?;
    out.flush().map_err(|source| EncryptError::Write { source })?;
    Ok(done)
}
