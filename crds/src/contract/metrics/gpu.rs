//! What a worker says about its GPUs.

use super::{Counter, Exporter, GPU_THROTTLE_REASONS, GPU_UUID, Gauge, Kind, Metric, closed, one_per};

metrics! {
    Worker Gauge GPU_INFO = "inference_gpu_info" ["bool"]
        (GPU_UUID, one_per("device", "GPU of the process"), one_per("name", "GPU product of the node"), one_per("driver", "process"));
        "Always 1; the labels name a GPU that the worker sees: its number for CUDA, its product and its driver. Series about GPUs are absent where the driver has not answered for ten seconds, and where a GPU does not support them."
    Worker Gauge GPU_LOST = "inference_gpu_lost" ["bool"] (GPU_UUID);
        "1 while the driver says that the GPU fell off the bus, else 0. Beside it such a GPU has only what was counted of its Xids."
    Worker Gauge GPU_UTILIZATION = "inference_gpu_utilization_ratio" ["ratio"] (GPU_UUID);
        "Share of the time in which the GPU computed, for whichever process, over the driver's last sample of 1/6 s to 1 s."
    Worker Gauge GPU_MEMORY_USED = "inference_gpu_memory_used_bytes" ["bytes"] (GPU_UUID);
        "Memory of the GPU that is not free: that of all processes, and what the driver keeps for itself."
    Worker Gauge GPU_MEMORY_TOTAL = "inference_gpu_memory_total_bytes" ["bytes"] (GPU_UUID);
        "All memory of the GPU."
    Worker Gauge GPU_TEMPERATURE = "inference_gpu_temperature_celsius" ["celsius"] (GPU_UUID);
        "Temperature of the GPU's die."
    Worker Gauge GPU_POWER = "inference_gpu_power_watts" ["watts"] (GPU_UUID);
        "Power that the GPU draws, its memory included."
    Worker Gauge GPU_CLOCK = "inference_gpu_clock_hertz" ["hertz"] (GPU_UUID, closed("clock", &["sm", "memory"]));
        "Clock of the GPU's processors (sm) and of its memory."
    Worker Gauge GPU_THROTTLED = "inference_gpu_throttled" ["bool"] (GPU_UUID, closed("reason", GPU_THROTTLE_REASONS));
        "1 for each reason that holds the GPU's clocks back, else 0. Several may hold at once; that it is idle is none."
    Worker Counter GPU_ECC_ERRORS = "inference_gpu_ecc_errors_total" ["errors"] (GPU_UUID, closed("type", &["corrected", "uncorrected"]));
        "Errors of the GPU's memory since the driver was loaded. What is uncorrected may have changed a result."
    Worker Counter GPU_XID_ERRORS = "inference_gpu_xid_errors_total" ["errors"] (GPU_UUID);
        "Errors that the driver reported about the GPU (Xid) since the worker began to listen, from whichever process."
    Worker Gauge GPU_LAST_XID = "inference_gpu_last_xid" ["xid"] (GPU_UUID);
        "Number of the last of these errors, 999 where the driver has no number; absent before the first. It stays when the cause is gone."
    Worker Gauge GPU_ROW_REMAP_PENDING = "inference_gpu_row_remap_pending" ["bool"] (GPU_UUID);
        "1 when rows of the GPU's memory will be replaced by spare ones at its next reset, else 0."
    Worker Gauge GPU_ROW_REMAP_FAILURE = "inference_gpu_row_remap_failure" ["bool"] (GPU_UUID);
        "1 when a row of the GPU's memory could not be replaced, for one because no spare row is left, else 0."
    Worker Gauge GPU_LAST_READING = "inference_gpu_last_reading_timestamp_seconds" ["timestamp"] ();
        "Unix time at which the last finished reading of the GPUs began; one begins every 2 s. Absent where none is read. It stays when the driver hangs."
}
