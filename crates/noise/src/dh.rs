//! Diffie-Hellman on Curve25519 (RFC 7748).

use curve25519_dalek::MontgomeryPoint;
use snow::Error;
use snow::types::{Dh, Random};
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize as _, Zeroizing};

const KEY_LEN: usize = 32;

/// An X25519 key pair.
#[derive(Default)]
pub(crate) struct X25519 {
    private: Zeroizing<[u8; KEY_LEN]>,
    public: [u8; KEY_LEN],
}

impl X25519 {
    fn derive_public(&mut self) {
        self.public = MontgomeryPoint::mul_base_clamped(*self.private).to_bytes();
    }
}

impl Dh for X25519 {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        KEY_LEN
    }

    fn priv_len(&self) -> usize {
        KEY_LEN
    }

    /// A key of another length than 32 bytes becomes the zero key, which snow's interface has no way to refuse.
    fn set(&mut self, private: &[u8]) {
        self.private.zeroize();
        if private.len() == KEY_LEN {
            self.private.copy_from_slice(private);
        }
        self.derive_public();
    }

    fn generate(&mut self, rng: &mut dyn Random) -> Result<(), Error> {
        rng.try_fill_bytes(self.private.as_mut_slice())?;
        self.derive_public();
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        &self.public
    }

    fn privkey(&self) -> &[u8] {
        self.private.as_slice()
    }

    /// Fails where the result would be zero whatever the private key is, that is for points of small order
    /// (RFC 7748 section 6.1; WireGuard refuses them too).
    fn dh(&self, public: &[u8], out: &mut [u8]) -> Result<(), Error> {
        let public = public.first_chunk().ok_or(Error::Dh)?;
        let out = out.first_chunk_mut::<KEY_LEN>().ok_or(Error::Dh)?;
        let shared = Zeroizing::new(MontgomeryPoint(*public).mul_clamped(*self.private));
        if bool::from(shared.as_bytes().ct_eq(&[0; KEY_LEN])) {
            return Err(Error::Dh);
        }
        *out = shared.to_bytes();
        Ok(())
    }
}
