//! Which traces are sent, by the standard variables. The library would fall back to all of them where a value can't be read.

use opentelemetry_sdk::trace::Sampler;

const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";

/// The sampler that the variables name: all traces, unless the caller has decided otherwise.
pub(crate) fn sampler(variable: &impl Fn(&str) -> Option<String>) -> Result<Sampler, String> {
    let name = variable(SAMPLER).unwrap_or_else(|| "parentbased_always_on".to_owned());
    let (is_parent_based, own) = match name.strip_prefix("parentbased_") {
        Some(own) => (true, own),
        None => (false, name.as_str()),
    };
    let sampler = match own {
        "always_on" => Sampler::AlwaysOn,
        "always_off" => Sampler::AlwaysOff,
        "traceidratio" => Sampler::TraceIdRatioBased(ratio(variable(ARGUMENT))?),
        _ => {
            return Err(format!(
                "{SAMPLER}={name} is not known; write always_on, always_off or traceidratio, with parentbased_ before it to follow the caller"
            ));
        }
    };
    Ok(if is_parent_based { Sampler::ParentBased(Box::new(sampler)) } else { sampler })
}

/// The share of the traces; all of them where none is given.
fn ratio(argument: Option<String>) -> Result<f64, String> {
    let Some(text) = argument else { return Ok(1.0) };
    let ratio = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
    ratio.ok_or_else(|| format!("{ARGUMENT}={text} is no share; write a number from 0 to 1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: Option<&str>, argument: Option<&str>) -> Result<String, String> {
        let variable = |asked: &str| if asked == SAMPLER { name } else { argument }.map(ToOwned::to_owned);
        sampler(&variable).map(|sampler| format!("{sampler:?}"))
    }

    #[test]
    fn all_traces_are_sent_unless_the_caller_or_a_variable_says_otherwise() {
        assert_eq!(of(None, None).unwrap(), "ParentBased(AlwaysOn)");
        assert_eq!(of(Some("always_off"), None).unwrap(), "AlwaysOff");
        assert_eq!(of(Some("parentbased_traceidratio"), Some("0.25")).unwrap(), "ParentBased(TraceIdRatioBased(0.25))");
        assert_eq!(of(Some("traceidratio"), None).unwrap(), "TraceIdRatioBased(1.0)");
    }

    #[test]
    fn a_sampler_that_is_not_known_is_refused_by_its_name() {
        for bad in ["sometimes", "xray", "parentbased_", "ALWAYS_ON"] {
            assert!(of(Some(bad), None).unwrap_err().contains(bad), "{bad}");
        }
        for bad in ["2", "-1", "NaN", "half"] {
            assert!(of(Some("traceidratio"), Some(bad)).unwrap_err().contains(bad), "{bad}");
        }
    }
}
