//! Reading the directory of the page.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use bytes::Bytes;
use dayfly_http::HeaderValue;
use ring::digest;
use thiserror::Error;

use super::{Asset, Assets, Compressed, preload};

/// The most that is kept in memory. A page has some megabytes.
const MAX_TOTAL: u64 = 256 << 20;
/// Levels of directories that may lie in each other.
const MAX_DEPTH: usize = 16;
/// Hexadecimal digits from which on a part of a name is taken for a hash of the contents.
const HASH_DIGITS: usize = 16;

/// Reasons why a directory cannot be served.
#[derive(Debug, Error)]
pub enum LoadError {
    /// Something in it could not be read.
    #[error("{} cannot be read: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// It holds more than is kept in memory.
    #[error("{} holds more than {} MiB", .0.display(), MAX_TOTAL >> 20)]
    TooMuch(PathBuf),
    /// It has no `index.html`.
    #[error("{} has no index.html: is the page built?", .0.display())]
    NoIndex(PathBuf),
}

/// Reads all files below `root`. Links that lead out of it are left out, as are hidden files.
///
/// # Errors
/// When something cannot be read, there is too much, or there is no page.
pub(super) fn load(root: &Path) -> Result<Assets, LoadError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| LoadError::Io { path, source }
    };
    let root = fs::canonicalize(root).map_err(failed(root))?;
    let (mut files, mut total) = (HashMap::new(), 0);
    let mut directories = vec![(root.clone(), String::from("/"), 0)];
    while let Some((directory, prefix, depth)) = directories.pop() {
        for entry in fs::read_dir(&directory).map_err(failed(&directory))? {
            let entry = entry.map_err(failed(&directory))?;
            let name = entry.file_name();
            let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else { continue };
            let Ok(path) = fs::canonicalize(entry.path()) else { continue };
            if !path.starts_with(&root) {
                continue;
            }
            let metadata = fs::metadata(&path).map_err(failed(&path))?;
            if metadata.is_dir() && depth < MAX_DEPTH {
                directories.push((path, format!("{prefix}{name}/"), depth + 1));
            } else if metadata.is_file() {
                total += metadata.len();
                if total > MAX_TOTAL {
                    return Err(LoadError::TooMuch(root));
                }
                let bytes = Bytes::from(fs::read(&path).map_err(failed(&path))?);
                files.insert(format!("{prefix}{name}"), bytes);
            }
        }
    }
    if !files.contains_key("/index.html") {
        return Err(LoadError::NoIndex(root));
    }
    Ok(assets(&files))
}

/// Pairs files with their compressed forms.
fn assets(files: &HashMap<String, Bytes>) -> Assets {
    let sibling = |path: &str, suffix: &str| files.get(&format!("{path}{suffix}")).cloned();
    let is_sibling = |path: &str| {
        [".br", ".gz"]
            .iter()
            .any(|suffix| path.strip_suffix(suffix).is_some_and(|path| files.contains_key(path)))
    };
    files
        .iter()
        .filter(|(path, _)| !is_sibling(path))
        .map(|(path, bytes)| {
            let compressed = Compressed { brotli: sibling(path, ".br"), gzip: sibling(path, ".gz") };
            (path.clone(), Arc::new(asset(path, bytes.clone(), compressed)))
        })
        .collect()
}

/// Makes one file that is served as `path`.
pub(super) fn asset(path: &str, bytes: Bytes, compressed: Compressed) -> Asset {
    let hash = digest::digest(&digest::SHA256, &bytes);
    let hex: String = hash.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let etag =
        HeaderValue::try_from(format!("\"{hex}\"")).unwrap_or_else(|_| HeaderValue::from_static("\"\""));
    let kind = kind(path);
    let links = if kind.starts_with("text/html") { preload::links(&bytes) } else { None };
    Asset { kind, immutable: has_hash(path), links, bytes, etag, compressed: RwLock::new(compressed) }
}

/// Makes a file that is served as `path` and may change at any start.
pub(super) fn single(path: &str, bytes: Bytes) -> Arc<Asset> {
    Arc::new(asset(path, bytes, Compressed::default()))
}

/// Returns `true` if a name holds a hash, as in `main-0123456789abcdef.js`, `main-0123456789abcdef_bg.wasm` or
/// `main.0123456789abcdef.js`.
pub(super) fn has_hash(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let is_hash = |part: &str| {
        let digits = part.bytes().take_while(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')).count();
        digits >= HASH_DIGITS && part.as_bytes().get(digits).is_none_or(|byte| !byte.is_ascii_alphanumeric())
    };
    name.split(['-', '.']).skip(1).any(is_hash)
}

/// Returns the media type of a name's extension.
fn kind(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "wasm" => "application/wasm",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "woff2" => "font/woff2",
        "txt" | "md" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
