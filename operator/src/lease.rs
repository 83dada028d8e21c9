//! Leader election on a Lease: of several operators one works, and the others wait.
//!
//! An operator that loses the lease ends its process, so that no pass outlives its leadership. Server-side
//! apply makes a short overlap harmless: two operators of one version write the same bytes.

mod election;

use std::time::{Duration, Instant};

use anyhow::Context as _;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client};
use tracing::{info, warn};

use election::{Decision, Election};

/// Name of the Lease, in the operator's own namespace.
pub const NAME: &str = "belfry-operator";

/// A lease that was not renewed for so long is free.
const DURATION: Duration = Duration::from_secs(15);

/// Pause between two renewals.
const RENEW: Duration = Duration::from_secs(5);

/// A leader that could not renew for so long gives up, before others take over.
const DEADLINE: Duration = Duration::from_secs(10);

/// Pause of a candidate between two looks, and of a leader after a failed renewal.
const RETRY: Duration = Duration::from_secs(2);

/// An operator that takes part in the election.
pub struct Candidate {
    leases: Api<Lease>,
    identity: String,
}

impl Candidate {
    /// A candidate; the identity is unique among operators, as the name of a pod is.
    #[must_use]
    pub fn new(client: &Client, namespace: &str, identity: String) -> Self {
        Self { leases: Api::namespaced(client.clone(), namespace), identity }
    }

    /// Waits until this operator leads, and gives the time since which it does.
    pub async fn lead(&self) -> Instant {
        let mut election = Election::new(&self.identity);
        loop {
            // Others count from the moment in which the lease is written, and that is no later than the answer.
            let asked = Instant::now();
            match self.look(&mut election).await {
                Ok(true) => {
                    info!(identity = self.identity, "Leading");
                    return asked;
                }
                Ok(false) => {}
                Err(error) => warn!(%error, "Could not look at the lease"),
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn look(&self, election: &mut Election) -> anyhow::Result<bool> {
        let lease = self.leases.get_opt(NAME).await?;
        let spec = lease.as_ref().and_then(|lease| lease.spec.clone());
        match election.decide(spec.as_ref(), Instant::now()) {
            Decision::Wait => Ok(false),
            Decision::Take { transitions } => self.take(lease, transitions).await,
        }
    }

    /// Writes the lease on condition that no other operator did meanwhile.
    async fn take(&self, lease: Option<Lease>, transitions: i32) -> anyhow::Result<bool> {
        let now = MicroTime(Timestamp::now());
        let spec = LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: Some(now.clone()),
            renew_time: Some(now),
            lease_transitions: Some(transitions),
            ..Default::default()
        };
        self.write(lease, spec).await
    }

    #[allow(clippy::disallowed_methods, reason = "a lease belongs to the first writer, which an apply would not show")]
    async fn write(&self, lease: Option<Lease>, spec: LeaseSpec) -> anyhow::Result<bool> {
        let params = PostParams::default();
        let result = match lease {
            Some(mut lease) => {
                lease.spec = Some(spec);
                self.leases.replace(NAME, &params, &lease).await
            }
            None => {
                let metadata = ObjectMeta { name: Some(NAME.into()), ..Default::default() };
                self.leases.create(&params, &Lease { metadata, spec: Some(spec) }).await
            }
        };
        match result {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Renews the lease for as long as that is possible, and says why it is no more. The time is that of the last renewal.
    pub async fn hold(&self, mut renewed: Instant) -> anyhow::Error {
        loop {
            tokio::time::sleep(RENEW.saturating_sub(renewed.elapsed())).await;
            renewed = loop {
                let asked = Instant::now();
                let Err(error) = self.renew_within(DEADLINE.saturating_sub(renewed.elapsed())).await else {
                    break asked;
                };
                if error.is::<Lost>() || renewed.elapsed() >= DEADLINE {
                    return error;
                }
                warn!(%error, "Could not renew the lease; trying again");
                tokio::time::sleep(RETRY.min(DEADLINE.saturating_sub(renewed.elapsed()))).await;
            };
        }
    }

    async fn renew_within(&self, limit: Duration) -> anyhow::Result<()> {
        tokio::time::timeout(limit, self.renew()).await.context("the lease could not be renewed in time")?
    }

    async fn renew(&self) -> anyhow::Result<()> {
        let lease = self.leases.get(NAME).await?;
        let mut spec = lease.spec.clone().unwrap_or_default();
        if spec.holder_identity.as_deref() != Some(&self.identity) {
            return Err(Lost { holder: spec.holder_identity.unwrap_or_default() }.into());
        }
        spec.renew_time = Some(MicroTime(Timestamp::now()));
        anyhow::ensure!(self.write(Some(lease), spec).await?, "another operator wrote the lease");
        Ok(())
    }

    /// Gives the lease up, so that the next operator need not wait for its end.
    ///
    /// # Errors
    /// The lease could not be written; it ends by itself after 15 s.
    pub async fn release(&self) -> anyhow::Result<()> {
        let lease = self.leases.get(NAME).await?;
        let mut spec = lease.spec.clone().unwrap_or_default();
        if spec.holder_identity.as_deref() == Some(&self.identity) {
            spec.holder_identity = None;
            self.write(Some(lease), spec).await?;
        }
        Ok(())
    }
}

/// Another operator leads.
#[derive(Debug, thiserror::Error)]
#[error("the lease belongs to {holder:?} now")]
struct Lost {
    holder: String,
}
