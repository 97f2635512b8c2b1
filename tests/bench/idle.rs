//! Waiting until nothing else is at work on this machine, so that what comes next is measured alone.

use std::fs;
use std::time::Duration;

use dayfly_tests::wait::until;

/// Looks in a row, each [`dayfly_tests::wait::until`]'s pause after the one before, that have to find the machine idle.
const QUIET_LOOKS: u32 = 8;
/// Hundredths of a second of processor time that a look may find used since the one before.
const QUIET: u64 = 1;
/// For how long a machine that is never idle is waited for.
const LIMIT: Duration = Duration::from_secs(10);

/// Wait for the machine to be idle: what opens a tab, starts a process ahead, or ends a node goes on for some time.
pub(crate) fn until_idle() {
    let (mut before, mut quiet) = (busy(), 0);
    let idle = until("an idle machine", LIMIT, || {
        let now = busy();
        quiet = if now.saturating_sub(before) <= QUIET { quiet + 1 } else { 0 };
        before = now;
        (quiet >= QUIET_LOOKS).then_some(())
    });
    if idle.is_err() {
        eprintln!("this machine is never idle: what is measured next shares it with something else");
    }
}

/// The processor time that all processes have used, in hundredths of a second.
fn busy() -> u64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let times = stat.lines().next().unwrap_or_default().split_whitespace().skip(1);
    let times: Vec<u64> = times.filter_map(|time| time.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq: all but the two in which nothing is done.
    times.iter().take(7).sum::<u64>() - times.iter().skip(3).take(2).sum::<u64>()
}
