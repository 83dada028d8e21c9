//! The files of sentence-transformers: what follows the encoder, and what a request gets that says nothing about it.

mod answer;
mod chat;
mod labels;
mod late;
mod pooled;
mod presets;
mod texts;
mod words;

use belfry_crds::contract::load_failure::LoadFailure;
use serde::Deserialize;

pub use self::answer::Answer;
use self::answer::answer;
pub use self::chat::ChatSettings;
pub use self::labels::Activation;
pub(crate) use self::labels::logistic;
use self::labels::{Network, activation};
pub use self::late::{Expansion, LateTexts, Skiplist, Strategy};
use self::pooled::modes;
pub use self::presets::Presets;
use self::presets::{SavedBy, presets};
pub use self::texts::{Texts, max_tokens};
use self::texts::{TransformerTask, texts};
use self::words::splade;
use super::heads::{WordPooling, WordWeight};
use super::pooling::{Mode, Pooling};
use super::steps::StepConfig;
use super::{m3, settings};
use crate::failure::Result;
use crate::folder::Folder;

const MODULES: &str = "modules.json";
const CONFIG: &str = "config.json";

/// The end of the architecture of a network that was made to continue texts.
const CONTINUES: &str = "ForCausalLM";

/// The steps around the encoder.
#[derive(Debug)]
pub struct Pipeline {
    /// Folder of the network and its tokenizer within the model's; empty if it is the same.
    pub place: String,
    /// What follows the encoder.
    pub purpose: Purpose,
    /// What the files beside the network say about its texts.
    pub texts: Texts,
    /// What a request gets that says nothing.
    pub presets: Presets,
    /// How queries differ from documents, in a model for late interaction.
    pub late: Option<LateTexts>,
    /// How texts become messages of a chat, if they do.
    pub chat: Option<ChatSettings>,
    /// A table of words is in place of a network.
    pub is_table: bool,
}

/// What follows the encoder, and so what the model is for.
#[derive(Debug)]
pub enum Purpose {
    /// One vector per text.
    Vectors {
        /// Computes it from one vector per token.
        pooling: Pooling,
        /// What follows pooling, each with the folder of its files.
        steps: Vec<(String, StepConfig)>,
    },
    /// One weight per word of the vocabulary.
    Words(WordPooling, WordWeight),
    /// One number per label for a text or a pair of texts.
    Labels(Activation),
    /// One number for a pair of texts, from the word that comes after them.
    Answer(Answer, Activation),
    /// One number per label for each token of a text.
    TokenLabels,
    /// One vector per token that counts, for late interaction.
    Tokens {
        /// What is done with the encoder's vectors, each with the folder of its files.
        steps: Vec<(String, StepConfig)>,
        /// Whether a linear layer goes before them that lies among the network's own weights.
        inline: bool,
        /// Tokens that have no vector.
        skiplist: Skiplist,
    },
}

#[derive(Deserialize)]
struct Module {
    /// By which the library keeps it.
    #[serde(rename = "name")]
    key: Option<String>,
    #[serde(default)]
    path: String,
    #[serde(rename = "type")]
    kind: String,
    /// Names of arguments that a caller of the library may pass on to the module. Without them nothing changes.
    #[serde(default, rename = "kwargs")]
    _kwargs: Vec<String>,
}

/// What `task` a folder is loaded for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[allow(missing_docs, reason = "a variant's doc comment would become a line of --help")]
pub enum Task {
    Auto,
    Embedding,
    SparseEmbedding,
    Rerank,
    Classification,
}

