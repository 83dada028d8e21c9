//! Programs that tests run beside the code.

use std::path::PathBuf;

/// Where a program is: at `BELFRY_` and its name in capitals, else where the Makefile builds it. A test that needs one fails
/// without it, because a test that checks nothing would look like one that passes.
pub(crate) fn program(name: &str) -> PathBuf {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let chosen = format!("BELFRY_{}", name.to_uppercase());
    let cache = || {
        variable("BELFRY_CACHE")
            .or_else(|| variable("XDG_CACHE_HOME").map(|cache| cache.join("belfry")))
            .or_else(|| variable("HOME").map(|home| home.join(".cache/belfry")))
            .expect("HOME, XDG_CACHE_HOME or BELFRY_CACHE is set")
    };
    let program = variable(&chosen).unwrap_or_else(|| cache().join("tools/bin").join(name));
    assert!(
        program.is_file(),
        "{name} is not at {}: build it with e2e/tools/build.sh, or set {chosen}",
        program.display()
    );
    program
}
