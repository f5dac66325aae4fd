//! Which files of a mount are taken for secrets: small ones with a secret's name, or with one in them.
//!
//! The plain digest of a short token can be turned back by trying; of these files a salted slow hash is kept instead.

use content::redact::{Extra, Redactor};

/// Largest file that is taken for a secret, in bytes. A choice: keys and tokens are shorter, and what is longer and random
/// cannot be found out from its digest.
pub(super) const SECRET_LEN_MAX: u64 = 4 << 10;

/// Folders whose files are secrets.
const SECRET_FOLDERS: [&str; 5] = ["secrets", ".ssh", ".aws", ".gnupg", ".kube"];

/// Whole names of secret files.
const SECRET_FILES: [&str; 9] =
    [".env", ".netrc", ".npmrc", ".pgpass", ".pypirc", "htpasswd", ".htpasswd", "kubeconfig", "shadow"];

/// Ends of names of files that hold keys. A `.pem` may be a certificate, which is public: its content decides.
const SECRET_ENDS: [&str; 8] = [".env", ".key", ".p12", ".pfx", ".jks", ".keystore", ".ppk", ".kdbx"];

/// How a key begins in PEM (RFC 7468), whatever its kind.
const PRIVATE_KEY: &[u8] = b"PRIVATE KEY-----";

/// True for a file that is to be kept as a slow hash. `path` is where a container has it.
pub(super) fn looks_secret(path: &[u8], content: &[u8]) -> bool {
    !content.is_empty() && (has_secret_name(&String::from_utf8_lossy(path)) || holds_secret(content))
}

fn has_secret_name(path: &str) -> bool {
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
    let name = name.to_ascii_lowercase();
    let stem = name.trim_start_matches('.').split('.').next().unwrap_or_default().replace('-', "_");
    folders.split('/').any(|folder| SECRET_FOLDERS.contains(&folder))
        || SECRET_FILES.contains(&&*name)
        || SECRET_ENDS.iter().any(|end| name.ends_with(end))
        || name.starts_with(".env.")
        || name.starts_with("id_")
        || Redactor::is_secret_name(&stem)
}

fn holds_secret(content: &[u8]) -> bool {
    // Only places are looked up: the key does not matter.
    let finder = || Redactor::new([0; 32], &Extra::default());
    memchr::memmem::find(content, PRIVATE_KEY).is_some()
        || std::str::from_utf8(content).is_ok_and(|text| finder().text(text).1 > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_known_by_its_folder_its_name_or_its_content() {
        for path in [
            "/run/secrets/db",
            "/app/.env",
            "/app/prod.env",
            "/app/.env.local",
            "/etc/tls/server.key",
            "/etc/api-token",
            "/root/.ssh/id_rsa",
            "/db_password.txt",
        ] {
            assert!(looks_secret(path.as_bytes(), b"x"), "{path}");
        }
        assert!(looks_secret(b"/etc/tls/server.pem", b"-----BEGIN EC PRIVATE KEY-----\n"));
        assert!(looks_secret(b"/app/config.toml", b"api = \"sk-proj-abcdefghijklmnopqrstuvwx0123456789\""));
    }

    #[test]
    fn models_code_and_public_certificates_are_none() {
        for path in ["/models/tokenizer.json", "/app/main.py", "/app/environment.py", "/models/weights", "/etc/hosts"] {
            assert!(!looks_secret(path.as_bytes(), b"x = 1"), "{path}");
        }
        assert!(!looks_secret(b"/etc/ssl/ca.pem", b"-----BEGIN CERTIFICATE-----\n"));
        assert!(!looks_secret(b"/run/secrets/empty", b""));
    }
}
