//! Settings that mean nothing without others.

use thiserror::Error;

/// A setting was given without another one that it means nothing without.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("--{0} needs --{1}")]
pub struct Needs(pub &'static str, pub &'static str);

/// Refuses a setting that was given without one that it means nothing without.
pub(crate) const fn needs(
    name: &'static str,
    is_given: bool,
    other: &'static str,
    other_is_given: bool,
) -> Result<(), Needs> {
    if is_given && !other_is_given { Err(Needs(name, other)) } else { Ok(()) }
}
