//! What is done to files and to the folders that name them: one door, so that a test sees each thing that a disk could have
//! or lack when the machine stops.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
};

/// What a writer appends to: a file, or in tests something that fails.
pub(crate) trait Storage: Send {
    /// Writes all of `bytes` at `offset`. A failure may leave some of them there.
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Cuts the file to `len` bytes.
    fn cut(&mut self, len: u64) -> io::Result<()>;
    /// Returns when the content is on the disk.
    fn sync(&mut self) -> io::Result<()>;
}

impl Storage for File {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

/// Makes a file of mode 0600 where there is none, without its name being on the disk yet.
pub(crate) fn create_new(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    #[cfg(test)]
    noted::tell(noted::Step::Create(path.to_owned()));
    Ok(file)
}

/// Makes a file of mode 0600 with this content, which is on the disk then; its name is not yet.
pub(crate) fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = create_new(path)?;
    file.write_all(content)?;
    #[cfg(test)]
    noted::tell(noted::Step::Write { path: path.to_owned(), offset: 0, bytes: content.to_vec() });
    file.sync_all()?;
    #[cfg(test)]
    noted::tell(noted::Step::Sync(path.to_owned()));
    Ok(())
}

/// The file at `path` as something to append to.
pub(crate) fn storage(path: &Path, file: File) -> Box<dyn Storage> {
    #[cfg(test)]
    if noted::is_on() {
        return Box::new(noted::NotedFile { path: path.to_owned(), file });
    }
    let _ = path;
    Box::new(file)
}

/// Gives a file another name, in the place of what had it.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    #[cfg(test)]
    noted::tell(noted::Step::Rename { from: from.to_owned(), to: to.to_owned() });
    Ok(())
}

/// Gives a file one more name, which nothing has.
pub(crate) fn link(from: &Path, to: &Path) -> io::Result<()> {
    fs::hard_link(from, to)?;
    #[cfg(test)]
    noted::tell(noted::Step::Link { from: from.to_owned(), to: to.to_owned() });
    Ok(())
}

/// Takes a name away.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path)?;
    #[cfg(test)]
    noted::tell(noted::Step::Remove(path.to_owned()));
    Ok(())
}

/// Returns when the folder's entry for `path`, or that it has none, is on the disk.
pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()?;
    #[cfg(test)]
    noted::tell(noted::Step::SyncFolder(folder.to_owned()));
    Ok(())
}

#[cfg(test)]
pub(crate) mod noted;
