//! Folders that hold no model that can be served: the worker says which file, and an alert follows.

use anyhow::{Result, ensure};
use belfry_crds::InferenceModel;
use belfry_crds::condition::{ConditionStatus, ConditionType, Reason};
use belfry_crds::contract::load_failure::LoadFailureReason;
use belfry_e2e::volume::{Folder, Volume};
use belfry_e2e::weights::poison_row;
use belfry_e2e::{Namespace, TestResult, in_namespace, prometheus, sample, secs, wait};
use serde_json::{Value, json};

/// How a folder is damaged.
type Damage = fn(&Folder) -> Result<()>;

/// Name of model and folder, what is done to the folder, the reason, and what the worker's line must name.
type Case = (&'static str, Damage, LoadFailureReason, &'static [&'static str]);

const CASES: &[Case] = &[
    (
        "no-weights",
        |folder| folder.remove("model.safetensors"),
        LoadFailureReason::FileMissing,
        &["/models/no-weights/model.safetensors"],
    ),
    (
        "no-tokenizer",
        // A vocabulary alone would do.
        |folder| folder.remove("tokenizer.json").and_then(|()| folder.remove("vocab.txt")),
        LoadFailureReason::FileMissing,
        &["/models/no-tokenizer/tokenizer.json"],
    ),
    (
        "truncated",
        truncate_weights,
        LoadFailureReason::FileCorrupt,
        &["/models/truncated/model.safetensors", "not complete"],
    ),
    (
        "no-safetensors",
        |folder| folder.write("model.safetensors", &[b'x'; 4096]),
        LoadFailureReason::FileCorrupt,
        &["model.safetensors", "no safetensors file"],
    ),
    (
        "no-json",
        |folder| folder.write("config.json", b"{"),
        LoadFailureReason::FileCorrupt,
        &["/models/no-json/config.json"],
    ),
    (
        "unknown",
        other_architecture,
        LoadFailureReason::UnsupportedArchitecture,
        &["/models/unknown/config.json", "LlamaForCausalLM", "BertModel"],
    ),
    ("mismatch", other_size, LoadFailureReason::WeightsMismatch, &["/models/mismatch/model.safetensors", "tensor"]),
    ("not-finite", poison_warm_up, LoadFailureReason::NumericalCheckFailed, &["not finite"]),
];

#[tokio::test]
async fn a_model_that_cannot_be_loaded_says_why_and_rings() -> TestResult {
    in_namespace("bad-model", async |ns| {
        let volume = ns.volume().await?;
        let nowhere = serve(ns, "nowhere").await?;
        for (name, damage, ..) in CASES {
            add_damaged(&volume, name, *damage)?;
            serve(ns, name).await?;
        }
        let mut wrong = vec![];
        let missing: Case = ("nowhere", |_| Ok(()), LoadFailureReason::ModelNotFound, &["/models/nowhere"]);
        for (name, _, reason, parts) in CASES.iter().chain([&missing]) {
            let model = belfry_e2e::Served { namespace: ns, name: (*name).to_owned() };
            let expected = (ConditionType::ModelLoaded, ConditionStatus::False, Reason::Load(*reason));
            match model.until(expected, secs(90)).await {
                Ok(condition) => {
                    let message = condition.message;
                    let is_line = message.lines().count() == 1;
                    if !is_line || !parts.iter().all(|part| message.contains(part)) {
                        wrong.push(format!("{name}: wanted one line with {parts:?}, not: {message}"));
                    }
                }
                Err(error) => wrong.push(format!("{name}: {error:#}")),
            }
        }
        ensure!(wrong.is_empty(), "{}", wrong.join("\n"));

        nowhere.until_rules_loaded().await?;
        wait::until("InferenceModelLoadFailed fires", secs(60), async || {
            let firing = prometheus::firing(&ns.cluster, &ns.name).await?;
            let is_it =
                |alert: &Value| alert["alertname"] == *"InferenceModelLoadFailed" && alert["model"] == *"nowhere";
            let alert = firing.iter().find(|alert| is_it(alert));
            ensure!(alert.is_some_and(|alert| alert["reason"] == *"ModelNotFound"), "firing: {firing:?}");
            Ok(())
        })
        .await
    })
    .await
}

/// Nine workers at once must find room on a small machine; none of them gets to work.
async fn serve<'a>(ns: &'a Namespace, name: &str) -> Result<belfry_e2e::Served<'a>> {
    let mut model: InferenceModel = sample("minilm")?;
    model.metadata.name = Some(name.to_owned());
    if let Some(pvc) = &mut model.spec.model.source.pvc {
        pvc.path = Some(name.to_owned());
    }
    model.spec.resources = Some(serde_json::from_value(
        json!({"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "1Gi"}}),
    )?);
    ns.serve(&model).await
}

fn add_damaged(volume: &Volume, name: &str, damage: Damage) -> Result<()> {
    damage(&volume.add(name)?)
}

fn truncate_weights(folder: &Folder) -> Result<()> {
    let weights = folder.read("model.safetensors")?;
    folder.write("model.safetensors", &weights[..weights.len() / 2])
}

fn other_architecture(folder: &Folder) -> Result<()> {
    change_config(folder, "architectures", json!(["LlamaForCausalLM"]))
}

fn other_size(folder: &Folder) -> Result<()> {
    change_config(folder, "hidden_size", json!(768))
}

fn change_config(folder: &Folder, field: &str, value: Value) -> Result<()> {
    let mut config: Value = serde_json::from_slice(&folder.read("config.json")?)?;
    config[field] = value;
    folder.write("config.json", config.to_string().as_bytes())
}

/// The warm-up runs tokens 1 to 3.
fn poison_warm_up(folder: &Folder) -> Result<()> {
    let mut weights = folder.read("model.safetensors")?;
    // The first token of the vocabulary is among those that every warm-up runs.
    poison_row(&mut weights, "embeddings.word_embeddings.weight", 0)?;
    folder.write("model.safetensors", &weights)
}
