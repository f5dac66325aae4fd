//! A recorded body in the pieces that it was recorded in, for whoever sends it again.

use std::ops::Range;

use exchange::Body;

/// The ranges of a body's `len` kept bytes between one chunk's beginning and the next; offsets beyond them cut nothing.
pub(crate) fn ranges(body: &Body, len: usize) -> Vec<Range<usize>> {
    let mut cuts: Vec<usize> = body.chunks.iter().filter_map(|chunk| usize::try_from(chunk.offset).ok()).collect();
    cuts.extend([0, len]);
    cuts.retain(|&cut| cut <= len);
    cuts.sort_unstable();
    cuts.dedup();
    cuts.windows(2).map(|ends| ends[0]..ends[1]).collect()
}

/// The same, each with when it came: the time of the chunk that begins there, or of the last one before it.
pub(crate) fn pieces(body: &Body, len: usize) -> Vec<(u64, Range<usize>)> {
    let mut chunks: Vec<(u64, u64)> = body.chunks.iter().map(|chunk| (chunk.offset, chunk.at_ns)).collect();
    chunks.sort_unstable();
    let came = |start: usize| {
        let until = chunks.partition_point(|&(offset, _)| offset <= start as u64);
        until.checked_sub(1).map_or(0, |last| chunks[last].1)
    };
    ranges(body, len).into_iter().map(|range| (came(range.start), range)).collect()
}

#[cfg(test)]
mod tests {
    use exchange::Chunk;

    use super::*;

    #[test]
    fn pieces_are_those_of_the_recording_and_make_up_the_whole_whatever_its_offsets_say() {
        let body = |offsets: &[u64]| {
            let chunks = offsets.iter().map(|&offset| Chunk { offset, at_ns: 0 }).collect();
            Body { chunks, ..Body::default() }
        };
        assert_eq!(ranges(&body(&[0, 3, 7]), 10), [0..3, 3..7, 7..10]);
        assert_eq!(ranges(&body(&[7, 3, 3, u64::MAX]), 10), [0..3, 3..7, 7..10]);
        assert_eq!(ranges(&body(&[]), 10), std::slice::from_ref(&(0..10)));
        assert!(ranges(&body(&[0]), 0).is_empty());
    }

    #[test]
    fn each_piece_came_with_its_chunk_and_one_without_at_once() {
        let chunks = vec![Chunk { offset: 3, at_ns: 70 }, Chunk { offset: 5, at_ns: 90 }];
        let body = Body { chunks, ..Body::default() };
        assert_eq!(pieces(&body, 9), [(0, 0..3), (70, 3..5), (90, 5..9)]);
    }
}
