//! The lock of the cluster: most tests share the cluster, and a test that changes it for all holds it alone.
//!
//! The lock is a file, so that it holds between the programs of the tests too, in any order. The kernel frees it when a
//! process ends.

use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::{secs, wait};

/// Bound of the wait for other tests: longer than a whole run of them.
const LIMIT: Duration = secs(3600);

/// How a test uses the cluster.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Use {
    /// Beside other tests.
    Shared,
    /// Without any other test.
    Alone,
}

/// Waits until the cluster is free for that use. The file that is returned holds the lock until it is dropped.
pub(crate) async fn lock(state: &Path, how: Use) -> Result<File> {
    fs::create_dir_all(state)?;
    let file = File::options().create(true).append(true).open(state.join("tests.lock"))?;
    wait::until("the cluster is free for this test", LIMIT, async || try_lock(&file, how)).await?;
    Ok(file)
}

fn try_lock(file: &File, how: Use) -> Result<()> {
    let locked = match how {
        Use::Shared => file.try_lock_shared(),
        Use::Alone => file.try_lock(),
    };
    match locked {
        Err(TryLockError::WouldBlock) => bail!("other tests use it"),
        Err(TryLockError::Error(error)) => Err(error.into()),
        Ok(()) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_share_the_cluster_and_one_that_needs_it_alone_waits_for_them() {
        let path = std::env::temp_dir().join(format!("belfry-e2e-lock-{}", std::process::id()));
        let open = || File::options().create(true).append(true).open(&path).unwrap();
        let (first, second, alone) = (open(), open(), open());
        try_lock(&first, Use::Shared).unwrap();
        try_lock(&second, Use::Shared).unwrap();
        try_lock(&alone, Use::Alone).unwrap_err();
        drop((first, second));
        try_lock(&alone, Use::Alone).unwrap();
        try_lock(&open(), Use::Shared).unwrap_err();
        fs::remove_file(&path).unwrap();
    }
}
