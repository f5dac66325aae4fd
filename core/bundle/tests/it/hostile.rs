//! Files that a stranger made: every hash holds, and nothing else can be relied on. Reading them may give errors; it may
//! not panic, hang, or take more memory than stated.
//!
//! The files are put together here from `docs/format.md`, not by the crate. Each test runs its reading in a process of
//! its own with a limited address space, so that one allocation too large ends it.

use std::{
    env, fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::Command,
};

use bundle::{Archive, Extra, Store, export, verify};

/// Address space of a reading process in KiB: what two indexes can take (384 MiB each: the one that is written and the one
/// that verifying makes), one's JSON (256 MiB), and room for the program itself.
const ADDRESS_SPACE_KIB: u64 = 1_200 << 10;

const INDEX_BYTES_MAX: usize = 256 << 20;
const RECORDS: u8 = 1;
const INDEX: u8 = 2;
const MANIFEST: u8 = 3;

/// Runs `test` again in a process with little memory; true in that process.
fn is_confined(test: &str) -> bool {
    const MARK: &str = "RETAKE_TEST_CONFINED";
    if env::var_os(MARK).is_some() {
        return true;
    }
    let confined = format!("ulimit -v {ADDRESS_SPACE_KIB} && exec \"$0\" \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &confined]).arg(env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture", "--include-ignored", "--test-threads=1"]).env(MARK, "1");
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    eprint!("{said}");
    false
}

/// A block, as its header should say it is.
#[derive(Clone)]
struct Block {
    kind: u8,
    raw: Vec<u8>,
    record_count: u32,
    first_piece: u32,
}

fn check(bytes: &[u8]) -> [u8; 16] {
    *blake3::hash(bytes).as_bytes().first_chunk().unwrap()
}

fn with_check(mut bytes: Vec<u8>) -> Vec<u8> {
    let check = check(&bytes);
    bytes.extend_from_slice(&check);
    bytes
}

fn opening() -> Vec<u8> {
    let mut bytes = [0x184D_2A50_u32.to_le_bytes(), 32_u32.to_le_bytes()].concat();
    bytes.extend_from_slice(b"RETAKE\0\0\x01\0\0\0\0\0\0\0");
    with_check(bytes)
}

fn block_bytes(block: &Block, offset: usize) -> Vec<u8> {
    let frame = zstd::bulk::compress(&block.raw, 1).unwrap();
    let mut bytes = [0x184D_2A51_u32.to_le_bytes(), 80_u32.to_le_bytes(), *b"RTKB"].concat();
    bytes.extend_from_slice(&[block.kind, 0, 0, 0]);
    for number in [frame.len(), block.raw.len(), block.record_count as usize, block.first_piece as usize] {
        bytes.extend_from_slice(&u32::try_from(number).unwrap().to_le_bytes());
    }
    bytes.extend_from_slice(&(offset as u64).to_le_bytes());
    bytes.extend_from_slice(blake3::hash(&frame).as_bytes());
    let mut bytes = with_check(bytes);
    bytes.extend_from_slice(&frame);
    bytes
}

