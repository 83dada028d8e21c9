//! The processes that this program starts: none goes on without it, and none is waited for without a limit.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process_group};

/// Pause between two looks at whether a process has ended.
const PAUSE: Duration = Duration::from_millis(10);

/// Those that run, by their pids.
static RUNNING: Mutex<Running> = Mutex::new(Running { children: BTreeMap::new(), has_ended: false });

struct Running {
    children: BTreeMap<u32, Child>,
    /// No more are started.
    has_ended: bool,
}

/// A process that ends with this, and whatever it has started ends too.
#[derive(Debug)]
pub(crate) struct Process {
    pid: u32,
}

/// What a process printed, and how it ended.
pub(crate) struct Printed {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

impl Process {
    /// Starts it, without an input.
    pub(crate) fn start(mut command: Command) -> anyhow::Result<(Self, ChildStdout, ChildStderr)> {
        // A group of its own, so that a wrapper and what it wraps end together.
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut running = running();
        if running.has_ended {
            bail!("this program ends");
        }
        let mut child = command.spawn()?;
        let outputs = child.stdout.take().zip(child.stderr.take());
        let process = Self { pid: child.id() };
        running.children.insert(process.pid, child);
        drop(running);
        let (stdout, stderr) = outputs.context("it has no output")?;
        Ok((process, stdout, stderr))
    }

    fn status(&self) -> anyhow::Result<Option<ExitStatus>> {
        let mut running = running();
        Ok(running.children.get_mut(&self.pid).context("it was ended")?.try_wait()?)
    }

    #[cfg(test)]
    pub(crate) const fn pid(&self) -> u32 {
        self.pid
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let child = running().children.remove(&self.pid);
        child.into_iter().for_each(end);
    }
}

/// Runs a process to its end, which has to come within the limit.
pub(crate) fn run(command: Command, limit: Duration) -> anyhow::Result<Printed> {
    let begun = Instant::now();
    let (process, stdout, stderr) = Process::start(command)?;
    let [stdout, stderr] = [reader(stdout), reader(stderr)];
    let status = loop {
        match process.status()? {
            Some(status) => break status,
            None if begun.elapsed() >= limit => bail!("no answer within {} s", limit.as_secs()),
            None => thread::sleep(PAUSE),
        }
    };
    // What it has started may hold its outputs open.
    drop(process);
    let read = |reader: thread::JoinHandle<Vec<u8>>| reader.join().unwrap_or_default();
    Ok(Printed { status, stdout: read(stdout), stderr: read(stderr) })
}

fn reader(mut output: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What came before an error is worth having.
        drop(output.read_to_end(&mut bytes));
        bytes
    })
}

/// Ends every process when it is dropped.
pub(crate) struct EndAll;

impl Drop for EndAll {
    fn drop(&mut self) {
        end_all();
    }
}

/// Ends every process, and lets none be started any more.
pub(crate) fn end_all() {
    let children = {
        let mut running = running();
        running.has_ended = true;
        std::mem::take(&mut running.children)
    };
    children.into_values().for_each(end);
}

fn end(mut child: Child) {
    // One that has ended by itself can't be killed.
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    drop(child.wait());
}

/// A thread that panicked left no child half registered.
fn running() -> MutexGuard<'static, Running> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn lives(pid: &str) -> bool {
        let state = std::fs::read_to_string(Path::new("/proc").join(pid).join("stat")).unwrap_or_default();
        // A process that nothing has waited for is dead all the same.
        state.rsplit(')').next().is_some_and(|rest| !rest.trim().is_empty() && !rest.trim().starts_with('Z'))
    }

    #[test]
    fn what_a_process_prints_is_had_when_it_ends() {
        let printed = run(shell("echo out; echo err >&2; exit 3"), Duration::from_secs(10)).unwrap();
        assert_eq!((printed.stdout, printed.stderr), (b"out\n".to_vec(), b"err\n".to_vec()));
        assert_eq!(printed.status.code(), Some(3));
    }

    #[test]
    fn a_process_that_hangs_is_given_up_with_all_that_it_has_started() {
        let file = std::env::temp_dir().join(format!("belfry-cli-children-{}", std::process::id()));
        let script = format!("sleep 60 & echo $! > {}; wait", file.display());
        let begun = Instant::now();
        let error = run(shell(&script), Duration::from_secs(1)).err().unwrap().to_string();
        assert_eq!(error, "no answer within 1 s");
        let sleep = std::fs::read_to_string(&file).unwrap();
        std::fs::remove_file(file).unwrap();
        while lives(sleep.trim()) {
            assert!(begun.elapsed() < Duration::from_secs(20), "process {sleep} goes on");
            thread::sleep(PAUSE);
        }
    }

    #[test]
    fn an_output_that_a_grandchild_holds_open_is_not_waited_for() {
        let begun = Instant::now();
        let printed = run(shell("sleep 60 & echo here"), Duration::from_secs(30)).unwrap();
        assert_eq!(printed.stdout, b"here\n");
        assert!(begun.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_process_ends_with_what_holds_it() {
        let (process, ..) = Process::start(shell("exec sleep 60")).unwrap();
        let pid = process.pid().to_string();
        assert!(lives(&pid));
        drop(process);
        assert!(!lives(&pid));
    }
}
