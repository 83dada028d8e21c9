//! Variables of the standard that the library would read leniently: a mistake in one must not be found out weeks later.

use http::HeaderName;
use percent_encoding::percent_decode_str;

const QUEUE_SIZE: &str = "OTEL_BSP_MAX_QUEUE_SIZE";
const BATCH_SIZE: &str = "OTEL_BSP_MAX_EXPORT_BATCH_SIZE";
const DELAY: &str = "OTEL_BSP_SCHEDULE_DELAY";
const ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";
const SERVICE: &str = "OTEL_SERVICE_NAME";
/// The first comes before the second.
const HEADERS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"];

/// How spans wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Queue {
    /// Most spans that wait; what a busy worker ends in a second or two.
    pub(crate) size: usize,
    /// Most spans that are sent at once.
    pub(crate) batch: usize,
    /// Longest wait of a span, in milliseconds.
    pub(crate) delay_ms: u64,
}

pub(crate) fn queue(variable: &impl Fn(&str) -> Option<String>) -> Result<Queue, String> {
    let number = |name: &str, default: u64, (least, most): (u64, u64)| match variable(name) {
        None => Ok(default),
        Some(text) => {
            let number = text.parse().ok().filter(|number| (least..=most).contains(number));
            number.ok_or_else(|| format!("{name}={text} can't be used; write a number from {least} to {most}"))
        }
    };
    let size = number(QUEUE_SIZE, 8192, (1, 1 << 20))?;
    let batch = number(BATCH_SIZE, 512.min(size), (1, size))?;
    // A pause of nothing would be a loop that takes a core.
    let delay_ms = number(DELAY, 5000, (10, 600_000))?;
    let whole = |number| usize::try_from(number).unwrap_or(usize::MAX);
    Ok(Queue { size: whole(size), batch: whole(batch), delay_ms })
}

/// Names and values of what the spans come from, with the service's name at the end where a variable says it.
pub(crate) fn attributes(variable: &impl Fn(&str) -> Option<String>) -> Result<Vec<(String, String)>, String> {
    let text = variable(ATTRIBUTES).unwrap_or_default();
    let mut found = vec![];
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let unusable = || format!("{ATTRIBUTES}={text} can't be used: write name=value, with commas between");
        let (name, value) = pair.split_once('=').filter(|(name, _)| !name.trim().is_empty()).ok_or_else(unusable)?;
        let value = percent_decode_str(value.trim()).decode_utf8().map_err(|_| unusable())?;
        found.push((name.trim().to_owned(), value.into_owned()));
    }
    found.extend(variable(SERVICE).map(|name| ("service.name".to_owned(), name)));
    Ok(found)
}

/// Whether the library can read the headers. An error does not repeat them: they hold keys.
pub(crate) fn check_headers(variable: &impl Fn(&str) -> Option<String>) -> Result<(), String> {
    let [own, general] = HEADERS.map(|name| variable(name).map(|text| (name, text)));
    if let (Some((name, _)), Some((other, _))) = (own.as_ref().filter(|(_, text)| text.trim().is_empty()), &general) {
        return Err(format!("{name} is empty, and would take the place of {other}: remove it"));
    }
    let Some((name, text)) = own.or(general) else { return Ok(()) };
    let is_good = |pair: &str| {
        let name = pair.split_once('=').map(|(name, _)| name.trim());
        name.is_some_and(|name| HeaderName::from_bytes(name.as_bytes()).is_ok())
    };
    let mut pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    if pairs.all(is_good) {
        Ok(())
    } else {
        Err(format!("{name} can't be read: write name=value, with commas between"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
        move |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn a_small_queue_has_small_batches() {
        assert_eq!(queue(&set(&[])).unwrap(), Queue { size: 8192, batch: 512, delay_ms: 5000 });
        assert_eq!(queue(&set(&[(QUEUE_SIZE, "10")])).unwrap(), Queue { size: 10, batch: 10, delay_ms: 5000 });
        assert!(queue(&set(&[(QUEUE_SIZE, "10"), (BATCH_SIZE, "11")])).unwrap_err().contains("from 1 to 10"));
    }

    #[test]
    fn the_name_of_a_service_has_a_variable_of_its_own() {
        let given = [(ATTRIBUTES, "service.name=other, k=a%20b ,"), (SERVICE, "mine")];
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let expected = [pair("service.name", "other"), pair("k", "a b"), pair("service.name", "mine")];
        assert_eq!(attributes(&set(&given)).unwrap(), expected, "the last counts");
        assert!(attributes(&set(&[(ATTRIBUTES, "=x")])).is_err());
    }

    #[test]
    fn an_empty_list_of_headers_does_not_take_the_place_of_another() {
        let [own, general] = HEADERS;
        assert!(check_headers(&set(&[(general, "x-api-key=a%20b,x-other=c")])).is_ok());
        assert!(check_headers(&set(&[(own, "")])).is_ok());
        assert!(check_headers(&set(&[(own, ""), (general, "x-api-key=k")])).unwrap_err().contains(own));
    }
}
