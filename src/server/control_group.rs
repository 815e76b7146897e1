//! The control groups around this process (cgroups(7)), by the directories in which their bounds stand. Linux alone has
//! them.

use std::fs;
use std::path::{Path, PathBuf};

/// The directories that bound this process by `controller`, such as `pids`: its group and all around it.
pub(super) fn directories(controller: &str) -> Vec<PathBuf> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let lines = groups.lines();
    lines.flat_map(|line| of_line(line, controller)).collect()
}

/// Those of one line of `/proc/self/cgroup`: `0::/a/b` is version 2, `7:pids:/a/b` version 1.
fn of_line(line: &str, controller: &str) -> Vec<PathBuf> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (Some(controllers), Some(group)) = (fields.next(), fields.next()) else {
        return Vec::new();
    };
    let root = match controllers {
        "" => PathBuf::from("/sys/fs/cgroup"),
        _ if controllers.split(',').any(|name| name == controller) => {
            Path::new("/sys/fs/cgroup").join(controller)
        }
        _ => return Vec::new(),
    };
    let own = root.join(group.trim_start_matches('/'));
    let around = own.ancestors().take_while(|path| path.starts_with(&root));
    around.map(Path::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_groups_bound_from_the_inside_out() {
        let paths = |line| of_line(line, "pids");
        assert_eq!(
            paths("0::/system.slice/fourcast.service"),
            [
                "/sys/fs/cgroup/system.slice/fourcast.service",
                "/sys/fs/cgroup/system.slice",
                "/sys/fs/cgroup"
            ]
            .map(PathBuf::from)
        );
        assert_eq!(paths("7:pids:/a").len(), 2);
        assert!(paths("3:cpu,cpuacct:/a").is_empty());
        assert!(paths("nonsense").is_empty());
    }
}
