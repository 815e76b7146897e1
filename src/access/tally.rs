//! How many of anything each client has at the moment: connections of an address, requests of a subject.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts by client. Whoever has nothing takes no memory, so there are never more entries than things counted. Its
/// clones are the same.
pub struct Tally<K> {
    /// Its keys come from strangers: the hasher of std cannot be made to collide.
    counts: Arc<Mutex<HashMap<K, usize>>>,
}

/// One that was counted; dropping it counts it out.
pub struct Share<K: Eq + Hash> {
    tally: Tally<K>,
    key: K,
}

impl<K: Eq + Hash + Clone> Tally<K> {
    /// Counts one more of `key`, unless there are `most` already. One look, whatever there is.
    pub fn try_take(&self, key: K, most: usize) -> Option<Share<K>> {
        let mut counts = self.counts();
        let count = counts.get(&key).copied().unwrap_or(0);
        if count >= most {
            return None;
        }
        counts.insert(key.clone(), count.saturating_add(1));
        drop(counts);
        let tally = self.clone();
        Some(Share { tally, key })
    }

    /// How many clients have anything.
    pub fn clients(&self) -> usize {
        self.counts().len()
    }
}

impl<K: Eq + Hash> Tally<K> {
    fn counts(&self) -> MutexGuard<'_, HashMap<K, usize>> {
        // Every change is one insertion or removal, so a panic leaves it whole.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> Drop for Share<K> {
    fn drop(&mut self) {
        let mut counts = self.tally.counts();
        if let Some(count) = counts.get_mut(&self.key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}

impl<K> Clone for Tally<K> {
    fn clone(&self) -> Self {
        Tally {
            counts: self.counts.clone(),
        }
    }
}

impl<K> Default for Tally<K> {
    fn default() -> Self {
        Tally {
            counts: Arc::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_has_so_many_and_no_more() {
        let tally = Tally::default();
        let first = tally.try_take("a", 2).unwrap();
        let _second = tally.try_take("a", 2).unwrap();
        assert!(tally.try_take("a", 2).is_none());
        assert!(tally.try_take("b", 2).is_some(), "another has its own");
        drop(first);
        assert!(
            tally.try_take("a", 2).is_some(),
            "what ended counts no more"
        );
    }

    #[test]
    fn a_bound_that_was_lowered_counts_for_the_next_one() {
        let tally = Tally::default();
        let shares: Vec<_> = (0..3).map(|_| tally.try_take("a", 3).unwrap()).collect();
        assert!(tally.try_take("a", 1).is_none());
        drop(shares);
        assert!(tally.try_take("a", 1).is_some());
    }

    #[test]
    fn whoever_has_gone_is_forgotten() {
        let tally = Tally::default();
        for number in 0..1_000 {
            drop(tally.try_take(number, 1).unwrap());
        }
        let last = tally.try_take(7, 1);
        assert_eq!(tally.clients(), 1);
        drop(last);
        assert_eq!(tally.clients(), 0);
    }

    #[test]
    fn none_is_counted_where_none_is_allowed() {
        let tally = Tally::default();
        assert!(tally.try_take("a", 0).is_none());
        assert_eq!(tally.clients(), 0);
    }
}
