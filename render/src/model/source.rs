//! `spec.model`, with defaults applied: the source of the model's files.

use belfry_crds::contract::MODEL_MOUNT;
use belfry_crds::inference_model::{CaBundle, HuggingFaceSource, OciMount, PullPolicy, S3Source};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// Source of a model's files.
#[derive(Clone, Debug, PartialEq)]
pub enum ValidSource {
    /// A folder of a claim.
    Pvc {
        /// Name of the claim.
        claim_name: String,
        /// Relative path of the folder within the claim; empty for the root.
        path: String,
    },
    /// A folder of an image.
    Oci {
        /// Reference of the image.
        image: String,
        /// Relative path of the folder within the image; empty for the root.
        path: String,
        /// When the kubelet pulls the image.
        pull_policy: PullPolicy,
        /// How the model gets into the pod: mounted or copied.
        mount: OciMount,
    },
    /// A repository on the hub.
    HuggingFace(HuggingFaceSource, Download),
    /// A folder in a bucket.
    S3(S3Source, Download),
}

/// Cache, timeouts and authorities of a download.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Download {
    /// Claim that all replicas share; `None` if each pod has a volume of its own.
    pub claim_name: Option<String>,
    /// Maximum size of a pod's own volume.
    pub size_limit: Option<Quantity>,
    /// Timeouts; `None` leaves them to the worker, as templates from before these settings do.
    pub timeouts: Option<Timeouts>,
    /// Authorities that it is trusted by; `None` for the public ones.
    pub authorities: Option<CaBundle>,
}

/// Timeouts of a download, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Time limit of the whole download.
    pub download: u32,
    /// Time limit without a byte received.
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

    /// Whether pods mount the model's image as a volume.
    #[must_use]
    pub const fn is_image_volume(&self) -> bool {
        matches!(self, Self::Oci { mount: OciMount::ImageVolume, .. })
    }

    /// The worker's download of the model, if the source needs one.
    #[must_use]
    pub const fn download(&self) -> Option<&Download> {
        match self {
            Self::HuggingFace(_, download) | Self::S3(_, download) => Some(download),
            Self::Pvc { .. } | Self::Oci { .. } => None,
        }
    }

    /// Address that a worker downloads from: `None` for no download, empty for the public address.
    #[must_use]
    pub fn endpoint(&self) -> Option<&str> {
        match self {
            Self::HuggingFace(hub, _) => Some(hub.endpoint.as_deref().unwrap_or_default()),
            Self::S3(bucket, _) => Some(bucket.endpoint.as_deref().unwrap_or_default()),
            Self::Pvc { .. } | Self::Oci { .. } => None,
        }
    }
}
