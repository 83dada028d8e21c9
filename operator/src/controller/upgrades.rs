//! Carries out staged upgrades: it looks at the models that the cache holds, and writes to the status of those whose turn
//! it is. Their next pass moves the pods.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use tokio::time::MissedTickBehavior;
use tracing::{info, warn};

use super::{Context, write_status};
use crate::observe::ModelKey;
use crate::template::Pin;
use crate::upgrade::{Policy, due, moved};

/// Time between two looks. A look reads the cache only.
const PERIOD: Duration = Duration::from_secs(5);

/// Runs until it is dropped.
pub(super) async fn run(context: Arc<Context>, policy: Policy) {
    let mut looks = tokio::time::interval(PERIOD);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        look(&context, policy).await;
    }
}

async fn look(context: &Context, policy: Policy) {
    let (models, settings) = (context.cache.models(), context.cache.settings());
    let now = Timestamp::now();
    for model in due(&models, policy, settings, now) {
        let Some(status) = &model.status else { continue };
        let (key, to) = (ModelKey::of(model), Pin::newest(settings));
        match write_status::write(model, moved(status, settings, now), context).await {
            Ok(()) => {
                info!(model = %key, revision = to.revision.as_str(), image = to.image, "A staged upgrade moves a model")
            }
            // The next look finds the model where it was.
            Err(error) => {
                warn!(model = %key, %error, "Could not move a model");
                return;
            }
        }
    }
}
