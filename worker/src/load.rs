//! From a folder or a repository to a warm model. Runs on the lane's thread, because the tensors that it makes stay
//! there. Every failure is one line that names a file or an address and says what to do.

pub mod config;
pub mod folder;
pub mod hub;
pub mod modules;
pub mod weights;

use belfry_crds::contract::load_failure::{LoadFailure, LoadFailureReason};

use crate::app::{About, Model};
use crate::args::Args;
use crate::load::config::Config;
use crate::load::folder::Folder;
use crate::load::modules::Pipeline;
use crate::load::weights::Weights;
use crate::models;
use crate::tokenize::Tokenizer;
use crate::torch::{Device, TorchEngine};

/// Shorthand of this module.
pub type Result<T> = std::result::Result<T, LoadFailure>;

/// A failure with its message. Messages are one line, whatever a library puts into its own.
pub fn failure(reason: LoadFailureReason, message: impl AsRef<str>) -> LoadFailure {
    let line = message.as_ref().split(['\n', '\r']).map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>();
    LoadFailure { reason, message: line.join(" ") }
}

/// A loaded model: what requests need of it, what the lane runs, and how much memory its weights take.
pub struct Loaded {
    pub model: Model,
    pub engine: TorchEngine,
    pub bytes: usize,
}

/// Loads the model that the arguments name.
pub fn load(args: &Args, device: &Device) -> Result<Loaded> {
    let folder = match (&args.source.hf_repo, &args.source.model) {
        (Some(repo), _) => hub::fetch(repo, &args.source)?,
        (None, Some(path)) => Folder::open(path)?,
        (None, None) => {
            return Err(failure(LoadFailureReason::ModelNotFound, "no model is named; set --model or --hf-repo"));
        }
    };
    let config = Config::read(&folder)?;
    let pipeline = Pipeline::read(&folder, &config)?;
    let tokenizer = Tokenizer::new(&folder.read("tokenizer.json")?, pipeline.max_tokens, config.vocab_size)
        .map_err(|error| folder.corrupt("tokenizer.json", error))?;
    let mut weights = Weights::read(&folder, device)?;
    let digest = weights.digest().to_owned();
    let encoder = models::build(&config, &mut weights)?;
    drop(weights);
    let bytes = encoder.bytes();
    let engine = TorchEngine::new(encoder, pipeline.pooling);
    let dimensions = engine.dimensions(config.hidden_size);
    let about = About {
        architecture: config.architecture().to_owned(),
        dtype: device.dtype_name().to_owned(),
        device: device.name().to_owned(),
        revision: folder.revision().to_owned(),
        digest,
    };
    Ok(Loaded { model: Model { tokenizer, dimensions, about }, engine, bytes })
}
