//! `spec.rollout`, with defaults applied.

/// How new pods replace old ones, with defaults applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidRollout {
    /// Order in which pods are replaced.
    pub replace: Replace,
    /// Seconds that a new pod must be ready before the next one is replaced; 0 for none.
    pub min_ready_seconds: i32,
    /// Seconds without progress after which the rollout counts as stuck.
    pub progress_deadline_seconds: i32,
    /// Seconds that a pod has for the requests that it accepted.
    pub drain_seconds: u32,
    /// The current pods stay, whatever the specification says.
    pub is_paused: bool,
}

/// Order in which new pods replace old ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replace {
    /// Step by step. The two numbers are never both 0.
    Gradually {
        /// Pods that may exist beyond the replicas.
        surge: i32,
        /// Replicas that may be unavailable.
        unavailable: i32,
    },
    /// All old pods end before the first new one starts.
    AtOnce,
}
