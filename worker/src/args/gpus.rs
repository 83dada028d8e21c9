//! How GPUs are measured.

use std::ffi::OsString;

use belfry_crds::contract::env;

use super::DeviceArg;

/// What the driver's library is called on Linux.
const LIBRARY: &str = "libnvidia-ml.so.1";

/// How GPUs are measured.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct GpuArgs {
    /// Library of the NVIDIA driver that GPUs are measured with; empty measures none. By default libnvidia-ml.so.1 with --device cuda, and
    /// none without
    #[arg(long, env = env::NVML_LIBRARY, value_name = "FILE")]
    pub nvml_library: Option<OsString>,
}

impl GpuArgs {
    /// The library to measure with, by its path or by a name for the loader; `None` measures no GPU.
    pub fn library(&self, device: DeviceArg) -> Option<OsString> {
        let by_device = || (device == DeviceArg::Cuda).then(|| LIBRARY.into());
        self.nvml_library.clone().or_else(by_device).filter(|library| !library.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpus_are_measured_on_cuda_or_by_choice() {
        let of = |library: Option<&str>, device| GpuArgs { nvml_library: library.map(Into::into) }.library(device);
        assert_eq!(of(None, DeviceArg::Cpu), None, "a pod may see GPUs that its model does not use");
        assert_eq!(of(None, DeviceArg::Cuda), Some(LIBRARY.into()));
        assert_eq!(of(Some(""), DeviceArg::Cuda), None);
        assert_eq!(
            of(Some("/usr/local/nvidia/lib64/x.so"), DeviceArg::Cpu),
            Some("/usr/local/nvidia/lib64/x.so".into())
        );
    }
}
