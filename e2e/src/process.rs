//! The workers' processes: the node of the cluster is this machine.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use rustix::process::{Pid, Signal, kill_process};

/// Name of the worker's executable.
const WORKER: &str = "belfry-worker";

/// Ends the worker of a pod as a crash would: without a chance to say anything.
pub fn kill_worker(pod: &Pod) -> Result<()> {
    signal_worker(pod, Signal::KILL)
}

/// Sends a signal to the worker of a pod.
pub fn signal_worker(pod: &Pod, signal: Signal) -> Result<()> {
    let pid = Pid::from_raw(worker_pid(pod)?).context("0 is no process")?;
    kill_process(pid, signal).with_context(|| format!("can't send {signal:?} to process {pid:?}"))
}

/// The process of a pod's worker.
pub fn worker_pid(pod: &Pod) -> Result<i32> {
    let uid = pod.uid().context("a pod without a UID")?;
    let pids = workers(Path::new("/proc"), &uid)?;
    let &[pid] = pids.as_slice() else {
        bail!("{} has {} worker processes, and not one: {pids:?}", pod.name_any(), pids.len())
    };
    Ok(pid)
}

/// Processes of the worker in the control group of a pod.
fn workers(proc: &Path, pod_uid: &str) -> Result<Vec<i32>> {
    // With the systemd driver the UID is written with underscores.
    let names = [pod_uid.to_owned(), pod_uid.replace('-', "_")];
    let mut pids = vec![];
    for entry in fs::read_dir(proc).context("/proc can't be read")? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // A process may end while it is looked at.
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let group = fs::read_to_string(entry.path().join("cgroup")).unwrap_or_default();
        let program = command.split(|byte| *byte == 0).next().unwrap_or_default();
        if program.ends_with(WORKER.as_bytes()) && names.iter().any(|name| group.contains(name)) {
            pids.push(pid);
        }
    }
    Ok(pids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_known_by_its_program_and_its_pod() {
        let proc = std::env::temp_dir().join(format!("belfry-e2e-proc-{}", std::process::id()));
        let process = |pid: &str, command: &str, group: &str| {
            fs::create_dir_all(proc.join(pid)).unwrap();
            fs::write(proc.join(pid).join("cmdline"), command).unwrap();
            fs::write(proc.join(pid).join("cgroup"), group).unwrap();
        };
        process("10", "/belfry-worker\0--x\0", "4:memory:/kubepods/burstable/pod1111-22/abc\n");
        process("11", "/pause\0", "4:memory:/kubepods/burstable/pod1111-22/def\n");
        process("12", "/belfry-worker\0", "4:memory:/kubepods/burstable/pod3333-44/ghi\n");
        process("13", "/belfry-worker\0", "0::/kubepods.slice/kubepods-pod5555_66.slice/x\n");
        fs::create_dir_all(proc.join("self")).unwrap();
        assert_eq!(workers(&proc, "1111-22").unwrap(), [10]);
        assert_eq!(workers(&proc, "5555-66").unwrap(), [13]);
        fs::remove_dir_all(proc).unwrap();
    }
}
