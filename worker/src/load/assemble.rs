//! Puts a model together out of its weights, as its purpose asks for.

use std::collections::BTreeMap;

use belfry_crds::contract::load_failure::LoadFailure;

use crate::device::Device;
use crate::failure::Result;
use crate::folder::Folder;
use crate::model::engine::TorchEngine;
use crate::model::family::Family;
use crate::model::heads::{Head, HeadKind};
use crate::model::m3::M3;
use crate::model::pipeline::{Presets, Purpose};
use crate::model::steps::{Step, StepConfig};
use crate::model::weights::Weights;

/// What a model is made of.
pub(super) struct Parts<'a> {
    /// The model's own folder.
    pub(super) folder: &'a Folder,
    /// The network's folder.
    pub(super) place: &'a Folder,
    pub(super) family: &'a Family,
    pub(super) device: &'a Device,
    /// Ids of the special tokens that have a setting, such as `cls_token`, by its name.
    pub(super) special: BTreeMap<&'static str, u32>,
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
                let heads = M3::read(self.place, hidden, self.device, &self.special)?;
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

    fn other_head(&self) -> LoadFailure {
        self.place.unsupported("config.json", "the network has another head than the model needs")
    }
}
