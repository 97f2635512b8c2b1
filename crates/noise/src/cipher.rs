//! ChaCha20-Poly1305 (RFC 8439) with Noise's nonce.

use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::{AeadInOut as _, ChaCha20Poly1305, KeyInit as _, Nonce, Tag};
use snow::Error;
use snow::types::Cipher;
use zeroize::Zeroize as _;

const TAG_LEN: usize = 16;

/// The cipher, once it has a key.
#[derive(Default)]
pub(crate) struct ChaChaPoly(Option<ChaCha20Poly1305>);

/// Four zero bytes and the counter, little endian (Noise revision 34, section 12.3).
fn nonce(counter: u64) -> Nonce {
    let mut nonce = Nonce::default();
    nonce[4..].copy_from_slice(&counter.to_le_bytes());
    nonce
}

impl Cipher for ChaChaPoly {
    fn name(&self) -> &'static str {
        "ChaChaPoly"
    }

    fn set(&mut self, key: &[u8; 32]) {
        self.0 = Some(ChaCha20Poly1305::new(key.into()));
    }

    /// Writes nothing and returns 0 where there is no key or `out` is too short. snow asks for neither.
    fn encrypt(&self, counter: u64, authtext: &[u8], plaintext: &[u8], out: &mut [u8]) -> usize {
        let Some(cipher) = &self.0 else { return 0 };
        let Some(out) = out.get_mut(..plaintext.len() + TAG_LEN) else { return 0 };
        let (text, tag) = out.split_at_mut(plaintext.len());
        text.copy_from_slice(plaintext);
        match cipher.encrypt_inout_detached(&nonce(counter), authtext, InOutBuf::from(&mut *text)) {
            Ok(computed) => tag.copy_from_slice(&computed),
            Err(_) => {
                text.zeroize();
                return 0;
            }
        }
        out.len()
    }

    fn decrypt(
        &self,
        counter: u64,
        authtext: &[u8],
        ciphertext: &[u8],
        out: &mut [u8],
    ) -> Result<usize, Error> {
        let cipher = self.0.as_ref().ok_or(Error::Decrypt)?;
        let (text, tag) = ciphertext.split_last_chunk::<TAG_LEN>().ok_or(Error::Decrypt)?;
        let out = out.get_mut(..text.len()).ok_or(Error::Decrypt)?;
        out.copy_from_slice(text);
        cipher
            .decrypt_inout_detached(&nonce(counter), authtext, InOutBuf::from(&mut *out), &Tag::from(*tag))
            .map_err(|_| Error::Decrypt)?;
        Ok(out.len())
    }
}
