//! What was done to files and folders, step by step, and every disk that could be left of it.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use exchange::Digest;

use super::Storage;
use crate::sample;

/// What power loss spares or takes of a file as a whole, in bytes.
const SECTOR: usize = 512;

/// One thing that was done.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Create(PathBuf),
    Write { path: PathBuf, offset: u64, bytes: Vec<u8> },
    Cut { path: PathBuf, len: u64 },
    Sync(PathBuf),
    Link { from: PathBuf, to: PathBuf },
    Rename { from: PathBuf, to: PathBuf },
    Remove(PathBuf),
    SyncFolder(PathBuf),
}

thread_local! {
    static STEPS: RefCell<Option<Vec<Step>>> = const { RefCell::new(None) };
}

pub(crate) fn is_on() -> bool {
    STEPS.with_borrow(Option::is_some)
}

pub(crate) fn tell(step: Step) {
    STEPS.with_borrow_mut(|steps| steps.iter_mut().for_each(|steps| steps.push(step.clone())));
}

/// What `act` does to files and folders on this thread.
fn steps_of(act: impl FnOnce()) -> Vec<Step> {
    STEPS.set(Some(Vec::new()));
    act();
    STEPS.take().expect("it was put there above")
}

/// Lets `act` change files below `folder`, and lets `check` see every disk that could be left had it been cut off, told what
/// happened and whether `act` was done by then. Says how many that were.
pub(crate) fn on_every_disk(folder: &Path, act: impl FnOnce(), check: &mut dyn FnMut(&str, bool)) -> usize {
    let mut disk = Disk::of(folder);
    let steps = steps_of(act);
    let mut disks = 0;
    let mut seen = BTreeSet::new();
    for done in 0..=steps.len() {
        for (what, files) in disk.left(done as u64) {
            // Where little is pending many of them are alike.
            if !seen.insert((done == steps.len(), digest_of(&files))) {
                continue;
            }
            lay_out(folder, &files);
            let last = done.checked_sub(1).map_or_else(String::new, |at| steps[at].word());
            check(&format!("after {done} of {} steps{last}: {what}", steps.len()), done == steps.len());
            disks += 1;
        }
        if let Some(step) = steps.get(done) {
            disk.apply(step);
        }
    }
    disks
}

fn digest_of(files: &BTreeMap<PathBuf, Vec<u8>>) -> Digest {
    let mut hasher = blake3::Hasher::new();
    for (path, content) in files {
        hasher.update(path.as_os_str().as_encoded_bytes()).update(&Digest::of(content).0);
    }
    Digest(*hasher.finalize().as_bytes())
}

impl Step {
    fn word(&self) -> String {
        let (word, path) = match self {
            Self::Create(path) => ("made", path),
            Self::Write { path, .. } => ("wrote", path),
            Self::Cut { path, .. } => ("cut", path),
            Self::Sync(path) => ("synced", path),
            Self::Link { to, .. } => ("linked", to),
            Self::Rename { to, .. } => ("renamed to", to),
            Self::Remove(path) => ("removed", path),
            Self::SyncFolder(path) => ("synced the folder", path),
        };
        format!(", the last {word} {}", path.display())
    }
}

/// A file whose every change is noted.
pub(crate) struct NotedFile {
    pub(crate) path: PathBuf,
    pub(crate) file: File,
}

impl Storage for NotedFile {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_at(bytes, offset)?;
        tell(Step::Write { path: self.path.clone(), offset, bytes: bytes.to_vec() });
        Ok(())
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        Storage::cut(&mut self.file, len)?;
        tell(Step::Cut { path: self.path.clone(), len });
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync()?;
        tell(Step::Sync(self.path.clone()));
        Ok(())
    }
}

/// Files and their names: as they were left to the system, and as they are on the disk for certain.
#[derive(Clone, Default)]
struct Disk {
    files: Vec<Content>,
    names: BTreeMap<PathBuf, usize>,
    names_kept: BTreeMap<PathBuf, usize>,
    /// What was done to names since the folder was synced.
    renamed: Vec<Renamed>,
}

#[derive(Clone, Default)]
struct Content {
    now: Vec<u8>,
    kept: Vec<u8>,
    /// The last thing that was written since it was synced.
    last: Option<(usize, Vec<u8>)>,
}

/// A change of a folder that is there as a whole or not at all.
#[derive(Clone)]
enum Renamed {
    Gets(PathBuf, usize),
    Loses(PathBuf),
    Moves(PathBuf, PathBuf),
}

impl Renamed {
    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            Self::Gets(path, file) => drop(names.insert(path.clone(), *file)),
            Self::Loses(path) => drop(names.remove(path)),
            Self::Moves(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
        }
    }

    fn is_in(&self, folder: &Path) -> bool {
        let (Self::Gets(path, _) | Self::Loses(path) | Self::Moves(path, _)) = self;
        path.parent() == Some(folder)
    }
}

impl Disk {
    /// All files below a folder, on the disk for certain.
    fn of(folder: &Path) -> Self {
        let mut disk = Self::default();
        disk.take(folder);
        disk.names_kept = disk.names.clone();
        disk
    }

