//! What the binary says about GPUs, read through a library that stands in for the driver's.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use belfry_crds::contract::status::{STATUS_PATH, Snapshot};
use serde_json::Value;

use super::*;

/// The library, built once for all tests of this process.
static BUILT: LazyLock<PathBuf> = LazyLock::new(|| {
    let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join("nvml.so");
    build(Path::new("tests/process/nvml.c"), &library);
    library
});

fn build(source: &Path, library: &Path) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]).arg(library).arg(source);
    assert!(compiler.status().unwrap().success());
}

/// An L4 that supports everything.
const L4: &[(&str, &str)] = &[
    ("uuid", "GPU-aaaa"),
    ("name", "NVIDIA L4"),
    ("address", "00000000:3B:00.0"),
    ("utilization", "45"),
    ("memory_total", "24000000000"),
    ("memory_free", "15000000000"),
    ("temperature", "61"),
    ("power", "71500"),
    ("sm_clock", "2040"),
    ("memory_clock", "6251"),
    // A power cap (4) and the hardware's thermal slowdown (0x40), while it is idle (1).
    ("throttle", "69"),
    ("ecc_corrected", "3"),
    ("ecc_uncorrected", "1"),
    ("remap_pending", "1"),
    ("remap_failure", "0"),
    ("events", "8"),
];

/// One that supports nothing.
const OLD: &[(&str, &str)] = &[("uuid", "GPU-bbbb"), ("name", "NVIDIA L4"), ("address", "00000000:5E:00.0")];

/// An L4 with other values in these places.
fn like_l4(changes: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    let value = |key: &str| changes.iter().find(|(changed, _)| *changed == key).map(|(_, value)| *value);
    L4.iter().map(|(key, before)| (*key, value(key).unwrap_or(before))).collect()
}

/// A driver with GPUs, whose answers a test can change.
struct Driver {
    folder: TempDir,
    lines: BTreeMap<String, String>,
}

impl Driver {
    fn with(gpus: &[&[(&str, &str)]]) -> Self {
        let mut driver = Self { folder: TempDir::new().unwrap(), lines: BTreeMap::new() };
        for (index, gpu) in gpus.iter().enumerate() {
            driver.lines.extend(gpu.iter().map(|(key, value)| (format!("{index}.{key}"), (*value).to_owned())));
        }
        driver.set("driver", "550.54.15");
        driver.set("count", &gpus.len().to_string());
        driver
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("answers")
    }

    fn set(&mut self, key: &str, value: &str) {
        self.lines.insert(key.to_owned(), value.to_owned());
        self.write();
    }

    fn unset(&mut self, key: &str) {
        self.lines.remove(key);
        self.write();
    }

