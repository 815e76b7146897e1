//! What the system says of this process, most of it from `/proc`: of each figure, or nothing where it cannot be had.

use std::fs;
use std::io;

use rustix::io::Errno;
use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

/// The process as it is now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Process {
    /// CPU time used so far, in seconds.
    pub(super) cpu_seconds: Option<f64>,
    /// Bytes in RAM.
    pub(super) resident_bytes: Option<u64>,
    /// Bytes of address space.
    pub(super) virtual_bytes: Option<u64>,
    /// Open descriptors.
    pub(super) open_files: Option<u64>,
    /// How many may be open.
    pub(super) max_files: u64,
    /// Threads.
    pub(super) threads: Option<u64>,
    /// When it started, in seconds since 1970.
    pub(super) start_seconds: Option<f64>,
}

impl Process {
    /// Looks at this process.
    pub(super) fn look() -> Self {
        let stat = read("/proc/self/stat").and_then(|text| Stat::parse(&text));
        let booted = read("/proc/stat").and_then(|text| boot_seconds(&text));
        let max_files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let seconds = |ticks: u64| ticks as f64 / clock_ticks_per_second() as f64;
        Process {
            cpu_seconds: stat.map(|stat| seconds(stat.cpu_ticks)),
            resident_bytes: stat.map(|stat| stat.resident_pages.saturating_mul(page_size() as u64)),
            virtual_bytes: stat.map(|stat| stat.virtual_bytes),
            open_files: open_files(fs::read_dir("/proc/self/fd"), max_files),
            max_files,
            threads: stat.map(|stat| stat.threads),
            start_seconds: booted
                .zip(stat)
                .map(|(booted, stat)| booted as f64 + seconds(stat.start_ticks)),
        }
    }
}

fn read(file: &str) -> Option<String> {
    fs::read_to_string(file).ok()
}

/// What `/proc/self/stat` has of it (proc_pid_stat(5)).
#[derive(Debug, Clone, Copy, PartialEq)]
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

/// How many files are open, of so many that may be.
fn open_files(listed: io::Result<fs::ReadDir>, most: u64) -> Option<u64> {
    match listed {
        // That by which they are listed is one of them.
        Ok(listed) => Some((listed.count() as u64).saturating_sub(1)),
        // They cannot be counted just when somebody has to know.
        Err(error) if Errno::from_io_error(&error) == Some(Errno::MFILE) => Some(most),
        Err(_) => None,
    }
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

    #[test]
    fn with_no_file_left_to_count_them_by_all_are_open() {
        let count = |error: Errno| open_files(Err(error.into()), 1024);
        assert_eq!(count(Errno::MFILE), Some(1024));
        assert_eq!(count(Errno::NOENT), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_is_seen() {
        let process = Process::look();
        let (resident, all) = (process.resident_bytes, process.virtual_bytes);
        assert!(resident > Some(1_000_000) && all > resident);
        let open = process.open_files.unwrap();
        assert!(open >= 3 && open <= process.max_files);
        assert!(process.threads >= Some(1) && process.cpu_seconds >= Some(0.0));
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
        let started = process.start_seconds.unwrap();
        assert!(started > 1e9 && started < now + 60.0);
    }
}
