use exchange::Exchange;

use super::*;
use exchange::Doubt;

use crate::{ReadError, Store, disk::noted, sample, verify};

/// A store of two sessions in three segments: exchange 1 with calls 11 and (perhaps) 12, exchange 2 with call 12, and more.
fn store_in(folder: &Path) -> Archive {
    let store = Store::open_or_create(folder).unwrap();
    for (number, sequences) in [(1, [1_u64, 11]), (1, [12, 2]), (2, [3, 4])] {
        let mut writer = store.segment_writer(sample::id(number)).unwrap();
        writer.append(&Record::Session(sample::session(number, number * 5))).unwrap();
        let fingerprint = writer.put_fingerprint(&sample::fingerprint(&format!("cpu {number}"))).unwrap();
        for sequence in sequences {
            let (request, response) = sample::bodies_of(sequence);
            let (request, response) = (sample::body(&mut writer, &request), sample::body(&mut writer, &response));
            let exchange = sample::exchange(number, sequence, request, response);
            let exchange = Exchange { fingerprint: Some(fingerprint), ..exchange };
            let exchange = match sequence {
                11 => sample::dependency_call(exchange, &[sample::id(1001)]),
                12 => sample::dependency_call(exchange, &[sample::id(1002), sample::id(1001)]),
                _ => exchange,
            };
            writer.append(&Record::Exchange(Box::new(exchange))).unwrap();
        }
        writer.append(&Record::LogLines(sample::log_lines(number, &[1, 10, 20, 125, 126]))).unwrap();
        writer
            .append(&Record::Event(sample::event(sequences[0], &[sample::id(number * 1000 + sequences[0])])))
            .unwrap();
        if sequences[0] == 12 {
            writer.append(&Record::SessionEnd(sample::session_end(number))).unwrap();
            writer.seal().unwrap();
        } else {
            writer.flush().unwrap();
        }
    }
    Archive::open(folder).unwrap()
}

fn exported(archive: &Archive, ids: &[Id], out: &Path, extra: Extra<'_>) -> Result<Sealed, ExportError> {
    export(archive, ids, out, extra, &mut |_, _| {})
}

#[test]
fn an_id_that_a_key_leads_to_stays_and_takes_no_space_in_the_copy_either() {
    let folder = tempfile::tempdir().unwrap();
    let exported_len = |has_key: bool| {
        let folder = folder.path().join(has_key.to_string());
        let store = Store::open_or_create(&folder).unwrap();
        let mut writer = store.segment_writer(sample::id(1)).unwrap();
        if has_key {
            writer.derive_ids(sample::id(1), sample::KEY);
        }
        writer.append(&Record::Session(sample::session(1, 5))).unwrap();
        for sequence in 1..=100 {
            let exchange = sample::exchange(1, sequence, Body::default(), Body::default());
            let exchange = Exchange { id: sample::id(sequence), ..exchange };
            writer.append(&Record::Exchange(Box::new(exchange))).unwrap();
        }
        writer.sync().unwrap();
        let archive = Archive::open(&folder).unwrap();
        let ids: Vec<_> = (1..=100).map(sample::id).collect();
        let sealed = exported(&archive, &ids, &folder.join("out.retake"), Extra::default()).unwrap();
        let bundle = Archive::open_verified(&sealed.path).unwrap();
        assert!(bundle.entries().iter().map(|entry| entry.id).eq(ids));
        sealed.len
    };
    assert!(exported_len(true) + 2 * 100 * 16 < exported_len(false) + 200);
}

