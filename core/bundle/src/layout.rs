//! Names, numbers and fixed-size pieces of a `.retake` file: opening, block header, footer.
//!
//! In: bytes at a known place. Out: what they say, or `None`. Pure; `docs/format.md` has the same tables for people.

use std::fmt;

use exchange::Digest;

/// The file name's extension, without a dot.
pub const EXTENSION: &str = "retake";

/// The newest format that this build reads, and the one that it writes.
pub const NEWEST: FormatVersion = FormatVersion { major: 1, minor: 0 };

/// Longest piece as it is written, in bytes. A choice: small enough to hold a few in memory.
pub const PIECE_BYTES_MAX: usize = 1 << 20;

/// Longest part of a body, which is one piece and all that it refers to, in bytes. A choice: what is as long can be read
/// as a whole, by structure; of what is longer, structure is looked for in each part.
pub const PART_BYTES_MAX: usize = 8 << 20;

/// Longest JSON record, in bytes of JSON. A choice: an exchange of 100,000 chunks fits.
pub const RECORD_BYTES_MAX: usize = 4 << 20;

/// Largest block of records, in bytes before compression: a block that was about to be closed, and one longest record.
pub const BLOCK_BYTES_MAX: usize = 8 << 20;

/// Raw bytes at which a block of records is closed by itself. A choice: zstd gains little from more, and reading one
/// record costs decompressing its block.
pub(crate) const BLOCK_BYTES_CLOSE: usize = 256 << 10;

/// Largest index or manifest, in bytes of JSON. A choice: room for some 400,000 exchanges.
pub(crate) const INDEX_BYTES_MAX: usize = 256 << 20;

/// What each value of an index weighs at least, in bytes, where its JSON is shorter: it takes up to 24 in memory. With
/// [`INDEX_BYTES_MAX`] this bounds what an index of nothing but `"","",…` can take to 384 MiB.
pub(crate) const INDEX_VALUE_BYTES: u64 = 16;

/// Compression level of every frame: zstd's default.
pub(crate) const LEVEL: i32 = 3;

/// A skippable frame's magic number is 0x184D2A50 to 0x184D2A5F (RFC 8878, section 3.1.2).
const OPENING_MAGIC: [u8; 4] = 0x184D_2A50_u32.to_le_bytes();
const BLOCK_MAGIC: [u8; 4] = 0x184D_2A51_u32.to_le_bytes();
const FOOTER_MAGIC: [u8; 4] = 0x184D_2A5F_u32.to_le_bytes();
const OPENING_TAG: &[u8; 8] = b"RETAKE\0\0";
const BLOCK_TAG: &[u8; 4] = b"RTKB";
const FOOTER_TAG: &[u8; 8] = b"RETAKEND";

/// Length of the opening in bytes.
pub(crate) const OPENING_LEN: u64 = 40;
/// Length of a block's header in bytes.
pub(crate) const HEADER_LEN: u64 = 88;
/// Length of the footer in bytes.
pub(crate) const FOOTER_LEN: u64 = 64;
/// Length of a record's header in bytes: kind, flags, payload length.
pub(crate) const RECORD_HEADER_LEN: usize = 6;
/// Length of the checks at the end of opening and block header, in bytes.
const CHECK_LEN: usize = 16;

/// What a block's frame holds.
pub(crate) mod block_kind {
    /// Records, one after another.
    pub(crate) const RECORDS: u8 = 1;
    /// The index, JSON and columns.
    pub(crate) const INDEX: u8 = 2;
    /// The manifest, JSON.
    pub(crate) const MANIFEST: u8 = 3;
    /// Exchanges, by columns.
    pub(crate) const EXCHANGES: u8 = 4;

    /// True for the kinds that records are read from.
    pub(crate) fn has_records(kind: u8) -> bool {
        matches!(kind, RECORDS | EXCHANGES)
    }
}

/// A version of the file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FormatVersion {
    /// Changes when old readers cannot read the new files.
    pub major: u16,
    /// Changes when they can.
    pub minor: u16,
}

impl fmt::Display for FormatVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.major, self.minor)
    }
}

