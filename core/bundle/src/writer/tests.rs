use std::sync::{Arc, Mutex};

use exchange::{Body, Chunk, End, Exchange, Head, Request, Times};

use super::*;
use crate::{Archive, BLOCK_BYTES_MAX, PIECE_BYTES_MAX, layout::HEADER_LEN, sample, verify};

impl Writer {
    /// Puts a record that is not in the index and need not be one.
    pub(crate) fn put_wrong(&mut self, record: &RawRecord<'_>) {
        self.put_record(record).unwrap();
    }

    /// Lets the pieces that come have numbers that are this much lower.
    pub(crate) fn lie_about_pieces(&mut self, lower: u32) {
        self.flush().unwrap();
        self.written_pieces -= lower;
        self.next_piece -= lower;
    }

    /// Lets the index say something else than there is.
    pub(crate) fn lie_in_the_index(&mut self, lie: impl FnOnce(&mut Index)) {
        lie(&mut self.index);
    }
}

/// A disk in memory with so much space, that can fail to sync.
#[derive(Clone, Default)]
struct Disk(Arc<Mutex<DiskState>>);

#[derive(Default)]
struct DiskState {
    bytes: Vec<u8>,
    space: usize,
    sync_fails: bool,
}

impl Storage for Disk {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        let offset = usize::try_from(offset).unwrap();
        let taken = bytes.len().min(disk.space.saturating_sub(offset));
        disk.bytes.resize(offset, 0);
        disk.bytes.extend_from_slice(&bytes[..taken]);
        if taken < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.0.lock().unwrap().bytes.truncate(usize::try_from(len).unwrap());
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.0.lock().unwrap().sync_fails { Err(io::Error::other("no")) } else { Ok(()) }
    }
}

fn writer_on(space: usize) -> (tempfile::TempDir, Disk, Writer) {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    disk.0.lock().unwrap().space = space;
    let writer = Writer::on(&folder.path().join("a.retake"), Box::new(disk.clone()), WriterOptions::default()).unwrap();
    (folder, disk, writer)
}

#[test]
fn a_full_disk_costs_nothing_that_was_put_and_leaves_a_whole_file_behind() {
    let (folder, disk, mut writer) = writer_on(1000);
    writer.append(&Record::Session(sample::session(1, 5))).unwrap();
    writer.sync().unwrap();
    let whole_len = writer.len();
    let (request, response) = (sample::body(&mut writer, &sample::noise(1, 900)), Default::default());
    writer.append(&Record::Exchange(Box::new(sample::exchange(1, 1, request, response)))).unwrap();
    for _ in 0..3 {
        let error = writer.sync().unwrap_err();
        assert!(matches!(error, WriteError::Write { offset, .. } if offset == whole_len), "{error}");
        assert_eq!(disk.0.lock().unwrap().bytes.len() as u64, whole_len);
    }
    disk.0.lock().unwrap().space = usize::MAX;
    writer.sync().unwrap();
    let sealed = writer.seal().unwrap();
    std::fs::write(&sealed.path, &disk.0.lock().unwrap().bytes).unwrap();
    let archive = Archive::open_verified(&folder.path().join("a.retake")).unwrap();
    let exchange = archive.exchange(&sample::id(1001)).unwrap();
    assert_eq!(archive.body(&exchange.request.body, 1000).unwrap(), sample::noise(1, 900));
}

#[test]
fn a_disk_that_fills_while_a_file_is_sealed_leaves_its_records_whole() {
    let (_folder, disk, mut writer) = writer_on(usize::MAX);
    sample::put_recording(&mut writer);
    let whole_len = writer.len();
    disk.0.lock().unwrap().space = usize::try_from(whole_len).unwrap() + 700;
    assert!(matches!(writer.seal(), Err(WriteError::Write { .. })));
    assert_eq!(disk.0.lock().unwrap().bytes.len() as u64, whole_len);
}

#[test]
fn after_a_failed_sync_nothing_more_is_taken_for_safe() {
    let (_folder, disk, mut writer) = writer_on(usize::MAX);
    sample::put_recording(&mut writer);
    disk.0.lock().unwrap().sync_fails = true;
    assert!(matches!(writer.sync(), Err(WriteError::Sync { .. })));
    disk.0.lock().unwrap().sync_fails = false;
    writer.append(&Record::Session(sample::session(2, 5))).unwrap();
    assert!(matches!(writer.sync(), Err(WriteError::Sync { .. })));
    assert!(matches!(writer.seal(), Err(WriteError::Sync { .. })));
}

#[test]
fn equal_pieces_and_fingerprints_are_kept_once() {
    let (_folder, _disk, mut writer) = writer_on(usize::MAX);
    let first = writer.put_piece(b"the same").unwrap();
    assert_eq!(writer.put_piece(b"the same").unwrap(), first);
    let digest = writer.put_fingerprint(&sample::fingerprint("cpu")).unwrap();
    assert_eq!(writer.put_fingerprint(&sample::fingerprint("cpu")).unwrap(), digest);
    writer.append(&Record::Fingerprint(Box::new(sample::fingerprint("cpu")))).unwrap();
    assert_eq!((writer.counts().pieces, writer.counts().records), (1, 2));
}

