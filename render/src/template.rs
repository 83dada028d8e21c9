//! The pod template that a model runs on.
//!
//! A new operator may bring a better template and a newer worker. But moving a model to them restarts
//! it, and an upgrade of the operator must not restart models (invariant 4). So a model keeps the
//! revision and the image that it was created with until its specification names another revision, or
//! a staged upgrade of the installation moves it.
//!
//! The status records both. Backups often omit a status, so annotations of the Deployment record them too.

use std::collections::BTreeMap;

use belfry_crds::InferenceModelSpec;
use belfry_crds::status::RuntimeStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use strum::VariantArray;

use crate::problem::Problem;
use crate::settings::Settings;

/// Annotation of a Deployment: the revision of its pod template.
const REVISION_ANNOTATION: &str = "belfry.dev/template-revision";

/// Annotation of a Deployment: the image that belongs to the revision.
const IMAGE_ANNOTATION: &str = "belfry.dev/default-image";

/// A revision of the pod template that this operator can still render.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, VariantArray)]
pub enum TemplateRevision {
    /// The template of release 0.1.
    V1,
    /// Other engines get a user name, and caches that they can write to. Belfry's own worker has the same pods as before.
    V2,
}

impl TemplateRevision {
    /// Every revision, oldest first.
    pub const ALL: &[Self] = Self::VARIANTS;
    /// The revision of new models.
    pub const NEWEST: Self = Self::V2;

    /// Whether the newest revision gives other pods than this one, to a model with an engine or to Belfry's own worker.
    #[must_use]
    pub fn is_behind(self, has_engine: bool) -> bool {
        has_engine && self < Self::V2
    }

    /// Name of the revision in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "1",
            Self::V2 => "2",
        }
    }

    /// The revision with this name, if this operator still knows it.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|revision| revision.as_str() == name)
    }
}

/// A revision and the image that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin<Revision = TemplateRevision> {
    /// Revision of the pod template.
    pub revision: Revision,
    /// Image of the worker.
    pub image: String,
}

impl Pin {
    /// The newest revision and the image of new models.
    #[must_use]
    pub fn newest(settings: &Settings) -> Self {
        Self { revision: TemplateRevision::NEWEST, image: settings.worker_image.clone() }
    }

    /// Chooses the revision that the specification names, else the one that the model runs on, else the newest.
    ///
    /// # Errors
    /// A revision that this operator does not know.
    pub fn choose(specified: Option<&str>, running: Option<&Running>, settings: &Settings) -> Result<Self, Problem> {
        let running = match running {
            Some(Running { revision, image }) => Some(Self { revision: parse(revision)?, image: image.clone() }),
            None => None,
        };
        Ok(Self::of(specified.map(parse).transpose()?, running, Self::newest(settings)))
    }
}

impl<Revision: PartialEq> Pin<Revision> {
    /// A specification that names the revision already in use changes nothing, the image included.
    fn of(specified: Option<Revision>, running: Option<Self>, newest: Self) -> Self {
        match (specified, running) {
            (None, None) => newest,
            (None, Some(running)) => running,
            (Some(revision), Some(running)) if revision == running.revision => running,
            (Some(revision), _) => Self { revision, ..newest },
        }
    }
}

/// The revision and the image that a model runs on, as its status or its Deployment records them. Another version of the
/// operator may have written them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// Revision of the pod template.
    pub revision: String,
    /// Image that belongs to the revision.
    pub image: String,
}

impl Running {
    /// Reads a status.
    #[must_use]
    pub fn of_status(status: &RuntimeStatus) -> Self {
        Self { revision: status.template_revision.clone(), image: status.default_image.clone() }
    }

    /// Reads the annotations of a Deployment; `None` if it has none of them.
    #[must_use]
    pub fn of_deployment(metadata: &ObjectMeta) -> Option<Self> {
        let annotation = |key| metadata.annotations.as_ref()?.get(key).cloned();
        Some(Self { revision: annotation(REVISION_ANNOTATION)?, image: annotation(IMAGE_ANNOTATION)? })
    }
}

