//! Loads a model from a folder, a repository or a bucket. It runs on the lane's thread, because its tensors stay there.
//! Every failure is one line that names a file or an address and says what to do.

mod assemble;
mod authorities;
mod cache;
mod download;
mod hub;
mod late;
mod s3;
mod trouble;

use std::path::Path;
use std::time::Instant;

use belfry_crds::contract::load_failure::{LoadFailure, LoadFailureReason};

use self::assemble::{Assembled, Parts};
use self::download::Policy;
use crate::args::Args;
use crate::chat::{Chat, messages};
use crate::device::Device;
use crate::engine::Engine;
use crate::failure::{Result, failure};
use crate::folder::Folder;
use crate::folder::digest::Manifest;
use crate::metrics::Metrics;
use crate::model::engine::TorchEngine;
use crate::model::family::Family;
use crate::model::m3;
use crate::model::pipeline::{self, ChatSettings, Pipeline, Purpose, Task};
use crate::model::weights;
use crate::state::{About, Model};
use crate::tokenize::{Hints, Resolved, Tokenizer, resolve, resolve_alone};

/// A loaded model: the part for requests, the engine for the lane, and the memory of its weights.
pub struct Loaded {
    /// For the requests.
    pub model: Model,
    /// For the lane, whose thread it must not leave.
    pub engine: TorchEngine,
    /// Memory of the weights, in bytes.
    pub bytes: usize,
}

/// Loads the model that the arguments name.
pub fn load(args: &Args, device: &Device, metrics: &Metrics) -> Result<Loaded> {
    let source = &args.source;
    let policy = Policy::starting_at(Instant::now(), source);
    let folder = match (&source.hf_repo, &source.s3_uri, &source.model) {
        (Some(repo), ..) => hub::download(repo, source, policy, metrics)?,
        (_, Some(uri), _) => s3::download(uri, source, policy, metrics)?,
        (.., Some(path)) => Folder::open(path)?,
        (None, None, None) => {
            let message = "no model is named; set --model, --hf-repo or --s3-uri";
            return Err(failure(LoadFailureReason::ModelNotFound, message));
        }
    };
    let Plan { pipeline, place, family, tokenizer: resolved } = plan(&folder, args.task)?;
    let limit = pipeline::max_tokens(pipeline.texts, resolved.max_tokens, family.max_tokens());
    let tokenizer = Tokenizer::resolved(&resolved, limit, family.vocab_size())
        .and_then(|own| match pipeline.purpose {
            Purpose::Labels(_) | Purpose::Answer(..) if pipeline.chat.is_none() => own.for_pairs(),
            Purpose::TokenLabels => own.for_pieces(),
            _ => Ok(own),
        })
        .map_err(|error| {
            place.corrupt(if place.has("tokenizer.json") { "tokenizer.json" } else { "vocab.txt" }, error)
        })?;
    let tokenizer = match (&pipeline.late, &pipeline.chat) {
        (Some(late), _) => late::tokenizer(tokenizer, late, (&place, &family), &resolved)?,
        (None, Some(chat)) => {
            let chat = chat.open(&place, &resolved.named, |token| tokenizer.id(token).is_some())?;
            talks(&place, &chat, &pipeline)?;
            tokenizer.for_chat(chat)
        }
        (None, None) => tokenizer,
    };
    let parts = Parts {
        folder: &folder,
        place: &place,
        family: &family,
        device,
        tokenizer: &tokenizer,
        named: &resolved.named,
    };
    let mut presets = pipeline.presets;
    let Assembled { engine, dimensions, bytes } = parts.assemble(pipeline.purpose, &mut presets)?;
    let digest = folder.manifest().digest();
    match &source.model_sha256 {
        Some(wanted) if *wanted != digest => return Err(mismatch(&folder, wanted, &digest)),
        _ => {}
    }
    let about = About {
        architecture: family.architecture().to_owned(),
        dtype: device.dtype_name().to_owned(),
        device: device.name().to_owned(),
        revision: folder.revision().to_owned(),
        digest,
    };
    let model = Model::new(tokenizer, dimensions, engine.outputs(), presets, about);
    Ok(Loaded { model, engine, bytes })
}

/// What the files other than the weights say.
struct Plan {
    pipeline: Pipeline,
    /// Folder of the network and its tokenizer.
    place: Folder,
    family: Family,
    tokenizer: Resolved,
}

/// `tokenizer_class` of config.json.
#[derive(Default, serde::Deserialize)]
struct TokenizerClass {
    #[serde(default)]
    tokenizer_class: Option<String>,
}

fn plan(folder: &Folder, task: Task) -> Result<Plan> {
    let pipeline = Pipeline::read(folder, task)?;
    let place = folder.within(&pipeline.place)?;
    if place.has(ADAPTER) {
        let why = "the folder holds an adapter beside or instead of a model, which is not supported; merge it with merge_and_unload() of peft";
        return Err(place.unsupported(ADAPTER, why));
    }
    if pipeline.is_table {
        if let Some(head) = m3::files(&place).next() {
            return Err(place.unsupported(head, "a head beside a table of words is not supported"));
        }
        let (family, tokenizer) = (Family::of_table(&place)?, resolve_alone(&place)?);
        return Ok(Plan { pipeline, place, family, tokenizer });
    }
    let family = Family::read(&place)?;
    let TokenizerClass { tokenizer_class: class } = place.json("config.json")?;
    let hints = Hints { model_type: family.model_type(), class: class.as_deref(), lower: pipeline.texts.lower };
    let tokenizer = resolve(&place, hints)?;
    Ok(Plan { pipeline, place, family, tokenizer })
}

/// Refuses a chat template that has no place for what the model is asked, or that fails on a prompt of the model.
fn talks(place: &Folder, chat: &Chat, pipeline: &Pipeline) -> Result<()> {
    let pairs = matches!(pipeline.purpose, Purpose::Labels(_) | Purpose::Answer(..));
    let checked = if pairs { chat.check_pairs() } else { chat.check_single() };
    let second = pairs.then_some("b");
    let of_prompts = || {
        pipeline.presets.prompts.values().try_for_each(|prompt| chat.render(&messages(prompt, "a", second)).map(drop))
    };
    checked
        .and_then(|()| of_prompts())
        .map_err(|why| place.unsupported(ChatSettings::file(place), format!("chat template: {why}")))
}

/// The file that says that weights are to be changed before use.
const ADAPTER: &str = "adapter_config.json";

/// Reads the files that [`load`] reads, without loading a model.
pub fn manifest(path: &Path) -> Result<Manifest> {
    let folder = Folder::open(path)?;
    let Plan { pipeline, place, tokenizer, .. } = plan(&folder, Task::Auto)?;
    weights::hash(&place)?;
    if let Some(chat) = &pipeline.chat {
        chat.open(&place, &tokenizer.named, |_| true)?;
    }
    if let Purpose::Vectors { steps, .. } | Purpose::Tokens { steps, .. } = &pipeline.purpose {
        for (path, _) in steps.iter().filter(|(_, step)| step.has_weights()) {
            weights::hash(&folder.within(path)?)?;
        }
    }
    if matches!(pipeline.purpose, Purpose::Vectors { .. }) {
        m3::files(&place).try_for_each(|name| weights::hash_file(&place, name))?;
    }
    Ok(folder.manifest())
}

fn mismatch(folder: &Folder, wanted: &str, found: &str) -> LoadFailure {
    let message = format!(
        "{}: the model's digest is {found}, but {wanted} is wanted; if the model is the right one, set sha256 to the first",
        folder.path("")
    );
    failure(LoadFailureReason::DigestMismatch, message)
}
