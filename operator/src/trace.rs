//! The spans of a pass: the pass, and below it a request to the API server each. Without `--enable-trace` there are none.

use std::fmt::Display;
use std::sync::Arc;

use belfry_traces::{KeyValue, Span, SpanBuilder, SpanContext, SpanExt as _, SpanKind, Status, Traces};

tokio::task_local! {
    /// The pass that this task runs.
    static PASS: (Arc<Traces>, SpanContext);
}

/// How a pass ended: its outcome, and the error of one that failed.
type How = (&'static str, Option<String>);

/// Runs a pass as one trace. `about` has the model's namespace and name, and the cause of the pass.
pub(crate) async fn pass<T>(
    traces: Option<&Arc<Traces>>,
    (namespace, name, cause): (&str, &str, impl Display),
    work: impl Future<Output = T>,
    how: impl FnOnce(&T) -> How,
) -> T {
    let Some(traces) = traces else { return work.await };
    let mut span = traces.begin(
        SpanBuilder::from_name("reconcile").with_attributes([
            KeyValue::new("k8s.namespace.name", namespace.to_owned()),
            KeyValue::new("belfry.model", name.to_owned()),
            KeyValue::new("belfry.cause", cause.to_string()),
        ]),
        None,
    );
    let result = PASS.scope((Arc::clone(traces), span.span_context().clone()), work).await;
    let (outcome, error) = how(&result);
    span.set_attribute(KeyValue::new("belfry.outcome", outcome));
    if let Some(error) = error {
        span.set_status(Status::error(error));
    }
    span.end();
    result
}

/// Begins the span of a request to the API server; `None` where no pass sends it.
pub(crate) fn request(verb: &'static str, resource: &str) -> Option<Span> {
    let begin = |(traces, pass): &(Arc<Traces>, SpanContext)| {
        let builder =
            SpanBuilder::from_name(format!("{verb} {resource}")).with_kind(SpanKind::Client).with_attributes([
                KeyValue::new("belfry.api.verb", verb),
                KeyValue::new("belfry.api.resource", resource.to_owned()),
            ]);
        traces.begin(builder, Some(pass))
    };
    PASS.try_with(begin).ok()
}

/// Ends the span of a request. `code` is the status, or what came in its place.
pub(crate) fn answered(span: Option<Span>, code: &str) {
    let Some(mut span) = span else { return };
    match code.parse::<i64>() {
        Ok(status) => {
            span.set_attribute(KeyValue::new("http.response.status_code", status));
            // A conflict or an object that is not there is an answer like others; the pass says what it means.
            if status >= 500 {
                span.set_status(Status::error(code.to_owned()));
            }
        }
        Err(_) => {
            span.set_attribute(KeyValue::new("error.type", code.to_owned()));
            span.set_status(Status::error(code.to_owned()));
        }
    }
    span.end();
}
