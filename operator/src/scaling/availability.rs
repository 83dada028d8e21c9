//! What the operator can say about the metrics of a model that is scaled by them.

/// Whether the operator has the metrics that a HorizontalPodAutoscaler asks it for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum MetricsAvailability {
    /// It serves them.
    #[default]
    Served,
    /// It serves none at all; says why.
    Unavailable(String),
    /// The workers of this model don't answer, and `spec.autoscaling.fallbackReplicas` counts.
    Missing,
}
