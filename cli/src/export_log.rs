//! What was exported from a store: one line of JSON for each file, in the store's file `exports`.
//!
//! In: a file that was written, what was asked for, and which exchanges it got. Out: for a scrub, the files that have what
//! goes. A line keeps at most 1,000 ids; of more, their number.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use content::search::Search;
use exchange::Id;
use serde::{Deserialize, Serialize};

use crate::args::Select;

const NAME: &str = "exports";
/// Ids that a line keeps. A choice: 35 bytes each.
const IDS_MAX: usize = 1000;
/// Stands where a value stood that was scrubbed.
const SCRUBBED: &str = "(scrubbed)";

/// One file that was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Exported {
    /// When, in nanoseconds since 1970.
    pub(crate) at_unix_ns: u64,
    /// The file, as an absolute path; an object's address; or `-`.
    pub(crate) file: String,
    /// What chose the exchanges, as it was typed.
    pub(crate) query: Vec<String>,
    /// How many were chosen; the calls that they made came along.
    pub(crate) exchanges: u64,
    /// Which, unless there are more than 1,000.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) ids: Vec<Id>,
}

impl Exported {
    pub(crate) fn new(at_unix_ns: u64, file: &Path, select: &Select, named: &[String], chosen: &[Id]) -> Self {
        let is_path = file != Path::new("-") && !file.starts_with("s3:");
        let file = if !is_path { file.to_owned() } else { std::path::absolute(file).unwrap_or_default() };
        let ids = if chosen.len() <= IDS_MAX { chosen.to_vec() } else { Vec::new() };
        let query = named.iter().cloned().chain(select.words()).collect();
        Self { at_unix_ns, file: file.display().to_string(), query, exchanges: chosen.len() as u64, ids }
    }
}

/// The log of a store.
pub(crate) struct ExportLog {
    path: PathBuf,
}

impl ExportLog {
    pub(crate) fn of(store: &Path) -> Self {
        Self { path: store.join(NAME) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a line, and it is on the disk.
    pub(crate) fn append(&self, exported: &Exported) -> io::Result<()> {
        let mut file = self.locked()?;
        file.write_all(format!("{}\n", serde_json::to_string(exported)?).as_bytes())?;
        file.sync_data()
    }

    /// All lines; one that was cut off, or is none, is left out.
    pub(crate) fn read(&self) -> io::Result<Vec<Exported>> {
        let text = match fs::read(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            read => read?,
        };
        Ok(text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect())
    }

    /// Takes the values out of the log: names of files and queries that have one are no longer told.
    pub(crate) fn scrub(&self, values: &Search) -> io::Result<()> {
        if !self.path.exists() {
            return Ok(());
        }
        // Held until the new one is there: whoever waits looks for it again.
        let _lock = self.locked()?;
        let mut text = Vec::new();
        for mut exported in self.read()? {
            let has = |text: &String| values.is_in(text.as_bytes());
            if has(&exported.file) {
                exported.file = SCRUBBED.to_owned();
            }
            for word in exported.query.iter_mut().filter(|word| has(word)) {
                *word = SCRUBBED.to_owned();
            }
            serde_json::to_writer(&mut text, &exported)?;
            text.push(b'\n');
        }
        let temporary = self.path.with_extension("tmp");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&temporary, &self.path)?;
        self.path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    }

    /// The file, locked, and no other by now.
    fn locked(&self) -> io::Result<File> {
        loop {
            let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path)?;
            file.lock()?;
            if fs::metadata(&self.path).is_ok_and(|there| file.metadata().is_ok_and(|ours| there.ino() == ours.ino())) {
                return Ok(file);
            }
        }
    }
}
