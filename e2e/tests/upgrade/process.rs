//! An operator of some version as a child process.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use belfry_crds::contract::metrics::API_WRITES;
use belfry_e2e::{OPERATOR, secs, wait};
use rustix::process::{Pid, Signal, kill_process};

/// Lines of its log that a failed test shows.
const LOG_LINES: usize = 30;

/// A running operator. Dropping it kills it.
pub(crate) struct Operator {
    child: Child,
    listen: SocketAddr,
    log: PathBuf,
}

impl Operator {
    /// Starts a program as the administrator of the kubeconfig, and waits until it has seen everything.
    pub(crate) async fn start(program: &Path, kubeconfig: &Path, args: &[&str]) -> Result<Self> {
        let listen = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let log = kubeconfig.with_file_name("operator.log");
        let output = File::options().create(true).append(true).open(&log)?;
        let child = Command::new(program)
            .env("KUBECONFIG", kubeconfig)
            .env("NO_COLOR", "1")
            .arg("--listen")
            .arg(listen.to_string())
            .args(args)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("can't run {}", program.display()))?;
        let mut operator = Self { child, listen, log };
        wait::until("the operator is ready", secs(30), async || operator.is_ready()).await?;
        Ok(operator)
    }

    fn is_ready(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("it ended with {status}: {}", self.last_lines());
        }
        let answer = self.get("/readyz")?;
        ensure!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        Ok(())
    }

    /// Requests with which it wrote, by kind.
    pub(crate) fn writes(&self) -> Result<Vec<(String, u64)>> {
        let of_line = |line: &str| {
            let (labels, count) = line.strip_prefix(API_WRITES.name)?.rsplit_once(' ')?;
            let kind = labels.split_once("kind=\"")?.1.split_once('"')?.0;
            Some((kind.to_owned(), count.parse().ok().filter(|count| *count > 0)?))
        };
        Ok(self.get("/metrics")?.lines().filter_map(of_line).collect())
    }

    /// Answer of one of its paths, with the headers.
    fn get(&self, path: &str) -> Result<String> {
        let mut stream = TcpStream::connect_timeout(&self.listen, secs(2))?;
        stream.set_read_timeout(Some(secs(5)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {OPERATOR}\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// Asks it to end, and waits for that.
    pub(crate) async fn terminate(mut self) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("a pid out of range")?;
        kill_process(pid, Signal::TERM)?;
        let child = &mut self.child;
        let status = wait::until("the operator ends", secs(30), async || child.try_wait()?.context("it runs")).await?;
        ensure!(status.success(), "it ended with {status}: {}", self.last_lines());
        Ok(())
    }

    fn last_lines(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        // One that has ended already can't be killed.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
