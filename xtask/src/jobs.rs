//! Jobs that depend on each other, run side by side, with a word now and then on what is done and what remains.
//!
//! A job either computes or waits for the network. Of those that compute, two run at once (one on one
//! core): each is itself a build that uses all cores, but now and then has one thread left. What most is waiting for is
//! started first.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};

use crate::step::{last_line_of_log, seconds};

/// Time between two lines on what goes on.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// One job.
pub(crate) struct Job<'a> {
    /// By this name others wait for it, and its log is called so.
    pub(crate) name: &'static str,
    /// Its title, for people.
    pub(crate) title: String,
    /// The names of the jobs that end before it starts; those that are not to be run count as done.
    pub(crate) after: &'static [&'static str],
    /// Seconds of processor time that it needs, as measured once; 0 for one that waits for the network.
    pub(crate) cost: u64,
    /// The work.
    pub(crate) work: Box<dyn FnOnce() -> Result<()> + Send + 'a>,
}

/// Run all `jobs`. One that fails keeps back only those that wait for it.
///
/// # Errors
/// When a job failed, with the errors of all that did.
pub(crate) fn run(jobs: Vec<Job<'_>>) -> Result<()> {
    if jobs.is_empty() {
        return Ok(());
    }
    let cores = thread::available_parallelism().map_or(2, usize::from);
    let mut board = Board::new(&jobs, cores);
    let mut works: Vec<_> = jobs.into_iter().map(|job| Some(job.work)).collect();
    println!("    {} to do, {}", board.entries.len(), board.left());
    thread::scope(|scope| {
        let (sender, ended) = mpsc::channel();
        loop {
            while let Some(index) = board.start() {
                let Some(work) = works.get_mut(index).and_then(Option::take) else { continue };
                let sender = sender.clone();
                scope.spawn(move || {
                    let outcome = catch_unwind(AssertUnwindSafe(work));
                    // Nobody listens any more only when this function panics itself.
                    let _ = sender.send((index, outcome.unwrap_or_else(|_| Err(anyhow!("it panicked")))));
                });
            }
            if board.running().next().is_none() {
                break board.verdict();
            }
            match ended.recv_timeout(KEEP_ALIVE) {
                Ok((index, outcome)) => board.end(index, outcome),
                Err(_) => println!("    ... {}", board.progress()),
            }
        }
    })
}

/// The state of a job.
#[derive(Debug)]
enum State {
    Waiting,
    Running(Instant),
    Done,
    Failed(anyhow::Error),
}

/// A job on the board.
struct Entry {
    name: &'static str,
    title: String,
    after: Vec<usize>,
    cost: u64,
    /// Processor time from its start to the end of the longest chain that begins with it.
    chain: u64,
    state: State,
}

/// All jobs and their states.
struct Board {
    entries: Vec<Entry>,
    cores: usize,
    start: Instant,
}

impl Board {
    fn new(jobs: &[Job<'_>], cores: usize) -> Self {
        let position = |name: &&str| jobs.iter().position(|job| job.name == *name);
        let entries = jobs
            .iter()
            .map(|job| Entry {
                name: job.name,
                title: job.title.clone(),
                after: job.after.iter().filter_map(position).collect(),
                cost: job.cost,
                chain: chain(jobs, job),
                state: State::Waiting,
            })
            .collect();
        Self { entries, cores, start: Instant::now() }
    }

    /// Mark a job as running that may start now; its index.
    fn start(&mut self) -> Option<usize> {
        let computing = self.running().filter(|entry| entry.cost > 0).count();
        let is_free = computing < self.cores.clamp(1, 2);
        let may_start = |entry: &Entry| {
            matches!(entry.state, State::Waiting)
                && (entry.cost == 0 || is_free)
                && entry.after.iter().all(|index| self.is_done(*index))
        };
        let (index, _) = self
            .entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| may_start(entry))
            .max_by_key(|(_, entry)| entry.chain)?;
        let entry = self.entries.get_mut(index)?;
        println!("    now: {}{}", entry.title, about(entry.cost));
        entry.state = State::Running(Instant::now());
        Some(index)
    }

    fn end(&mut self, index: usize, outcome: Result<()>) {
        let Some(entry) = self.entries.get_mut(index) else { return };
        let took = match entry.state {
            State::Running(since) => seconds(since.elapsed()),
            _ => String::new(),
        };
        let verdict = if outcome.is_ok() { "done" } else { "FAILED" };
        println!("    {verdict}: {} ({took})", entry.title);
        entry.state = match outcome {
            Ok(()) => State::Done,
            Err(error) => State::Failed(error),
        };
        if self.entries.iter().any(|entry| matches!(entry.state, State::Waiting | State::Running(_))) {
            println!("    {}", self.progress());
        }
    }

    fn is_done(&self, index: usize) -> bool {
        self.entries.get(index).is_some_and(|entry| matches!(entry.state, State::Done))
    }

