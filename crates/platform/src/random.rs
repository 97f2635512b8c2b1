//! Randomness of the operating system or the browser.

use std::convert::Infallible;

use rand_core::{TryCryptoRng, TryRng};

/// The system's cryptographic random source.
///
/// # Panics
/// Where the system has no random source to give: no key could be made then, and going on would be unsafe.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRng;

impl TryRng for SystemRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    #[expect(clippy::panic, reason = "without randomness there is no safe way on")]
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), Infallible> {
        if let Err(error) = getrandom::fill(dest) {
            panic!("the system's random source failed: {error}");
        }
        Ok(())
    }
}

impl TryCryptoRng for SystemRng {}

#[cfg(test)]
mod tests {
    use rand_core::Rng as _;

    use super::SystemRng;

    #[test]
    fn two_draws_differ() {
        let (mut a, mut b) = ([0; 32], [0; 32]);
        SystemRng.fill_bytes(&mut a);
        SystemRng.fill_bytes(&mut b);
        assert_ne!(a, b);
    }
}
