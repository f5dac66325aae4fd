//! Pictures and sounds as the samples that they decode to.
//!
//! In: the bytes of a file. Out: [`Samples`]: what they are (format, size, channels), and the numbers. PNG, JPEG and WAV are decoded,
//! of an animated picture its first frame. Everything is bounded before it is decoded, so that a few bytes that claim to be a large
//! picture cost nothing. What cannot be decoded is left to be compared by size and digest.

use std::io::Cursor;

use exchange::Digest;
use zune_core::{bytestream::ZCursor, options::DecoderOptions};

/// Samples that a picture or sound may have: 16 million pixels in colour, or nine minutes in stereo. A choice that bounds the
/// memory for two of them to 400 MB.
pub const SAMPLES_MAX: usize = 48 << 20;

/// Scans that a progressive JPEG may have, each of which touches all of it. A choice: encoders write ten or so.
const SCANS_MAX: usize = 32;

/// A picture or sound, decoded.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    /// `png`, `jpeg`, or `wav`.
    pub format: &'static str,
    /// What it is beside its samples: `width` and `height` in pixels, or `rate` in samples a second and `frames`; `channels`; `bits` of
    /// a sample.
    pub shape: Vec<(&'static str, u64)>,
    values: Values,
}

#[derive(Clone, Debug, PartialEq)]
enum Values {
    Bytes(Vec<u8>),
    /// Big-endian pairs.
    Words(Vec<u8>),
    Integers(Vec<i32>),
    Floats(Vec<f32>),
}

impl Samples {
    /// How many samples there are.
    pub fn len(&self) -> usize {
        match &self.values {
            Values::Bytes(bytes) => bytes.len(),
            Values::Words(bytes) => bytes.len() / 2,
            Values::Integers(integers) => integers.len(),
            Values::Floats(floats) => floats.len(),
        }
    }

    /// True where there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The samples as numbers: of pictures and of sounds in whole numbers from 0, or around 0, as far as their bits go; of others
    /// as they are.
    pub fn numbers(&self) -> impl Iterator<Item = f64> {
        let number = |at: usize| match &self.values {
            Values::Bytes(bytes) => f64::from(bytes[at]),
            Values::Words(bytes) => f64::from(u16::from_be_bytes([bytes[2 * at], bytes[2 * at + 1]])),
            Values::Integers(integers) => f64::from(integers[at]),
            Values::Floats(floats) => f64::from(floats[at]),
        };
        (0..self.len()).map(number)
    }

    /// The digest of the samples, whatever the file says beside them.
    pub fn digest(&self) -> Digest {
        let mut hasher = blake3::Hasher::new();
        let mut take = |bytes: [u8; 4]| {
            hasher.update(&bytes);
        };
        match &self.values {
            Values::Bytes(bytes) | Values::Words(bytes) => return Digest::of(bytes),
            Values::Integers(integers) => integers.iter().for_each(|it| take(it.to_le_bytes())),
            Values::Floats(floats) => floats.iter().for_each(|it| take(it.to_bits().to_le_bytes())),
        }
        Digest(*hasher.finalize().as_bytes())
    }
}

/// The picture or sound in this file; `None` where it is of no known format, damaged, or too large.
pub fn decode(bytes: &[u8]) -> Option<Samples> {
    match format_of(bytes)? {
        "png" => png(bytes),
        "jpeg" => jpeg(bytes),
        "wav" => wav(bytes),
        _ => None,
    }
}

/// What a file says that it is, by its first bytes: `png`, `jpeg`, `gif`, `webp`, `wav`, `mp3`, `ogg`, `flac`.
pub fn format_of(bytes: &[u8]) -> Option<&'static str> {
    let riff = |kind: &[u8]| bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(kind);
    Some(match bytes {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => "png",
        [0xff, 0xd8, 0xff, ..] => "jpeg",
        [b'G', b'I', b'F', b'8', ..] => "gif",
        _ if riff(b"WEBP") => "webp",
        _ if riff(b"WAVE") => "wav",
        [b'I', b'D', b'3', ..] => "mp3",
        [b'O', b'g', b'g', b'S', ..] => "ogg",
        [b'f', b'L', b'a', b'C', ..] => "flac",
        _ => return None,
    })
}

/// True for formats of pictures.
pub fn is_picture(format: &str) -> bool {
    matches!(format, "png" | "jpeg" | "gif" | "webp")
}

fn png(bytes: &[u8]) -> Option<Samples> {
    let limits = png::Limits { bytes: 2 * SAMPLES_MAX };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), limits);
    // Palettes become the colours that they stand for; 16 bits stay.
    decoder.set_transformations(png::Transformations::EXPAND);
    let mut reader = decoder.read_info().ok()?;
    let (color, depth) = reader.output_color_type();
    let bits = depth as u64;
    let (width, height) = (reader.info().width, reader.info().height);
    let channels = color.samples() as u64;
    bounded(u64::from(width), u64::from(height), channels)?;
    let mut samples = vec![0; reader.output_buffer_size()?];
    reader.next_frame(&mut samples).ok()?;
    let values = match bits {
        8 => Values::Bytes(samples),
        16 => Values::Words(samples),
        _ => return None,
    };
    Some(Samples { format: "png", shape: picture(width, height, channels, bits), values })
}

