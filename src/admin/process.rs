//! What the system says of this process, from `/proc`; nothing where there is none.

use std::fs;
use std::io;

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

/// The process as it is now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Process {
    /// CPU time used so far, in seconds.
    pub(super) cpu_seconds: f64,
    /// Bytes in RAM.
    pub(super) resident_bytes: u64,
    /// Bytes of address space.
    pub(super) virtual_bytes: u64,
    /// Open descriptors.
    pub(super) open_files: u64,
    /// How many may be open.
    pub(super) max_files: u64,
    /// Threads.
    pub(super) threads: u64,
    /// When it started, in seconds since 1970.
    pub(super) start_seconds: f64,
}

impl Process {
    /// Looks at this process.
    pub(super) fn look() -> Option<Self> {
        let stat = Stat::parse(&fs::read_to_string("/proc/self/stat").ok()?)?;
        let ticks = clock_ticks_per_second() as f64;
        let booted = boot_seconds(&fs::read_to_string("/proc/stat").ok()?)?;
        Some(Process {
            cpu_seconds: stat.cpu_ticks as f64 / ticks,
            resident_bytes: stat.resident_pages.saturating_mul(page_size() as u64),
            virtual_bytes: stat.virtual_bytes,
            open_files: open_files().ok()?,
            max_files: getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX),
            threads: stat.threads,
            start_seconds: booted as f64 + stat.start_ticks as f64 / ticks,
        })
    }
}

/// What `/proc/self/stat` has of it (proc_pid_stat(5)).
#[derive(Debug, PartialEq)]
struct Stat {
    cpu_ticks: u64,
    threads: u64,
    start_ticks: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The name before it may have spaces and parentheses of its own.
        let (_, rest) = text.rsplit_once(')')?;
        // The state, which comes next, is the third field in the manual's count.
        let fields: Vec<_> = rest.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Stat {
            cpu_ticks: field(14)?.checked_add(field(15)?)?,
            threads: field(20)?,
            start_ticks: field(22)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

/// When the machine was booted, in seconds since 1970 (proc_stat(5)).
fn boot_seconds(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("btime "));
    line?.trim().parse().ok()
}

fn open_files() -> io::Result<u64> {
    // That by which they are listed is one of them.
    let listed = fs::read_dir("/proc/self/fd")?.count() as u64;
    Ok(listed.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_those_of_the_manual_whatever_the_name_is() {
        let text = "17 (a) b (c)) S 1 17 17 0 -1 4194560 2 3 4 5 60 40 8 9 20 0 12 0 777 8192 25 \
                    18446744073709551615 1 2";
        let stat = Stat {
            cpu_ticks: 100,
            threads: 12,
            start_ticks: 777,
            virtual_bytes: 8192,
            resident_pages: 25,
        };
        assert_eq!(Stat::parse(text), Some(stat));
        for other in [
            "",
            "17",
            "17 (a)",
            "17 (a) S 1",
            "17 (a) S x x x x x x x x x x x x x",
        ] {
            assert_eq!(Stat::parse(other), None, "{other}");
        }
        assert_eq!(
            boot_seconds("cpu 1 2\nbtime 1795363629\nx 1\n"),
            Some(1_795_363_629)
        );
        assert_eq!(boot_seconds("cpu 1 2\n"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_is_seen() {
        let process = Process::look().unwrap();
        assert!(
            process.resident_bytes > 1_000_000 && process.virtual_bytes > process.resident_bytes
        );
        assert!(process.open_files >= 3 && process.open_files <= process.max_files);
        assert!(process.threads >= 1 && process.cpu_seconds >= 0.0);
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
        assert!(process.start_seconds > 1e9 && process.start_seconds < now + 60.0);
    }
}