impl Pipeline {
    /// Reads modules.json and the files that belong to it. Fails on any step that the worker does not support: one that is
    /// skipped would give wrong vectors without an error.
    pub fn read(folder: &Folder, task: Task) -> Result<Self> {
        let pipeline = match folder.optional_json::<Vec<Module>>(MODULES)? {
            Some(modules) => Self::with_modules(folder, modules)?,
            None => Self::without_modules(folder, task)?,
        };
        let fits = match (&pipeline.purpose, task) {
            (_, Task::Auto) => true,
            (Purpose::Vectors { .. }, Task::SparseEmbedding) => m3::weighs_words(&folder.within(&pipeline.place)?),
            (Purpose::Vectors { .. }, task) => task == Task::Embedding,
            (Purpose::Words(..), task) => task == Task::SparseEmbedding,
            (Purpose::Labels(_) | Purpose::Answer(..), task) => matches!(task, Task::Rerank | Task::Classification),
            (Purpose::TokenLabels, task) => task == Task::Classification,
            (Purpose::Tokens { .. }, task) => matches!(task, Task::Embedding | Task::Rerank),
        };
        if fits {
            return Ok(pipeline);
        }
        let is = match pipeline.purpose {
            Purpose::Vectors { .. } => "embedding",
            Purpose::Words(..) => "sparse-embedding",
            Purpose::Labels(_) | Purpose::Answer(..) => "rerank or classification",
            Purpose::TokenLabels => "classification",
            Purpose::Tokens { .. } => "embedding or rerank",
        };
        let name = if folder.has(MODULES) { MODULES } else { CONFIG };
        Err(folder.unsupported(name, format!("the model is for {is}, and another task is asked for")))
    }

    fn with_modules(folder: &Folder, modules: Vec<Module>) -> Result<Self> {
        let (mut presets, saved_by, own_activation) = presets(folder)?;
        // The library keeps modules by their names: a second one of a name would stand in the place of the first.
        let twice = |index: usize| modules[..index].iter().any(|other| other.key == modules[index].key);
        if let Some(module) =
            (1..modules.len()).filter(|index| modules[*index].key.is_some()).find(|index| twice(*index))
        {
            let why =
                format!("module {module} has the name of another, {:?}", modules[module].key.as_deref().unwrap_or(""));
            return Err(folder.unsupported(MODULES, why));
        }
        if saved_by == SavedBy::MultiVectorEncoder {
            return late::pipeline(folder, modules, presets);
        }
        let mut modules = modules.into_iter();
        let first = modules.next().ok_or_else(|| folder.corrupt(MODULES, "it lists no module"))?;
        if first.name() == "StaticEmbedding" && saved_by == SavedBy::SentenceTransformer {
            let mean = Some(Pooling::new(vec![Mode::Mean]));
            let purpose = vectors(folder, (mean, modules.collect()), &mut presets)?;
            return Ok(Self {
                place: first.path,
                purpose,
                texts: Texts::default(),
                presets,
                late: None,
                chat: None,
                is_table: true,
            });
        }
        if !matches!(first.name(), "Transformer" | "MLMTransformer") {
            let why = format!(
                "module 0 is {}; only models that begin with a Transformer or a StaticEmbedding are supported",
                first.name()
            );
            return Err(folder.unsupported(MODULES, why));
        }
        let place = folder.within(&first.path)?;
        let (texts, task, chat) = texts(&place)?;
        let words = first.name() == "MLMTransformer" || task == TransformerTask::FillMask;
        let modules: Vec<Module> = modules.collect();
        let purpose = match (saved_by, task) {
            (SavedBy::CrossEncoder, TransformerTask::TextGeneration) => {
                Purpose::Answer(answer(folder, &modules)?, activation(&place, own_activation)?)
            }
            (_, TransformerTask::TextGeneration) => {
                let why =
                    "transformer_task text-generation is supported in a CrossEncoder alone, with a LogitScore module";
                return Err(place.unsupported("sentence_bert_config.json", why));
            }
            (SavedBy::CrossEncoder, _) | (_, TransformerTask::SequenceClassification) => {
                if let Some(module) = modules.first() {
                    return Err(unsupported_module(folder, 1, module, "none after the Transformer of a CrossEncoder"));
                }
                Purpose::Labels(activation(&place, own_activation)?)
            }
            (SavedBy::SparseEncoder, _) => splade(folder, &modules)?,
            (SavedBy::SentenceTransformer | SavedBy::MultiVectorEncoder, _) if words => splade(folder, &modules)?,
            (SavedBy::SentenceTransformer | SavedBy::MultiVectorEncoder, _) => {
                vectors(folder, (None, modules), &mut presets)?
            }
        };
        if matches!(purpose, Purpose::Words(..)) && !words {
            let why = "a SpladePooling module needs a Transformer with the task fill-mask";
            return Err(folder.unsupported(MODULES, why));
        }
        Ok(Self { place: first.path, purpose, texts, presets, late: None, chat, is_table: false })
    }

