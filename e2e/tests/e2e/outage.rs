//! A model that is ready and fails most requests: one row of its word embeddings is damaged, as a bad memory cell or a
//! bad copy would do it, and most callers use that word.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use belfry_e2e::weights::{poison_row, token_id};
use belfry_e2e::{Served, TestResult, in_namespace, report, sample, secs};
use futures::future::{Either, select};
use serde_json::json;

/// A word that is one token, and that the warm-up does not use.
const WORD: &str = "zebra";

const ALERT: &str = "InferenceModelOutage";

/// Longest time that requests are sent.
const TRAFFIC: Duration = secs(300);

#[tokio::test]
async fn failing_requests_page_until_they_succeed_again() -> TestResult {
    in_namespace("outage", async |ns| {
        let folder = ns.volume_with_model().await?;
        let row = token_id(&folder.read("tokenizer.json")?, WORD)?;
        let mut weights = folder.read("model.safetensors")?;
        poison_row(&mut weights, "embeddings.word_embeddings.weight", row)?;
        folder.write("model.safetensors", &weights)?;
        let model = ns.serve(&sample("minilm")?).await?;
        model.until_serving().await?;
        model.until_rules_loaded().await?;
        model.until_scraped(1).await?;
        a_good_text_is_answered(&model).await?;

        let traffic = Traffic { model: &model, good: AtomicU32::new(0), bad: AtomicU32::new(0) };
        let begun = Instant::now();
        let alert = beside(traffic.mostly_bad(), model.until_alert(ALERT, secs(90))).await?;
        report(&format!(
            "{ALERT} reached Alertmanager after {:.0} s; {}",
            begun.elapsed().as_secs_f64(),
            traffic.counts()
        ));
        ensure!(traffic.good.load(Ordering::Relaxed) > 0, "no good text was answered in the meantime");
        ensure!(alert.labels.get("severity").is_some_and(|s| s == "critical"), "labels {:?}", alert.labels);
        let runbook = alert.annotations.get("runbook_url").map_or("", String::as_str);
        let page = format!("/InferenceModelOutage.md?namespace={}&model=minilm", ns.name);
        ensure!(runbook.ends_with(&page), "runbook_url is {runbook:?}");

        let mended = Instant::now();
        beside(traffic.good(), model.until_resolved(ALERT, TRAFFIC)).await?;
        report(&format!("{ALERT} is resolved {:.0} s after the last bad request", mended.elapsed().as_secs_f64()));
        Ok(())
    })
    .await
}

async fn a_good_text_is_answered(model: &Served<'_>) -> Result<()> {
    let vector = model.embed(&["A horse in the meadow."]).await?.pop().context("no vector")?;
    ensure!(vector.iter().all(|value| value.is_finite()), "a vector that is not finite");
    Ok(())
}

/// Runs the check while requests are sent. The requests must not end first.
async fn beside<T>(traffic: impl Future<Output = Result<()>>, check: impl Future<Output = Result<T>>) -> Result<T> {
    match select(Box::pin(traffic), Box::pin(check)).await {
        Either::Left((ended, _)) => {
            ended?;
            anyhow::bail!("the requests ended before the alert changed")
        }
        Either::Right((checked, _)) => checked,
    }
}

struct Traffic<'a> {
    model: &'a Served<'a>,
    good: AtomicU32,
    bad: AtomicU32,
}

impl Traffic<'_> {
    fn counts(&self) -> String {
        let (good, bad) = (self.good.load(Ordering::Relaxed), self.bad.load(Ordering::Relaxed));
        format!("{bad} requests failed and {good} were answered")
    }

    /// About ten failing requests a second, and one good one.
    async fn mostly_bad(&self) -> Result<()> {
        let mut ticks = tokio::time::interval(Duration::from_millis(100));
        let begun = Instant::now();
        while begun.elapsed() < TRAFFIC {
            for _ in 0..10 {
                ticks.tick().await;
                self.bad_request().await?;
            }
            self.good_request().await?;
        }
        Ok(())
    }

    async fn good(&self) -> Result<()> {
        let mut ticks = tokio::time::interval(Duration::from_millis(200));
        let begun = Instant::now();
        while begun.elapsed() < TRAFFIC + secs(10) {
            ticks.tick().await;
            self.good_request().await?;
        }
        Ok(())
    }

    /// The API server's proxy, which requests go through here, breaks off an answer now and then. Twice in a row would be
    /// the worker.
    async fn bad_request(&self) -> Result<()> {
        match self.one_bad_request().await {
            Ok(()) => Ok(()),
            Err(_) => self.one_bad_request().await,
        }
    }

    async fn one_bad_request(&self) -> Result<()> {
        let answer = self.model.post("/v1/embeddings", &json!({"input": format!("A {WORD} in the meadow.")})).await?;
        ensure!(answer.status == 500, "the damaged word is answered with {}: {}", answer.status, answer.body);
        let code = answer.json()?["error"]["code"].take();
        ensure!(code == *"inference_failed", "code {code}");
        self.bad.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn good_request(&self) -> Result<()> {
        if a_good_text_is_answered(self.model).await.is_err() {
            a_good_text_is_answered(self.model).await?;
        }
        self.good.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}
