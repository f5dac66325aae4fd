//! One file that can be read, sealed or not.
//!
//! In: a path. Out: the file's index, and blocks by their place, each checked before it is given out. Several files
//! together are an archive, next door.

use std::{
    fs::{self, File},
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use exchange::Digest;

use crate::{
    Damage, NEWEST, OpenError, ReadAt, ReadError, TornTail,
    block::open_frame,
    cache::Block,
    index::{Index, Place},
    layout::{BlockHeader, FOOTER_LEN, Footer, HEADER_LEN, OPENING_LEN, block_kind, read_opening},
    manifest::Manifest,
    scan::scan,
};

/// One file that can be read.
pub(crate) struct Segment {
    pub(crate) path: PathBuf,
    /// Absent in a store folder, which may have more files than a process may hold open.
    file: Option<Arc<dyn ReadAt>>,
    /// What it holds and where; an archive takes out of it what it lists itself.
    pub(crate) index: Index,
    /// Absent where the file is not sealed.
    pub(crate) seal: Option<Seal>,
}

/// What is known of a sealed file's ending.
pub(crate) struct Seal {
    pub(crate) digest: Digest,
    pub(crate) manifest: Manifest,
    pub(crate) manifest_offset: u64,
}

/// A file of a store, and what is wrong with it.
pub(crate) struct Opened {
    pub(crate) segment: Segment,
    pub(crate) damage: Vec<Damage>,
    pub(crate) torn: Option<TornTail>,
}

/// A regular file, or what else can be read by ranges, and its length now; later growth is not looked at.
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn ReadAt>,
    pub(crate) len: u64,
}

impl Source {
    /// Opens a regular file. Anything else could make a reader wait for ever.
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        let refused = |source| OpenError::Io { path: path.to_owned(), source };
        if !fs::metadata(path).map_err(refused)?.is_file() {
            return Err(OpenError::NotAStore { path: path.to_owned() });
        }
        Self::of(Arc::new(File::open(path).map_err(refused)?), path)
    }

    /// A regular file that is open already, whatever became of its name; `path` is what it is called.
    pub(crate) fn of(file: Arc<dyn ReadAt>, path: &Path) -> Result<Self, OpenError> {
        let len = file.len().map_err(|source| OpenError::Io { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), file, len })
    }

    /// Refuses what does not begin like a bundle of a format that this build reads.
    pub(crate) fn check_opening(&self) -> Result<(), OpenError> {
        let path = self.path.clone();
        if self.len < OPENING_LEN {
            return Err(OpenError::NotABundle { path });
        }
        let bytes = self.bytes(0..OPENING_LEN)?;
        match read_opening(&bytes) {
            None if self.footer()?.is_some() => {
                Err(self.damaged(0..OPENING_LEN, "the opening is not what was written"))
            }
            None => Err(OpenError::NotABundle { path }),
            Some(found) if found.major > NEWEST.major => Err(OpenError::TooNew { path, found, newest: NEWEST }),
            Some(found) if found.major < NEWEST.major => Err(OpenError::TooOld { path, found }),
            Some(_) => Ok(()),
        }
    }

    /// The footer, where the file ends in something that looks like one.
    pub(crate) fn footer(&self) -> Result<Option<Footer>, OpenError> {
        if self.len < OPENING_LEN + FOOTER_LEN {
            return Ok(None);
        }
        Ok(Footer::read(&self.bytes(self.len - FOOTER_LEN..self.len)?))
    }

    /// Index and seal of a sealed file.
    ///
    /// # Errors
    /// `Damaged` where footer, manifest or index are not what was written.
    pub(crate) fn read_seal(&self, footer: &Footer) -> Result<(Seal, Index), OpenError> {
        let seal = self.read_manifest(footer)?;
        let index = self.read_index(&seal)?;
        Ok((seal, index))
    }

    /// The manifest alone.
    pub(crate) fn read_manifest(&self, footer: &Footer) -> Result<Seal, OpenError> {
        if !footer.fits(self.len) {
            return Err(self.damaged(self.len - FOOTER_LEN..self.len, "the footer does not fit the file"));
        }
        let range = footer.manifest_offset..footer.manifest_offset + footer.manifest_len;
        let json = self.ending_block(&range, block_kind::MANIFEST)?;
        if Digest::of(&json) != footer.digest {
            return Err(self.damaged(range.start..self.len, "manifest and footer do not belong together"));
        }
        let manifest: Manifest = serde_json::from_slice(&json)
            .map_err(|error| self.damaged(range.clone(), format!("the manifest: {error}")))?;
        if !manifest.covers(footer.manifest_offset) {
            return Err(self.damaged(range, "the manifest does not cover the file"));
        }
        Ok(Seal { digest: footer.digest, manifest, manifest_offset: footer.manifest_offset })
    }

    /// The index that the manifest names.
    pub(crate) fn read_index(&self, seal: &Seal) -> Result<Index, OpenError> {
        let span = seal.manifest.index_span().expect("a manifest that covers its file has pieces");
        let range = span.range();
        if Digest::of(&self.bytes(range.clone())?) != span.digest {
            return Err(self.damaged(range, "the index is not the one that the manifest names"));
        }
        let bytes = self.ending_block(&range, block_kind::INDEX)?;
        Index::read(&bytes).map_err(|what| self.damaged(range, format!("the index: {what}")))
    }

    /// What the block that fills `range` holds.
    fn ending_block(&self, range: &Range<u64>, kind: u8) -> Result<Vec<u8>, OpenError> {
        let bytes = self.bytes(range.clone())?;
        let header = BlockHeader::read(&bytes, range.start).filter(|header| header.end() == range.end);
        let Some(header) = header.filter(|header| header.kind == kind) else {
            return Err(self.damaged(range.clone(), "this is not the block that should be here"));
        };
        open_frame(&header, &bytes[HEADER_LEN as usize..]).map_err(|what| self.damaged(range.clone(), what))
    }

    /// BLAKE3 of some bytes of the file.
    pub(crate) fn digest_of(&self, range: Range<u64>) -> Result<Digest, OpenError> {
        Ok(Digest::of(&self.bytes(range)?))
    }

    /// Bytes of the file. The range is inside the file's length, which bounds what is allocated.
    fn bytes(&self, range: Range<u64>) -> Result<Vec<u8>, OpenError> {
        read_range(&*self.file, range).map_err(|source| OpenError::Io { path: self.path.clone(), source })
    }

    pub(crate) fn damage(&self, range: Range<u64>, what: impl Into<String>) -> Damage {
        Damage { path: self.path.clone(), range, what: what.into(), costs: Vec::new() }
    }

    fn damaged(&self, range: Range<u64>, what: impl Into<String>) -> OpenError {
        OpenError::Damaged { damage: vec![self.damage(range, what)] }
    }
}

