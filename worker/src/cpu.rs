//! CPU and memory of the machine and of the container.

use std::fs;

/// The number of compute threads: the requested number, else the container's CPU limit (rounded down, at least one),
/// else the number of cores. The kernel would throttle more threads than the limit together, and they would wait for
/// each other.
pub fn threads(asked: usize) -> usize {
    match asked {
        // The standard library reads affinity and the quota of cgroup v1 and v2.
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    }
}

/// True if the hardware computes bfloat16 products.
pub fn multiplies_bfloat16() -> bool {
    has_flag(&cpuinfo(), "avx512_bf16") || has_flag(&cpuinfo(), "amx_bf16")
}

/// The instruction set that decides the speed, for the label `isa`.
pub fn isa() -> &'static str {
    let info = cpuinfo();
    ["amx_bf16", "avx512_bf16", "avx512f", "avx2"].into_iter().find(|flag| has_flag(&info, flag)).unwrap_or("baseline")
}

fn cpuinfo() -> String {
    fs::read_to_string("/proc/cpuinfo").unwrap_or_default()
}

fn has_flag(cpuinfo: &str, flag: &str) -> bool {
    let flags = cpuinfo.lines().find_map(|line| line.strip_prefix("flags")?.split_once(':'));
    flags.is_some_and(|(_, flags)| flags.split_whitespace().any(|f| f == flag))
}

/// The memory limit of the container's cgroup, v2 or v1, if there is one.
pub fn memory_limit() -> Option<u64> {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    memory_files(&own).iter().find_map(|path| limit(&fs::read_to_string(path).ok()?))
}

/// Files to read, most specific first. In a container the cgroup's path is not visible, and the root is the container's
/// own cgroup.
fn memory_files(cgroup: &str) -> Vec<String> {
    let v2 = cgroup.lines().filter_map(|line| line.strip_prefix("0::"));
    let v1 = cgroup.lines().filter_map(|line| line.split_once(":memory:").map(|(_, path)| path));
    let v2 = v2.map(|path| format!("/sys/fs/cgroup{}/memory.max", path.trim_end_matches('/')));
    let v1 = v1.map(|path| format!("/sys/fs/cgroup/memory{}/memory.limit_in_bytes", path.trim_end_matches('/')));
    let roots = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"].map(str::to_owned);
    v2.chain(v1).chain(roots).collect()
}

/// `max`, or a number; v1 writes a huge number for no limit.
fn limit(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|bytes| *bytes < 1 << 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_is_a_whole_word() {
        let info = "processor : 0\nflags\t\t: fpu avx2 avx512_bf16\n";
        assert!(has_flag(info, "avx512_bf16") && has_flag(info, "avx2"));
        assert!(!has_flag(info, "avx") && !has_flag("", "avx"));
    }

    #[test]
    fn memory_limits_of_both_cgroup_versions_are_found() {
        assert_eq!(memory_files("0::/pod/x\n")[0], "/sys/fs/cgroup/pod/x/memory.max");
        assert_eq!(memory_files("5:memory:/pod/x\n")[0], "/sys/fs/cgroup/memory/pod/x/memory.limit_in_bytes");
        assert_eq!(limit("1073741824\n"), Some(1 << 30));
        assert_eq!(limit("max\n"), None);
        assert_eq!(limit("9223372036854771712\n"), None);
    }

    #[test]
    fn there_is_always_a_thread() {
        assert!(threads(0) >= 1);
        assert_eq!(threads(3), 3);
    }
}
