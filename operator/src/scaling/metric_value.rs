//! The value that a HorizontalPodAutoscaler gets: the sum over the workers.
//!
//! The HorizontalPodAutoscaler divides it by the average that one worker should have, and that many workers it wants.

/// The value that leads to exactly `replicas` workers of `average` each.
#[must_use]
pub(super) fn for_replicas(replicas: i32, average: i32) -> f64 {
    f64::from(replicas) * f64::from(average)
}

/// The sum over the workers that are ready. One that does not answer counts as if it had exactly what it should have, so
/// that it moves the number in neither direction. `None` when no worker answers: a value made up, above all 0, would scale.
#[must_use]
pub(super) fn sum(workers: &[Option<f64>], average: i32) -> Option<f64> {
    let answered = workers.iter().any(Option::is_some);
    answered.then(|| workers.iter().map(|value| value.unwrap_or_else(|| f64::from(average))).sum())
}

/// A value as a Kubernetes quantity, to a thousandth.
#[must_use]
pub(super) fn quantity(value: f64) -> String {
    let thousandths = (value * 1000.0).round();
    if thousandths % 1000.0 == 0.0 { format!("{}", thousandths / 1000.0) } else { format!("{thousandths}m") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_that_answer_are_added_up() {
        assert_eq!(sum(&[Some(3.0), Some(4.5)], 10), Some(7.5));
    }

    #[test]
    fn a_worker_that_does_not_answer_moves_nothing() {
        assert_eq!(sum(&[Some(30.0), None], 10), Some(40.0));
    }

    #[test]
    fn no_answer_is_no_value_and_never_zero() {
        assert_eq!(sum(&[], 10), None);
        assert_eq!(sum(&[None, None], 10), None);
    }

    #[test]
    fn values_are_written_as_quantities() {
        assert_eq!(quantity(0.0), "0");
        assert_eq!(quantity(48.0), "48");
        assert_eq!(quantity(7.5), "7500m");
        assert_eq!(quantity(for_replicas(4, 12)), "48");
    }
}
