//! `spec.model` → where the model comes from, with every question answered.

use belfry_crds::contract::MODEL_MOUNT;
use belfry_crds::inference_model::{HuggingFaceSource, OciMount, PullPolicy, S3Source};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// Where a model comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum ValidSource {
    /// A folder of a claim.
    Pvc {
        /// Name of the claim.
        claim_name: String,
        /// Folder within the claim, relative; empty for its root.
        path: String,
    },
    /// A folder of an image.
    Oci {
        /// Reference of the image.
        image: String,
        /// Folder within the image, relative; empty for its root.
        path: String,
        /// When the kubelet pulls it.
        pull_policy: PullPolicy,
        /// How it gets into the pod.
        mount: OciMount,
    },
    /// A repository on the hub.
    HuggingFace(HuggingFaceSource, Download),
    /// A folder in a bucket.
    S3(S3Source, Download),
}

/// What is kept of a download, and how long it may take.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Download {
    /// Claim that all replicas share; `None` for a volume of each pod's own.
    pub claim_name: Option<String>,
    /// Most bytes of a pod's own volume.
    pub size_limit: Option<Quantity>,
    /// `None` leaves them to the worker, as templates do that are older than these settings.
    pub timeouts: Option<Timeouts>,
}

/// Waits of a download, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Of the whole.
    pub download: u32,
    /// Without a byte.
    pub stall: u32,
}

impl ValidSource {
    /// Where a container finds the model: a folder, a repository on the hub, or a folder in a bucket.
    #[must_use]
    pub fn location(&self) -> String {
        match self {
            Self::Pvc { path, .. } | Self::Oci { path, mount: OciMount::ImageVolume, .. } if !path.is_empty() => {
                format!("{MODEL_MOUNT}/{path}")
            }
            Self::Pvc { .. } | Self::Oci { .. } => MODEL_MOUNT.into(),
            Self::HuggingFace(hub, _) => hub.repo.clone(),
            Self::S3(bucket, _) => bucket.uri.clone(),
        }
    }

    /// Whether pods mount the image that holds the model.
    #[must_use]
    pub const fn is_image_volume(&self) -> bool {
        matches!(self, Self::Oci { mount: OciMount::ImageVolume, .. })
    }

    /// The download that a worker makes before it serves, if it makes one.
    #[must_use]
    pub const fn download(&self) -> Option<&Download> {
        match self {
            Self::HuggingFace(_, download) | Self::S3(_, download) => Some(download),
            Self::Pvc { .. } | Self::Oci { .. } => None,
        }
    }

    /// Where a worker downloads from: nowhere, or an address, which is empty for the public one.
    #[must_use]
    pub fn endpoint(&self) -> Option<&str> {
        match self {
            Self::HuggingFace(hub, _) => Some(hub.endpoint.as_deref().unwrap_or_default()),
            Self::S3(bucket, _) => Some(bucket.endpoint.as_deref().unwrap_or_default()),
            Self::Pvc { .. } | Self::Oci { .. } => None,
        }
    }
}
