//! The folder of the local certificate authority: made once, read by every command that needs it.
//!
//! In: `--ca-dir`, or where the user's data is. Out: an authority and the files that others are to trust. `ca-key.pem` (mode
//! 0600) holds key and certificate and is what counts; `ca.pem` and `ca-bundle.pem` are made from it.

use std::{
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use wire::ca::{AuthorityError, CertificateAuthority, Validity};

use crate::{
    clock::Clock,
    trouble::{Trouble, trouble_from},
};

trouble_from!(AuthorityError);

/// How long an authority's certificate holds, in days: what the strictest clients accept of a private one (Apple, HT210176).
const VALID_DAYS: u64 = 825;

/// How long before now it begins to hold, in days: clocks of containers and virtual machines are late at times. A choice.
const VALID_DAYS_BEFORE: u64 = 1;

const DAY_S: u64 = 24 * 60 * 60;

/// What a certificate begins with in PEM.
const CERTIFICATE_BEGIN: &str = "-----BEGIN CERTIFICATE-----";

/// The folder.
#[derive(Clone, Debug)]
pub(crate) struct AuthorityFolder(PathBuf);

impl AuthorityFolder {
    /// The folder that was given, else `retake/ca` where the user's data is.
    pub(crate) fn of(given: Option<&Path>) -> Result<Self, Trouble> {
        let of_variable = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let data = || of_variable("XDG_DATA_HOME").or_else(|| Some(of_variable("HOME")?.join(".local/share")));
        let path = given.map(Path::to_owned).or_else(|| Some(data()?.join("retake/ca")));
        let path = path.ok_or_else(|| {
            Trouble::new("there is no folder for the certificate authority: neither XDG_DATA_HOME nor HOME is set")
                .help("name one with `--ca-dir DIR` (`--dir DIR` of `retake ca`)")
        })?;
        std::path::absolute(&path).map(Self).map_err(|error| trouble_with(&path, &error))
    }

    /// The certificate alone.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.0.join("ca.pem")
    }

    /// The certificate and the system's.
    pub(crate) fn bundle(&self) -> PathBuf {
        self.0.join("ca-bundle.pem")
    }

    fn key(&self) -> PathBuf {
        self.0.join("ca-key.pem")
    }

    /// The authority that is kept here, if any.
    pub(crate) fn read(&self) -> Result<Option<CertificateAuthority>, Trouble> {
        let path = self.key();
        let kept = match std::fs::read_to_string(&path) {
            Ok(kept) => kept,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(trouble_with(&path, &error)),
        };
        let (key, certificate) = kept.split_at(kept.find(CERTIFICATE_BEGIN).unwrap_or(kept.len()));
        let read = CertificateAuthority::read(certificate, key);
        let wrong = |error| Trouble::from(error).while_doing(format!("`{}` cannot be used", path.display()));
        read.map(Some).map_err(wrong)
    }

    /// The authority that is kept here, made where there is none or where another one is wanted; true when it was made now.
    pub(crate) fn open(&self, renew: bool) -> Result<(CertificateAuthority, bool), Trouble> {
        let kept = if renew { None } else { self.read()? };
        let was_made = kept.is_none();
        let authority = match kept {
            Some(authority) => authority,
            None => self.make(renew)?,
        };
        self.write(&self.certificate(), &authority.certificate_pem(), 0o644, true)?;
        self.write(&self.bundle(), &wire::ca::bundle_with_system_roots(&authority), 0o644, true)?;
        Ok((authority, was_made))
    }

    fn make(&self, renew: bool) -> Result<CertificateAuthority, Trouble> {
        let now_s = Clock::start().started_unix_ns / 1_000_000_000;
        let from_unix_s = now_s.saturating_sub(VALID_DAYS_BEFORE * DAY_S);
        let validity = Validity { from_unix_s, until_unix_s: from_unix_s + VALID_DAYS * DAY_S };
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let made = CertificateAuthority::make(&format!("Retake CA of {host}, {now_s}"), validity)?;
        std::fs::create_dir_all(&self.0).map_err(|error| trouble_with(&self.0, &error))?;
        let kept = format!("{}{}", made.key_pem(), made.certificate_pem());
        match self.write(&self.key(), &kept, 0o600, renew)? {
            true => Ok(made),
            // Another command made one at the same time.
            false => self.read()?.ok_or_else(|| Trouble::new(format!("`{}` is gone", self.key().display()))),
        }
    }

    /// Writes a file whole; false when there is one already that is not to be replaced.
    fn write(&self, path: &Path, text: &str, mode: u32, replace: bool) -> Result<bool, Trouble> {
        if replace && std::fs::read_to_string(path).is_ok_and(|found| found == text) {
            return Ok(true);
        }
        let written = || -> io::Result<bool> {
            let mut file = tempfile::NamedTempFile::new_in(&self.0)?;
            file.write_all(text.as_bytes())?;
            file.as_file().set_permissions(std::fs::Permissions::from_mode(mode))?;
            if replace {
                file.persist(path)?;
                return Ok(true);
            }
            match file.persist_noclobber(path) {
                Ok(_) => Ok(true),
                Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
                Err(error) => Err(error.into()),
            }
        };
        written().map_err(|error| trouble_with(path, &error))
    }
}

fn trouble_with(path: &Path, error: &io::Error) -> Trouble {
    Trouble::of(error)
        .while_doing(format!("the certificate authority's `{}` cannot be used", path.display()))
        .help("name another folder with `--ca-dir DIR` (`--dir DIR` of `retake ca`)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_made_once_its_key_is_for_the_owner_alone_and_renewing_makes_another() {
        let folder = tempfile::tempdir().unwrap();
        let files = AuthorityFolder::of(Some(&folder.path().join("new/ca"))).unwrap();
        assert!(files.read().unwrap().is_none());
        let (made, was_made) = files.open(false).unwrap();
        assert!(was_made);
        assert_eq!(std::fs::metadata(files.key()).unwrap().permissions().mode() & 0o777, 0o600);
        let (again, was_made) = files.open(false).unwrap();
        assert_eq!((again.fingerprint(), was_made), (made.fingerprint(), false));
        assert!(std::fs::read_to_string(files.bundle()).unwrap().starts_with(&made.certificate_pem()));
        let (renewed, was_made) = files.open(true).unwrap();
        assert!(was_made && renewed.fingerprint() != made.fingerprint());
        assert_eq!(std::fs::read_to_string(files.certificate()).unwrap(), renewed.certificate_pem());
    }

    #[test]
    fn a_file_that_is_no_key_is_trouble_with_advice() {
        let folder = tempfile::tempdir().unwrap();
        let files = AuthorityFolder::of(Some(folder.path())).unwrap();
        std::fs::write(files.key(), "nonsense").unwrap();
        let trouble = files.open(false).unwrap_err().to_string();
        assert!(trouble.contains("ca-key.pem") && trouble.contains("retake ca --renew"), "{trouble}");
    }
}
