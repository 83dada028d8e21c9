//! One score a text for a query: of the network's own head, or from the vectors of both in a model for late interaction.

use super::call::Exchange;
use super::pass::{Passed, Work, blocking};
use super::score::logistic;
use crate::engine::{Output, Row};
use crate::error::ApiError;
use crate::state::{Model, Prompt};

/// The scores of texts, in their order, as the model computes them. A model for late interaction has prompts of its own for
/// queries and documents; in others the prompt goes before each pair.
pub(super) async fn scores(
    exchange: &mut Exchange<'_>,
    (query, texts): (&str, &[String]),
    prompt: Prompt,
    truncate: Option<bool>,
) -> Result<Passed<f32>, ApiError> {
    let model = exchange.model;
    let Some(max_sim) = model.presets.max_sim else {
        let pairs = texts.iter().map(|text| (query.to_owned(), text.clone())).collect();
        return exchange.pass(Work::Pairs(pairs, prompt), truncate, (Output::Score, Row::score)).await;
    };
    let query = Some((query.to_owned(), model.prompt_named("query").unwrap_or_default()));
    let work = Work::Compared { query, documents: texts.to_vec(), prompt: model.default_prompt() };
    let Passed { rows, tokens, times } =
        exchange.pass(work, truncate, (Output::MultiVector, Row::multi_vector)).await?;
    let mut rows = rows.into_iter();
    let query = rows.next().unwrap_or_default();
    let score = move |_: &Model| rows.map(|document| max_sim.score(&query, &document)).collect();
    Ok(Passed { rows: blocking(exchange.app, score).await?, tokens, times })
}

/// A score as it is shown to who asks for no other: between 0 and 1 where a head computes it, and a sum of cosines as it is.
pub(super) fn shown(model: &Model, score: f32) -> f32 {
    if model.presets.max_sim.is_some() { score } else { logistic(score) }
}
