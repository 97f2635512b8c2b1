//! One step of a command: it prints what it does in one line, and how long it took.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::paths;

/// Run `work` as a step called `what`.
pub(crate) fn step<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("==> {what}");
    let start = Instant::now();
    let outcome = work().with_context(|| what.to_owned());
    let verdict = if outcome.is_ok() { "done" } else { "FAILED" };
    println!("    {verdict}: {what} ({})", seconds(start.elapsed()));
    outcome
}

/// A duration for people.
pub(crate) fn seconds(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 60.. => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{:.1} s", time.as_secs_f32()),
    }
}

/// Run a command that writes to the terminal.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot run {command:?}"))?;
    if !status.success() {
        bail!("{}: {status}", shown(command));
    }
    Ok(())
}

/// Run a command quietly, its output in `<cache>/logs/<name>.log`.
pub(crate) fn run_logged(name: &str, command: &mut Command) -> Result<()> {
    let path = log_of(name)?;
    fs::create_dir_all(path.parent().unwrap_or(&path))?;
    let log = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let status = command.status().with_context(|| format!("cannot run {command:?}"))?;
    if !status.success() {
        bail!("{}: {status}\n{}\n(all of it: {})", shown(command), last_lines(&path, 25), path.display());
    }
    Ok(())
}

/// The last line that the command of [`run_logged`] with this name wrote; empty if none did.
pub(crate) fn last_line_of_log(name: &str) -> String {
    log_of(name).map_or_else(|_| String::new(), |path| last_lines(&path, 1).trim().to_owned())
}

fn log_of(name: &str) -> Result<PathBuf> {
    Ok(paths::cache()?.join("logs").join(format!("{name}.log")))
}

/// A command's standard output, when it succeeds.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        bail!("{}: {}\n{}", shown(command), output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a command, handing each line of its standard output to `line`. `true` when it succeeds.
///
/// # Errors
/// When it cannot run, or is killed for not being done within `limit`.
pub(crate) fn run_lines(command: &mut Command, limit: Duration, mut line: impl FnMut(&str)) -> Result<bool> {
    let mut child =
        command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot run {command:?}"))?;
    let stdout = child.stdout.take().context("no output pipe")?;
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
            if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                break;
            }
        }
    });
    let end = Instant::now() + limit;
    loop {
        match lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(text) => line(&text),
            Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(child.wait()?.success()),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                child.kill()?;
                bail!("{}: not done within {}", shown(command), seconds(limit));
            }
        }
    }
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

fn last_lines(path: &Path, count: usize) -> String {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines.get(lines.len().saturating_sub(count)..).unwrap_or_default().join("\n")
}
