//! What the system says about this process.

use std::fs;
use std::sync::LazyLock;

use belfry_crds::contract::status::{MEMORY_THRESHOLD_PCT, Process};

use crate::{cpu, native};

/// What stays the same while the process runs.
pub(super) struct Identity {
    pub(super) user: String,
    pub(super) folder: String,
    pub(super) host: String,
}

/// Who the process is.
pub(super) fn identity() -> &'static Identity {
    static IDENTITY: LazyLock<Identity> = LazyLock::new(|| {
        let status = read("/proc/self/status");
        let id = field(&status, "Uid:").and_then(|ids| ids.split_whitespace().nth(1)).unwrap_or_default();
        Identity {
            user: user(&read("/etc/passwd"), id),
            folder: std::env::current_dir().map(|folder| folder.display().to_string()).unwrap_or_default(),
            host: read("/proc/sys/kernel/hostname").trim().to_owned(),
        }
    });
    &IDENTITY
}

/// What it uses now, beside the memory limit of its container.
pub(super) fn uses(memory_limit_bytes: Option<u64>) -> Process {
    static MACHINE: LazyLock<Option<u64>> = LazyLock::new(|| bytes(&read("/proc/meminfo"), "MemTotal:"));
    let status = read("/proc/self/status");
    Process {
        cpu_seconds: native::cpu_time().as_secs_f64(),
        cpus: cpu::threads(0) as f64,
        resident_bytes: bytes(&status, "VmRSS:").unwrap_or_default(),
        memory_limit_bytes,
        memory_total_bytes: *MACHINE,
        memory_threshold_pct: MEMORY_THRESHOLD_PCT,
        threads: field(&status, "Threads:").and_then(|text| text.parse().ok()).unwrap_or_default(),
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

/// A field such as `VmRSS:   1024 kB`.
fn bytes(text: &str, name: &str) -> Option<u64> {
    let kib: u64 = field(text, name)?.strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// The name of a user in `/etc/passwd`, and its number if it has no name there: an image has not every user of a cluster.
fn user(passwd: &str, id: &str) -> String {
    let named = passwd.lines().find(|line| line.split(':').nth(2) == Some(id));
    named.and_then(|line| line.split(':').next()).unwrap_or(id).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_its_name_or_its_number() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nworker:x:1000:1000::/:/bin/false\n";
        assert_eq!(user(passwd, "0"), "root");
        assert_eq!(user(passwd, "1000"), "worker");
        assert_eq!(user(passwd, "1000650000"), "1000650000");
    }

    #[test]
    fn a_field_of_the_kernel_is_read_in_bytes() {
        let text = "VmPeak:\t  9000 kB\nVmRSS:\t  1024 kB\nThreads:\t7\n";
        assert_eq!(bytes(text, "VmRSS:"), Some(1 << 20));
        assert_eq!(field(text, "Threads:"), Some("7"));
        assert_eq!(bytes(text, "VmHWM:"), None);
        assert_eq!(bytes("VmRSS: many kB", "VmRSS:"), None);
    }

    #[test]
    fn this_process_uses_something() {
        let before = uses(None);
        assert!(
            before.cpu_seconds > 0.0 && before.resident_bytes > 1 << 20 && before.threads >= 1 && before.cpus >= 1.0
        );
        assert!(!identity().user.is_empty() && identity().folder.starts_with('/') && !identity().host.is_empty());
        let mut sum = 0_u64;
        while uses(None).cpu_seconds <= before.cpu_seconds {
            sum = sum.wrapping_add(1);
        }
    }
}
