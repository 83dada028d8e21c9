//! The HTTP client that spans are sent by.

use std::fs;
use std::time::Duration;

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

use crate::settings::Settings;

/// Most bytes that are read of a collector's answer, which has a few.
const ANSWER_LIMIT: u64 = 64 << 10;

/// Sends on the thread that asks: the exporter has one of its own.
#[derive(Debug)]
pub(crate) struct Client(ureq::Agent);

impl Client {
    pub(crate) fn new(settings: &Settings) -> Result<Self, String> {
        let roots = match &settings.certificate {
            Some(path) => authorities(path)?,
            None => RootCerts::WebPki,
        };
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_millis(settings.timeout_ms)))
            .tls_config(TlsConfig::builder().root_certs(roots).build());
        Ok(Self(config.build().into()))
    }
}

fn authorities(path: &str) -> Result<RootCerts, String> {
    let unusable =
        |why: String| format!("the certificates of the collector, {path}: {why}; name a file of certificates in PEM");
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
        let mut response = self.0.run(request.map(|body| body.to_vec()))?;
        let body = response.body_mut().with_config().limit(ANSWER_LIMIT).read_to_vec()?;
        let (parts, _) = response.into_parts();
        Ok(Response::from_parts(parts, body.into()))
    }
}
