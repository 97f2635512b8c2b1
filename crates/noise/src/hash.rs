//! BLAKE2s with 32 bytes of output (RFC 7693).

use blake2::{Blake2s256, Digest as _};
use snow::types::Hash;

const BLOCK_LEN: usize = 64;
const HASH_LEN: usize = 32;

/// A running hash.
#[derive(Default)]
pub(crate) struct Blake2s(Blake2s256);

impl Hash for Blake2s {
    fn name(&self) -> &'static str {
        "BLAKE2s"
    }

    fn block_len(&self) -> usize {
        BLOCK_LEN
    }

    fn hash_len(&self) -> usize {
        HASH_LEN
    }

    fn reset(&mut self) {
        self.0 = Blake2s256::new();
    }

    fn input(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn result(&mut self, out: &mut [u8]) {
        let hash = core::mem::take(&mut self.0).finalize();
        if let Some(out) = out.first_chunk_mut() {
            *out = hash.into();
        }
    }
}
