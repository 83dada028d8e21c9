//! What the pods of a model cost: the prices of the command line, and the resources that pods request.

use std::str::FromStr;

use serde::Deserialize;

use crate::observe::{Place, PodRequests};

/// Bytes of a GiB.
const GIB: f64 = 1_073_741_824.0;

/// Prices of an hour, in one currency.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Prices {
    /// Label `currency` of the series; three capital letters.
    currency: String,
    /// The first row that fits a node counts. A node that none fits has no price.
    rows: Vec<Row>,
}

/// What the resources of some nodes cost in an hour. A property that is not there fits every node; a resource without a price is
/// free.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Row {
    zone: Option<String>,
    capacity_type: Option<String>,
    gpu: Option<String>,
    #[serde(default)]
    per_core: f64,
    #[serde(default, rename = "perGiB")]
    per_gib: f64,
    #[serde(default, rename = "perGPU")]
    per_gpu: f64,
}

/// Capacity types that a row may name.
const CAPACITY_TYPES: &[&str] = &["on-demand", "spot", "reserved", "unknown"];

impl Row {
    fn fits(&self, place: &Place) -> bool {
        let fits = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|wanted| wanted == is);
        fits(&self.zone, &place.zone)
            && fits(&self.capacity_type, place.capacity.as_str())
            && fits(&self.gpu, &place.gpu)
    }

    /// What is wrong with the row, if anything.
    fn fault(&self) -> Option<String> {
        let prices = [("perCore", self.per_core), ("perGiB", self.per_gib), ("perGPU", self.per_gpu)];
        if let Some((name, price)) = prices.into_iter().find(|(_, price)| !price.is_finite() || *price < 0.0) {
            return Some(format!("{name} is {price}: write a price of 0 or more"));
        }
        if prices.iter().all(|(_, price)| *price == 0.0) {
            return Some("it has no price: write perCore, perGiB or perGPU".into());
        }
        let capacity = self.capacity_type.as_deref().filter(|capacity| !CAPACITY_TYPES.contains(capacity))?;
        Some(format!("capacityType is {capacity:?}: write {}", CAPACITY_TYPES.join(", ")))
    }
}

impl Prices {
    /// The currency of all prices.
    #[must_use]
    pub fn currency(&self) -> &str {
        &self.currency
    }

    /// What a pod costs in an hour on a node of that place; `None` if no row fits.
    #[must_use]
    pub fn of(&self, place: &Place, requests: &PodRequests) -> Option<f64> {
        let row = self.rows.iter().find(|row| row.fits(place))?;
        let cores = super::whole(requests.cpu_millis) / 1000.0;
        let memory = super::whole(requests.memory) / GIB;
        Some(cores * row.per_core + memory * row.per_gib + super::whole(requests.gpus) * row.per_gpu)
    }
}

impl FromStr for Prices {
    type Err = String;

    /// Reads JSON: `{"currency": "USD", "rows": [{"gpu": "NVIDIA-L4", "capacityType": "spot", "perGPU": 0.21}]}`.
    fn from_str(text: &str) -> Result<Self, String> {
        let prices: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if prices.currency.len() != 3 || !prices.currency.chars().all(|c| c.is_ascii_uppercase()) {
            return Err(format!("currency is {:?}: write three capital letters, such as USD", prices.currency));
        }
        let faults = prices.rows.iter().enumerate().find_map(|(index, row)| Some((index, row.fault()?)));
        match faults {
            Some((index, fault)) => Err(format!("rows[{index}]: {fault}")),
            None => Ok(prices),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn node(labels: &[(&str, &str)]) -> Place {
        Place::of(
            &labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>(),
        )
    }

    const POD: PodRequests = PodRequests { cpu_millis: 1500, memory: 2 << 30, gpus: 1 };

    #[test]
    fn the_first_row_that_fits_the_node_has_the_price() {
        let prices: Prices = r#"{"currency": "USD", "rows": [
            {"gpu": "L4", "capacityType": "spot", "perGPU": 0.25, "perCore": 0.02, "perGiB": 0.5},
            {"gpu": "L4", "perGPU": 0.75},
            {"gpu": "", "perCore": 0.04}
        ]}"#
        .parse()
        .unwrap();
        let l4 = ("nvidia.com/gpu.product", "L4");
        let spot = ("karpenter.sh/capacity-type", "spot");
        assert_eq!(prices.of(&node(&[l4, spot]), &POD), Some(0.25 + 1.5 * 0.02 + 2.0 * 0.5));
        assert_eq!(prices.of(&node(&[l4]), &POD), Some(0.75));
        assert_eq!(prices.of(&node(&[spot]), &POD), Some(1.5 * 0.04));
        assert_eq!(prices.of(&node(&[("nvidia.com/gpu.product", "H100")]), &POD), None);
    }

    #[test]
    fn a_wrong_price_is_refused_with_its_place() {
        for (text, wanted) in [
            (r#"{"currency": "dollars", "rows": []}"#, "three capital letters"),
            (r#"{"currency": "USD", "rows": [{"perCore": -1}]}"#, "rows[0]: perCore is -1"),
            (r#"{"currency": "USD", "rows": [{"perCore": 1}, {"gpu": "L4"}]}"#, "rows[1]: it has no price"),
            (r#"{"currency": "USD", "rows": [{"perCore": 1, "capacityType": "Spot"}]}"#, "on-demand, spot"),
            (r#"{"currency": "USD", "rows": [{"perHour": 1}]}"#, "unknown field `perHour`"),
        ] {
            let error = text.parse::<Prices>().unwrap_err();
            assert!(error.contains(wanted), "{text}: {error}");
        }
    }
}
