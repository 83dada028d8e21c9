//! The only file with unsafe code: two calls into the C library that Rust has no safe form of.
#![allow(unsafe_code, reason = "dlopen and _exit have no safe form")]

use std::ffi::CStr;

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

/// Ends the process without running C++ destructors: a lane that is still inside libtorch would crash in them.
pub(crate) fn exit_now(status: i32) -> ! {
    // SAFETY: _exit has no preconditions. Logs are written line by line, so nothing is lost in a buffer.
    unsafe { libc::_exit(status) }
}