/// The first bytes of a file that says it has this format.
pub(crate) fn opening(version: FormatVersion) -> Vec<u8> {
    let mut bytes = skippable(OPENING_MAGIC, OPENING_LEN);
    bytes.extend_from_slice(OPENING_TAG);
    bytes.extend_from_slice(&version.major.to_le_bytes());
    bytes.extend_from_slice(&version.minor.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    with_check(bytes)
}

/// The format that an opening names, or `None` where it is no opening or was damaged.
///
/// Its layout is the same in every format, so that every reader can name a newer one.
pub(crate) fn read_opening(bytes: &[u8]) -> Option<FormatVersion> {
    let fields = checked(bytes, OPENING_MAGIC, OPENING_LEN)?;
    let (tag, rest) = fields.split_first_chunk()?;
    (tag == OPENING_TAG).then_some(())?;
    Some(FormatVersion { major: u16_at(rest, 0)?, minor: u16_at(rest, 2)? })
}

/// What stands before a block's compressed frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockHeader {
    /// One of [`block_kind`], or a kind that this build does not know.
    pub(crate) kind: u8,
    /// Length of the zstd frame that follows, in bytes.
    pub(crate) compressed_len: u32,
    /// Length of what the frame holds, in bytes.
    pub(crate) raw_len: u32,
    /// Records or exchanges in it; 0 for an index or manifest.
    pub(crate) record_count: u32,
    /// Pieces in the blocks before it: the number of its first one.
    pub(crate) first_piece: u32,
    /// Where in the file the header begins: a block that was moved is damage.
    pub(crate) offset: u64,
    /// BLAKE3 of the zstd frame.
    pub(crate) frame: Digest,
}

impl BlockHeader {
    /// Its bytes.
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = skippable(BLOCK_MAGIC, HEADER_LEN);
        bytes.extend_from_slice(BLOCK_TAG);
        bytes.extend_from_slice(&[self.kind, 0, 0, 0]);
        bytes.extend_from_slice(&self.compressed_len.to_le_bytes());
        bytes.extend_from_slice(&self.raw_len.to_le_bytes());
        bytes.extend_from_slice(&self.record_count.to_le_bytes());
        bytes.extend_from_slice(&self.first_piece.to_le_bytes());
        bytes.extend_from_slice(&self.offset.to_le_bytes());
        bytes.extend_from_slice(&self.frame.0);
        with_check(bytes)
    }

    /// The header that stands at `offset`, or `None` where these bytes are none, or one of another place, or beyond the limits.
    pub(crate) fn read(bytes: &[u8], offset: u64) -> Option<Self> {
        let fields = checked(bytes, BLOCK_MAGIC, HEADER_LEN)?.strip_prefix(BLOCK_TAG)?;
        let frame = fields.get(28..60)?.try_into().ok()?;
        let header = Self {
            kind: *fields.first()?,
            compressed_len: u32_at(fields, 4)?,
            raw_len: u32_at(fields, 8)?,
            record_count: u32_at(fields, 12)?,
            first_piece: u32_at(fields, 16)?,
            offset: u64_at(fields, 20)?,
            frame: Digest(frame),
        };
        (header.offset == offset && header.is_within_limits()).then_some(header)
    }

    /// Where the block ends in the file.
    pub(crate) fn end(&self) -> u64 {
        self.offset.saturating_add(HEADER_LEN).saturating_add(u64::from(self.compressed_len))
    }

    /// True when neither length is more than a block of this kind may have.
    fn is_within_limits(&self) -> bool {
        let raw_len_max = match self.kind {
            block_kind::INDEX | block_kind::MANIFEST => INDEX_BYTES_MAX,
            _ => BLOCK_BYTES_MAX,
        };
        let raw_len = self.raw_len as usize;
        raw_len <= raw_len_max && self.compressed_len as usize <= zstd::zstd_safe::compress_bound(raw_len)
    }
}

/// The last bytes of a sealed file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Footer {
    /// Where the manifest's block begins.
    pub(crate) manifest_offset: u64,
    /// Length of the manifest's block in bytes, header included.
    pub(crate) manifest_len: u64,
    /// BLAKE3 of the manifest's JSON: the bundle's digest.
    pub(crate) digest: Digest,
}

impl Footer {
    /// Its bytes.
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = skippable(FOOTER_MAGIC, FOOTER_LEN);
        bytes.extend_from_slice(FOOTER_TAG);
        bytes.extend_from_slice(&self.manifest_offset.to_le_bytes());
        bytes.extend_from_slice(&self.manifest_len.to_le_bytes());
        bytes.extend_from_slice(&self.digest.0);
        bytes
    }

    /// The footer that these bytes are, or `None`.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let fields = fields_of(bytes, FOOTER_MAGIC, FOOTER_LEN)?.strip_prefix(FOOTER_TAG)?;
        let digest = fields.get(16..48)?.try_into().ok()?;
        Some(Self { manifest_offset: u64_at(fields, 0)?, manifest_len: u64_at(fields, 8)?, digest: Digest(digest) })
    }

    /// True when manifest and footer fill a file of this length to its end.
    pub(crate) fn fits(&self, file_len: u64) -> bool {
        let end = self.manifest_offset.checked_add(self.manifest_len).and_then(|end| end.checked_add(FOOTER_LEN));
        end == Some(file_len) && self.manifest_offset >= OPENING_LEN
    }
}

