//! How many connections this process may really have: each is a thread and a file, and the system has
//! bounds for both. Beyond the bound on mappings std does not refuse a thread, it aborts the process, so
//! the number is known before the first connection and never exceeded.

use std::fmt;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Threads and files kept back for everything that is no connection: shards, catch-up, listeners, the
/// operator's port (38 threads and 101 files at most), signals, libraries, and the mappings of the allocator.
const RESERVE: u64 = 256;

/// Mappings that a thread needs: its stack, the guard page below it, and the same again for the stack on
/// which its signals are handled.
const MAPPINGS_A_THREAD: u64 = 4;

/// A setting of the system that bounds the number of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// Mappings of one process (`vm.max_map_count`).
    MaxMapCount,
    /// Threads of the whole system (`kernel.threads-max`).
    ThreadsMax,
    /// Numbers for processes and threads of the whole system (`kernel.pid_max`).
    PidMax,
    /// Threads of the control group (`pids.max`), also of those around it.
    CgroupPids,
    /// Threads of the user (`RLIMIT_NPROC`).
    UserThreads,
    /// Files open in one process (`RLIMIT_NOFILE`).
    OpenFiles,
}

/// What one setting was found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Which setting.
    pub setting: Setting,
    /// Its value.
    pub limit: u64,
    /// How much of it others use already, where that is known.
    pub taken: u64,
}

/// How many connections this process may have, and why not more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// The most connections, at least 1.
    pub connections: usize,
    /// The setting that bounds them; `None`: none does.
    pub reason: Option<Reading>,
    /// All that was read. A setting without a bound is not among them.
    pub readings: Vec<Reading>,
}

/// What a wish for connections became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Connections that there may be: as many as wanted, or fewer.
    pub granted: usize,
    /// Why there are fewer: a sentence with the number, the setting and what lifts it.
    pub lowered: Option<String>,
}

impl Budget {
    /// The budget of this process, after its limit on open files was raised as far as it goes. Reads a
    /// few files of `/proc` and `/sys` on Linux; elsewhere only the process's own limits are known.
    pub fn of_this_process() -> Self {
        raise_file_limit();
        Budget::of(readings())
    }

    /// The budget that follows from `readings`.
    pub fn of(readings: Vec<Reading>) -> Self {
        let reason = readings.iter().copied().min_by_key(Reading::connections);
        let connections = reason.map_or(u64::MAX, |reading| reading.connections());
        Budget {
            connections: usize::try_from(connections).unwrap_or(usize::MAX),
            reason,
            readings,
        }
    }

    /// As many of the `wanted` connections as there may be.
    pub fn grant(&self, wanted: usize) -> Grant {
        let lowered = self.reason.filter(|_| wanted > self.connections);
        Grant {
            granted: wanted.min(self.connections),
            lowered: lowered.map(|reading| {
                format!(
                    "limits.connections is {wanted}, but this process may have {}, since {reading}; {}",
                    self.connections,
                    reading.remedy(wanted)
                )
            }),
        }
    }
}

impl Reading {
    /// How many connections it allows, at least 1.
    pub fn connections(&self) -> u64 {
        let free = self.limit.saturating_sub(self.taken);
        let threads = match self.setting {
            Setting::MaxMapCount => free / MAPPINGS_A_THREAD,
            _ => free,
        };
        // Where there is little, half of it is for connections.
        (threads - RESERVE.min(threads / 2)).max(1)
    }

