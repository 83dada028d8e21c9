//! Puts a model together out of its weights, as its purpose asks for.

use std::collections::{BTreeMap, HashSet};

use belfry_crds::contract::load_failure::{LoadFailure, LoadFailureReason};

use crate::device::{Device, one_line};
use crate::failure::{Result, failure};
use crate::folder::Folder;
use crate::model::Encoder;
use crate::model::engine::TorchEngine;
use crate::model::family::Family;
use crate::model::heads::{Head, HeadKind, SequenceHead};
use crate::model::m3::M3;
use crate::model::pipeline::{Answer, Presets, Purpose, Skiplist};
use crate::model::steps::{Step, StepConfig};
use crate::model::tokens::TokenVectors;
use crate::model::weights::Weights;
use crate::tokenize::Tokenizer;

/// What a model is made of.
pub(super) struct Parts<'a> {
    /// The model's own folder.
    pub(super) folder: &'a Folder,
    /// The network's folder.
    pub(super) place: &'a Folder,
    pub(super) family: &'a Family,
    pub(super) device: &'a Device,
    pub(super) tokenizer: &'a Tokenizer,
    /// The special tokens that have a setting, such as `cls_token`, by its name.
    pub(super) named: &'a BTreeMap<&'static str, String>,
}

/// A model that was put together.
pub(super) struct Assembled {
    pub(super) engine: TorchEngine,
    /// Length of a text's vector.
    pub(super) dimensions: usize,
    /// Memory of the network's weights, in bytes.
    pub(super) bytes: usize,
}

impl Parts<'_> {
    /// Builds the engine for a purpose, and adds to the presets what follows from it.
    pub(super) fn assemble(&self, purpose: Purpose, presets: &mut Presets) -> Result<Assembled> {
        let mut weights = Weights::read(self.place, self.device)?;
        let (engine, dimensions) = match purpose {
            Purpose::Vectors { pooling, steps } => {
                let hidden = self.family.hidden_size();
                let (steps, dimensions) = self.steps(&steps, pooling.dimensions(hidden))?;
                presets.pooling = pooling.name();
                let special =
                    self.named.iter().filter_map(|(setting, token)| Some((*setting, self.tokenizer.id(token)?)));
                let heads = M3::read(self.place, hidden, self.device, &special.collect())?;
                (TorchEngine::new(self.family.encoder(&mut weights)?, pooling, steps).with(heads), dimensions)
            }
            Purpose::Words(pooling, weight) => {
                let (encoder, head) = self.family.encoder_with_head(&mut weights, HeadKind::Vocabulary)?;
                let Head::Vocabulary(head) = head else { return Err(self.other_head()) };
                let dimensions = head.words();
                (TorchEngine::of_words(encoder, head, pooling, weight), dimensions)
            }
            Purpose::Labels(activation) => {
                let (encoder, head) = self.family.encoder_with_head(&mut weights, HeadKind::Sequence)?;
                let Head::Sequence(head) = head else { return Err(self.other_head()) };
                presets.activation = activation;
                presets.labels = self.family.labels().to_vec();
                (TorchEngine::of_sequence(encoder, head), self.family.hidden_size())
            }
            Purpose::Answer(answer, activation) => {
                presets.activation = activation;
                presets.labels = vec!["LABEL_0".to_owned()];
                let (encoder, head) = self.answer(&mut weights, answer)?;
                (TorchEngine::of_sequence(encoder, head), self.family.hidden_size())
            }
            Purpose::TokenLabels => {
                let (encoder, head) = self.family.encoder_with_head(&mut weights, HeadKind::Tokens)?;
                let Head::Tokens(head) = head else { return Err(self.other_head()) };
                presets.labels = self.family.labels().to_vec();
                (TorchEngine::of_token_classes(encoder, head), self.family.hidden_size())
            }
            Purpose::Tokens { steps, inline, skiplist } => {
                let own = if inline { Some(self.inline(&mut weights)?) } else { None };
                let width = own.as_ref().map_or(self.family.hidden_size(), |(_, width)| *width);
                let (steps, dimensions) = self.steps(&steps, width)?;
                let steps = own.into_iter().map(|(step, _)| step).chain(steps).collect();
                let Skiplist { words, queries, documents } = skiplist;
                let ids: HashSet<i64> =
                    words.iter().filter_map(|word| self.tokenizer.id(word)).map(i64::from).collect();
                let of = |role: bool| if role { ids.clone() } else { HashSet::new() };
                let vectors = TokenVectors::new(steps, of(queries), of(documents));
                (TorchEngine::of_tokens(self.family.encoder(&mut weights)?, vectors), dimensions)
            }
        };
        Ok(Assembled { engine, dimensions, bytes: weights.taken() })
    }

    /// The steps with their tensors, for vectors of `width` values; and the length of what the last one gives.
    fn steps(&self, configs: &[(String, StepConfig)], mut width: usize) -> Result<(Vec<Step>, usize)> {
        let mut steps = Vec::new();
        for (path, config) in configs {
            let own = self.folder.within(path)?;
            let (step, out) = config.build(&own, width, config.weights(&own, self.device)?)?;
            steps.push(step);
            width = out;
        }
        Ok((steps, width))
    }

    /// The network with a head that compares the two words of an answer.
    fn answer(&self, weights: &mut Weights, answer: Answer) -> Result<(Box<dyn Encoder>, SequenceHead)> {
        let refuse = |why: &str| Err(self.place.unsupported("config.json", why));
        if !self.family.continues_texts() {
            return refuse("a score of words needs a network that continues texts, and this family has none");
        }
        let (yes, no) = match answer {
            Answer::Ids { yes, no } => (yes, no),
            Answer::YesOrNo => match ["yes", "no"].map(|word| self.tokenizer.id(word)) {
                [Some(yes), Some(no)] => (yes as usize, Some(no as usize)),
                _ => {
                    return refuse(
                        "without modules.json a score is that of the words yes and no, and the vocabulary lacks one",
                    );
                }
            },
        };
        let (encoder, head) = self.family.encoder_with_head(weights, HeadKind::Vocabulary)?;
        let Head::Vocabulary(head) = head else { return Err(self.other_head()) };
        let words = head.words();
        match head.score_of(yes, no) {
            Ok(Some(head)) => Ok((encoder, head)),
            Ok(None) => refuse(&format!("a word of LogitScore has an id that is not below the vocabulary's {words}")),
            Err(error) => {
                let why = format!("{}: the words of LogitScore: {}", self.place.path(""), one_line(&error));
                Err(failure(LoadFailureReason::OutOfMemory, why))
            }
        }
    }

    /// The linear layer of the original ColBERT, which lies among the network's weights; and the length of what it gives.
    fn inline(&self, weights: &mut Weights) -> Result<(Step, usize)> {
        const NAME: &str = "linear.weight";
        let width = weights.rows(NAME);
        let weight = weights.take(NAME, &[width, self.family.hidden_size()])?;
        let step = Step::linear(weight, None).map_err(|error| {
            let why = format!("{}: tensor {NAME}: {}", self.place.path(""), one_line(&error));
            failure(LoadFailureReason::OutOfMemory, why)
        })?;
        Ok((step, width))
    }

    fn other_head(&self) -> LoadFailure {
        self.place.unsupported("config.json", "the network has another head than the model needs")
    }
}
