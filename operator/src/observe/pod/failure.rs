//! How a container ended.

use belfry_crds::condition::Reason;
use belfry_crds::contract::load_failure::LoadFailure;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus};

/// Characters of a container's last line that a status repeats.
const LAST_LINE: usize = 300;

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerFailure {
    /// A reason of the condition ModelLoaded.
    pub reason: Reason,
    /// What it says, or what the kubelet knows.
    pub words: Words,
    /// Exit status.
    pub exit_code: i32,
}

/// What is said about an end. Everyone who may read the model reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// Words of the kubelet, of the operator, or of a worker about its model.
    safe: String,
    /// The last line of the log. Only an image of the operator's choice is known to print no secrets.
    last_line: Option<String>,
}

impl Words {
    /// The words that are repeated; `is_own_image` says whether the image is the operator's choice.
    #[must_use]
    pub fn repeated(&self, is_own_image: bool) -> String {
        match &self.last_line {
            Some(line) if is_own_image => format!("{}: {line}", self.safe),
            Some(_) => format!("{}; kubectl logs --previous shows its last words", self.safe),
            None => self.safe.clone(),
        }
    }
}

impl From<String> for Words {
    fn from(safe: String) -> Self {
        Self { safe, last_line: None }
    }
}

/// How the container ended, now or before its present run, when that was not in order.
pub(super) fn of(container: &ContainerStatus, speaks_our_language: bool) -> Option<ContainerFailure> {
    let ended = last_end(container)?;
    let message = ended.message.clone().unwrap_or_default();
    let load = LoadFailure::parse(&message).filter(|_| speaks_our_language);
    let (reason, words) = match load {
        Some(failure) => (Reason::Load(failure.reason), failure.message.into()),
        None if ended.reason.as_deref() == Some("OOMKilled") => {
            let words = "killed for want of memory: raise spec.resources.limits.memory".to_owned();
            (Reason::OutOfMemoryKilled, words.into())
        }
        None => (Reason::WorkerCrashed, crash(ended, &message, speaks_our_language)),
    };
    Some(ContainerFailure { reason, words, exit_code: ended.exit_code })
}

/// The present end of a container, or else its last one, when that was not in order.
pub(super) fn last_end(container: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    let ended = [&container.state, &container.last_state];
    let ended = ended.into_iter().find_map(|state| state.as_ref()?.terminated.as_ref())?;
    (ended.exit_code != 0).then_some(ended)
}

fn crash(ended: &ContainerStateTerminated, message: &str, speaks_our_language: bool) -> Words {
    let safe = format!("exit status {}", ended.exit_code);
    match message.lines().last() {
        Some(line) if speaks_our_language => Words { safe, last_line: Some(line.chars().take(LAST_LINE).collect()) },
        Some(_) => format!("{safe}; kubectl logs --previous shows its last words").into(),
        None => format!("{safe}: the worker left no message").into(),
    }
}