/// Where in `bytes` the first block header's magic number stands, at or after `from`.
pub(crate) fn find_block_magic(bytes: &[u8], from: usize) -> Option<usize> {
    let found = bytes.get(from..)?.windows(BLOCK_MAGIC.len()).position(|window| window == BLOCK_MAGIC)?;
    Some(from + found)
}

/// The first eight bytes of a skippable frame that has `len` bytes in all.
fn skippable(magic: [u8; 4], len: u64) -> Vec<u8> {
    let payload_len = u32::try_from(len - 8).expect("the fixed pieces are shorter than 4 GiB");
    [magic, payload_len.to_le_bytes()].concat()
}

/// What follows the first eight bytes, where `bytes` begin with a skippable frame of this magic and length.
fn fields_of(bytes: &[u8], magic: [u8; 4], len: u64) -> Option<&[u8]> {
    let frame = bytes.get(..usize::try_from(len).ok()?)?;
    frame.strip_prefix(&skippable(magic, len)[..])
}

/// `bytes` and the first 16 bytes of their BLAKE3.
fn with_check(mut bytes: Vec<u8>) -> Vec<u8> {
    let check = Digest::of(&bytes);
    bytes.extend_from_slice(&check.0[..CHECK_LEN]);
    bytes
}

/// The fields of such a frame without its check, where the check holds.
fn checked(bytes: &[u8], magic: [u8; 4], len: u64) -> Option<&[u8]> {
    let fields = fields_of(bytes, magic, len)?;
    let (covered, check) = bytes.get(..usize::try_from(len).ok()?)?.split_last_chunk::<CHECK_LEN>()?;
    (Digest::of(covered).0[..CHECK_LEN] == check[..]).then_some(&fields[..fields.len() - CHECK_LEN])
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> BlockHeader {
        let frame = Digest::of(b"frame");
        BlockHeader { kind: 1, compressed_len: 5, raw_len: 7, record_count: 2, first_piece: 3, offset: 40, frame }
    }

    #[test]
    fn the_fixed_pieces_have_their_lengths_and_are_read_back() {
        let footer = Footer { manifest_offset: 500, manifest_len: 100, digest: Digest::of(b"manifest") };
        assert_eq!(opening(NEWEST).len() as u64, OPENING_LEN);
        assert_eq!(header().to_bytes().len() as u64, HEADER_LEN);
        assert_eq!(footer.to_bytes().len() as u64, FOOTER_LEN);
        assert_eq!(read_opening(&opening(NEWEST)), Some(NEWEST));
        assert_eq!(BlockHeader::read(&header().to_bytes(), 40), Some(header()));
        assert_eq!(Footer::read(&footer.to_bytes()), Some(footer));
        assert!(footer.fits(664) && !footer.fits(665));
    }

    #[test]
    fn a_flipped_bit_in_an_opening_or_header_is_noticed_and_so_is_another_place() {
        for (at, bit) in (0..40).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mut bytes = opening(NEWEST);
            bytes[at] ^= 1 << bit;
            assert_eq!(read_opening(&bytes), None, "byte {at}");
        }
        for at in 0..88 {
            let mut bytes = header().to_bytes();
            bytes[at] ^= 1;
            assert_eq!(BlockHeader::read(&bytes, 40), None, "byte {at}");
        }
        assert_eq!(BlockHeader::read(&header().to_bytes(), 41), None);
    }

    #[test]
    fn a_header_that_claims_more_than_a_block_may_hold_is_none() {
        let raw_len = u32::try_from(BLOCK_BYTES_MAX + 1).unwrap();
        let too_large = BlockHeader { raw_len, ..header() };
        let bomb = BlockHeader { compressed_len: u32::MAX, ..header() };
        assert_eq!(BlockHeader::read(&too_large.to_bytes(), 40), None);
        assert_eq!(BlockHeader::read(&bomb.to_bytes(), 40), None);
        let index = BlockHeader { kind: block_kind::INDEX, ..too_large };
        assert_eq!(BlockHeader::read(&index.to_bytes(), 40), Some(index));
    }
}
