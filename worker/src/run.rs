//! The process: bind, load beside the listener, serve, end.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};
use std::{env, fs};

use belfry_crds::contract::EXIT_LOAD_FAILED;
use belfry_crds::contract::load_failure::{LoadFailure, LoadFailureReason};
use belfry_logs::Sampler;
use belfry_traces::Traces;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::args::{Args, Command as Subcommand, DeviceArg, LifecycleArgs};
use crate::batch::Packed;
use crate::device::{Device, own_this_thread};
use crate::engine::Engine;
use crate::failure::failure;
use crate::http::{AUDIT, Access, guarded, without_metrics};
use crate::lane::lane;
use crate::lifecycle::State;
use crate::load::{Loaded, load, manifest};
use crate::metrics::{ModelInfo, unix};
use crate::model::engine::TorchEngine;
use crate::quality::baseline;
use crate::server::Listeners;
use crate::signals::Signals;
use crate::state::App;
use crate::tokenize::Tokenizer;
use crate::trace::Loading;
use crate::{cpu, device, gpu, native, probe, server};

/// Threads for HTTP: two, so that a probe is answered while a large response is being written.
const HTTP_THREADS: usize = 2;

/// The name of the worker's spans, unless `OTEL_SERVICE_NAME` has another.
const SERVICE: &str = "belfry-worker";

/// Time that a lane has to end after the last request was answered.
const LANE_TIMEOUT: Duration = Duration::from_secs(5);

/// The exit code that a shell reports for a process that SIGTERM ended.
const SECOND_SIGNAL_STATUS: i32 = 128 + 15;

/// Runs the worker and returns its exit code.
pub fn run(args: &Args) -> ExitCode {
    if let Some(command) = &args.command {
        return instead(command);
    }
    wait_passively();
    let began = Instant::now();
    match log(args).and_then(|()| start(args, began)) {
        Ok(()) => {
            tracing::info!("Ended");
            native::exit_now(0)
        }
        Err(error) => {
            tracing::error!(error, "Could not start");
            belfry_logs::end();
            say(&error);
            ExitCode::FAILURE
        }
    }
}

