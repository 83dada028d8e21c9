//! Where spans are sent: the flags, and the variables that OpenTelemetry has for every program
//! (<https://opentelemetry.io/docs/specs/otel/protocol/exporter/>).

use belfry_crds::contract::{OTLP_GRPC, OTLP_HTTP};
use http::Uri;
use opentelemetry_sdk::trace::Sampler;

use crate::sampling::sampler;
use crate::standard::{Queue, attributes, check_headers, queue};

/// The collector where nothing names one: on this machine, by gRPC.
const GRPC_ENDPOINT: &str = "http://localhost:4317";
/// The same by HTTP.
const HTTP_ENDPOINT: &str = "http://localhost:4318";
/// Where a collector takes spans by HTTP.
const HTTP_PATH: &str = "/v1/traces";
/// How long a collector may take to answer.
const TIMEOUT_MS: u64 = 10_000;

/// How spans are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// gRPC, by HTTP/2 without TLS.
    Grpc,
    /// Protobuf by HTTP, with TLS where the address says https.
    HttpProtobuf,
}

impl Protocol {
    /// Its name in the variables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Grpc => OTLP_GRPC,
            Self::HttpProtobuf => OTLP_HTTP,
        }
    }
}

/// Where and how spans are sent, and which.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How.
    pub protocol: Protocol,
    /// The whole address.
    pub endpoint: String,
    /// Which traces.
    pub sampler: Sampler,
    /// A file with the authorities that an https collector is trusted by.
    pub certificate: Option<String>,
    /// How long the collector may take to answer, in milliseconds.
    pub timeout_ms: u64,
    /// How spans wait.
    pub(crate) queue: Queue,
    /// What they come from, where the variables say it.
    pub(crate) attributes: Vec<(String, String)>,
}

impl Settings {
    /// Reads the variables of this process, for a program that is asked to trace. `endpoint` is what its flag says, if it says anything.
    /// `None` where a variable turns traces off.
    ///
    /// # Errors
    /// A variable or the address can't be used; the text names it and says what to write.
    pub fn read(endpoint: Option<&str>) -> Result<Option<Self>, String> {
        Self::of(endpoint, &|name| std::env::var(name).ok())
    }

