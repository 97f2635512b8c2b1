//! The set.

use std::borrow::Borrow;
use std::fmt;

use crate::SortedMap;

/// A set in a sorted vector.
#[derive(Clone, PartialEq, Eq)]
pub struct SortedSet<T>(SortedMap<T, ()>);

impl<T> Default for SortedSet<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for SortedSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl<T> SortedSet<T> {
    /// Makes a set without elements.
    #[must_use]
    pub const fn new() -> Self {
        Self(SortedMap::new())
    }

    /// Returns the number of elements.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns `true` when there are no elements.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns all elements in their order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> + ExactSizeIterator {
        self.0.keys()
    }
}

impl<T: Ord> SortedSet<T> {
    /// Returns `true` when this is an element.
    pub fn contains<Q: Ord + ?Sized>(&self, element: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        self.0.contains_key(element)
    }

    /// Adds an element. Returns `true` when it was none before.
    pub fn insert(&mut self, element: T) -> bool {
        self.0.insert(element, ()).is_none()
    }

    /// Removes an element. Returns `true` when it was one.
    pub fn remove<Q: Ord + ?Sized>(&mut self, element: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        self.0.remove(element).is_some()
    }
}

impl<T: Ord> FromIterator<T> for SortedSet<T> {
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Self {
        Self(elements.into_iter().map(|element| (element, ())).collect())
    }
}

impl<T: Ord, const N: usize> From<[T; N]> for SortedSet<T> {
    fn from(elements: [T; N]) -> Self {
        elements.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::SortedSet;

    #[test]
    fn each_element_is_there_once_and_in_order() {
        let mut set = SortedSet::from([3, 1, 3]);
        assert!(set.insert(2) && !set.insert(2));
        assert!(set.remove(&1) && !set.remove(&1));
        assert!(set.contains(&2) && !set.contains(&1));
        assert_eq!(set.iter().copied().collect::<Vec<_>>(), [2, 3]);
        assert_eq!((set.len(), set.is_empty()), (2, false));
    }
}
