//! Quantities of Kubernetes, spelled as the API server spells them, so that a comparison with the live object finds no
//! difference.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// The device plugin's name for an NVIDIA GPU.
pub const GPU: &str = "nvidia.com/gpu";

/// A quantity in its canonical spelling, and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) text: String,
    pub(crate) nanos: i128,
}

/// A quantity above 0 in the API server's spelling; `None` for any other text.
#[must_use]
pub fn quantity(text: &str) -> Option<Quantity> {
    canonical(text).filter(|amount| amount.nanos > 0).map(|amount| Quantity(amount.text))
}

/// The amount of a text that is known to be a quantity.
pub(crate) fn amount(text: &str) -> Amount {
    canonical(text).unwrap_or_else(|| Amount { text: text.into(), nanos: 0 })
}

/// A quantity of the API server as a whole number of parts of a unit, rounded down: with 1000 parts, `1500m` is 1500.
/// `None` for a text that is not a quantity.
#[must_use]
pub fn amount_of(quantity: &Quantity, parts: u64) -> Option<u64> {
    let nanos = canonical(&quantity.0)?.nanos;
    u64::try_from(nanos.checked_mul(parts.into())? / 1_000_000_000).ok()
}

const BINARY: &[(&str, u32)] = &[("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];
const DECIMAL: &[(&str, i32)] =
    &[("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];

/// Reads a Kubernetes quantity and writes it as the API server does: the largest suffix of the same
/// family that leaves no fraction. `None` for a text that is not a quantity, is negative or overflows.
/// Source: the comment on `Quantity` in k8s.io/apimachinery/pkg/api/resource.
pub(crate) fn canonical(text: &str) -> Option<Amount> {
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
    fn a_text_that_is_not_a_quantity_is_refused() {
        for given in ["", "abc", "-1", "1 Gi", "1Gb", "1.2.3", "99999999999999999999", "1e99", "."] {
            assert_eq!(text(given), None, "{given}");
        }
    }
}
