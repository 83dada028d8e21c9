//! The thread that reads GPUs. Only this file and `events` name NVML. A call may never return: nothing but this thread waits for one.

use std::ffi::OsStr;
use std::time::{Duration, Instant, SystemTime};

use nvml_wrapper::bitmasks::device::ThrottleReasons as Reasons;
use nvml_wrapper::enum_wrappers::device::{Clock, EccCounter, MemoryError, TemperatureSensor};
use nvml_wrapper::enums::device::SampleValue;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::structs::device::FieldId;
use nvml_wrapper::sys_exports::field_id::{NVML_FI_DEV_REMAPPED_FAILURE, NVML_FI_DEV_REMAPPED_PENDING};
use nvml_wrapper::{Device, Nvml};

use super::events::Events;
use super::visible::Visible;
use super::{Gpu, Gpus, READ_EVERY, Reading, short_name};

/// Shortest time between the end of one reading and the begin of the next.
const LEAST_PAUSE: Duration = Duration::from_millis(200);

/// A GPU that CUDA shows to this process.
pub(super) struct Seen {
    pub(super) device: Device<'static>,
    pub(super) uuid: String,
    name: String,
    /// Its address on the bus.
    address: String,
    /// Such as `cuda:0`.
    cuda: String,
    is_lost: bool,
    /// Xids since the worker began to listen; `None` where it can't.
    pub(super) xids: Option<u64>,
    pub(super) last_xid: Option<u64>,
}

/// The driver says that the GPU fell off the bus.
struct Lost;

/// Reads GPUs for as long as the process runs; returns if there is none to read.
pub(super) fn run(gpus: &Gpus, library: &OsStr, visible: (&Visible, bool), holds_model: bool) {
    let nvml = match Nvml::builder().lib_path(library).init() {
        // Never dropped: the wrapper panics there in a library that is not whole.
        Ok(nvml) => &*Box::leak(Box::new(nvml)),
        Err(error) => {
            tracing::info!(library = %library.display(), %error, "GPUs are not measured");
            return;
        }
    };
    let driver = nvml.sys_driver_version().unwrap_or_default();
    let mut seen = chosen(all(nvml), visible);
    tracing::debug!(driver, gpus = ?seen.iter().map(|seen| &seen.uuid).collect::<Vec<_>>(), "GPUs are measured");
    let Some(first) = seen.first() else { return };
    if holds_model && first.cuda == cuda(0) {
        belfry_logs::always("gpu_type", &short_name(&first.name));
    }
    let events = Events::listen(nvml, &mut seen);
    loop {
        let (began, at) = (Instant::now(), SystemTime::now());
        let answers = seen.iter_mut().map(read).collect();
        gpus.publish(Reading { began, at, driver: driver.clone(), holds_model, gpus: answers });
        // A driver that is slower than that is not asked without a pause.
        events.wait(&mut seen, (began + READ_EVERY).max(Instant::now() + LEAST_PAUSE));
    }
}

/// Every GPU that the driver shows, by its address on the bus: the order that `CUDA_DEVICE_ORDER=PCI_BUS_ID` numbers them in.
fn all(nvml: &'static Nvml) -> Vec<Seen> {
    let one = |index| -> Result<Seen, NvmlError> {
        let device = nvml.device_by_index(index)?;
        Ok(Seen {
            uuid: device.uuid()?,
            name: device.name()?,
            address: device.pci_info()?.bus_id,
            device,
            cuda: String::new(),
            is_lost: false,
            xids: None,
            last_xid: None,
        })
    };
    let mut seen = vec![];
    for index in 0..nvml.device_count().unwrap_or_default() {
        match one(index) {
            Ok(gpu) => seen.push(gpu),
            // One of another container, mostly. CUDA does not show it either.
            Err(error) => tracing::debug!(index, %error, "A GPU can't be read"),
        }
    }
    seen.sort_by(|a, b| a.address.cmp(&b.address));
    seen
}

/// Those that CUDA shows to this process, in its order.
fn chosen(all: Vec<Seen>, (visible, order_is_known): (&Visible, bool)) -> Vec<Seen> {
    let is_mixed = all.iter().any(|gpu| gpu.name != all[0].name);
    if is_mixed && !order_is_known && visible.goes_by_number() {
        // By default CUDA numbers the fastest first, by a rule of its own. A guess could measure a GPU of another process.
        tracing::info!(
            "GPUs are not measured: they differ, and CUDA numbers them by their speed; set CUDA_DEVICE_ORDER to PCI_BUS_ID, or name them in CUDA_VISIBLE_DEVICES by their UUIDs"
        );
        return vec![];
    }
    let places = visible.places(&all.iter().map(|gpu| gpu.uuid.as_str()).collect::<Vec<_>>());
    if places.contains(&None) {
        tracing::info!("An instance of a GPU (MIG) is not measured");
    }
    let mut all: Vec<_> = all.into_iter().map(Some).collect();
    let taken = places.into_iter().enumerate().filter_map(|(number, place)| {
        let gpu = all.get_mut(place?)?.take()?;
        Some(Seen { cuda: cuda(number), ..gpu })
    });
    taken.filter(is_whole).collect()
}

