//! The hash of a file's content: SHA-256 over the SHA-256 of each of its blocks.
//!
//! Blocks can be hashed at once and in any order, and those of a hole need no reading.

use std::fmt;
use std::sync::OnceLock;

use sha2::{Digest, Sha256};

/// Bytes per block; the last one may be shorter.
pub(super) const BLOCK: u64 = 1 << 20;

/// SHA-256 of one block.
pub(super) type BlockHash = [u8; 32];

/// What a file's content is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ContentHash(pub(super) [u8; 32]);

/// Hashes blocks. Shared by the threads of a transfer.
#[derive(Debug, Default)]
pub(super) struct Hasher {
    zeros: OnceLock<BlockHash>,
}

impl Hasher {
    pub(super) fn block(&self, bytes: &[u8]) -> BlockHash {
        Sha256::digest(bytes).into()
    }

    /// The hash of a whole block of zeros, computed once.
    pub(super) fn zeros(&self) -> BlockHash {
        *self.zeros.get_or_init(|| self.block(&vec![0; BLOCK as usize]))
    }
}

impl ContentHash {
    /// The hash of a file of `size` bytes with these blocks.
    pub(super) fn of(size: u64, blocks: &[BlockHash]) -> Self {
        let mut hash = Sha256::new();
        hash.update(size.to_le_bytes());
        blocks.iter().for_each(|block| hash.update(block));
        ContentHash(hash.finalize().into())
    }
}

impl ContentHash {
    /// Reads what [`ContentHash`] displays as.
    pub(super) fn parse(hex: &str) -> Option<Self> {
        let mut hash = [0; 32];
        if hex.len() != 64 || !hex.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        for (byte, at) in hash.iter_mut().zip((0..).step_by(2)) {
            *byte = u8::from_str_radix(&hex[at..at + 2], 16).ok()?;
        }
        Some(ContentHash(hash))
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_hashes_like_the_zeros_it_reads_as() {
        let hasher = Hasher::default();
        assert_eq!(hasher.zeros(), hasher.block(&[0; BLOCK as usize]));
    }

    #[test]
    fn a_hash_is_read_as_it_is_written_and_nothing_else_is() {
        let hash = ContentHash::of(10, &[[1; 32]]);
        assert_eq!(ContentHash::parse(&hash.to_string()), Some(hash));
        for text in ["", "00", &"x".repeat(64), &"ü".repeat(32), &"+1".repeat(32)] {
            assert_eq!(ContentHash::parse(text), None, "{text}");
        }
    }

    #[test]
    fn size_and_every_block_and_their_order_count() {
        let (a, b) = ([1; 32], [2; 32]);
        let hash = ContentHash::of(10, &[a, b]);
        assert_ne!(hash, ContentHash::of(11, &[a, b]));
        assert_ne!(hash, ContentHash::of(10, &[b, a]));
        assert_ne!(hash, ContentHash::of(10, &[a]));
    }
}