    fn take(&mut self, folder: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                self.take(&entry.path());
            } else {
                let kept = fs::read(entry.path()).unwrap();
                self.names.insert(entry.path(), self.files.len());
                self.files.push(Content { now: kept.clone(), kept, last: None });
            }
        }
    }

    /// Does what was done.
    fn apply(&mut self, step: &Step) {
        match step {
            Step::Create(path) => {
                self.rename(Renamed::Gets(path.clone(), self.files.len()));
                self.files.push(Content::default());
            }
            Step::Write { path, offset, bytes } => {
                let (file, start) = (self.file(path), usize::try_from(*offset).unwrap());
                write(&mut file.now, start, bytes);
                file.last = Some((start, bytes.clone()));
            }
            Step::Cut { path, len } => self.file(path).now.truncate(usize::try_from(*len).unwrap()),
            Step::Sync(path) => {
                let file = self.file(path);
                (file.kept, file.last) = (file.now.clone(), None);
            }
            Step::Link { from, to } => self.rename(Renamed::Gets(to.clone(), self.names[from])),
            Step::Rename { from, to } => self.rename(Renamed::Moves(from.clone(), to.clone())),
            Step::Remove(path) => self.rename(Renamed::Loses(path.clone())),
            Step::SyncFolder(folder) => {
                let (kept, left) = self.renamed.drain(..).partition(|renamed| renamed.is_in(folder));
                self.renamed = left;
                let kept: Vec<Renamed> = kept;
                kept.iter().for_each(|renamed| renamed.apply(&mut self.names_kept));
            }
        }
    }

    fn file(&mut self, path: &Path) -> &mut Content {
        &mut self.files[self.names[path]]
    }

    fn rename(&mut self, renamed: Renamed) {
        renamed.apply(&mut self.names);
        self.renamed.push(renamed);
    }

    /// Every disk that may be found when the machine, or only the process, stops now. `chance` is another number each time.
    fn left(&self, chance: u64) -> Vec<(String, BTreeMap<PathBuf, Vec<u8>>)> {
        let files = |names: &BTreeMap<PathBuf, usize>, content: &dyn Fn(&Content) -> Vec<u8>| {
            names.iter().map(|(path, file)| (path.clone(), content(&self.files[*file]))).collect::<BTreeMap<_, _>>()
        };
        let now = |file: &Content| file.now.clone();
        let kept = |file: &Content| file.kept.clone();
        let mut left = vec![
            ("the process ended".to_owned(), files(&self.names, &now)),
            ("power was lost, and nothing is there that was not synced".to_owned(), files(&self.names_kept, &kept)),
            ("all names are there and no content that was not synced".to_owned(), files(&self.names, &kept)),
            ("all content is there and no name that was not synced".to_owned(), files(&self.names_kept, &now)),
        ];
        for torn in [1, 8, 15] {
            let torn_now = |file: &Content| match &file.last {
                Some((start, bytes)) => {
                    let mut content = file.now.clone();
                    content.truncate((start + bytes.len() * torn / 16).max(file.kept.len()));
                    content
                }
                None => file.now.clone(),
            };
            left.push((format!("{torn}/16 of the last write"), files(&self.names, &torn_now)));
        }
        // Changes of folders arrive one by one, in their order or not.
        for count in 0..self.renamed.len() {
            let names = |chosen: &mut dyn Iterator<Item = &Renamed>| {
                let mut names = self.names_kept.clone();
                chosen.for_each(|renamed| renamed.apply(&mut names));
                names
            };
            left.push((format!("the first {count} names"), files(&names(&mut self.renamed.iter().take(count)), &now)));
            let others = self.renamed.iter().enumerate().filter(|(at, _)| *at != count);
            left.push((format!("all names but the {count}th"), files(&names(&mut others.map(|(_, it)| it)), &kept)));
        }
        // Of what was written since it was synced each sector may be there or be zeros.
        for case in 0..4_u64 {
            let lost = |file: &Content| {
                let mut content = file.now.clone();
                let from = file.kept.len().min(content.len());
                let chances = sample::noise(chance * 8 + case, content.len() / SECTOR + 1);
                for (number, chance) in chances.into_iter().enumerate() {
                    let range = (number * SECTOR).max(from)..((number + 1) * SECTOR).min(content.len());
                    if range.start < range.end && u64::from(chance % 4) <= case {
                        content[range].fill(0);
                    }
                }
                content
            };
            left.push((format!("sectors are lost, case {case}"), files(&self.names, &lost)));
        }
        left
    }
}

fn write(content: &mut Vec<u8>, start: usize, bytes: &[u8]) {
    content.resize(content.len().max(start + bytes.len()), 0);
    content[start..start + bytes.len()].copy_from_slice(bytes);
}

/// Puts files where they were found, and nothing else below `folder`.
fn lay_out(folder: &Path, files: &BTreeMap<PathBuf, Vec<u8>>) {
    for path in Disk::of(folder).names.keys().filter(|path| !files.contains_key(*path)) {
        fs::remove_file(path).unwrap();
    }
    for (path, content) in files {
        fs::write(path, content).unwrap();
    }
}
