//! The file by which a program notifies another that it is ready.

use std::path::Path;
use std::{fs, io};

/// Writes `contents` to the file at `path`, aside first: whoever sees the file sees all of it.
///
/// # Errors
/// When the file cannot be written or renamed.
pub fn write_ready_file(path: &Path, contents: impl AsRef<[u8]>) -> io::Result<()> {
    let aside = path.with_extension("new");
    fs::write(&aside, contents)?;
    fs::rename(aside, path)
}
