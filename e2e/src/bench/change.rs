//! One change at a time in a cluster at rest: an edited model, a deleted child.

use std::time::Instant;

use anyhow::{Context, Result};
use belfry_crds::InferenceModel;
use belfry_render::kind::ChildKind;
use futures::TryStreamExt;
use kube::api::{DeleteParams, PartialObjectMeta, Patch, PatchParams, WatchEvent, WatchParams};
use kube::core::DynamicObject;
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use super::plain::{name, namespace};
use crate::{UNSCALED, operator, secs};

/// A child that takes longer is lost.
const LIMIT: std::time::Duration = secs(30);

/// Edits the replicas of models, which touches the Deployment and no other child. Returns the seconds from each edit's
/// answer until the changed Deployment was seen on a watch.
pub(super) async fn edits(client: &Client, models: usize, samples: usize) -> Result<Vec<f64>> {
    let mut seconds = vec![];
    for sample in 0..samples {
        let number = spread(sample, samples, models);
        let (namespace, model) = (namespace(number), name(number));
        let api: Api<InferenceModel> = Api::namespaced(client.clone(), &namespace);
        let replicas = api.get(&model).await?.spec.replicas.unwrap_or(1);
        let edit = json!({"spec": {"replicas": if replicas == 1 { 2 } else { 1 }}});
        let change = async {
            api.patch(&model, &PatchParams::default(), &Patch::Merge(&edit)).await?;
            Ok(())
        };
        let is_applied = |before: &Meta, now: &Meta| now.metadata.generation > before.metadata.generation;
        seconds.push(
            until_seen(&children_of(client, &namespace, ChildKind::Deployment), &model, change, is_applied).await?,
        );
    }
    Ok(seconds)
}

/// Deletes children, each kind in turn. Returns the seconds from each deletion's answer until a new object of the name
/// was seen on a watch.
pub(super) async fn deletions(client: &Client, models: usize, samples: usize) -> Result<Vec<f64>> {
    let mut seconds = vec![];
    for sample in 0..samples {
        let kind = UNSCALED[sample % UNSCALED.len()];
        let number = spread(sample, samples, models);
        let namespace = namespace(number);
        let model: InferenceModel = Api::namespaced(client.clone(), &namespace).get(&name(number)).await?;
        let children = operator::render(&model, &Default::default())?;
        let child = children.into_iter().find(|child| child.kind() == kind).context("a model without this child")?;
        let api = children_of(client, &namespace, kind);
        let change = async {
            api.delete(&child.name, &DeleteParams::default()).await?;
            Ok(())
        };
        let is_back = |before: &Meta, now: &Meta| now.uid() != before.uid();
        seconds.push(until_seen(&api, &child.name, change, is_back).await?);
    }
    Ok(seconds)
}

type Meta = PartialObjectMeta<DynamicObject>;

/// Watches one child, makes the change, and returns the seconds from its answer until the child is as it should be.
async fn until_seen(
    api: &Api<DynamicObject>,
    child: &str,
    change: impl Future<Output = Result<()>>,
    is_seen: impl Fn(&Meta, &Meta) -> bool,
) -> Result<f64> {
    let before = api.get_metadata(child).await?;
    let watch = WatchParams::default().fields(&format!("metadata.name={child}"));
    // From the present state on: the child's own version may be too old to be watched from.
    let events = api.watch_metadata(&watch, "0").await?;
    let mut events = std::pin::pin!(events);
    change.await.with_context(|| format!("can't change {} {child}", api.resource_url()))?;
    let answered = Instant::now();
    let seen = async {
        while let Some(event) = events.try_next().await? {
            if let WatchEvent::Added(now) | WatchEvent::Modified(now) = event
                && is_seen(&before, &now)
            {
                return Ok(answered.elapsed().as_secs_f64());
            }
        }
        anyhow::bail!("the watch ended")
    };
    let seen = tokio::time::timeout(LIMIT, seen).await;
    seen.with_context(|| format!("{} {child}: no change within {} s", api.resource_url(), LIMIT.as_secs()))?
}

fn children_of(client: &Client, namespace: &str, kind: ChildKind) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, &kind.api_resource())
}

/// The number of the model for a sample, so that samples meet old and new ones alike.
fn spread(sample: usize, samples: usize, models: usize) -> usize {
    if models > samples { sample * models / samples } else { sample % models }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_spread_over_all_models() {
        let chosen = |samples, models| (0..samples).map(|sample| spread(sample, samples, models)).collect::<Vec<_>>();
        assert_eq!(chosen(4, 100), [0, 25, 50, 75]);
        assert_eq!(chosen(5, 3), [0, 1, 2, 0, 1]);
    }
}
