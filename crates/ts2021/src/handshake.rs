//! The handshake: Noise IK, one message each way.

use core::fmt;

use dayfly_wire::control::EarlyPayload;
use dayfly_wire::key::{MachinePrivate, MachinePublic};
use dayfly_wire::ts2021::{INITIATION_LEN, RESPONSE_LEN};
use rand_core::CryptoRng;
use snow::{Builder, HandshakeState};

use crate::transport::Transport;
use crate::{FRAME_HEADER_LEN, Stream, frame_type};

const INITIATION_HEADER: usize = 5;
const INITIATION_PAYLOAD: u16 = 96;
const RESPONSE_PAYLOAD: usize = RESPONSE_LEN - FRAME_HEADER_LEN;

/// Most bytes of text that are taken from a rejection, or written in one.
const MAX_ERROR_TEXT: usize = 1024;

const PATTERN: &str = "Noise_IK_25519_ChaChaPoly_BLAKE2s";

/// Reason why a handshake failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// The server rejected the connection, in these words. Nothing proves that they are the server's.
    #[error("the server refused the connection: {0}")]
    Rejected(String),
    /// A frame of this type came where another was due.
    #[error("frame of type {0} in the handshake")]
    UnexpectedFrame(u8),
    /// A frame is of another length than its type has.
    #[error("handshake message of impossible length {0}")]
    Length(usize),
    /// The other side has another key than the one that it was expected to have, or the message was damaged.
    #[error("the other side does not have the expected key")]
    Unauthenticated,
    /// Noise could not be set up.
    #[error("the handshake could not be prepared: {0}")]
    Setup(&'static str),
}

/// Node's side of a handshake whose response is awaited.
pub struct Handshake(Box<HandshakeState>);

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handshake(..)")
    }
}

impl Handshake {
    /// Begins a handshake with the server whose static key is `control`; the bytes are the initiation to send.
    ///
    /// `version` is the node's capability version, which the server learns by it.
    ///
    /// # Errors
    /// When `control` is a point of small order, with which no secret can be agreed on.
    pub fn initiate(
        version: u16,
        machine: &MachinePrivate,
        control: &MachinePublic,
        rng: &mut impl CryptoRng,
    ) -> Result<(Self, [u8; INITIATION_LEN]), HandshakeError> {
        let prologue = prologue(version);
        let mut state = builder(rng)?
            .prologue(&prologue)
            .and_then(|b| b.local_private_key(machine.as_bytes()))
            .and_then(|b| b.remote_public_key(control.as_bytes()))
            .and_then(Builder::build_initiator)
            .map_err(|_| HandshakeError::Setup("its keys were not taken"))?;
        let mut initiation = [0; INITIATION_LEN];
        let (header, payload) = initiation.split_at_mut(INITIATION_HEADER);
        header.copy_from_slice(&initiation_header(version));
        // Fails for a server key of small order, with which no secret can be agreed on.
        state.write_message(&[], payload).map_err(|_| HandshakeError::Unauthenticated)?;
        Ok((Self(Box::new(state)), initiation))
    }

    /// Completes the handshake with the server's first frame, whose length [`first_frame_len`] returns.
    ///
    /// # Errors
    /// When the server rejects the connection, the frame is no response, or its sender has another key than expected.
    pub fn finish(mut self, frame: &[u8]) -> Result<Stream, HandshakeError> {
        if first_frame_len(frame)? != Some(frame.len()) {
            return Err(HandshakeError::Length(frame.len()));
        }
        let (header, payload) = frame.split_at(FRAME_HEADER_LEN);
        if header.first() == Some(&frame_type::ERROR) {
            let text = payload.get(..MAX_ERROR_TEXT).unwrap_or(payload);
            return Err(HandshakeError::Rejected(String::from_utf8_lossy(text).into_owned()));
        }
        self.0.read_message(payload, &mut []).map_err(|_| HandshakeError::Unauthenticated)?;
        let (sending, receiving) = dayfly_noise::split(&mut self.0);
        Ok(Stream::client(Transport::new(&sending, &receiving)))
    }
}

/// Returns the length of a server's first frame by the bytes that have arrived; `None` while they are too few.
///
/// # Errors
/// When the frame is none of a handshake.
pub fn first_frame_len(bytes: &[u8]) -> Result<Option<usize>, HandshakeError> {
    let Some(&[kind, high, low]) = bytes.first_chunk::<FRAME_HEADER_LEN>() else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    match kind {
        frame_type::RESPONSE if length != RESPONSE_PAYLOAD => Err(HandshakeError::Length(length)),
        frame_type::RESPONSE | frame_type::ERROR => Ok(Some(FRAME_HEADER_LEN + length)),
        _ => Err(HandshakeError::UnexpectedFrame(kind)),
    }
}

