//! What a node can do to a container: give it less of a core than it needs, or less memory.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Where the kernel shows control groups.
const ROOT: &str = "/sys/fs/cgroup";

/// Microseconds of a stretch of time in which the share of a core is measured out.
const PERIOD: u64 = 100_000;

/// A limit of a container's control group that was changed. Version 1 and 2 differ in the names of their files.
pub(super) struct Limit {
    file: PathBuf,
    before: String,
}

impl Limit {
    /// From now on the process's container gets so many hundredths of a core.
    pub(super) fn cpu(pid: i32, percent: u64) -> Result<Self> {
        let quota = PERIOD * percent / 100;
        Self::set(pid, "cpu", [("cpu.max", format!("{quota} {PERIOD}")), ("cpu.cfs_quota_us", quota.to_string())])
    }

    /// From now on it gets so many hundredths more than what it uses and the kernel can't take from it.
    pub(super) fn memory(pid: i32, percent: u64) -> Result<Self> {
        let group = folder(pid, "memory")?;
        let read = |file| fs::read_to_string(group.join(file)).ok();
        let usage = read("memory.current").or_else(|| read("memory.usage_in_bytes")).context("no memory usage")?;
        let stat = read("memory.stat").context("no statistics of memory")?;
        let field = |name| stat.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
        let droppable = field("total_inactive_file ").or_else(|| field("inactive_file ")).unwrap_or(0);
        let limit = usage.trim().parse::<u64>()?.saturating_sub(droppable) * (100 + percent) / 100;
        Self::set(pid, "memory", [("memory.max", limit.to_string()), ("memory.limit_in_bytes", limit.to_string())])
    }

    fn set(pid: i32, controller: &str, files: [(&str, String); 2]) -> Result<Self> {
        let group = folder(pid, controller)?;
        let (file, value) = files
            .into_iter()
            .map(|(name, value)| (group.join(name), value))
            .find(|(file, _)| file.exists())
            .with_context(|| format!("{} has no limit of {controller}", group.display()))?;
        let before = fs::read_to_string(&file)?;
        write(&file, &value)?;
        Ok(Self { file, before })
    }

    /// Puts the limit back.
    pub(super) fn lift(self) -> Result<()> {
        write(&self.file, self.before.trim())
    }
}

fn write(file: &Path, value: &str) -> Result<()> {
    fs::write(file, value).with_context(|| format!("can't write {value} to {}", file.display()))
}

/// The folder of a process's control group.
fn folder(pid: i32, controller: &str) -> Result<PathBuf> {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    group_of(&groups, controller).with_context(|| format!("process {pid} is in no control group of {controller}"))
}

fn group_of(groups: &str, controller: &str) -> Option<PathBuf> {
    let of_line = |line: &str| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?.trim_start_matches('/'));
        let is_it = controllers.split(',').any(|name| name == controller);
        is_it.then(|| Path::new(ROOT).join(controller).join(path))
    };
    let unified = || Some(Path::new(ROOT).join(groups.lines().find_map(|line| line.strip_prefix("0::/"))?));
    groups.lines().find_map(of_line).or_else(unified)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_is_found_in_both_versions() {
        let first = "4:cpu,cpuacct:/kubepods/pod1/abc\n0::/\n";
        assert_eq!(group_of(first, "cpu"), Some("/sys/fs/cgroup/cpu/kubepods/pod1/abc".into()));
        assert_eq!(group_of("0::/kubepods/pod1\n", "cpu"), Some("/sys/fs/cgroup/kubepods/pod1".into()));
        assert_eq!(group_of("", "cpu"), None);
    }
}
