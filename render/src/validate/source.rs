//! `spec.model`, with defaults applied: the source of the model's files.

use crate::deployed::{Deployed, FromImage};
use crate::model::{Download, Timeouts, ValidSource};
use crate::problem::Problem;
use crate::quantity::quantity as canonical;
use belfry_crds::contract::defaults;
use belfry_crds::inference_model::{Cache, CacheMode, Model, OciMount, OciSource, Source};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// Checks the source of a model whose pods have `start_seconds` to start.
pub(super) fn source(
    model: &Model,
    start_seconds: i32,
    deployed: Option<&Deployed>,
) -> Result<ValidSource, Vec<Problem>> {
    let cache = model.cache.as_ref();
    let Source { hugging_face, s3, pvc, oci: image } = &model.source;
    match (hugging_face, s3, pvc, image) {
        (Some(hub), None, None, None) => {
            let is_plain = cache.is_none() && start_seconds == defaults::STARTUP_BUDGET_SECONDS;
            let timeouts = (!is_plain).then(|| timeouts(cache, start_seconds));
            Ok(ValidSource::HuggingFace(hub.as_ref().clone(), download(model, timeouts, start_seconds)?))
        }
        (None, Some(bucket), None, None) => {
            let timeouts = timeouts(cache, start_seconds);
            Ok(ValidSource::S3(bucket.as_ref().clone(), download(model, Some(timeouts), start_seconds)?))
        }
        (None, None, Some(pvc), None) => {
            let path = pvc.path.as_deref().unwrap_or_default().trim_matches('/');
            Ok(ValidSource::Pvc { claim_name: pvc.claim_name.clone(), path: path.into() })
        }
        (None, None, None, Some(image)) => oci(image, deployed.map(|deployed| deployed.from_image).unwrap_or_default()),
        _ => Err(vec![Problem::new("spec.model.source", "set exactly one of huggingFace, s3, pvc and oci")]),
    }
}

/// By default an image is mounted, unless the cluster has shown that it can't mount images.
fn oci(source: &OciSource, present: FromImage) -> Result<ValidSource, Vec<Problem>> {
    let path = source.path.as_deref().unwrap_or_default();
    let path = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect::<Vec<_>>().join("/");
    let mount = source.mount.unwrap_or(match present {
        FromImage::Copied | FromImage::Forgotten if !path.is_empty() => OciMount::InitContainerCopy,
        _ => OciMount::ImageVolume,
    });
    if mount == OciMount::InitContainerCopy && path.is_empty() {
        // The root of a running container includes /proc and the volume that is the copy's target.
        let message = "a copy needs a folder of the image: put the model into one, or set mount: ImageVolume";
        return Err(vec![Problem::new("spec.model.source.oci.path", message)]);
    }
    let pull_policy = source.pull_policy.unwrap_or_default();
    Ok(ValidSource::Oci { image: source.image.clone(), path, pull_policy, mount })
}

fn download(model: &Model, timeouts: Option<Timeouts>, start_seconds: i32) -> Result<Download, Vec<Problem>> {
    let mut problems = vec![];
    let cache = model.cache.clone().unwrap_or_default();
    let authorities = model.ca_bundle.clone();
    if authorities.as_ref().is_some_and(|bundle| bundle.config_map_key_ref.is_some() == bundle.secret_key_ref.is_some())
    {
        let message = "set exactly one of configMapKeyRef and secretKeyRef";
        problems.push(Problem::new("spec.model.caBundle", message));
    }
    let shared = cache.mode == Some(CacheMode::SharedPVC);
    if shared != cache.claim_name.is_some() {
        let message = "set it with mode: SharedPVC, and only then";
        problems.push(Problem::new("spec.model.cache.claimName", message));
    }
    if timeouts.is_some_and(|timeouts| i64::from(timeouts.download) >= i64::from(start_seconds)) {
        let message = format!(
            "a pod has {start_seconds} seconds to start, and the kubelet would end it during the download: set less, or raise spec.probes.startupBudgetSeconds"
        );
        problems.push(Problem::new("spec.model.cache.downloadTimeoutSeconds", message));
    }
    let size_limit = cache.size_limit.as_ref().and_then(|limit| {
        let text = match limit {
            IntOrString::Int(bytes) => bytes.to_string(),
            IntOrString::String(text) => text.clone(),
        };
        let quantity = canonical(&text);
        if quantity.is_none() {
            let message = format!("{text:?} is not a quantity: write it as \"20Gi\"");
            problems.push(Problem::new("spec.model.cache.sizeLimit", message));
        }
        quantity
    });
    if problems.is_empty() {
        Ok(Download { claim_name: cache.claim_name, size_limit, timeouts, authorities })
    } else {
        Err(problems)
    }
}

