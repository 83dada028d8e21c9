//! A tunnel to a pod: a `kubectl port-forward` that ends with its user, and at the latest with this program.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::kubectl::{last_line, missing};

/// Longest wait for kubectl to listen.
const PATIENCE: Duration = Duration::from_secs(15);

/// The kubectls that run for this program, by their pids.
static RUNNING: Mutex<Running> = Mutex::new(Running { children: BTreeMap::new(), has_ended: false });

struct Running {
    children: BTreeMap<u32, Child>,
    /// No more are started.
    has_ended: bool,
}

/// A port of this machine that leads to a pod, for as long as this lives.
#[derive(Debug)]
pub(super) struct Tunnel {
    pid: u32,
}

impl Tunnel {
    /// Starts a `kubectl port-forward`, and returns the port that it listens on.
    pub(super) fn open(mut command: Command) -> Result<(Self, u16), String> {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let (tunnel, stdout, stderr) = {
            let mut running = running();
            if running.has_ended {
                return Err("belfry top ends".to_owned());
            }
            let mut child = command.spawn().map_err(|error| missing(&error).to_string())?;
            let (pid, stdout, stderr) = (child.id(), child.stdout.take(), child.stderr.take());
            running.children.insert(pid, child);
            (Self { pid }, stdout, stderr)
        };
        let (Some(stdout), Some(mut stderr)) = (stdout, stderr) else {
            return Err("it has no output".to_owned());
        };
        let (say, said) = channel();
        // Both outputs are read to their end, so that kubectl never waits for a reader.
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Some(port) = port(&line) {
                    // The receiver has waited too long, or has its port.
                    let _ = say.send(port);
                }
            }
        });
        let words = thread::spawn(move || {
            let mut words = Vec::new();
            // What does not fit is read and dropped.
            drop(stderr.by_ref().take(64 << 10).read_to_end(&mut words));
            drop(std::io::copy(&mut stderr, &mut std::io::sink()));
            String::from_utf8_lossy(&words).into_owned()
        });
        match said.recv_timeout(PATIENCE) {
            Ok(port) => Ok((tunnel, port)),
            Err(RecvTimeoutError::Timeout) => Err(format!("it does not listen within {} s", PATIENCE.as_secs())),
            Err(RecvTimeoutError::Disconnected) => {
                drop(tunnel);
                Err(last_line(&words.join().unwrap_or_default()))
            }
        }
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        let child = running().children.remove(&self.pid);
        child.into_iter().for_each(end);
    }
}

/// Ends every tunnel when it is dropped.
pub(super) struct EndAll;

impl Drop for EndAll {
    fn drop(&mut self) {
        end_all();
    }
}

/// Ends every tunnel, and lets none be opened any more.
pub(super) fn end_all() {
    let children = {
        let mut running = running();
        running.has_ended = true;
        std::mem::take(&mut running.children)
    };
    children.into_values().for_each(end);
}

fn end(mut child: Child) {
    // One that has ended by itself can't be killed.
    drop(child.kill());
    drop(child.wait());
}

/// A thread that panicked left no child half registered.
fn running() -> MutexGuard<'static, Running> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The port in `Forwarding from 127.0.0.1:40123 -> 8080`.
fn port(line: &str) -> Option<u16> {
    let (from, _) = line.strip_prefix("Forwarding from ")?.split_once(" -> ")?;
    from.rsplit_once(':')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_stands_in_the_first_line() {
        assert_eq!(port("Forwarding from 127.0.0.1:40123 -> 8080"), Some(40123));
        assert_eq!(port("Forwarding from [::1]:40123 -> 8080"), Some(40123));
        assert_eq!(port("Handling connection for 40123"), None);
    }

    #[test]
    fn a_tunnel_that_does_not_open_says_why() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo log >&2; echo 'pods \"m\" not found' >&2; exit 1"]);
        assert_eq!(Tunnel::open(command).unwrap_err(), "pods \"m\" not found");
        let error = Tunnel::open(Command::new("no-such-program")).unwrap_err();
        assert!(error.contains("none in the PATH"), "{error}");
    }

    #[test]
    fn a_process_ends_with_its_tunnel() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo 'Forwarding from 127.0.0.1:5 -> 8080'; exec sleep 60"]);
        let (tunnel, port) = Tunnel::open(command).unwrap();
        let lives = |pid: u32| std::path::Path::new("/proc").join(pid.to_string()).exists();
        let pid = tunnel.pid;
        assert!(port == 5 && lives(pid));
        drop(tunnel);
        assert!(!lives(pid));
    }
}
