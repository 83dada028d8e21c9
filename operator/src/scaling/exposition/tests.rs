//! Expositions of Belfry's own worker and of other engines.

use belfry_crds::InferenceModel;
use serde_json::json;

use super::*;
use belfry_render::settings::Settings;
use belfry_render::validate::validate;

const EXPOSITION: &str = "\
# HELP inference_queue_depth Texts that wait for a forward pass.
# TYPE inference_queue_depth gauge
inference_queue_depth 12
inference_queue_depth_of_another 99
inference_active_requests 3
inference_request_duration_seconds_bucket{phase=\"queue\",le=\"0.001\"} 1
inference_request_duration_seconds_sum{phase=\"total\"} 9
inference_request_duration_seconds_count{phase=\"total\"} 9
inference_request_duration_seconds_sum{phase=\"queue\"} 1.5
inference_request_duration_seconds_count{phase=\"queue\"} 10
inference_device_busy_seconds_total 7.5
";

fn own() -> ScalingSeries {
    ScalingSeries::of(None)
}

fn engine(engine: serde_json::Value) -> ScalingSeries {
    let spec = json!({"task": "Embedding", "model": {"source": {"pvc": {"claimName": "models"}}}, "engine": engine});
    let model = InferenceModel::new("minilm", serde_json::from_value(spec).unwrap());
    let valid = validate(&model, &Settings::default()).unwrap();
    ScalingSeries::of(valid.engine.as_ref().map(|engine| engine.mappings.as_slice()))
}

fn reading(at: Instant, depth: f64, seconds: f64, count: f64) -> Reading {
    Reading { at, queue_depth: Some(depth), in_flight: None, waited: Some((seconds, count)), busy: Some(seconds) }
}

#[test]
fn a_workers_exposition_is_read() {
    let at = Instant::now();
    let expected =
        Reading { at, queue_depth: Some(12.0), in_flight: Some(3.0), waited: Some((1.5, 10.0)), busy: Some(7.5) };
    assert_eq!(Reading::parse(EXPOSITION, &own(), at), Some(expected));
}

#[test]
fn a_series_that_is_missing_or_holds_nonsense_is_not_known() {
    let at = Instant::now();
    let depth = |exposition: &str| Reading::parse(exposition, &own(), at).unwrap().queue_depth;
    assert_eq!(depth(&EXPOSITION.replace("inference_queue_depth 12\n", "")), None);
    for nonsense in ["NaN", "-1", "+Inf", "x", ""] {
        let line = format!("inference_queue_depth {nonsense}\n");
        assert_eq!(depth(&EXPOSITION.replace("inference_queue_depth 12\n", &line)), None, "{nonsense}");
    }
}

#[test]
fn an_exposition_of_something_else_is_no_reading() {
    assert_eq!(Reading::parse("hello\n", &own(), Instant::now()), None);
}

#[test]
fn an_engines_own_series_are_added_up() {
    let series = engine(json!({"type": "VLLM", "image": "v:1"}));
    let exposition = "\
vllm:num_requests_running{engine=\"0\",model_name=\"a,b\"} 4.0
vllm:num_requests_running{engine=\"1\",model_name=\"a,b\"} 1.0
vllm:num_requests_waiting{engine=\"0\",model_name=\"a,b\"} 2.0
vllm:num_requests_waiting{engine=\"1\",model_name=\"a,b\"} 0.0
vllm:request_queue_time_seconds_sum{engine=\"0\"} 3.5
vllm:request_queue_time_seconds_count{engine=\"0\"} 7.0
";
    let at = Instant::now();
    let expected = Reading { at, queue_depth: Some(2.0), in_flight: Some(7.0), waited: Some((3.5, 7.0)), busy: None };
    assert_eq!(Reading::parse(exposition, &series, at), Some(expected));
}

#[test]
fn a_mapping_of_the_user_reads_the_series_that_it_names() {
    let mapping = json!({"name": "inference_queue_depth", "from": "jobs", "where": {"state": "waiting"}});
    let series = engine(json!({"type": "Custom", "image": "c:1", "metrics": [mapping]}));
    let exposition = "jobs{a=\"1\",state=\"waiting\"} 5\njobs{state=\"done\"} 900\njobs{old_state=\"waiting\"} 70\n";
    let reading = Reading::parse(exposition, &series, Instant::now()).unwrap();
    assert_eq!((reading.queue_depth, reading.in_flight), (Some(5.0), None));
    assert!(series.offers(ScalingMetricType::QueueDepth) && !series.offers(ScalingMetricType::InFlightRequests));
}

#[test]
fn the_queue_delay_is_measured_between_two_readings() {
    let begun = Instant::now();
    let first = Worker::read(None, reading(begun, 0.0, 1.0, 10.0));
    assert_eq!(first.value(ScalingMetricType::QueueDelayMilliseconds), None);
    let soon = Worker::read(Some(first), reading(begun + Duration::from_secs(1), 0.0, 2.0, 12.0));
    assert_eq!(soon.value(ScalingMetricType::QueueDelayMilliseconds), None, "too soon after the first");
    let later = Worker::read(Some(soon), reading(begun + Duration::from_secs(9), 3.0, 5.0, 20.0));
    assert_eq!(later.value(ScalingMetricType::QueueDelayMilliseconds), Some(1000.0 * 3.0 / 8.0));
}

#[test]
fn the_use_of_the_device_is_measured_between_two_readings_and_is_never_more_than_whole() {
    let begun = Instant::now();
    let first = Worker::read(None, reading(begun, 0.0, 1.0, 10.0));
    assert_eq!(first.value(ScalingMetricType::DeviceBusyPercent), None);
    for (busy, expected) in [(3.0, Some(25.0)), (1.0, Some(0.0)), (10.0, Some(100.0)), (0.5, None)] {
        let later = Worker::read(Some(first), reading(begun + Duration::from_secs(8), 0.0, busy, 20.0));
        assert_eq!(later.value(ScalingMetricType::DeviceBusyPercent), expected, "{busy}");
    }
}

#[test]
fn a_worker_without_answers_has_no_delay_unless_a_request_waits() {
    let begun = Instant::now();
    let later = begun + Duration::from_secs(9);
    for (depth, expected) in [(0.0, Some(0.0)), (4.0, None)] {
        let worker = Worker::read(None, reading(begun, 0.0, 1.0, 10.0));
        let worker = Worker::read(Some(worker), reading(later, depth, 1.0, 10.0));
        assert_eq!(worker.value(ScalingMetricType::QueueDelayMilliseconds), expected);
    }
}

#[test]
fn a_worker_that_was_restarted_is_measured_anew() {
    let begun = Instant::now();
    let worker = Worker::read(None, reading(begun, 0.0, 9.0, 100.0));
    let worker = Worker::read(Some(worker), reading(begun + Duration::from_secs(9), 0.0, 1.0, 2.0));
    assert_eq!(worker.value(ScalingMetricType::QueueDelayMilliseconds), None);
}
