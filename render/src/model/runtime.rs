//! `spec.runtime`, with defaults applied.

use belfry_crds::inference_model::{Device, Dtype};

use crate::template::TemplateRevision;

/// Image, device, data type and batching of the worker, with defaults applied.
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
    /// Data type of weights and activations.
    pub dtype: Dtype,
    /// Compute threads; 0 for as many as the CPU limit.
    pub threads: i32,
    /// Maximum number of tokens in one forward pass.
    pub max_batch_tokens: u32,
    /// Maximum number of texts in one forward pass.
    pub max_batch_size: u32,
    /// Maximum number of texts in one request.
    pub max_client_batch_size: u32,
    /// Maximum number of texts in the queue.
    pub queue_capacity: u32,
    /// Deadline of a request, in milliseconds.
    pub request_timeout_ms: u32,
}

/// The CUDA variant of an image has the same tag with `-cuda` appended. A digest names one image, so it has no variant.
pub(crate) fn image_for(image: &str, device: Device) -> String {
    match device {
        Device::Cuda if !image.contains('@') => format!("{image}-cuda"),
        Device::Cuda | Device::Cpu => image.to_owned(),
    }
}
