//! The loop of the one thread that owns every tensor: take a batch, run the engine, answer. An idle lane starts at
//! once; batches form while it is busy.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use belfry_traces::{KeyValue, SpanExt as _, Status, time_of};

use crate::batch::Packed;
use crate::engine::{Engine, EngineError, OutputSet, Outputs};
use crate::error::Reason;
use crate::inbox::Text;
use crate::queue::{BatchLimits, Taken};
use crate::state::App;
use crate::trace;

/// Runs the engine until the inbox is closed and empty.
pub fn lane(app: &App, engine: &mut dyn Engine) {
    let limits = BatchLimits { tokens: app.limits.max_batch_tokens, texts: app.limits.max_batch_size };
    while let Some(Taken { batch, expired }) = app.inbox.next(limits) {
        let now = Instant::now();
        for text in expired {
            text.answer(Err(Reason::DeadlineExceeded), (now, now), None);
        }
        if !batch.is_empty() {
            pass(app, engine, &batch);
        }
    }
}

fn pass(app: &App, engine: &mut dyn Engine, batch: &[Text]) {
    let taken = Instant::now();
    let packed = Packed::of(&batch.iter().map(|text| &text.encoded).collect::<Vec<_>>());
    let requests = batch.iter().filter_map(|text| text.traced.as_ref());
    let mut span = trace::pass(app.traces.as_ref(), requests, (packed.texts(), packed.tokens(), taken));
    let traced = span.as_ref().map(|span| Arc::new(span.span_context().clone()));
    let outputs = guarded(engine, &packed, OutputSet::of(batch.iter().flat_map(|text| text.outputs.iter())));
    let done = Instant::now();
    if let Some(span) = &mut span {
        if let Err(error) = &outputs {
            span.set_attribute(KeyValue::new("error.type", Reason::InferenceFailed.code()));
            span.set_status(Status::error(error.to_string()));
        }
        span.end_with_timestamp(time_of(done));
    }
    // A question that callers' texts joined is counted with them.
    let is_traffic = batch.iter().any(|text| !text.is_probe);
    if is_traffic {
        app.metrics.batch_size.observe(packed.texts() as f64);
        app.metrics.batch_tokens.observe(packed.tokens() as f64);
        app.metrics.device_busy.inc_by((done - taken).as_secs_f64());
        app.inbox.observe(packed.texts(), done - taken);
    }
    app.lifecycle.pass_ended(done, done - taken);
    match outputs {
        Ok(mut outputs) => {
            if is_traffic {
                app.metrics.tokens.with_label_values(&["input"]).inc_by(packed.tokens() as u64);
            }
            app.metrics.progress(SystemTime::now());
            for (row, index) in packed.order.iter().enumerate() {
                let text = &batch[*index];
                let rows = text.outputs.iter().map(|output| outputs.take(output, row)).collect::<Option<_>>();
                text.answer(rows.ok_or(Reason::InferenceFailed), (taken, done), traced.as_ref());
            }
        }
        Err(error) => {
            tracing::error!(batch_size = packed.texts(), tokens = packed.tokens(), %error, "Forward pass failed");
            for text in batch {
                text.answer(Err(Reason::InferenceFailed), (taken, done), traced.as_ref());
            }
        }
    }
}

/// Runs the engine so that an error or a panic fails only this batch.
fn guarded(engine: &mut dyn Engine, packed: &Packed, wanted: OutputSet) -> Result<Outputs, EngineError> {
    catch_unwind(AssertUnwindSafe(|| engine.pass(packed, wanted))).unwrap_or(Err(EngineError::Panicked))
}