/// Whether a specification keeps its model out of staged upgrades: it pauses rollouts, or names the revision.
#[must_use]
pub fn holds(spec: &InferenceModelSpec) -> bool {
    let is_paused = spec.rollout.as_ref().and_then(|rollout| rollout.paused) == Some(true);
    is_paused || spec.runtime.as_ref().is_some_and(|runtime| runtime.template_revision.is_some())
}

/// The annotations of a Deployment that [`Running::of_deployment`] reads.
#[must_use]
pub fn annotations(revision: TemplateRevision, image: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        (REVISION_ANNOTATION.to_owned(), revision.as_str().to_owned()),
        (IMAGE_ANNOTATION.to_owned(), image.to_owned()),
    ])
}

fn parse(name: &str) -> Result<TemplateRevision, Problem> {
    TemplateRevision::parse(name).ok_or_else(|| {
        let known: Vec<_> = TemplateRevision::ALL.iter().map(|r| r.as_str()).collect();
        Problem::new(
            "spec.runtime.templateRevision",
            format!("this operator does not know revision {name:?}; it knows {}", known.join(", ")),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upgraded() -> Settings {
        Settings { worker_image: "worker:new".into(), ..Settings::default() }
    }

    fn running() -> Running {
        Running::of_status(&RuntimeStatus {
            image: "worker:by-hand".into(),
            default_image: "worker:old".into(),
            template_revision: "1".into(),
            ..RuntimeStatus::default()
        })
    }

    fn pin(revision: u8, image: &str) -> Pin<u8> {
        Pin { revision, image: image.into() }
    }

    #[test]
    fn an_upgraded_operator_keeps_the_image_of_a_running_model() {
        let pin = Pin::choose(None, Some(&running()), &upgraded()).unwrap();
        assert_eq!(pin.image, "worker:old");
    }

    #[test]
    fn naming_the_revision_that_runs_already_changes_nothing() {
        let pin = Pin::choose(Some("1"), Some(&running()), &upgraded()).unwrap();
        assert_eq!(pin.image, "worker:old");
    }

    #[test]
    fn a_new_model_gets_the_newest() {
        let pin = Pin::choose(None, None, &upgraded()).unwrap();
        assert_eq!((pin.image.as_str(), pin.revision), ("worker:new", TemplateRevision::NEWEST));
    }

    #[test]
    fn an_unknown_revision_is_refused_by_name() {
        let problem = Pin::choose(Some("99"), None, &upgraded()).unwrap_err();
        assert!(problem.to_string().contains("\"99\""), "{problem}");
    }

    #[test]
    fn a_revision_that_the_specification_names_is_moved_to_at_once_with_the_image_of_this_operator() {
        assert_eq!(Pin::of(Some(2), Some(pin(1, "old")), pin(2, "new")), pin(2, "new"));
        assert_eq!(Pin::of(Some(1), Some(pin(2, "old")), pin(2, "new")), pin(1, "new"));
    }

    #[test]
    fn nothing_but_the_specification_moves_a_model_to_a_newer_revision() {
        assert_eq!(Pin::of(None, Some(pin(1, "old")), pin(2, "new")), pin(1, "old"));
        assert_eq!(Pin::of(Some(1), Some(pin(1, "old")), pin(2, "new")), pin(1, "old"));
    }

    #[test]
    fn annotations_of_a_deployment_are_read_and_a_deployment_without_them_gives_nothing() {
        let annotated = |annotations| ObjectMeta { annotations: Some(annotations), ..ObjectMeta::default() };
        let own = annotated(annotations(TemplateRevision::V1, "worker:old"));
        assert_eq!(Running::of_deployment(&own), Some(running()));
        assert_eq!(Running::of_deployment(&annotated(BTreeMap::new())), None);
    }
}
