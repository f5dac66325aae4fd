//! What goes around a whole file that is handed on: encryption to those who may read it, and a signature beside it.
//!
//! In: open files, public keys, private keys. Out: an age file (<https://age-encryption.org/v1>) that `age` opens as well, its
//! content again in a file that nobody else can reach, and signatures that `ssh-keygen -Y` makes and checks as well. What
//! the file holds, and where keys come from, is left to others.

mod armour;
mod decrypt;
mod encrypt;
mod envelope;
mod error;
mod identity;
mod private;
mod recipient;
mod signature;
mod signers;

pub use decrypt::decrypt;
pub use encrypt::encrypt;
pub use envelope::{Envelope, RecipientKind, is_encrypted};
pub use error::{DecryptError, EncryptError, KeyError, SignatureError};
pub use identity::Identities;
pub use recipient::Recipients;
pub use signature::{Signature, SigningKey};
pub use signers::{Signer, Signers};

/// Extension of an encrypted file's name, without a dot.
pub const ENCRYPTED_EXTENSION: &str = "age";

/// Extension of the name of the signature beside a file, without a dot: what `ssh-keygen -Y sign` adds.
pub const SIGNATURE_EXTENSION: &str = "sig";
