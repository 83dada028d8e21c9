//! libtorch itself: device, type and threads.

use std::sync::Once;

use belfry_crds::contract::load_failure::{LoadFailure, LoadFailureReason as Reason};
use tch::{Kind, TchError, Tensor};

use crate::args::{Compute, DeviceArg, DtypeArg};
use crate::failure::failure;
use crate::{container, cpu, native};

/// The version of libtorch that tch's generated code belongs to.
pub const VERSION: &str = "2.11.0";

/// Memory of a loaded worker in addition to its weights: libtorch, one batch's activations, and some headroom.
const OVERHEAD_BYTES: u64 = 256 << 20;

/// The device of a model, and its data type.
#[derive(Clone, Copy, Debug)]
pub struct Device {
    device: tch::Device,
    kind: Kind,
}

impl Device {
    /// Chooses device and type. Must run before any other code asks libtorch about CUDA: a first query without
    /// `libtorch_cuda.so` disables CUDA for the whole process.
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

    /// `cpu` or `cuda`, the value of the label `device`.
    pub fn name(&self) -> &'static str {
        if self.device.is_cuda() { "cuda" } else { "cpu" }
    }

    /// The type of weights and activations, by its name in `--dtype`.
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

    /// Bytes of a number on the device.
    pub fn element_size(&self) -> usize {
        self.kind.elt_size_in_bytes()
    }

    /// Checks that weights of this size fit into the container. Otherwise the kernel would kill the process later.
    pub fn fits(&self, bytes: u64) -> Result<(), String> {
        let Some(limit) = container::limit().filter(|_| !self.device.is_cuda()) else { return Ok(()) };
        let needed = bytes.saturating_add(OVERHEAD_BYTES);
        if needed <= limit {
            return Ok(());
        }
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        Err(format!(
            "as {} it needs about {} MiB and the container has {} MiB; raise its memory limit, or choose a smaller dtype",
            self.dtype_name(),
            mib(needed),
            mib(limit)
        ))
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
    // libtorch accepts this call once per process.
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tch::set_num_interop_threads(1));
    tch::set_num_threads(i32::try_from(threads).unwrap_or(i32::MAX));
    tch::no_grad_guard()
}
