//! What the cache makes of answers and events, in whatever order they come.

use std::sync::LazyLock;

use serde_json::json;

use super::*;
use crate::drift::Drift;
use crate::observe::Compare;
use belfry_render::children::child;
use belfry_render::children::metadata::ContentHash;
use belfry_render::role::Role;
use belfry_render::settings::Settings;

mod interleavings;

const KIND: ChildKind = ChildKind::Service;

fn key() -> ModelKey {
    ModelKey { namespace: "search".into(), name: "minilm".into() }
}

fn model(version: u64) -> InferenceModel {
    let object = json!({
        "apiVersion": "belfry.dev/v1alpha1", "kind": "InferenceModel",
        "metadata": {
            "name": "minilm", "namespace": "search", "uid": "u", "generation": 1, "resourceVersion": version.to_string(),
        },
        "spec": {"task": "Embedding", "model": {"source": {"huggingFace": {"repo": "owner/name", "revision": "main"}}}},
    });
    serde_json::from_value(object).unwrap()
}

/// The Service as the operator applies it.
fn service(version: u64) -> DynamicObject {
    // Rendered once for the thousands of orders that are played.
    static RENDERED: LazyLock<DynamicObject> = LazyLock::new(|| {
        let desired = Drift::new(Settings::default()).validate(&model(1), None).unwrap();
        child(Role::Address, &desired.model).unwrap().object.unwrap()
    });
    let mut object = RENDERED.clone();
    object.metadata.resource_version = Some(version.to_string());
    object
}

/// The same after an edit by hand.
fn edited(version: u64) -> DynamicObject {
    let mut object = service(version);
    object.data["spec"]["ports"] = json!([]);
    object
}

/// A cache with its watch and its writes.
struct Scene {
    cache: Cache,
}

static DRIFT: LazyLock<Drift> = LazyLock::new(|| Drift::new(Settings::default()));

impl Scene {
    fn new() -> Self {
        let scene = Self { cache: Cache::default() };
        scene.cache.model_seen(model(1));
        scene
    }

    /// The watch shows the Service.
    fn shows(&self, object: &DynamicObject) -> Option<Urgency> {
        self.cache.child_seen(&key(), KIND, (object, Content::Whole(object)), |model, object, deployed| {
            DRIFT.holds(&key(), (KIND, object), model, deployed)
        })
    }

    /// The watch shows the metadata of the Service.
    fn glimpses(&self, object: &DynamicObject) -> Option<Urgency> {
        self.cache
            .child_seen(&key(), KIND, (object, Content::Metadata), |_, _, _| panic!("there is nothing to compare"))
    }

    /// The watch shows that the Service is gone.
    fn ends(&self, version: u64) {
        self.cache.child_gone(&key(), KIND, "minilm", version);
    }

    fn sends(&self) -> Write<'_> {
        self.cache.writes_child(&key(), KIND, "minilm")
    }

    fn answers(&self, write: Write<'_>, version: u64) {
        let live = LiveChild::applied(&service(version));
        self.cache.child_answered(&write, &key(), Role::Address, (live, None));
    }

    fn live(&self) -> Option<LiveChild> {
        self.cache.child(&key(), KIND, "minilm")
    }

    fn holds(&self) -> Option<ContentHash> {
        self.live().unwrap().holds
    }
}

#[test]
fn a_state_of_a_model_that_is_known_asks_for_no_pass() {
    let scene = Scene::new();
    assert!(!scene.cache.model_seen(model(1)));
    assert!(scene.cache.model_seen(model(2)));
}

#[test]
fn the_event_of_an_own_write_asks_for_no_pass_and_an_edit_after_it_does() {
    let scene = Scene::new();
    scene.answers(scene.sends(), 5);
    assert_eq!(scene.shows(&service(5)), None);
    assert!(scene.holds().is_some());
    assert_eq!(scene.shows(&edited(6)), Some(Urgency::Children));
    assert_eq!(scene.holds(), None);
}