    /// What sentence-transformers makes of a folder of transformers: a CrossEncoder where the network has a head for labels, else a
    /// mean over all tokens. A network with a head for words is a SparseEncoder only if that is asked for.
    fn without_modules(folder: &Folder, task: Task) -> Result<Self> {
        if let Some(head) = m3::files(folder).next() {
            let why = format!(
                "is missing beside {head}, so how the dense vectors are pooled is not known; copy the whole folder of the model"
            );
            return Err(folder.unsupported(MODULES, why));
        }
        let network: Network = folder.json(CONFIG)?;
        let architecture = network.architectures.first().map_or("", String::as_str);
        if architecture == late::STANFORD {
            return late::stanford(folder);
        }
        let has_labels = architecture.ends_with("ForSequenceClassification");
        let has_token_labels = architecture.ends_with("ForTokenClassification");
        let purpose = match task {
            Task::Auto | Task::Rerank | Task::Classification if has_token_labels => Purpose::TokenLabels,
            Task::SparseEmbedding => Purpose::Words(WordPooling::Max, WordWeight::Log),
            Task::Auto | Task::Rerank | Task::Classification if has_labels => {
                Purpose::Labels(activation(folder, None)?)
            }
            Task::Rerank if architecture.ends_with(CONTINUES) => {
                Purpose::Answer(Answer::YesOrNo, activation(folder, None)?)
            }
            _ => Purpose::Vectors { pooling: Pooling::new(vec![without_pooling(architecture)]), steps: Vec::new() },
        };
        if matches!(purpose, Purpose::Vectors { .. }) {
            tracing::warn!(
                folder = folder.path(""),
                "Model has no modules.json; its tokens are pooled as sentence-transformers does"
            );
        }
        // The pipeline of transformers for token classification takes no messages.
        let has_chat = !matches!(purpose, Purpose::TokenLabels);
        let chat = if has_chat { ChatSettings::of_template(folder)? } else { None };
        let presets = Presets { pool_prompt: true, ..Presets::default() };
        let texts = Texts::default();
        Ok(Self { place: String::new(), purpose, texts, presets, late: None, chat, is_table: false })
    }
}

/// A network that was made to continue texts is pooled at its last token.
fn without_pooling(architecture: &str) -> Mode {
    if architecture.ends_with(CONTINUES) { Mode::LastToken } else { Mode::Mean }
}

impl Module {
    /// The class without its path.
    fn name(&self) -> &str {
        self.kind.rsplit('.').next().unwrap_or_default()
    }
}

fn unsupported_module(folder: &Folder, index: usize, module: &Module, supported: &str) -> LoadFailure {
    folder.unsupported(MODULES, format!("module {index} is {}; supported: {supported}", module.name()))
}

/// The modules after the first of a SentenceTransformer. `pooling` is that of a first module that pools by itself.
fn vectors(
    folder: &Folder,
    (mut pooling, modules): (Option<Pooling>, Vec<Module>),
    presets: &mut Presets,
) -> Result<Purpose> {
    const SUPPORTED: &str = "Pooling after a Transformer, and after it Dense, LayerNorm, Dropout and Normalize";
    let mut steps = Vec::new();
    for (index, module) in modules.into_iter().enumerate() {
        let place = folder.within(&module.path)?;
        match (module.name(), &pooling) {
            ("Pooling", None) => {
                let (modes, pool_prompt) = modes(&place)?;
                pooling = Some(modes);
                presets.pool_prompt = pool_prompt;
            }
            // Dropout does nothing outside of training.
            ("Dropout", Some(_)) => settings::check(&place, CONFIG, settings::DROPOUT)?,
            ("Normalize", Some(_)) => {
                if place.has(CONFIG) {
                    settings::check(&place, CONFIG, settings::NORMALIZE_OF_TEXTS)?;
                }
                steps.push((module.path, StepConfig::Normalize));
            }
            ("Dense", Some(_)) => steps.push((module.path, StepConfig::dense(&place, &[])?)),
            ("LayerNorm", Some(_)) => steps.push((module.path, StepConfig::layer_norm(&place)?)),
            _ => return Err(unsupported_module(folder, index + 1, &module, SUPPORTED)),
        }
    }
    // The last step is taken in the response, where a caller can turn it off.
    presets.normalize = matches!(steps.last(), Some((_, StepConfig::Normalize)));
    if presets.normalize {
        steps.pop();
    }
    let pooling = pooling.ok_or_else(|| folder.unsupported(MODULES, "it has no Pooling module"))?;
    Ok(Purpose::Vectors { pooling, steps })
}
