//! What each thread of a process has computed, to the nanosecond: for runs in which the server does so little
//! that a clock tick would be most of it.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

/// Nanoseconds by thread, at one moment. What a thread has computed goes with it, so a time between two moments
/// leaves out those that ended in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct ThreadTimes(HashMap<u32, u64>);

impl ThreadTimes {
    /// The times of a process's threads now; `None` where the system does not tell them
    /// (`/proc/PID/task/TID/schedstat`, Linux with `CONFIG_SCHED_INFO`).
    pub(in crate::cli) fn of(pid: u32) -> Option<Self> {
        let mut times = HashMap::new();
        for task in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
            let task = task.ok()?;
            let thread = task.file_name().to_str()?.parse().ok()?;
            // One that has ended since the directory was read is as good as one that ended before.
            if let Ok(schedstat) = fs::read_to_string(task.path().join("schedstat")) {
                times.insert(thread, nanoseconds_in(&schedstat)?);
            }
        }
        // A process that runs has a thread, which has computed something.
        times.values().any(|time| *time > 0).then_some(Self(times))
    }

    /// What those that are there now have computed since an earlier moment.
    pub(in crate::cli) fn since(&self, earlier: &ThreadTimes) -> Duration {
        let computed = |(thread, now): (&u32, &u64)| {
            let before = earlier.0.get(thread).copied().unwrap_or(0);
            now.saturating_sub(before)
        };
        Duration::from_nanos(self.0.iter().map(computed).sum())
    }
}

/// The first field of `schedstat`: the time on a processor, in nanoseconds.
fn nanoseconds_in(schedstat: &str) -> Option<u64> {
    schedstat.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(times: &[(u32, u64)]) -> ThreadTimes {
        ThreadTimes(times.iter().copied().collect())
    }

    #[test]
    fn what_threads_computed_meanwhile_is_summed_up() {
        let earlier = times(&[(1, 100), (2, 50), (3, 7)]);
        let later = times(&[(1, 160), (2, 50), (4, 1000)]);
        assert_eq!(later.since(&earlier), Duration::from_nanos(1060));
    }

    #[test]
    fn the_first_number_is_the_time_computed() {
        assert_eq!(nanoseconds_in("489465 406712 1\n"), Some(489_465));
        assert_eq!(nanoseconds_in(""), None);
    }

    #[test]
    fn a_process_that_is_not_there_has_no_times() {
        assert_eq!(ThreadTimes::of(u32::MAX), None);
    }
}
