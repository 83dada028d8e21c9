//! The container's cgroup, version 2 or 1: what the kernel lets this process use, and what it has used.

use std::fs;
use std::path::{Path, PathBuf};

/// Where the kernel shows cgroups.
const ROOT: &str = "/sys/fs/cgroup";

/// What the kernel says of the container. A field is `None` where it does not say: there is no limit, or no cgroup that can be
/// read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Container {
    /// Bytes that the container holds without file pages that the kernel can drop at once. When they reach the limit, it is killed.
    pub working_set: Option<u64>,
    /// Most bytes that it may hold.
    pub memory_limit: Option<u64>,
    /// Times that it reached the limit, and the kernel had to take memory back.
    pub limit_reached: Option<u64>,
    /// Processes that were killed because that did not help.
    pub oom_kills: Option<u64>,
    /// Cores that it may use on average.
    pub cpu_limit: Option<f64>,
    /// Stretches of time, mostly of 0.1 s, in which it was limited and wanted to run.
    pub periods: Option<u64>,
    /// Of these, those in which it was held back.
    pub throttled_periods: Option<u64>,
    /// Seconds for which its threads were held back, summed over cores.
    pub throttled_seconds: Option<f64>,
}

impl Container {
    /// That of this process.
    #[must_use]
    pub fn now() -> Self {
        Self::read(Path::new(ROOT), &own())
    }

    fn read(root: &Path, cgroup: &str) -> Self {
        let (memory, cpu) = (Files::of(root, cgroup, "memory"), Files::of(root, cgroup, "cpu"));
        let [stat, events, oom] = ["memory.stat", "memory.events", "memory.oom_control"].map(|file| memory.read(file));
        let schedule = cpu.read("cpu.stat");
        let inactive = field(&stat, "total_inactive_file").or_else(|| field(&stat, "inactive_file"));
        let usage = memory.number("memory.current").or_else(|| memory.number("memory.usage_in_bytes"));
        let microseconds = field(&schedule, "throttled_usec").map(|time| time as f64 / 1e6);
        let nanoseconds = || field(&schedule, "throttled_time").map(|time| time as f64 / 1e9);
        Self {
            working_set: usage.map(|usage| usage.saturating_sub(inactive.unwrap_or(0))),
            memory_limit: memory_limit(&memory),
            limit_reached: field(&events, "max").or_else(|| memory.number("memory.failcnt")),
            oom_kills: field(&events, "oom_kill").or_else(|| field(&oom, "oom_kill")),
            cpu_limit: cpu_limit(&cpu),
            periods: field(&schedule, "nr_periods"),
            throttled_periods: field(&schedule, "nr_throttled"),
            throttled_seconds: microseconds.or_else(nanoseconds),
        }
    }
}

/// The memory limit of the container, if there is one.
#[must_use]
pub fn limit() -> Option<u64> {
    memory_limit(&Files::of(Path::new(ROOT), &own(), "memory"))
}

fn own() -> String {
    fs::read_to_string("/proc/self/cgroup").unwrap_or_default()
}

fn memory_limit(memory: &Files) -> Option<u64> {
    let limit = memory.number("memory.max").or_else(|| memory.number("memory.limit_in_bytes"));
    // Version 1 writes a huge number where there is no limit.
    limit.filter(|bytes| *bytes < 1 << 60)
}

fn cpu_limit(cpu: &Files) -> Option<f64> {
    let (quota, period) = match cpu.read("cpu.max") {
        Some(text) => {
            let (quota, period) = text.trim().split_once(' ')?;
            (quota.parse().ok()?, period.parse().ok()?)
        }
        None => (cpu.number("cpu.cfs_quota_us")?, cpu.number("cpu.cfs_period_us")?),
    };
    (period > 0).then(|| quota as f64 / period as f64)
}