#[test]
fn a_long_body_is_cut_into_parts_and_limits_are_held() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.retake");
    let mut writer = Writer::create(&path).unwrap();
    let long = sample::noise(1, 2 * PART_BYTES_MAX + 1);
    let body = sample::body(&mut writer, &long);
    assert_eq!(body.parts.iter().map(|part| part.len).collect::<Vec<_>>(), [8 << 20, 8 << 20, 1]);
    assert!(matches!(writer.put_piece(&long[..PIECE_BYTES_MAX + 1]), Err(WriteError::TooLong { kind: "piece", .. })));
    let bytes = vec![0; crate::RECORD_BYTES_MAX];
    writer.append(&Record::Unknown { kind: 99, flags: 0, bytes: bytes.clone() }).unwrap();
    let too_long = Record::Unknown { kind: 99, flags: 0, bytes: [&bytes[..], &[0]].concat() };
    assert!(matches!(writer.append(&too_long), Err(WriteError::TooLong { .. })));
    writer.append(&Record::Exchange(Box::new(sample::exchange(1, 1, body.clone(), Default::default())))).unwrap();
    writer.seal().unwrap();
    assert!(Archive::open_verified(&path).unwrap().body(&body, u64::MAX).unwrap() == long);
}

#[test]
fn the_largest_record_after_the_fullest_block_fits_a_block() {
    let header_len = crate::layout::RECORD_HEADER_LEN;
    assert!(BLOCK_BYTES_CLOSE - 1 + header_len + crate::RECORD_BYTES_MAX <= BLOCK_BYTES_MAX);
}

#[test]
fn a_file_whose_index_is_full_says_so_and_can_still_be_sealed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.retake");
    let mut writer =
        Writer::create_with(&path, WriterOptions { index_bytes_max: 500, ..WriterOptions::default() }).unwrap();
    let full = (0..100_u64).find_map(|number| writer.append(&Record::Event(sample::event(number, &[]))).err());
    assert!(matches!(full, Some(WriteError::Full { index_bytes_max: 500, .. })));
    writer.seal().unwrap();
    assert!(verify(&path, &mut |_, _| {}).unwrap().damage.is_empty());
}

#[test]
fn a_file_that_exists_is_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let sealed = sample::bundle_at(&folder.path().join("a.retake"));
    assert!(matches!(Writer::create(&sealed.path), Err(WriteError::Create { .. })));
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(&sealed.path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn the_weight_of_the_index_is_never_less_than_its_length() {
    let (_folder, disk, mut writer) = writer_on(usize::MAX);
    sample::put_recording(&mut writer);
    let (records_end, weight) = (writer.len(), writer.index_bytes());
    writer.seal().unwrap();
    let bytes = disk.0.lock().unwrap().bytes.clone();
    let at = usize::try_from(records_end).unwrap();
    let header = crate::layout::BlockHeader::read(&bytes[at..], records_end).unwrap();
    let names_len = crate::index::weight_of(&Index::default());
    assert!(u64::from(header.raw_len) <= weight + names_len, "{} > {weight} + {names_len}", header.raw_len);
    assert!(header.end() > records_end + HEADER_LEN);
}

#[test]
fn the_ordinary_zstd_tool_opens_a_sealed_file() {
    let folder = tempfile::tempdir().unwrap();
    let sealed = sample::bundle_at(&folder.path().join("a.retake"));
    match std::process::Command::new("zstd").arg("-dc").arg(&sealed.path).output() {
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(text.contains("POST /tickets/3") && text.contains("\"spans\""));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => println!("skipped: there is no `zstd` on PATH"),
        Err(error) => panic!("{error}"),
    }
}
#[test]
fn the_example_in_the_format_description_is_what_is_written() {
    let (_folder, disk, mut writer) = writer_on(usize::MAX);
    writer.put_piece(b"hello").unwrap();
    writer.flush().unwrap();
    let mut lines = hex_lines(0, &disk.0.lock().unwrap().bytes);
    let footer = Footer { manifest_offset: 1000, manifest_len: 500, digest: Digest::of(b"{}") };
    lines.extend(hex_lines(1500, &footer.to_bytes()));
    let mut rows = RowsMaker::default();
    rows.put(&example(), None, &Keys::from([(Id([1; 16]), [7; 32])])).unwrap();
    lines.extend(hex_lines(0, &rows.raw().0));
    let described = include_str!("../../../../docs/format.md");
    for line in &lines {
        assert!(described.contains(line.as_str()), "not in docs/format.md: {line}\nof:\n{}", lines.join("\n"));
    }
}

/// The exchange of the example.
fn example() -> Exchange {
    let chunks = vec![Chunk { offset: 0, at_ns: 30_000 }];
    let request = Body { parts: vec![(0, 5).into()], len: 5, chunks, ..Body::default() };
    let exchange = sample::exchange(1, 3, request, Body::default());
    let times =
        Times { started_ns: 21_000, request_ended_ns: Some(32_000), response_started_ns: None, ended_ns: 90_000 };
    let head = Head::new(*b"PUT / HTTP/1.0\r\n\r\n");
    let request = Request { head, ..exchange.request };
    Exchange {
        id: sample::id(3),
        session: Id([1; 16]),
        request,
        response: None,
        times,
        end: End::ClientGone,
        ..exchange
    }
}

/// As `hexdump` shows bytes that stand at `offset`.
fn hex_lines(offset: usize, bytes: &[u8]) -> Vec<String> {
    let line = |(number, line): (usize, &[u8])| {
        let hex: Vec<_> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{:04x}  {}", offset + number * 16, hex.join(" "))
    };
    bytes.chunks(16).enumerate().map(line).collect()
}
