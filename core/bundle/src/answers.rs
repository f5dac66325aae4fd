//! Writes a bundle again with other answers to some of its requests: what a run gave, which is right from now on.
//!
//! In: a bundle, a run of it, and which of the run's exchanges answer which recorded ones. Out: a sealed file under the same
//! name, whole or not at all, with everything else as it was, and an event of kind [`ANSWERS_ACCEPTED`] that names the bundle
//! it replaces. Whether an answer may be taken is left to others.

use std::{collections::BTreeMap, path::Path};

use exchange::{Body, Digest, Event, Exchange, Id, SeedPlace};

use crate::{
    Archive, ExportError, OpenError, PruneError, Sealed, Writer,
    rewrite::{Held, Stays, rewrite},
    rows::RowRead,
};

/// The kind of event that says that answers were taken over from a run. Its links are the exchanges that have them; its data
/// has `replaces`, the digest of the bundle that this one replaces, `run`, and `at_unix_ns`, when.
pub const ANSWERS_ACCEPTED: &str = "answers-accepted";

/// Answers to take over.
pub struct NewAnswers<'a> {
    /// What has them.
    pub run: &'a Archive,
    /// The run's id.
    pub run_id: Id,
    /// Recorded exchanges, each with the run's exchange whose answer it gets.
    pub answers: &'a BTreeMap<Id, Id>,
    /// The time, in nanoseconds since 1970.
    pub now_unix_ns: u64,
}

/// Writes the bundle at `path`, which `archive` was opened from, with these answers. An exchange keeps its id, its request and
/// its times, so that what came before what stays; chunks of its new answer are moved to where the recorded one began, and
/// none is later than its end. What its request pins of randomness stays, what the former answer told of it goes.
///
/// # Errors
/// When something cannot be read or written, and where a writer has the file. Then the file is what it was.
pub fn accept_answers(archive: &Archive, path: &Path, new: &NewAnswers<'_>) -> Result<Sealed, PruneError> {
    let Some(_held) = Held::of(path)? else {
        let source = std::io::Error::from(std::io::ErrorKind::ResourceBusy);
        return Err(OpenError::Io { path: path.to_owned(), source }.into());
    };
    let stays = Stays {
        exchange: &|_| true,
        event: &|_| true,
        line: &|_, _| true,
        run: &|_| true,
        noise: true,
        tombstone: None,
        answers: Some(new),
        added: Some(event_of(archive.digest(), new)),
    };
    rewrite(archive, path, &stays)
}

fn event_of(replaces: Option<Digest>, new: &NewAnswers<'_>) -> Event {
    let of =
        Digest::of(&[replaces.map(|digest| digest.0.to_vec()).unwrap_or_default(), new.run_id.0.to_vec()].concat());
    Event {
        id: Id::of_item(&of, 0),
        session: None,
        at_ns: 0,
        kind: ANSWERS_ACCEPTED.to_owned(),
        actor: String::new(),
        subject: String::new(),
        links: new.answers.keys().copied().collect(),
        data: serde_json::json!({ "replaces": replaces, "run": new.run_id, "at_unix_ns": new.now_unix_ns }),
    }
}

impl NewAnswers<'_> {
    /// Gives a recorded exchange its new answer, if it is to have one, with the bytes of it put into `writer`; the answer's
    /// parts are those there. What has no column is written anew but for fields that this build does not know.
    pub(crate) fn give(&self, read: &mut RowRead, writer: &mut Writer) -> Result<bool, ExportError> {
        let Some(answer) = self.answers.get(&read.exchange.id) else { return Ok(false) };
        let replayed = self.run.exchange(answer)?;
        let recorded = &mut read.exchange;
        let times = Moved::of(recorded, &replayed);
        let Exchange { mut response, mut interim, end, digests, redactions, .. } = replayed;
        if let Some(response) = &mut response {
            put_bytes(self.run, writer, &mut response.body)?;
            response.body.chunks.iter_mut().for_each(|chunk| chunk.at_ns = times.moved(chunk.at_ns));
        }
        interim.iter_mut().for_each(|interim| interim.at_ns = times.moved(interim.at_ns));
        (recorded.response, recorded.interim, recorded.end) = (response, interim, end);
        recorded.digests.response = digests.response;
        let of_answer = |place: &str| place.starts_with("response");
        recorded.redactions.retain(|it| !of_answer(&it.place));
        recorded.redactions.extend(redactions.into_iter().filter(|it| of_answer(&it.place)));
        recorded.seeds.retain(|seed| seed.place == SeedPlace::Request);
        read.renew_rest()?;
        Ok(true)
    }
}

fn put_bytes(run: &Archive, writer: &mut Writer, body: &mut Body) -> Result<(), ExportError> {
    let mut parts = Vec::new();
    for part in &body.parts {
        parts.extend(writer.put_body_bytes(&run.part(part)?)?);
    }
    body.parts = parts;
    Ok(())
}

/// From the run's time to the recording's.
struct Moved {
    from_ns: u64,
    to_ns: u64,
    last_ns: u64,
}

impl Moved {
    fn of(recorded: &Exchange, replayed: &Exchange) -> Self {
        let began = |exchange: &Exchange| exchange.times.response_started_ns.unwrap_or(exchange.times.started_ns);
        Self { from_ns: began(replayed), to_ns: began(recorded), last_ns: recorded.times.ended_ns }
    }