fn varint(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// A sealed file of these blocks, the index among them as the last, all of whose hashes hold.
fn sealed(blocks: &[Block], counts: &str) -> Vec<u8> {
    let mut file = opening();
    let mut spans = vec![format!("[0,40,\"{}\"]", blake3::hash(&file))];
    for block in blocks {
        let bytes = block_bytes(block, file.len());
        spans.push(format!("[{},{},\"{}\"]", file.len(), bytes.len(), blake3::hash(&bytes)));
        file.extend_from_slice(&bytes);
    }
    let manifest =
        format!("{{\"format\":[1,0],\"tool_version\":\"x\",\"counts\":{counts},\"spans\":[{}]}}", spans.join(","));
    let raw = manifest.into_bytes();
    let digest = blake3::hash(&raw);
    let bytes = block_bytes(&Block { kind: MANIFEST, raw, record_count: 0, first_piece: 0 }, file.len());
    let (offset, len) = (file.len() as u64, bytes.len() as u64);
    file.extend_from_slice(&bytes);
    file.extend_from_slice(&[0x184D_2A5F_u32.to_le_bytes(), 56_u32.to_le_bytes()].concat());
    file.extend_from_slice(b"RETAKEND");
    file.extend_from_slice(&[offset.to_le_bytes(), len.to_le_bytes()].concat());
    file.extend_from_slice(digest.as_bytes());
    file
}

/// The blocks of a sealed file up to its index, and the manifest's counts.
fn blocks_of(path: &Path) -> (Vec<Block>, String) {
    let file = fs::read(path).unwrap();
    let number = |at: usize| u32::from_le_bytes(*file[at..].first_chunk().unwrap());
    let mut at = 40;
    let mut blocks: Vec<Block> = Vec::new();
    while file[at..].starts_with(&0x184D_2A51_u32.to_le_bytes()) {
        let end = at + 88 + number(at + 16) as usize;
        let raw = crate::unpacked(&file[at + 88..end]);
        blocks.push(Block { kind: file[at + 12], raw, record_count: number(at + 24), first_piece: number(at + 28) });
        at = end;
    }
    let manifest: serde_json::Value = serde_json::from_slice(&blocks.pop().unwrap().raw).unwrap();
    (blocks, manifest["counts"].to_string())
}

/// Does with a file all that reading can do. What it gives is not looked at.
fn read_all_of(path: &Path, folder: &Path) -> usize {
    let mut read = usize::from(verify(path, &mut |_, _| {}).is_ok_and(|report| report.damage.is_empty()));
    let Ok(archive) = Archive::open(path) else { return read };
    let ids: Vec<_> = archive.entries().iter().map(|entry| entry.id).collect();
    for id in &ids {
        let Ok(exchange) = archive.exchange(id) else { continue };
        for body in [Some(&exchange.request.body), exchange.response.as_ref().map(|it| &it.body)].into_iter().flatten()
        {
            read += usize::from(archive.body(body, 1 << 20).is_ok());
            archive.copy_body(body, &mut io::sink()).ok();
        }
        archive.clocks(&exchange.session);
        archive.resolve(&id.to_string()[..8]).ok();
    }
    read += archive.runs().map_or(0, |runs| runs.len()) + archive.images().map_or(0, |images| images.len());
    read += archive.fingerprints().map_or(0, |fingerprints| fingerprints.len());
    read += archive.events().filter(Result::is_ok).count() + archive.log_lines().filter(Result::is_ok).count();
    let out = folder.join("out.retake");
    fs::remove_file(&out).ok();
    let extra = Extra { keep_images: true, ..Extra::default() };
    read += usize::from(export(&archive, &ids, &out, extra, &mut |_, _| {}).is_ok());
    read
}

/// Numbers from a seed, the same on every machine.
struct Chance(blake3::OutputReader);

impl Chance {
    fn of(case: u64) -> Self {
        Self(blake3::Hasher::new().update(&case.to_le_bytes()).finalize_xof())
    }

    fn below(&mut self, end: usize) -> usize {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        (u64::from_le_bytes(bytes) % end.max(1) as u64) as usize
    }
}

/// Changes one thing in a file's blocks that a stranger might.
fn mutate(blocks: &mut Vec<Block>, chance: &mut Chance) {
    const NUMBERS: [&[u8]; 8] =
        [b"0", b"-1", b"4294967295", b"18446744073709551615", b"1e999", b"null", b"[]", b"{\"a\":[]}"];
    let which = chance.below(blocks.len());
    let other = chance.below(blocks.len());
    let block = &mut blocks[which];
    let len = block.raw.len();
    let at = chance.below(len);
    match chance.below(11) {
        0 | 1 if len > 0 => block.raw[at] = chance.below(256) as u8,
        2 if len > 0 => block.raw[at] ^= 1 << chance.below(8),
        3 => block.raw.truncate(at),
        4 => {
            let piece = block.raw[at..len.min(at + chance.below(200))].to_vec();
            let to = chance.below(len);
            block.raw.splice(to..to, piece);
        }
        5 | 6 => {
            // Some number of the JSON, or what comes next, becomes another value.
            let digits = |byte: &u8| byte.is_ascii_digit();
            let Some(start) = block.raw[at..].iter().position(digits).map(|found| at + found) else { return };
            let end = block.raw[start..].iter().position(|byte| !digits(byte)).map_or(len, |found| start + found);
            block.raw.splice(start..end, NUMBERS[chance.below(NUMBERS.len())].iter().copied());
        }
        7 => block.record_count = chance.below(1 << 32) as u32,
        10 => block.first_piece = block.first_piece.wrapping_add(chance.below(1 << 32) as u32),
        8 if which + 1 < blocks.len() => blocks.swap(which, other),
        9 => {
            let copy = blocks[which].clone();
            blocks.insert(other, copy);
        }
        _ => {}
    }
}

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/bundles/v1/every-kind.retake")
}

