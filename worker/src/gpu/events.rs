//! Xids: errors that the driver reports as events. Waiting for them is the pause between two readings.

use std::thread;
use std::time::{Duration, Instant};

use nvml_wrapper::bitmasks::event::EventTypes;
use nvml_wrapper::enums::event::XidError;
use nvml_wrapper::struct_wrappers::event::EventData;
use nvml_wrapper::{EventSet, Nvml};

use super::reader::Seen;

/// Pause after a wait that ended early: a lost GPU, or a driver that does not wait, would else take a whole core.
const PAUSE: Duration = Duration::from_millis(50);

/// What NVML calls an Xid that it does not know.
const UNKNOWN_XID: u64 = 999;

/// The events of the GPUs.
pub(super) struct Events(Option<EventSet<'static>>);

impl Events {
    /// Begins to listen to every GPU that has such events, and counts from 0 there.
    pub(super) fn listen(nvml: &'static Nvml, seen: &mut [Seen]) -> Self {
        let has_xids = |seen: &Seen| {
            seen.device.supported_event_types().is_ok_and(|types| types.contains(EventTypes::CRITICAL_XID_ERROR))
        };
        let mut able: Vec<usize> = (0..seen.len()).filter(|place| has_xids(&seen[*place])).collect();
        while !able.is_empty() {
            match register(nvml, seen, &able) {
                Ok(set) => {
                    able.into_iter().for_each(|place| seen[place].xids = Some(0));
                    return Self(Some(set));
                }
                // The wrapper frees the set with the refusal of one GPU, so the others begin anew.
                Err(Some(refused)) => {
                    able.remove(refused);
                }
                Err(None) => break,
            }
        }
        Self(None)
    }

    /// Counts Xids until this moment.
    pub(super) fn wait(&self, seen: &mut [Seen], end: Instant) {
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let Some(set) = &self.0 else { return thread::sleep(left) };
            match set.wait((left.as_millis() as u32).max(1)) {
                Ok(event) => note(seen, &event),
                Err(_) => thread::sleep(PAUSE.min(end.saturating_duration_since(Instant::now()))),
            }
        }
    }
}

/// A set with the events of these GPUs, or the place in the list of the one that refused.
fn register(nvml: &'static Nvml, seen: &[Seen], able: &[usize]) -> Result<EventSet<'static>, Option<usize>> {
    let mut set = nvml.create_event_set().map_err(|_| None)?;
    for (at, place) in able.iter().enumerate() {
        set = seen[*place].device.register_events(EventTypes::CRITICAL_XID_ERROR, set).map_err(|_| Some(at))?;
    }
    Ok(set)
}

fn note(seen: &mut [Seen], event: &EventData<'_>) {
    let Some(xid) = &event.event_data else { return };
    let xid = match xid {
        XidError::Value(value) => *value,
        XidError::Unknown => UNKNOWN_XID,
    };
    let uuid = event.device.uuid().ok();
    let only_one = seen.len() == 1;
    // A GPU that fell off the bus may not say which it is.
    let found = seen.iter_mut().find(|gpu| uuid.as_ref().map_or(only_one, |uuid| *uuid == gpu.uuid));
    tracing::warn!(
        xid,
        gpu = found.as_ref().map(|gpu| gpu.uuid.as_str()),
        "The driver reports an error of a GPU (Xid)"
    );
    if let Some(gpu) = found {
        gpu.xids = gpu.xids.map(|count| count.saturating_add(1));
        gpu.last_xid = Some(xid);
    }
}
