//! `belfry top --kube`: the workers of a cluster, as they come and go.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use belfry_e2e::{Namespace, Served, TestResult, built, in_namespace, secs, wait};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::DeleteParams;
use parking_lot::Mutex;
use serde_json::Value;

#[tokio::test]
async fn top_finds_the_workers_of_a_cluster_and_leaves_no_kubectl_behind() -> TestResult {
    in_namespace("top", async |ns| {
        let model = ns.serve_sample().await?;
        one_look_names_the_pod_and_its_model(ns, &model).await?;
        where_no_worker_is_one_line_says_where_it_looked(ns)?;
        a_screen_follows_a_worker_to_its_next_pod(ns, &model).await
    })
    .await
}

async fn one_look_names_the_pod_and_its_model(ns: &Namespace, model: &Served<'_>) -> Result<()> {
    let pod = model.pod().await?.name_any();
    let output = belfry(ns, &["--once", "--output", "json"]).output()?;
    ensure!(output.status.success(), "{output:?}");
    let looks: Vec<Value> = serde_json::from_slice(&output.stdout)?;
    ensure!(looks.len() == 1, "{looks:?}");
    let seen =
        [&looks[0]["namespace"], &looks[0]["pod"], &looks[0]["model"], &looks[0]["status"]["models"][0]["state"]];
    ensure!(seen == [ns.name.as_str(), &pod, &model.name, "loaded"], "{seen:?}");
    let table = belfry(ns, &[&model.name, "--once"]).output()?;
    let text = String::from_utf8(table.stdout)?;
    ensure!(table.status.success() && text.contains(&pod) && text.contains("loaded"), "{text}");
    ensure!(forwarded(ns)?.is_empty(), "{:?} are still forwarded", forwarded(ns)?);
    Ok(())
}

fn where_no_worker_is_one_line_says_where_it_looked(ns: &Namespace) -> Result<()> {
    let output = belfry(ns, &["no-such-model", "--once"]).output()?;
    let said = String::from_utf8(output.stderr)?;
    let expected =
        format!("belfry: no worker of Belfry for no-such-model runs in namespace {}; -A looks in all\n", ns.name);
    ensure!(output.status.code() == Some(1) && said == expected, "{said}");
    Ok(())
}

async fn a_screen_follows_a_worker_to_its_next_pod(ns: &Namespace, model: &Served<'_>) -> Result<()> {
    let mut screen = Screen::open(ns)?;
    let first = model.pod().await?.name_any();
    screen.until_live(ns, &first).await?;
    ns.api::<Pod>().delete(&first, &DeleteParams::default()).await?;
    let next = wait::until("another pod", secs(60), async || {
        let next = model.pod().await?.name_any();
        ensure!(next != first, "{next} is the first");
        Ok(next)
    })
    .await?;
    screen.until_live(ns, &next).await?;
    ensure!(forwarded(ns)? == [next], "{:?} are forwarded", forwarded(ns)?);
    screen.quit().await?;
    ensure!(forwarded(ns)?.is_empty(), "{:?} are still forwarded", forwarded(ns)?);
    Ok(())
}

fn belfry(ns: &Namespace, more: &[&str]) -> Command {
    let mut command = Command::new(built("belfry"));
    command.args(["top", "--kube", "--namespace", &ns.name]).args(more).stdin(Stdio::null());
    command
}

/// The pods of a namespace to which a kubectl of this machine forwards a port.
fn forwarded(ns: &Namespace) -> Result<Vec<String>> {
    let mut pods = vec![];
    for entry in std::fs::read_dir("/proc").context("/proc can't be read")? {
        // A process may end while it is looked at.
        let command = std::fs::read_to_string(entry?.path().join("cmdline")).unwrap_or_default();
        let words: Vec<_> = command.split('\0').collect();
        let is_of_namespace = words.windows(2).any(|pair| pair == ["--namespace", &ns.name]);
        if words.contains(&"port-forward") && is_of_namespace {
            pods.extend(words.iter().find_map(|word| word.strip_prefix("pod/")).map(str::to_owned));
        }
    }
    Ok(pods)
}

/// `belfry top` in a terminal. `script` gives it one.
struct Screen {
    process: Child,
    written: Arc<Mutex<String>>,
}

impl Screen {
    fn open(ns: &Namespace) -> Result<Self> {
        let program = built("belfry");
        let top = format!("stty rows 24 cols 100; exec {} top --kube --namespace {}", program.display(), ns.name);
        let mut command = Command::new("script");
        command.args(["--quiet", "--return", "--command", &top, "/dev/null"]).env("TERM", "xterm");
        let mut process =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("script can't be run")?;
        let (written, mut output) = (Arc::new(Mutex::new(String::new())), process.stdout.take().context("no output")?);
        let to = written.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                to.lock().push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
        Ok(Self { process, written })
    }

    /// Waits until a pod is forwarded, and a worker is shown that was not shown before.
    async fn until_live(&self, ns: &Namespace, pod: &str) -> Result<()> {
        wait::until(&format!("{pod} on the screen"), secs(60), async || {
            let pods = forwarded(ns)?;
            ensure!(pods.iter().any(|forwarded| forwarded == pod), "{pods:?} are forwarded");
            let written = self.written.lock().clone();
            ensure!(written.contains("live") && written.contains("loaded"), "the screen is {written:?}");
            Ok(())
        })
        .await?;
        // The next worker has to be written anew.
        self.written.lock().clear();
        Ok(())
    }

    async fn quit(&mut self) -> Result<()> {
        self.process.stdin.as_mut().context("no input")?.write_all(b"q")?;
        let code = wait::until("the end of belfry top", secs(10), async || self.process.try_wait()?.context("it runs"))
            .await?;
        ensure!(code.success(), "it ended with {code}");
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // The terminal goes with it, and belfry top with the terminal.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
