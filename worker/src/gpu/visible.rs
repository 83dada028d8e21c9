//! Which GPUs CUDA shows to this process, by `CUDA_VISIBLE_DEVICES`. Pure: NVML ignores the variable, so it is read here as CUDA reads it.

/// The GPUs of the variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Visible {
    /// It is not set: every one.
    All,
    /// These, in this order: the first is `cuda:0`.
    Listed(Vec<Entry>),
}

/// One entry of the variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// A number, in the order of CUDA.
    Number(usize),
    /// A UUID, or as much of its beginning as no other GPU has.
    Uuid(String),
    /// An instance of a GPU that is cut into several. NVML has no utilization of one, and its memory is not that of the GPU.
    Instance,
}

impl Visible {
    /// Reads the variable. What stands behind an entry that is none does not count: `-1` alone means no GPU.
    pub(super) fn read(variable: Option<&str>) -> Self {
        let Some(text) = variable else { return Self::All };
        let entry = |text: &str| {
            let text = text.trim();
            if text.starts_with("MIG-") {
                return Some(Entry::Instance);
            }
            if text.starts_with("GPU-") {
                return Some(Entry::Uuid(text.to_owned()));
            }
            text.parse().ok().map(Entry::Number)
        };
        Self::Listed(text.split(',').map_while(entry).collect())
    }

    /// Whether a number in the order of CUDA decides what is shown.
    pub(super) fn goes_by_number(&self) -> bool {
        match self {
            Self::All => true,
            Self::Listed(entries) => entries.iter().any(|entry| matches!(entry, Entry::Number(_))),
        }
    }

    /// The places of the visible GPUs in a list of all UUIDs: the first is that of `cuda:0`. An instance has no place. A GPU that is not
    /// there, or that is named twice, ends the list, as in CUDA.
    pub(super) fn places(&self, uuids: &[&str]) -> Vec<Option<usize>> {
        let entries = match self {
            Self::All => return (0..uuids.len()).map(Some).collect(),
            Self::Listed(entries) => entries,
        };
        let mut places: Vec<Option<usize>> = vec![];
        for entry in entries {
            let place = match entry {
                Entry::Instance => {
                    places.push(None);
                    continue;
                }
                Entry::Number(number) => Some(*number).filter(|number| *number < uuids.len()),
                Entry::Uuid(begin) => only(uuids, begin),
            };
            if place.is_none() || places.contains(&place) {
                break;
            }
            places.push(place);
        }
        places
    }
}

/// The only UUID that begins so.
fn only(uuids: &[&str], begin: &str) -> Option<usize> {
    let mut found = uuids.iter().enumerate().filter(|(_, uuid)| uuid.starts_with(begin));
    let (place, _) = found.next()?;
    found.next().is_none().then_some(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUIDS: &[&str] = &["GPU-aa01", "GPU-bb02", "GPU-bb03"];

    fn places(variable: Option<&str>) -> Vec<Option<usize>> {
        Visible::read(variable).places(UUIDS)
    }

    #[test]
    fn without_the_variable_every_gpu_is_visible() {
        assert_eq!(places(None), [Some(0), Some(1), Some(2)]);
    }

    #[test]
    fn numbers_and_uuids_choose_and_order() {
        assert_eq!(places(Some("2,0")), [Some(2), Some(0)]);
        assert_eq!(places(Some(" 1 , GPU-aa01")), [Some(1), Some(0)]);
        assert_eq!(places(Some("GPU-aa")), [Some(0)], "the beginning of a UUID is enough");
    }

    #[test]
    fn what_is_not_there_ends_the_list() {
        for nothing in ["", "-1", "NoDevFiles", "3", "GPU-cc", "GPU-bb", "x,0"] {
            assert_eq!(places(Some(nothing)), [], "{nothing:?}");
        }
        assert_eq!(places(Some("1,-1,0")), [Some(1)]);
        assert_eq!(places(Some("1,7,0")), [Some(1)]);
        assert_eq!(places(Some("1,1,0")), [Some(1)]);
    }

    #[test]
    fn an_instance_keeps_its_number_and_is_not_read() {
        assert_eq!(places(Some("MIG-1234,GPU-aa01")), [None, Some(0)]);
    }

    #[test]
    fn only_numbers_depend_on_the_order_of_cuda() {
        let by_number = |variable| Visible::read(variable).goes_by_number();
        assert!(by_number(None) && by_number(Some("0")) && by_number(Some("GPU-aa01,1")));
        assert!(!by_number(Some("GPU-aa01")) && !by_number(Some("MIG-1234")) && !by_number(Some("-1")));
    }
}
