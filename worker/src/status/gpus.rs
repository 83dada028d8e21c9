//! The GPUs of the live status. A worker whose model runs on a CPU has none there, whichever it measures.

use std::time::Instant;

use belfry_crds::contract::status::{Gpu, MEMORY_THRESHOLD_PCT};

use crate::gpu::{self, Gpus, short_name};

/// Type of the GPU that the model is on. It stays while the driver does not answer: it is no measurement.
pub(super) fn type_of_first(gpus: &Gpus) -> Option<String> {
    let last = gpus.last().filter(|reading| reading.holds_model)?;
    last.gpus.iter().find(|gpu| gpu.device == "cuda:0").map(|first| short_name(&first.name))
}

/// The GPUs, while their numbers are fresh.
pub(super) fn all(gpus: &Gpus, now: Instant) -> Vec<Gpu> {
    let last = gpus.last().filter(|reading| reading.holds_model && reading.is_fresh(now));
    last.iter().flat_map(|reading| &reading.gpus).filter_map(shown).collect()
}

/// A GPU without a number for its memory is left out: a viewer divides by it.
fn shown(gpu: &gpu::Gpu) -> Option<Gpu> {
    Some(Gpu {
        device: gpu.device.clone(),
        name: gpu.name.clone(),
        gpu_type: short_name(&gpu.name),
        utilization_pct: gpu.utilization.map(|share| (share * 100.0).round() as u32),
        memory_used_bytes: gpu.memory_used?,
        memory_total_bytes: gpu.memory_total?,
        memory_threshold_pct: MEMORY_THRESHOLD_PCT,
    })
}
