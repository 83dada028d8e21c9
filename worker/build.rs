//! Gives the folder of libtorch to the linker and to cargo.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    // An installed worker has its libraries beside it, as bin/ and lib/. RUNPATH, not RPATH: LD_LIBRARY_PATH wins over
    // it, so a host with its own libtorch and CUDA can point there.
    println!("cargo:rustc-link-arg-bins=-Wl,-rpath,$ORIGIN/../lib,--enable-new-dtags");
    let Some(libtorch) = env::var_os("LIBTORCH").map(PathBuf::from) else { return Ok(()) };
    // `cargo run` and `cargo test` set LD_LIBRARY_PATH to the search folders that lie inside the target folder, and to
    // no others. A link in OUT_DIR is such a folder, so users need not set the variable, and no path of this machine
    // gets into the binary.
    let link = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("libtorch");
    relink(&libtorch.join("lib"), &link)?;
    println!("cargo:rustc-link-search=native={}", link.display());
    Ok(())
}

fn relink(target: &Path, link: &Path) -> io::Result<()> {
    match fs::remove_file(link) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => std::os::unix::fs::symlink(target, link),
    }
}
