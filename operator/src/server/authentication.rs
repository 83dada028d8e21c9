//! Who may read `/metrics`: with `--metrics-authentication` only who has a token of the cluster and
//! the right to `get` the URL `/metrics`, as `kubectl create token` and Prometheus' service account do.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, StatusCode, header};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{NonResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tracing::warn;

/// For so long a verdict counts; a right that was taken away ends no later.
const KEPT: Duration = Duration::from_secs(60);

/// Verdicts that are kept; more tokens than that ask the API server each time.
const MOST: usize = 1000;

/// Asks the API server about tokens, and remembers its answers for a minute.
pub struct Authenticator {
    client: Client,
    verdicts: Mutex<HashMap<[u8; 32], (Instant, Verdict)>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Allowed,
    Forbidden,
    Unauthenticated,
}

impl Authenticator {
    /// Asks through that connection; the operator needs `create` on tokenreviews and subjectaccessreviews.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client, verdicts: Mutex::default() }
    }

    /// Whether the request may read `/metrics`.
    ///
    /// # Errors
    /// The status and the line to answer with: 401, 403, or 503 when the API server can't be asked.
    pub async fn check(&self, headers: &HeaderMap) -> Result<(), (StatusCode, &'static str)> {
        let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some(token) = token.and_then(|value| value.strip_prefix("Bearer ")) else {
            return Err((StatusCode::UNAUTHORIZED, "a bearer token of the cluster is needed\n"));
        };
        match self.verdict(token).await {
            Ok(Verdict::Allowed) => Ok(()),
            Ok(Verdict::Forbidden) => Err((StatusCode::FORBIDDEN, "the right to get the URL /metrics is needed\n")),
            Ok(Verdict::Unauthenticated) => Err((StatusCode::UNAUTHORIZED, "the token is not valid\n")),
            Err(error) => {
                warn!(%error, "Could not ask the API server who reads /metrics");
                Err((StatusCode::SERVICE_UNAVAILABLE, "the API server can't be asked about the token\n"))
            }
        }
    }

    async fn verdict(&self, token: &str) -> Result<Verdict, kube::Error> {
        let key: [u8; 32] = Sha256::digest(token).into();
        if let Some((_, verdict)) = self.verdicts.lock().get(&key).filter(|(asked, _)| asked.elapsed() < KEPT) {
            return Ok(*verdict);
        }
        let verdict = match self.user(token).await? {
            Some(user) => {
                if self.may_read(user).await? {
                    Verdict::Allowed
                } else {
                    Verdict::Forbidden
                }
            }
            None => Verdict::Unauthenticated,
        };
        let mut verdicts = self.verdicts.lock();
        verdicts.retain(|_, (asked, _)| asked.elapsed() < KEPT);
        if verdicts.len() < MOST {
            verdicts.insert(key, (Instant::now(), verdict));
        }
        Ok(verdict)
    }

    #[allow(clippy::disallowed_methods, reason = "a review is a question, and nothing that is kept")]
    async fn user(&self, token: &str) -> Result<Option<UserInfo>, kube::Error> {
        let review = TokenReview {
            spec: TokenReviewSpec { token: Some(token.to_owned()), ..Default::default() },
            ..Default::default()
        };
        let review = Api::<TokenReview>::all(self.client.clone()).create(&PostParams::default(), &review).await?;
        Ok(review.status.filter(|status| status.authenticated == Some(true)).and_then(|status| status.user))
    }

    #[allow(clippy::disallowed_methods, reason = "a review is a question, and nothing that is kept")]
    async fn may_read(&self, user: UserInfo) -> Result<bool, kube::Error> {
        let what = NonResourceAttributes { path: Some("/metrics".into()), verb: Some("get".into()) };
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: user.username,
                uid: user.uid,
                groups: user.groups,
                extra: user.extra,
                non_resource_attributes: Some(what),
                ..Default::default()
            },
            ..Default::default()
        };
        let reviews = Api::<SubjectAccessReview>::all(self.client.clone());
        let review = reviews.create(&PostParams::default(), &review).await?;
        Ok(review.status.is_some_and(|status| status.allowed))
    }
}