#[test]
fn what_is_put_together_from_the_description_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.retake");
    let (blocks, counts) = blocks_of(&fixture());
    fs::write(&path, sealed(&blocks, &counts)).unwrap();
    let report = verify(&path, &mut |_, _| {}).unwrap();
    // Another compression level gives other offsets, which the index does not know.
    assert!(report.damage.len() <= 1 && report.exchanges == 3, "{report:?}");
}

#[test]
fn slow_big_strangers_files_are_survived() {
    const CASES: u64 = 5_000;
    if !is_confined("hostile::slow_big_strangers_files_are_survived") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.retake");
    let store = Store::open_or_create(&folder.path().join("store")).unwrap();
    let segment = store.path().join("segments").join(format!("{}-000.retake", "0".repeat(32)));
    let (blocks, counts) = blocks_of(&fixture());
    let mut read = 0;
    for case in 0..CASES {
        let mut chance = Chance::of(case);
        let mut blocks = blocks.clone();
        for _ in 0..=chance.below(3) {
            mutate(&mut blocks, &mut chance);
        }
        let mut file = sealed(&blocks, &counts);
        if chance.below(4) == 0 {
            let at = chance.below(file.len());
            file[at] ^= 1 << chance.below(8);
        }
        fs::write(&path, &file).unwrap();
        read += read_all_of(&path, folder.path());
        file.truncate(chance.below(file.len()));
        fs::write(&segment, &file).unwrap();
        store.recover().ok();
        read += read_all_of(store.path(), folder.path());
    }
    eprintln!("{CASES} files, {read} things read");
    assert!(read > 0);
}

/// An index of one kind of value, as much of it as its limits allow in bytes: in memory it takes many times as much.
#[test]
fn slow_big_an_index_that_unfolds_in_memory_is_refused() {
    if !is_confined("hostile::slow_big_an_index_that_unfolds_in_memory_is_refused") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.retake");
    let id = "0".repeat(32);
    let session = format!(
        "{{\"sessions\":[{{\"id\":\"{id}\",\"tool_version\":\"\",\"started\":{{\"monotonic_ns\":0,\"wall_unix_ns\":0}},\
         \"listeners\":[],\"command\":["
    );
    let bombs = [
        (session.clone(), "\"\",", "\"\"]}]}"),
        (
            session.replace("\"listeners\":[],\"command\":[", "\"listeners\":["),
            "{\"listen\":\"\",\"upstream\":\"\"},",
            "{}]}]}",
        ),
        ("{\"images\":[".to_owned(), "[0,0,0],", "[0,0,0]]}"),
        ("{\"others\":[".to_owned(), "[1,[0,0,0]],", "[1,[0,0,0]]]}"),
        ("{\"unknown\":[".to_owned(), "[],", "[]]}"),
        ("{\"unknown\":".to_owned(), "[", "]"),
        ("{\"unknown\":\"".to_owned(), "x", "\"}"),
    ];
    for (begin, item, end) in bombs {
        let count = (INDEX_BYTES_MAX - begin.len() - end.len() - 16) / item.len();
        let json = [begin.as_bytes(), item.repeat(count).as_bytes(), end.as_bytes()].concat();
        let raw = [varint(json.len()), json, varint(0)].concat();
        let counts = "{\"exchanges\":0,\"pieces\":0,\"records\":0,\"piece_bytes\":0}";
        let file = sealed(&[Block { kind: INDEX, raw, record_count: 0, first_piece: 0 }], counts);
        fs::write(&path, &file).unwrap();
        let opened = Archive::open(&path).map(|_| ()).map_err(|error| error.to_string());
        eprintln!("{item:>12} as {} bytes of file: {opened:?}", file.len());
        assert!(opened.is_err() || item == "x", "{item}");
    }
}

