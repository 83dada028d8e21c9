//! libtorch itself: device, type and threads.

use std::sync::Once;

use belfry_crds::contract::load_failure::{LoadFailure, LoadFailureReason as Reason};
use tch::{Kind, TchError, Tensor};

use crate::args::{Compute, DeviceArg, DtypeArg};
use crate::failure::failure;
use crate::{cpu, native};

/// The version of libtorch that tch's generated code belongs to.
pub const VERSION: &str = "2.11.0";

/// Memory of a loaded worker beside its weights: libtorch, one batch's activations, and some air.
const OVERHEAD_BYTES: u64 = 256 << 20;

/// Where a model runs, and in which type.
#[derive(Clone, Copy, Debug)]
pub struct Device {
    device: tch::Device,
    kind: Kind,
}

impl Device {
    /// Chooses device and type. Must come before anything else asks libtorch about CUDA: the first question, asked
    /// without `libtorch_cuda.so`, turns CUDA off for the whole process.
    pub fn choose(compute: &Compute) -> Result<Self, LoadFailure> {
        let device = match compute.device {
            DeviceArg::Cpu => tch::Device::Cpu,
            DeviceArg::Cuda => cuda()?,
        };
        let kind = match compute.dtype {
            DtypeArg::Bfloat16 => Kind::BFloat16,
            DtypeArg::Float16 => Kind::Half,
            // Without instructions for it, bfloat16 is emulated and slower than float32.
            DtypeArg::Auto if device.is_cuda() || cpu::multiplies_bfloat16() => Kind::BFloat16,
            DtypeArg::Auto | DtypeArg::Float32 => Kind::Float,
        };
        Ok(Self { device, kind })
    }

    /// `cpu` or `cuda`, as the label `device` has it.
    pub fn name(&self) -> &'static str {
        if self.device.is_cuda() { "cuda" } else { "cpu" }
    }

    /// The type of weights and activations, by the name that `--dtype` has for it.
    pub fn dtype_name(&self) -> &'static str {
        match self.kind {
            Kind::BFloat16 => "bfloat16",
            Kind::Half => "float16",
            _ => "float32",
        }
    }

    /// A tensor of the device's type on the device, from bytes in a file's type.
    pub fn tensor(&self, bytes: &[u8], shape: &[i64], kind: Kind) -> Result<Tensor, TchError> {
        Tensor::f_from_data_size(bytes, shape, kind)?.f_to_kind(self.kind)?.f_to_device(self.device)
    }

    /// Whether weights of this size fit into the container, before the kernel finds out that they do not.
    pub fn fits(&self, file_bytes: u64) -> Result<(), String> {
        let Some(limit) = cpu::memory_limit().filter(|_| !self.device.is_cuda()) else { return Ok(()) };
        let needed = file_bytes.saturating_add(OVERHEAD_BYTES);
        if needed <= limit {
            return Ok(());
        }
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        Err(format!("needs about {} MiB and the container has {} MiB; raise its memory limit", mib(needed), mib(limit)))
    }
}

/// Opens `libtorch_cuda.so`, which registers CUDA with the libtorch that is linked.
fn cuda() -> Result<tch::Device, LoadFailure> {
    let unavailable = |why: &str| failure(Reason::DeviceUnavailable, format!("--device cuda: {why}"));
    if !std::path::Path::new("/dev/nvidiactl").exists() {
        return Err(unavailable(
            "this machine has no NVIDIA device node; ask for a GPU in the pod's resources, or choose cpu",
        ));
    }
    native::open_library(c"libtorch_cuda.so").map_err(|error| {
        unavailable(&format!("libtorch_cuda.so cannot be opened: {error}; use the worker's CUDA image"))
    })?;
    if tch::Cuda::is_available() {
        return Ok(tch::Device::Cuda(0));
    }
    Err(unavailable("libtorch sees no GPU; check the driver on the node"))
}

/// libtorch's errors carry a stack trace of C++ after the first line.
pub fn one_line(error: &TchError) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

/// Prepares the calling thread to own tensors. Thread counts and gradient mode are per thread.
#[must_use]
pub fn own_this_thread(threads: usize) -> tch::NoGradGuard {
    // libtorch takes this once in the life of a process.
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tch::set_num_interop_threads(1));
    tch::set_num_threads(i32::try_from(threads).unwrap_or(i32::MAX));
    tch::no_grad_guard()
}
