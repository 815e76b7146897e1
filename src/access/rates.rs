//! How often a client does anything: a token bucket for each, of bounded number. Integers only, and the time is
//! handed in.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::config::Rate;

/// Buckets that one hash may lie in. The more, the later one that is in use has to make room.
const WAYS: usize = 8;
/// How many such groups there are: 65,536 buckets, 1.2 MiB.
const SETS: usize = 8_192;

/// A rate with the burst that it allows, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// From one to the next.
    interval: u64,
    /// How far ahead of that somebody may be: the whole bucket.
    capacity: u64,
}

impl Pace {
    /// The pace of `rate`, with what was left unused in `burst` at once, one at least.
    pub fn new(rate: Rate, burst: Duration) -> Self {
        let interval = nanos(rate.per.length()) / u64::from(rate.count.get());
        let capacity = nanos(burst).max(interval);
        Pace { interval, capacity }
    }

    /// What so many take.
    fn price(self, cost: u64) -> u64 {
        self.interval.saturating_mul(cost)
    }

    /// Takes `cost` out of a bucket that is full again at `full_at`; when it is full afterwards.
    ///
    /// What is larger than a bucket is taken from a full one, which then stays empty for as much longer: a batch is
    /// never refused for good, and on average nobody gets more than the rate.
    ///
    /// # Errors
    /// How long to wait until the same is granted.
    fn take(self, full_at: u64, cost: u64, now: u64) -> Result<u64, u64> {
        let full_at = full_at.max(now);
        let price = self.price(cost);
        let lowest = full_at.saturating_add(price.min(self.capacity));
        match lowest.saturating_sub(now).saturating_sub(self.capacity) {
            0 => Ok(full_at.saturating_add(price)),
            wait => Err(wait),
        }
    }
}

/// The buckets of all clients.
///
/// They take the same memory whoever comes. Where a new one finds no place, it takes that of the one in its group which
/// is nearest to being full: most are full, and forgetting those changes nothing. Whoever comes from more places than
/// there are buckets, as from all of a /48, may have one forgotten that is in use; that gives back one burst at most, and what
/// a batch still owes, where the place that took it brought a burst of its own along.
pub struct Buckets {
    hasher: RandomState,
    sets: Box<[Mutex<[Bucket; WAYS]>]>,
}

/// Whose it is, and when it is full. No key is kept: two clients share a bucket only where 64 bits of a hash that
/// nobody outside knows are the same.
#[derive(Clone, Copy, Default)]
struct Bucket {
    owner: u64,
    full_at: u64,
}

impl Buckets {
    /// All full.
    pub fn new() -> Self {
        Self::of(SETS)
    }

    /// In so many groups, at least one.
    fn of(sets: usize) -> Self {
        let empty = || Mutex::new([Bucket::default(); WAYS]);
        Buckets {
            hasher: RandomState::new(),
            sets: (0..sets.max(1)).map(|_| empty()).collect(),
        }
    }

    /// Takes `cost` out of the bucket of `client` at the time `now`, which is measured from any fixed moment. Whoever is
    /// refused pays nothing. Takes some 60 ns.
    ///
    /// # Errors
    /// How long to wait until the same is granted.
    pub fn take(
        &self,
        client: impl Hash,
        pace: Pace,
        cost: u64,
        now: Duration,
    ) -> Result<(), Duration> {
        self.change(client, now, |bucket, now| {
            let taken = pace.take(bucket.full_at, cost, now);
            bucket.full_at = taken.map_err(Duration::from_nanos)?;
            Ok(())
        })
        .unwrap_or(Ok(()))
    }

    /// Takes `cost` whether there is so much or not: the next who takes anything waits until it is paid for.
    pub fn charge(&self, client: impl Hash, pace: Pace, cost: u64, now: Duration) {
        self.change(client, now, |bucket, now| {
            let full_at = bucket.full_at.max(now);
            bucket.full_at = full_at.saturating_add(pace.price(cost));
        });
    }

    /// Changes the bucket of `client`; `None`: it has none.
    fn change<T>(
        &self,
        client: impl Hash,
        now: Duration,
        change: impl FnOnce(&mut Bucket, u64) -> T,
    ) -> Option<T> {
        let now = nanos(now);
        let owner = self.hasher.hash_one(client);
        // Every change is one assignment, so a panic leaves it whole.
        let set = self.sets.get(self.place(owner))?;
        let mut set = set.lock().unwrap_or_else(PoisonError::into_inner);
        find(&mut set, owner, now).map(|bucket| change(bucket, now))
    }

