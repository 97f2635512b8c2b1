//! The map.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::ops::Index;

/// A map in a vector that is sorted by its keys, each of which is there once.
#[derive(Clone, PartialEq, Eq)]
pub struct SortedMap<K, V>(Vec<(K, V)>);

impl<K, V> Default for SortedMap<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for SortedMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K, V> SortedMap<K, V> {
    /// Makes a map without entries.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Returns the number of entries.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns `true` when there are no entries.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Removes all entries.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Returns all entries in the order of their keys.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> + ExactSizeIterator {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// Returns all entries in the order of their keys, the values to be changed.
    pub fn iter_mut(&mut self) -> impl DoubleEndedIterator<Item = (&K, &mut V)> + ExactSizeIterator {
        self.0.iter_mut().map(|(key, value)| (&*key, value))
    }

    /// Returns all keys in their order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> + ExactSizeIterator {
        self.0.iter().map(|(key, _)| key)
    }

    /// Returns all values in the order of their keys.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> + ExactSizeIterator {
        self.0.iter().map(|(_, value)| value)
    }

    /// Returns all values in the order of their keys, to be changed.
    pub fn values_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut V> + ExactSizeIterator {
        self.0.iter_mut().map(|(_, value)| value)
    }

    /// Keeps those entries for which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        self.0.retain_mut(|(key, value)| keep(key, value));
    }
}

impl<K: Ord, V> SortedMap<K, V> {
    /// Returns the place of a key, or the one that it would have.
    fn find<Q: Ord + ?Sized>(&self, wanted: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
    {
        // Maps are mostly filled in order.
        match self.0.last() {
            Some((last, _)) if last.borrow() < wanted => Err(self.0.len()),
            _ => self.0.binary_search_by(|(key, _)| key.borrow().cmp(wanted)),
        }
    }

    /// Returns the value of a key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.0.get(self.find(key).ok()?).map(|(_, value)| value)
    }

    /// Returns the value of a key, to be changed.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let at = self.find(key).ok()?;
        self.0.get_mut(at).map(|(_, value)| value)
    }

    /// Returns `true` when a key has a value.
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.find(key).is_ok()
    }

    /// Gives a key a value, and returns the one that it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.find(&key) {
            Ok(at) => self.0.get_mut(at).map(|(_, old)| std::mem::replace(old, value)),
            Err(at) => {
                self.0.insert(at, (key, value));
                None
            }
        }
    }

    /// Returns the value of a key, which it is given first if it has none.
    pub fn get_or_insert_with(&mut self, key: K, value: impl FnOnce() -> V) -> &mut V {
        let at = match self.find(&key) {
            Ok(at) => at,
            Err(at) => {
                self.0.insert(at, (key, value()));
                at
            }
        };
        &mut self.0[at].1
    }

    /// Removes a key, and returns its value.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.find(key).ok().map(|at| self.0.remove(at).1)
    }
}

impl<K: Ord + Borrow<Q>, V, Q: Ord + ?Sized> Index<&Q> for SortedMap<K, V> {
    type Output = V;

