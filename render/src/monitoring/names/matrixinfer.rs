//! Names of MatrixInfer, where a model is called `model_id`.

use belfry_crds::contract::metrics;

use super::{Names, histogram, labelled, rule, without};
use crate::monitoring::promql::{Level, SeriesOf, by};

pub(super) fn names() -> Names {
    let all = SeriesOf::any();
    let named = |series: String| labelled("model_id", "model", series);
    let requests = || all.counter(&metrics::REQUESTS);
    let gpu = |level: Level, scale: &str| labelled("gpu_id", "uuid", named(format!("{level}{scale}")));
    let failures = by("max", &["namespace", "model"], all.counter(&metrics::MODEL_LOAD_FAILURES));
    let scores = by("max", &["namespace", "model", "version", "dataset"], all.gauge(&metrics::MODEL_ACCURACY));
    let mut rules = vec![
        rule("model_accuracy_score", &[], named(scores)),
        rule("matrixinfer_inference_requests_total", &[], named(requests().into())),
        rule("matrixinfer_inference_errors_total", &[], named(requests().matching("status", "5..").into())),
        rule("matrixinfer_inference_request_size_bytes_sum", &[], named(all.counter(&metrics::REQUEST_BYTES).into())),
        rule("matrixinfer_inference_response_size_bytes_sum", &[], named(all.counter(&metrics::RESPONSE_BYTES).into())),
        rule("matrixinfer_model_load_duration_seconds", &[], named(all.gauge(&metrics::MODEL_LOAD_DURATION).into())),
        rule("matrixinfer_model_load_failures_total", &[], named(failures)),
        rule("matrixinfer_model_memory_usage_bytes", &[], named(all.gauge(&metrics::MODEL_MEMORY).into())),
        rule("matrixinfer_model_status", &[], named(all.gauge(&metrics::MODEL_LOADED).into())),
        rule("nvidia_gpu_utilization_percent", &[], gpu(all.gauge(&metrics::GPU_UTILIZATION), " * 100")),
        rule("nvidia_gpu_memory_usage_bytes", &[], gpu(all.gauge(&metrics::GPU_MEMORY_USED), "")),
    ];
    rules.extend(histogram(
        "matrixinfer_inference_duration_seconds",
        &all,
        &metrics::REQUEST_DURATION,
        move |series| labelled("model_id", "model", without(&["phase"], series.eq("phase", "total"))),
    ));
    Names {
        id: "matrixinfer",
        owner: "MatrixInfer",
        note: "The metrics of GPUs are there for models on GPUs only, and `model_accuracy_score` for models that an evaluation job wrote a score on.",
        rules,
        missing: &[
            (
                "kube_deployment_status_replicas{deployment=~\".*-infer\"}",
                "A Deployment has the name of its model, without a suffix; `belfry_model_replicas` has the same.",
            ),
            ("up{job=\"matrixinfer-models\"}", "`job` is the Service of a model, which has the model's name."),
            ("matrixinfer_inference_request_size_bytes_bucket", "Sizes are counted, and not their distribution."),
        ],
    }
}