impl Segment {
    /// A sealed file, which stays open.
    ///
    /// # Errors
    /// `Unsealed` where it has no footer.
    pub(crate) fn open_sealed(path: &Path) -> Result<Self, OpenError> {
        Self::of_sealed(Source::open(path)?)
    }

    /// The sealed file that `source` is.
    pub(crate) fn of_sealed(source: Source) -> Result<Self, OpenError> {
        source.check_opening()?;
        let Some(footer) = source.footer()? else {
            return Err(OpenError::Unsealed { path: source.path, len: source.len });
        };
        let (seal, index) = source.read_seal(&footer)?;
        Ok(Self { path: source.path, file: Some(source.file), index, seal: Some(seal) })
    }

    /// A file of a store: sealed, growing, torn or damaged. It is opened again for each block.
    ///
    /// # Errors
    /// `Io`, `NotABundle`, `TooNew`; damage is part of what is opened.
    pub(crate) fn open_any(path: &Path) -> Result<Opened, OpenError> {
        Self::of_any_source(Source::open(path)?)
    }

    /// Like [`Segment::open_any`], of what is open already and stays so.
    pub(crate) fn of_any(source: Source) -> Result<Opened, OpenError> {
        let file = Arc::clone(&source.file);
        let mut opened = Self::of_any_source(source)?;
        opened.segment.file = Some(file);
        Ok(opened)
    }

    fn of_any_source(source: Source) -> Result<Opened, OpenError> {
        if source.len < OPENING_LEN {
            return Ok(Opened::begun(source));
        }
        source.check_opening()?;
        Self::open_content(source)
    }

    /// Like [`Segment::open_any`], for a file that may be damaged in its first bytes too.
    pub(crate) fn open_damaged(path: &Path) -> Result<Opened, OpenError> {
        let source = Source::open(path)?;
        let mut damage = match source.check_opening() {
            Err(OpenError::Damaged { damage }) => damage,
            checked => checked.map(|()| Vec::new())?,
        };
        let mut opened = Self::open_content(source)?;
        damage.append(&mut opened.damage);
        Ok(Opened { damage, ..opened })
    }

