//! A map and a set in sorted vectors. In a page, where each kind of [`BTreeMap`](std::collections::BTreeMap) costs
//! kilobytes of code, these cost hundreds of bytes; the README says what they are not for.
//!
//! ```
//! let mut map: dayfly_sorted::SortedMap<u32, &str> = [(2, "b"), (1, "a")].into_iter().collect();
//! map.insert(3, "c");
//! assert_eq!(map.keys().copied().collect::<Vec<_>>(), [1, 2, 3]);
//! assert_eq!(map.get(&2), Some(&"b"));
//! ```

mod map;
#[cfg(feature = "serde")]
mod serde;
mod set;

pub use map::SortedMap;
pub use set::SortedSet;
