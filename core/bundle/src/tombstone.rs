//! What says of exchanges and runs that are gone that they were there.
//!
//! In: records of kind 12. Out: ids, the time, the reason; nothing of what they held.

use exchange::{Digest, Id};
use serde::{Deserialize, Serialize};

use crate::{Archive, ReadError, Record, WriteError, Writer, record::record_kind};

/// Ids that one record has at most: 35 bytes each stay far below what a record may have. A choice.
pub(crate) const IDS_MAX: usize = 10_000;

/// Exchanges and runs that were scrubbed together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    /// When, in nanoseconds since 1970.
    pub scrubbed_unix_ns: u64,
    /// Why, as whoever did it said.
    pub reason: String,
    /// Which, sorted.
    pub ids: Vec<Id>,
    /// The digest of the bundle that the file with this record replaces; absent where that was not sealed, or was no such file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Digest>,
}

impl Archive {
    /// What was scrubbed, in the order it was written.
    ///
    /// # Errors
    /// `Damaged`, `Io`.
    pub fn tombstones(&self) -> Result<Vec<Tombstone>, ReadError> {
        let mut found = Vec::new();
        for (number, segment) in self.segments().iter().enumerate() {
            for (_, place) in segment.index.others.iter().filter(|(kind, _)| *kind == record_kind::TOMBSTONE) {
                if let Record::Unknown { flags: 0, bytes, .. } = self.decoded(number, *place)? {
                    let read = serde_json::from_slice(&bytes);
                    found.push(read.map_err(|error| segment.damaged_at(*place, format!("tombstone: {error}")))?);
                }
            }
        }
        Ok(found)
    }

    /// What says that the exchange or run whose id begins with these hex digits was scrubbed.
    ///
    /// # Errors
    /// As [`Archive::tombstones`].
    pub fn scrubbed(&self, prefix: &str) -> Result<Option<(Id, Tombstone)>, ReadError> {
        let prefix = prefix.to_ascii_lowercase();
        let found = self.tombstones()?.into_iter().find_map(|stone| {
            let id = stone.ids.iter().find(|id| id.to_string().starts_with(&prefix)).copied()?;
            Some((id, stone))
        });
        Ok(found)
    }
}

impl Writer {
    /// Puts a tombstone, as records of at most 10,000 ids each.
    pub(crate) fn put_tombstone(&mut self, stone: &Tombstone) -> Result<(), WriteError> {
        for ids in stone.ids.chunks(IDS_MAX) {
            let part = Tombstone { ids: ids.to_vec(), ..stone.clone() };
            let bytes = serde_json::to_vec(&part);
            let bytes = bytes.map_err(|error| WriteError::Encode { kind: "tombstone", source: error.into() })?;
            self.append(&Record::Unknown { kind: record_kind::TOMBSTONE, flags: 0, bytes })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::record_header;

    #[test]
    fn the_written_form_is_the_documented_one() {
        let stone = Tombstone {
            scrubbed_unix_ns: 1_795_460_651_000_000_000,
            reason: "request 17".to_owned(),
            ids: vec![Id([1; 16])],
            replaces: None,
        };
        let json = serde_json::to_string(&stone).unwrap();
        let header = record_header(record_kind::TOMBSTONE, 0, u32::try_from(json.len()).unwrap());
        let header: Vec<String> = header.iter().map(|byte| format!("{byte:02x}")).collect();
        let written = format!("{}\n{json}\n", header.join(" "));
        assert!(include_str!("../../../docs/format.md").contains(&written), "not in docs/format.md:\n{written}");
    }

    #[test]
    fn more_ids_than_one_record_has_are_several_records_and_a_hostile_one_is_damage() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.retake");
        let mut writer = Writer::create(&path).unwrap();
        let id = |number: u128| Id(number.to_be_bytes());
        let ids: Vec<Id> = (0..25_000).map(id).collect();
        let stone = Tombstone { scrubbed_unix_ns: 1, reason: String::new(), ids, replaces: None };
        writer.put_tombstone(&stone).unwrap();
        writer.seal().unwrap();
        let archive = Archive::open(&path).unwrap();
        assert_eq!(
            archive.tombstones().unwrap().iter().map(|it| it.ids.len()).collect::<Vec<_>>(),
            [10_000, 10_000, 5000]
        );
        assert_eq!(archive.scrubbed(&id(24_999).to_string()).unwrap().unwrap().0, id(24_999));
        let other = folder.path().join("b.retake");
        let mut writer = Writer::create(&other).unwrap();
        writer.append(&Record::Unknown { kind: record_kind::TOMBSTONE, flags: 0, bytes: b"[1".to_vec() }).unwrap();
        writer.seal().unwrap();
        assert!(matches!(Archive::open(&other).unwrap().tombstones(), Err(ReadError::Damaged { .. })));
    }
}
