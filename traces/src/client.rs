//! The HTTP client that spans are sent by.

use std::fs;
use std::io::Read as _;
use std::time::Duration;

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

use crate::exporter::Cause;
use crate::settings::Settings;

/// Most bytes that are read of a collector's answer, which has a few.
const ANSWER_LIMIT: u64 = 64 << 10;

/// Sends on the thread that asks: the exporter has one of its own.
#[derive(Debug)]
pub(crate) struct Client {
    agent: ureq::Agent,
    cause: Cause,
}

impl Client {
    pub(crate) fn new(settings: &Settings, cause: Cause) -> Result<Self, String> {
        let roots = match &settings.certificate {
            Some(path) => authorities(path)?,
            None => RootCerts::WebPki,
        };
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            // To another place neither spans nor a key may go, and a POST would arrive there as a GET.
            .max_redirects(0)
            .timeout_global(Some(Duration::from_millis(settings.timeout_ms)))
            .tls_config(TlsConfig::builder().root_certs(roots).build());
        Ok(Self { agent: config.build().into(), cause })
    }

    fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, ureq::Error> {
        let (parts, body) = self.agent.run(request.map(|body| body.to_vec()))?.into_parts();
        let mut answer = vec![];
        // The status says what became of the spans, however the rest ends.
        drop(body.into_reader().take(ANSWER_LIMIT).read_to_end(&mut answer));
        Ok(Response::from_parts(parts, answer.into()))
    }
}

fn authorities(path: &str) -> Result<RootCerts, String> {
    let unusable = |why: String| {
        format!("OTEL_EXPORTER_OTLP_CERTIFICATE={path} can't be used: {why}; name a file of certificates in PEM")
    };
    let bytes = fs::read(path).map_err(|error| unusable(error.to_string()))?;
    let mut found = vec![];
    for item in parse_pem(&bytes) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| unusable(error.to_string()))? {
            found.push(certificate);
        }
    }
    if found.is_empty() { Err(unusable("it holds none".to_owned())) } else { Ok(RootCerts::from(found)) }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        self.send(request).map_err(|error| {
            *self.cause.lock() = Some(error.to_string());
            error.into()
        })
    }
}
