//! Reads the records of an archive, one by one or kind by kind.
//!
//! In: the places that the files' indexes name. Out: records, each from a block that was checked.

use std::sync::Arc;

use exchange::{
    Body, Digest, Event, Exchange, Fingerprint, Holding, Id, ImageRecord, LogLines, NoiseProfile, RUN_RESULTS, Run,
};

use crate::{
    Archive, ReadError, Record,
    archive::merged,
    cache::Block,
    index::{Index, Place},
    record::{RawRecord, record_at, record_kind},
    rows::RowRead,
};

/// Bytes of records that are read into one list at most. Free-form JSON (a run's receipt) takes up to 16 times as much in
/// memory. A choice: a bundle has one run, and as many images as services.
const LIST_BYTES_MAX: u64 = 32 << 20;

/// The same of a run's results that stand beside its own record. A choice: some 100,000 of them.
pub const RESULTS_BYTES_MAX: u64 = 64 << 20;

/// Says of bodies which file their pieces are in.
fn give_file<'a>(segment: usize, bodies: impl Iterator<Item = &'a mut Body>) {
    let file = u32::try_from(segment).expect("a store has fewer files than that");
    for part in bodies.flat_map(|body| &mut body.parts) {
        part.file = file;
    }
}

/// A record inside its decompressed block.
pub(crate) struct RecordInBlock {
    block: Arc<Block>,
    place: Place,
}

impl RecordInBlock {
    /// The record.
    pub(crate) fn record(&self) -> RawRecord<'_> {
        record_at(&self.block.raw, self.place.offset).expect("it was there when this was made")
    }
}
impl Archive {
    /// One exchange, without the bytes of its bodies.
    ///
    /// # Errors
    /// `NoExchange`, `Damaged`, `Io`.
    pub fn exchange(&self, id: &Id) -> Result<Exchange, ReadError> {
        let (segment, place) = self.place_of(id).ok_or(ReadError::NoExchange { id: *id })?;
        let read = self.row(segment, place)?;
        if read.exchange.id != *id {
            return Err(self.segments()[segment].damaged_at(place, format!("this is not exchange {id}")));
        }
        Ok(read.exchange)
    }

    /// The exchange at a place, with what its file says of it beside.
    pub(crate) fn row(&self, segment: usize, place: Place) -> Result<RowRead, ReadError> {
        let block = self.block(segment, place.block)?;
        let rows = block.rows.as_ref().ok_or_else(|| "this is no block of exchanges".to_owned());
        let read = rows.and_then(|rows| rows.get(&block.raw, place.offset));
        let mut read = read.map_err(|what| self.segments()[segment].damaged_at(place, what))?;
        let response = read.exchange.response.as_mut().map(|response| &mut response.body);
        give_file(segment, std::iter::once(&mut read.exchange.request.body).chain(response));
        Ok(read)
    }

    /// The outcomes of replays, with all of their results.
    ///
    /// # Errors
    /// `Damaged`, `Io`; `TooLong` where they have more than 32 MiB between them, or results of one beside its record more than
    /// [`RESULTS_BYTES_MAX`].
    pub fn runs(&self) -> Result<Vec<Run>, ReadError> {
        let mut runs = self.listed(
            |index| index.runs.iter().map(|run| run.at).collect(),
            |record| match record {
                Record::Run(run) => Some(*run),
                _ => None,
            },
        )?;
        for run in runs.iter_mut().filter(|run| run.comparison_more > 0) {
            self.add_results(run)?;
        }
        Ok(runs)
    }

    /// Adds the results that did not fit into a run's own record.
    fn add_results(&self, run: &mut Run) -> Result<(), ReadError> {
        let mut kept_len = 0;
        for (number, segment) in self.segments().iter().enumerate() {
            for &at in &segment.index.events {
                let Record::Event(event) = self.decoded(number, at)? else { continue };
                if event.kind != RUN_RESULTS || event.session != Some(run.id) {
                    continue;
                }
                kept_len += u64::from(at.len);
                if kept_len > RESULTS_BYTES_MAX {
                    return Err(ReadError::TooLong { kept_len, len_max: RESULTS_BYTES_MAX });
                }
                let (serde_json::Value::Array(results), serde_json::Value::Array(more)) =
                    (&mut run.comparison, event.data)
                else {
                    return Err(self.segments()[number].damaged_at(at, "results are no list"));
                };
                run.comparison_more = run.comparison_more.saturating_sub(more.len() as u64);
                results.extend(more);
            }
        }
        Ok(())
    }

    /// The environment whose record has this digest.
    ///
    /// # Errors
    /// `Damaged`, `Io`.
    pub fn fingerprint(&self, digest: &Digest) -> Result<Option<Fingerprint>, ReadError> {
        for (number, segment) in self.segments().iter().enumerate() {
            let Some((_, place)) = segment.index.fingerprints.iter().find(|(other, _)| other == digest) else {
                continue;
            };
            if Digest::of(self.record_in(number, *place)?.record().payload) != *digest {
                return Err(segment.damaged_at(*place, format!("this is not the fingerprint {digest}")));
            }
            if let Record::Fingerprint(fingerprint) = self.decoded(number, *place)? {
                return Ok(Some(*fingerprint));
            }
        }
        Ok(None)
    }

