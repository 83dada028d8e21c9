//! An operator of some namespaces, with Roles and no ClusterRole.

use anyhow::ensure;
use belfry_crds::InferenceModel;
use belfry_e2e::audit::Audit;
use belfry_e2e::chaos::specs::variant;
use belfry_e2e::chaos::{Operator, PATIENCE, SILENCE, fault_test, list};
use belfry_e2e::proxy::{Call, Proxy};
use belfry_e2e::{FIELD_MANAGER, OPERATOR, TestResult, wait};
use kube::Api;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};

/// Where the operator of the test would be installed.
const SYSTEM: &str = "listed-system";

/// A namespace that is not in the operator's list.
const ELSEWHERE: &str = "listed-elsewhere";

#[tokio::test]
async fn with_listed_namespaces_roles_are_enough_and_other_models_are_left_alone() -> TestResult {
    fault_test("listed", async |test| {
        test.operator.start().await?;
        let expected = test.expected(&[variant("m", 1)]).await?;
        test.clear().await?;
        test.operator.kill()?;

        let token = test.cluster.install_roles(SYSTEM, &format!("namespaces={{{}}}", test.namespace))?;
        let audit = Audit::at_end(test.cluster.control_plane.audit_log())?;
        test.proxy = Proxy::start(test.cluster.control_plane.config_with(&token).await?)?;
        test.operator = Operator::new(test.cluster.control_plane.place().0.join(SYSTEM), &test.proxy.address())?;
        test.operator.with(&["--namespaces", &test.namespace]);
        test.operator.start().await?;

        test.cluster.kubectl(&["create", "namespace", ELSEWHERE], "")?;
        let resource = ApiResource::erase::<InferenceModel>(&());
        let elsewhere = Api::<DynamicObject>::namespaced_with(test.client.clone(), ELSEWHERE, &resource);
        let params = PatchParams::apply(FIELD_MANAGER);
        elsewhere.patch("m", &params, &Patch::Apply(variant("m", 1))).await?;
        test.apply(&variant("m", 1)).await?;
        test.until_same(&expected, PATIENCE).await?;
        let left_alone = wait::holds("the other model is left alone", SILENCE, async || {
            ensure!(elsewhere.get("m").await?.data["status"].is_null(), "it has a status");
            Ok(())
        });
        left_alone.await?;

        let is_elsewhere = |call: &Call| call.namespace != test.namespace;
        let calls: Vec<_> = test.proxy.since(0).into_iter().filter(is_elsewhere).collect();
        ensure!(calls.is_empty(), "asked for more than its namespace: {}", list(&calls));
        let user = format!("system:serviceaccount:{SYSTEM}:{OPERATOR}");
        let asked = audit.of_user(&user)?;
        ensure!(!asked.is_empty(), "the audit log has no request of {user}");
        let refused: Vec<_> = asked.iter().filter(|entry| entry.response_status.code == 403).map(|e| &e.uri).collect();
        ensure!(refused.is_empty(), "the Role lacks a right: {refused:?}");
        test.a_fresh_operator_writes_nothing().await?;
        elsewhere.delete("m", &Default::default()).await?;
        Ok(())
    })
    .await
}
