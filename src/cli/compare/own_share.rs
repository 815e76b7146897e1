//! Which part of the delays may be this program's own: one thread reads for all clients, one after the other.

/// Delays, and how much of them passed while the thread had not caught up: as long as there is something to read
/// whenever it looks, its pace is what the clients wait for, and not the server's. So it is a bound, not the part itself.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct OwnShare {
    /// When there was nothing to read for the last time, in nanoseconds since the beginning.
    caught_up: u64,
    /// Sums of nanoseconds, of which there may be more than a whole number holds.
    own: f64,
    delays: f64,
}

impl OwnShare {
    /// There was nothing to read until `now`.
    pub(super) fn catch_up(&mut self, now: u64) {
        self.caught_up = now;
    }

    /// An event was read that was sent then.
    pub(super) fn add(&mut self, sent: u64, now: u64) {
        self.own += now.saturating_sub(self.caught_up.max(sent)) as f64;
        self.delays += now.saturating_sub(sent) as f64;
    }

    /// The share, 0 to 1.
    pub(super) fn share(&self) -> f64 {
        if self.delays > 0.0 {
            self.own / self.delays
        } else {
            0.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_for_nothing_but_the_server_has_no_share() {
        let mut share = OwnShare::default();
        assert_eq!(share.share(), 0.0);
        for event in [1000, 2000, 3000] {
            share.catch_up(event + 100);
            share.add(event, event + 100);
        }
        assert_eq!(share.share(), 0.0);
    }

    #[test]
    fn in_a_burst_it_is_what_passed_since_there_was_nothing_to_read() {
        let mut share = OwnShare::default();
        share.catch_up(1200);
        for now in [1200, 1400, 1600] {
            share.add(1000, now);
        }
        // 0, 200 and 400 of 200, 400 and 600.
        assert_eq!(share.share(), 0.5);
    }

    #[test]
    fn who_never_catches_up_has_all_of_it_but_no_more() {
        let mut share = OwnShare::default();
        for (sent, now) in [(1000, 5000), (2000, 9000)] {
            share.add(sent, now);
        }
        assert_eq!(share.share(), 1.0);
    }
}
