//! The baseline that texts are compared with: a file, which is read again while the worker runs.
//!
//! A baseline is made of a worker that serves, so its file comes after the worker's start, and a mounted ConfigMap brings it without
//! a restart. A worker never waits for it, and a broken one stops no model: monitoring must not take down what it watches. The
//! series `inference_drift_baseline`, the log and `/v1/quality` say what became of the file.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use belfry_crds::contract::quality::{Captured, MISSING, MOST_BYTES, OTHER_MODEL, UNUSABLE, USED};
use tokio::time::{MissedTickBehavior, interval};

use crate::state::App;

/// Time between two looks at the file.
pub const EVERY: Duration = Duration::from_secs(15);

/// What became of the file.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Baseline {
    /// There is none yet.
    Missing,
    /// It can't be used, and why.
    Unusable(String),
    /// It is of a model with another digest.
    OtherModel(Box<Captured>),
    /// Texts are compared with it.
    Used(Box<Captured>),
}

impl Baseline {
    /// Its state among those of the contract.
    pub(super) const fn state(&self) -> &'static str {
        match self {
            Self::Missing => MISSING,
            Self::Unusable(_) => UNUSABLE,
            Self::OtherModel(_) => OTHER_MODEL,
            Self::Used(_) => USED,
        }
    }

    /// Reads a file for the model with this digest.
    pub(super) fn read(path: &Path, digest: &str) -> Self {
        match bytes(path).map(|bytes| bytes.map(|bytes| Captured::read(&bytes))) {
            Ok(None) => Self::Missing,
            Ok(Some(Ok(captured))) if captured.digest == digest => Self::Used(Box::new(captured)),
            Ok(Some(Ok(captured))) => Self::OtherModel(Box::new(captured)),
            Ok(Some(Err(why))) | Err(why) => Self::Unusable(why),
        }
    }

    /// Says once what became of the file.
    fn say(&self, path: &Path) {
        let path = path.display();
        match self {
            Self::Missing => {
                tracing::warn!(%path, "There is no baseline yet; drift is not measured until the file is there")
            }
            Self::Unusable(why) => {
                tracing::warn!(%path, why, "The baseline can't be used; drift is not measured. Save it again with belfry baseline")
            }
            Self::OtherModel(found) => {
                tracing::warn!(%path, digest = found.digest, "The baseline is of another model; drift is not measured. Save one of this model with belfry baseline")
            }
            Self::Used(found) => tracing::info!(%path, texts = found.texts, "Texts are compared with the baseline"),
        }
    }
}

/// A file of a bounded size; `None` if there is none. Anything but a file could be read forever.
fn bytes(path: &Path) -> Result<Option<Vec<u8>>, String> {
    let said = |error: std::io::Error| error.to_string();
    match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(said(error)),
        Ok(found) if !found.is_file() => return Err("it is no file".to_owned()),
        Ok(_) => {}
    }
    let mut bytes = Vec::new();
    File::open(path).map_err(said)?.take(MOST_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(said)?;
    Ok(Some(bytes))
}

/// Looks at the file for as long as the process runs, once the model is loaded.
pub async fn follow(app: Arc<App>, path: PathBuf, every: Duration) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(digest) = app.model().map(|model| model.about.digest.clone()) else { continue };
        let file = path.clone();
        let Ok(found) = tokio::task::spawn_blocking(move || Baseline::read(&file, &digest)).await else { continue };
        if app.quality.is_new(&found) {
            found.say(&path);
            app.quality.compare_with(found);
        }
    }
}
