//! The framing of a map answer: `u32 length (little-endian) || body`, over and over.

use super::MapResponse;
use super::repair::from_json_dropping;

/// Most bytes that a frame may announce: ten thousand machines take about half of it.
///
/// Go's client has no limit; a page must not be made to buy memory by four bytes.
pub const MAX_MAP_FRAME: usize = 32 << 20;

/// Most bytes of a frame's body once it is decompressed.
pub const MAX_MAP_BODY: usize = 32 << 20;

const LENGTH: usize = 4;

/// Reason why a map answer cannot be read on, or a message not be written. A stream that is read is lost.
#[derive(Debug, thiserror::Error)]
pub enum MapFrameError {
    /// A frame announces more than [`MAX_MAP_FRAME`].
    #[error("a map message of {0} bytes was announced, more than the {MAX_MAP_FRAME} allowed")]
    TooLong(usize),
    /// A body is not what was asked for.
    #[error("a map message could not be read: {0}")]
    Json(#[from] serde_json::Error),
    /// A body could not be decompressed.
    #[cfg(feature = "zstd")]
    #[error("a map message could not be decompressed: {0}")]
    Zstd(#[from] super::ZstdError),
}

/// Compression of map messages' bodies, which the request asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MapCompression {
    /// Plain JSON.
    #[default]
    Plain,
    /// Each body is a zstd frame of its own, as Go's client always wants it.
    #[cfg(feature = "zstd")]
    Zstd,
}

impl MapCompression {
    /// Returns the compression that a [`MapRequest`](super::MapRequest) asks for by `compress`; `None` for one that is not
    /// known here.
    #[must_use]
    pub fn requested(compress: &str) -> Option<Self> {
        match compress {
            "" => Some(Self::Plain),
            #[cfg(feature = "zstd")]
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Appends a message to a map answer, as a server does. The same message gives the same bytes each time, by which Go's
    /// client recognises keep-alives.
    ///
    /// # Errors
    /// When the message cannot be written as JSON, or is longer than [`MAX_MAP_BODY`].
    pub fn write_frame(self, message: &MapResponse, out: &mut Vec<u8>) -> Result<(), MapFrameError> {
        let body = serde_json::to_vec(message)?;
        if body.len() > MAX_MAP_BODY {
            return Err(MapFrameError::TooLong(body.len()));
        }
        let body = match self {
            Self::Plain => body,
            #[cfg(feature = "zstd")]
            Self::Zstd => super::zstd::compress(&body),
        };
        let length = u32::try_from(body.len()).ok().filter(|_| body.len() <= MAX_MAP_FRAME);
        let length = length.ok_or(MapFrameError::TooLong(body.len()))?;
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&body);
        Ok(())
    }
}

/// Cuts the bytes of a map answer into messages. Memory grows with what arrived, never with what was announced.
#[derive(Debug, Default)]
pub struct MapFrames {
    buffer: Vec<u8>,
    read: usize,
    compression: MapCompression,
}

impl MapFrames {
    /// Makes a reader of bodies of plain JSON.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a reader of bodies that are a zstd frame of JSON each.
    #[cfg(feature = "zstd")]
    #[must_use]
    pub fn zstd() -> Self {
        Self { compression: MapCompression::Zstd, ..Self::default() }
    }

    /// Takes the next bytes of the answer.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.read > 0 {
            self.buffer.drain(..self.read);
            self.read = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns the next message that is complete; `None` when more bytes are needed.
    ///
    /// # Errors
    /// When a frame is too long, or its body is not what was asked for. The stream is lost then.
    pub fn next_message(&mut self) -> Result<Option<MapResponse>, MapFrameError> {
        let unread = self.buffer.get(self.read..).unwrap_or_default();
        let Some((length, rest)) = unread.split_first_chunk::<LENGTH>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        if length > MAX_MAP_FRAME {
            return Err(MapFrameError::TooLong(length));
        }
        let Some(body) = rest.get(..length) else {
            return Ok(None);
        };
        let message = match self.compression {
            MapCompression::Plain => from_json_dropping(body)?,
            #[cfg(feature = "zstd")]
            MapCompression::Zstd => from_json_dropping(&super::zstd::decompress(body, MAX_MAP_BODY)?)?,
        };
        self.read += LENGTH + length;
        if self.read == self.buffer.len() {
            // What a large first message took is given back.
            self.buffer = Vec::new();
            self.read = 0;
        }
        Ok(Some(message))
    }
}

/// Appends a message of plain JSON to a map answer, as a server does.
///
/// # Errors
/// As for [`MapCompression::write_frame`].
pub fn write_map_frame(message: &MapResponse, out: &mut Vec<u8>) -> Result<(), MapFrameError> {
    MapCompression::Plain.write_frame(message, out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn named(domain: &str) -> MapResponse {
        MapResponse { domain: domain.to_owned(), ..MapResponse::default() }
    }

    #[test]
    fn a_frame_longer_than_allowed_is_refused_by_its_length_alone() {
        let mut frames = MapFrames::new();
        frames.push(&u32::MAX.to_le_bytes());
        assert!(matches!(frames.next_message(), Err(MapFrameError::TooLong(_))));
    }

    #[test]
    fn the_length_is_little_endian() {
        let mut out = Vec::new();
        write_map_frame(&MapResponse { keep_alive: true, ..MapResponse::default() }, &mut out).unwrap();
        assert_eq!(out, b"\x12\0\0\0{\"KeepAlive\":true}");
    }

    #[cfg(feature = "zstd")]
    #[test]
    fn a_compressed_message_is_read_back_and_is_the_same_each_time() {
        let [mut once, mut twice] = [Vec::new(), Vec::new()];
        for out in [&mut once, &mut twice] {
            let compression = MapCompression::requested("zstd").unwrap();
            compression.write_frame(&named("tail.test"), out).unwrap();
        }
        assert_eq!(once, twice);
        // The magic number of zstd (RFC 8878 section 3.1.1), behind the length.
        assert_eq!(once[4..8], [0x28, 0xb5, 0x2f, 0xfd]);
        let mut frames = MapFrames::zstd();
        frames.push(&once);
        assert_eq!(frames.next_message().unwrap(), Some(named("tail.test")));
    }

    #[test]
    fn an_unknown_compression_is_none() {
        assert_eq!(MapCompression::requested(""), Some(MapCompression::Plain));
        assert_eq!(MapCompression::requested("br"), None);
    }

    proptest! {
        #[test]
        fn messages_survive_any_cutting(domains: Vec<String>, cuts: Vec<usize>) {
            let mut bytes = Vec::new();
            for domain in &domains {
                write_map_frame(&named(domain), &mut bytes).unwrap();
            }
            let mut frames = MapFrames::new();
            let mut seen = Vec::new();
            let mut rest = &bytes[..];
            for cut in cuts.into_iter().chain([usize::MAX]) {
                let (piece, after) = rest.split_at(cut % (rest.len() + 1));
                let piece = if cut == usize::MAX { rest } else { piece };
                rest = if cut == usize::MAX { &[] } else { after };
                frames.push(piece);
                while let Some(message) = frames.next_message().unwrap() {
                    seen.push(message.domain);
                }
            }
            prop_assert_eq!(seen, domains);
        }

        #[test]
        fn reading_never_panics(bytes: Vec<u8>) {
            let mut frames = MapFrames::new();
            frames.push(&bytes);
            while let Ok(Some(_)) = frames.next_message() {}
        }
    }
}
