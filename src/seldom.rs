//! A warning that an attacker could cause at will is logged at most once a minute, with how often it was
//! left out.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lets one in a while through.
pub struct Seldom {
    state: Mutex<(Option<Instant>, u64)>,
}

impl Seldom {
    const PAUSE: Duration = Duration::from_secs(60);

    /// Lets the first through.
    pub const fn new() -> Self {
        Seldom {
            state: Mutex::new((None, 0)),
        }
    }

    /// Calls `say` with what is to be added to the message, unless it was called within the last minute.
    pub fn say(&self, say: impl FnOnce(&str)) {
        let Some(left_out) = self.admit(Instant::now()) else {
            return;
        };
        match left_out {
            0 => say(""),
            count => say(&format!(
                " (and {count} more of the kind since the last such line)"
            )),
        }
    }

    /// How many were left out, if this one is let through.
    fn admit(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, left_out) = &mut *state;
        if last.is_some_and(|last| now.saturating_duration_since(last) < Self::PAUSE) {
            *left_out += 1;
            return None;
        }
        *last = Some(now);
        Some(std::mem::take(left_out))
    }
}

impl Default for Seldom {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_a_minute_is_let_through_and_the_rest_is_counted() {
        let seldom = Seldom::new();
        let start = Instant::now();
        assert_eq!(seldom.admit(start), Some(0));
        assert_eq!(seldom.admit(start + Duration::from_secs(1)), None);
        assert_eq!(seldom.admit(start + Duration::from_secs(59)), None);
        assert_eq!(seldom.admit(start + Duration::from_secs(60)), Some(2));
    }
}
