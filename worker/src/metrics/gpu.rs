//! The series about GPUs, from the last reading: a scrape asks no driver. What a GPU does not support has no series, and an old reading has
//! none but its time.

use std::sync::Arc;
use std::time::Instant;

use belfry_crds::contract::metric::Metric;
use belfry_crds::contract::metrics as contract;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;

use super::family::{description, family, labelled};
use super::unix;
use crate::gpu::{Gpu, Gpus, Reading};

/// How the values of a GPU are read, each with that of the metric's second label; none where there are none.
type Read = fn(&Gpu) -> Vec<(&'static str, f64)>;

/// Each metric whose labels are the GPU's UUID and at most one more.
const READ: &[(&Metric, Read)] = &[
    (&contract::GPU_LOST.0, |gpu| single(Some(f64::from(gpu.is_lost)))),
    (&contract::GPU_UTILIZATION.0, |gpu| single(gpu.utilization)),
    (&contract::GPU_MEMORY_USED.0, |gpu| single(whole(gpu.memory_used))),
    (&contract::GPU_MEMORY_TOTAL.0, |gpu| single(whole(gpu.memory_total))),
    (&contract::GPU_TEMPERATURE.0, |gpu| single(gpu.temperature)),
    (&contract::GPU_POWER.0, |gpu| single(gpu.power)),
    (&contract::GPU_CLOCK.0, |gpu| those([("sm", gpu.sm_clock), ("memory", gpu.memory_clock)])),
    (&contract::GPU_THROTTLED.0, |gpu| {
        gpu.throttled.iter().flatten().map(|(reason, holds)| (*reason, f64::from(*holds))).collect()
    }),
    (&contract::GPU_ECC_ERRORS.0, |gpu| {
        those([("corrected", whole(gpu.ecc_corrected)), ("uncorrected", whole(gpu.ecc_uncorrected))])
    }),
    (&contract::GPU_XID_ERRORS.0, |gpu| single(whole(gpu.xids))),
    (&contract::GPU_LAST_XID.0, |gpu| single(whole(gpu.last_xid))),
    (&contract::GPU_ROW_REMAP_PENDING.0, |gpu| single(gpu.row_remap_pending.map(f64::from))),
    (&contract::GPU_ROW_REMAP_FAILURE.0, |gpu| single(gpu.row_remap_failure.map(f64::from))),
];

/// Every metric about GPUs.
pub(super) fn metrics() -> impl Iterator<Item = &'static Metric> {
    [&contract::GPU_INFO.0, &contract::GPU_LAST_READING.0].into_iter().chain(READ.iter().map(|(metric, _)| *metric))
}

/// Shows the last reading when it is asked for its series.
pub(super) struct GpuCollector {
    descriptions: Vec<Desc>,
    gpus: Arc<Gpus>,
}

impl GpuCollector {
    pub(super) fn new(gpus: Arc<Gpus>) -> Result<Self, prometheus::Error> {
        Ok(Self { descriptions: metrics().map(description).collect::<Result<_, _>>()?, gpus })
    }
}

impl Collector for GpuCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.gpus.last().map(|reading| families(&reading, Instant::now())).unwrap_or_default()
    }
}

/// The families that have a series at this moment.
fn families(reading: &Reading, now: Instant) -> Vec<MetricFamily> {
    let mut families = vec![family(&contract::GPU_LAST_READING, vec![("", unix(reading.at))])];
    if reading.is_fresh(now) {
        let about =
            |gpu: &Gpu| (Vec::from([&gpu.uuid, &gpu.device, &gpu.name, &reading.driver].map(String::clone)), 1.0);
        let there: Vec<_> = reading.gpus.iter().filter(|gpu| !gpu.is_lost).map(about).collect();
        let of = |read: &Read| {
            let series = reading.gpus.iter().flat_map(|gpu| read(gpu).into_iter().map(move |one| (gpu, one)));
            series.map(|(gpu, (label, value))| (vec![gpu.uuid.clone(), label.to_owned()], value)).collect::<Vec<_>>()
        };
        let read = READ.iter().map(|(metric, read)| (*metric, of(read)));
        let all = [(&contract::GPU_INFO.0, there)].into_iter().chain(read);
        families.extend(all.filter(|(_, series)| !series.is_empty()).map(|(metric, series)| labelled(metric, series)));
    }
    families
}

