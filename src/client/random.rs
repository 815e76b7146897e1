//! Random numbers without a crate. `RandomState` is SipHash under a secret 128-bit key that std takes
//! from the operating system once a thread and changes at every `new`; without the key its output cannot
//! be told from random. That suffices for what is asked here: jitter, idempotency keys, and the
//! `Sec-WebSocket-Key` and frame masks of RFC 6455, section 10.3, which must not be guessed by whoever
//! chooses the payload. It makes no secrets.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// 64 random bits.
pub(super) fn bits() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// 16 random bytes.
pub(super) fn sixteen_bytes() -> [u8; 16] {
    let bits = (u128::from(bits()) << 64) | u128::from(bits());
    bits.to_be_bytes()
}

/// A mask for one frame.
pub(super) fn mask() -> [u8; 4] {
    // The upper half is as random as the whole.
    ((bits() >> 32) as u32).to_be_bytes()
}

/// A time between nothing and `limit`, all equally likely.
pub(super) fn up_to(limit: Duration) -> Duration {
    limit.mul_f64(bits() as f64 / u64::MAX as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_draws_are_the_same() {
        let draws: std::collections::HashSet<_> = (0..1000).map(|_| bits()).collect();
        assert_eq!(draws.len(), 1000);
    }

    #[test]
    fn jitter_fills_its_range_and_stays_inside() {
        let limit = Duration::from_secs(8);
        let draws: Vec<_> = (0..1000).map(|_| up_to(limit)).collect();
        assert!(draws.iter().all(|draw| *draw <= limit));
        assert!(draws.iter().any(|draw| *draw < limit / 4));
        assert!(draws.iter().any(|draw| *draw > limit * 3 / 4));
    }
}
