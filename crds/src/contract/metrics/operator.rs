//! What the operator says about its models and about itself.

use super::{
    CAPACITY_TYPE, Counter, DATASET, DURATION_BUCKETS, Exporter, GPU, Gauge, Histogram, Kind, MODEL, Metric, NAMESPACE,
    OBJECT_STATES, RECONCILE_OUTCOMES, REQUEST_VERBS, VERSION, WRITTEN_KINDS, ZONE, closed, one_per,
};

metrics! {
    OperatorAboutModels Gauge MODEL_REPLICAS = "belfry_model_replicas" ["replicas"]
        (NAMESPACE, MODEL, closed("state", &["desired", "current", "updated", "ready", "available"]));
        "Worker replicas of a model, by state."
    OperatorAboutModels Gauge MODEL_CONDITION = "belfry_model_condition" ["bool"]
        (NAMESPACE, MODEL, one_per("type", "condition type"), closed("status", &["True", "False", "Unknown"]), one_per("reason", "condition reason"));
        "Always 1; one series for each condition of a model, with its present status and reason."
    OperatorAboutModels Gauge MODEL_WAITING = "belfry_model_waiting_replicas" ["replicas"]
        (NAMESPACE, MODEL, closed("reason", crate::contract::metrics::WAITING_REASONS));
        "Worker pods whose container waits, by the kubelet's reason; `other` for a reason not listed here."
    OperatorAboutModels Gauge MODEL_UNSCHEDULABLE = "belfry_model_unschedulable_replicas" ["replicas"] (NAMESPACE, MODEL);
        "Worker pods that no node can run."
    OperatorAboutModels Counter MODEL_RESTARTS = "belfry_model_container_restarts_total" ["restarts"] (NAMESPACE, MODEL);
        "Restarts of worker containers that the operator saw."
    OperatorAboutModels Counter MODEL_LOAD_FAILURES = "belfry_model_load_failures_total" ["failures"] (NAMESPACE, MODEL);
        "Worker containers that ended with a failed load."
    OperatorAboutModels Gauge MODEL_GENERATION = "belfry_model_generation" ["generation"] (NAMESPACE, MODEL);
        "Generation of a model's specification."
    OperatorAboutModels Gauge MODEL_OBSERVED_GENERATION = "belfry_model_observed_generation" ["generation"] (NAMESPACE, MODEL);
        "Generation of the specification in the operator's last finished pass; 0 before the first."
    OperatorAboutModels Gauge MODEL_UNDECODABLE = "belfry_model_undecodable" ["bool"] (NAMESPACE, MODEL);
        "Always 1; a model that the operator can't decode and does not change. It has no other series."
    OperatorAboutModels Gauge MODEL_OBJECTS = "belfry_model_objects" ["objects"]
        (NAMESPACE, MODEL, closed("state", OBJECT_STATES));
        "Objects that were generated for a model, by state: applied, refused by the API server, or of a kind that the cluster lacks."
    OperatorAboutModels Gauge MODEL_SPEC_INFO = "belfry_model_info" ["bool"]
        (NAMESPACE, MODEL, one_per("engine", "type of engine"), closed("device", &["cpu", "cuda"]), one_per("template_revision", "template revision"));
        "Always 1; the labels name the engine and the device of a model, and its revision of the pod template."
    OperatorAboutModels Gauge MODEL_PLACED = "belfry_model_placed_replicas" ["replicas"] (NAMESPACE, MODEL, ZONE, CAPACITY_TYPE, GPU);
        "Scheduled worker pods, by the node's zone, capacity type and GPUs; empty or `unknown` if the node has no such label."
    OperatorAboutModels Gauge MODEL_REQUESTED_CPU = "belfry_model_requested_cpu_cores" ["cores"] (NAMESPACE, MODEL, ZONE, CAPACITY_TYPE, GPU);
        "Sum of the CPU requests of scheduled worker pods: what they cost even if they are idle."
    OperatorAboutModels Gauge MODEL_REQUESTED_MEMORY = "belfry_model_requested_memory_bytes" ["bytes"] (NAMESPACE, MODEL, ZONE, CAPACITY_TYPE, GPU);
        "Sum of the memory requests of scheduled worker pods."
    OperatorAboutModels Gauge MODEL_REQUESTED_GPUS = "belfry_model_requested_gpus" ["GPUs"] (NAMESPACE, MODEL, ZONE, CAPACITY_TYPE, GPU);
        "Sum of the NVIDIA GPUs that scheduled worker pods request."
    OperatorAboutModels Gauge MODEL_COST = "belfry_model_cost_per_hour" ["currency"]
        (NAMESPACE, MODEL, ZONE, CAPACITY_TYPE, GPU, one_per("currency", "process"));
        "What the scheduled worker pods cost in an hour: their requests at the operator's prices. Pods on nodes without a price are not in it; without prices there are no series."

    OperatorAboutModels Gauge MODEL_ACCURACY = "belfry_model_accuracy_score" ["score"] (NAMESPACE, MODEL, VERSION, DATASET);
        "Last score that an evaluation job wrote on the InferenceModel, from 0 to 1."
    OperatorAboutModels Gauge MODEL_ACCURACY_MINIMUM = "belfry_model_accuracy_minimum" ["score"] (NAMESPACE, MODEL, VERSION, DATASET);
        "The score that the job says it must be; absent where it says none."
    OperatorAboutModels Gauge MODEL_ACCURACY_TIME = "belfry_model_accuracy_timestamp_seconds" ["timestamp"] (NAMESPACE, MODEL, VERSION, DATASET);
        "Unix time at which the score was measured."
    OperatorAboutModels Gauge MODEL_ACCURACY_UNREADABLE = "belfry_model_accuracy_unreadable" ["annotations"] (NAMESPACE, MODEL);
        "Annotations of scores that can't be read; absent for a model without such annotations."

    Operator Counter RECONCILES = "belfry_operator_reconcile_total" ["reconciles"]
        (closed("outcome", RECONCILE_OUTCOMES));
        "Passes over an InferenceModel, by outcome."
    Operator Histogram RECONCILE_DURATION = "belfry_operator_reconcile_duration_seconds" ["seconds"] ()
        buckets DURATION_BUCKETS;
        "Time of one pass over an InferenceModel."
    Operator Gauge RECONCILES_RUNNING = "belfry_operator_reconcile_running" ["passes"] ();
        "Passes over InferenceModels that run now."
    Operator Gauge RECONCILE_CAPACITY = "belfry_operator_reconcile_capacity" ["passes"] ();
        "Most passes that run at the same time; further models wait in the queue."
    Operator Counter API_WRITES = "belfry_operator_api_writes_total" ["requests"]
        (closed("kind", WRITTEN_KINDS), closed("result", &["ok", "error"]));
        "Writes to the API server, by kind."
    Operator Counter API_REQUESTS = "belfry_operator_api_requests_total" ["requests"]
        (closed("verb", REQUEST_VERBS), one_per("resource", "resource of the API"), one_per("code", "HTTP status"));
        "Requests to the API server, by verb, resource and status; `error` or `timeout` if no answer arrived."
    Operator Histogram API_REQUEST_DURATION = "belfry_operator_api_request_duration_seconds" ["seconds"]
        (closed("verb", REQUEST_VERBS)) buckets DURATION_BUCKETS;
        "Time until the API server began to answer a request, by verb."
    Operator Gauge LAST_SYNC = "belfry_operator_last_sync_timestamp_seconds" ["timestamp"]
        (one_per("resource", "watched resource"));
        "Unix time at which the API server last granted a list or a watch, by resource; the operator renews each watch every 50 seconds."
    Operator Counter WATCH_RESTARTS = "belfry_operator_watch_restarts_total" ["restarts"]
        (one_per("kind", "watched kind"));
        "Watches that ended early and were started again, by kind."
    Operator Gauge RECONCILE_BACKLOG = "belfry_operator_reconcile_queue_depth" ["models"] ();
        "InferenceModels that are due for a pass and wait for one."
    Operator Gauge RECONCILE_AGE = "belfry_operator_reconcile_queue_oldest_age_seconds" ["seconds"] ();
        "Time for which the InferenceModel at the head of the queue has waited; 0 when none waits."
    Operator Gauge CACHE_OBJECTS = "belfry_operator_cache_objects" ["objects"]
        (closed("kind", &["models", "children", "pods", "nodes"]));
        "Objects that the operator keeps a summary for."
    Operator Gauge LEADER = "belfry_operator_leader" ["bool"] ();
        "1 for the active operator, 0 for one that waits to take over."
    Operator Gauge LAST_RECONCILE = "belfry_operator_last_successful_reconcile_timestamp_seconds" ["timestamp"] ();
        "Unix time of the last pass that ended without an error; 0 before the first."
    Operator Gauge OPERATOR_BUILD_INFO = "belfry_operator_build_info" ["bool"] (one_per("version", "process"));
        "Always 1; the label is the operator's version."
}
