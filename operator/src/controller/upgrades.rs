//! Carries out staged upgrades: it looks at the models that the cache holds, and writes to the status of those whose turn
//! it is. Their next pass moves the pods.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use belfry_crds::InferenceModel;
use k8s_openapi::jiff::Timestamp;
use tokio::time::MissedTickBehavior;
use tracing::{info, warn};

use super::{Context, write_status};
use crate::observe::{Cause, ModelKey, Trigger, Triggers, Urgency};
use crate::prometheus::Prometheus;
use crate::upgrade::{Policy, due, moved};
use belfry_render::template::Pin;

/// Time between two looks. A look reads the cache, and Prometheus only when it is a model's turn.
const PERIOD: Duration = Duration::from_secs(5);

/// How models move to the newest template.
pub(super) struct Upgrades {
    /// How fast.
    pub(super) policy: Policy,
    /// Knows which models break their objectives; without one only readiness counts.
    pub(super) prometheus: Option<Arc<Prometheus>>,
}

/// Runs until it is dropped. The pass of a model that moves is asked for by the trigger.
pub(super) async fn run(context: Arc<Context>, upgrades: Upgrades, trigger: Triggers) {
    let mut looks = tokio::time::interval(PERIOD);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // What is said once is not said again at every look.
    let mut said = BTreeSet::new();
    loop {
        looks.tick().await;
        for key in look(&context, &upgrades, &mut said).await {
            // The receiver is gone only when the process ends.
            let _ = trigger.send(Trigger { key, urgency: Urgency::Children, cause: Cause::Upgrade });
        }
    }
}

/// The models that began to move.
async fn look(context: &Context, upgrades: &Upgrades, said: &mut BTreeSet<ModelKey>) -> Vec<ModelKey> {
    let models = context.cache.models();
    if turns(&models, upgrades, &BTreeSet::new(), context).is_empty() {
        return vec![];
    }
    let burning = match &upgrades.prometheus {
        Some(prometheus) => prometheus.burning().await,
        None => Ok(BTreeSet::new()),
    };
    let burning = match burning {
        Ok(burning) => burning,
        // While the alerts are not known, no model moves.
        Err(error) => {
            warn!(error = &error as &dyn std::error::Error, "A staged upgrade waits");
            return vec![];
        }
    };
    let due = turns(&models, upgrades, &burning, context);
    if due.is_empty() && *said != burning {
        let models: Vec<_> = burning.iter().map(ToString::to_string).collect();
        warn!(models = models.join(", "), "A staged upgrade waits for models that break their objectives");
    }
    *said = burning;
    let mut under_way = vec![];
    for model in due {
        let Ok(()) = move_on(model, context).await else { break };
        under_way.push(ModelKey::of(model));
    }
    under_way
}

fn turns<'a>(
    models: &'a [Arc<InferenceModel>],
    upgrades: &Upgrades,
    burning: &BTreeSet<ModelKey>,
    context: &Context,
) -> Vec<&'a InferenceModel> {
    due(models, upgrades.policy, context.drift.settings(), burning, Timestamp::now())
}

/// An error goes to the log. The next look finds the model where it was.
async fn move_on(model: &InferenceModel, context: &Context) -> Result<(), ()> {
    let Some(status) = &model.status else { return Ok(()) };
    let settings = context.drift.settings();
    let (key, to) = (ModelKey::of(model), Pin::newest(settings));
    match write_status::write(model, moved(status, settings, Timestamp::now()), context).await {
        Ok(()) => {
            info!(model = %key, revision = to.revision.as_str(), image = to.image, "A staged upgrade moves a model");
            Ok(())
        }
        Err(error) => {
            warn!(model = %key, error = &error as &dyn std::error::Error, "Could not move a model");
            Err(())
        }
    }
}