    fn running(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| matches!(entry.state, State::Running(_)))
    }

    /// `3 of 7 done after 2 min 5 s; now Headscale (40 s of about 4 min): its log's last line; about 6 min left`.
    fn progress(&self) -> String {
        let done = self.entries.iter().filter(|entry| matches!(entry.state, State::Done)).count();
        let now: Vec<String> = self
            .running()
            .map(|entry| {
                let time = match entry.state {
                    State::Running(since) => seconds(since.elapsed()),
                    _ => String::new(),
                };
                let line: String = last_line_of_log(entry.name).chars().take(60).collect();
                let line = if line.is_empty() { line } else { format!(": {line}") };
                format!("{} ({time}{}){line}", entry.title, of_about(entry.cost))
            })
            .collect();
        let now = if now.is_empty() { "nothing".to_owned() } else { now.join("; ") };
        let (count, elapsed) = (self.entries.len(), seconds(self.start.elapsed()));
        format!("{done} of {count} done after {elapsed}; {}; now {now}", self.left())
    }

    /// The time that remains if nobody else wants the cores.
    fn left(&self) -> String {
        let left = |entry: &Entry| match entry.state {
            State::Waiting => entry.cost,
            State::Running(since) => entry.cost.saturating_sub(since.elapsed().as_secs()),
            State::Done | State::Failed(_) => 0,
        };
        let cores = u64::try_from(self.cores.max(1)).unwrap_or(1);
        match self.entries.iter().map(left).sum::<u64>().div_ceil(cores).div_ceil(60) {
            0 => "nearly there".to_owned(),
            minutes => format!("about {minutes} min left with {cores} idle cores"),
        }
    }

    fn verdict(self) -> Result<()> {
        let mut errors = Vec::new();
        for entry in self.entries {
            match entry.state {
                State::Failed(error) => errors.push(format!("{}: {error:#}", entry.title)),
                State::Waiting | State::Running(_) => errors.push(format!("{}: not begun", entry.title)),
                State::Done => {}
            }
        }
        if errors.is_empty() { Ok(()) } else { bail!("{}", errors.join("\n")) }
    }
}

/// The processor time of the longest chain of jobs that begins with `job`.
fn chain(jobs: &[Job<'_>], job: &Job<'_>) -> u64 {
    let next = jobs.iter().filter(|other| other.after.contains(&job.name));
    job.cost + next.map(|other| chain(jobs, other)).max().unwrap_or_default()
}

fn about(cost: u64) -> String {
    if cost < 30 { String::new() } else { format!(", about {} min of one core", cost.div_ceil(60)) }
}

fn of_about(cost: u64) -> String {
    if cost < 30 { String::new() } else { format!(" of about {} min", cost.div_ceil(60)) }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn job<'a>(
        name: &'static str,
        after: &'static [&'static str],
        cost: u64,
        work: impl FnOnce() -> Result<()> + Send + 'a,
    ) -> Job<'a> {
        Job { name, title: name.to_owned(), after, cost, work: Box::new(work) }
    }

    #[test]
    fn a_job_starts_when_those_before_it_are_done() {
        let order = Mutex::new(Vec::new());
        let note = |name| {
            let order = &order;
            move || {
                order.lock().unwrap().push(name);
                Ok(())
            }
        };
        run(vec![
            job("last", &["middle", "not to be run"], 1, note("last")),
            job("middle", &["first"], 0, note("middle")),
            job("first", &[], 1, note("first")),
        ])
        .unwrap();
        assert_eq!(*order.lock().unwrap(), ["first", "middle", "last"]);
    }

    #[test]
    fn a_failure_keeps_back_only_what_waits_for_it() {
        let ran = Mutex::new(Vec::new());
        let error = run(vec![
            job("broken", &[], 1, || bail!("no compiler")),
            job("panics", &[], 1, || panic!("a bug")),
            job("after", &["broken"], 1, || {
                ran.lock().unwrap().push("after");
                Ok(())
            }),
            job("beside", &[], 0, || {
                ran.lock().unwrap().push("beside");
                Ok(())
            }),
        ])
        .unwrap_err()
        .to_string();
        assert_eq!(*ran.lock().unwrap(), ["beside"]);
        for part in ["broken: no compiler", "panics: it panicked", "after: not begun"] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn what_more_waits_for_starts_first_and_two_compute_at_once() {
        let nothing = || Ok(());
        let jobs = [
            job("short", &[], 10, nothing),
            job("long", &[], 100, nothing),
            job("leads", &[], 20, nothing),
            job("follows", &["leads"], 200, nothing),
            job("download", &[], 0, nothing),
        ];
        let mut board = Board::new(&jobs, 8);
        let started: Vec<_> = std::iter::from_fn(|| board.start()).map(|index| jobs[index].name).collect();
        assert_eq!(started, ["leads", "long", "download"]);
        board.end(2, Ok(()));
        assert_eq!(board.start().map(|index| jobs[index].name), Some("follows"));
        assert!(board.progress().starts_with("1 of 5 done after "), "{}", board.progress());
        assert!(board.progress().contains("min left with 8 idle cores; now long"), "{}", board.progress());
    }
}
