//! How the worker computes.

use belfry_crds::inference_model::{Device, Dtype};

use crate::template::TemplateRevision;

/// How the worker computes, with defaults applied.
#[derive(Clone, Debug, PartialEq)]
pub struct ValidRuntime {
    /// Image of the worker.
    pub image: String,
    /// Image that belongs to the template revision; the same unless the specification overrides it.
    pub default_image: String,
    /// Revision of the pod template.
    pub template_revision: TemplateRevision,
    /// Image that a new model would get.
    pub available_image: String,
    /// Device of the tensors.
    pub device: Device,
    /// Type of weights and activations.
    pub dtype: Dtype,
    /// Compute threads; 0 takes the CPU limit.
    pub threads: i32,
    /// Most tokens in one forward pass.
    pub max_batch_tokens: u32,
    /// Most texts in one forward pass.
    pub max_batch_size: u32,
    /// Most texts in one request.
    pub max_client_batch_size: u32,
    /// Most texts waiting.
    pub queue_capacity: u32,
    /// Milliseconds after which a request is given up.
    pub request_timeout_ms: u32,
}

impl ValidRuntime {
    /// Whether the pods of a new model of the same specification would differ.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        let follows_default = self.image == image_for(&self.default_image, self.device);
        self.template_revision != TemplateRevision::NEWEST
            || (follows_default && self.default_image != self.available_image)
    }
}

/// The CUDA variant of an image has the same tag and `-cuda`. A digest names one image and no variant.
pub(crate) fn image_for(image: &str, device: Device) -> String {
    match device {
        Device::Cuda if !image.contains('@') => format!("{image}-cuda"),
        Device::Cuda | Device::Cpu => image.to_owned(),
    }
}
