//! `dayfly-relay`: the command line of the relay.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use dayfly_relay::options::{LogFormat, LogLevel, Options, OptionsError, Settings};
use dayfly_relay::{Relay, Reloader};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::filter::LevelFilter;

fn main() -> ExitCode {
    match Options::read(std::env::args_os()) {
        Ok(settings) => match run(settings) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error.to_string()),
        },
        // Help and version come this way too, and go to standard output.
        Err(OptionsError::Arguments(error)) => error.exit(),
        Err(error) => failed(&error.to_string()),
    }
}

fn failed(error: &str) -> ExitCode {
    let _: io::Result<()> = writeln!(io::stderr(), "dayfly-relay: {error}");
    ExitCode::FAILURE
}

fn run(settings: Settings) -> Result<(), Box<dyn std::error::Error>> {
    start_log(settings.log_level, settings.log_format);
    raise_file_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let relay = Relay::bind(settings.config)?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::spawn(reload_on_hangup(signal(SignalKind::hangup())?, relay.reloader()));
        announce(&relay, settings.ready_file.as_deref())?;
        let shutdown = async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        relay.run(shutdown).await;
        Ok(())
    })
}

async fn reload_on_hangup(mut hangup: Signal, reloader: Reloader) {
    while hangup.recv().await.is_some() {
        reloader.reload();
    }
}

/// Reports where the process listens: a line for each address on standard output, and the file for programs.
fn announce(relay: &Relay, ready_file: Option<&Path>) -> io::Result<()> {
    let addresses = relay.addresses();
    let mut out = io::stdout().lock();
    for address in &addresses.http {
        writeln!(out, "listening on {address}")?;
    }
    for address in &addresses.stun {
        writeln!(out, "stun on {address}")?;
    }
    if let Some(address) = &addresses.metrics {
        writeln!(out, "metrics on {address}")?;
    }
    out.flush()?;
    if let Some(path) = ready_file {
        let ready = serde_json::json!({
            "http": addresses.http,
            "stun": addresses.stun,
            "metrics": addresses.metrics,
            "derpKey": relay.derp_key(),
        });
        // Written aside first: who sees the file sees all of it.
        let aside = path.with_extension("new");
        fs::write(&aside, ready.to_string())?;
        fs::rename(aside, path)?;
    }
    Ok(())
}

fn start_log(level: LogLevel, format: LogFormat) {
    let level = match level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let log = tracing_subscriber::fmt().with_writer(io::stderr).with_ansi(false).with_max_level(level);
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}

/// Each connection is an open file, and the usual limit of 1,024 is for programs that use `select`.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}
