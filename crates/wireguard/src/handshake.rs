//! The handshake, `Noise_IKpsk2` (section 5.4): one message each way, without their MACs.

use snow::{Builder, HandshakeState};
use zeroize::Zeroizing;

use rand_core::CryptoRng;

use crate::crypto::Key;
use crate::error::ReceiveError;
use crate::message::{INITIATION_LEN, INITIATION_NOISE, MACS_LEN, RESPONSE_LEN, RESPONSE_NOISE, index, kind};
use crate::tai64n::Tai64n;

const PATTERN: &str = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";
const PROLOGUE: &[u8] = b"WireGuard v1 zx2c4 Jason@zx2c4.com";
/// Place in the pattern at which the pre-shared key is mixed in.
const PSK_PLACE: u8 = 2;

/// The keys of a session: what we seal with, and what we open with.
pub(crate) struct Keys {
    pub(crate) sealing: Zeroizing<[u8; 32]>,
    pub(crate) opening: Zeroizing<[u8; 32]>,
}

/// An initiation that was sent.
pub(crate) struct Initiator(Box<HandshakeState>);

impl Initiator {
    /// The initiation to `peer`, with `local` as our number. `None` for a peer whose key is of small order.
    pub(crate) fn start(
        private: &[u8; 32],
        peer: &Key,
        psk: &[u8; 32],
        local: u32,
        stamp: Tai64n,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Option<(Self, [u8; INITIATION_LEN])> {
        let mut state = builder(rng)
            .and_then(|builder| builder.psk(PSK_PLACE, psk))
            .and_then(|builder| builder.local_private_key(private))
            .and_then(|builder| builder.remote_public_key(peer))
            .and_then(Builder::build_initiator)
            .ok()?;
        let mut message = [0; INITIATION_LEN];
        message[..4].copy_from_slice(&kind::INITIATION);
        message[4..8].copy_from_slice(&local.to_le_bytes());
        state.write_message(&stamp.0, &mut message[INITIATION_NOISE..INITIATION_LEN - MACS_LEN]).ok()?;
        Some((Self(Box::new(state)), message))
    }

    /// The session's keys, and the peer's number for it. A response that is not the peer's leaves the state as it was.
    pub(crate) fn finish(&mut self, response: &[u8; RESPONSE_LEN]) -> Result<(Keys, u32), ReceiveError> {
        self.0
            .read_message(&response[RESPONSE_NOISE..RESPONSE_LEN - MACS_LEN], &mut [])
            .map_err(|_| ReceiveError::Unauthenticated)?;
        let (ours, theirs) = dayfly_noise::split(&mut self.0);
        Ok((Keys { sealing: ours, opening: theirs }, index(response, 4)))
    }
}

/// An initiation that was received: authentic, and not yet answered.
pub(crate) struct Responder {
    state: Box<HandshakeState>,
    /// Public key of the initiator.
    pub(crate) peer: Key,
    /// Stamp of the peer's clock (section 5.4.2).
    pub(crate) stamp: Tai64n,
    /// The peer's number for the session.
    pub(crate) remote: u32,
}

impl Responder {
    pub(crate) fn read(
        private: &[u8; 32],
        initiation: &[u8; INITIATION_LEN],
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Self, ReceiveError> {
        let mut state = builder(rng)
            .and_then(|builder| builder.local_private_key(private))
            .and_then(Builder::build_responder)
            .map_err(|_| ReceiveError::Handshake)?;
        let mut stamp = [0; Tai64n::LEN];
        state
            .read_message(&initiation[INITIATION_NOISE..INITIATION_LEN - MACS_LEN], &mut stamp)
            .map_err(|_| ReceiveError::Unauthenticated)?;
        let peer = state.get_remote_static().and_then(|key| Key::try_from(key).ok());
        let peer = peer.ok_or(ReceiveError::Unauthenticated)?;
        Ok(Self { state: Box::new(state), peer, stamp: Tai64n(stamp), remote: index(initiation, 4) })
    }

    /// The response, with `local` as our number, and the session's keys.
    pub(crate) fn respond(
        mut self,
        psk: &[u8; 32],
        local: u32,
    ) -> Result<([u8; RESPONSE_LEN], Keys), ReceiveError> {
        let mut message = [0; RESPONSE_LEN];
        message[..4].copy_from_slice(&kind::RESPONSE);
        message[4..8].copy_from_slice(&local.to_le_bytes());
        message[8..12].copy_from_slice(&self.remote.to_le_bytes());
        self.state
            .set_psk(PSK_PLACE.into(), psk)
            .and_then(|()| {
                self.state.write_message(&[], &mut message[RESPONSE_NOISE..RESPONSE_LEN - MACS_LEN])
            })
            .map_err(|_| ReceiveError::Handshake)?;
        let (theirs, ours) = dayfly_noise::split(&mut self.state);
        Ok((message, Keys { sealing: ours, opening: theirs }))
    }
}

fn builder<'a>(rng: &mut (impl CryptoRng + ?Sized)) -> Result<Builder<'a>, snow::Error> {
    Builder::with_resolver(PATTERN.parse()?, Box::new(dayfly_noise::Resolver::new(rng))).prologue(PROLOGUE)
}
