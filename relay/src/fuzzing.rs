//! Bodies of the fuzz targets, shared with the property tests.

use crate::gateway::parameter;

/// A query, whose parameters may hold anything but get no longer by it.
pub fn query(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let name = text.split_once('=').map_or(text, |(name, _)| name);
    if let Some(value) = parameter(text, name) {
        assert!(value.len() <= text.len());
    }
}