/// A line `NAME NUMBER` of a file.
fn field(text: &Option<String>, name: &str) -> Option<u64> {
    text.as_ref()?.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

/// The files of one controller.
struct Files {
    /// Folders that may hold the files, the most specific first. In a container the cgroup's path is not visible, and the root is the
    /// container's own cgroup.
    folders: Vec<PathBuf>,
}

impl Files {
    /// `cgroup` is the text of `/proc/self/cgroup`.
    fn of(root: &Path, cgroup: &str, controller: &str) -> Self {
        let of_line = |line: &str| {
            let [_, controllers, path] = line.splitn(3, ':').collect::<Vec<_>>().try_into().ok()?;
            let path: &str = path;
            let path = path.trim_start_matches('/');
            match controllers {
                "" => Some(root.join(path)),
                names if names.split(',').any(|name| name == controller) => Some(root.join(controller).join(path)),
                _ => None,
            }
        };
        let roots = [root.to_owned(), root.join(controller)];
        Self { folders: cgroup.lines().filter_map(of_line).chain(roots).collect() }
    }

    fn read(&self, file: &str) -> Option<String> {
        self.folders.iter().find_map(|folder| fs::read_to_string(folder.join(file)).ok())
    }

    /// A file that holds one number; `None` also for `max`, which is none.
    fn number(&self, file: &str) -> Option<u64> {
        self.read(file)?.trim().parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files under a new folder, as the kernel shows them.
    fn files(name: &str, files: &[(&str, &str)]) -> PathBuf {
        let root = std::env::temp_dir().join(format!("belfry-cgroup-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&root));
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    fn limited() -> Container {
        Container {
            working_set: Some(900),
            memory_limit: Some(1 << 30),
            limit_reached: Some(7),
            oom_kills: Some(2),
            cpu_limit: Some(1.5),
            periods: Some(100),
            throttled_periods: Some(25),
            throttled_seconds: Some(2.5),
        }
    }

    #[test]
    fn version_2_is_read_at_the_root_of_a_container_and_under_the_path_of_a_process_of_the_host() {
        let content = [
            ("memory.current", "1000\n"),
            ("memory.stat", "anon 500\ninactive_file 100\nactive_file 300\n"),
            ("memory.max", "1073741824\n"),
            ("memory.events", "low 0\nhigh 0\nmax 7\noom 3\noom_kill 2\noom_group_kill 0\n"),
            ("cpu.max", "150000 100000\n"),
            ("cpu.stat", "usage_usec 9\nnr_periods 100\nnr_throttled 25\nthrottled_usec 2500000\n"),
        ];
        let root = files("v2", &content);
        assert_eq!(Container::read(&root, "0::/\n"), limited());
        let under = content.map(|(file, text)| (format!("kubepods/pod1/{file}"), text));
        let under: Vec<_> = under.iter().map(|(file, text)| (file.as_str(), *text)).collect();
        let root = files("v2-path", &under);
        assert_eq!(Container::read(&root, "0::/kubepods/pod1\n"), limited());
    }

    #[test]
    fn version_1_is_read_from_the_folder_of_each_controller() {
        let root = files(
            "v1",
            &[
                ("memory/pod/memory.usage_in_bytes", "1000\n"),
                ("memory/pod/memory.stat", "cache 1\ninactive_file 1\ntotal_inactive_file 100\n"),
                ("memory/pod/memory.limit_in_bytes", "1073741824\n"),
                ("memory/pod/memory.failcnt", "7\n"),
                ("memory/pod/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"),
                ("cpu/cpu.cfs_quota_us", "150000\n"),
                ("cpu/cpu.cfs_period_us", "100000\n"),
                ("cpu/cpu.stat", "nr_periods 100\nnr_throttled 25\nthrottled_time 2500000000\n"),
            ],
        );
        assert_eq!(Container::read(&root, "5:memory:/pod\n4:cpu,cpuacct:/elsewhere\n0::/\n"), limited());
    }

    #[test]
    fn no_limit_is_no_number() {
        let root = files(
            "none",
            &[
                ("memory.max", "max\n"),
                ("cpu.max", "max 100000\n"),
                ("memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ],
        );
        assert_eq!(Container::read(&root, "0::/\n"), Container::default());
        let root = files("none-v1", &[("cpu/cpu.cfs_quota_us", "-1\n"), ("cpu/cpu.cfs_period_us", "100000\n")]);
        assert_eq!(Container::read(&root, ""), Container::default());
        assert_eq!(Container::read(Path::new("/no/such/folder"), "0::/\n"), Container::default());
    }

    #[test]
    fn the_cgroup_of_this_process_is_read() {
        let (now, limit) = (Container::now(), limit());
        assert_eq!(now.memory_limit, limit);
        assert!(now.working_set.is_none_or(|bytes| bytes > 1 << 20), "{now:?}");
    }
}
