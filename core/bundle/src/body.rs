//! Puts bodies together from their recipes.
//!
//! In: a body of a record. Out: its kept bytes, each blob checked against its digest before any of it is given out.

use std::io::Write;

use exchange::{Body, Digest, Part};

use crate::{Archive, ReadError};

impl Archive {
    /// The kept bytes of a body.
    ///
    /// # Errors
    /// `TooLong` where there are more than `len_max`, before anything is allocated; `NoBlob`, `Damaged`, `Io`.
    pub fn body(&self, body: &Body, len_max: u64) -> Result<Vec<u8>, ReadError> {
        let kept_len = body.kept_len();
        if kept_len > len_max {
            return Err(ReadError::TooLong { kept_len, len_max });
        }
        let mut bytes = Vec::new();
        for part in &body.parts {
            self.with_part(part, |piece| {
                bytes.extend_from_slice(piece);
                Ok(())
            })?;
        }
        Ok(bytes)
    }

    /// Copies the kept bytes of a body, one blob at a time, and says how many they are.
    ///
    /// # Errors
    /// `Output` where `out` refuses; `NoBlob`, `Damaged`, `Io`.
    pub fn copy_body(&self, body: &Body, out: &mut dyn Write) -> Result<u64, ReadError> {
        for part in &body.parts {
            self.with_part(part, |piece| out.write_all(piece).map_err(|source| ReadError::Output { source }))?;
        }
        Ok(body.kept_len())
    }

    /// Gives the bytes of one step to `take`.
    pub(crate) fn with_part(
        &self,
        part: &Part,
        take: impl FnOnce(&[u8]) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        let Part::Whole { blob, len } = part;
        self.with_blob(blob, *len, take)
    }

    /// Gives a blob's bytes to `take`, from the first file that has them whole.
    pub(crate) fn with_blob(
        &self,
        blob: &Digest,
        len: u64,
        take: impl FnOnce(&[u8]) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        let mut error = ReadError::NoBlob { blob: *blob, len };
        for (number, segment) in self.segments().iter().enumerate() {
            let Some(place) = segment.index.blob(blob) else { continue };
            if u64::from(place.len) != len {
                continue;
            }
            match self.record_in(number, place) {
                Ok(block) => {
                    let record = block.record();
                    if record.is_blob() && Digest::of(record.payload) == *blob {
                        return take(record.payload);
                    }
                    error = segment.damaged_at(place, format!("this is not the blob {blob}"));
                }
                Err(failed) => error = failed,
            }
        }
        Err(error)
    }
}
