//! The worker's own question: one short text through queue, tokenizer and model, so that a model that few ask is known to
//! answer. It counts as no request.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout_at};

use crate::engine::OutputSet;
use crate::inbox::{Answer, Text};
use crate::lifecycle::State;
use crate::state::App;

/// Time between two questions.
pub const EVERY: Duration = Duration::from_secs(15);

/// Time for the answer. An idle model has answered long before.
const LIMIT: Duration = Duration::from_secs(10);

/// The text. It has a token in every vocabulary.
const TEXT: &str = "a";

/// Asks for as long as the process runs. A worker that has texts to compute is not asked: its callers show whether it answers.
pub async fn run(app: Arc<App>, every: Duration) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if app.lifecycle.state() == State::Ready
            && !app.inbox.busy()
            && let Some(has_answered) = ask(&app).await
        {
            app.metrics.probe_success.set(i64::from(has_answered));
        }
    }
}

/// Whether the model answered; `None` if callers filled the queue meanwhile, or the worker began to shut down.
async fn ask(app: &Arc<App>) -> Option<bool> {
    let room = app.inbox.reserve(1).ok()?;
    let (now, outputs) = (Instant::now(), OutputSet::of(app.model()?.outputs.iter().next()));
    let shared = Arc::clone(app);
    let encoded = tokio::task::spawn_blocking(move || {
        let model = shared.model()?;
        model.encode_any(TEXT).ok()
    });
    let has_answered = match encoded.await {
        Ok(Some(encoded)) => {
            let (reply, mut answers) = mpsc::channel(1);
            let text = Text { index: 0, encoded, outputs, deadline: now + LIMIT, is_probe: true, traced: None, reply };
            room.fill(&app.lifecycle, vec![text], now);
            let answer = timeout_at((now + LIMIT).into(), answers.recv()).await;
            matches!(answer, Ok(Some(Answer { rows: Ok(_), .. })))
        }
        _ => false,
    };
    if !has_answered {
        if app.lifecycle.state() != State::Ready {
            return None;
        }
        tracing::warn!("The model did not answer the worker's own question");
    }
    Some(has_answered)
}