/// Exchanges by columns take a few bytes each in an index and hundreds in memory.
#[test]
fn slow_big_an_index_of_countless_exchanges_is_refused() {
    if !is_confined("hostile::slow_big_an_index_of_countless_exchanges_is_refused") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.retake");
    let count = 12_000_000;
    let columns: [(u8, Vec<u8>); 15] = [
        (1, [vec![1], vec![2; count - 1]].concat()),
        (2, [vec![7; 16], vec![1], vec![7; 32]].concat()),
        (3, vec![0; count]),
        (4, vec![0; count]),
        (5, vec![0; count]),
        (11, vec![0; count]),
        (14, vec![0; count]),
        (15, vec![0; count]),
        (16, vec![0; count]),
        (23, vec![0; count]),
        (44, vec![0; count]),
        (46, vec![0; count]),
        (48, vec![0; count]),
        (49, vec![0; count]),
        (50, vec![0; count]),
    ];
    let mut raw = [varint(2), b"{}".to_vec(), varint(count)].concat();
    for (number, column) in columns {
        raw.extend_from_slice(&[vec![number], varint(column.len()), column].concat());
    }
    let counts = "{\"exchanges\":0,\"pieces\":0,\"records\":0,\"piece_bytes\":0}";
    let file = sealed(&[Block { kind: INDEX, raw, record_count: 0, first_piece: 0 }], counts);
    fs::write(&path, &file).unwrap();
    let opened = Archive::open(&path).map(|_| ()).unwrap_err().to_string();
    eprintln!("{} bytes of file: {opened}", file.len());
    assert!(opened.contains("more values than an index may have"), "{opened}");
}

/// The same in records, which are gone through where there is no index that could be trusted.
#[test]
fn slow_big_records_that_unfold_in_memory_are_refused() {
    if !is_confined("hostile::slow_big_records_that_unfold_in_memory_are_refused") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_or_create(&folder.path().join("store")).unwrap();
    let path = store.path().join("segments").join(format!("{}-000.retake", "0".repeat(32)));
    let mut file = io::BufWriter::new(fs::File::create(&path).unwrap());
    file.write_all(&opening()).unwrap();
    let mut offset = 40;
    for number in 0..128 {
        let begin = format!(
            "{{\"id\":\"{number:032x}\",\"tool_version\":\"\",\"started\":{{\"monotonic_ns\":0,\"wall_unix_ns\":0}},\
             \"listeners\":[],\"command\":["
        );
        let payload = format!("{begin}{}\"\"]}}", "\"\",".repeat((4 << 20) / 3 - 100));
        let header = [&[2, 0][..], &u32::try_from(payload.len()).unwrap().to_le_bytes()].concat();
        let raw = [&header[..], payload.as_bytes()].concat();
        let bytes = block_bytes(&Block { kind: RECORDS, raw, record_count: 1, first_piece: 0 }, offset);
        offset += bytes.len();
        file.write_all(&bytes).unwrap();
    }
    file.flush().unwrap();
    let archive = Archive::open(store.path()).unwrap();
    eprintln!("{offset} bytes of file: {} sessions, {} damaged", archive.sessions().len(), archive.damage().len());
    assert!(!archive.damage().is_empty());
    drop(archive);
    assert!(!verify(store.path(), &mut |_, _| {}).unwrap().damage.is_empty());
}