    /// Returns the value of a key.
    ///
    /// # Panics
    /// For a key without one.
    fn index(&self, key: &Q) -> &V {
        match self.find(key) {
            Ok(at) => &self.0[at].1,
            // As a vector does for an index that it does not have.
            Err(_) => &self.0[self.0.len()].1,
        }
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for SortedMap<K, V> {
    /// Of several entries with the same key, the last one stays.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let entries: Vec<(K, V)> = entries.into_iter().collect();
        if entries.is_sorted_by(|(a, _), (b, _)| a < b) {
            return Self(entries);
        }
        let order = order(entries.len(), &|a, b| entries[a].0.cmp(&entries[b].0));
        let mut unsorted: Vec<Option<(K, V)>> = entries.into_iter().map(Some).collect();
        let mut sorted: Vec<(K, V)> = Vec::with_capacity(unsorted.len());
        for entry in order.into_iter().filter_map(|at| unsorted[at].take()) {
            match sorted.last_mut() {
                Some(last) if last.0 == entry.0 => *last = entry,
                _ => sorted.push(entry),
            }
        }
        Self(sorted)
    }
}

/// The places of as many elements in the order that `compare` tells, equal ones in the order in which they are. One
/// sort serves all kinds of maps so.
fn order(length: usize, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut order: Vec<usize> = (0..length).collect();
    order.sort_by(|&a, &b| compare(a, b));
    order
}

impl<K: Ord, V, const N: usize> From<[(K, V); N]> for SortedMap<K, V> {
    fn from(entries: [(K, V); N]) -> Self {
        entries.into_iter().collect()
    }
}

impl<K, V> IntoIterator for SortedMap<K, V> {
    type Item = (K, V);
    type IntoIter = std::vec::IntoIter<(K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a, K, V> IntoIterator for &'a SortedMap<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = Iter<'a, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        Iter(self.0.iter())
    }
}

/// The entries of a [`SortedMap`] that is lent.
#[derive(Debug, Clone)]
pub struct Iter<'a, K, V>(std::slice::Iter<'a, (K, V)>);

impl<'a, K, V> Iterator for Iter<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(key, value)| (key, value))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::SortedMap;

    #[derive(Clone, Debug)]
    enum Change {
        Insert(u8, u16),
        GetOrInsert(u8, u16),
        Remove(u8),
        RetainBelow(u8),
    }

    fn change() -> impl Strategy<Value = Change> {
        prop_oneof![
            4 => (any::<u8>(), any::<u16>()).prop_map(|(key, value)| Change::Insert(key, value)),
            2 => (any::<u8>(), any::<u16>()).prop_map(|(key, value)| Change::GetOrInsert(key, value)),
            3 => any::<u8>().prop_map(Change::Remove),
            1 => (128..=u8::MAX).prop_map(Change::RetainBelow),
        ]
    }

    proptest! {
        #[test]
        fn it_does_what_a_tree_does(changes in proptest::collection::vec(change(), 0..300)) {
            let mut map = SortedMap::new();
            let mut tree = BTreeMap::new();
            for change in changes {
                match change {
                    Change::Insert(key, value) => prop_assert_eq!(map.insert(key, value), tree.insert(key, value)),
                    Change::GetOrInsert(key, value) => prop_assert_eq!(
                        map.get_or_insert_with(key, || value),
                        tree.entry(key).or_insert(value)
                    ),
                    Change::Remove(key) => prop_assert_eq!(map.remove(&key), tree.remove(&key)),
                    Change::RetainBelow(limit) => {
                        map.retain(|key, _| *key < limit);
                        tree.retain(|key, _| *key < limit);
                    }
                }
                prop_assert_eq!(map.len(), tree.len());
            }
            for key in 0..=u8::MAX {
                prop_assert_eq!(map.get(&key), tree.get(&key));
                prop_assert_eq!(map.contains_key(&key), tree.contains_key(&key));
            }
            prop_assert!(map.iter().eq(tree.iter()));
            prop_assert!(map.into_iter().eq(tree));
        }
    }

    proptest! {
        #[test]
        fn it_is_made_of_entries_in_any_order(entries in proptest::collection::vec(any::<(u8, u16)>(), 0..300)) {
            let tree: BTreeMap<u8, u16> = entries.iter().copied().collect();
            let map: SortedMap<u8, u16> = entries.into_iter().collect();
            prop_assert!(map.into_iter().eq(tree));
        }
    }

    #[test]
    fn the_last_of_several_values_of_a_key_stays() {
        let map = SortedMap::from([("b", 1), ("a", 2), ("b", 3)]);
        assert_eq!(map, [("a", 2), ("b", 3)].into_iter().collect());
        assert_eq!(format!("{map:?}"), "{\"a\": 2, \"b\": 3}");
    }
}