#[test]
fn a_selection_brings_what_it_depends_on_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let archive = store_in(folder.path());
    let out = folder.path().join("out.retake");
    exported(&archive, &[sample::id(1001)], &out, Extra::default()).unwrap();
    let bundle = Archive::open_verified(&out).unwrap();
    let ids: Vec<_> = bundle.entries().iter().map(|entry| entry.id).collect();
    assert_eq!(ids, [1001, 1011, 1012].map(sample::id));
    assert_eq!(bundle.sessions(), [sample::session(1, 5)]);
    assert_eq!(bundle.session_ends(), [sample::session_end(1)]);
    assert_eq!(bundle.fingerprints().unwrap().len(), 1);
    let times: Vec<_> = bundle.log_lines().flat_map(|lines| lines.unwrap().lines).map(|line| line.at_ns).collect();
    assert_eq!(times, [10, 125, 10, 125], "a line between two exchanges is not around either");
    let events: Vec<_> = bundle.events().map(|event| event.unwrap().at_ns).collect();
    assert_eq!(events, [1, 12]);
    let call = bundle.exchange(&sample::id(1011)).unwrap();
    assert_eq!(bundle.body(&call.response.unwrap().body, 100).unwrap(), sample::bodies_of(11).1);
}

#[test]
fn what_surrounded_a_selection_comes_along_as_far_as_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let archive = store_in(folder.path());
    let out = folder.path().join("out.retake");
    exported(&archive, &[sample::id(1001)], &out, Extra { around_ns: 5, ..Extra::default() }).unwrap();
    let bundle = Archive::open_verified(&out).unwrap();
    let times: Vec<_> = bundle.log_lines().flat_map(|lines| lines.unwrap().lines).map(|line| line.at_ns).collect();
    assert_eq!(times, [10, 20, 125, 126, 10, 20, 125, 126]);
}

#[test]
fn the_same_selection_gives_the_same_bytes_in_any_order_and_from_its_own_export() {
    let folder = tempfile::tempdir().unwrap();
    let archive = store_in(folder.path());
    let paths = ["a.retake", "b.retake", "c.retake"].map(|name| folder.path().join(name));
    let ids = [1001, 1002, 2003].map(sample::id);
    exported(&archive, &ids, &paths[0], Extra::default()).unwrap();
    exported(&archive, &[ids[2], ids[0], ids[1], ids[0]], &paths[1], Extra::default()).unwrap();
    exported(&Archive::open(&paths[0]).unwrap(), &ids, &paths[2], Extra::default()).unwrap();
    let bytes = paths.map(|path| std::fs::read(path).unwrap());
    assert!(bytes[0] == bytes[1] && bytes[1] == bytes[2]);
}

#[test]
fn an_image_is_carried_and_carried_on() {
    let folder = tempfile::tempdir().unwrap();
    let archive = store_in(folder.path());
    let (first, second) = (folder.path().join("a.retake"), folder.path().join("b.retake"));
    let tar = sample::noise(5, 3 * PIECE_BYTES_MAX / 2);
    let identity = ImageIdentity { config_digest: Some("sha256:1".to_owned()), ..ImageIdentity::default() };
    let mut reader = &tar[..];
    let images = vec![ImageSource { identity: identity.clone(), archive: &mut reader }];
    let ids = [sample::id(2003)];
    exported(&archive, &ids, &first, Extra { images, ..Extra::default() }).unwrap();
    exported(&Archive::open(&first).unwrap(), &ids, &second, Extra { keep_images: true, ..Extra::default() }).unwrap();
    let bundle = Archive::open_verified(&second).unwrap();
    let images = bundle.images().unwrap();
    assert_eq!((images.len(), &images[0].identity, images[0].archive.is_whole()), (1, &identity, true));
    assert!(bundle.body(&images[0].archive, u64::MAX).unwrap() == tar);
}

#[test]
fn a_file_that_is_there_stays_unless_told_and_a_failed_export_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let archive = store_in(&folder.path().join("store"));
    let out = folder.path().join("a.retake");
    std::fs::write(&out, "precious").unwrap();
    let ids = [sample::id(1001)];
    assert!(matches!(exported(&archive, &ids, &out, Extra::default()), Err(ExportError::Exists { .. })));
    let unknown = exported(&archive, &[sample::id(5)], &out, Extra { overwrite: true, ..Extra::default() });
    assert!(matches!(unknown, Err(ExportError::Read(ReadError::NoExchange { .. }))));
    let mut broken = io::Read::chain(&b"abc"[..], BrokenReader);
    let images = vec![ImageSource { identity: ImageIdentity::default(), archive: &mut broken }];
    let failed = exported(&archive, &ids, &out, Extra { images, overwrite: true, ..Extra::default() });
    assert!(matches!(failed, Err(ExportError::Image { .. })), "{failed:?}");
    assert_eq!(std::fs::read(&out).unwrap(), b"precious");
    exported(&archive, &ids, &out, Extra { overwrite: true, ..Extra::default() }).unwrap();
    assert!(Archive::open_verified(&out).is_ok());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}