    fn open_content(source: Source) -> Result<Opened, OpenError> {
        match source.footer()? {
            None => Opened::scanned(&source, source.len, Vec::new()),
            Some(footer) => match source.read_seal(&footer) {
                Ok((seal, index)) => Ok(Opened::whole(Self { path: source.path, file: None, index, seal: Some(seal) })),
                Err(OpenError::Damaged { damage }) => Opened::scanned(&source, source.len - FOOTER_LEN, damage),
                Err(error) => Err(error),
            },
        }
    }

    /// What the block at this offset holds.
    ///
    /// # Errors
    /// `Damaged` where it is not what was written; `Io`.
    pub(crate) fn block(&self, offset: u64) -> Result<Block, ReadError> {
        let header_range = offset..offset.saturating_add(HEADER_LEN);
        match &self.file {
            Some(file) => self.block_from(&**file, header_range),
            None => {
                let refused = |source| ReadError::Io { path: self.path.clone(), source };
                self.block_from(&File::open(&self.path).map_err(refused)?, header_range)
            }
        }
    }

    fn block_from(&self, file: &dyn ReadAt, header_range: Range<u64>) -> Result<Block, ReadError> {
        let offset = header_range.start;
        let head = self.bytes(file, header_range.clone())?;
        let not_a_block = || self.damaged(header_range, "there is no block here");
        let header = BlockHeader::read(&head, offset).filter(|header| block_kind::has_records(header.kind));
        let header = header.ok_or_else(not_a_block)?;
        let range = offset..header.end();
        let frame = self.bytes(file, offset + HEADER_LEN..range.end)?;
        if !self.is_sealed_as(&range, &head, &frame) {
            return Err(self.damaged(range, "the block is not what was sealed"));
        }
        let block = open_frame(&header, &frame).and_then(|raw| Block::of(&header, raw));
        block.map_err(|what| self.damaged(range, what))
    }

    /// True when the manifest, where there is one, has this block with this digest.
    fn is_sealed_as(&self, range: &Range<u64>, head: &[u8], frame: &[u8]) -> bool {
        let Some(seal) = &self.seal else { return true };
        let mut hasher = blake3::Hasher::new();
        hasher.update(head).update(frame);
        let digest = Digest(*hasher.finalize().as_bytes());
        seal.manifest.span_at(range.start).is_some_and(|span| span.range() == *range && span.digest == digest)
    }

    fn bytes(&self, file: &dyn ReadAt, range: Range<u64>) -> Result<Vec<u8>, ReadError> {
        read_range(file, range.clone()).map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => self.damaged(range, "the file ends before"),
            _ => ReadError::Io { path: self.path.clone(), source },
        })
    }

    /// The error for something wrong at a place.
    pub(crate) fn damaged_at(&self, place: Place, what: impl Into<String>) -> ReadError {
        let what = format!("at byte {} of the block: {}", place.offset, what.into());
        self.damaged(place.block..place.block.saturating_add(HEADER_LEN), what)
    }

    fn damaged(&self, range: Range<u64>, what: impl Into<String>) -> ReadError {
        ReadError::Damaged(Damage { path: self.path.clone(), range, what: what.into(), costs: Vec::new() })
    }
}

impl Opened {
    fn whole(segment: Segment) -> Self {
        Self { segment, damage: Vec::new(), torn: None }
    }

    /// A file whose opening was not finished: it holds nothing.
    fn begun(source: Source) -> Self {
        let torn = TornTail { path: source.path.clone(), offset: 0, len: source.len };
        let segment = Segment { path: source.path, file: None, index: Index::default(), seal: None };
        Self { segment, damage: Vec::new(), torn: (source.len > 0).then_some(torn) }
    }

    /// A file without a seal that holds: what its blocks say, up to `end`.
    fn scanned(source: &Source, end: u64, mut damage: Vec<Damage>) -> Result<Self, OpenError> {
        let refused = |error| OpenError::Io { path: source.path.clone(), source: error };
        let scanned = scan(&*source.file, &source.path, OPENING_LEN..end, &mut ()).map_err(refused)?;
        damage.extend(scanned.damage);
        let segment = Segment { path: source.path.clone(), file: None, index: scanned.index, seal: None };
        Ok(Self { segment, damage, torn: scanned.torn })
    }
}

/// Bytes of a file. The file's own length bounds what is allocated.
fn read_range(file: &dyn ReadAt, range: Range<u64>) -> io::Result<Vec<u8>> {
    let len = range.end.saturating_sub(range.start);
    if range.end > file.len()? {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut bytes = vec![0; usize::try_from(len).map_err(|_| io::ErrorKind::OutOfMemory)?];
    file.read_exact_at(&mut bytes, range.start)?;
    Ok(bytes)
}
