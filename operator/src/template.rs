//! Which pod template a model runs on.
//!
//! A new operator may bring a better template and a newer worker, but moving a model there restarts
//! it, and an upgrade of the operator must not restart models (invariant 4). So a model keeps the
//! revision and the image that it was created with, which its status remembers, until its
//! specification names another revision.

use belfry_crds::status::RuntimeStatus;

use crate::settings::Settings;
use crate::validate::Problem;

/// A revision of the pod template that this operator can still render.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TemplateRevision {
    /// The template of release 0.1.
    V1,
}

impl TemplateRevision {
    /// Every revision, oldest first.
    pub const ALL: &[Self] = &[Self::V1];
    /// The revision of new models.
    pub const NEWEST: Self = Self::V1;

    /// The name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "1",
        }
    }

    /// The revision of that name, if this operator still knows it.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|revision| revision.as_str() == name)
    }
}

/// The revision and the image that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Revision of the pod template.
    pub revision: TemplateRevision,
    /// Image of the worker.
    pub image: String,
}

impl Pin {
    /// What the specification names, else what the model already runs on, else the newest.
    ///
    /// # Errors
    /// A revision that this operator does not know.
    pub fn choose(
        specified: Option<&str>,
        running: Option<&RuntimeStatus>,
        settings: &Settings,
    ) -> Result<Self, Problem> {
        let newest = Self { revision: TemplateRevision::NEWEST, image: settings.worker_image.clone() };
        let running = match running {
            Some(running) => Some((parse(&running.template_revision)?, running.default_image.clone())),
            None => None,
        };
        let specified = specified.map(parse).transpose()?;
        Ok(match (specified, running) {
            (None, None) => newest,
            (Some(revision), None) => Self { revision, ..newest },
            (None, Some((revision, image))) => Self { revision, image },
            (Some(revision), Some((current, image))) if revision == current => Self { revision, image },
            (Some(revision), Some(_)) => Self { revision, ..newest },
        })
    }
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

    fn running() -> RuntimeStatus {
        RuntimeStatus {
            image: "worker:by-hand".into(),
            default_image: "worker:old".into(),
            template_revision: "1".into(),
            available_template_revision: "1".into(),
        }
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
}