struct BrokenReader;

impl Read for BrokenReader {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("the engine went away"))
    }
}

#[test]
fn an_uncertain_exchange_brings_all_environments_that_it_may_have_run_in_with_their_times() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_or_create(folder.path()).unwrap();
    let mut writer = store.segment_writer(sample::id(1)).unwrap();
    writer.append(&Record::Session(sample::session(1, 5))).unwrap();
    let mut put = |name: &str| writer.put_fingerprint(&sample::fingerprint(name)).unwrap();
    let [before, after, later] = ["before", "after", "later"].map(&mut put);
    for (number, (fingerprint, from_unix_ns)) in [(before, 10), (after, 20), (later, 30)].into_iter().enumerate() {
        let data = serde_json::to_value(Holding { fingerprint, from_unix_ns, until_unix_ns: None }).unwrap();
        let event = Event { kind: "environment".to_owned(), data, ..sample::event(number as u64, &[]) };
        writer.append(&Record::Event(Event { session: Some(sample::id(1)), ..event })).unwrap();
    }
    let exchange = Exchange { fingerprint: Some(before), ..sample::exchange(1, 1, Body::default(), Body::default()) };
    let doubt = Some(Doubt::Uncertain { environments: vec![before, after] });
    let context = exchange::Context { doubt, ..exchange.context.clone() };
    writer.append(&Record::Exchange(Box::new(Exchange { context, ..exchange }))).unwrap();
    writer.seal().unwrap();

    let out = folder.path().join("out.retake");
    let archive = Archive::open(folder.path()).unwrap();
    exported(&archive, &[sample::id(1001)], &out, Extra::default()).unwrap();
    let bundle = Archive::open_verified(&out).unwrap();
    let kept: BTreeSet<Digest> = bundle.fingerprints().unwrap().into_iter().map(|(digest, _)| digest).collect();
    assert_eq!(kept, BTreeSet::from([before, after]));
    let holdings: Vec<_> = bundle.holdings().unwrap().into_iter().map(|(_, it)| it.fingerprint).collect();
    assert_eq!(holdings, [before, after]);
}

#[test]
fn whatever_a_disk_has_when_an_export_is_cut_off_its_file_is_whole_or_not_there_or_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let archive = store_in(&folder.path().join("store"));
    let beside = folder.path().join("beside");
    std::fs::create_dir(&beside).unwrap();
    let out = beside.join("a.retake");
    let export = |ids: &[Id], overwrite| {
        let extra = Extra { overwrite, ..Extra::default() };
        super::export(&archive, ids, &out, extra, &mut |_, _| {}).unwrap()
    };
    let first = [sample::id(1001)];
    noted::on_every_disk(&beside, || drop(export(&first, false)), &mut |case, is_done| {
        assert!(out.exists() || !is_done, "{case}: it was done, and is gone");
        if out.exists() {
            assert!(verify(&out, &mut |_, _| {}).unwrap().damage.is_empty(), "{case}");
            std::fs::remove_file(&out).unwrap();
        }
        assert_eq!(export(&first, false).counts.exchanges, 3, "{case}");
    });
    let before = export(&first, true).digest;
    let after = std::cell::Cell::new(before);
    let again = || after.set(export(&[sample::id(2003)], true).digest);
    noted::on_every_disk(&beside, again, &mut |case, is_done| {
        let report = verify(&out, &mut |_, _| {}).unwrap();
        assert!(report.damage.is_empty(), "{case}: {report:?}");
        let digest = report.digest.unwrap();
        assert!(digest == after.get() || (digest == before && !is_done), "{case}");
    });
    assert_ne!(before, after.get());
}
