//! Waiting for something to become true, or to stay true, within a bound.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Time between two looks.
const PAUSE: Duration = Duration::from_millis(300);

/// Looks until the probe gives a value. Its error says what it saw instead, and the last one is
/// part of the error after `limit`.
pub async fn until<T>(what: &str, limit: Duration, mut probe: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    let begun = Instant::now();
    loop {
        let last = match probe().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        if begun.elapsed() >= limit {
            bail!("{what}: not within {} s; last seen: {last:#}", limit.as_secs());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Looks for a whole `period`; the first error of the probe ends it.
pub async fn holds(what: &str, period: Duration, mut probe: impl AsyncFnMut() -> Result<()>) -> Result<()> {
    let begun = Instant::now();
    loop {
        probe().await.with_context(|| format!("{what}: no more after {} s", begun.elapsed().as_secs()))?;
        if begun.elapsed() >= period {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::ensure;

    #[tokio::test]
    async fn the_first_value_ends_the_wait() {
        let mut looks = 0;
        let seen = until("three looks", Duration::from_secs(5), async || {
            looks += 1;
            ensure!(looks == 3, "{looks} looks");
            Ok(looks)
        });
        assert_eq!(seen.await.unwrap(), 3);
    }

    #[tokio::test]
    async fn a_wait_that_ends_in_vain_says_what_it_saw_last() {
        let error = until("a pod", Duration::ZERO, async || bail!("phase Pending") as Result<()>).await.unwrap_err();
        assert_eq!(error.to_string(), "a pod: not within 0 s; last seen: phase Pending");
    }

    #[tokio::test]
    async fn an_error_names_what_stopped_being_true_and_its_cause() {
        let error = holds("silence", Duration::from_secs(5), async || bail!("a patch")).await.unwrap_err();
        assert_eq!(format!("{error:#}"), "silence: no more after 0 s: a patch");
    }
}
