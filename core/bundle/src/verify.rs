//! Proves every byte of a bundle or store, or says which do not hold and what that costs.
//!
//! In: a path. Out: a [`VerifyReport`]. Every frame and digest is checked, every record decoded, the index made again from
//! the records and compared, and every piece that a body is put together from looked for.

use std::{
    collections::BTreeSet,
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use exchange::{Digest, Id};

use crate::{
    Damage, NEWEST, OpenError, ReadAt, Record, TornTail,
    index::{Index, Place},
    layout::{FOOTER_LEN, FormatVersion, HEADER_LEN, OPENING_LEN},
    pieces::Lack,
    scan::{Scanned, Watch, scan},
    segment::{Seal, Source},
    store,
};

/// Costs of damage that are named in one file at most, in exchanges. A choice: a stranger's file could have each exchange named for
/// each of a thousand damages.
const COSTS_NAMED_MAX: usize = 1 << 20;

/// What verifying found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// The bundle's digest, where it is one sealed file whose manifest holds.
    pub digest: Option<Digest>,
    /// Files looked at.
    pub files: u64,
    /// Exchanges that can be read.
    pub exchanges: u64,
    /// Pieces of bodies that can be read.
    pub pieces: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// What does not hold.
    pub damage: Vec<Damage>,
    /// Tails of files whose writers were cut off, or are writing.
    pub torn: Vec<TornTail>,
}

impl VerifyReport {
    /// Nothing, where everything holds.
    ///
    /// # Errors
    /// `Damaged` where anything does not hold; a torn tail is no damage.
    pub fn into_result(self) -> Result<(), OpenError> {
        if self.damage.is_empty() { Ok(()) } else { Err(OpenError::Damaged { damage: self.damage }) }
    }
}

/// Verifies a bundle, or all files of a store, runs included. `progress` is told bytes done and bytes in all.
///
/// # Errors
/// Where there is nothing to verify: see [`OpenError`]. Damage is part of the report.
pub fn verify(path: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<VerifyReport, OpenError> {
    if !path.is_dir() {
        return verify_source(&Source::open(path)?, progress);
    }
    let mut paths = store::segment_paths(path)?;
    paths.extend(store::run_paths(path)?);
    let mut verifying = Verifying::new(progress, total_len(&paths)?);
    for path in paths {
        verifying.take_file_of_store(&Source::open(&path)?)?;
    }
    Ok(verifying.finish())
}

/// Verifies a bundle that is open already, as [`Archive::open_file`](crate::Archive::open_file) takes it.
///
/// # Errors
/// As [`verify`].
pub fn verify_file(
    file: impl ReadAt + 'static,
    name: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<VerifyReport, OpenError> {
    verify_source(&Source::of(Arc::new(file), name)?, progress)
}

/// Verifies the files of a store that is no folder, as [`Archive::open_files`](crate::Archive::open_files) takes them.
///
/// # Errors
/// As [`verify`].
pub fn verify_files(
    files: &[(PathBuf, Arc<dyn ReadAt>)],
    progress: &mut dyn FnMut(u64, u64),
) -> Result<VerifyReport, OpenError> {
    let sources = files.iter().map(|(path, file)| Source::of(Arc::clone(file), path));
    let sources: Vec<_> = sources.collect::<Result<_, _>>()?;
    let mut verifying = Verifying::new(progress, sources.iter().map(|source| source.len).sum());
    for source in &sources {
        verifying.take_file_of_store(source)?;
    }
    Ok(verifying.finish())
}

/// Verifies one bundle.
pub(crate) fn verify_source(source: &Source, progress: &mut dyn FnMut(u64, u64)) -> Result<VerifyReport, OpenError> {
    let mut verifying = Verifying::new(progress, source.len);
    verifying.take_bundle(source)?;
    Ok(verifying.finish())
}

fn total_len(paths: &[PathBuf]) -> Result<u64, OpenError> {
    paths.iter().map(|path| Ok(Source::open(path)?.len)).sum()
}

/// A verification under way.
struct Verifying<'a> {
    report: VerifyReport,
    watching: Watching<'a>,
}

/// What is remembered while a file is scanned.
struct Watching<'a> {
    progress: &'a mut dyn FnMut(u64, u64),
    done: u64,
    total: u64,
    /// Records of all files so far whose bodies are not whole.
    lacking: Vec<Lacking>,
    /// Files so far; the last is being scanned.
    paths: Vec<PathBuf>,
}

/// A record whose bodies are not whole.
struct Lacking {
    /// The record's file, by its number.
    file: usize,
    place: Place,
    /// The exchange, or `None` for an image.
    id: Option<Id>,
    lack: Lack,
}

