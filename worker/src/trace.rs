//! The spans of a request, of a pass and of a load. Without `--enable-trace` there are none, and only the caller's trace is known.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use axum::http::HeaderMap;
use belfry_crds::contract::load_failure::LoadFailure;
use belfry_traces::{
    KeyValue, Link, Span, SpanBuilder, SpanContext, SpanExt as _, SpanKind, Status, Traces, parent, time_of,
};

use crate::endpoint::Endpoint;
use crate::metrics::Sampled;
use crate::state::App;

/// Most requests that the span of a pass is linked to, as the standard has it by default.
const LINKS: usize = 128;

/// What a pass knows of a request that is traced.
pub(crate) type Traced = Arc<SpanContext>;

/// A request's spans.
pub(crate) struct Trace {
    traces: Option<Arc<Traces>>,
    caller: Option<SpanContext>,
    span: Option<Span>,
    /// One moment by both clocks, so that all spans of the request fit each other.
    moment: (Instant, SystemTime),
}

/// How a request ended.
pub(crate) struct Ended<'a> {
    pub(crate) status: &'a str,
    pub(crate) reason: &'static str,
    pub(crate) texts: usize,
    pub(crate) tokens: usize,
}

impl Trace {
    /// Begins the span of a request, below its caller's if it names one.
    pub(crate) fn begin(
        traces: Option<&Arc<Traces>>,
        (endpoint, path, headers): (Endpoint, &str, &HeaderMap),
        (model, request_id): (&str, &str),
    ) -> Self {
        let caller = parent(headers);
        let now = Instant::now();
        let moment = (now, time_of(now));
        let span = traces.map(|traces| {
            let operation = operation(endpoint);
            // https://opentelemetry.io/docs/specs/semconv/http/http-spans/ and
            // https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/
            let attributes = [
                KeyValue::new("http.request.method", "POST"),
                KeyValue::new("http.route", endpoint.path()),
                KeyValue::new("url.path", path.to_owned()),
                KeyValue::new("url.scheme", "http"),
                KeyValue::new("gen_ai.operation.name", operation),
                KeyValue::new("gen_ai.provider.name", "belfry"),
                KeyValue::new("gen_ai.request.model", model.to_owned()),
                KeyValue::new("belfry.request.id", request_id.to_owned()),
            ];
            let builder = SpanBuilder::from_name(format!("POST {}", endpoint.path()))
                .with_kind(SpanKind::Server)
                .with_start_time(moment.1)
                .with_attributes(attributes);
            traces.begin(builder, caller.as_ref())
        });
        Self { traces: traces.cloned(), caller, span, moment }
    }

    /// The request's own span, or else its caller's.
    fn known(&self) -> Option<&SpanContext> {
        self.span.as_ref().map(Span::span_context).or(self.caller.as_ref())
    }

    /// The request's own span, where it is sent.
    fn recorded(&self) -> Option<&Span> {
        self.span.as_ref().filter(|span| span.is_recording())
    }

    /// The id of the trace, for the log.
    pub(crate) fn trace_id(&self) -> Option<String> {
        self.known().map(|span| span.trace_id().to_string())
    }

    /// The id of the request's own span, for the log.
    pub(crate) fn span_id(&self) -> Option<String> {
        self.span.as_ref().map(|span| span.span_context().span_id().to_string())
    }

    /// The request's span for its answer's header; `None` where the worker does not trace.
    pub(crate) fn traceparent(&self) -> Option<String> {
        self.span.as_ref().map(|span| belfry_traces::traceparent(span.span_context()))
    }

    /// For the passes that compute the request; `None` where its spans are not sent.
    pub(crate) fn traced(&self) -> Option<Traced> {
        self.recorded().map(|span| Arc::new(span.span_context().clone()))
    }

    /// Its ids where a trace is kept: by this worker, or by a caller of one that does not trace.
    pub(crate) fn sampled(&self) -> Option<Sampled> {
        let known = self.known().filter(|span| span.is_sampled())?;
        let span_id = self.span.as_ref().map(|span| span.span_context().span_id());
        Some(Sampled { trace_id: known.trace_id(), span_id })
    }

    /// Begins a phase. One that is not ended ends when it is dropped: when the caller leaves, or its time is over.
    pub(crate) fn phase(&self, name: &'static str, from: Instant) -> Phase {
        let moment = self.moment;
        let begin = |(traces, span): (&Arc<Traces>, &Span)| {
            let builder = SpanBuilder::from_name(name).with_start_time(at(moment, from));
            traces.begin(builder, Some(span.span_context()))
        };
        Phase { span: self.traces.as_ref().zip(self.recorded()).map(begin), moment }
    }

