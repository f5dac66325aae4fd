//! A capture that ends at any moment: whatever the disk had by then, what was synced is there, what is not whole is named,
//! and nothing false is served.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use exchange::Exchange;

use super::*;
use crate::{Archive, Store, sample, verify};

/// What a writer does to its file.
#[derive(Clone)]
enum Step {
    Write { offset: u64, bytes: Vec<u8> },
    Cut(u64),
    Sync,
}

/// A disk that notes each step.
#[derive(Clone, Default)]
struct Noted(Arc<Mutex<Vec<Step>>>);

impl Noted {
    fn steps(&self) -> Vec<Step> {
        self.0.lock().unwrap().clone()
    }
}

impl Storage for Noted {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.lock().unwrap().push(Step::Write { offset, bytes: bytes.to_vec() });
        Ok(())
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.0.lock().unwrap().push(Step::Cut(len));
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.lock().unwrap().push(Step::Sync);
        Ok(())
    }
}

/// The script: its steps, each exchange with its bodies, and how many exchanges were promised after each number of steps.
struct Script {
    steps: Vec<Step>,
    exchanges: Vec<(Exchange, [Vec<u8>; 2])>,
    promised: Vec<(usize, usize)>,
}

impl Script {
    /// Conversations that grow and refer to what came before, synced now and then, and sealed at the end.
    fn run() -> Self {
        let disk = Noted::default();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.retake");
        let mut writer = Writer::on(&path, Box::new(disk.clone()), WriterOptions::default()).unwrap();
        writer.derive_ids(sample::id(1), sample::KEY);
        writer.append(&Record::Session(sample::session(1, 5))).unwrap();
        let fingerprint = writer.put_fingerprint(&sample::fingerprint("cpu")).unwrap();
        writer.sync().unwrap();
        let mut exchanges = Vec::new();
        let mut promised = vec![(0, 0)];
        let mut history = String::new();
        for sequence in 1..=24_u64 {
            let said = sample::noise(sequence, 40).iter().map(|byte| char::from(b'a' + byte % 26)).collect::<String>();
            history += &format!(
                r#"{}{{"role":"user","content":"{said} of turn {sequence}"}}"#,
                if sequence > 1 { "," } else { "" }
            );
            let bodies = [format!(r#"{{"messages":[{history}]}}"#).into_bytes(), sample::noise(sequence + 100, 700)];
            let [request, response] = [0, 1].map(|side| sample::body(&mut writer, &bodies[side]));
            let exchange = sample::exchange(1, sequence, request, response);
            let exchange = Exchange { id: sample::id(sequence), fingerprint: Some(fingerprint), ..exchange };
            writer.append(&Record::Exchange(Box::new(exchange.clone()))).unwrap();
            exchanges.push((exchange, bodies));
            match sequence % 5 {
                2 => writer.flush().unwrap(),
                4 => {
                    writer.append(&Record::LogLines(sample::log_lines(1, &[sequence]))).unwrap();
                    writer.sync().unwrap();
                    promised.push((disk.steps().len(), exchanges.len()));
                }
                _ => {}
            }
        }
        writer.append(&Record::SessionEnd(sample::session_end(1))).unwrap();
        writer.seal().unwrap();
        promised.push((disk.steps().len(), exchanges.len()));
        Self { steps: disk.steps(), exchanges, promised }
    }

    /// How many exchanges have to be there after so many steps.
    fn promised_after(&self, steps: usize) -> usize {
        self.promised.iter().take_while(|(at, _)| *at <= steps).last().map_or(0, |(_, count)| *count)
    }

    /// What a disk may hold when the machine stops after `steps` steps: all that was synced, and of what came after it whatever
    /// a file system may have made of it.
    fn disks_after(&self, steps: usize) -> Vec<(String, Vec<u8>)> {
        let done = &self.steps[..steps];
        let synced = done.iter().rposition(|step| matches!(step, Step::Sync)).map_or(0, |at| at + 1);
        let mut durable = Vec::new();
        done[..synced].iter().for_each(|step| apply(step, &mut durable));
        let pending: Vec<_> = done[synced..].iter().filter(|step| !matches!(step, Step::Sync)).collect();
        let mut disks = vec![("nothing since the last sync".to_owned(), durable.clone())];
        // The process ended in the middle of a write.
        for torn in [1, 2, 3, 7, 8, 15, 16] {
            let mut disk = durable.clone();
            let Some((last, before)) = pending.split_last() else { break };
            before.iter().for_each(|step| apply(step, &mut disk));
            if let Step::Write { offset, bytes } = last {
                let bytes = bytes[..bytes.len() * torn / 16].to_vec();
                apply(&Step::Write { offset: *offset, bytes }, &mut disk);
                disks.push((format!("{torn}/16 of the last write"), disk));
            }
        }
        // Power was lost: each sector that was written since may be there or be zeros, in any order; the length may be ahead.
        for case in 0..14_u64 {
            let mut disk = durable.clone();
            pending.iter().for_each(|step| apply(step, &mut disk));
            let chance = sample::noise(case * 1000 + steps as u64, disk.len() / SECTOR + 1);
            for (number, chance) in chance.into_iter().enumerate() {
                let start = (number * SECTOR).max(durable.len());
                let end = ((number + 1) * SECTOR).min(disk.len());
                // From one sector in sixteen to most.
                if start < end && u64::from(chance % 16) <= 2 * case % 16 {
                    disk[start..end].fill(0);
                }
            }
            if case >= 10 {
                let kept = durable.len() + (disk.len() - durable.len()) * (case as usize - 10) / 4;
                disk.truncate(kept);
            }
            disks.push((format!("power lost, case {case}"), disk));
        }
        disks
    }

    /// Asserts what a reader sees on such a disk.
    fn assert_holds(&self, case: &str, promised: usize, disk: &[u8]) -> usize {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_or_create(folder.path()).unwrap();
        let path: PathBuf = folder.path().join("segments").join(format!("{}-000.retake", sample::id(1)));
        fs::write(&path, disk).unwrap();
        let there = self.assert_served(case, promised, folder.path(), disk);
        let torn = store.recover().unwrap();
        assert_eq!(self.assert_served(case, promised, folder.path(), &fs::read(&path).unwrap()), there, "{case}");
        let report = verify(folder.path(), &mut |_, _| {}).unwrap();
        assert!(report.torn.is_empty(), "{case}: after recovery nothing is torn, {torn:?}");
        there
    }

    fn assert_served(&self, case: &str, promised: usize, folder: &Path, disk: &[u8]) -> usize {
        let report = verify(folder, &mut |_, _| {}).unwrap();
        let archive = Archive::open(folder).unwrap();
        let known: BTreeMap<_, _> =
            self.exchanges.iter().map(|(exchange, bodies)| (exchange.id, (exchange, bodies))).collect();
        let mut there = 0;
        let mut lacking = 0;
        for entry in archive.entries() {
            let (written, bodies) =
                known.get(&entry.id).unwrap_or_else(|| panic!("{case}: {} was never written", entry.id));
            let read = archive.exchange(&entry.id).unwrap();
            assert_eq!(read, **written, "{case}");
            let read =
                [&read.request.body, &read.response.as_ref().unwrap().body].map(|body| archive.body(body, 1 << 20));
            match read {
                [Ok(request), Ok(response)] => {
                    assert!([request, response] == **bodies, "{case}: {} has another body", entry.id);
                    there += 1;
                }
                _ => {
                    lacking += 1;
                    let is_named = report.damage.iter().any(|damage| damage.costs.contains(&entry.id));
                    assert!(is_named, "{case}: {} is not whole and not named: {report:?}", entry.id);
                }
            }
        }
        for (exchange, _) in &self.exchanges[..promised] {
            assert!(archive.entry(&exchange.id).is_some(), "{case}: {} was synced and is lost", exchange.id);
        }
        assert!(there >= promised, "{case}: of {promised} that were synced {there} are whole, {lacking} are not");
        let is_whole = report.damage.is_empty() && report.torn.is_empty();
        let ends_at_a_step = (0..=self.steps.len()).any(|steps| {
            let mut whole = Vec::new();
            self.steps[..steps].iter().for_each(|step| apply(step, &mut whole));
            whole == disk
        });
        assert!(!is_whole || ends_at_a_step || disk.is_empty(), "{case}: something is missing and nothing is named");
        there
    }
}

/// What power loss spares or takes as a whole, in bytes.
const SECTOR: usize = 512;

fn apply(step: &Step, disk: &mut Vec<u8>) {
    match step {
        Step::Write { offset, bytes } => {
            let start = usize::try_from(*offset).unwrap();
            disk.resize(disk.len().max(start + bytes.len()), 0);
            disk[start..start + bytes.len()].copy_from_slice(bytes);
        }
        Step::Cut(len) => disk.truncate(usize::try_from(*len).unwrap()),
        Step::Sync => {}
    }
}

#[test]
fn a_capture_that_ends_at_any_step_keeps_what_was_synced_and_serves_nothing_false() {
    let script = Script::run();
    let mut disks = 0;
    let mut whole = 0;
    for steps in 0..=script.steps.len() {
        for (what, disk) in script.disks_after(steps) {
            let case = format!("after step {steps} of {}, {what}", script.steps.len());
            whole += script.assert_holds(&case, script.promised_after(steps), &disk);
            disks += 1;
        }
    }
    eprintln!("{disks} disks, {whole} whole exchanges");
    assert!(disks > 500 && whole > 0);
}