    /// What an operator does so that it allows `wanted` connections.
    pub fn remedy(&self, wanted: usize) -> String {
        let threads = (wanted as u64).saturating_add(RESERVE);
        let needed = match self.setting {
            Setting::MaxMapCount => threads.saturating_mul(MAPPINGS_A_THREAD),
            _ => threads,
        };
        let needed = needed.saturating_add(self.taken);
        match self.setting {
            Setting::MaxMapCount => format!("to lift it: sysctl -w vm.max_map_count={needed}"),
            Setting::ThreadsMax => format!("to lift it: sysctl -w kernel.threads-max={needed}"),
            Setting::PidMax => format!("to lift it: sysctl -w kernel.pid_max={needed}"),
            Setting::CgroupPids => {
                format!("to lift it: TasksMax={needed} (systemd) or --pids-limit {needed} (Docker)")
            }
            Setting::UserThreads => {
                format!("to lift it: LimitNPROC={needed} (systemd) or ulimit -u {needed}")
            }
            Setting::OpenFiles => format!(
                "to lift it: LimitNOFILE={needed} (systemd), --ulimit nofile={needed} (Docker) or ulimit -n {needed}"
            ),
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Setting::MaxMapCount => "vm.max_map_count",
            Setting::ThreadsMax => "kernel.threads-max",
            Setting::PidMax => "kernel.pid_max",
            Setting::CgroupPids => "pids.max of the control group",
            Setting::UserThreads => "RLIMIT_NPROC",
            Setting::OpenFiles => "RLIMIT_NOFILE",
        })
    }
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}", self.setting, self.limit)?;
        match self.taken {
            0 => Ok(()),
            taken => write!(f, " with {taken} taken"),
        }
    }
}

/// Raises the soft limit on open files to the hard one. Nothing happens where the system refuses: the
/// budget is read afterwards.
fn raise_file_limit() {
    // macOS says that there is no hard limit and refuses more than OPEN_MAX.
    const OPEN_MAX: u64 = 10_240;
    let limit = getrlimit(Resource::Nofile);
    let raised_to = |current| {
        let maximum = limit.maximum;
        setrlimit(Resource::Nofile, Rlimit { current, maximum }).is_ok()
    };
    if limit.current != limit.maximum && !raised_to(limit.maximum) {
        let modest = limit
            .current
            .map_or(OPEN_MAX, |current| current.max(OPEN_MAX));
        raised_to(Some(modest));
    }
}

fn readings() -> Vec<Reading> {
    let mut readings = system::readings();
    let limits = [
        (Setting::UserThreads, Resource::Nproc),
        (Setting::OpenFiles, Resource::Nofile),
    ];
    for (setting, resource) in limits {
        // The kernel does not hold root to RLIMIT_NPROC.
        let is_exempt = resource == Resource::Nproc && rustix::process::geteuid().is_root();
        let limit = getrlimit(resource).current.filter(|_| !is_exempt);
        readings.extend(limit.map(|limit| Reading {
            setting,
            limit,
            taken: 0,
        }));
    }
    readings
}

#[cfg(target_os = "linux")]
mod system {
    use std::fs;
    use std::path::Path;

    use super::super::control_group;
    use super::{Reading, Setting};

    /// What the kernel and the control groups allow.
    pub(super) fn readings() -> Vec<Reading> {
        let loadavg = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let tasks = tasks_in(&loadavg).unwrap_or(0);
        let of_kernel = [
            (Setting::MaxMapCount, "/proc/sys/vm/max_map_count", 0),
            (Setting::ThreadsMax, "/proc/sys/kernel/threads-max", tasks),
            (Setting::PidMax, "/proc/sys/kernel/pid_max", tasks),
        ];
        let of_kernel = of_kernel.into_iter().filter_map(|(setting, path, taken)| {
            let limit = number_in(Path::new(path))?;
            Some(Reading {
                setting,
                limit,
                taken,
            })
        });
        let of_cgroups = control_group::directories("pids").into_iter();
        let of_cgroups = of_cgroups.filter_map(|directory| of_group(&directory));
        let tightest_group = of_cgroups.min_by_key(Reading::connections);
        of_kernel.chain(tightest_group).collect()
    }

    fn of_group(directory: &Path) -> Option<Reading> {
        Some(Reading {
            setting: Setting::CgroupPids,
            // "max" is no number, and no bound.
            limit: number_in(&directory.join("pids.max"))?,
            taken: number_in(&directory.join("pids.current")).unwrap_or(0),
        })
    }