/// Handshake that a server has accepted. Its response is still to be sent.
#[derive(Debug)]
pub struct Accepted {
    version: u16,
    machine: MachinePublic,
    response: [u8; RESPONSE_LEN],
    transport: Transport,
}

impl Accepted {
    /// Returns the node's capability version.
    #[must_use]
    pub const fn version(&self) -> u16 {
        self.version
    }

    /// Returns the node's machine key, which the node has proved to have.
    #[must_use]
    pub const fn machine(&self) -> MachinePublic {
        self.machine
    }

    /// Makes the server's end of the connection. The first bytes that it sends are the response, and the early payload
    /// right behind: `None` on a WebSocket, where clients expect no such thing
    /// (control/controlhttp/controlhttpserver/controlhttpserver.go, tailscale v1.102.5).
    #[must_use]
    pub fn into_stream(self, early: Option<&EarlyPayload>) -> Stream {
        Stream::server(self.transport, &self.response, early)
    }
}

/// Accepts a node's initiation with the server's static key.
///
/// # Errors
/// When `initiation` is not one, or was made for another server's key.
pub fn accept(
    initiation: &[u8],
    control: &MachinePrivate,
    rng: &mut impl CryptoRng,
) -> Result<Accepted, HandshakeError> {
    let Some((&[v_high, v_low, kind, l_high, l_low], payload)) =
        initiation.split_first_chunk::<INITIATION_HEADER>()
    else {
        return Err(HandshakeError::Length(initiation.len()));
    };
    if kind != frame_type::INITIATION {
        return Err(HandshakeError::UnexpectedFrame(kind));
    }
    if u16::from_be_bytes([l_high, l_low]) != INITIATION_PAYLOAD || initiation.len() != INITIATION_LEN {
        return Err(HandshakeError::Length(payload.len()));
    }
    let version = u16::from_be_bytes([v_high, v_low]);
    let prologue = prologue(version);
    let mut state = builder(rng)?
        .prologue(&prologue)
        .and_then(|b| b.local_private_key(control.as_bytes()))
        .and_then(Builder::build_responder)
        .map_err(|_| HandshakeError::Setup("its keys were not taken"))?;
    state.read_message(payload, &mut []).map_err(|_| HandshakeError::Unauthenticated)?;
    let machine = state.get_remote_static().and_then(|key| <[u8; 32]>::try_from(key).ok());
    let machine = MachinePublic::from_bytes(machine.ok_or(HandshakeError::Unauthenticated)?);
    let mut response = [0; RESPONSE_LEN];
    let (header, payload) = response.split_at_mut(FRAME_HEADER_LEN);
    header.copy_from_slice(&[frame_type::RESPONSE, 0, RESPONSE_PAYLOAD as u8]);
    state.write_message(&[], payload).map_err(|_| HandshakeError::Unauthenticated)?;
    let (receiving, sending) = dayfly_noise::split(&mut state);
    Ok(Accepted { version, machine, response, transport: Transport::new(&sending, &receiving) })
}

/// Writes the frame by which a server rejects a handshake in words. They are neither encrypted nor authenticated.
#[must_use]
pub fn error_frame(text: &str) -> Vec<u8> {
    let text = text.as_bytes();
    let text = text.get(..MAX_ERROR_TEXT).unwrap_or(text);
    let [_, _, _, _, _, _, high, low] = (text.len() as u64).to_be_bytes();
    [&[frame_type::ERROR, high, low][..], text].concat()
}

fn initiation_header(version: u16) -> [u8; INITIATION_HEADER] {
    let ([v_high, v_low], [l_high, l_low]) = (version.to_be_bytes(), INITIATION_PAYLOAD.to_be_bytes());
    [v_high, v_low, frame_type::INITIATION, l_high, l_low]
}

fn prologue(version: u16) -> Vec<u8> {
    [b"Tailscale Control Protocol v", version.to_string().as_bytes()].concat()
}

fn builder<'a>(rng: &mut impl CryptoRng) -> Result<Builder<'a>, HandshakeError> {
    let pattern = PATTERN.parse().map_err(|_| HandshakeError::Setup("its pattern was not taken"))?;
    Ok(Builder::with_resolver(pattern, Box::new(dayfly_noise::Resolver::new(rng))))
}

#[cfg(test)]
mod tests {
    use dayfly_platform::random::SystemRng;
    use proptest::prelude::*;

    use super::*;

    const VERSION: u16 = 130;

    struct Sides {
        machine: MachinePrivate,
        control: MachinePrivate,
        handshake: Handshake,
        initiation: [u8; INITIATION_LEN],
    }

