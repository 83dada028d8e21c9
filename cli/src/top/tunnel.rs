//! A tunnel to a pod: a `kubectl port-forward` that ends with its user, and at the latest with this program.

use std::io::{BufRead, BufReader, Read};
use std::process::Command;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use crate::children::Process;
use crate::kubectl::{last_line, unstarted};

/// Longest wait for kubectl to listen.
const PATIENCE: Duration = Duration::from_secs(15);

/// A port of this machine that leads to a pod, for as long as this lives.
#[derive(Debug)]
pub(super) struct Tunnel {
    #[expect(dead_code, reason = "the process ends when it is dropped")]
    process: Process,
}

impl Tunnel {
    /// Starts a `kubectl port-forward`, and returns the port that it listens on.
    pub(super) fn open(command: Command) -> Result<(Self, u16), String> {
        let (process, stdout, mut stderr) = Process::start(command).map_err(|error| unstarted(&error))?;
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
            Ok(port) => Ok((Self { process }, port)),
            Err(RecvTimeoutError::Timeout) => Err(format!("it does not listen within {} s", PATIENCE.as_secs())),
            Err(RecvTimeoutError::Disconnected) => {
                drop(process);
                Err(last_line(&words.join().unwrap_or_default()))
            }
        }
    }
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
    fn a_tunnel_that_opens_has_its_port_and_one_that_does_not_says_why() {
        let shell = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            command
        };
        let (_tunnel, port) = Tunnel::open(shell("echo 'Forwarding from 127.0.0.1:5 -> 8080'; exec sleep 60")).unwrap();
        assert_eq!(port, 5);
        let refused = shell("echo log >&2; echo 'pods \"m\" not found' >&2; exit 1");
        assert_eq!(Tunnel::open(refused).unwrap_err(), "pods \"m\" not found");
        let error = Tunnel::open(Command::new("no-such-program")).unwrap_err();
        assert!(error.contains("none in the PATH"), "{error}");
    }
}