    /// Ends the request's span.
    pub(crate) fn end(&mut self, ended: &Ended<'_>) {
        let Some(span) = self.span.as_mut().filter(|span| span.is_recording()) else { return };
        span.set_attributes([
            KeyValue::new("http.response.status_code", ended.status.parse::<i64>().unwrap_or_default()),
            KeyValue::new("belfry.texts", ended.texts as i64),
            KeyValue::new("gen_ai.usage.input_tokens", ended.tokens as i64),
        ]);
        if ended.reason != "ok" {
            span.set_attribute(KeyValue::new("error.type", ended.reason));
        }
        // What a caller did wrong is no error of a server's span.
        if ended.status.starts_with('5') {
            span.set_status(Status::error(ended.reason));
        }
        span.end_with_timestamp(at(self.moment, Instant::now()));
    }
}

/// A phase of a request, such as `tokenize`.
pub(crate) struct Phase {
    span: Option<Span>,
    moment: (Instant, SystemTime),
}

impl Phase {
    /// Ends it at a moment that lies behind.
    pub(crate) fn end(mut self, end: Instant) {
        if let Some(span) = &mut self.span {
            span.end_with_timestamp(at(self.moment, end));
        }
    }

    /// Names the passes in which it happened.
    pub(crate) fn link(&mut self, passes: Vec<Traced>) {
        let Some(span) = &mut self.span else { return };
        for pass in distinct(passes.iter()) {
            span.add_link(pass, vec![]);
        }
    }
}

/// The span of a pass, below that of the first request in it, and with links to all of them. `None` where no request in it is traced.
pub(crate) fn pass<'a>(
    traces: Option<&Arc<Traces>>,
    requests: impl Iterator<Item = &'a Traced>,
    (texts, tokens, began): (usize, usize, Instant),
) -> Option<Span> {
    let requests = distinct(requests);
    let first = requests.first()?.clone();
    let links = requests.into_iter().map(Link::with_context).collect();
    let builder = SpanBuilder::from_name("forward")
        .with_start_time(time_of(began))
        .with_attributes([
            KeyValue::new("belfry.batch.texts", texts as i64),
            KeyValue::new("belfry.batch.tokens", tokens as i64),
        ])
        .with_links(links);
    Some(traces?.begin(builder, Some(&first)))
}

/// The spans of a load.
pub(crate) struct Loading {
    traces: Option<Arc<Traces>>,
    span: Option<Span>,
}

impl Loading {
    /// Begins at the start of the process.
    pub(crate) fn begin(app: &App, began: Instant) -> Self {
        let traces = app.traces.clone();
        let builder = || {
            let name = KeyValue::new("gen_ai.request.model", app.name.clone());
            SpanBuilder::from_name("load").with_start_time(time_of(began)).with_attributes([name])
        };
        let span = traces.as_ref().map(|traces| traces.begin(builder(), None));
        Self { traces, span }
    }

    /// A phase, from now until it is dropped.
    pub(crate) fn phase(&self, name: &'static str) -> Option<Span> {
        let (traces, span) = self.traces.as_ref().zip(self.span.as_ref())?;
        Some(traces.begin(SpanBuilder::from_name(name), Some(span.span_context())))
    }

    /// Ends now: the process may end before this is dropped.
    pub(crate) fn end(&mut self, failure: Option<&LoadFailure>) {
        let Some(span) = &mut self.span else { return };
        if let Some(failure) = failure {
            span.set_attribute(KeyValue::new("error.type", failure.reason.as_str()));
            span.set_status(Status::error(failure.message.clone()));
        }
        span.end();
    }
}

/// Each span once, in their order. Texts of one request lie side by side.
fn distinct<'a>(spans: impl Iterator<Item = &'a Traced>) -> Vec<SpanContext> {
    let mut found: Vec<SpanContext> = vec![];
    for span in spans {
        if found.len() < LINKS && found.iter().rev().all(|known| known.span_id() != span.span_id()) {
            found.push(SpanContext::clone(span));
        }
    }
    found
}

/// Adds the time of day to a moment.
fn at((instant, time): (Instant, SystemTime), moment: Instant) -> SystemTime {
    let earlier = || time.checked_sub(instant.saturating_duration_since(moment));
    match moment.saturating_duration_since(instant) {
        Duration::ZERO => earlier().unwrap_or(time),
        later => time + later,
    }
}

/// What a route does, as the conventions for generative AI call it where they have a word.
const fn operation(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Embeddings | Endpoint::Embed | Endpoint::EmbedAll | Endpoint::EmbedSparse | Endpoint::Encode => {
            "embeddings"
        }
        Endpoint::Rerank | Endpoint::RerankV1 | Endpoint::Score => "rerank",
        Endpoint::Predict => "classify",
        Endpoint::Similarity => "similarity",
    }
}
