//! `belfry bundle`: what is known of a model, in one archive.

use std::path::PathBuf;
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use belfry_crds::InferenceModel;
use belfry_crds::condition::{ConditionStatus, ConditionType, Reason};
use belfry_e2e::{Namespace, TestResult, built, in_namespace, sample, secs};
use serde_json::json;

const SECRET: &str = "hunter2-hunter2";

#[tokio::test]
async fn a_bundle_of_a_model_that_serves_has_everything_but_its_secrets() -> TestResult {
    in_namespace("bundle", async |ns| {
        ns.volume_with_model().await?;
        let mut object = serde_json::to_value(sample("minilm")?)?;
        object["spec"]["podTemplate"]["env"] = json!([{"name": "UPSTREAM_TOKEN", "value": SECRET}]);
        let model = ns.serve(&serde_json::from_value::<InferenceModel>(object)?).await?;
        model.until_serving().await?;
        let pod = model.pod().await?.metadata.name.context("a pod without a name")?;
        let bundle = Bundle::make(ns, &model.name)?;
        ensure!(
            bundle.said.starts_with(&format!("{}/{}: Ready True, Serving", ns.name, model.name)),
            "{}",
            bundle.said
        );
        ensure!(!bundle.said.contains("Not as wanted"), "{}", bundle.said);
        for (file, part) in [
            ("model.yaml", "kind: InferenceModel".to_owned()),
            ("objects/Deployment-minilm.yaml", "kind: Deployment".to_owned()),
            ("objects/PrometheusRule-minilm.yaml", "kind: PrometheusRule".to_owned()),
            ("differences.txt", "Every object is as it is wanted.".to_owned()),
            ("events.txt", "Serving".to_owned()),
            (&format!("pods/{pod}/worker.log"), "Model is loaded".to_owned()),
            (&format!("pods/{pod}/metrics.txt"), "inference_model_loaded 1".to_owned()),
            (&format!("pods/{pod}/status.json"), "\"loaded_models\"".to_owned()),
            ("operator/deployment.yaml", "belfry-operator".to_owned()),
            ("index.html", format!("<h1>InferenceModel {}/{}</h1>", ns.name, model.name)),
        ] {
            let text = bundle.read(file)?;
            ensure!(text.contains(&part), "{file} does not have {part}: {text}");
        }
        ensure!(!bundle.holds(SECRET)?, "the archive has a secret");
        let again = run(ns, &model.name, &bundle.archive)?;
        ensure!(again.status.code() == Some(1), "an archive that is there is overwritten: {again:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_bundle_of_a_model_that_fails_says_why_on_its_first_line() -> TestResult {
    in_namespace("bundle-bad", async |ns| {
        let model = ns.serve(&sample("minilm")?).await?;
        // Its claim is not there.
        model.until((ConditionType::Ready, ConditionStatus::False, Reason::Unschedulable), secs(60)).await?;
        let bundle = Bundle::make(ns, &model.name)?;
        ensure!(bundle.said.contains("Ready False, Unschedulable"), "{}", bundle.said);
        let page = bundle.read("index.html")?;
        ensure!(page.contains("Unschedulable") && page.contains("not ready"), "{page}");
        let none = run(ns, "nothing", &bundle.archive.with_file_name("none.tar.gz"))?;
        let said = String::from_utf8(none.stderr)?;
        ensure!(none.status.code() == Some(1) && said.lines().count() == 1 && said.contains("not found"), "{said}");
        Ok(())
    })
    .await
}

fn run(ns: &Namespace, model: &str, archive: &std::path::Path) -> Result<Output> {
    let mut command = Command::new(built("belfry"));
    command.args(["bundle", model, "--namespace", &ns.name, "--output"]).arg(archive);
    command.output().context("belfry can't be run")
}

/// An archive, and what is in it.
struct Bundle {
    said: String,
    archive: PathBuf,
    folder: PathBuf,
}

impl Bundle {
    fn make(ns: &Namespace, model: &str) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("belfry-bundle-{}-{}", ns.name, std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let archive = folder.join("bundle.tar.gz");
        let output = run(ns, model, &archive)?;
        ensure!(output.status.success(), "{output:?}");
        let mut tar = Command::new("tar");
        tar.arg("--extract").arg("--strip-components=1").arg("--file").arg(&archive).arg("--directory").arg(&folder);
        ensure!(tar.status()?.success(), "the archive can't be read");
        Ok(Self { said: String::from_utf8(output.stdout)?, archive, folder })
    }

    fn read(&self, file: &str) -> Result<String> {
        std::fs::read_to_string(self.folder.join(file)).with_context(|| format!("{file} in {}", self.said))
    }

    /// Whether any file of the archive has this text.
    fn holds(&self, text: &str) -> Result<bool> {
        let mut grep = Command::new("grep");
        grep.args(["--recursive", "--quiet", "--fixed-strings", text]).arg(&self.folder);
        Ok(grep.status()?.success())
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.folder));
    }
}
