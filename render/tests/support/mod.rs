//! Samples and builders that the tests share.

#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "what is missing here fails the test")]

use std::path::PathBuf;

use belfry_crds::InferenceModel;
use belfry_render::children::{Child, children};
use belfry_render::model::ValidModel;
use belfry_render::settings::Settings;
use belfry_render::validate::validate;

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every sample of `config/samples`, by the name of its file, as a cluster would hold it.
pub(crate) fn samples() -> Vec<(String, InferenceModel)> {
    let mut samples: Vec<_> = std::fs::read_dir(root().join("config/samples"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        .map(|path| {
            let mut model: InferenceModel = serde_yaml::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
            model.metadata.namespace = Some("search".into());
            model.metadata.uid = Some("11111111-2222-3333-4444-555555555555".into());
            (path.file_stem().unwrap().to_str().unwrap().to_owned(), model)
        })
        .collect();
    samples.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(!samples.is_empty());
    samples
}

/// The sample of that name.
pub(crate) fn sample(name: &str) -> InferenceModel {
    samples().into_iter().find(|(n, _)| n == name).unwrap().1
}

/// A model that has no problems.
pub(crate) fn valid(model: &InferenceModel) -> ValidModel {
    validate(model, &Settings::default()).unwrap()
}

/// Every object of a model, as it is applied.
pub(crate) fn objects(model: &ValidModel) -> Vec<Child> {
    children(model).unwrap()
}
