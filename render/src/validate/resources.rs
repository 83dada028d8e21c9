//! CPU, memory and devices of one worker: defaults and checks.

use std::collections::BTreeMap;

use belfry_crds::contract::defaults;
use belfry_crds::inference_model::{Device, Resources};
use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::problem::Problem;
use crate::quantity::{Amount, GPU, amount, canonical};

/// Resources of a worker's container.
///
/// # Errors
/// A value that is not a quantity, or a request above its limit.
pub(super) fn requirements(spec: Option<&Resources>, device: Device) -> Result<ResourceRequirements, Vec<Problem>> {
    let spec = spec.cloned().unwrap_or_default();
    let mut problems = vec![];
    let mut requests = quantities("requests", &spec.requests, &mut problems);
    let mut limits = quantities("limits", &spec.limits, &mut problems);
    limits
        .entry("memory".into())
        .or_insert_with(|| requests.get("memory").cloned().unwrap_or(amount(defaults::MEMORY)));
    if device == Device::Cuda {
        limits.entry(GPU.into()).or_insert_with(|| amount("1"));
    }
    // A limit without a request is also the request, as in the API server.
    for (name, default) in [("cpu", defaults::CPU_REQUEST), ("memory", defaults::MEMORY)] {
        let request = limits.get(name).cloned().unwrap_or_else(|| amount(default));
        requests.entry(name.into()).or_insert(request);
    }
    for (name, limit) in &limits {
        if requests.get(name).is_some_and(|request| request.nanos > limit.nanos) {
            problems.push(Problem::new(
                &format!("spec.resources.requests.{name}"),
                format!(
                    "{} is more than the limit of {}: raise the limit or lower the request",
                    requests[name].text, limit.text
                ),
            ));
        }
    }
    if problems.is_empty() {
        let finish = |amounts: BTreeMap<String, Amount>| {
            Some(amounts.into_iter().map(|(name, amount)| (name, Quantity(amount.text))).collect())
        };
        Ok(ResourceRequirements { requests: finish(requests), limits: finish(limits), ..Default::default() })
    } else {
        Err(problems)
    }
}

fn quantities(
    field: &str,
    spec: &BTreeMap<String, IntOrString>,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, Amount> {
    let mut amounts = BTreeMap::new();
    for (name, value) in spec {
        let text = match value {
            IntOrString::Int(number) => number.to_string(),
            IntOrString::String(text) => text.clone(),
        };
        match canonical(&text) {
            Some(amount) => {
                amounts.insert(name.clone(), amount);
            }
            None => problems.push(Problem::new(
                &format!("spec.resources.{field}.{name}"),
                format!("{text:?} is not a quantity: write it as \"500m\", \"2\" or \"1Gi\""),
            )),
        }
    }
    amounts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_above_its_limit_is_a_problem_with_both_numbers() {
        let map = |cpu: &str| BTreeMap::from([("cpu".to_owned(), IntOrString::String(cpu.into()))]);
        let problems =
            requirements(Some(&Resources { requests: map("2"), limits: map("500m") }), Device::Cpu).unwrap_err();
        assert_eq!(problems[0].field, "spec.resources.requests.cpu");
        assert!(problems[0].message.contains("2 is more than the limit of 500m"), "{problems:?}");
    }

    #[test]
    fn a_gpu_worker_asks_for_one_gpu_when_the_specification_names_none() {
        let limits = requirements(None, Device::Cuda).unwrap().limits.unwrap();
        assert_eq!(limits[GPU], Quantity("1".into()));
    }
}
