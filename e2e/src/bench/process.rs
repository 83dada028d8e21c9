//! What a process costs, and the operator as a process beside the control plane.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use belfry_crds::contract::metrics as contract;
use http::Request;
use kube::{Client, Config};
use rustix::process::{Pid, Signal, kill_process};

use crate::{secs, wait};

/// Ticks of a second in `/proc/PID/stat`: `USER_HZ` of every Linux that containers run on.
const TICKS: f64 = 100.0;

/// Processor time that a process has used since it began, in seconds.
pub fn cpu_seconds(pid: Pid) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).context("the process has ended")?;
    cpu_ticks(&stat).map(|ticks| ticks / TICKS)
}

/// Fields 14 and 15, in user and in kernel mode. The name in field 2 may hold blanks.
fn cpu_ticks(stat: &str) -> Result<f64> {
    let (_, after_name) = stat.rsplit_once(')').context("no name in /proc/PID/stat")?;
    let fields: Vec<_> = after_name.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok());
    ticks(11).zip(ticks(12)).map(|(user, kernel)| user + kernel).context("no times in /proc/PID/stat")
}

/// The operator's executable, and what it needs to run.
#[derive(Clone, Debug)]
pub struct Program {
    /// The executable.
    pub path: PathBuf,
    /// More arguments.
    pub args: Vec<String>,
}

/// A running operator. Dropping it kills it.
pub struct MeasuredOperator {
    child: Child,
    client: Client,
    /// When it was started.
    pub begun: Instant,
}

impl MeasuredOperator {
    /// Starts the operator as the user of the kubeconfig; its log goes to a file beside that.
    pub fn start(program: &Program, kubeconfig: &Path) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let log = kubeconfig.with_extension("log");
        let log = File::options().append(true).create(true).open(&log)?;
        let begun = Instant::now();
        let child = Command::new(&program.path)
            .args(["--listen", &format!("127.0.0.1:{port}"), "--json-logs"])
            .args(&program.args)
            .env("KUBECONFIG", kubeconfig)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("can't start {}: build it with --release", program.path.display()))?;
        let mut config = Config::new(format!("http://127.0.0.1:{port}").parse()?);
        config.default_retry = false;
        Ok(Self { child, client: Client::try_from(config)?, begun })
    }

    /// Waits until it says that it knows what exists.
    pub async fn until_ready(&mut self, limit: Duration) -> Result<()> {
        while self.get("/readyz").await.is_err() {
            ensure!(self.begun.elapsed() < limit, "the operator is not ready within {} s", limit.as_secs());
            if let Some(status) = self.child.try_wait()? {
                bail!("the operator ended: {status}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Passes over models since it was started, whatever their outcome.
    pub async fn passes(&self) -> Result<f64> {
        Ok(sum(&self.get("/metrics").await?, contract::RECONCILES.name))
    }

    /// Seconds that its passes took together. Passes run beside each other.
    pub async fn seconds_in_passes(&self) -> Result<f64> {
        Ok(sum(&self.get("/metrics").await?, &format!("{}_sum", contract::RECONCILE_DURATION.name)))
    }

    /// Memory of the process in MB (10⁶ bytes): a field of `/proc/PID/status`, such as `VmRSS`.
    pub fn memory(&self, field: &str) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        megabytes(&status, field)
    }

    /// Processor time since it was started, in seconds.
    pub fn cpu_seconds(&self) -> Result<f64> {
        cpu_seconds(self.pid()?)
    }

    /// Ends it as a cluster would, and returns how long that took.
    pub async fn stop(mut self) -> Result<Duration> {
        let begun = Instant::now();
        kill_process(self.pid()?, Signal::TERM)?;
        let status =
            wait::until("the operator ends", secs(80), async || self.child.try_wait()?.context("it is still running"))
                .await?;
        ensure!(status.success(), "the operator ended badly: {status}");
        Ok(begun.elapsed())
    }

    async fn get(&self, path: &str) -> Result<String> {
        Ok(self.client.request_text(Request::get(path).body(vec![])?).await?)
    }

    fn pid(&self) -> Result<Pid> {
        Pid::from_raw(i32::try_from(self.child.id())?).context("0 is no process")
    }
}

impl Drop for MeasuredOperator {
    fn drop(&mut self) {
        // One that has ended already can't be killed.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Sum over all series of a metric.
fn sum(exposition: &str, metric: &str) -> f64 {
    let values = exposition.lines().filter_map(|line| {
        let rest = line.strip_prefix(metric)?;
        let rest = if rest.starts_with('{') { rest.rsplit_once('}')?.1 } else { rest };
        rest.strip_prefix(' ')?.parse::<f64>().ok()
    });
    values.sum()
}

fn megabytes(status: &str, field: &str) -> Result<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let kibibytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    Ok(kibibytes.with_context(|| format!("no {field} in /proc/PID/status"))? * 1024.0 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_memory_are_read_from_proc() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 3 0 1 2 3";
        assert_eq!(cpu_ticks(stat).unwrap(), 300.0);
        let status = "Name:\tx\nVmHWM:\t   2000 kB\nVmRSS:\t   1000 kB\n";
        assert_eq!(megabytes(status, "VmRSS").unwrap(), 1.024);
        assert!(megabytes(status, "Vm").is_err());
    }

    #[test]
    fn a_sum_is_over_the_series_of_one_metric() {
        let text = "# TYPE a_total counter\na_total{outcome=\"x}\"} 2\na_total{outcome=\"y\"} 3\na_total_sum 9\n";
        assert_eq!(sum(text, "a_total"), 5.0);
        assert_eq!(sum(text, "a_total_sum"), 9.0);
    }
}