impl Watch for Watching<'_> {
    fn record(&mut self, record: &Record, place: Place, lack: Option<Lack>) {
        let Some(lack) = lack else { return };
        let id = match record {
            Record::Exchange(exchange) => Some(exchange.id),
            _ => None,
        };
        self.lacking.push(Lacking { file: self.paths.len() - 1, place, id, lack });
    }

    fn reached(&mut self, offset: u64) {
        (self.progress)(self.done + offset, self.total);
    }
}

impl<'a> Verifying<'a> {
    fn new(progress: &'a mut dyn FnMut(u64, u64), total: u64) -> Self {
        let watching = Watching { progress, done: 0, total, lacking: Vec::new(), paths: Vec::new() };
        Self { report: VerifyReport::default(), watching }
    }

    /// Verifies a file that has to be sealed.
    fn take_bundle(&mut self, source: &Source) -> Result<(), OpenError> {
        match source.check_opening() {
            Err(OpenError::Damaged { damage }) => self.report.damage.extend(damage),
            checked => checked?,
        }
        if source.footer()?.is_none() {
            let from = source.len.saturating_sub(FOOTER_LEN).max(OPENING_LEN);
            let what = "there is no footer: the file was cut short, is still being written, or its end was changed";
            self.report.damage.push(source.damage(from..source.len, what));
        }
        self.take_content(source)
    }

    /// Verifies a file that may be sealed or growing.
    fn take_file_of_store(&mut self, source: &Source) -> Result<(), OpenError> {
        if source.len < OPENING_LEN {
            let torn = TornTail { path: source.path.clone(), offset: 0, len: source.len };
            self.report.torn.extend((source.len > 0).then_some(torn));
            self.count(source);
            return Ok(());
        }
        match source.check_opening() {
            Err(OpenError::NotABundle { path }) => {
                self.report.damage.push(store::no_segment(path));
                self.count(source);
                return Ok(());
            }
            Err(OpenError::Damaged { damage }) => self.report.damage.extend(damage),
            checked => checked?,
        }
        self.take_content(source)
    }

    fn take_content(&mut self, source: &Source) -> Result<(), OpenError> {
        match source.footer()? {
            None => {
                let scanned = self.scan(source, source.len)?;
                self.report.torn.extend(scanned.torn.clone());
                self.take_scanned(scanned, None);
            }
            Some(footer) => match source.read_manifest(&footer) {
                Ok(seal) => self.take_sealed(source, &seal)?,
                Err(OpenError::Damaged { damage }) => {
                    self.report.damage.extend(damage);
                    let scanned = self.scan(source, source.len - FOOTER_LEN)?;
                    self.take_scanned(scanned, None);
                }
                Err(error) => return Err(error),
            },
        }
        self.count(source);
        Ok(())
    }

    fn count(&mut self, source: &Source) {
        self.report.files += 1;
        self.report.bytes += source.len;
        self.watching.done += source.len;
        self.watching.reached(0);
    }

    fn take_sealed(&mut self, source: &Source, seal: &Seal) -> Result<(), OpenError> {
        self.report.digest = Some(seal.digest);
        let mut scanned = self.scan(source, seal.manifest_offset)?;
        if let Some(torn) = scanned.torn.take() {
            scanned.damage.push(source.damage(torn.offset..torn.offset + torn.len, "this is no block"));
        }
        for span in &scanned.spans {
            if seal.manifest.span_at(span.offset) != Some(span) {
                scanned.damage.push(source.damage(span.range(), "the block is not what was sealed"));
            }
        }
        let index = match source.read_index(seal) {
            Ok(index) => Some(index),
            Err(OpenError::Damaged { damage }) => {
                let is_new = |damage: &Damage| !scanned.damage.iter().any(|known| overlap(&known.range, &damage.range));
                let new: Vec<_> = damage.into_iter().filter(is_new).collect();
                scanned.damage.extend(new);
                None
            }
            Err(error) => return Err(error),
        };
        if scanned.damage.is_empty() {
            scanned.damage.extend(what_it_does_not_say(source, seal, &scanned, index.as_ref())?);
        }
        self.take_scanned(scanned, index.as_ref());
        Ok(())
    }

    fn scan(&mut self, source: &Source, end: u64) -> Result<Scanned, OpenError> {
        self.watching.paths.push(source.path.clone());
        let refused = |error: io::Error| OpenError::Io { path: source.path.clone(), source: error };
        scan(&*source.file, &source.path, OPENING_LEN..end.max(OPENING_LEN), &mut self.watching).map_err(refused)
    }