#[test]
fn an_answer_says_what_a_child_holds_also_when_the_watch_was_faster() {
    for shown_before in [&[5][..], &[5, 6]] {
        let scene = Scene::new();
        let write = scene.sends();
        for version in shown_before {
            scene.shows(&service(*version));
            assert_eq!(scene.holds(), None, "the answer will say it");
        }
        scene.answers(write, 5);
        assert!(scene.holds().is_some(), "the watch showed {shown_before:?}");
    }
}

#[test]
fn an_answer_says_nothing_of_a_later_edit() {
    let scene = Scene::new();
    let write = scene.sends();
    scene.shows(&service(5));
    scene.shows(&edited(6));
    scene.answers(write, 5);
    assert_eq!(scene.holds(), None);
}

#[test]
fn a_write_that_was_given_up_leaves_the_comparison_to_the_watch() {
    let scene = Scene::new();
    drop(scene.sends());
    scene.shows(&service(5));
    assert!(scene.holds().is_some());
}

#[test]
fn an_edit_asks_for_a_pass_and_is_compared_with_what_is_wanted() {
    let scene = Scene::new();
    assert_eq!(scene.shows(&service(5)), Some(Urgency::Children));
    assert!(scene.holds().is_some());
    assert_eq!(scene.shows(&edited(6)), Some(Urgency::Children));
    assert_eq!(scene.holds(), None);
}

#[test]
fn metadata_alone_is_a_claim_until_the_object_was_read() {
    let scene = Scene::new();
    scene.answers(scene.sends(), 5);
    assert_eq!(scene.glimpses(&service(5)), None, "the answer to the own write said what it holds");
    assert_eq!(scene.glimpses(&edited(6)), Some(Urgency::Children));
    let live = scene.live().unwrap();
    assert_eq!((live.holds, live.claims.is_some()), (None, true), "an edit keeps the annotation");
    assert_eq!(scene.shows(&service(6)), Some(Urgency::Children));
    let live = scene.live().unwrap();
    assert_eq!((live.holds.is_some(), live.claims), (true, None));
    assert_eq!(scene.glimpses(&service(6)), None);
    assert!(scene.holds().is_some());
}

#[test]
fn a_model_that_is_gone_is_not_brought_back_by_an_answer() {
    let scene = Scene::new();
    let write = scene.cache.writes_model(&key());
    scene.cache.model_gone(&key(), 3);
    scene.cache.model_answered(&write, model(2));
    assert!(scene.cache.observed(&key()).is_none());
    let write = scene.cache.writes_model(&key());
    scene.cache.model_seen(model(4));
    scene.cache.model_answered(&write, model(5));
    assert!(scene.cache.observed(&key()).is_some());
}

#[test]
fn a_child_that_is_gone_is_not_brought_back_by_an_answer() {
    let scene = Scene::new();
    let write = scene.sends();
    scene.shows(&service(5));
    scene.ends(6);
    scene.answers(write, 5);
    assert!(scene.live().is_none());
}

#[test]
fn a_late_deletion_does_not_end_what_was_made_after_it() {
    let scene = Scene::new();
    scene.shows(&service(5));
    scene.answers(scene.sends(), 7);
    scene.ends(6);
    assert!(scene.holds().is_some());
    scene.ends(8);
    assert!(scene.live().is_none());
}

#[test]
fn what_a_list_does_not_name_is_gone_also_for_an_answer_that_is_still_to_come() {
    let scene = Scene::new();
    let write = scene.sends();
    scene.shows(&service(5));
    scene.cache.keep_children(KIND, None, &BTreeSet::new());
    scene.answers(write, 6);
    assert!(scene.live().is_none(), "if it is there, the watch will show it");
    let write = scene.cache.writes_model(&key());
    scene.cache.keep_models(None, &BTreeSet::new());
    scene.cache.model_answered(&write, model(9));
    assert!(scene.cache.observed(&key()).is_none());
}