    fn of(flag: Option<&str>, raw: &impl Fn(&str) -> Option<String>) -> Result<Option<Self>, String> {
        // The standard reads a variable that is set to nothing as one that is not set.
        let variable = |name: &str| raw(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        match variable("OTEL_SDK_DISABLED").map(|value| value.to_ascii_lowercase()).as_deref() {
            None | Some("false") => {}
            Some("true") => return Ok(None),
            Some(other) => return Err(format!("OTEL_SDK_DISABLED={other} is not known; write true or false")),
        }
        match variable("OTEL_TRACES_EXPORTER").as_deref() {
            None | Some("otlp") => {}
            Some("none") => return Ok(None),
            Some(other) => return Err(format!("OTEL_TRACES_EXPORTER={other} is not known; write otlp or none")),
        }
        // The variable for traces comes before that for all signals.
        let of_traces = |name: &str| {
            [format!("OTEL_EXPORTER_OTLP_TRACES_{name}"), format!("OTEL_EXPORTER_OTLP_{name}")]
                .into_iter()
                .find_map(|full| variable(&full).map(|value| (full, value)))
        };
        let protocol = match of_traces("PROTOCOL") {
            None => Protocol::Grpc,
            Some((_, value)) if value == Protocol::Grpc.as_str() => Protocol::Grpc,
            Some((_, value)) if value == Protocol::HttpProtobuf.as_str() => Protocol::HttpProtobuf,
            Some((name, value)) => return Err(format!("{name}={value} is not known; write grpc or http/protobuf")),
        };
        let timeout_ms = match of_traces("TIMEOUT") {
            None => TIMEOUT_MS,
            Some((name, value)) => value
                .parse()
                .ok()
                .filter(|timeout| *timeout > 0)
                .ok_or_else(|| format!("{name}={value} is no time; write milliseconds, such as 10000"))?,
        };
        if let Some((name, value)) = of_traces("COMPRESSION").filter(|(_, value)| value != "gzip" && value != "none") {
            return Err(format!("{name}={value} is not known; write gzip or none"));
        }
        let (source, given) = match flag {
            Some(flag) => ("--otlp-traces-endpoint".to_owned(), Some(flag.to_owned())),
            None => of_traces("ENDPOINT").map_or((String::new(), None), |(name, value)| (name, Some(value))),
        };
        let endpoint = endpoint(protocol, &source, given.as_deref())?;
        let certificate = of_traces("CERTIFICATE");
        if let Some((name, path)) = certificate.as_ref().filter(|_| !endpoint.starts_with("https:")) {
            return Err(format!(
                "{name}={path} is for an address with https, and {endpoint} has none: remove one of them"
            ));
        }
        check_headers(raw)?;
        Ok(Some(Self {
            protocol,
            endpoint,
            sampler: sampler(&variable)?,
            certificate: certificate.map(|(_, path)| path),
            timeout_ms,
            queue: queue(&variable)?,
            attributes: attributes(&variable)?,
        }))
    }
}

/// The whole address of a collector. `source` is the flag or the variable that has it.
fn endpoint(protocol: Protocol, source: &str, given: Option<&str>) -> Result<String, String> {
    let Some(given) = given else {
        return Ok(match protocol {
            Protocol::Grpc => GRPC_ENDPOINT.to_owned(),
            Protocol::HttpProtobuf => format!("{HTTP_ENDPOINT}{HTTP_PATH}"),
        });
    };
    if given.split("://").last().is_some_and(|rest| rest.split('/').next().is_some_and(|host| host.contains('@'))) {
        // Without the value: it may hold a password.
        return Err(format!("{source} names a user: leave it out, and put a key into OTEL_EXPORTER_OTLP_HEADERS"));
    }
    let full = if given.contains("://") { given.to_owned() } else { format!("http://{given}") };
    let unusable = |why: &str| format!("{source}={given} can't be used: {why}");
    let address: Uri = full.parse().map_err(|_| unusable("write host:port, or http://host:port"))?;
    let (Some(scheme), Some(_)) = (address.scheme_str(), address.host().filter(|host| !host.is_empty())) else {
        return Err(unusable("it names no host; write host:port, or http://host:port"));
    };
    // The library's parser lets any word stand for a port.
    let port = address.authority().and_then(|authority| authority.as_str().rsplit_once(':')).map(|(_, port)| port);
    if port.is_some_and(|port| !port.ends_with(']') && !port.parse::<u16>().is_ok_and(|port| port > 0)) {
        return Err(unusable("its port is none; write a number from 1 to 65535"));
    }
    let path = address.path().trim_end_matches('/');
    match (protocol, scheme) {
        (_, other) if other != "http" && other != "https" => Err(unusable("write http:// or https://")),
        (Protocol::Grpc, "https") => {
            Err(unusable("by gRPC only http:// is spoken here; set OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf"))
        }
        (Protocol::Grpc, _) if !path.is_empty() => {
            Err(unusable("gRPC has no path; for one by HTTP set OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf"))
        }
        (Protocol::Grpc, _) => Ok(full),
        // The address for traces is whole by the standard, that for all signals lacks the path.
        (Protocol::HttpProtobuf, _) if source == "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" => Ok(full),
        (Protocol::HttpProtobuf, _) if source == "OTEL_EXPORTER_OTLP_ENDPOINT" || path.is_empty() => {
            Ok(format!("{}{HTTP_PATH}", full.trim_end_matches('/')))
        }
        (Protocol::HttpProtobuf, _) => Ok(full),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
    const HTTP: (&str, &str) = (PROTOCOL, "http/protobuf");

    fn read(flag: Option<&str>, set: &[(&str, &str)]) -> Result<Option<Settings>, String> {
        let value = |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Settings::of(flag, &value)
    }

    fn address(flag: Option<&str>, set: &[(&str, &str)]) -> String {
        read(flag, set).unwrap().unwrap().endpoint
    }

    #[test]
    fn the_flag_names_a_collector_by_grpc_as_the_guides_have_it() {
        let settings = read(Some("localhost:4317"), &[]).unwrap().unwrap();
        assert_eq!((settings.protocol, settings.endpoint.as_str()), (Protocol::Grpc, "http://localhost:4317"));
        assert_eq!(address(None, &[]), "http://localhost:4317");
        assert_eq!(address(Some("http://otel:4317/"), &[]), "http://otel:4317/");
    }

    #[test]
    fn by_http_the_path_is_added_where_the_standard_says_so() {
        assert_eq!(address(None, &[HTTP]), "http://localhost:4318/v1/traces");
        assert_eq!(address(Some("otel:4318"), &[HTTP]), "http://otel:4318/v1/traces");
        assert_eq!(address(Some("https://otel/own/path"), &[HTTP]), "https://otel/own/path");
        let all = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:4318/base/");
        assert_eq!(address(None, &[HTTP, all]), "http://all:4318/base/v1/traces");
        let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:4318/");
        assert_eq!(address(None, &[HTTP, all, traces]), "http://traces:4318/", "the address for traces is whole");
        assert_eq!(address(Some("flag:1"), &[HTTP, all, traces]), "http://flag:1/v1/traces", "the flag comes first");
    }

    #[test]
    fn the_variable_for_traces_comes_before_that_for_all_signals() {
        let traces = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc");
        assert_eq!(read(None, &[HTTP, traces]).unwrap().unwrap().protocol, Protocol::Grpc);
    }

    #[test]
    fn the_standard_switches_turn_traces_off() {
        for off in [("OTEL_SDK_DISABLED", "true"), ("OTEL_SDK_DISABLED", "TRUE"), ("OTEL_TRACES_EXPORTER", "none")] {
            assert!(read(None, &[off]).unwrap().is_none(), "{off:?}");
        }
        for on in [("OTEL_SDK_DISABLED", "false"), ("OTEL_SDK_DISABLED", ""), ("OTEL_TRACES_EXPORTER", "otlp")] {
            assert!(read(None, &[on]).unwrap().is_some(), "{on:?}");
        }
    }

    #[test]
    fn what_can_not_be_used_is_refused_with_its_name() {
        for (name, value) in [
            (PROTOCOL, "http/json"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "0"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "zip"),
            ("OTEL_TRACES_EXPORTER", "jaeger"),
            ("OTEL_TRACES_SAMPLER", "sometimes"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://otel"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://otel:4317"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://otel:4317/v1/traces"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://otel:99999"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"),
            ("OTEL_SDK_DISABLED", "yes"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "abc"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "99999999999999"),
            ("OTEL_BSP_SCHEDULE_DELAY", "5s"),
            ("OTEL_BSP_SCHEDULE_DELAY", "0"),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "0"),
            ("OTEL_RESOURCE_ATTRIBUTES", "nonsense"),
        ] {
            let error = read(None, &[(name, value)]).unwrap_err();
            assert!(error.contains(&format!("{name}={value}")), "{error}");
        }
        for secret in [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:hunter2@otel:4317"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "hunter2"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "bad key=hunter2"),
        ] {
            let error = read(None, &[secret]).unwrap_err();
            assert!(error.contains(secret.0) && !error.contains("hunter2"), "{error}");
        }
        for bad in ["", "http://", "not a host", "otel:port", "://x"] {
            let error = read(Some(bad), &[]).unwrap_err();
            assert!(error.contains("--otlp-traces-endpoint"), "{bad:?}: {error}");
        }
    }
}
