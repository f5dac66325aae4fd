//! Where a process's random bytes come from: the seed, and how the process came to be.
//!
//! Each process has a key: the first one's comes from the seed, a child's from its parent's key and how many children that
//! had before. So it depends on no process's number. A program that is run begins a new stream.

/// What the first key is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Service,
    SelfCheck,
}

/// A process's key, and what has come of it so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lineage {
    key: [u8; 32],
    child_count: u64,
    program_count: u64,
    stream: Stream,
}

/// Random bytes, as many as are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stream {
    key: [u8; 32],
    position: u64,
}

impl Lineage {
    pub(super) fn first(seed: &[u8; 32], purpose: Purpose) -> Self {
        let word = match purpose {
            Purpose::Service => "service",
            Purpose::SelfCheck => "self-check",
        };
        Self::of(derive(seed, word, 0))
    }

    fn of(key: [u8; 32]) -> Self {
        Self { key, child_count: 0, program_count: 0, stream: Stream::of(derive(&key, "stream", 0)) }
    }

    /// The next child's.
    pub(super) fn child(&mut self) -> Self {
        self.child_count += 1;
        Self::of(derive(&self.key, "child", self.child_count))
    }

    /// The process runs another program.
    pub(super) fn run_program(&mut self) {
        self.program_count += 1;
        self.stream = Stream::of(derive(&self.key, "program", self.program_count));
    }

    pub(super) fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }
}

impl Stream {
    fn of(key: [u8; 32]) -> Self {
        Self { key, position: 0 }
    }

    /// The next bytes.
    pub(super) fn fill(&mut self, bytes: &mut [u8]) {
        let mut reader = blake3::Hasher::new_keyed(&self.key).finalize_xof();
        reader.set_position(self.position);
        reader.fill(bytes);
        self.position = self.position.wrapping_add(bytes.len() as u64);
    }
}

fn derive(key: &[u8; 32], word: &str, number: u64) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(word.as_bytes()).update(&[0]).update(&number.to_le_bytes());
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(lineage: &mut Lineage) -> [u8; 24] {
        let mut bytes = [0; 24];
        lineage.stream().fill(&mut bytes);
        bytes
    }

    #[test]
    fn bytes_are_the_same_however_many_are_taken_at_a_time() {
        let mut whole = [0; 300];
        let first = Lineage::first(&[7; 32], Purpose::Service);
        first.clone().stream().fill(&mut whole);
        let mut parts = first;
        let mut taken = Vec::new();
        for len in [1, 0, 63, 64, 65, 107] {
            let mut part = vec![0; len];
            parts.stream().fill(&mut part);
            taken.extend(part);
        }
        assert_eq!(taken, whole);
    }

    #[test]
    fn each_process_program_purpose_and_seed_has_bytes_of_its_own_and_always_the_same() {
        let all = || {
            let mut first = Lineage::first(&[7; 32], Purpose::Service);
            let mut check = Lineage::first(&[7; 32], Purpose::SelfCheck);
            let mut other_seed = Lineage::first(&[8; 32], Purpose::Service);
            let (mut child, mut second) = (first.child(), first.child());
            let mut grandchild = child.child();
            let mut bytes: Vec<_> =
                [&mut first, &mut check, &mut other_seed, &mut child, &mut second, &mut grandchild].map(some).into();
            first.run_program();
            bytes.push(some(&mut first));
            first.run_program();
            bytes.push(some(&mut first));
            bytes
        };
        let bytes = all();
        assert_eq!(bytes, all());
        let distinct: std::collections::BTreeSet<_> = bytes.iter().collect();
        assert_eq!(distinct.len(), bytes.len());
    }
}