    /// At once, so that no call sees half of it.
    fn write(&self) {
        let text: String = self.lines.iter().map(|(key, value)| format!("{key} {value}\n")).collect();
        let new = self.folder.path().join("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.path()).unwrap();
    }

    /// A worker that measures these GPUs, with variables of its own.
    fn worker(&self, variables: &[(&str, &str)]) -> Worker {
        let (model, answers) = (tiny_model(), self.path());
        let all = [("CUDA_VISIBLE_DEVICES", "0,1,2,3"), ("FAKE_NVML", answers.to_str().unwrap())];
        let flags = ["--model", model.path().to_str().unwrap(), "--nvml-library", BUILT.to_str().unwrap()];
        let worker = Worker::spawn_in(&[&all[..], variables].concat(), &[&flags[..], JSON].concat(), Stdio::piped());
        worker.ready();
        worker
    }
}

const JSON: &[&str] = &["--json-logs", "--drain-delay-seconds", "0"];

/// The series about GPUs, with their values.
fn series(worker: &Worker) -> BTreeMap<String, f64> {
    let (status, text) = request(worker.address, "GET /metrics", "").unwrap();
    assert_eq!(status, 200);
    let lines = text.lines().filter(|line| line.starts_with("inference_gpu_"));
    lines
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
        .collect()
}

/// Without the time of the reading.
fn values(worker: &Worker) -> BTreeMap<String, f64> {
    let mut series = series(worker);
    series.remove(TIME);
    series
}

const TIME: &str = "inference_gpu_last_reading_timestamp_seconds";

fn uuids(worker: &Worker) -> Vec<String> {
    let infos = series(worker).into_keys().filter(|name| name.starts_with("inference_gpu_info{"));
    infos.map(|info| info.split('"').nth(1).unwrap().to_owned()).collect()
}

/// The log of a worker that ends now.
fn ended(mut worker: Worker) -> Vec<Value> {
    worker.signal("TERM");
    assert_eq!(worker.end().0.code(), Some(0));
    let mut text = String::new();
    worker.child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn what_the_driver_says_of_a_gpu_is_in_the_metrics() {
    let driver = Driver::with(&[L4]);
    let worker = driver.worker(&[]);
    let found = eventually("the GPU is read", || Some(values(&worker)).filter(|values| !values.is_empty()));
    let throttled = |reason: &str| format!(r#"inference_gpu_throttled{{gpu="GPU-aaaa",reason="{reason}"}}"#);
    let of = |name: &str| format!(r#"inference_gpu_{name}{{gpu="GPU-aaaa"}}"#);
    let with = |name: &str, label: &str| format!(r#"inference_gpu_{name}{{gpu="GPU-aaaa",{label}}}"#);
    let expected = BTreeMap::from([
        (with("info", r#"device="cuda:0",name="NVIDIA L4",driver="550.54.15""#), 1.0),
        (of("lost"), 0.0),
        (of("utilization_ratio"), 0.45),
        (of("memory_used_bytes"), 9e9),
        (of("memory_total_bytes"), 24e9),
        (of("temperature_celsius"), 61.0),
        (of("power_watts"), 71.5),
        (with("clock_hertz", r#"clock="sm""#), 2.04e9),
        (with("clock_hertz", r#"clock="memory""#), 6.251e9),
        (with("ecc_errors_total", r#"type="corrected""#), 3.0),
        (with("ecc_errors_total", r#"type="uncorrected""#), 1.0),
        (of("xid_errors_total"), 0.0),
        (of("row_remap_pending"), 1.0),
        (of("row_remap_failure"), 0.0),
        (throttled("clocks_setting"), 0.0),
        (throttled("software_power_cap"), 1.0),
        (throttled("hardware_slowdown"), 0.0),
        (throttled("sync_boost"), 0.0),
        (throttled("software_thermal"), 0.0),
        (throttled("hardware_thermal"), 1.0),
        (throttled("hardware_power_brake"), 0.0),
    ]);
    assert_eq!(found, expected);
    // The model runs on the CPU, and the status and the log are about its device.
    let (_, status) = request(worker.address, &format!("GET {STATUS_PATH}"), "").unwrap();
    let status: Snapshot = serde_json::from_str(&status).unwrap();
    assert_eq!((status.gpu, status.gpus), (None, vec![]));
    assert!(status.gauges.contains_key("inference_gpu_power_watts"));
    assert!(ended(worker).iter().all(|line| line.get("gpu_type").is_none()));
}

#[test]
fn what_a_gpu_does_not_support_is_absent_and_a_change_is_seen() {
    let mut driver = Driver::with(&[L4, OLD]);
    let worker = driver.worker(&[]);
    let of_old = || series(&worker).into_keys().filter(|name| name.contains("GPU-bbbb")).collect::<Vec<_>>();
    eventually("both are read", || (uuids(&worker) == ["GPU-aaaa", "GPU-bbbb"]).then_some(()));
    assert_eq!(of_old().len(), 2, "its name, and that it is there: {:?}", of_old());
    driver.set("1.temperature", "0");
    driver.unset("0.power");
    eventually("0 degrees are a number", || (of_old().len() == 3).then_some(()));
    eventually("no power is none", || {
        (!series(&worker).contains_key(r#"inference_gpu_power_watts{gpu="GPU-aaaa"}"#)).then_some(())
    });
}

#[test]
fn an_error_that_the_driver_reports_is_counted_for_its_gpu() {
    let second = like_l4(&[("uuid", "GPU-cccc"), ("address", "00000000:4C:00.0")]);
    // The first refuses to listen to errors, and keeps the others from nothing.
    let mut driver = Driver::with(&[&[L4, &[("refuses_events", "1")]].concat(), &second, OLD]);
    // One of before is none of ours.
    driver.set("1.xid", "before 13");
    let worker = driver.worker(&[]);
    let xids = || {
        let named = series(&worker).into_iter().filter(|(name, _)| name.contains("xid"));
        named.map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>()
    };
    let count = |value: u32| format!(r#"inference_gpu_xid_errors_total{{gpu="GPU-cccc"}} {value}"#);
    eventually("it listens", || (xids() == [count(0)]).then_some(()));
    driver.set("1.xid", "first 79");
    let last = |xid: u32| format!(r#"inference_gpu_last_xid{{gpu="GPU-cccc"}} {xid}"#);
    eventually("the error is counted", || (xids() == [last(79), count(1)]).then_some(()));
    driver.set("1.xid", "second 48");
    eventually("the next is counted", || (xids() == [last(48), count(2)]).then_some(()));
    let log = ended(worker);
    let said: Vec<_> =
        log.iter().filter(|line| line["level"] == "WARN").map(|line| (&line["gpu"], &line["xid"])).collect();
    assert_eq!(serde_json::json!(said), serde_json::json!([["GPU-cccc", 79], ["GPU-cccc", 48]]));
}

#[test]
fn a_gpu_that_is_lost_vanishes_but_for_what_explains_it_and_the_others_stay() {
    let second = like_l4(&[("uuid", "GPU-cccc"), ("address", "00000000:4C:00.0")]);
    let mut driver = Driver::with(&[L4, &second]);
    let worker = driver.worker(&[]);
    eventually("both are read", || (uuids(&worker) == ["GPU-aaaa", "GPU-cccc"]).then_some(()));
    driver.set("0.xid", "first 79");
    let count = r#"inference_gpu_xid_errors_total{gpu="GPU-aaaa"}"#;
    eventually("the driver says why", || (series(&worker)[count] > 0.5).then_some(()));
    driver.set("0.lost", "1");
    eventually("one is lost", || (uuids(&worker) == ["GPU-cccc"]).then_some(()));
    let mut left = series(&worker);
    left.retain(|name, _| name.contains("GPU-aaaa"));
    let last = r#"inference_gpu_last_xid{gpu="GPU-aaaa"}"#;
    let expected = [(r#"inference_gpu_lost{gpu="GPU-aaaa"}"#, 1.0), (count, 1.0), (last, 79.0)];
    assert_eq!(left, expected.map(|(name, value)| (name.to_owned(), value)).into());
    driver.unset("0.lost");
    eventually("it is there again", || (uuids(&worker).len() == 2).then_some(()));
    let log = ended(worker);
    let lost = log.iter().filter(|line| line["message"].as_str().unwrap().starts_with("A GPU is lost"));
    let lost: Vec<_> = lost.map(|line| (&line["gpu"], &line["level"])).collect();
    assert_eq!(serde_json::json!(lost), serde_json::json!([["GPU-aaaa", "WARN"]]), "one line when it is lost");
}

#[test]
fn readings_of_a_driver_that_hangs_vanish_while_scrapes_are_quick() {
    let mut driver = Driver::with(&[L4]);
    let worker = driver.worker(&[]);
    eventually("the GPU is read", || (!values(&worker).is_empty()).then_some(()));
    driver.set("hang", "1");
    let (began, mut slowest) = (Instant::now(), Duration::ZERO);
    eventually("the numbers vanish", || {
        let asked = Instant::now();
        let is_empty = values(&worker).is_empty();
        slowest = slowest.max(asked.elapsed());
        is_empty.then_some(())
    });
    assert!(began.elapsed() < Duration::from_secs(13), "{:?}", began.elapsed());
    // A scrape that waits for the driver would wait for ever; this much is a busy machine's.
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    let last = series(&worker)[TIME];
    assert_eq!(post_embed(worker.address, EMBED, "").split(' ').nth(1), Some("200"), "callers notice nothing");
    driver.unset("hang");
    eventually("it is read again", || (!values(&worker).is_empty() && series(&worker)[TIME] > last).then_some(()));
    driver.set("hang", "1");
    ended(worker);
}

#[test]
fn only_gpus_that_cuda_shows_are_read() {
    let second = like_l4(&[("uuid", "GPU-cccc"), ("address", "00000000:4C:00.0")]);
    let third = [OLD, &[("mig", "1")]].concat();
    let driver = Driver::with(&[L4, &second, &third]);
    let check = |variable: &str, expected: &[&str], says: usize| {
        let worker = driver.worker(&[("CUDA_VISIBLE_DEVICES", variable)]);
        if expected.is_empty() {
            assert_eq!(series(&worker), BTreeMap::new(), "{variable}");
        } else {
            eventually("they are read", || (uuids(&worker) == expected).then_some(()));
        }
        let log = ended(worker);
        let about = log.iter().filter(|line| line["message"].as_str().unwrap().contains("(MIG) is not measured"));
        assert_eq!(about.count(), says, "{variable}: {log:?}");
    };
    check("1", &["GPU-cccc"], 0);
    check("GPU-aa", &["GPU-aaaa"], 0);
    check("0,1,2", &["GPU-aaaa", "GPU-cccc"], 1);
    check("MIG-1234,GPU-cccc", &["GPU-cccc"], 1);
    check("-1", &[], 0);
}

#[test]
fn gpus_that_differ_are_read_only_where_their_order_is_known() {
    // Before the other on the bus.
    let second = like_l4(&[("uuid", "GPU-cccc"), ("name", "NVIDIA H100 80GB HBM3"), ("address", "00000000:1B:00.0")]);
    let driver = Driver::with(&[L4, &second]);
    let worker = driver.worker(&[("CUDA_VISIBLE_DEVICES", "0")]);
    let log = ended(worker);
    let said = log.iter().filter(|line| line["message"].as_str().unwrap().contains("CUDA_DEVICE_ORDER"));
    assert_eq!(said.count(), 1, "{log:?}");
    for variables in [
        &[("CUDA_VISIBLE_DEVICES", "0"), ("CUDA_DEVICE_ORDER", "PCI_BUS_ID")][..],
        &[("CUDA_VISIBLE_DEVICES", "GPU-cccc")],
    ] {
        let worker = driver.worker(variables);
        eventually("the first on the bus is read", || (uuids(&worker) == ["GPU-cccc"]).then_some(()));
    }
}

#[test]
fn a_library_that_is_missing_or_broken_is_one_line_and_no_fault() {
    let folder = TempDir::new().unwrap();
    let (text, empty) = (folder.path().join("text.so"), folder.path().join("empty.so"));
    std::fs::write(&text, "no library").unwrap();
    std::fs::write(folder.path().join("empty.c"), "int nothing;\n").unwrap();
    build(&folder.path().join("empty.c"), &empty);
    for library in ["/nowhere/libnvidia-ml.so.1", text.to_str().unwrap(), empty.to_str().unwrap()] {
        let model = tiny_model();
        let flags = ["--model", model.path().to_str().unwrap(), "--nvml-library", library];
        let worker = Worker::spawn(&[&flags[..], JSON].concat(), Stdio::piped());
        worker.ready();
        assert_eq!(post_embed(worker.address, EMBED, "").split(' ').nth(1), Some("200"));
        assert_eq!(series(&worker), BTreeMap::new());
        let log = ended(worker);
        let said: Vec<_> = log.iter().filter(|line| line["message"] == "GPUs are not measured").collect();
        assert_eq!(said.len(), 1, "{log:?}");
        assert_eq!((&said[0]["level"], said[0]["library"].as_str()), (&Value::from("INFO"), Some(library)), "{log:?}");
    }
}