/// Memory that a bomb may take of a reader.
const BOMB_BYTES_MAX: u64 = 64 << 20;
/// Names the store that a process is to read.
const BOMB: &str = "RETAKE_TEST_BOMB";

/// Files of a few kilobytes, or one that has a million pieces, that would take gigabytes or minutes if they were believed. A
/// process of its own reads each: the most memory that it ever had is what counts, less that of one that reads nothing. The
/// time, of which the goal is 100 ms, is told and not asserted, for other tests run beside this one: `BENCHMARKS.md` has it.
#[test]
fn bombs_are_refused_at_once_and_in_little_memory() {
    if let Some(store) = env::var_os(BOMB) {
        return read_bomb(Path::new(&store));
    }
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_or_create(&folder.path().join("store")).unwrap();
    let segment = store.path().join("segments").join(format!("{}-000.retake", "0".repeat(32)));
    fs::write(&segment, file_of(&[])).unwrap();
    let [bytes_of_none, cpu_ms_of_none, is_refused] = read_apart(store.path());
    assert_eq!(is_refused, 0, "what is no bomb is read");
    for (name, file) in bombs() {
        fs::write(&segment, &file).unwrap();
        let [bytes, cpu_ms, is_refused] = read_apart(store.path());
        let (bytes, cpu_ms) = (bytes.saturating_sub(bytes_of_none), cpu_ms.saturating_sub(cpu_ms_of_none));
        eprintln!("{name}: {} bytes of file, {} KiB, {cpu_ms} ms", file.len(), bytes >> 10);
        assert!(is_refused == 1, "{name} is read");
        assert!(bytes <= BOMB_BYTES_MAX, "{name}: {bytes} bytes");
    }
}

/// Verifies and lists a store, and tells what that took.
fn read_bomb(store: &Path) {
    let report = verify(store, &mut |_, _| {}).unwrap();
    let archive = Archive::open(store).unwrap();
    let is_named = !report.damage.is_empty() || !report.torn.is_empty();
    let is_refused = is_named && archive.entries().is_empty();
    eprintln!("took {} {} {}", peak_bytes(), cpu_ms(), u8::from(is_refused));
}

/// What `read_bomb` tells in a process of its own: most bytes of memory, milliseconds of processor time, 1 where it is refused.
fn read_apart(store: &Path) -> [u64; 3] {
    const ID: &str = "hostile::bombs_are_refused_at_once_and_in_little_memory";
    let mut command = Command::new(env::current_exe().unwrap());
    let output = command.args([ID, "--exact", "--nocapture", "--test-threads=1"]).env(BOMB, store).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let took = said.lines().find_map(|line| line.split_once("took ")).unwrap_or_else(|| panic!("{said}")).1;
    let numbers: Vec<u64> = took.split(' ').map(|number| number.parse().unwrap()).collect();
    numbers.try_into().unwrap()
}

