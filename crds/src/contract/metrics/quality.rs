//! What a worker says about the quality of its answers. Its own questions are in none of them.

use super::{Counter, Exporter, Gauge, Histogram, Kind, Metric, RATINGS, closed};
use crate::contract::quality::{BASELINE_STATES, FEATURES};

metrics! {
    Worker Counter FEEDBACK = "inference_feedback_total" ["ratings"] (closed("rating", RATINGS));
        "Ratings of answers that callers sent to /v1/feedback."
    Worker Histogram PREDICTION_CONFIDENCE = "inference_prediction_confidence" ["probability"] ()
        buckets &[0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0];
        "Probability of the likeliest label of a text, of a reranker that of its only label, and of a model that classifies tokens the mean over the text's tokens. Absent for models without labels."
    Worker Counter EMPTY_OUTPUTS = "inference_empty_outputs_total" ["texts"] ();
        "Texts that were answered with nothing: a vector of zeros, no word with a weight, or no vector of a token. A number that is not finite is never an answer: such a request fails with inference_failed."
    Worker Gauge DRIFT_SCORE = "inference_drift_score" ["index"] (closed("feature", FEATURES));
        "Population stability index of the last hour's texts against the model's baseline, less what chance alone gives; above 0.2 is a change to act on. Absent without a baseline, and with fewer than 500 texts in the hour."
    Worker Gauge DRIFT_BASELINE = "inference_drift_baseline" ["bool"] (closed("state", BASELINE_STATES));
        "1 for the state that the baseline is in, 0 for the others: used, missing, unusable, or of another model. Absent where none is configured."
}