fn whole(number: Option<u64>) -> Option<f64> {
    number.map(|number| number as f64)
}

fn single(value: Option<f64>) -> Vec<(&'static str, f64)> {
    those([("", value)])
}

fn those<const N: usize>(values: [(&'static str, Option<f64>); N]) -> Vec<(&'static str, f64)> {
    values.into_iter().filter_map(|(label, value)| Some((label, value?))).collect()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use prometheus::{Encoder, TextEncoder};

    use super::*;
    use crate::gpu::STALE_AFTER;

    fn reading(gpus: Vec<Gpu>) -> Reading {
        let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(7);
        Reading { began: Instant::now(), at, driver: "550.54.15".to_owned(), holds_model: true, gpus }
    }

    fn samples(reading: &Reading, now: Instant) -> Vec<String> {
        let mut text = vec![];
        TextEncoder::new().encode(&families(reading, now), &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    }

    #[test]
    fn a_gpu_that_supports_nothing_is_there_and_has_no_numbers() {
        let gpu = Gpu { uuid: "GPU-a".into(), device: "cuda:0".into(), name: "NVIDIA L4".into(), ..Gpu::default() };
        let reading = reading(vec![gpu]);
        assert_eq!(
            samples(&reading, reading.began),
            [
                "inference_gpu_last_reading_timestamp_seconds 7",
                r#"inference_gpu_info{gpu="GPU-a",device="cuda:0",name="NVIDIA L4",driver="550.54.15"} 1"#,
                r#"inference_gpu_lost{gpu="GPU-a"} 0"#,
            ]
        );
    }

    #[test]
    fn a_lost_gpu_says_so_and_keeps_its_xids() {
        let gpu = Gpu { uuid: "GPU-a".into(), is_lost: true, xids: Some(1), last_xid: Some(79), ..Gpu::default() };
        let reading = reading(vec![gpu]);
        assert_eq!(
            samples(&reading, reading.began)[1..],
            [
                r#"inference_gpu_lost{gpu="GPU-a"} 1"#,
                r#"inference_gpu_xid_errors_total{gpu="GPU-a"} 1"#,
                r#"inference_gpu_last_xid{gpu="GPU-a"} 79"#,
            ]
        );
    }

    #[test]
    fn eight_gpus_cost_a_scrape_less_than_two_milliseconds() {
        let everything = |number: usize| Gpu {
            uuid: format!("GPU-{number}"),
            utilization: Some(0.5),
            memory_used: Some(1),
            memory_total: Some(2),
            temperature: Some(60.0),
            power: Some(300.0),
            sm_clock: Some(1e9),
            memory_clock: Some(1e9),
            throttled: Some(contract::GPU_THROTTLE_REASONS.iter().map(|reason| (*reason, false)).collect()),
            ecc_corrected: Some(0),
            ecc_uncorrected: Some(0),
            xids: Some(0),
            last_xid: Some(13),
            row_remap_pending: Some(false),
            row_remap_failure: Some(false),
            ..Gpu::default()
        };
        let reading = reading((0..8).map(everything).collect());
        // The quickest of some: other tests use the same cores.
        let quickest = (0..20).map(|_| {
            let began = Instant::now();
            assert_eq!(samples(&reading, reading.began).len(), 1 + 8 * 22);
            began.elapsed()
        });
        let quickest = quickest.min().unwrap();
        assert!(quickest < std::time::Duration::from_millis(2), "{quickest:?}");
    }

    #[test]
    fn an_old_reading_has_only_its_time() {
        let gpu = Gpu { uuid: "GPU-a".into(), utilization: Some(0.0), ..Gpu::default() };
        let reading = reading(vec![gpu]);
        assert_eq!(samples(&reading, reading.began).len(), 4, "a GPU at rest has a 0");
        let old = samples(&reading, reading.began + STALE_AFTER);
        assert_eq!(old, ["inference_gpu_last_reading_timestamp_seconds 7"]);
    }
}