    fn sides() -> Sides {
        let machine = MachinePrivate::generate(&mut SystemRng);
        let control = MachinePrivate::generate(&mut SystemRng);
        let (handshake, initiation) =
            Handshake::initiate(VERSION, &machine, &control.public(), &mut SystemRng).unwrap();
        Sides { machine, control, handshake, initiation }
    }

    #[test]
    fn both_sides_agree_and_the_server_learns_who_came() {
        let Sides { machine, control, handshake, initiation } = sides();
        assert_eq!(initiation[..5], [0, 130, 1, 0, 96]);
        let accepted = accept(&initiation, &control, &mut SystemRng).unwrap();
        assert_eq!((accepted.version(), accepted.machine()), (VERSION, machine.public()));
        let mut server = accepted.into_stream(None);
        let response = server.sealed().to_vec();
        server.sent(response.len());
        assert_eq!(response[..3], [2, 0, 48]);
        assert_eq!(first_frame_len(&response), Ok(Some(RESPONSE_LEN)));

        let mut node = handshake.finish(&response).unwrap();
        // Fewer than nine bytes could still be the beginning of an early payload.
        server.write(b"down from the server");
        server.seal().unwrap();
        node.receive(&mut server.sealed().to_vec()).unwrap();
        assert_eq!(node.unread(), b"down from the server");
        node.write(b"up");
        node.seal().unwrap();
        server.receive(&mut node.sealed().to_vec()).unwrap();
        assert_eq!(server.unread(), b"up");
    }

    #[test]
    fn a_server_with_another_key_is_rejected_and_rejects() {
        let Sides { initiation, .. } = sides();
        let other = MachinePrivate::generate(&mut SystemRng);
        let error = accept(&initiation, &other, &mut SystemRng).unwrap_err();
        assert_eq!(error, HandshakeError::Unauthenticated);
    }

    #[test]
    fn the_version_is_authenticated() {
        let Sides { control, mut initiation, .. } = sides();
        initiation[1] = 131;
        assert_eq!(
            accept(&initiation, &control, &mut SystemRng).unwrap_err(),
            HandshakeError::Unauthenticated
        );
    }

    #[test]
    fn a_server_key_of_small_order_is_rejected() {
        let machine = MachinePrivate::generate(&mut SystemRng);
        for key in [[0; 32], core::array::from_fn(|i| u8::from(i == 0))] {
            let control = MachinePublic::from_bytes(key);
            let error = Handshake::initiate(VERSION, &machine, &control, &mut SystemRng).unwrap_err();
            assert_eq!(error, HandshakeError::Unauthenticated);
        }
    }

    #[test]
    fn a_rejection_in_words_is_reported() {
        let frame = error_frame("unsupported client version");
        assert_eq!(first_frame_len(&frame), Ok(Some(frame.len())));
        let error = sides().handshake.finish(&frame).unwrap_err();
        assert_eq!(error, HandshakeError::Rejected("unsupported client version".to_owned()));
    }

    #[test]
    fn other_frames_are_rejected() {
        assert_eq!(first_frame_len(&[2, 0]), Ok(None));
        assert_eq!(first_frame_len(&[2, 0, 47]), Err(HandshakeError::Length(47)));
        assert_eq!(first_frame_len(&[4, 0, 48]), Err(HandshakeError::UnexpectedFrame(4)));
        assert_eq!(sides().handshake.finish(&[]).unwrap_err(), HandshakeError::Length(0));
        assert_eq!(sides().handshake.finish(&[4; 51]).unwrap_err(), HandshakeError::UnexpectedFrame(4));
    }

    proptest! {
        #[test]
        fn any_change_of_the_initiation_is_refused(at in 0..INITIATION_LEN, flip in 1..=255_u8) {
            let Sides { control, mut initiation, .. } = sides();
            initiation[at] ^= flip;
            // X25519 ignores the top bit of the ephemeral key, but the handshake's hash does not.
            prop_assert!(accept(&initiation, &control, &mut SystemRng).is_err());
        }

        #[test]
        fn any_change_of_the_response_is_refused(at in 0..RESPONSE_LEN, flip in 1..=255_u8) {
            let Sides { control, handshake, initiation, .. } = sides();
            let mut response = accept(&initiation, &control, &mut SystemRng).unwrap().response;
            response[at] ^= flip;
            prop_assert!(handshake.finish(&response).is_err());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let Sides { control, handshake, .. } = sides();
            prop_assert!(accept(&bytes, &control, &mut SystemRng).is_err());
            prop_assert!(handshake.finish(&bytes).is_err());
            let _ = first_frame_len(&bytes);
        }
    }
}
