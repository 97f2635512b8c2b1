//! Bodies of the fuzz targets, shared with the property tests.

use crate::websocket::{Control, Decoder, WsError};

/// The outcome of a client's bytes: payload, the last Ping, the Close, and the error that ended it all.
type Outcome = (Vec<u8>, Option<Vec<u8>>, Option<Vec<u8>>, Option<WsError>);

fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Outcome {
    let (mut decoder, mut control, mut out) = (Decoder::default(), Control::default(), Vec::new());
    for piece in pieces {
        let mut buffer = piece.to_vec();
        match decoder.decode(&mut buffer, &mut control) {
            // How much of a piece was read before its error is nobody's business: the connection ends.
            Err(error) => return (Vec::new(), None, None, Some(error)),
            Ok(len) => out.extend_from_slice(&buffer[..len]),
        }
        // As a link does, which reads nothing after a Close.
        if control.close.is_some() {
            break;
        }
    }
    (out, control.pong, control.close, None)
}

/// A client's WebSocket frames, after a byte that tells in which pieces they come: it must make no difference.
pub fn websocket_frames(bytes: &[u8]) {
    let Some((piece, bytes)) = bytes.split_first() else { return };
    let whole = decode(std::iter::once(bytes));
    assert!(whole.0.len() <= bytes.len());
    assert_eq!(whole, decode(bytes.chunks(usize::from(*piece).max(1))));
}
