//! A map and a set in sorted vectors. In a page, where each kind of [`BTreeMap`](std::collections::BTreeMap) costs
//! kilobytes of code, these cost hundreds of bytes; the README says what they are not for.

mod map;
#[cfg(feature = "serde")]
mod serde;
mod set;

pub use map::SortedMap;
pub use set::SortedSet;