/// A download ends a minute before the kubelet would end the pod, or at half the pod's time if that is later, so that the
/// worker can report the reason. The CRD requires at least 1, so only an object that no API server has checked can be
/// negative.
fn timeouts(cache: Option<&Cache>, start_seconds: i32) -> Timeouts {
    let seconds = |value: Option<i32>| value.and_then(|v| u32::try_from(v).ok());
    let start = seconds(Some(start_seconds)).unwrap_or_default();
    Timeouts {
        download: seconds(cache.and_then(|cache| cache.download_timeout_seconds))
            .unwrap_or(start.saturating_sub(60).max(start / 2)),
        stall: seconds(cache.and_then(|cache| cache.stall_timeout_seconds)).unwrap_or(defaults::STALL_TIMEOUT_SECONDS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
    use serde_json::{Value, json};

    fn check(model: Value) -> Result<ValidSource, String> {
        check_within(900, model)
    }

    fn check_within(start_seconds: i32, model: Value) -> Result<ValidSource, String> {
        let model: Model = serde_json::from_value(model).unwrap();
        source(&model, start_seconds, None)
            .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    }

    fn hub(cache: Value) -> Value {
        json!({"source": {"huggingFace": {"repo": "a/b", "revision": "main"}}, "cache": cache})
    }

    #[test]
    fn a_model_has_exactly_one_source() {
        for source in [json!({}), json!({"pvc": {"claimName": "a"}, "oci": {"image": "a"}})] {
            assert!(check(json!({ "source": source })).unwrap_err().contains("exactly one of"));
        }
    }

    #[test]
    fn a_download_without_settings_leaves_its_timeouts_to_the_worker() {
        let Ok(ValidSource::HuggingFace(_, download)) = check(hub(Value::Null)) else { panic!("it is valid") };
        assert_eq!(download, Download::default());
        let Ok(ValidSource::HuggingFace(_, download)) = check(hub(json!({"stallTimeoutSeconds": 5}))) else {
            panic!("it is valid")
        };
        assert_eq!(download.timeouts, Some(Timeouts { download: 840, stall: 5 }));
    }

    #[test]
    fn a_download_ends_before_the_kubelet_ends_the_pod() {
        for (start, download) in [(3600, 3540), (900, 840), (60, 30), (10, 5)] {
            let Ok(ValidSource::HuggingFace(_, found)) = check_within(start, hub(json!({}))) else {
                panic!("it is valid")
            };
            assert_eq!(found.timeouts.map(|timeouts| timeouts.download), Some(download));
        }
        let Ok(ValidSource::HuggingFace(_, found)) = check_within(3600, hub(Value::Null)) else {
            panic!("it is valid")
        };
        assert_eq!(found.timeouts, Some(Timeouts { download: 3540, stall: 30 }));
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused_by_field() {
        for (cache, field) in [
            (json!({"mode": "SharedPVC"}), "spec.model.cache.claimName: "),
            (json!({"claimName": "c"}), "spec.model.cache.claimName: "),
            (json!({"downloadTimeoutSeconds": 900}), "spec.model.cache.downloadTimeoutSeconds: a pod has 900 seconds"),
            (json!({"sizeLimit": "many"}), "spec.model.cache.sizeLimit: "),
        ] {
            let problems = check(hub(cache)).unwrap_err();
            assert!(problems.starts_with(field), "{problems}");
        }
        for root in [Value::Null, json!("."), json!("./")] {
            let copy = json!({"source": {"oci": {"image": "a", "mount": "InitContainerCopy", "path": root}}});
            assert!(check(copy).unwrap_err().starts_with("spec.model.source.oci.path: "));
        }
    }

    #[test]
    fn a_size_is_spelt_as_the_api_server_spells_it() {
        let Ok(ValidSource::HuggingFace(_, download)) = check(hub(json!({"sizeLimit": "2048Mi"}))) else {
            panic!("it is valid")
        };
        assert_eq!(download.size_limit, Some(Quantity("2Gi".into())));
    }
}
