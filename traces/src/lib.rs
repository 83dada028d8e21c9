//! Traces of Belfry's programs, sent to a collector by OTLP (<https://opentelemetry.io/docs/specs/otlp/>).
//!
//! A span that ends is handed to a thread that sends it. Who is traced never waits: when the collector is slow or away, spans are lost and
//! counted.

mod args;
mod client;
mod context;
mod exporter;
mod gate;
mod sampling;
mod saying;
mod standard;
mod settings;

use std::time::{Duration, Instant, SystemTime};

use opentelemetry::Context;
use opentelemetry::trace::{TraceContextExt as _, Tracer as _, TracerProvider as _};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracer, SdkTracerProvider};

use client::Client;
use exporter::{Cause, Watched};
use gate::Gate;

pub use args::TraceArgs;
pub use context::{parent, trace_id, traceparent};
pub use exporter::spans;
pub use opentelemetry::KeyValue;
pub use opentelemetry::trace::{Link, Span as SpanExt, SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceId};
pub use opentelemetry_sdk::trace::Span;
pub use settings::{Protocol, Settings};

/// Longest wait of a program that ends for its last spans to be sent.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where spans come from and go to.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

impl Traces {
    /// Starts to trace. With gRPC it needs a tokio runtime around it, on which it sends.
    ///
    /// # Errors
    /// The settings name a collector to which no client can be built; the text says why.
    pub fn start(settings: &Settings, (service, version): (&'static str, &'static str)) -> Result<Self, String> {
        let cause = Cause::default();
        let exporter = Watched::new(exporter(settings, &cause)?, settings.endpoint.clone(), cause);
        let queue = settings.queue;
        let config = BatchConfigBuilder::default()
            .with_max_queue_size(queue.size)
            .with_max_export_batch_size(queue.batch)
            .with_scheduled_delay(Duration::from_millis(queue.delay_ms));
        let processor = BatchSpanProcessor::builder(exporter).with_batch_config(config.build()).build();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(Gate::new(processor, queue.size))
            .with_sampler(settings.sampler.clone())
            .with_resource(resource(settings, service, version))
            .build();
        tracing::info!(endpoint = settings.endpoint, protocol = settings.protocol.as_str(), "Traces are sent");
        Ok(Self { tracer: provider.tracer(service), provider })
    }

    /// Begins a span below another, or a trace where there is none. Whether it is sent follows from that span, and from the sampler.
    #[must_use]
    pub fn begin(&self, builder: SpanBuilder, parent: Option<&SpanContext>) -> Span {
        // Not the thread's current context: nothing here sets one.
        let context = match parent {
            Some(parent) => Context::new().with_remote_span_context(parent.clone()),
            None => Context::new(),
        };
        self.tracer.build_with_context(builder, &context)
    }

    /// Sends what waits, for two seconds at most. Spans that end later are lost.
    pub fn end(&self) {
        if let Err(error) = self.provider.shutdown_with_timeout(PATIENCE) {
            tracing::debug!(%error, "The last spans were not sent");
        }
    }
}

/// The time of day at a moment of the monotonic clock.
#[must_use]
pub fn time_of(moment: Instant) -> SystemTime {
    let now = SystemTime::now();
    now.checked_sub(moment.elapsed()).unwrap_or(now)
}

fn exporter(settings: &Settings, cause: &Cause) -> Result<SpanExporter, String> {
    let builder = SpanExporter::builder();
    let built = match settings.protocol {
        Protocol::Grpc => builder.with_tonic().with_endpoint(&settings.endpoint).build(),
        Protocol::HttpProtobuf => builder
            .with_http()
            .with_http_client(Client::new(settings, cause.clone())?)
            .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
            .with_endpoint(&settings.endpoint)
            .build(),
    };
    built.map_err(|error| format!("traces can't be sent to {}: {error}", settings.endpoint))
}

/// What the spans come from: the standard variables say it, and else the program.
fn resource(settings: &Settings, service: &'static str, version: &'static str) -> Resource {
    let host = std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty());
    let known = [
        ("service.name", Some(service.to_owned())),
        ("service.version", Some(version.to_owned())),
        ("service.instance.id", host),
    ];
    let known = known.into_iter().filter_map(|(name, value)| Some(KeyValue::new(name, value?)));
    let given = settings.attributes.iter().map(|(name, value)| KeyValue::new(name.clone(), value.clone()));
    // The later of two values of a name counts.
    Resource::builder().with_attributes(known.chain(given)).build()
}