fn jpeg(bytes: &[u8]) -> Option<Samples> {
    let options = DecoderOptions::default().set_strict_mode(true).jpeg_set_max_scans(SCANS_MAX);
    let mut decoder = zune_jpeg::JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().ok()?;
    let info = decoder.info()?;
    let channels = decoder.output_colorspace()?.num_components() as u64;
    bounded(u64::from(info.width), u64::from(info.height), channels)?;
    let samples = decoder.decode().ok()?;
    let shape = picture(info.width.into(), info.height.into(), channels, 8);
    Some(Samples { format: "jpeg", shape, values: Values::Bytes(samples) })
}

fn wav(bytes: &[u8]) -> Option<Samples> {
    let reader = hound::WavReader::new(Cursor::new(bytes)).ok()?;
    let (spec, frames) = (reader.spec(), u64::from(reader.duration()));
    bounded(frames, u64::from(spec.channels), 1)?;
    let shape = vec![
        ("rate", u64::from(spec.sample_rate)),
        ("channels", u64::from(spec.channels)),
        ("bits", u64::from(spec.bits_per_sample)),
        ("frames", frames),
    ];
    // As many as there are, whatever the head claims.
    let values = match spec.sample_format {
        hound::SampleFormat::Int => Values::Integers(reader.into_samples().collect::<Result<_, _>>().ok()?),
        hound::SampleFormat::Float => Values::Floats(reader.into_samples().collect::<Result<_, _>>().ok()?),
    };
    Some(Samples { format: "wav", shape, values })
}

fn picture(width: u32, height: u32, channels: u64, bits: u64) -> Vec<(&'static str, u64)> {
    vec![("width", width.into()), ("height", height.into()), ("channels", channels), ("bits", bits)]
}

/// `None` where there are too many samples.
fn bounded(one: u64, other: u64, channels: u64) -> Option<()> {
    let samples = one.checked_mul(other)?.checked_mul(channels)?;
    (samples <= SAMPLES_MAX as u64).then_some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A picture of 4 by 3 pixels as PNG.
    fn png_of(color: png::ColorType, depth: png::BitDepth, samples: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, 4, 3);
        encoder.set_color(color);
        encoder.set_depth(depth);
        if color == png::ColorType::Indexed {
            encoder.set_palette(vec![0, 0, 0, 255, 0, 0]);
        }
        encoder.write_header().unwrap().write_image_data(samples).unwrap();
        bytes
    }

    fn wav_of(samples: &[i16]) -> Vec<u8> {
        let spec = hound::WavSpec {
            channels: 2,
            sample_rate: 24_000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut bytes = Cursor::new(Vec::new());
        let mut writer = hound::WavWriter::new(&mut bytes, spec).unwrap();
        samples.iter().for_each(|sample| writer.write_sample(*sample).unwrap());
        writer.finalize().unwrap();
        bytes.into_inner()
    }

    #[test]
    fn pictures_and_sounds_are_decoded_to_their_samples() {
        let grey = decode(&png_of(png::ColorType::Grayscale, png::BitDepth::Eight, &[7; 12])).unwrap();
        assert_eq!(grey.shape, [("width", 4), ("height", 3), ("channels", 1), ("bits", 8)]);
        assert!(grey.numbers().eq([7.0; 12]));
        let deep = decode(&png_of(png::ColorType::Grayscale, png::BitDepth::Sixteen, &[1, 2].repeat(12))).unwrap();
        assert!(deep.numbers().eq([258.0; 12]));
        let palette = decode(&png_of(png::ColorType::Indexed, png::BitDepth::Eight, &[1; 12])).unwrap();
        assert!(palette.numbers().eq([255.0, 0.0, 0.0].repeat(12)));
        let sound = decode(&wav_of(&[1, -2, 3, -4])).unwrap();
        assert_eq!(sound.shape, [("rate", 24_000), ("channels", 2), ("bits", 16), ("frames", 2)]);
        assert!(sound.numbers().eq([1.0, -2.0, 3.0, -4.0]));
    }

    #[test]
    fn what_claims_to_be_large_costs_nothing() {
        let mut huge = png_of(png::ColorType::Grayscale, png::BitDepth::Eight, &[7; 12]);
        huge[16..24].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
        let checksum = crc32fast::hash(&huge[12..29]).to_be_bytes();
        huge[29..33].copy_from_slice(&checksum);
        assert_eq!(decode(&huge), None);
        let mut long = wav_of(&[1, 2]);
        let at = long.len() - 8;
        long[at..at + 4].copy_from_slice(&[0xf0, 0xff, 0xff, 0xff]);
        assert_eq!(decode(&long), None);
    }

    #[test]
    fn what_is_cut_or_damaged_is_none() {
        for whole in [png_of(png::ColorType::Rgb, png::BitDepth::Eight, &[9; 36]), wav_of(&[5; 40])] {
            assert!(decode(&whole).is_some());
            (0..whole.len() - 13).for_each(|len| assert_eq!(decode(&whole[..len]), None, "{len}"));
        }
    }

    proptest! {
        #[test]
        fn damage_anywhere_makes_no_panic(at in 0_usize..400, byte in any::<u8>(), which in 0..2) {
            let mut bytes = match which {
                0 => png_of(png::ColorType::Rgba, png::BitDepth::Eight, &[9; 48]),
                _ => wav_of(&[3; 60]),
            };
            let at = at % bytes.len();
            bytes[at] = byte;
            if let Some(samples) = decode(&bytes) {
                prop_assert_eq!(samples.numbers().count(), samples.len());
            }
        }
    }
}
