//! Random bytes for tokens and challenges.

use std::hash::{BuildHasher, RandomState};

/// Returns random bytes. The standard library keys its hash maps from the operating system's source; that is enough for
/// secrets that live in a demonstration, and needs no dependency that may fail.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    for chunk in bytes.chunks_mut(8) {
        let word = RandomState::new().hash_one(0_u8).to_le_bytes();
        chunk.iter_mut().zip(word).for_each(|(to, from)| *to = from);
    }
    bytes
}
