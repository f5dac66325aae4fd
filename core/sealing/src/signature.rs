//! Signatures of whole files, as `ssh-keygen -Y sign` makes them (OpenSSH's PROTOCOL.sshsig).
//!
//! In: an open file and a private key, or a signature. Out: a signature, or whose key made it. The file is read as a stream;
//! what is signed is its hash with the namespace. Who a key belongs to is told by `signers`, next door.

use std::{
    fs::File,
    io::{self, Read, Seek},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256, Sha512};
use signature::{Signer as _, Verifier as _};
use ssh_key::{HashAlg, LineEnding, PrivateKey, SshSig, public::KeyData};

use crate::{KeyError, SignatureError, recipient::read_text};

/// What signatures are for: the namespace that `ssh-keygen` uses for files.
pub(crate) const NAMESPACE: &str = "file";

/// How what is signed begins.
const MAGIC: &[u8] = b"SSHSIG";

/// A private key that signs.
pub struct SigningKey {
    key: PrivateKey,
}

impl SigningKey {
    /// Reads a private key as `ssh-keygen` writes it.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let text = read_text(path)?;
        let no_keys = |why: &str| KeyError::NoKeys { path: path.to_owned(), why: why.to_owned() };
        if !text.starts_with("-----BEGIN OPENSSH PRIVATE KEY-----") {
            return Err(no_keys("it is no private key of OpenSSH"));
        }
        let key = PrivateKey::from_openssh(&text).map_err(|_| no_keys("it is no private key that can be read"))?;
        if key.is_encrypted() {
            return Err(KeyError::Protected { path: path.to_owned() });
        }
        // Before anything is written it is known whether there will be a signature.
        if key.try_sign(MAGIC).is_err() {
            let kind = key.algorithm().to_string();
            return Err(KeyError::Kind { place: format!("`{}`", path.display()), kind });
        }
        Ok(Self { key })
    }

    /// Signs a file, and gives the signature as text. `path` is the file's name in errors.
    ///
    /// # Errors
    /// `Read`, `Sign`.
    pub fn sign(&self, file: &File, path: &Path) -> Result<String, SignatureError> {
        let hash = hash_of(file, HashAlg::Sha512).map_err(|source| read_error(path, source))?;
        let kind = || SignatureError::Sign { kind: self.key.algorithm().to_string() };
        let signature = self.key.try_sign(&signed_data(NAMESPACE, &[], HashAlg::Sha512, &hash)).map_err(|_| kind())?;
        let key = self.key.public_key().key_data().clone();
        let signature = SshSig::new(key, NAMESPACE, HashAlg::Sha512, signature).map_err(|_| kind())?;
        signature.to_pem(LineEnding::LF).map_err(|_| kind())
    }

    /// The public key, as it is named to people.
    pub fn name(&self) -> String {
        key_name(self.key.public_key().key_data())
    }
}

/// A signature of a file.
pub struct Signature {
    path: PathBuf,
    signature: SshSig,
}

impl Signature {
    /// Reads a signature.
    ///
    /// # Errors
    /// `Missing`, `Read`, `NoSignature`, `Namespace`.
    pub fn read(path: &Path) -> Result<Self, SignatureError> {
        let text = read_text(path).map_err(|error| match error {
            KeyError::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                SignatureError::Missing { path: path.to_owned() }
            }
            KeyError::Read { source, .. } => read_error(path, source),
            KeyError::NoKeys { why, .. } => SignatureError::NoSignature { path: path.to_owned(), why },
            other => SignatureError::NoSignature { path: path.to_owned(), why: other.to_string() },
        })?;
        let signature = SshSig::from_pem(text.trim_end())
            .map_err(|error| SignatureError::NoSignature { path: path.to_owned(), why: error.to_string() })?;
        if signature.namespace() != NAMESPACE {
            let namespace = signature.namespace().chars().take(80).collect();
            return Err(SignatureError::Namespace { path: path.to_owned(), namespace });
        }
        Ok(Self { path: path.to_owned(), signature })
    }

    /// Proves that the key which the signature names has signed this very file. Whose key that is, is another question.
    ///
    /// # Errors
    /// `Broken`; `Read` with `path` as the file's name.
    pub fn prove(&self, file: &File, path: &Path) -> Result<(), SignatureError> {
        let signature = &self.signature;
        let hash = hash_of(file, signature.hash_alg()).map_err(|source| read_error(path, source))?;
        let data = signed_data(signature.namespace(), signature.reserved(), signature.hash_alg(), &hash);
        let broken = |_| SignatureError::Broken { path: self.path.clone(), key: self.key_name() };
        signature.public_key().verify(&data, signature.signature()).map_err(broken)
    }

    /// The key that the signature names, as it is named to people: its kind and its fingerprint.
    pub fn key_name(&self) -> String {
        key_name(self.key())
    }

    pub(crate) fn key(&self) -> &KeyData {
        self.signature.public_key()
    }
}

/// Kind and fingerprint, as `ssh-keygen -l` shows them.
pub(crate) fn key_name(key: &KeyData) -> String {
    format!("{} {}", key.algorithm(), key.fingerprint(HashAlg::Sha256))
}

fn read_error(path: &Path, source: io::Error) -> SignatureError {
    SignatureError::Read { path: path.to_owned(), source }
}

fn hash_of(file: &File, algorithm: HashAlg) -> io::Result<Vec<u8>> {
    match algorithm {
        HashAlg::Sha256 => digest_of::<Sha256>(file),
        HashAlg::Sha512 => digest_of::<Sha512>(file),
        _ => Err(io::Error::other("the signature's hash is of an unknown kind")),
    }
}

fn digest_of<D: Digest>(mut file: &File) -> io::Result<Vec<u8>> {
    file.rewind()?;
    let mut digest = D::new();
    let mut piece = vec![0; 64 << 10];
    loop {
        match file.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => digest.update(&piece[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    file.rewind()?;
    Ok(digest.finalize().to_vec())
}

/// What the key signs: never the file alone, so that the signature is good for nothing else.
fn signed_data(namespace: &str, reserved: &[u8], algorithm: HashAlg, hash: &[u8]) -> Vec<u8> {
    let mut data = MAGIC.to_vec();
    for field in [namespace.as_bytes(), reserved, algorithm.as_str().as_bytes(), hash] {
        let len = u32::try_from(field.len()).expect("fields of a signature that was read are shorter than its file");
        data.extend_from_slice(&len.to_be_bytes());
        data.extend_from_slice(field);
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_is_what_the_library_signs_of_the_same_bytes() {
        let hash = Sha512::digest(b"a bundle");
        let theirs = SshSig::signed_data(NAMESPACE, HashAlg::Sha512, b"a bundle").unwrap();
        assert_eq!(signed_data(NAMESPACE, &[], HashAlg::Sha512, &hash), theirs);
    }
}
