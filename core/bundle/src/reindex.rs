//! Makes the index of sealed files again from their records.
//!
//! In: a bundle, or a store. Out: of each file whether its index is what its records give; one that was damaged is written
//! again, to the byte as it was: the manifest has its digest. Nothing else of a file is changed.

use std::{
    fs::OpenOptions,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use exchange::Digest;

use crate::{
    OpenError,
    block::{BlockMaker, RawBlock},
    layout::{OPENING_LEN, block_kind},
    scan::scan,
    segment::Source,
    store,
};

/// What became of a file's index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexState {
    /// It is what the records give.
    Held,
    /// It was damaged, and is now what was sealed.
    Mended,
    /// The records give another one than was sealed: they are damaged themselves, or another release compressed it.
    Lost,
    /// The file is not sealed, and has none: it is gone through when it is read.
    None,
}

/// A file and its index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reindexed {
    /// The file.
    pub path: PathBuf,
    /// What became of it.
    pub state: IndexState,
}

/// Makes the indexes of a bundle, or of all captures and runs of a store, again, and mends those that are damaged. `progress`
/// is told bytes done and bytes in all.
///
/// # Errors
/// See [`OpenError`]; `Io` also where a damaged index cannot be written.
pub fn reindex(path: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<Vec<Reindexed>, OpenError> {
    let paths = if path.is_dir() {
        let mut paths = store::segment_paths(path)?;
        paths.extend(store::run_paths(path)?);
        paths
    } else {
        vec![path.to_owned()]
    };
    let total = paths.iter().map(|path| Ok(Source::open(path)?.len)).sum::<Result<u64, OpenError>>()?;
    let mut done = 0;
    let mut reindexed = Vec::new();
    for path in paths {
        let source = Source::open(&path)?;
        let state = reindex_file(&source)?;
        done += source.len;
        progress(done, total);
        reindexed.push(Reindexed { path, state });
    }
    Ok(reindexed)
}

fn reindex_file(source: &Source) -> Result<IndexState, OpenError> {
    let refused = |error| OpenError::Io { path: source.path.clone(), source: error };
    if source.len < OPENING_LEN {
        return Ok(IndexState::None);
    }
    source.check_opening()?;
    let Some(footer) = source.footer()? else { return Ok(IndexState::None) };
    let seal = source.read_manifest(&footer)?;
    let span = *seal.manifest.index_span().expect("a manifest that covers its file has pieces");
    let scanned = scan(&*source.file, &source.path, OPENING_LEN..span.offset, &mut ()).map_err(refused)?;
    let (raw, cuts) = scanned.index.to_bytes(&scanned.keys).map_err(refused)?;
    let first_piece = scanned.pieces.next();
    let block =
        RawBlock { kind: block_kind::INDEX, offset: span.offset, record_count: 0, first_piece, raw: &raw, cuts: &cuts };
    let bytes = BlockMaker::new().and_then(|mut maker| maker.make(&block)).map_err(refused)?;
    if bytes.len() as u64 != span.len || Digest::of(&bytes) != span.digest {
        return Ok(IndexState::Lost);
    }
    if source.digest_of(span.range())? == span.digest {
        return Ok(IndexState::Held);
    }
    let file = OpenOptions::new().write(true).open(&source.path).map_err(refused)?;
    file.write_all_at(&bytes, span.offset).and_then(|()| file.sync_data()).map_err(refused)?;
    Ok(IndexState::Mended)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{Archive, Store, sample, verify};

    #[test]
    fn a_damaged_index_is_the_same_again_to_the_byte() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_or_create(folder.path()).unwrap();
        let mut writer = store.segment_writer(sample::id(1)).unwrap();
        sample::put_recording(&mut writer);
        let sealed = writer.seal().unwrap();
        store.segment_writer(sample::id(2)).unwrap().sync().unwrap();
        let whole = fs::read(&sealed.path).unwrap();
        let states = |path: &Path| reindex(path, &mut |_, _| {}).unwrap().iter().map(|it| it.state).collect::<Vec<_>>();
        assert_eq!(states(&sealed.path), [IndexState::Held]);
        let source = Source::open(&sealed.path).unwrap();
        let seal = source.read_manifest(&source.footer().unwrap().unwrap()).unwrap();
        let index = seal.manifest.index_span().unwrap().range();
        for at in [index.start, index.start + 60, index.end - 1].map(|at| usize::try_from(at).unwrap()) {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            fs::write(&sealed.path, &damaged).unwrap();
            let mut found = states(folder.path());
            found.sort_by_key(|state| *state == IndexState::None);
            assert_eq!(found, [IndexState::Mended, IndexState::None], "byte {at}");
            assert!(fs::read(&sealed.path).unwrap() == whole, "byte {at}");
        }
        assert_eq!(Archive::open_verified(&sealed.path).unwrap().entries().len(), 3);
    }

    #[test]
    fn where_records_are_damaged_too_nothing_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let sealed = sample::bundle_at(&folder.path().join("a.retake"));
        let mut damaged = fs::read(&sealed.path).unwrap();
        damaged[200] ^= 1;
        fs::write(&sealed.path, &damaged).unwrap();
        let found = reindex(&sealed.path, &mut |_, _| {}).unwrap();
        assert_eq!(found[0].state, IndexState::Lost);
        assert!(fs::read(&sealed.path).unwrap() == damaged);
        assert!(!verify(&sealed.path, &mut |_, _| {}).unwrap().damage.is_empty());
    }
}
