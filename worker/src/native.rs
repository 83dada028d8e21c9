//! The only file with unsafe code: three calls into the C library that Rust has no safe form of.
#![allow(unsafe_code, reason = "dlopen, _exit and clock_gettime have no safe form")]

use std::ffi::CStr;
use std::time::Duration;

/// Loads a shared library for the rest of the process's life, with its symbols visible to all others.
pub(crate) fn open_library(name: &CStr) -> Result<(), String> {
    // SAFETY: the name is a C string; running the library's initialisers is what the caller asks for, and it does so
    // before other threads use libtorch.
    let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
    if !handle.is_null() {
        return Ok(());
    }
    // SAFETY: after a failed dlopen on the same thread, dlerror returns a C string that lives until the next call.
    let error = unsafe { CStr::from_ptr(libc::dlerror()) };
    Err(error.to_string_lossy().into_owned())
}

/// Ends the process without running C++ destructors: a lane that is still inside libtorch would crash in them. Writes first what was
/// logged.
pub(crate) fn exit_now(status: i32) -> ! {
    belfry_logs::end();
    // SAFETY: _exit has no preconditions.
    unsafe { libc::_exit(status) }
}

/// CPU time of all threads of this process, those of libtorch among them; zero if the system does not say.
pub(crate) fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a value of our own, which the call fills.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    if status != 0 {
        return Duration::ZERO;
    }
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