fn bombs() -> Vec<(&'static str, Vec<u8>)> {
    let record = |kind: u8, flags: u8, payload: &[u8]| {
        [&[kind, flags][..], &u32::try_from(payload.len()).unwrap().to_le_bytes(), payload].concat()
    };
    let data = |len| record(1, 0, &vec![b'x'; len]);
    // A step that gives the piece before its own, first or after another such step: 1, no separator, distance -1.
    let before = 1 << 3 | 1;
    let twice = record(1, 1, &[before, before]);
    let of = |records: &[Vec<u8>]| {
        let raw = records.concat();
        file_of(&[Block { kind: RECORDS, raw, record_count: records.len() as u32, first_piece: 0 }])
    };
    let doubled: Vec<_> = std::iter::once(data(1 << 20)).chain((0..40).map(|_| twice.clone())).collect();
    let chained: Vec<_> = std::iter::once(data(1)).chain((0..1_000_000).map(|_| record(1, 1, &[before]))).collect();
    // One prefix of a byte for each of countless texts of no bytes.
    let events = [varint(5 + 2), varint(1 << 33), varint(1), varint(0), vec![2, b'x']].concat();
    let huge = [&[1, 0][..], &u32::MAX.to_le_bytes(), b"x"].concat();
    vec![
        ("pieces that double", of(&doubled)),
        ("a chain of a million pieces", of(&chained)),
        ("texts without number", of(&[record(1, 2, &events)])),
        ("a record of 4 GiB", of(&[huge])),
        ("a frame with a window of 2 GiB", with_frame(&[&frame_head(0xa8)[..], &[9, 0, 0, b'x']].concat(), 1)),
        ("a frame that holds a gigabyte and says a byte", with_frame(&zeros(8192), 1)),
        ("a frame that holds a gigabyte and says 8 MiB", with_frame(&zeros(8192), 8 << 20)),
        ("rows without number", rows(u32::MAX, &[1, 1, 1])),
        ("a column of 2^63 bytes", rows(1, &[1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0])),
    ]
}

fn rows(count: u32, raw: &[u8]) -> Vec<u8> {
    file_of(&[Block { kind: 4, raw: raw.to_vec(), record_count: count, first_piece: 0 }])
}

/// A file of these blocks that is not sealed.
fn file_of(blocks: &[Block]) -> Vec<u8> {
    let mut file = opening();
    for block in blocks {
        let bytes = block_bytes(block, file.len());
        file.extend_from_slice(&bytes);
    }
    file.extend_from_slice(&block_bytes(&session_block(), file.len()));
    file
}

/// So that a file's last block is none of those that are wrong.
fn session_block() -> Block {
    let id = "0".repeat(32);
    let payload = format!(
        "{{\"id\":\"{id}\",\"tool_version\":\"\",\"started\":{{\"monotonic_ns\":0,\"wall_unix_ns\":0}},\"listeners\":[]}}"
    );
    let raw = [&[2, 0][..], &u32::try_from(payload.len()).unwrap().to_le_bytes(), payload.as_bytes()].concat();
    Block { kind: RECORDS, raw, record_count: 1, first_piece: 0 }
}

/// A file with one block of this frame, which its header says to hold so many bytes.
fn with_frame(frame: &[u8], raw_len: u32) -> Vec<u8> {
    let mut bytes = [0x184D_2A51_u32.to_le_bytes(), 80_u32.to_le_bytes(), *b"RTKB"].concat();
    bytes.extend_from_slice(&[RECORDS, 0, 0, 0]);
    for number in [u32::try_from(frame.len()).unwrap(), raw_len, 1, 0] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes.extend_from_slice(&40_u64.to_le_bytes());
    bytes.extend_from_slice(blake3::hash(frame).as_bytes());
    let mut file = opening();
    file.extend_from_slice(&with_check(bytes));
    file.extend_from_slice(frame);
    let after = block_bytes(&session_block(), file.len());
    file.extend_from_slice(&after);
    file
}

/// The head of a zstd frame (RFC 8878, section 3.1.1.1) without a content size, and with this window.
fn frame_head(window: u8) -> Vec<u8> {
    [&0xFD2F_B528_u32.to_le_bytes()[..], &[0, window]].concat()
}

/// A frame of blocks of 128 KiB of zeros, in four bytes each.
fn zeros(blocks: usize) -> Vec<u8> {
    let block = |is_last: u32| ((128 << 10) << 3 | 1 << 1 | is_last).to_le_bytes();
    let mut frame = frame_head(7 << 3);
    for number in 0..blocks {
        frame.extend_from_slice(&block(u32::from(number + 1 == blocks))[..3]);
        frame.push(0);
    }
    frame
}

/// The most memory that this process has had, in bytes.
fn peak_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

/// Processor time of this process, in milliseconds: `/proc/self/stat` counts hundredths of a second.
fn cpu_ms() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()) * 10
}
