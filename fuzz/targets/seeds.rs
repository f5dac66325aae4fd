//! Writes what each target begins with, made of the golden bundles and damaged ones: `seeds GOLDEN_FOLDER CORPUS_FOLDER`.

use std::{env, error::Error, fs, path::Path};

use bundle::{Archive, fuzzing};
use fuzzed::{input_of, input_of_parts};

/// Longest seed, in bytes: of a longer one the beginning.
const SEED_BYTES_MAX: usize = 256 << 10;
/// Exchanges of a bundle that become seeds.
const EXCHANGES_MAX: usize = 24;
const BLOCK_OF_INDEX: u8 = 2;
const BLOCK_OF_MANIFEST: u8 = 3;
const BLOCK_OF_EXCHANGES: u8 = 4;

const HAR: &[u8] = br#"{"log":{"version":"1.2","creator":{"name":"x","version":"1"},"entries":[{"startedDateTime":"2026-11-24T10:00:00.000Z","time":12.5,"request":{"method":"POST","url":"https://api.example/v1/chat?a=b","httpVersion":"HTTP/1.1","headers":[{"name":"Content-Type","value":"application/json"}],"queryString":[],"cookies":[],"headersSize":-1,"bodySize":9,"postData":{"mimeType":"application/json","text":"{\"a\":[1]}"}},"response":{"status":200,"statusText":"OK","httpVersion":"HTTP/1.1","headers":[{"name":"Content-Encoding","value":"gzip"}],"cookies":[],"content":{"size":3,"mimeType":"text/plain","text":"YWJj","encoding":"base64"},"redirectURL":"","headersSize":-1,"bodySize":3},"cache":{},"timings":{"send":0,"wait":12,"receive":0.5}}]}}"#;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().collect();
    let [_, golden, corpus] = &arguments[..] else { return Err("seeds GOLDEN_FOLDER CORPUS_FOLDER".into()) };
    let corpus = Path::new(corpus);
    let put = |target: &str, name: &str, bytes: &[u8]| -> std::io::Result<()> {
        let folder = corpus.join(target);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(name), &bytes[..bytes.len().min(SEED_BYTES_MAX)])
    };
    put("har", "one", HAR)?;
    for entry in fs::read_dir(golden)? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let file = fs::read(&path)?;
        if file.len() <= SEED_BYTES_MAX {
            put("bundle", &name, &file)?;
            for part in 1..4 {
                let at = file.len() * part / 4;
                put("bundle", &format!("{name}-cut-{part}"), &file[..at])?;
                let mut flipped = file.clone();
                flipped[at] ^= 1;
                put("bundle", &format!("{name}-flipped-{part}"), &flipped)?;
            }
        }
        let mut blocks = fuzzing::blocks_of(&file);
        blocks.retain(|block| block.kind != BLOCK_OF_MANIFEST);
        put("blocks", &name, &input_of(&blocks))?;
        put("blocks", &format!("{name}-unsealed"), &input_of(&blocks[..blocks.len().saturating_sub(1)]))?;
        for (number, block) in blocks.iter().enumerate() {
            match block.kind {
                BLOCK_OF_INDEX => put("index", &name, &block.raw)?,
                BLOCK_OF_EXCHANGES => {
                    let input = [&block.count.to_le_bytes()[..2], &block.raw].concat();
                    put("rows", &format!("{name}-{number}"), &input)?;
                }
                _ => {}
            }
        }
        let archive = Archive::open(&path)?;
        let mut bodies: Vec<Vec<u8>> = Vec::new();
        for (number, entry) in archive.entries().iter().take(EXCHANGES_MAX).enumerate() {
            let exchange = archive.exchange(&entry.id)?;
            let Some(response) = &exchange.response else { continue };
            let asked = archive.body(&exchange.request.body, u64::MAX)?;
            let answered = archive.body(&response.body, u64::MAX)?;
            let name = format!("{name}-{number}");
            let http = [&[7], &exchange.request.head.bytes[..], &asked, &response.head.bytes, &answered].concat();
            put("http", &name, &http)?;
            put("content", &format!("{name}-asked"), &input_of_parts(&[&exchange.request.head.bytes, &asked]))?;
            put("content", &format!("{name}-answered"), &input_of_parts(&[&response.head.bytes, &answered]))?;
            for which in 0..12_u8 {
                let input = [&[which][..], &input_of_parts(&[&answered, &asked])].concat();
                put("compare", &format!("{name}-{which}"), &input)?;
            }
            bodies.extend([asked, answered]);
        }
        let bodies: Vec<&[u8]> = bodies.iter().take(6).map(Vec::as_slice).collect();
        for settings in 0..16_u8 {
            let input = [&[settings][..], &input_of_parts(&bodies)].concat();
            put("round_trip", &format!("{name}-{settings}"), &input)?;
        }
    }
    Ok(())
}
