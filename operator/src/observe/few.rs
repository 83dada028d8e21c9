//! A map of few entries.

/// A map whose entries lie in one block of just their size. A node of a `BTreeMap` has room for eleven, and most models have one
/// pod: a thousand of them would hold three megabytes of nothing. Every operation looks at each entry at most once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Few<K, V>(Vec<(K, V)>);

impl<K, V> Default for Few<K, V> {
    fn default() -> Self {
        Self(vec![])
    }
}

impl<K: Ord, V> Few<K, V> {
    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        self.place(key).ok().map(|at| &self.0[at].1)
    }

    /// The value of a key, to change it.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.place(key).ok().map(|at| &mut self.0[at].1)
    }

    /// Sets the value of a key.
    pub fn insert(&mut self, key: K, value: V) {
        match self.place(&key) {
            Ok(at) => self.0[at].1 = value,
            Err(at) => {
                self.0.reserve_exact(1);
                self.0.insert(at, (key, value));
            }
        }
    }

    /// Takes a key out.
    pub fn remove(&mut self, key: &K) {
        self.retain(|known| known != key);
    }

    /// Takes every other key out.
    pub fn retain(&mut self, stays: impl Fn(&K) -> bool) {
        let before = self.0.len();
        self.0.retain(|(key, _)| stays(key));
        if self.0.len() < before {
            self.0.shrink_to_fit();
        }
    }

    /// The keys, in their order.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.0.iter().map(|(key, _)| key)
    }

    /// The values, in the order of their keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }

    /// Number of entries.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn place(&self, key: &K) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| known.cmp(key))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn it_holds_what_any_map_holds_in_the_same_order() {
        let (mut few, mut other) = (Few::default(), BTreeMap::new());
        // Every step of a walk through small numbers, which come and go.
        for step in 0..500_u32 {
            let key = step.wrapping_mul(2_654_435_761) >> 28;
            if step % 3 == 0 {
                few.remove(&key);
                other.remove(&key);
            } else {
                few.insert(key, step);
                other.insert(key, step);
            }
            assert!(few.keys().eq(other.keys()) && few.values().eq(other.values()), "after step {step}");
            assert_eq!((few.get(&key), few.len(), few.is_empty()), (other.get(&key), other.len(), other.is_empty()));
        }
    }

    #[test]
    fn it_takes_no_more_room_than_its_entries() {
        let mut few = Few::default();
        for key in 0..9 {
            few.insert(key, key);
            assert_eq!(few.0.capacity(), few.len());
        }
        few.retain(|key| key % 2 == 0);
        assert_eq!((few.len(), few.0.capacity()), (5, 5));
        *few.get_mut(&4).unwrap() = 7;
        assert_eq!(few.get(&4), Some(&7));
    }
}
