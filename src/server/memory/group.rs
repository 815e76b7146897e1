//! The control group that bounds this process's memory most: what it may have, and what it is charged for, which is more than
//! the pages of its processes: stacks of threads in the kernel, sockets and what waits in them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::server::control_group;

/// One group, by its directory.
pub(super) struct Group(PathBuf);

/// What a group has, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Charge {
    pub(super) bytes: usize,
    /// What it may have at most.
    pub(super) bound: usize,
}

impl Group {
    /// Of those around this process the one that allows the least, unless none has a bound.
    pub(super) fn tightest() -> Option<Self> {
        let groups = control_group::directories("memory").into_iter().map(Group);
        let bounded = groups.filter_map(|group| Some((group.bound()?, group)));
        let (_, group) = bounded.min_by_key(|(bound, _)| *bound)?;
        Some(group)
    }

    /// Its bound: those of version 2, and that of version 1. Beyond the second the group is not ended but slowed down until it
    /// is of no use.
    pub(super) fn bound(&self) -> Option<usize> {
        let bounds = ["memory.max", "memory.high", "memory.limit_in_bytes"];
        bounds.iter().filter_map(|file| self.number(file)).min()
    }

    /// What it is charged for, without pages of files, which the system takes back when it needs them.
    pub(super) fn charge(&self) -> Option<Charge> {
        let usages = ["memory.current", "memory.usage_in_bytes"];
        let used = usages.iter().find_map(|file| self.number(file))?;
        let stat = self.text("memory.stat")?;
        Some(Charge {
            bytes: used.saturating_sub(pages_of_files(&stat)),
            bound: self.bound()?,
        })
    }

    /// The number in one of its files; "max" is none.
    fn number(&self, file: &str) -> Option<usize> {
        self.text(file)?.trim().parse().ok()
    }

    fn text(&self, file: &str) -> Option<String> {
        fs::read_to_string(Path::new(&self.0).join(file)).ok()
    }
}

/// Those of the group and all within it, of which version 1 tells beside its own.
fn pages_of_files(stat: &str) -> usize {
    let value = |name: &str| {
        let mut lines = stat.lines().filter_map(|line| line.split_once(' '));
        let (_, value) = lines.find(|(key, _)| *key == name)?;
        value.parse::<usize>().ok()
    };
    let of = |own: &str, all: &str| value(all).or_else(|| value(own)).unwrap_or(0);
    let inactive = of("inactive_file", "total_inactive_file");
    inactive.saturating_add(of("active_file", "total_active_file"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upkeep::tests::Directory;

    fn group(files: &[(&str, &str)]) -> (Directory, Group) {
        let directory = Directory::new();
        for (name, text) in files {
            directory.file(name, text);
        }
        let group = Group(directory.0.clone());
        (directory, group)
    }

    #[test]
    fn a_group_of_version_2_is_read_as_its_manual_says() {
        let (directory, group) = group(&[
            ("memory.max", "1000000\n"),
            ("memory.high", "max\n"),
            ("memory.current", "700000\n"),
            (
                "memory.stat",
                "anon 300000\nfile 200000\nsock 100000\ninactive_file 150000\nactive_file 50000\n",
            ),
        ]);
        let charge = |bytes, bound| Some(Charge { bytes, bound });
        assert_eq!(group.charge(), charge(500_000, 1_000_000));
        directory.file("memory.high", "900000\n");
        assert_eq!(group.charge(), charge(500_000, 900_000));
        directory.file("memory.high", "max\n");
        directory.file("memory.max", "max\n");
        assert_eq!(group.charge(), None, "no bound");
    }

    #[test]
    fn a_group_of_version_1_is_read_as_its_manual_says() {
        let (_directory, group) = group(&[
            ("memory.limit_in_bytes", "1000000\n"),
            ("memory.usage_in_bytes", "700000\n"),
            (
                "memory.stat",
                "cache 90000\ninactive_file 10\nactive_file 10\ntotal_inactive_file 60000\ntotal_active_file 20000\n",
            ),
        ]);
        let (bytes, bound) = (620_000, 1_000_000);
        assert_eq!(group.charge(), Some(Charge { bytes, bound }));
    }

    #[test]
    fn what_is_no_group_says_nothing() {
        let (_directory, group) = group(&[("memory.max", "1000000\n")]);
        assert_eq!((group.bound(), group.charge()), (Some(1_000_000), None));
        assert_eq!(Group("/nowhere".into()).bound(), None);
    }
}
