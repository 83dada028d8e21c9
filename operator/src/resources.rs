//! CPU, memory and devices of one worker: defaults, checks, and the spelling that the API server
//! gives quantities, so that a comparison with the live object finds no difference.

use std::collections::BTreeMap;

use belfry_crds::contract::defaults;
use belfry_crds::inference_model::{Device, Resources};
use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::validate::Problem;

/// The device plugin's name for an NVIDIA GPU.
pub const GPU: &str = "nvidia.com/gpu";

/// Resources of a worker's container.
///
/// # Errors
/// A value that is no quantity, or a request above its limit.
pub fn requirements(spec: Option<&Resources>, device: Device) -> Result<ResourceRequirements, Vec<Problem>> {
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
    // A limit without a request is also the request; that is the API server's rule, and the reader's expectation.
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

/// A quantity in its canonical spelling, and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Amount {
    text: String,
    nanos: i128,
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
                format!("{text:?} is no quantity: write it as \"500m\", \"2\" or \"1Gi\""),
            )),
        }
    }
    amounts
}

/// A quantity above 0 in the API server's spelling; `None` for what is none.
#[must_use]
pub fn quantity(text: &str) -> Option<Quantity> {
    canonical(text).filter(|amount| amount.nanos > 0).map(|amount| Quantity(amount.text))
}

/// A quantity that is known to be one.
fn amount(text: &str) -> Amount {
    canonical(text).unwrap_or_else(|| Amount { text: text.into(), nanos: 0 })
}

/// A quantity of the API server as a whole number of parts of a unit, rounded down: with 1000 parts, `1500m` is 1500.
/// `None` for what is no quantity.
#[must_use]
pub fn amount_of(quantity: &Quantity, parts: u64) -> Option<u64> {
    let nanos = canonical(&quantity.0)?.nanos;
    u64::try_from(nanos.checked_mul(parts.into())? / 1_000_000_000).ok()
}

const BINARY: &[(&str, u32)] = &[("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];
const DECIMAL: &[(&str, i32)] =
    &[("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];

/// Reads a Kubernetes quantity and writes it as the API server does: the largest suffix of the same
/// family that leaves no fraction. `None` for what is no quantity, is negative or overflows.
/// Source: the comment on `Quantity` in k8s.io/apimachinery/pkg/api/resource.
fn canonical(text: &str) -> Option<Amount> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(split);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || whole.len() > 18 || fraction.len() > 9 || fraction.contains('.') {
        return None;
    }
    let digits: i128 = format!("0{whole}{fraction:0<9}").parse().ok()?;
    if let Some((_, shift)) = BINARY.iter().find(|(name, _)| *name == suffix) {
        let nanos = digits.checked_mul(1 << shift)?;
        return Some(Amount { text: binary(nanos).unwrap_or_else(|| decimal(nanos)), nanos });
    }
    let exponent = match suffix.strip_prefix(['e', 'E']).filter(|rest| !rest.is_empty()) {
        Some(exponent) => exponent.parse().ok().filter(|e: &i32| (-9..=18).contains(e))?,
        None => DECIMAL.iter().find(|(name, _)| *name == suffix)?.1,
    };
    let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
    let nanos =
        if exponent < 0 { (digits % power == 0).then(|| digits / power)? } else { digits.checked_mul(power)? };
    Some(Amount { text: decimal(nanos), nanos })
}

fn binary(nanos: i128) -> Option<String> {
    let units = (nanos % 1_000_000_000 == 0).then_some(nanos / 1_000_000_000)?;
    let (suffix, shift) = BINARY.iter().rev().find(|(_, shift)| units != 0 && units % (1 << shift) == 0)?;
    Some(format!("{}{suffix}", units >> shift))
}

fn decimal(nanos: i128) -> String {
    if nanos == 0 {
        return "0".into();
    }
    let fits = DECIMAL.iter().rev().find(|(_, exponent)| nanos % 10_i128.pow((exponent + 9).unsigned_abs()) == 0);
    let (suffix, exponent) = fits.copied().unwrap_or(("n", -9));
    format!("{}{suffix}", nanos / 10_i128.pow((exponent + 9).unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(quantity: &str) -> Option<String> {
        canonical(quantity).map(|amount| amount.text)
    }

    #[test]
    fn quantities_are_spelled_as_the_api_server_spells_them() {
        for (given, stored) in [
            ("1000m", "1"),
            ("0.5", "500m"),
            ("1.5", "1500m"),
            ("2", "2"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("1000", "1k"),
            ("1e3", "1k"),
            ("128974848", "128974848"),
            ("0", "0"),
            ("100u", "100u"),
            (".5", "500m"),
        ] {
            assert_eq!(text(given).as_deref(), Some(stored), "{given}");
        }
    }

    #[test]
    fn amounts_are_counted_in_parts_of_a_unit() {
        let amount = |text: &str, parts| amount_of(&Quantity(text.into()), parts);
        assert_eq!(amount("1500m", 1000), Some(1500));
        assert_eq!(amount("0.1", 1000), Some(100));
        assert_eq!(amount("1536Mi", 1), Some(1_610_612_736));
        assert_eq!(amount("8", 1), Some(8));
        assert_eq!(amount("much", 1), None);
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for given in ["", "abc", "-1", "1 Gi", "1Gb", "1.2.3", "99999999999999999999", "1e99", "."] {
            assert_eq!(text(given), None, "{given}");
        }
    }

    #[test]
    fn a_request_above_its_limit_is_a_problem_with_both_numbers() {
        let map = |cpu: &str| BTreeMap::from([("cpu".to_owned(), IntOrString::String(cpu.into()))]);
        let problems =
            requirements(Some(&Resources { requests: map("2"), limits: map("500m") }), Device::Cpu).unwrap_err();
        assert_eq!(problems[0].field, "spec.resources.requests.cpu");
        assert!(problems[0].message.contains("2 is more than the limit of 500m"), "{problems:?}");
    }

    #[test]
    fn a_gpu_worker_asks_for_one_gpu_when_the_specification_is_silent() {
        let limits = requirements(None, Device::Cuda).unwrap().limits.unwrap();
        assert_eq!(limits[GPU], Quantity("1".into()));
    }
}