    fn number_in(path: &Path) -> Option<u64> {
        fs::read_to_string(path).ok()?.trim().parse().ok()
    }

    /// The tasks of the whole system, in `/proc/loadavg`: `0.20 0.18 0.12 1/80 11206`.
    pub(super) fn tasks_in(loadavg: &str) -> Option<u64> {
        let (_running, all) = loadavg.split(' ').nth(3)?.split_once('/')?;
        all.parse().ok()
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    /// Other systems say nothing that could be read.
    pub(super) fn readings() -> Vec<super::Reading> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(setting: Setting, limit: u64, taken: u64) -> Reading {
        Reading {
            setting,
            limit,
            taken,
        }
    }

    #[test]
    fn a_thread_takes_four_mappings() {
        let default = reading(Setting::MaxMapCount, 65_530, 0);
        assert_eq!(default.connections(), 65_530 / 4 - 256);
    }

    #[test]
    fn the_tightest_setting_is_the_reason() {
        let files = reading(Setting::OpenFiles, 1_024, 0);
        let budget = Budget::of(vec![
            reading(Setting::MaxMapCount, 65_530, 0),
            files,
            reading(Setting::CgroupPids, 9_000, 7_000),
        ]);
        assert_eq!((budget.connections, budget.reason), (768, Some(files)));
    }

    #[test]
    fn what_is_wanted_is_granted_when_there_is_room() {
        let budget = Budget::of(vec![reading(Setting::OpenFiles, 1_024, 0)]);
        let grant = budget.grant(768);
        assert_eq!((grant.granted, grant.lowered), (768, None));
    }

    #[test]
    fn a_lowered_number_is_told_with_its_setting_and_what_lifts_it() {
        let budget = Budget::of(vec![reading(Setting::CgroupPids, 1_000, 100)]);
        let grant = budget.grant(10_000);
        assert_eq!(grant.granted, 644);
        let told = grant.lowered.unwrap();
        for part in ["10000", "644", "pids.max", "TasksMax=10356"] {
            assert!(told.contains(part), "{told}");
        }
    }

    #[test]
    fn the_remedy_is_enough() {
        use Setting::*;
        for setting in [
            MaxMapCount,
            ThreadsMax,
            PidMax,
            CgroupPids,
            UserThreads,
            OpenFiles,
        ] {
            for wanted in [1, 100, 10_000] {
                let needed = reading(setting, 0, 50).remedy(wanted);
                let number = needed
                    .split(|c: char| !c.is_ascii_digit())
                    .find(|part| !part.is_empty());
                let lifted = reading(setting, number.unwrap().parse().unwrap(), 50);
                assert!(lifted.connections() >= wanted as u64, "{needed}");
            }
        }
    }

    #[test]
    fn little_is_shared_and_nothing_is_still_one() {
        assert_eq!(reading(Setting::CgroupPids, 100, 0).connections(), 50);
        assert_eq!(reading(Setting::CgroupPids, 100, 100).connections(), 1);
        assert_eq!(reading(Setting::OpenFiles, 0, 5).connections(), 1);
    }

    #[test]
    fn without_any_bound_everything_is_granted() {
        assert_eq!(Budget::of(Vec::new()).grant(1_000_000).granted, 1_000_000);
    }

    #[test]
    fn this_process_may_have_at_least_one_connection() {
        let budget = Budget::of_this_process();
        assert!(budget.connections >= 1);
        let limit = getrlimit(Resource::Nofile);
        assert!(limit.current == limit.maximum || cfg!(not(target_os = "linux")));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_tasks_of_the_system_are_counted() {
        assert_eq!(system::tasks_in("0.20 0.18 0.12 1/80 11206\n"), Some(80));
        assert_eq!(system::tasks_in(""), None);
    }
}
