//! An operator of some namespaces, with Roles and no ClusterRole.

use anyhow::ensure;
use belfry_crds::InferenceModel;
use belfry_e2e::audit::Audit;
use belfry_e2e::chaos::specs::variant;
use belfry_e2e::chaos::{Operator, PATIENCE, SILENCE, list, on_stage};
use belfry_e2e::proxy::{Call, Proxy};
use belfry_e2e::{FIELD_MANAGER, OPERATOR, Outcome, wait};
use kube::Api;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};

/// Where the operator of the test would be installed.
const SYSTEM: &str = "listed-system";

/// A namespace that is not in the operator's list.
const ELSEWHERE: &str = "listed-elsewhere";

#[tokio::test]
async fn with_listed_namespaces_roles_are_enough_and_other_models_are_left_alone() -> Outcome {
    on_stage("listed", async |act| {
        act.operator.start().await?;
        let expected = act.expected(&[variant("m", 1)]).await?;
        act.clear().await?;
        act.operator.kill()?;

        let token = act.stage.install_roles(SYSTEM, &format!("namespaces={{{}}}", act.namespace))?;
        let audit = Audit::at_end(act.stage.rig.audit_log())?;
        act.proxy = Proxy::start(act.stage.rig.config_with(&token).await?)?;
        act.operator = Operator::new(act.stage.rig.place().0.join(SYSTEM), &act.proxy.address())?;
        act.operator.with(&["--namespaces", &act.namespace]);
        act.operator.start().await?;

        act.stage.kubectl(&["create", "namespace", ELSEWHERE], "")?;
        let resource = ApiResource::erase::<InferenceModel>(&());
        let elsewhere = Api::<DynamicObject>::namespaced_with(act.client.clone(), ELSEWHERE, &resource);
        let params = PatchParams::apply(FIELD_MANAGER);
        elsewhere.patch("m", &params, &Patch::Apply(variant("m", 1))).await?;
        act.apply(&variant("m", 1)).await?;
        act.until_same(&expected, PATIENCE).await?;
        let left_alone = wait::holds("the other model is left alone", SILENCE, async || {
            ensure!(elsewhere.get("m").await?.data["status"].is_null(), "it has a status");
            Ok(())
        });
        left_alone.await?;

        let is_elsewhere = |call: &Call| call.namespace != act.namespace;
        let calls: Vec<_> = act.proxy.since(0).into_iter().filter(is_elsewhere).collect();
        ensure!(calls.is_empty(), "asked for more than its namespace: {}", list(&calls));
        let user = format!("system:serviceaccount:{SYSTEM}:{OPERATOR}");
        let asked = audit.of_user(&user)?;
        ensure!(!asked.is_empty(), "the audit log has no request of {user}");
        let refused: Vec<_> = asked.iter().filter(|entry| entry.response_status.code == 403).map(|e| &e.uri).collect();
        ensure!(refused.is_empty(), "the Role lacks a right: {refused:?}");
        act.a_fresh_operator_writes_nothing().await?;
        elsewhere.delete("m", &Default::default()).await?;
        Ok(())
    })
    .await
}
