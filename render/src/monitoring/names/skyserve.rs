//! Names of the exporter that SkyServe's guide shows, and of its example of a server.

use belfry_crds::contract::metrics;

use super::{Names, labelled, rule};
use crate::monitoring::promql::{SeriesOf, by_model};

pub(super) fn names() -> Names {
    let all = SeriesOf::any();
    let service = |expr: String| labelled("service", "model", expr);
    // Each instance of the operator exports the same series.
    let replicas = |state: &str| by_model("max", all.gauge(&metrics::MODEL_REPLICAS).eq("state", state));
    let (ready, current) = (replicas("ready"), replicas("current"));
    Names {
        id: "skyserve",
        owner: "SkyServe",
        note: "`inference_requests_total`, `inference_request_duration_seconds`, `inference_model_loaded` and `inference_active_requests` of its example have these names in Belfry, too. The histogram counts each request once more for each phase: choose `phase=\"total\"`. There is no counter of generated tokens, because Belfry's worker generates none; `inference_tokens_total` counts those that it read.",
        rules: vec![
            rule("skyserve_replicas_total", &[("status", "READY")], service(ready.clone())),
            rule("skyserve_replicas_total", &[("status", "STARTING")], service(format!("({current} - {ready})"))),
            rule("skyserve_service_status", &[], service(format!("({ready} >= bool 1)"))),
        ],
        missing: &[(
            "skyserve_replicas_by_cloud",
            "A node does not say which cloud it is of. `belfry_model_placed_replicas` has zones and types of capacity.",
        )],
    }
}
