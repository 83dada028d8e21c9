//! The HTTP client of downloads: every wait is bounded, redirects are not followed automatically, and a failure shows
//! whether a retry could help.

use std::io::Read;
use std::time::{Duration, Instant};

use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body, Timeout, http};

use super::super::trouble::Trouble;
use super::Policy;

/// Longest wait for name resolution and a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// Most bytes of an error's body that are kept.
const ERROR_LIMIT: u64 = 4 << 10;

/// An answer whose body is not read yet.
pub(crate) type Response = http::Response<Body>;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// Headers only.
    Head,
    /// Headers and body.
    Get,
}

/// A client with the time limits of a [`Policy`].
pub(crate) struct Client {
    agent: Agent,
    deadline: Instant,
}

impl Client {
    /// A client that trusts these authorities.
    pub(crate) fn new(policy: Policy, roots: &RootCerts) -> Self {
        let tls = TlsConfig::builder().root_certs(roots.clone()).build();
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .tls_config(tls)
            .max_redirects_will_error(false)
            .user_agent(concat!("belfry-worker/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT))
            .timeout_per_read(Some(policy.stall))
            .timeout_per_write(Some(policy.stall))
            .build();
        Self { agent: config.into(), deadline: policy.deadline }
    }

    /// Sends a request. Every status is an answer; a failed connection is an error.
    pub(crate) fn send(&self, method: Method, url: &str, headers: &[(&str, String)]) -> Result<Response, Trouble> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Trouble::Timeout);
        }
        let request = match method {
            Method::Head => self.agent.head(url),
            Method::Get => self.agent.get(url),
        };
        // A compressed body would have other offsets than the file.
        let request = request.header("accept-encoding", "identity");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
        request.config().timeout_global(Some(left)).build().call().map_err(|error| trouble(&error))
    }
}

/// The answer, if its status is one of these.
pub(crate) fn accepted(response: Response, codes: &[u16]) -> Result<Response, Trouble> {
    let code = response.status().as_u16();
    if codes.contains(&code) {
        return Ok(response);
    }
    let retry_after = header(&response, "retry-after").and_then(|text| text.parse().ok()).map(Duration::from_secs);
    let mut body = Vec::new();
    // An error's body only explains the error, so a body that can't be read counts as empty.
    drop(response.into_body().into_reader().take(ERROR_LIMIT).read_to_end(&mut body));
    Err(Trouble::Status { code, body: String::from_utf8_lossy(&body).into_owned(), retry_after })
}

/// A header's value, if it is text.
pub(crate) fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

/// True if a retry could help.
pub(crate) fn retryable(trouble: &Trouble) -> bool {
    match trouble {
        Trouble::Status { code, .. } => matches!(code, 408 | 429 | 500..=599),
        Trouble::Stalled | Trouble::Connection(_) | Trouble::Corrupt(_) => true,
        Trouble::Timeout | Trouble::Disk(_) => false,
    }
}

/// Converts a client's error to the trouble that decides what to do about it.
pub(super) fn trouble(error: &ureq::Error) -> Trouble {
    match error {
        ureq::Error::Timeout(Timeout::Global | Timeout::PerCall) => Trouble::Timeout,
        ureq::Error::Timeout(Timeout::PerRead | Timeout::PerWrite) => Trouble::Stalled,
        other => Trouble::Connection(other.to_string()),
    }
}
