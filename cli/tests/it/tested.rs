//! `retake test`: bundles of a folder as regression tests, made of the shipped recording and replayed against the fixture
//! service with planted defects.

mod chosen;
mod day;
mod documents;
mod files;
mod pipelines;
mod updated;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use bundle::{Archive, Extra, export};
use exchange::Id;
use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::{
    Ran, retake,
    shipped::{Alter, altered, shipped},
    untrue::triage,
};

/// What each case leaves out, as the folder's file says it.
const IGNORE: &str = "ignore = ['/id', '/created', 'sse:/id', 'sse:/created']\n";

/// Tickets of the shipped recording that were answered as JSON.
pub(super) struct Tickets {
    archive: Archive,
    /// Ids and answers by a number that ends in the digit that the store's number ends in: the first ticket of which that ends
    /// in 3 is 3, the second 13.
    by_number: BTreeMap<u64, (Id, Value)>,
}

impl Tickets {
    pub(super) fn read() -> Self {
        let archive = Archive::open(&shipped()).unwrap();
        let mut by_record = BTreeMap::new();
        for entry in archive.entries().iter().filter(|entry| &*entry.title == "POST /tickets") {
            let response = archive.exchange(&entry.id).unwrap().response.unwrap();
            let answer: Value = serde_json::from_slice(&archive.body(&response.body, 1 << 20).unwrap()).unwrap();
            by_record.insert(answer["record"].as_u64().unwrap(), (entry.id, answer));
        }
        let mut counts = [0; 10];
        let number = |record: u64| {
            let digit = record % 10;
            let count = &mut counts[usize::try_from(digit).unwrap()];
            *count += 1;
            (*count - 1) * 10 + digit
        };
        let numbers: Vec<u64> = by_record.keys().copied().map(number).collect();
        Self { archive, by_number: numbers.into_iter().zip(by_record.into_values()).collect() }
    }

    /// Numbers with this last digit whose answers are so.
    pub(super) fn ending_in(&self, digit: u64, is_so: impl Fn(&Value) -> bool) -> Vec<u64> {
        let found = self.by_number.iter().filter(|(number, (_, answer))| **number % 10 == digit && is_so(answer));
        found.map(|(number, _)| *number).collect()
    }

    /// Numbers of those to which the service's second rules give another priority: they speak of a refund, and were less than
    /// high.
    pub(super) fn repriced(&self) -> Vec<u64> {
        let speaks_of_a_refund = |id: &Id| {
            let request = self.archive.exchange(id).unwrap().request;
            let asked: Value = serde_json::from_slice(&self.archive.body(&request.body, 1 << 20).unwrap()).unwrap();
            let text = format!("{} {}", asked["subject"], asked["body"]).to_lowercase();
            let mut words = text.split(|letter: char| !letter.is_alphanumeric());
            words.any(|word| ["refund", "refunded", "refunds"].contains(&word))
        };
        let is_less = |answer: &Value| answer["priority"] == "normal" || answer["priority"] == "low";
        let found = self.by_number.iter().filter(|(_, (id, answer))| is_less(answer) && speaks_of_a_refund(id));
        found.map(|(number, _)| *number).collect()
    }

    /// Seals some of them as a bundle.
    pub(super) fn seal(&self, path: &Path, numbers: &[u64]) {
        let ids: Vec<Id> = numbers.iter().map(|number| self.by_number[number].0).collect();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        export(&self.archive, &ids, path, Extra { overwrite: true, ..Extra::default() }, &mut |_, _| {}).unwrap();
    }

    /// Seals one that was recorded on a processor that no machine has.
    pub(super) fn seal_on_another_processor(&self, path: &Path, number: u64) {
        let id = self.by_number[&number].0;
        altered(
            path,
            &Alter {
                exchange: &|exchange| {
                    let is_of = exchange.id == id || exchange.role.parent().is_some_and(|parent| parent.id == id);
                    is_of.then_some(exchange)
                },
                fingerprint: &|mut fingerprint| {
                    fingerprint.host.cpu_model = "Imaginary 1".to_owned();
                    fingerprint
                },
                with_image: false,
            },
        );
    }
}

/// A folder with cases below `cases`, and what they are tested with.
pub(super) struct Suite {
    pub(super) folder: TempDir,
    pub(super) tickets: Tickets,
}

impl Suite {
    pub(super) fn new() -> Self {
        let suite = Self { folder: tempdir().unwrap(), tickets: Tickets::read() };
        suite.write("retake-test.toml", IGNORE);
        suite
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("cases").join(name)
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A case of some tickets; its file where there is something in it.
    pub(super) fn case(&self, name: &str, records: &[u64], file: &str) {
        self.tickets.seal(&self.path(&format!("{name}.retake")), records);
        if !file.is_empty() {
            self.write(&format!("{name}.toml"), file);
        }
    }

    /// A case whose bundle has one byte that is another.
    pub(super) fn damaged(&self, name: &str) {
        self.case(name, &[1], "");
        let path = self.path(&format!("{name}.retake"));
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 3;
        bytes[middle] ^= 1;
        fs::write(path, bytes).unwrap();
    }

    /// Tests the folder against the fixture service with these defects.
    pub(super) fn test(&self, defects: &str, more: &[&str]) -> Ran {
        let process = process(defects);
        let words = [&["test", "cases", "--process", &process][..], more].concat();
        retake(self.folder.path(), &words)
    }

    /// The same as a document.
    pub(super) fn document(&self, defects: &str, more: &[&str]) -> (i32, Value) {
        let ran = self.test(defects, &[&["--json"][..], more].concat());
        (ran.code, ran.json())
    }
}

/// The fixture service with planted defects.
pub(super) fn process(defects: &str) -> String {
    match defects {
        "" => triage(),
        defects => format!("/usr/bin/env TRIAGE_DEFECTS={defects} {}", triage()),
    }
}

/// `name: outcome, verdict` of each case.
pub(super) fn outcomes(document: &Value) -> Vec<String> {
    let cases = document["cases"].as_array().unwrap();
    let text = |case: &Value, key: &str| case[key].as_str().unwrap().to_owned();
    cases.iter().map(|it| format!("{}: {}, {}", text(it, "name"), text(it, "outcome"), text(it, "verdict"))).collect()
}

/// The case of this name.
pub(super) fn case<'a>(document: &'a Value, name: &str) -> &'a Value {
    let cases = document["cases"].as_array().unwrap();
    cases.iter().find(|case| case["name"] == name).unwrap_or_else(|| panic!("no `{name}` in {document}"))
}
