//! 50 MiB of output arrive unchanged while the page's memory stays bounded; an endless flood does not grow it further,
//! and is ended by Ctrl-C at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use dayfly_tests::tailnet::{MACHINE, on_shared_tailnet};
use dayfly_tests::webdriver::CONTROL;
use dayfly_tests::{Browser, Engine, Page};

/// Bytes of output.
const SIZE: u64 = 50 << 20;
/// Longest time that the output may take, on a machine that does much else.
const LIMIT: Duration = Duration::from_secs(120);
/// How much the page's process may take on top meanwhile: a full scrollback, the engine's buffers, compiled code, and
/// what the collector of garbage leaves for later, which in Firefox is a lot.
const GROWTH: u64 = 256 << 20;
/// A flood without an end is watched in pieces of this many bytes.
const PIECE: u64 = 40 << 20;
/// So many pieces at most may come until memory has settled: until a piece takes less than half of its own size on
/// top. If the page kept what comes, none would.
const PIECES: u32 = 6;
/// Longest time that Ctrl-C may take, from the key to the shell's answer on screen, with the drivers' own time.
const AT_ONCE: Duration = Duration::from_secs(2);
/// Interval at which memory is looked at.
const SAMPLE: Duration = Duration::from_millis(500);

in_each_engine!(flood);

fn flood(engine: Engine) -> Result<()> {
    on_shared_tailnet(|lab, tailnet| {
        let browser = Browser::start(lab, engine)?;
        let page = Page::open_shell(&browser, &tailnet.shell_page(MACHINE)?)?;

        let expected = make_file(&page)?;
        let before = browser.page_memory()?;
        let (sum, most) = while_watching(&browser, || checksum(&browser, &page))?;
        ensure!(sum == expected, "the page received CRC and length {sum:?}, the machine sent {expected:?}");
        ensure!(most < before + GROWTH, "50 MiB made it grow from {} to {} MiB", mib(before), mib(most));
        endless(&browser, &page, most)
    })
}

/// Make a file of [`SIZE`] bytes on the machine, lines of text that no two runs have in common; its CRC and length.
fn make_file(page: &Page<'_>) -> Result<(u64, u64)> {
    let made = page.command_within(
        &format!("f=$(mktemp); base64 -w 78 /dev/urandom | sed 's/$/\\r/' | head -c {SIZE} > $f; cksum < $f"),
        LIMIT,
    )?;
    let numbers: Vec<u64> = made.text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [crc, length] = numbers[..] else { bail!("cksum said {made:?}") };
    ensure!(length == SIZE, "the file has {length} bytes");
    Ok((crc, length))
}

/// Print the file; CRC and length as the page sums them.
fn checksum(browser: &Browser, page: &Page<'_>) -> Result<(u64, u64)> {
    browser.run(&format!("dayfly.startChecksum({{ after: 'file:', length: {SIZE} }})"), &[])?;
    // The line discipline is to leave the bytes alone.
    page.type_text("stty -opost; printf 'fi%s' le:; cat $f; stty opost; rm $f\r")?;
    let sum = browser.poll(&format!("dayfly.checksum.bytes >= {SIZE} && dayfly.checksum"), LIMIT);
    let sum = sum.with_context(|| format!("received: {:?}", browser.evaluate("dayfly.checksum")))?;
    match (sum["crc"].as_u64(), sum["bytes"].as_u64()) {
        (Some(crc), Some(bytes)) => Ok((crc, bytes)),
        _ => bail!("no checksum in {sum}"),
    }
}

/// Let `yes` run until memory has settled, and end it by the keyboard. Until now there were `most` bytes in use.
fn endless(browser: &Browser, page: &Page<'_>, mut most: u64) -> Result<()> {
    page.type_text(
        "(trap 'printf \"\\n%s-%s\\n\" stopped now' INT; yes 'a line of an endless flood, which is long')\r",
    )?;
    let mut settled = false;
    for _ in 0..PIECES {
        let ((), now) = while_watching(browser, || piece(browser))?;
        println!("{} MiB were in use, then {}", mib(most), mib(now));
        settled = now < most + PIECE / 2;
        if settled {
            break;
        }
        most = most.max(now);
    }
    ensure!(settled, "each piece of the flood takes memory: {} MiB in the end", mib(most));
    browser.run("document.querySelector('.pane:not([hidden]) textarea').focus()", &[])?;
    let pressed = Instant::now();
    browser.press(&[CONTROL, 'c'])?;
    // All of the text takes a while to put together: the newest screen of it is enough.
    browser.poll("dayfly.terminalText().slice(-4000).includes('stopped-now')", LIMIT)?;
    let took = pressed.elapsed();
    ensure!(took < AT_ONCE, "the flood ended only {took:?} after Ctrl-C");
    let after = page.command("echo well")?;
    ensure!(after.text == "well", "after the flood the shell said {after:?}");
    Ok(())
}

/// Wait until [`PIECE`] more bytes have come.
fn piece(browser: &Browser) -> Result<()> {
    let had = browser.evaluate("dayfly.counters.received")?.as_u64().context("nothing counts what came")?;
    browser.poll(&format!("dayfly.counters.received > {had} + {PIECE}"), LIMIT).map(drop)
}

fn mib(bytes: u64) -> u64 {
    bytes >> 20
}

/// Do something; its outcome, and the most memory that the page's process had meanwhile.
fn while_watching<T>(browser: &Browser, work: impl FnOnce() -> Result<T>) -> Result<(T, u64)> {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut most = 0;
            while !done.load(Ordering::Relaxed) {
                most = most.max(browser.page_memory().unwrap_or_default());
                thread::park_timeout(SAMPLE);
            }
            most
        });
        let outcome = work();
        done.store(true, Ordering::Relaxed);
        watcher.thread().unpark();
        let Ok(most) = watcher.join() else { bail!("watching the memory panicked") };
        ensure!(most > 0, "the page's memory could not be read");
        Ok((outcome?, most))
    })
}
