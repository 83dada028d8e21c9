//! The GPUs that the worker sees, as the NVIDIA driver's library (NVML) describes them.
//!
//! One thread reads them every [`READ_EVERY`] and leaves its reading here. A scrape takes the last reading and waits for nothing: a driver
//! may need long for a call, or never return from it. A reading older than [`STALE_AFTER`] is not shown, since a number that no longer
//! changes looks like a GPU at rest.

mod events;
mod reader;
mod visible;

use std::ffi::OsString;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use visible::Visible;

/// Time from the begin of one reading to the next. A scrape comes every 5 to 15 s; one reading was seen to take some milliseconds.
pub const READ_EVERY: Duration = Duration::from_secs(2);

/// Age from which a reading is not shown.
pub const STALE_AFTER: Duration = Duration::from_secs(10);

/// A GPU at one moment. What it does not support, or did not answer, is `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gpu {
    /// `GPU-` and its identity, as `nvidia-smi -L` prints it.
    pub uuid: String,
    /// Its name for CUDA in this process, such as `cuda:0`.
    pub device: String,
    /// Name of the product, such as `NVIDIA L4`.
    pub name: String,
    /// Whether it fell off the bus. Then nothing else is known of it but its Xids.
    pub is_lost: bool,
    /// Share of the time in which it computed, from 0 to 1.
    pub utilization: Option<f64>,
    /// Bytes of its memory that are not free.
    pub memory_used: Option<u64>,
    /// Bytes of all its memory.
    pub memory_total: Option<u64>,
    /// Degrees Celsius of its die.
    pub temperature: Option<f64>,
    /// Watts that it draws.
    pub power: Option<f64>,
    /// Hertz of its processors.
    pub sm_clock: Option<f64>,
    /// Hertz of its memory.
    pub memory_clock: Option<f64>,
    /// Each of [`GPU_THROTTLE_REASONS`](belfry_crds::contract::metrics::GPU_THROTTLE_REASONS), and whether it holds the clocks back.
    pub throttled: Option<Vec<(&'static str, bool)>>,
    /// Errors of its memory since the driver was loaded that were corrected.
    pub ecc_corrected: Option<u64>,
    /// Errors of its memory since the driver was loaded that were not.
    pub ecc_uncorrected: Option<u64>,
    /// Xids since the worker began to listen.
    pub xids: Option<u64>,
    /// The last Xid.
    pub last_xid: Option<u64>,
    /// Whether rows of its memory wait for a reset to be replaced.
    pub row_remap_pending: Option<bool>,
    /// Whether a row could not be replaced.
    pub row_remap_failure: Option<bool>,
}

/// The GPUs at one moment.
#[derive(Clone, Debug)]
pub struct Reading {
    /// When the reading began.
    pub began: Instant,
    /// The same by the clock of the machine.
    pub at: SystemTime,
    /// Version of the driver; empty where it does not say.
    pub driver: String,
    /// Whether the model runs on the first of them.
    pub holds_model: bool,
    /// Those that CUDA shows, in its order.
    pub gpus: Vec<Gpu>,
}

/// The last reading, shared by the thread that reads and by who shows it.
#[derive(Debug, Default)]
pub struct Gpus(Mutex<Option<Arc<Reading>>>);

impl Gpus {
    fn lock(&self) -> MutexGuard<'_, Option<Arc<Reading>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the last reading.
    pub fn publish(&self, reading: Reading) {
        let reading = Arc::new(reading);
        *self.lock() = Some(reading);
    }

    /// The last reading, however old it is; `None` before the first.
    pub fn last(&self) -> Option<Arc<Reading>> {
        self.lock().clone()
    }
}

impl Reading {
    /// Whether its numbers may be shown at this moment.
    pub fn is_fresh(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.began) < STALE_AFTER
    }
}

/// Starts the thread that reads GPUs with a library of the driver. `holds_model` says whether the model runs on the first of them.
pub fn start(gpus: &Arc<Gpus>, library: OsString, holds_model: bool) {
    let gpus = Arc::clone(gpus);
    // NVML knows nothing of either variable.
    let visible = std::env::var_os("CUDA_VISIBLE_DEVICES").map(|text| text.to_string_lossy().into_owned());
    let visible = Visible::read(visible.as_deref());
    let order_is_known = std::env::var("CUDA_DEVICE_ORDER").is_ok_and(|order| order == "PCI_BUS_ID");
    let read = move || reader::run(&gpus, &library, (&visible, order_is_known), holds_model);
    if let Err(error) = thread::Builder::new().name("gpus".to_owned()).spawn(read) {
        tracing::warn!(%error, "No thread for GPUs: they are not measured");
    }
}

/// The name of a product in short: `NVIDIA L4` is `l4`, and `NVIDIA A100-SXM4-80GB` is `a100-sxm4-80gb`.
pub fn short_name(name: &str) -> String {
    let words = name.split_whitespace().filter(|word| !["NVIDIA", "Tesla", "GeForce"].contains(word));
    words.collect::<Vec<_>>().join("-").to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_has_a_short_name() {
        for (name, short) in [
            ("NVIDIA L4", "l4"),
            ("Tesla T4", "t4"),
            ("NVIDIA A100-SXM4-80GB", "a100-sxm4-80gb"),
            ("NVIDIA H100 80GB HBM3", "h100-80gb-hbm3"),
            ("NVIDIA GeForce RTX 4090", "rtx-4090"),
        ] {
            assert_eq!(short_name(name), short);
        }
    }

    #[test]
    fn a_reading_is_shown_until_it_is_ten_seconds_old() {
        let began = Instant::now();
        let reading = Reading { began, at: SystemTime::now(), driver: String::new(), holds_model: false, gpus: vec![] };
        assert!(reading.is_fresh(began) && reading.is_fresh(began + Duration::from_millis(9_999)));
        assert!(!reading.is_fresh(began + STALE_AFTER));
    }
}