    /// Puts back what was [taken](Self::take) for something that did not come about.
    pub fn give_back(&self, client: impl Hash, pace: Pace, cost: u64) {
        let owner = self.hasher.hash_one(client);
        let Some(set) = self.sets.get(self.place(owner)) else {
            return;
        };
        let mut set = set.lock().unwrap_or_else(PoisonError::into_inner);
        // Where it was forgotten meanwhile, it is full already.
        if let Some(bucket) = set.iter_mut().find(|bucket| bucket.owner == owner) {
            bucket.full_at = bucket.full_at.saturating_sub(pace.price(cost));
        }
    }

    /// The group of a hash.
    fn place(&self, owner: u64) -> usize {
        let sets = u64::try_from(self.sets.len()).unwrap_or(1).max(1);
        usize::try_from(owner % sets).unwrap_or(0)
    }
}

impl Default for Buckets {
    fn default() -> Self {
        Self::new()
    }
}

/// The bucket of `owner`, or the place of the one that is the first to be full, made its own.
fn find(set: &mut [Bucket; WAYS], owner: u64, now: u64) -> Option<&mut Bucket> {
    let own = set.iter().position(|bucket| bucket.owner == owner);
    let bucket = match own {
        Some(index) => set.get_mut(index),
        None => set.iter_mut().min_by_key(|bucket| bucket.full_at),
    }?;
    if bucket.owner != owner {
        *bucket = Bucket {
            owner,
            full_at: now,
        };
    }
    Some(bucket)
}