    fn moved(&self, at_ns: u64) -> u64 {
        let moved = match at_ns.checked_sub(self.from_ns) {
            Some(later) => self.to_ns.saturating_add(later),
            None => self.to_ns.saturating_sub(self.from_ns - at_ns),
        };
        moved.min(self.last_ns)
    }
}

#[cfg(test)]
mod tests {
    use exchange::{Chunk, Head, Redaction, Response, Seed};

    use super::*;
    use crate::{Record, sample};

    fn id(number: u8) -> Id {
        Id([number; 16])
    }

    fn put(writer: &mut Writer, number: u8, answer: &str, change: impl FnOnce(&mut Exchange)) {
        let request = sample::body(writer, b"{\"ask\":1}");
        let mut response = sample::body(writer, answer.as_bytes());
        response.chunks = vec![Chunk { offset: 0, at_ns: 12 }, Chunk { offset: 2, at_ns: 900 }];
        let mut exchange = sample::exchange(1, u64::from(number), request, response);
        exchange.id = id(number);
        change(&mut exchange);
        writer.append(&Record::Exchange(Box::new(exchange))).unwrap();
    }

    #[test]
    fn an_answer_is_taken_over_and_everything_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (path, run_path) = (folder.path().join("case.retake"), folder.path().join("run.retake"));
        let mut writer = Writer::create(&path).unwrap();
        writer.append(&Record::Session(sample::session(1, 10))).unwrap();
        put(&mut writer, 1, "{\"a\":1}", |exchange| {
            exchange.times.ended_ns = 400;
            exchange.redactions = ["request header:authorization", "response header:set-cookie"]
                .map(|place| Redaction { place: place.to_owned(), count: 1 })
                .to_vec();
            exchange.seeds = vec![Seed {
                place: SeedPlace::Response,
                pointer: "/system_fingerprint".to_owned(),
                value: "\"a\"".to_owned(),
            }];
        });
        put(&mut writer, 2, "{\"b\":2}", |_| {});
        writer.append(&Record::Unknown { kind: 200, flags: 0, bytes: b"kept".to_vec() }).unwrap();
        writer.seal().unwrap();
        let mut run = Writer::create(&run_path).unwrap();
        put(&mut run, 11, "{\"a\":3, \"more\":true}", |exchange| {
            exchange.response.as_mut().unwrap().head = Head::new(*b"HTTP/1.1 201 Created\r\n\r\n");
            exchange.digests.response = Some(Digest([9; 32]));
            exchange.times.started_ns = 5;
        });
        run.seal().unwrap();

        let archive = Archive::open_verified(&path).unwrap();
        let before = archive.digest();
        let other = archive.exchange(&id(2)).unwrap();
        let run = Archive::open_verified(&run_path).unwrap();
        let answers = BTreeMap::from([(id(1), id(11))]);
        let new = NewAnswers { run: &run, run_id: id(50), answers: &answers, now_unix_ns: 77 };
        let sealed = accept_answers(&archive, &path, &new).unwrap();

        let after = Archive::open_verified(&path).unwrap();
        assert_eq!((after.digest(), sealed.counts.exchanges), (Some(sealed.digest), 2));
        let taken = after.exchange(&id(1)).unwrap();
        let Response { head, body } = taken.response.clone().unwrap();
        assert_eq!((taken.status(), head), (Some(201), Head::new(*b"HTTP/1.1 201 Created\r\n\r\n")));
        assert_eq!(after.body(&body, 1 << 20).unwrap(), b"{\"a\":3, \"more\":true}");
        assert_eq!(after.body(&taken.request.body, 1 << 20).unwrap(), b"{\"ask\":1}");
        assert_eq!((taken.times.started_ns, taken.times.ended_ns), (10, 400));
        assert_eq!(body.chunks.iter().map(|chunk| chunk.at_ns).collect::<Vec<_>>(), [17, 400]);
        assert_eq!(
            taken.redactions.iter().map(|it| it.place.as_str()).collect::<Vec<_>>(),
            ["request header:authorization"]
        );
        assert!(taken.seeds.is_empty() && taken.digests.response == Some(Digest([9; 32])));
        let stayed = after.exchange(&id(2)).unwrap();
        assert_eq!((stayed.times, stayed.digests), (other.times, other.digests));
        let event = after.events().map(Result::unwrap).find(|event| event.kind == ANSWERS_ACCEPTED).unwrap();
        assert_eq!(event.links, [id(1)]);
        assert_eq!(event.data["replaces"], serde_json::to_value(before).unwrap());
        assert!(crate::verify(&path, &mut |_, _| {}).unwrap().damage.is_empty());
    }

    #[test]
    fn where_a_writer_has_the_file_or_the_run_lacks_the_answer_nothing_is_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("case.retake");
        let mut writer = Writer::create(&path).unwrap();
        put(&mut writer, 1, "{}", |_| {});
        writer.seal().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let archive = Archive::open(&path).unwrap();
        let answers = BTreeMap::from([(id(1), id(99))]);
        let new = NewAnswers { run: &archive, run_id: id(50), answers: &answers, now_unix_ns: 77 };
        assert!(accept_answers(&archive, &path, &new).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