/// Whether a GPU is not cut into instances. The numbers of one that is are not those of the instance that this process has.
fn is_whole(gpu: &Seen) -> bool {
    let is_cut = gpu.device.mig_mode().is_ok_and(|mode| mode.current != 0);
    if is_cut {
        tracing::info!(gpu = gpu.uuid, "A GPU that is cut into instances (MIG) is not measured");
    }
    !is_cut
}

/// The name of a GPU by its number for CUDA.
fn cuda(number: usize) -> String {
    format!("cuda:{number}")
}

/// What a GPU says now.
fn read(seen: &mut Seen) -> Gpu {
    let answer = values(&seen.device);
    if answer.is_err() != seen.is_lost {
        seen.is_lost = answer.is_err();
        if seen.is_lost {
            tracing::warn!(gpu = seen.uuid, address = seen.address, "A GPU is lost: it fell off the bus");
        } else {
            tracing::info!(gpu = seen.uuid, "A GPU is there again");
        }
    }
    Gpu {
        uuid: seen.uuid.clone(),
        device: seen.cuda.clone(),
        name: seen.name.clone(),
        is_lost: seen.is_lost,
        xids: seen.xids,
        last_xid: seen.last_xid,
        ..answer.unwrap_or_else(|Lost| Gpu::default())
    }
}

/// What the driver says of a GPU.
fn values(device: &Device<'_>) -> Result<Gpu, Lost> {
    let memory = said(device.memory_info())?;
    let mega = |value: Option<u32>| value.map(|value| f64::from(value) * 1e6);
    let ecc = |kind| said(device.total_ecc_errors(kind, EccCounter::Volatile));
    let [row_remap_pending, row_remap_failure] = row_remaps(device)?;
    Ok(Gpu {
        utilization: said(device.utilization_rates())?.map(|rates| f64::from(rates.gpu) / 100.0),
        // Without what the driver keeps, a full memory would look as if some were left.
        memory_used: memory.as_ref().map(|memory| memory.total.saturating_sub(memory.free)),
        memory_total: memory.map(|memory| memory.total),
        temperature: said(device.temperature(TemperatureSensor::Gpu))?.map(f64::from),
        power: said(device.power_usage())?.map(|milliwatts| f64::from(milliwatts) / 1e3),
        sm_clock: mega(said(device.clock_info(Clock::SM))?),
        memory_clock: mega(said(device.clock_info(Clock::Memory))?),
        throttled: said(device.current_throttle_reasons())?.map(throttled),
        ecc_corrected: ecc(MemoryError::Corrected)?,
        ecc_uncorrected: ecc(MemoryError::Uncorrected)?,
        row_remap_pending,
        row_remap_failure,
        ..Gpu::default()
    })
}

/// What the driver said; `None` where the GPU does not support it, or the driver is too old to know it.
fn said<T>(answer: Result<T, NvmlError>) -> Result<Option<T>, Lost> {
    match answer {
        Err(NvmlError::GpuLost) => Err(Lost),
        other => Ok(other.ok()),
    }
}

/// Whether rows wait to be replaced, and whether one could not be. The wrapper has no call of its own for it.
fn row_remaps(device: &Device<'_>) -> Result<[Option<bool>; 2], Lost> {
    let fields = [NVML_FI_DEV_REMAPPED_PENDING, NVML_FI_DEV_REMAPPED_FAILURE].map(FieldId);
    let mut answers = said(device.field_values_for(&fields))?.unwrap_or_default().into_iter();
    Ok([(); 2].map(|()| match answers.next()?.ok()?.value.ok()? {
        SampleValue::U32(value) => Some(value != 0),
        SampleValue::U64(value) => Some(value != 0),
        SampleValue::I64(_) | SampleValue::F64(_) => None,
    }))
}

/// Each of the contract's reasons, and whether it holds the clocks back.
fn throttled(now: Reasons) -> Vec<(&'static str, bool)> {
    let reasons = [
        ("clocks_setting", Reasons::APPLICATIONS_CLOCKS_SETTING),
        ("software_power_cap", Reasons::SW_POWER_CAP),
        ("hardware_slowdown", Reasons::HW_SLOWDOWN),
        ("sync_boost", Reasons::SYNC_BOOST),
        ("software_thermal", Reasons::SW_THERMAL_SLOWDOWN),
        ("hardware_thermal", Reasons::HW_THERMAL_SLOWDOWN),
        ("hardware_power_brake", Reasons::HW_POWER_BRAKE_SLOWDOWN),
    ];
    reasons.into_iter().map(|(name, reason)| (name, now.contains(reason))).collect()
}

#[cfg(test)]
mod tests {
    use belfry_crds::contract::metrics::GPU_THROTTLE_REASONS;

    use super::*;

    #[test]
    fn reasons_have_the_names_of_the_contract() {
        let names: Vec<_> = throttled(Reasons::empty()).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, GPU_THROTTLE_REASONS);
        let idle = throttled(Reasons::GPU_IDLE);
        assert!(idle.iter().all(|(_, holds)| !holds), "{idle:?}");
        assert!(throttled(Reasons::SW_POWER_CAP).contains(&("software_power_cap", true)));
    }
}
