//! The processors of the machine.

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
    fn there_is_always_a_thread() {
        assert!(threads(0) >= 1);
        assert_eq!(threads(3), 3);
    }
}