    /// Counts what a scan found. `index` is the one that was sealed: it knows what damaged blocks held.
    fn take_scanned(&mut self, mut scanned: Scanned, index: Option<&Index>) {
        self.report.exchanges += scanned.index.exchanges.len() as u64;
        self.report.pieces += scanned.counts.pieces;
        let mut damage = std::mem::take(&mut scanned.damage);
        self.name_costs(&mut damage, &scanned, index);
        self.report.damage.append(&mut damage);
    }

    /// Names the exchanges whose record, or a piece of whose bodies, stands in a damaged range of the last file.
    fn name_costs(&self, damage: &mut [Damage], scanned: &Scanned, index: Option<&Index>) {
        damage.sort_by_key(|damage| (damage.range.start, damage.range.end));
        let mut left = COSTS_NAMED_MAX;
        let mut cost = |id: Id, bytes: &Range<u64>| {
            let first = damage.partition_point(|damage| damage.range.end <= bytes.start);
            for hit in damage[first..].iter_mut().take_while(|damage| damage.range.start < bytes.end).take(left) {
                hit.costs.push(id);
                left -= 1;
            }
        };
        for exchange in index.into_iter().flat_map(|index| &index.exchanges) {
            cost(exchange.entry.id, &first_byte_of(exchange.at.block));
        }
        let file = self.watching.paths.len() - 1;
        for lacking in self.watching.lacking.iter().filter(|lacking| lacking.file == file) {
            let Some(id) = lacking.id else { continue };
            let in_block = |index: &Index, number| index.piece_block(number).map(|(offset, _)| first_byte_of(offset));
            // The sealed index knows the block; without one, it stood where pieces are missing, or is wrong in itself.
            let bytes = lacking.lack.missing.iter().filter_map(|&number| match index {
                Some(index) => in_block(index, number),
                None => scanned.pieces.bytes_of_missing(number).or_else(|| in_block(&scanned.index, number)),
            });
            let mut bytes: Vec<_> = bytes.collect();
            bytes.dedup();
            bytes.iter().for_each(|bytes| cost(id, bytes));
        }
        for damage in damage {
            damage.costs.sort_unstable();
            damage.costs.dedup();
        }
    }

    /// Names what refers to a piece that its file does not have, unless damage that was found explains it.
    fn finish(mut self) -> VerifyReport {
        let explained: BTreeSet<Id> =
            self.report.damage.iter().flat_map(|damage| damage.costs.iter().copied()).collect();
        for lacking in std::mem::take(&mut self.watching.lacking) {
            if lacking.id.is_some_and(|id| explained.contains(&id)) {
                continue;
            }
            let owner = lacking.id.map_or_else(|| "an image".to_owned(), |id| format!("exchange {id}"));
            self.report.damage.push(Damage {
                path: self.watching.paths[lacking.file].clone(),
                range: lacking.place.block..lacking.place.block + HEADER_LEN,
                what: format!("{owner} refers to {}", lacking.lack.what),
                costs: lacking.id.into_iter().collect(),
            });
        }
        self.report
    }
}

fn first_byte_of(block: u64) -> Range<u64> {
    block..block.saturating_add(1)
}

fn overlap(one: &Range<u64>, other: &Range<u64>) -> bool {
    one.start < other.end && other.start < one.end
}

/// What opening, index and manifest say that is not so, in a file whose blocks all hold.
fn what_it_does_not_say(
    source: &Source,
    seal: &Seal,
    scanned: &Scanned,
    index: Option<&Index>,
) -> Result<Vec<Damage>, OpenError> {
    let mut damage = Vec::new();
    let opening = &seal.manifest.spans[0];
    if source.digest_of(opening.range())? != opening.digest {
        damage.push(source.damage(opening.range(), "the opening is not what was sealed"));
    }
    let (major, minor) = seal.manifest.format;
    if (FormatVersion { major, minor }) > NEWEST {
        // A later release may know records, and list them in the index, that are unknown here.
        return Ok(damage);
    }
    let manifest = seal.manifest_offset..source.len - FOOTER_LEN;
    if seal.manifest.counts != scanned.counts {
        damage.push(source.damage(manifest, "the manifest counts other records than there are"));
    }
    if let (Some(span), true) = (seal.manifest.index_span(), index != Some(&scanned.index)) {
        damage.push(source.damage(span.range(), "the index does not list the records that there are"));
    }
    Ok(damage)
}

#[cfg(test)]
mod tests;