/// Runs a subcommand instead of serving.
fn instead(command: &Subcommand) -> ExitCode {
    let Subcommand::Digest { folder, manifest: whole } = command;
    let text = match manifest(folder) {
        Ok(manifest) if *whole => manifest.text(),
        Ok(manifest) => format!("{}\n", manifest.digest()),
        Err(failure) => {
            say(&failure.message);
            return ExitCode::FAILURE;
        }
    };
    if io::stdout().write_all(text.as_bytes()).is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Restarts the process with libgomp set not to spin, unless the variable is already set.
///
/// libgomp reads the variable when it is loaded, which is before `main`. By default its threads spin at every barrier.
/// If other processes or our own HTTP threads share the cores, spinning threads take CPU time from the thread that they
/// wait for: a pass of 10 ms was measured to take 300 ms.
fn wait_passively() {
    const POLICY: &str = "OMP_WAIT_POLICY";
    if env::var_os(POLICY).is_none()
        && let Ok(program) = env::current_exe()
    {
        // Returns only if it failed; the worker then runs more slowly.
        drop(Command::new(program).args(env::args_os().skip(1)).env(POLICY, "PASSIVE").exec());
    }
}

fn start(args: &Args, began: Instant) -> Result<(), String> {
    let access = Access::read(&args.access)?;
    let threads = cpu::threads(args.compute.threads);
    let mut app = App::new(args.name(), args.limits.clone(), threads).map_err(|error| error.to_string())?;
    app.hf_repo.clone_from(&args.source.hf_repo);
    app.logged = Sampler::new(args.logs.log_requests);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(HTTP_THREADS)
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    app.traces = {
        // What sends by gRPC has its connection there.
        let _runtime = runtime.enter();
        let settings = args.traces.settings()?;
        let start = |settings| Traces::start(&settings, (SERVICE, env!("CARGO_PKG_VERSION"))).map(Arc::new);
        settings.map(start).transpose()?
    };
    let app = Arc::new(app);
    app.metrics.build_info.with_label_values(&[env!("CARGO_PKG_VERSION"), device::VERSION, cpu::isa()]).set(1.0);
    runtime.block_on(async {
        // The listener is bound before anything is loaded, so that probes get an answer and not a refused connection.
        let requests = listen("--listen", args.listen).await?;
        let metrics = match args.metrics_listen {
            Some(address) => Some(listen("--metrics-listen", address).await?),
            None => None,
        };
        let at = |listener: &TcpListener| listener.local_addr().map_err(|error| error.to_string());
        let (address, metrics_address) = (at(&requests)?, metrics.as_ref().map(at).transpose()?);
        let metrics_address = metrics_address.map(tracing::field::display);
        tracing::info!(%address, metrics_address, threads, version = env!("CARGO_PKG_VERSION"), "Listening");
        let signals = Signals::new().map_err(|error| error.to_string())?;
        if let Some(library) = args.gpus.library(args.compute.device) {
            gpu::start(&app.metrics.gpus, library, args.compute.device == DeviceArg::Cuda);
        }
        let ended =
            spawn_lane(&app, args, (threads, began)).map_err(|error| format!("no thread for the model: {error}"))?;
        tokio::spawn(probe::run(Arc::clone(&app), probe::EVERY));
        if let Some(path) = args.quality.quality_baseline.clone() {
            tokio::spawn(baseline::follow(Arc::clone(&app), path, baseline::EVERY));
        }
        let (stop, stopped) = oneshot::channel();
        let shutdown = async { drop(stopped.await) };
        let routes = if metrics.is_some() { without_metrics } else { guarded };
        let (listeners, router) = (Listeners { requests, metrics }, routes(Arc::clone(&app), access));
        tokio::select! {
            () = server::serve(Arc::clone(&app), listeners, router, (args.lifecycle.clone(), args.connections.clone()), shutdown) => {}
            () = signals.second(stop) => {
                tracing::warn!("Second signal, ending now");
                native::exit_now(SECOND_SIGNAL_STATUS);
            }
        }
        app.inbox.close();
        if matches!(ended.recv_timeout(LANE_TIMEOUT), Err(RecvTimeoutError::Timeout)) {
            tracing::warn!("The model's thread did not end in time");
        }
        app.end_traces();
        Ok(())
    })
}

/// Binds a listener, which a flag gives the address of.
async fn listen(flag: &str, address: SocketAddr) -> Result<TcpListener, String> {
    let listener = TcpListener::bind(address).await;
    listener.map_err(|error| format!("cannot listen on {address}: {error}; choose another {flag}"))
}

/// Starts the thread that loads the model, owns it, and drops it. The returned channel is disconnected when the thread
/// ends.
fn spawn_lane(
    app: &Arc<App>,
    args: &Args,
    (threads, began): (usize, Instant),
) -> io::Result<std::sync::mpsc::Receiver<()>> {
    let (alive, ended) = channel();
    let (app, args) = (Arc::clone(app), args.clone());
    thread::Builder::new().name("lane".to_owned()).spawn(move || {
        let _end = LaneEnd { app: Arc::clone(&app), _alive: alive };
        let _no_grad = own_this_thread(threads);
        app.metrics.model_load_start.set(unix(SystemTime::now()));
        let mut loading = Loading::begin(&app, began);
        let prepared = prepare(&app, &args, (began, &loading));
        loading.end(prepared.as_ref().err());
        match prepared {
            Ok(mut engine) => {
                lane(&app, &mut engine);
                tracing::info!(target: AUDIT, "Model is unloaded");
            }
            Err(failure) => end_with(&app, &args.lifecycle, &failure),
        }
    })?;
    Ok(ended)
}

/// Reports the end of the lane's thread, whether it returned or panicked.
struct LaneEnd {
    app: Arc<App>,
    _alive: Sender<()>,
}

impl Drop for LaneEnd {
    fn drop(&mut self) {
        if thread::panicking() {
            self.app.lifecycle.lane_lost();
        }
    }
}

/// Loads and warms the model, and makes the worker ready.
fn prepare(app: &App, args: &Args, (began, loading): (Instant, &Loading)) -> Result<TorchEngine, LoadFailure> {
    let device = Device::choose(&args.compute)?;
    let reading = loading.phase("fetch and assemble");
    let Loaded { model, mut engine, bytes } = load(args, &device, &app.metrics)?;
    drop(reading);
    let warming = loading.phase("warm up");
    warm_up(&mut engine, &model.tokenizer, args.limits.max_batch_tokens)?;
    drop(warming);
    let about = model.about.clone();
    let (device, memory) = (about.device.as_str(), i64::try_from(bytes).unwrap_or(i64::MAX));
    app.metrics.model_memory.with_label_values(&[device]).set(memory);
    app.metrics.model(&ModelInfo {
        architecture: &about.architecture,
        dtype: &about.dtype,
        device,
        revision: &about.revision,
        digest: &about.digest,
    });
    let took = began.elapsed();
    app.metrics.model_load_duration.set(took.as_secs_f64());
    app.metrics.progress(SystemTime::now());
    app.ready(model);
    tracing::info!(
        target: AUDIT,
        seconds = took.as_secs_f64(),
        architecture = about.architecture,
        dtype = about.dtype,
        device,
        revision = Some(about.revision.as_str()).filter(|revision| !revision.is_empty()),
        digest = about.digest,
        "Model is loaded"
    );
    Ok(engine)
}

/// Runs the smallest and the largest batch. The first real request then finds memory and kernels warm. A model that
/// does not fit, or whose numbers are not finite, fails here.
fn warm_up(engine: &mut dyn Engine, tokenizer: &Tokenizer, batch_tokens: usize) -> Result<(), LoadFailure> {
    let (max_tokens, vocabulary) = (tokenizer.max_tokens(), tokenizer.vocabulary());
    // Ids from the whole vocabulary, so that damage in one part of it is likely to show.
    let text = |length: usize| (0..length).map(|i| (i * 7919 % vocabulary) as u32).collect::<Vec<u32>>();
    let wanted = engine.outputs();
    let full = vec![text(max_tokens); (batch_tokens / max_tokens).max(1)];
    for texts in [vec![text(1.max(max_tokens / 8))], full] {
        let slices: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
        let packed = Packed::new(&slices);
        let outputs = engine.pass(&packed, wanted).map_err(|error| {
            let message = format!(
                "warm-up with {} tokens failed: {error}; lower max_batch_tokens, or give the worker more memory",
                slices.len() * slices[0].len()
            );
            failure(LoadFailureReason::OutOfMemory, message)
        })?;
        if !outputs.finite() {
            let message = "warm-up: the model's output is not finite; the weights are damaged, or the dtype is too narrow for them: try --dtype float32";
            return Err(failure(LoadFailureReason::NumericalCheckFailed, message));
        }
    }
    Ok(())
}

/// Reports a failed load: one line for users, and one for the operator.
fn end_with(app: &App, lifecycle: &LifecycleArgs, failure: &LoadFailure) -> ! {
    app.advance(State::Failed);
    tracing::error!(target: AUDIT, reason = failure.reason.as_str(), failure = failure.message, "Model is not loaded");
    app.end_traces();
    if let Some(path) = &lifecycle.termination_log {
        let line = serde_json::to_string(failure).unwrap_or_default();
        if let Err(error) = fs::write(path, line) {
            tracing::warn!(path = %path.display(), %error, "Termination log was not written");
        }
    }
    say(&failure.message);
    native::exit_now(EXIT_LOAD_FAILED)
}

/// One line on standard error. A closed pipe is ignored.
fn say(message: &str) {
    drop(writeln!(io::stderr(), "belfry-worker: {message}"));
}

/// Logs go to standard output, so that standard error holds only the reason of an exit.
fn log(args: &Args) -> Result<(), String> {
    belfry_logs::start(&args.logs.options())?;
    belfry_logs::always("model", &args.name());
    // A panic is caught where it can only fail a batch or a request; it is logged like everything else, without a
    // message of its own on standard error.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, panic = panic.payload_as_str().unwrap_or_default(), "Panicked");
    }));
    Ok(())
}
