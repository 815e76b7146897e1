//! What the server costs, seen from outside: the time, memory and threads of its processes, by their numbers.

use std::time::Duration;

/// The processes of one server on this machine. Figures are sums, and unknown where that of one process is.
/// On systems without `/proc` nothing is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Processes(Vec<u32>);

impl Processes {
    /// Those with these numbers. One that is named twice counts once.
    pub(in crate::cli) fn new(pids: &[u32]) -> Self {
        let mut pids = pids.to_vec();
        pids.sort_unstable();
        pids.dedup();
        Processes(pids)
    }

    /// Their numbers, each once.
    pub(in crate::cli) fn pids(&self) -> &[u32] {
        &self.0
    }

    /// How finely [`cpu`](Self::cpu) is counted.
    pub(in crate::cli) fn cpu_resolution() -> Duration {
        let ticks = u32::try_from(rustix::param::clock_ticks_per_second()).unwrap_or(u32::MAX);
        Duration::from_secs(1) / ticks.max(1)
    }

    /// The time that all their threads have computed so far, in user and in kernel mode.
    pub(in crate::cli) fn cpu(&self) -> Option<Duration> {
        let ticks = self.sum(|pid| ticks_in(&file(pid, "stat")?))?;
        Some(Self::cpu_resolution().saturating_mul(u32::try_from(ticks).ok()?))
    }

    /// Bytes of memory that each has to itself, and its share of what it shares with others (PSS). Needs
    /// the right to look into the processes. What the kernel holds for them, such as what sockets buffer,
    /// is not among it.
    pub(in crate::cli) fn memory(&self) -> Option<u64> {
        let kibibytes = self.sum(|pid| field(&file(pid, "smaps_rollup")?, "Pss:"))?;
        kibibytes.checked_mul(1024)
    }

    /// Their threads.
    pub(in crate::cli) fn threads(&self) -> Option<u64> {
        self.sum(threads)
    }

    /// The first of them that is not there, or may not be looked into.
    pub(in crate::cli) fn unknown(&self) -> Option<u32> {
        self.0.iter().copied().find(|pid| threads(*pid).is_none())
    }

    fn sum(&self, figure: impl Fn(u32) -> Option<u64>) -> Option<u64> {
        self.0
            .iter()
            .try_fold(0_u64, |sum, pid| sum.checked_add(figure(*pid)?))
    }
}

fn threads(pid: u32) -> Option<u64> {
    field(&file(pid, "status")?, "Threads:")
}

fn file(pid: u32, name: &str) -> Option<String> {
    std::fs::read_to_string(format!("/proc/{pid}/{name}")).ok()
}

/// `utime` and `stime` of `/proc/PID/stat`, fields 14 and 15, in clock ticks.
fn ticks_in(stat: &str) -> Option<u64> {
    // The name of the program, field 2, may hold spaces and parentheses of its own.
    let (_, behind_name) = stat.rsplit_once(')')?;
    let mut fields = behind_name.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    ticks()?.checked_add(ticks()?)
}

/// The number behind a name at the beginning of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    value.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_program_does_not_shift_the_fields() {
        let stat = "42 (a ) 1 2) S 1 42 42 0 -1 4194560 100 0 0 0 17 5 0 0 20 0 3 0 1 2 3";
        assert_eq!(ticks_in(stat), Some(22));
        assert_eq!(ticks_in("42 (a) S 1"), None);
        assert_eq!(ticks_in(""), None);
    }

    #[test]
    fn a_field_is_found_by_its_name() {
        let rollup = "00400000-7ff r--p 0 00:00 0 [rollup]\nRss:  9 kB\nPss:            2048 kB\nPss_Anon: 7 kB\n";
        assert_eq!(field(rollup, "Pss:"), Some(2048));
        assert_eq!(field(rollup, "Threads:"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_computed_and_has_memory_and_threads() {
        let this = Processes::new(&[std::process::id()]);
        assert!(this.cpu().is_some());
        assert!(this.memory().is_some_and(|bytes| bytes > 4096));
        assert!(this.threads().is_some_and(|threads| threads >= 1));
    }

    #[test]
    fn figures_are_sums_over_the_processes_each_of_which_counts_once() {
        let processes = Processes::new(&[9, 7, 9, 8]);
        assert_eq!(processes.pids(), [7, 8, 9]);
        assert_eq!(processes.sum(|pid| Some(pid.into())), Some(24));
        assert_eq!(processes.sum(|_| Some(u64::MAX)), None);
    }

    #[test]
    fn nothing_is_known_where_one_process_is_not_there() {
        let processes = Processes::new(&[std::process::id(), u32::MAX]);
        let (cpu, memory) = (processes.cpu(), processes.memory());
        assert_eq!((cpu, memory, processes.threads()), (None, None, None));
        assert!(processes.unknown().is_some());
    }
}
