//! Child processes whose output is kept and watched, and which do not outlive the test.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::tools;

/// Lines of a peer's output that are held in memory; older ones are only in its log file.
const LINES: usize = 20_000;

/// A running peer. Dropping it kills it and everything that it started.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    output: Arc<Watched>,
}

#[derive(Debug, Default)]
struct Watched {
    state: Mutex<Lines>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Lines {
    /// Lines since the start, without the first `dropped` ones.
    lines: Vec<String>,
    dropped: usize,
    closed: bool,
}

impl Watched {
    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: String) {
        let mut state = self.lock();
        if state.lines.len() == LINES {
            state.lines.drain(..LINES / 2);
            state.dropped += LINES / 2;
        }
        state.lines.push(line);
        self.changed.notify_all();
    }

    fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }
}

impl Process {
    /// Start `command` in a process group of its own, standard output and error both written to `log`.
    pub fn spawn(name: &str, command: Command, log: &Path) -> Result<Self> {
        let mut file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let (reader, writer) = io::pipe().context("no pipe")?;
        let mut command = dies_with_parent(command);
        command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer).process_group(0);
        let child = spawn_from_lasting_thread(command).with_context(|| format!("cannot start {name}"))?;

        let output = Arc::new(Watched::default());
        let watched = Arc::clone(&output);
        thread::spawn(move || {
            let mut reader = BufReader::new(reader);
            let mut line = Vec::new();
            while matches!(reader.read_until(b'\n', &mut line), Ok(n) if n > 0) {
                let _ = file.write_all(&line);
                watched.push(String::from_utf8_lossy(&line).trim_end().to_owned());
                line.clear();
            }
            watched.close();
        });
        Ok(Self { name: name.to_owned(), child, log: log.to_owned(), output })
    }

    /// The process's id, which is also its process group's.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the file that its output is kept in.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// A mark in the output: [`Process::line_after`] looks only at what is written after it.
    #[must_use]
    pub fn mark(&self) -> usize {
        let state = self.output.lock();
        state.dropped + state.lines.len()
    }

    /// Wait for the first output line that contains `text`.
    pub fn line(&self, text: &str, limit: Duration) -> Result<String> {
        self.line_after(0, text, limit)
    }

    /// Wait for the first output line after `mark` that contains `text`.
    ///
    /// # Errors
    /// When the process ends, or `limit` passes, before such a line came.
    pub fn line_after(&self, mark: usize, text: &str, limit: Duration) -> Result<String> {
        let end = Instant::now() + limit;
        let mut seen = mark;
        let mut state = self.output.lock();
        loop {
            let from = seen.saturating_sub(state.dropped);
            if let Some(line) = state.lines.iter().skip(from).find(|line| line.contains(text)) {
                return Ok(line.clone());
            }
            seen = state.dropped + state.lines.len();
            if state.closed {
                bail!("{} ended without saying {text:?}", self.name);
            }
            let Some(left) = end.checked_duration_since(Instant::now()) else {
                bail!("{} did not say {text:?} within {limit:?}", self.name);
            };
            state = self.output.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Everything that it has written so far (of the last lines that are held in memory).
    #[must_use]
    pub fn output(&self) -> String {
        self.output.lock().lines.join("\n")
    }

    /// Checks that it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// An error when it has ended, with its status: for waits on something that it was to do.
    pub fn still_running(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(anyhow!("{} ended: {status}; its log is {}", self.name, self.log.display())),
        }
    }

    /// Send `signal` to the process alone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = pid(self.id()).context("no such process id")?;
        kill_process(pid, signal).with_context(|| format!("cannot signal {}", self.name))
    }

    /// Stop it where it stands, as a machine that hangs; [`Process::resume`] lets it go on.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Let a paused process go on.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Ask it to end by SIGTERM and wait, at most `limit`.
    pub fn terminate(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.wait(limit)
    }

    /// Wait until it ends by itself, at most `limit`.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let what = format!("the end of {}", self.name);
        crate::wait::until(&what, limit, || self.child.try_wait().ok().flatten())
    }

    /// Kills it and everything that it started, at once (SIGKILL), and waits for its end.
    pub fn kill(&mut self) {
        for child in descendants(self.id()) {
            if let Some(pid) = pid(child) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        if let (Some(group), Ok(None)) = (pid(self.id()), self.child.try_wait()) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Run a command to its end; its output when it succeeds.
///
/// # Errors
/// When it cannot start or exits with another status than 0: with both of its outputs.
pub fn run_to_end(command: Command) -> Result<String> {
    let text = format!("{command:?}");
    let output = output_of(command, Duration::from_secs(120))?;
    if !output.status.success() {
        bail!(
            "{text}: {}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Run a command to its end whatever its exit status; it is killed after `limit`.
pub fn output_of(command: Command, limit: Duration) -> Result<Output> {
    let text = format!("{command:?}");
    let mut command = dies_with_parent(command);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let child = spawn_from_lasting_thread(command).with_context(|| format!("cannot run {text}"))?;
    let id = child.id();
    let (done, ended) = mpsc::channel();
    thread::spawn(move || done.send(child.wait_with_output()));
    if let Ok(output) = ended.recv_timeout(limit) {
        return output.with_context(|| format!("cannot run {text}"));
    }
    if let Some(group) = pid(id) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let output = ended.recv().context("its output was lost")??;
    bail!(
        "{text}: not done within {limit:?}; it wrote:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// The exit code as a shell shows it: 128 + the signal's number for a process that a signal ended.
#[must_use]
pub fn shell_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

/// All processes that `id` started, directly or not, the deepest first.
#[must_use]
pub fn descendants(id: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let threads = std::fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
    for thread in threads {
        let children = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|text| text.parse().ok()) {
            found.extend(descendants(child));
            found.push(child);
        }
    }
    found
}

fn pid(id: u32) -> Option<Pid> {
    i32::try_from(id).ok().and_then(Pid::from_raw)
}

/// The same command, run so that the kernel kills it when the thread that started it ends.
fn dies_with_parent(command: Command) -> Command {
    let Ok(setpriv) = tools::program("setpriv") else { return command };
    let mut wrapped = Command::new(setpriv);
    wrapped.args(["--pdeathsig", "KILL", "--"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    if let Some(dir) = command.get_current_dir() {
        wrapped.current_dir(dir);
    }
    wrapped
}

/// Start a child from a thread that lives as long as this process: the death signal is tied to the thread.
fn spawn_from_lasting_thread(command: Command) -> Result<Child> {
    type Request = (Command, mpsc::Sender<io::Result<Child>>);
    static SPAWNER: LazyLock<Mutex<mpsc::Sender<Request>>> = LazyLock::new(|| {
        let (sender, requests) = mpsc::channel::<Request>();
        thread::spawn(move || {
            for (mut command, reply) in requests {
                let _ = reply.send(command.spawn());
            }
        });
        Mutex::new(sender)
    });
    let (reply, answer) = mpsc::channel();
    let spawner = SPAWNER.lock().unwrap_or_else(PoisonError::into_inner).clone();
    spawner.send((command, reply)).map_err(|_| anyhow!("the spawning thread is gone"))?;
    Ok(answer.recv().context("the spawning thread is gone")??)
}
