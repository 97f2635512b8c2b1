//! Helpers that make serde read what Go writes and leave out what Go leaves out.

use serde::{Deserialize, Deserializer};

/// Reads `null` as the empty value: Go writes it for a nil slice or map.
pub(super) fn null_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Whether a field has the value that Go's `omitempty` leaves out.
pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
