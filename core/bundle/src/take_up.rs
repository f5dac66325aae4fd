//! Takes up a run whose writer is gone: what it holds, and a writer that goes on with it.
//!
//! In: the file, sealed or not, and what of it stays. Out: a new file that is not sealed, to be written to, and to be put in its
//! place once there is more in it; whoever has the old one open reads on in that. What the run came to is left out: it has not come to anything yet.

use std::path::{Path, PathBuf};

use exchange::Event;

use crate::{
    Archive, Entry, PruneError, Writer,
    export::Temporary,
    rewrite::{Held, Rewriting, Stays},
};

/// A run that is taken up and has not got its name yet. Dropped, it leaves the old file as it was.
pub struct TakenUp {
    path: PathBuf,
    temporary: Temporary,
    _held: Held,
}

/// Takes up the run at `path`, which `before` was opened from. `None` where somebody writes to it, and where it is gone.
///
/// # Errors
/// When the old one cannot be read, or the new one not written.
pub fn take_up(
    path: &Path,
    before: &Archive,
    exchange: &dyn Fn(&Entry) -> bool,
    event: &dyn Fn(&Event) -> bool,
) -> Result<Option<(Writer, TakenUp)>, PruneError> {
    let Some(held) = Held::of(path)? else { return Ok(None) };
    let stays = Stays {
        exchange,
        event,
        line: &|_, _| true,
        run: &|_| false,
        noise: false,
        tombstone: None,
        answers: None,
        added: None,
    };
    let temporary = Temporary::beside(path)?;
    let writer = Writer::create(&temporary.path)?;
    let mut rewriting = Rewriting::new(before, writer, &stays);
    rewriting.put_all()?;
    Ok(Some((rewriting.into_writer(), TakenUp { path: path.to_owned(), temporary, _held: held })))
}

impl TakenUp {
    /// Puts the new file in the place of the old one, whole and synced as it is, in one step: what is cut off leaves the one or
    /// the other.
    ///
    /// # Errors
    /// When it cannot be written, or not renamed.
    pub fn place(self, writer: &mut Writer) -> Result<(), PruneError> {
        writer.sync()?;
        self.temporary.rename(&self.path, true)?;
        writer.is_now_at(&self.path);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use exchange::{Body, ClockPair, Exchange, Repeats, Run};
    use tempfile::tempdir;

    use super::*;
    use crate::{Record, sample};

    fn repeated(sequence: u64, repeat: u32, answer: Body) -> Record {
        let repeats =
            Repeats { original: Some(sample::id(1)), repeat, target: String::new(), replacements: Vec::new() };
        let exchange = sample::exchange(9, sequence, Body::default(), answer);
        Record::Exchange(Box::new(Exchange { repeats: Some(repeats), ..exchange }))
    }

    #[test]
    fn a_run_goes_on_with_what_stays_and_without_what_it_came_to() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("run.retake");
        let mut writer = Writer::create(&path).unwrap();
        for repeat in 0..2 {
            let answer = sample::body(&mut writer, b"an answer");
            writer.append(&repeated(u64::from(repeat), repeat, answer)).unwrap();
        }
        let started = ClockPair { monotonic_ns: 0, wall_unix_ns: 0 };
        writer
            .append(&Record::Run(Box::new(Run {
                id: sample::id(9),
                tool_version: String::new(),
                started,
                sources: Vec::new(),
                receipt: serde_json::Value::Null,
                comparison: serde_json::Value::Null,
                comparison_more: 0,
            })))
            .unwrap();
        writer.seal().unwrap();

        let first = |entry: &Entry| entry.repeat == Some(0);
        let before = Archive::open(&path).unwrap();
        let take = || take_up(&path, &before, &first, &|_| true).unwrap();
        drop(take().unwrap());
        assert_eq!(Archive::open(&path).unwrap().runs().unwrap().len(), 1, "left as it was");
        let (mut writer, taken) = take().unwrap();
        assert!(take().is_none(), "somebody has it");
        taken.place(&mut writer).unwrap();
        assert!(take().is_none(), "somebody writes to it");
        assert_eq!((before.entries().len(), Archive::open_growing(&path).unwrap().entries().len()), (2, 1));
        writer.append(&repeated(2, 1, Body::default())).unwrap();
        writer.seal().unwrap();
        let after = Archive::open_verified(&path).unwrap();
        assert_eq!((after.entries().len(), after.runs().unwrap().len()), (2, 0));
        let kept = after.entries().iter().next().unwrap().id;
        let answer = after.exchange(&kept).unwrap().response.unwrap().body;
        assert_eq!(after.body(&answer, 100).unwrap(), b"an answer");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }
}
