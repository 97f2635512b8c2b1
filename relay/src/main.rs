//! `dayfly-relay`: the command line of the relay.

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use dayfly_relay::options::{Options, OptionsError, Settings};
use dayfly_relay::{Relay, Reloader};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Name of the program, in errors.
const NAME: &str = "dayfly-relay";

fn main() -> ExitCode {
    match Options::read(std::env::args_os()) {
        Ok(settings) => match run(settings) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error.to_string()),
        },
        // Help and version come this way too, and go to standard output.
        Err(OptionsError::Settings(error)) => error.report(NAME),
        Err(error) => failed(&error.to_string()),
    }
}

fn failed(error: &str) -> ExitCode {
    let _: io::Result<()> = writeln!(io::stderr(), "{NAME}: {error}");
    ExitCode::FAILURE
}

fn run(settings: Settings) -> Result<(), Box<dyn std::error::Error>> {
    dayfly_cli::start_log(settings.general.log_level, settings.general.log_format);
    dayfly_cli::raise_file_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let relay = Relay::bind(settings.config)?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::spawn(reload_on_hangup(signal(SignalKind::hangup())?, relay.reloader()));
        announce(&relay, settings.general.ready_file.as_deref())?;
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
        dayfly_cli::write_ready_file(path, ready.to_string())?;
    }
    Ok(())
}
