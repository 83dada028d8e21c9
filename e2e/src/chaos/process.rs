//! The operator's program as a child process.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::{OPERATOR, secs, wait};

/// Lines of its log that a failed test shows.
const LOG_LINES: usize = 60;

/// How long it may take until it has seen everything.
const START: std::time::Duration = secs(30);

/// The operator, running or not. Dropping it ends it.
pub struct Operator {
    program: PathBuf,
    kubeconfig: PathBuf,
    listen: SocketAddr,
    args: Vec<String>,
    child: Option<Child>,
}

impl Operator {
    /// An operator that will speak to that address. Its log lies in the folder.
    pub fn new(folder: PathBuf, api_server: &str) -> Result<Self> {
        fs::create_dir_all(&folder)?;
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "proxy",
            "clusters": [{"name": "proxy", "cluster": {"server": api_server}}],
            "users": [{"name": "anonymous", "user": {}}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "anonymous"}}],
        });
        let path = folder.join("kubeconfig");
        fs::write(&path, kubeconfig.to_string())?;
        Self::of_version(present()?, path)
    }

    /// The program of some version, which will speak with that kubeconfig. Its log lies beside it.
    pub fn of_version(program: PathBuf, kubeconfig: PathBuf) -> Result<Self> {
        let listen = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        Ok(Self { program, kubeconfig, listen, args: vec![], child: None })
    }

    /// From its next start on with these arguments.
    pub fn with(&mut self, args: &[&str]) {
        self.args = args.iter().map(|arg| (*arg).to_owned()).collect();
    }

    /// Starts it, without waiting for anything.
    pub fn spawn(&mut self) -> Result<()> {
        ensure!(self.child.is_none(), "the operator runs already");
        let log = File::options().create(true).append(true).open(self.log())?;
        let child = Command::new(&self.program)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("RUST_LOG", "info,kube=warn")
            .env("NO_COLOR", "1")
            .arg("--listen")
            .arg(self.listen.to_string())
            .args(&self.args)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn();
        self.child = Some(child.with_context(|| format!("can't run {}", self.program.display()))?);
        Ok(())
    }

    /// Starts it, and waits until it has seen everything.
    pub async fn start(&mut self) -> Result<()> {
        self.spawn()?;
        self.until_ready().await
    }

    /// Waits until it has seen everything.
    pub async fn until_ready(&mut self) -> Result<()> {
        wait::until("the operator is ready", START, async || self.is_ready()).await
    }

    /// An error says why it is not ready.
    pub fn is_ready(&mut self) -> Result<()> {
        if let Some(status) = self.ended()? {
            bail!("it ended with {status}");
        }
        let answer = self.get("/readyz")?;
        ensure!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        Ok(())
    }

    /// Where it shows its metrics.
    pub fn address(&self) -> SocketAddr {
        self.listen
    }

    /// Answer of one of its paths, with the headers.
    pub fn get(&self, path: &str) -> Result<String> {
        self.get_with(path, "")
    }

    /// The same of a request with one more header line, or with none.
    pub fn get_with(&self, path: &str, header: &str) -> Result<String> {
        let mut stream = self.connect()?;
        stream.set_read_timeout(Some(secs(5)))?;
        let header = if header.is_empty() { String::new() } else { format!("{header}\r\n") };
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {OPERATOR}\r\nConnection: close\r\n{header}\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// A connection to it that asks for nothing.
    pub fn connect(&self) -> Result<TcpStream> {
        Ok(TcpStream::connect_timeout(&self.listen, secs(2))?)
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        let child = self.child.as_mut().context("the operator was not started")?;
        Ok(child.try_wait()?)
    }

    /// Ends it at once, as a crash does.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let child = self.child.as_ref().context("the operator was not started")?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("a pid out of range")?;
        Ok(kill_process(pid, signal)?)
    }

    /// Waits until it ends.
    pub async fn until_ended(&mut self, limit: std::time::Duration) -> Result<ExitStatus> {
        let child = self.child.as_mut().context("the operator was not started")?;
        let status = wait::until("the operator ends", limit, async || child.try_wait()?.context("it runs")).await?;
        self.child = None;
        Ok(status)
    }

    /// Asks it to end, and waits for that.
    pub async fn terminate(&mut self, limit: std::time::Duration) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.until_ended(limit).await
    }

    fn log(&self) -> PathBuf {
        self.kubeconfig.with_file_name("operator.log")
    }

    /// What it logged, from all of its lives.
    pub fn log_text(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// The end of its log.
    pub fn last_lines(&self) -> String {
        let text = self.log_text();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            crate::report(&format!("an operator was left behind: {error:#}"));
        }
    }
}

/// The present version: `BELFRY_OPERATOR_BIN`, or what `cargo build` left.
pub fn present() -> Result<PathBuf> {
    let program = match std::env::var_os("BELFRY_OPERATOR_BIN") {
        Some(path) => PathBuf::from(path),
        None => crate::built(OPERATOR),
    };
    ensure!(program.exists(), "no {}: run cargo build --package {OPERATOR}", program.display());
    Ok(program)
}
