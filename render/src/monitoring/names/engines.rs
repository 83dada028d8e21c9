//! Names of the engines that Belfry runs, for the models that its own worker serves: the tables that read an engine's series, read
//! backwards. Models on such an engine export these names themselves.

use belfry_crds::contract::metric::Histogram;
use belfry_crds::contract::metrics;
use belfry_crds::inference_model::EngineType;
use belfry_crds::monitoring::Rule;

use super::{Names, labelled, rule, without};
use crate::engine::profile;
use crate::monitoring::promql::{Level, SeriesOf, Total};

/// A rule for each series of the engine that one of Belfry's stands for alone; `model` is the engine's label for the model.
/// Series with one of the labels `but` are left out: Belfry's worker puts them otherwise.
fn backwards(engine: EngineType, model: &str, but: &[&str]) -> Vec<Rule> {
    let own = SeriesOf::own_workers();
    let mut rules: Vec<Rule> = vec![];
    for mapping in profile(engine).mappings {
        let [series] = &mapping.series[..] else { continue };
        if !series.like.is_empty() || series.equal.iter().any(|(_, value)| but.contains(&value.as_str())) {
            continue;
        }
        let labels: Vec<_> = series.equal.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let dropped: Vec<_> = mapping.ours.labels.iter().map(|label| label.name).collect();
        for suffix in mapping.suffixes() {
            let ours = own.stood_for(&mapping, suffix);
            let ours = if dropped.is_empty() { ours } else { without(&dropped, ours) };
            // Where one reason of Belfry stands for two of the engine, the first of them has it all.
            if rules.iter().all(|rule| rule.expr != labelled(model, "model", &ours)) {
                rules.push(rule(&format!("{}{suffix}", series.name), &labels, labelled(model, "model", ours)));
            }
        }
    }
    rules
}

fn requests() -> Total {
    SeriesOf::own_workers().counter(&metrics::REQUESTS)
}

fn counted(requests: Total) -> String {
    without(&["endpoint", "status", "reason"], requests)
}

pub(super) fn tei() -> Names {
    let mut rules = backwards(EngineType::TEI, "model_id", &["tokenization", "batch_size"]);
    let named = |series: String| labelled("model_id", "model", series);
    rules.extend([
        rule("te_request_count", &[], named(counted(requests()))),
        rule("te_request_success", &[], named(counted(requests().eq("status", "200")))),
        rule(
            "te_request_failure",
            &[("err", "validation")],
            named(counted(requests().one_of("status", &["400", "413", "422"]))),
        ),
    ]);
    Names {
        id: "tei",
        owner: "text-embeddings-inference",
        note: "For the models of Belfry's own worker.",
        rules,
        missing: &[
            ("te_embed_count", "Requests are counted by their route, and texts in `inference_batch_size_sum`."),
            ("te_request_failure{err=\"tokenization\"}", "It is a part of `validation`."),
            ("te_request_failure{err=\"batch_size\"}", "It is a part of `validation`."),
        ],
    }
}

pub(super) fn vllm() -> Names {
    let mut rules = backwards(EngineType::VLLM, "model_name", &[]);
    rules.push(rule(
        "vllm:request_success_total",
        &[("finished_reason", "stop")],
        labelled("model_name", "model", counted(requests().eq("status", "200"))),
    ));
    Names {
        id: "vllm",
        owner: "vLLM",
        note: "For the models of Belfry's own worker.",
        rules,
        missing: &[
            (
                "vllm:num_requests_running",
                "The worker counts texts that wait, and requests that were begun: `inference_active_requests` has those that wait among them.",
            ),
            ("vllm:generation_tokens_total", "Belfry's worker generates no tokens."),
            ("vllm:time_to_first_token_seconds", "Belfry's worker generates no tokens."),
            ("vllm:kv_cache_usage_perc", "An encoder keeps no cache of keys and values."),
        ],
    }
}

pub(super) fn triton() -> Names {
    let own = SeriesOf::own_workers();
    let named = |series: String| labelled("model", "model", series);
    let time = |phase: &str| {
        let spent = own.sum(&metrics::REQUEST_DURATION).eq("phase", phase);
        format!("{} * 1e6", without(&["phase"], spent))
    };
    let of_batches = |series: fn(&SeriesOf, &Histogram) -> Total| String::from(series(&own, &metrics::BATCH_SIZE));
    let gpu = |level: Level| labelled("gpu_uuid", "uuid", level);
    let mut rules = backwards(EngineType::Triton, "model", &["REJECTED"]);
    rules.extend([
        rule("nv_inference_request_failure", &[("reason", "REJECTED")], counted(requests().eq("status", "504"))),
        rule("nv_inference_count", &[], named(of_batches(SeriesOf::sum))),
        rule("nv_inference_exec_count", &[], named(of_batches(SeriesOf::count))),
        rule("nv_inference_request_duration_us", &[], time("total")),
        rule("nv_inference_queue_duration_us", &[], time("queue")),
        rule("nv_inference_compute_infer_duration_us", &[], time("inference")),
        rule("nv_inference_compute_input_duration_us", &[], time("tokenize")),
        rule("nv_gpu_utilization", &[], gpu(own.gauge(&metrics::GPU_UTILIZATION))),
        rule("nv_gpu_memory_used_bytes", &[], gpu(own.gauge(&metrics::GPU_MEMORY_USED))),
        rule("nv_gpu_memory_total_bytes", &[], gpu(own.gauge(&metrics::GPU_MEMORY_TOTAL))),
        rule("nv_gpu_power_usage", &[], gpu(own.gauge(&metrics::GPU_POWER))),
    ]);
    Names {
        id: "triton",
        owner: "Triton",
        note: "For the models of Belfry's own worker. Tokenizing stands for the preparation of inputs. The metrics of GPUs are there for models on GPUs only.",
        rules,
        missing: &[
            ("nv_inference_compute_output_duration_us", "It is a part of the inference."),
            ("nv_cache_num_hits_per_model", "The worker keeps no answers."),
        ],
    }
}