/// 584 years fit.
fn nanos(length: Duration) -> u64 {
    u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Per;

    const SECOND: Duration = Duration::from_secs(1);

    fn pace(count: u32, per: Per, burst: u64) -> Pace {
        let count = count.try_into().unwrap();
        Pace::new(Rate { count, per }, Duration::from_secs(burst))
    }

    /// Numbers that are the same in each run (xorshift).
    fn numbers(seed: u64) -> impl Iterator<Item = u64> {
        std::iter::successors(Some(seed), |last| {
            let mut next = last ^ (last << 13);
            next ^= next >> 7;
            Some(next ^ (next << 17))
        })
        .skip(1)
    }

    /// How many of `cost` are granted at `now`, up to a thousand.
    fn granted(buckets: &Buckets, client: u32, pace: Pace, now: Duration) -> usize {
        (0..1_000)
            .take_while(|_| buckets.take(client, pace, 1, now).is_ok())
            .count()
    }

    #[test]
    fn a_burst_is_granted_at_once_and_then_the_rate() {
        let (buckets, pace) = (Buckets::new(), pace(10, Per::Second, 5));
        let at = |seconds: u64| Duration::from_secs(seconds);
        assert_eq!(granted(&buckets, 1, pace, at(100)), 50);
        assert_eq!(granted(&buckets, 1, pace, at(101)), 10);
        assert_eq!(granted(&buckets, 1, pace, at(103)), 20);
        assert_eq!(
            granted(&buckets, 1, pace, at(1_000)),
            50,
            "no more than a burst"
        );
        assert_eq!(
            granted(&buckets, 2, pace, at(1_000)),
            50,
            "each has its own"
        );
    }

    #[test]
    fn a_burst_is_one_at_least() {
        let (buckets, pace) = (Buckets::new(), pace(1, Per::Hour, 1));
        assert_eq!(granted(&buckets, 1, pace, SECOND), 1);
    }

    #[test]
    fn what_is_told_to_wait_is_exact() {
        let (buckets, pace) = (Buckets::new(), pace(7, Per::Minute, 60));
        let mut now = SECOND;
        for cost in numbers(3).map(|number| number % 12).take(1_000) {
            if let Err(wait) = buckets.take(1, pace, cost, now) {
                let just_before = now + wait - Duration::from_nanos(1);
                assert!(buckets.take(1, pace, cost, just_before).is_err());
                now += wait;
                assert_eq!(buckets.take(1, pace, cost, now), Ok(()));
            }
        }
    }

    #[test]
    fn whoever_is_refused_pays_nothing() {
        let (buckets, pace) = (Buckets::new(), pace(1, Per::Second, 3));
        granted(&buckets, 1, pace, SECOND);
        let wait = buckets.take(1, pace, 2, SECOND).unwrap_err();
        for _ in 0..100 {
            assert_eq!(buckets.take(1, pace, 2, SECOND), Err(wait));
        }
    }

    #[test]
    fn a_batch_beyond_the_burst_is_taken_from_a_full_bucket_and_paid_for_afterwards() {
        let (buckets, pace) = (Buckets::new(), pace(10, Per::Second, 1));
        assert_eq!(buckets.take(1, pace, 1_000, SECOND), Ok(()));
        let wait = buckets.take(1, pace, 1, SECOND).unwrap_err();
        assert_eq!(wait, Duration::from_millis(99_100));
        assert_eq!(
            buckets.take(1, pace, 1_000, SECOND + wait),
            Err(Duration::from_millis(900))
        );
    }

    /// Against a model that counts in whole tokens: whatever is asked and when, never more than a burst and the rate.
    #[test]
    fn in_no_stretch_of_time_is_more_granted_than_the_burst_and_the_rate() {
        for seed in 1..=50 {
            let mut random = numbers(seed * 7_919);
            let mut next = move |below: u64| random.next().unwrap_or(0) % below;
            let count = u32::try_from(1 + next(1_000)).unwrap();
            let pace = pace(count, Per::Second, 1 + next(5));
            let most = pace.capacity / pace.interval;
            let buckets = Buckets::new();
            let mut now = SECOND;
            let mut grants: Vec<(u64, u64)> = Vec::new();
            for _ in 0..200 {
                now += Duration::from_nanos(next(2_000_000_000 / u64::from(count) * 4));
                let cost = 1 + next(most);
                if buckets.take(1, pace, cost, now).is_ok() {
                    grants.push((nanos(now), cost));
                }
            }
            for (index, (begin, _)) in grants.iter().enumerate() {
                let mut sum = 0;
                for (end, cost) in grants.iter().skip(index) {
                    sum += cost;
                    let allowed = (end - begin + pace.capacity) / pace.interval;
                    assert!(sum <= allowed, "seed {seed}: {sum} of {allowed}");
                }
            }
        }
    }

    #[test]
    fn a_time_that_goes_back_grants_nothing_new() {
        let (buckets, pace) = (Buckets::new(), pace(1, Per::Second, 2));
        assert_eq!(granted(&buckets, 1, pace, 100 * SECOND), 2);
        assert_eq!(granted(&buckets, 1, pace, 50 * SECOND), 0);
    }

    #[test]
    fn huge_costs_and_late_times_do_not_overflow() {
        let (buckets, pace) = (Buckets::new(), pace(1, Per::Hour, 3_600));
        assert!(buckets.take(1, pace, u64::MAX, Duration::MAX).is_ok());
        assert!(buckets.take(2, pace, u64::MAX, SECOND).is_ok());
        assert!(buckets.take(2, pace, u64::MAX, SECOND).is_err());
    }

    #[test]
    fn a_hundred_thousand_clients_take_no_more_memory_and_forget_no_one_who_is_busy() {
        let (buckets, slow, fast) = (
            Buckets::of(1),
            pace(1, Per::Hour, 3_600),
            pace(10, Per::Second, 1),
        );
        let busy = buckets.take("busy", slow, 1, SECOND);
        assert_eq!(busy, Ok(()));
        let mut now = SECOND;
        for stranger in 0..100_000_u32 {
            now += SECOND;
            assert_eq!(buckets.take(stranger, fast, 1, now), Ok(()));
            // All strangers before are full again, so it is their places that are taken.
            if stranger < 3_000 {
                assert!(buckets.take("busy", slow, 1, now).is_err());
            }
        }
        assert_eq!(buckets.sets.len() * WAYS, 8);
    }

    #[test]
    fn more_busy_clients_than_buckets_gain_a_burst_for_each_that_is_forgotten_and_no_more() {
        let (buckets, pace) = (Buckets::of(1), pace(5, Per::Hour, 3_600));
        let clients = 20_u32;
        let all: usize = (0..10)
            .flat_map(|_| 0..clients)
            .map(|client| granted(&buckets, client, pace, SECOND))
            .sum();
        let rounds = 10 * usize::try_from(clients).unwrap();
        assert!(all <= rounds * 5, "{all}");
        // Whoever was the last to fill the group stays known.
        assert_eq!(granted(&buckets, clients - 1, pace, SECOND), 0);
    }
}
