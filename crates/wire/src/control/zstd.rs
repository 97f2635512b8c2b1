//! Compression of map messages, and decompression with a limit on everything that the sender chooses.

use ruzstd::decoding::errors::FrameDecoderError;
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

/// Largest window that is accepted: what RFC 8878 section 3.1.1.1.2 recommends every decoder to support.
pub const MAX_ZSTD_WINDOW: u64 = 8 << 20;

/// Decompressed bytes between two looks at the limit.
const STEP: usize = 64 << 10;

/// Reason why a body could not be decompressed.
#[derive(Debug, thiserror::Error)]
pub enum ZstdError {
    /// It grows beyond the limit.
    #[error("it is larger than {0} bytes when decompressed")]
    TooLarge(usize),
    /// It ends early, is damaged, or wants a larger window than [`MAX_ZSTD_WINDOW`].
    #[error("not a zstd frame that is accepted: {0}")]
    Damaged(#[from] FrameDecoderError),
    /// It is longer than its frame.
    #[error("{0} bytes follow the zstd frame")]
    Trailing(usize),
}

/// Compresses into one complete zstd frame, at the fastest level, as Headscale does.
pub(super) fn compress(content: &[u8]) -> Vec<u8> {
    compress_to_vec(content, CompressionLevel::Fastest)
}

/// Returns the content of one complete zstd frame, of at most `limit` bytes.
pub(super) fn decompress(mut frame: &[u8], limit: usize) -> Result<Vec<u8>, ZstdError> {
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(MAX_ZSTD_WINDOW);
    decoder.reset(&mut frame)?;
    let announced = usize::try_from(decoder.content_size()).unwrap_or(usize::MAX);
    if announced > limit {
        return Err(ZstdError::TooLarge(limit));
    }
    let mut content = Vec::new();
    while !decoder.is_finished() {
        decoder.decode_blocks(&mut frame, BlockDecodingStrategy::UptoBytes(STEP))?;
        if content.len() + decoder.can_collect() > limit {
            return Err(ZstdError::TooLarge(limit));
        }
        decoder.collect_to_writer(&mut content).map_err(FrameDecoderError::FailedToDrainDecodebuffer)?;
    }
    if frame.is_empty() { Ok(content) } else { Err(ZstdError::Trailing(frame.len())) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_bomb_is_an_error_not_memory() {
        let bomb = compress(&vec![0; 4 << 20]);
        assert!(bomb.len() < 4096);
        assert!(matches!(decompress(&bomb, 1 << 20), Err(ZstdError::TooLarge(_))));
        assert_eq!(decompress(&bomb, 4 << 20).unwrap().len(), 4 << 20);
    }

    #[test]
    fn a_bomb_without_an_announced_size_is_an_error_too() {
        // Window of 1 MiB, no content size; then run-length blocks of 128 KiB without end.
        let mut bomb = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 10 << 3];
        for _ in 0..1000 {
            bomb.extend_from_slice(&[0x02, 0x00, 0x10, b'x']);
        }
        assert!(matches!(decompress(&bomb, 1 << 20), Err(ZstdError::TooLarge(_))));
    }

    #[test]
    fn a_window_of_gigabytes_is_refused_before_it_is_allocated() {
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 0x01, 0, 0];
        assert!(matches!(
            decompress(&frame, 1 << 20),
            Err(ZstdError::Damaged(FrameDecoderError::WindowSizeTooBig { .. }))
        ));
    }

    #[test]
    fn a_frame_cut_short_or_followed_by_more_is_refused() {
        let mut frame = compress(b"{\"KeepAlive\":true}");
        assert!(decompress(&frame[..frame.len() - 1], 100).is_err());
        frame.push(0);
        assert!(matches!(decompress(&frame, 100), Err(ZstdError::Trailing(1))));
    }

    proptest! {
        #[test]
        fn what_is_compressed_is_read_back(content: Vec<u8>) {
            prop_assert_eq!(decompress(&compress(&content), content.len()).unwrap(), content);
        }

        #[test]
        fn damage_never_panics(content: Vec<u8>, at: prop::sample::Index, with: u8) {
            let mut frame = compress(&content);
            let at = at.index(frame.len());
            frame[at] ^= with;
            let _ = decompress(&frame, 1 << 20);
        }

        #[test]
        fn reading_never_panics(bytes: Vec<u8>) {
            let _ = decompress(&bytes, 1 << 20);
        }
    }
}
