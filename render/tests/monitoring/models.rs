//! The two models that everything is rendered for, read as a user writes them.

use belfry_crds::InferenceModel;
use belfry_render::model::ValidModel;
use belfry_render::settings::Settings;
use belfry_render::validate::validate;

/// The smallest specification that the API allows.
pub(crate) fn small() -> ValidModel {
    valid(include_str!("small.model.yaml"))
}

/// One objective of each indicator, an owner, and labels for Prometheus. The rule tests are written for it.
pub(crate) fn objectives() -> ValidModel {
    valid(include_str!("objectives.model.yaml"))
}

pub(crate) fn valid(yaml: &str) -> ValidModel {
    let model: InferenceModel = serde_yaml::from_str(yaml).expect("an InferenceModel");
    validate(&model, &Settings::default()).expect("a valid InferenceModel")
}
