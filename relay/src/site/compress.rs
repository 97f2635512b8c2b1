//! Making the compressed forms of files.

use std::io::{self, Write as _};
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::{Asset, Assets, Compressed};

/// Files below this are not worth it.
const MIN_LEN: usize = 512;
/// brotli's quality: nearly as small as the best, in a tenth of its time.
const BROTLI_QUALITY: i32 = 9;
/// brotli's window: 4 MiB, the most that browsers take by default is 16.
const BROTLI_WINDOW: i32 = 22;

/// Makes the compressed forms that are missing. Takes seconds for megabytes: not for a task that others wait for.
pub(super) fn compress_all(assets: &Assets) {
    let mut assets: Vec<&Arc<Asset>> = assets.values().filter(|asset| is_compressible(asset)).collect();
    // The small ones first, since they are ready at once.
    assets.sort_by_key(|asset| asset.bytes.len());
    for asset in &assets {
        add(asset, gzip, |forms| &mut forms.gzip);
    }
    for asset in &assets {
        add(asset, brotli, |forms| &mut forms.brotli);
    }
}

fn is_compressible(asset: &Asset) -> bool {
    let kind = asset.kind;
    let worth = kind.starts_with("text/")
        || kind.starts_with("application/") && kind != "application/octet-stream"
        || kind == "image/svg+xml";
    worth && asset.bytes.len() >= MIN_LEN
}

/// Makes a form and keeps it, unless the directory has brought one or it is no smaller.
fn add(
    asset: &Asset,
    make: fn(&[u8]) -> io::Result<Vec<u8>>,
    slot: fn(&mut Compressed) -> &mut Option<Bytes>,
) {
    let brought = asset.compressed.write().map_or(true, |mut forms| slot(&mut forms).is_some());
    if brought {
        return;
    }
    let Ok(made) = make(&asset.bytes) else { return };
    if made.len() < asset.bytes.len()
        && let Ok(mut forms) = asset.compressed.write()
    {
        *slot(&mut forms) = Some(made.into());
    }
}

fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 2), Compression::new(6));
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn brotli(mut bytes: &[u8]) -> io::Result<Vec<u8>> {
    let params = brotli::enc::BrotliEncoderParams {
        quality: BROTLI_QUALITY,
        lgwin: BROTLI_WINDOW,
        size_hint: bytes.len(),
        ..Default::default()
    };
    let mut out = Vec::with_capacity(bytes.len() / 3);
    brotli::BrotliCompress(&mut bytes, &mut out, &params)?;
    Ok(out)
}
