//! A hash for sets of ids, which are mostly random already.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Makes hashers with a secret of their own: ids of a stranger's file may have been chosen to be alike.
#[derive(Clone)]
pub(super) struct Hashing {
    secret: [u64; 2],
}

impl Default for Hashing {
    fn default() -> Self {
        let random = RandomState::new();
        Self { secret: [random.hash_one(0), random.hash_one(1)] }
    }
}

impl BuildHasher for Hashing {
    type Hasher = IdHasher;

    fn build_hasher(&self) -> IdHasher {
        IdHasher { secret: self.secret, hash: self.secret[0] }
    }
}

/// Folds what it is given, eight bytes at a time, by a product with all its bits.
pub(super) struct IdHasher {
    secret: [u64; 2],
    hash: u64,
}

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            let product = u128::from(self.hash ^ u64::from_le_bytes(word)) * u128::from(self.secret[1] | 1);
            self.hash = product as u64 ^ (product >> 64) as u64;
        }
    }

    fn write_usize(&mut self, _len: usize) {
        // Ids are all as long as each other.
    }

    fn finish(&self) -> u64 {
        self.hash ^ self.secret[0].rotate_left(32)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use exchange::Id;

    use super::*;

    #[test]
    fn ids_that_differ_in_one_bit_fall_into_all_buckets() {
        let hashing = Hashing::default();
        let low: HashSet<u64> =
            (0..128_u32).map(|bit| hashing.hash_one(Id((1_u128 << bit).to_le_bytes())) % 64).collect();
        assert!(low.len() > 32, "{}", low.len());
        let again = hashing.hash_one(Id([7; 16]));
        assert_eq!(again, hashing.hash_one(Id([7; 16])));
    }
}
