//! One step of a command: it says what it does in one line, shows how it gets on, and tells how long it took.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::paths;

/// How often a quiet step shows the last line of its log.
const SIGN_OF_LIFE: Duration = Duration::from_secs(20);

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

/// Run a command quietly, its output in `<cache>/logs/<name>.log`, with a sign of life now and then.
pub(crate) fn run_logged(name: &str, command: &mut Command) -> Result<()> {
    let dir = paths::cache()?.join("logs");
    fs::create_dir_all(&dir)?;
    let path = dir.join(format!("{name}.log"));
    let log = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let start = Instant::now();
    let mut child = command.spawn().with_context(|| format!("cannot run {command:?}"))?;
    let (done, ended) = mpsc::channel();
    thread::spawn(move || done.send(child.wait()));
    let status = loop {
        match ended.recv_timeout(SIGN_OF_LIFE) {
            Ok(status) => break status?,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                println!("    ... {name}, {}: {}", seconds(start.elapsed()), last_lines(&path, 1));
            }
            Err(error) => return Err(error.into()),
        }
    };
    if !status.success() {
        bail!("{}: {status}\n{}\n(all of it: {})", shown(command), last_lines(&path, 25), path.display());
    }
    Ok(())
}

/// A command's standard output, when it succeeds.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        bail!("{}: {}\n{}", shown(command), output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Run a command, handing each line of its standard output to `line`. `true` when it succeeds.
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