    /// All environments with their digests, each once.
    ///
    /// # Errors
    /// As [`Archive::fingerprint`].
    pub fn fingerprints(&self) -> Result<Vec<(Digest, Fingerprint)>, ReadError> {
        let digests = merged(self.segments(), |index| &index.fingerprints, |(digest, _)| *digest);
        let read = digests.into_iter().map(|(digest, _)| Ok(self.fingerprint(&digest)?.map(|found| (digest, found))));
        read.filter_map(Result::transpose).collect()
    }

    /// Events, in the order they were written.
    pub fn events(&self) -> impl Iterator<Item = Result<Event, ReadError>> + '_ {
        self.each(
            |index| index.events.clone(),
            |record| match record {
                Record::Event(event) => Some(event),
                _ => None,
            },
        )
    }

    /// From when to when which environment held, by session and time; nothing of sessions that followed no container.
    ///
    /// # Errors
    /// `Damaged`, `Io`.
    pub fn holdings(&self) -> Result<Vec<(Id, Holding)>, ReadError> {
        let is_one = |event: &Result<Event, _>| event.as_ref().map_or(true, |event| Holding::of(event).is_some());
        let events = self.events().filter(is_one).collect::<Result<Vec<_>, _>>()?;
        Ok(Holding::all(&events))
    }

    /// What the service logged, in the order it was written.
    pub fn log_lines(&self) -> impl Iterator<Item = Result<LogLines, ReadError>> + '_ {
        self.each(
            |index| index.log_lines.iter().map(|(_, at)| *at).collect(),
            |record| match record {
                Record::LogLines(lines) => Some(lines),
                _ => None,
            },
        )
    }

    /// Images that are carried.
    ///
    /// # Errors
    /// As [`Archive::runs`].
    pub fn images(&self) -> Result<Vec<ImageRecord>, ReadError> {
        self.listed(
            |index| index.images.clone(),
            |record| match record {
                Record::Image(image) => Some(*image),
                _ => None,
            },
        )
    }

    /// What was learned of noise.
    ///
    /// # Errors
    /// As [`Archive::runs`].
    pub fn noise_profiles(&self) -> Result<Vec<NoiseProfile>, ReadError> {
        self.listed(
            |index| {
                let of_noise = |(kind, at): &(u8, Place)| (*kind == record_kind::NOISE).then_some(*at);
                index.others.iter().filter_map(of_noise).collect()
            },
            |record| match record {
                Record::Noise(profile) => Some(profile),
                _ => None,
            },
        )
    }

    /// The record at a place, decoded.
    pub(crate) fn decoded(&self, segment: usize, place: Place) -> Result<Record, ReadError> {
        let found = self.record_in(segment, place)?;
        let record = Record::decode(&found.record());
        let mut record = record.map_err(|what| self.segments()[segment].damaged_at(place, what))?;
        give_file(segment, record.bodies_mut().into_iter().flatten());
        Ok(record)
    }

    /// The record at a place.
    pub(crate) fn record_in(&self, segment: usize, place: Place) -> Result<RecordInBlock, ReadError> {
        let block = self.block(segment, place.block)?;
        match record_at(&block.raw, place.offset) {
            Some(record) if block.rows.is_none() && record.payload.len() == place.len as usize => {
                Ok(RecordInBlock { block, place })
            }
            _ => Err(self.segments()[segment].damaged_at(place, "there is no such record")),
        }
    }

    /// The block that begins at `offset` of a file.
    pub(crate) fn block(&self, segment: usize, offset: u64) -> Result<Arc<Block>, ReadError> {
        self.blocks().get((segment, offset), || self.segments()[segment].block(offset))
    }

    /// All records at the places that `pick` names, in one list.
    fn listed<T>(&self, pick: fn(&Index) -> Vec<Place>, take: fn(Record) -> Option<T>) -> Result<Vec<T>, ReadError> {
        let places = self.segments().iter().flat_map(|segment| pick(&segment.index));
        let kept_len = places.map(|place| u64::from(place.len)).sum();
        if kept_len > LIST_BYTES_MAX {
            return Err(ReadError::TooLong { kept_len, len_max: LIST_BYTES_MAX });
        }
        self.each(pick, take).collect()
    }

    /// The records at the places that `pick` names, one after another.
    fn each<'a, T: 'a>(
        &'a self,
        pick: fn(&Index) -> Vec<Place>,
        take: fn(Record) -> Option<T>,
    ) -> impl Iterator<Item = Result<T, ReadError>> + 'a {
        let places = self.segments().iter().enumerate();
        let places =
            places.flat_map(move |(number, segment)| pick(&segment.index).into_iter().map(move |at| (number, at)));
        places.map(move |(number, at)| {
            let wrong_kind = || self.segments()[number].damaged_at(at, "this is a record of another kind");
            take(self.decoded(number, at)?).ok_or_else(wrong_kind)
        })
    }
}
