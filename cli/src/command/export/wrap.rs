//! What goes around an exported bundle: encryption to those who may read it, a signature beside it.
//!
//! In: the keys of the command line, read before anything is written. Out: the file as it is handed on. Neither it nor its
//! signature is ever half there under its name.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use bundle::Sealed;
use sealing::{ENCRYPTED_EXTENSION, Recipients, SigningKey};
use tempfile::NamedTempFile;

use super::EXISTS;
use crate::{
    args::ExportArgs,
    bucket::{self, Outgoing},
    sealed,
    trouble::Trouble,
};

/// What goes around the bundle.
pub(super) struct Wrap {
    recipients: Recipients,
    key: Option<SigningKey>,
    /// The file to write.
    output: PathBuf,
    overwrite: bool,
    /// Set where it goes to object storage.
    outgoing: Option<Outgoing>,
}

/// What was put around a bundle.
pub(super) struct Wrapped {
    /// The file.
    pub(super) path: PathBuf,
    /// Its length in bytes.
    pub(super) len: u64,
    /// To how many keys it is encrypted; 0 where it is not.
    pub(super) recipients: usize,
    /// The signature, and the key that made it.
    pub(super) signature: Option<(PathBuf, String)>,
}

impl Wrap {
    /// Reads the keys, and refuses names that are taken. What goes to object storage is made in a folder of its own first.
    pub(super) fn of(args: &ExportArgs) -> Result<Self, Trouble> {
        let outgoing = bucket::address(&args.output)?.map(Outgoing::to).transpose()?;
        let output = outgoing.as_ref().map_or_else(|| args.output.clone(), Outgoing::path);
        let mut recipients = Recipients::new();
        args.encrypt_to.iter().try_for_each(|text| recipients.add(text))?;
        let key = args.sign.as_deref().map(SigningKey::read).transpose()?;
        let output = if recipients.is_empty() { output } else { with_ending(&output) };
        let wrap = Self { recipients, key, output, overwrite: args.force, outgoing };
        let signature = wrap.key.is_some().then(|| sealed::signature_path(&wrap.output));
        let mut names = [Some(wrap.output.clone()), signature].into_iter().flatten();
        if let Some(outgoing) = &wrap.outgoing {
            wrap.check_outgoing(outgoing, &names.collect::<Vec<_>>())?;
            return Ok(wrap);
        }
        let taken = names.find(|path| path.exists());
        match taken.filter(|_| !wrap.overwrite) {
            Some(path) => Err(Trouble::new(format!("`{}` exists already", path.display())).help(EXISTS)),
            None => Ok(wrap),
        }
    }

    fn check_outgoing(&self, outgoing: &Outgoing, names: &[PathBuf]) -> Result<(), Trouble> {
        if outgoing.is_for_store() {
            let is_plain = self.recipients.is_empty() && self.key.is_none();
            let trouble = || Trouble::new("bundles in a store are neither encrypted nor signed");
            return if is_plain { Ok(()) } else { Err(trouble().help("name an object: `-o s3://BUCKET/KEY`")) };
        }
        if self.overwrite { Ok(()) } else { outgoing.check_free(names, EXISTS) }
    }

    /// The signature of what is replaced, which is none of what replaces it.
    pub(super) fn left_behind(&self) -> Option<PathBuf> {
        Some(sealed::signature_path(&self.output)).filter(|path| self.key.is_none() && path.exists())
    }

    /// Has the bundle written by `export`, which gets its path, and puts around it what was asked for.
    pub(super) fn around(
        &self,
        export: impl FnOnce(&Path) -> Result<Sealed, Trouble>,
    ) -> Result<(Sealed, Wrapped), Trouble> {
        let sealed = if self.recipients.is_empty() { export(&self.output)? } else { self.encrypted(export)? };
        let signature = self.key.as_ref().map(|key| self.signed(key)).transpose()?;
        let len = fs::metadata(&self.output).map_err(|error| self.cannot_write(&error))?.len();
        let recipients = self.recipients.len();
        let mut wrapped = Wrapped { path: self.output.clone(), len, recipients, signature };
        if let Some(outgoing) = &self.outgoing {
            // The signature first: who sees the bundle finds it.
            if let Some((path, _)) = &mut wrapped.signature {
                *path = outgoing.send(path)?;
            }
            let path = &wrapped.path;
            wrapped.path = if outgoing.is_for_store() { outgoing.add(path, &sealed)? } else { outgoing.send(path)? };
        }
        Ok((sealed, wrapped))
    }

    /// The plain bundle is written into a folder that nobody else may enter, and loses its name before it is encrypted.
    fn encrypted(&self, export: impl FnOnce(&Path) -> Result<Sealed, Trouble>) -> Result<Sealed, Trouble> {
        let cannot_keep = |error: std::io::Error| {
            let trouble = Trouble::of(&error).while_doing("cannot keep the bundle until it is encrypted");
            trouble.help("TMPDIR names the folder for temporary files")
        };
        let folder = tempfile::Builder::new().prefix("retake-").tempdir().map_err(cannot_keep)?;
        let sealed = export(&folder.path().join("plain.retake"))?;
        let plain = File::open(&sealed.path).map_err(cannot_keep)?;
        fs::remove_file(&sealed.path).map_err(cannot_keep)?;
        let mut temporary = self.temporary()?;
        sealing::encrypt(plain, temporary.as_file_mut(), &self.recipients)?;
        self.place(temporary, &self.output)?;
        Ok(sealed)
    }

    fn signed(&self, key: &SigningKey) -> Result<(PathBuf, String), Trouble> {
        let text = key.sign(&sealed::open_any(&self.output)?, &self.output)?;
        let path = sealed::signature_path(&self.output);
        let mut temporary = self.temporary()?;
        temporary.write_all(text.as_bytes()).map_err(|error| self.cannot_write(&error))?;
        self.place(temporary, &path)?;
        Ok((path, key.name()))
    }

    /// A file beside the output, gone unless it is placed.
    fn temporary(&self) -> Result<NamedTempFile, Trouble> {
        let folder = self.output.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let made = tempfile::Builder::new().prefix(".retake-").suffix(".tmp").tempfile_in(folder);
        made.map_err(|error| self.cannot_write(&error))
    }

    fn place(&self, temporary: NamedTempFile, path: &Path) -> Result<(), Trouble> {
        temporary.as_file().sync_all().map_err(|error| self.cannot_write(&error))?;
        let placed = if self.overwrite { temporary.persist(path) } else { temporary.persist_noclobber(path) };
        placed.map(drop).map_err(|error| self.cannot_write(&error.error))
    }

    fn cannot_write(&self, error: &std::io::Error) -> Trouble {
        Trouble::of(error).while_doing(format!("cannot write `{}`", self.output.display()))
    }
}

/// With the ending of encrypted files, so that nobody takes one for a bundle.
fn with_ending(path: &Path) -> PathBuf {
    if path.extension().is_some_and(|extension| extension == ENCRYPTED_EXTENSION) {
        return path.to_owned();
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{ENCRYPTED_EXTENSION}"));
    name.into()
}
