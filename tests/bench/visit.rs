//! One visit: a new tab, the client's page, a shell, and the way out of the tailnet again.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use dayfly_tests::wait::{READY, until};
use dayfly_tests::{Browser, Headscale, sshd};
use serde_json::{Value, json};

use crate::clients::Client;
use crate::idle::until_idle;
use crate::native;
use crate::table::median;

/// The machine that every visit opens a shell on.
pub(crate) const MACHINE: &str = "box";

/// Keeps hold of a page's WebAssembly memories.
const MEMORY: &str = include_str!("scripts/memory.js");
/// Sums the time for which a page waits for its control server.
const WAITS: &str = include_str!("scripts/waits.js");
/// Notes what a page asks for and gets, and when.
const TRACE: &str = include_str!("scripts/trace.js");
/// Types, and waits for each letter's echo.
const ECHO: &str = include_str!("scripts/echo.js");
/// Has the shell print, and waits for the last byte.
const STREAM: &str = include_str!("scripts/stream.js");

/// Letters that are typed, and the number of first ones that don't count.
pub(crate) const LETTERS: usize = 45;
pub(crate) const LETTERS_TO_WARM_UP: usize = 5;

/// The surroundings of a visit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Site<'a> {
    pub(crate) browser: &'a Browser,
    pub(crate) headscale: &'a Headscale,
    pub(crate) client: Client,
    /// The origin of its page and of the gateway to the control server.
    pub(crate) origin: &'a str,
    /// A reusable ephemeral key.
    pub(crate) key: &'a str,
    /// Print what happened when.
    pub(crate) trace: bool,
}

/// The way to the prompt, in milliseconds each, and the memory there, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Visit {
    /// From navigation until the client's API can be called.
    pub(crate) ready: f64,
    /// From there until the node is in the tailnet.
    pub(crate) running: f64,
    /// Of that, what was not spent waiting for the control server.
    pub(crate) joining: f64,
    /// From there until the shell's first output.
    pub(crate) prompt: f64,
    /// The proportional share (PSS) of the process that runs the page.
    pub(crate) process: f64,
    /// The size of its WebAssembly memories.
    pub(crate) wasm: f64,
}

/// Measurements of the shell.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work {
    /// The median echo, in milliseconds.
    pub(crate) echo: f64,
    /// Output, in bytes in a second.
    pub(crate) rate: f64,
    /// As [`Visit::process`], after all of it.
    pub(crate) process: f64,
    /// As [`Visit::wasm`], after all of it.
    pub(crate) wasm: f64,
}

/// The owner of the shell that is opened: somebody without dotfiles, where there is somebody, since those may take longer than all else.
pub(crate) fn user() -> &'static str {
    if sshd::has_user() { sshd::USER } else { "root" }
}

impl Site<'_> {
    /// Visit the page in a tab of its own, until its node is gone again; work in the shell meanwhile, or only wait for its
    /// prompt.
    pub(crate) fn visit(&self, work: bool) -> Result<(Visit, Option<Work>)> {
        let (outcome, process) = in_new_tab(self.browser, || {
            let outcome = self.stay(work)?;
            Ok((outcome, page_process(self.browser)?.0))
        })
        .with_context(|| format!("measuring {}", self.client.title()))?;
        // What is measured next must not share the machine with what was.
        until("the end of the tab's process", READY, || {
            let alive = self.browser.page_memories().iter().any(|(id, _)| *id == process);
            (!alive).then_some(())
        })?;
        Ok(outcome)
    }

    /// A page with nothing but one script: the milliseconds from navigation until that runs.
    pub(crate) fn empty_page(browser: &Browser, origin: &str) -> Result<f64> {
        in_new_tab(browser, || {
            // These run before it, as before the clients' scripts.
            prepare_page(browser, false)?;
            browser.open(&format!("{origin}/"))?;
            browser.wait("performance.getEntriesByName('empty:script').length > 0", READY)?;
            mark(browser, "empty:script")
        })
        .context("measuring an empty page")
    }

    fn stay(&self, work: bool) -> Result<(Visit, Option<Work>)> {
        let Self { browser, client, origin, key, .. } = *self;
        prepare_page(browser, self.trace)?;
        let (name, user) = (client.name(), user());
        browser.open(&format!(
            "{origin}/#control={origin}&authkey={key}&hostname={name}&host={MACHINE}&user={user}"
        ))?;
        let [.., prompt] = client.marks();
        let there = format!("performance.getEntriesByName('{prompt}').length > 0");
        let came = browser.wait(&format!("{there} || document.body.dataset.state === 'error'"), READY);
        // Also of a visit that comes to nothing.
        if self.trace {
            self.print_trace()?;
        }
        came?;
        if browser.evaluate(&there)? != true {
            let shown = browser.evaluate("document.body.innerText")?;
            bail!("the page shows an error: {}", shown.as_str().unwrap_or_default());
        }
        if browser.evaluate("document.visibilityState")? != "visible" {
            bail!("the tab is in the background, where browsers slow pages down");
        }
        let [ready, running, prompt] = client.marks().map(|name| mark(browser, name));
        let (ready, running, prompt) = (ready?, running?, prompt?);
        let visit = Visit {
            ready,
            running: running - ready,
            joining: running - ready - self.number(&format!("controlWaits({ready}, {running})"))?,
            prompt: prompt - running,
            process: self.process()?,
            wasm: self.wasm_memory()?,
        };
        let work = if work { Some(self.work()?) } else { None };
        browser.resolve(client.leave())?;
        until("the node to be gone from Headscale", Duration::from_secs(20), || {
            let nodes = self.headscale.nodes().ok()?;
            nodes.iter().all(|node| [MACHINE, native::NODE].contains(&node.name.as_str())).then_some(())
        })?;
        Ok((visit, work))
    }

    fn work(&self) -> Result<Work> {
        let hooks = self.client.hooks();
        let times = self.browser.resolve(&format!("({ECHO})({hooks}, {LETTERS})"))?;
        let times: Vec<f64> = times.as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
        let echo = times.get(LETTERS_TO_WARM_UP..).and_then(median).context("no echo was measured")?;
        let bytes = self.client.output();
        let time = self.browser.resolve(&format!("({STREAM})({hooks}, {bytes})"))?;
        let time = time.as_f64().filter(|time| *time > 0.0).context("no output was measured")?;
        let rate = f64::from(bytes) / (time / 1000.0);
        Ok(Work { echo, rate, process: self.process()?, wasm: self.wasm_memory()? })
    }

    /// Print the steps of the visit: milliseconds after navigation, and what happened.
    fn print_trace(&self) -> Result<()> {
        for step in self.browser.evaluate("traceSteps()")?.as_array().into_iter().flatten() {
            if let (Some(time), Some(what)) = (step[0].as_f64(), step[1].as_str()) {
                eprintln!("{time:9.1}  {what}");
            }
        }
        Ok(())
    }

    fn number(&self, expression: &str) -> Result<f64> {
        let value = self.browser.evaluate(expression)?;
        value.as_f64().with_context(|| format!("{expression} is {value}, which is no number"))
    }

    fn wasm_memory(&self) -> Result<f64> {
        let bytes = self.browser.evaluate("wasmMemory()")?;
        bytes.as_f64().filter(|bytes| *bytes > 0.0).context("the page has no WebAssembly memory")
    }

    /// The memory of the process that runs the page, in bytes.
    fn process(&self) -> Result<f64> {
        Ok(page_process(self.browser)?.1)
    }
}

/// Do something in a tab of its own, which is closed again.
fn in_new_tab<T>(browser: &Browser, stay: impl FnOnce() -> Result<T>) -> Result<T> {
    let (between, _) = browser.new_tab()?;
    let outcome = stay()?;
    browser.close_tab()?;
    browser.switch_to(&between)?;
    Ok(outcome)
}

/// Have what measures run before the scripts of the page that is opened next, and the machine to itself.
fn prepare_page(browser: &Browser, trace: bool) -> Result<()> {
    for source in [MEMORY, WAITS].into_iter().chain(trace.then_some(TRACE)) {
        browser.devtools("Page.addScriptToEvaluateOnNewDocument", &json!({ "source": source }))?;
    }
    until_idle();
    Ok(())
}

/// The moment at which a page set a mark, in milliseconds after navigation.
fn mark(browser: &Browser, name: &str) -> Result<f64> {
    let time = browser.evaluate(&format!("performance.getEntriesByName('{name}')[0]?.startTime"))?;
    time.as_f64().with_context(|| format!("the page has not set its mark {name}"))
}

/// The process that runs the page, and its memory in bytes: the largest, since the others run empty pages.
fn page_process(browser: &Browser) -> Result<(u32, f64)> {
    let largest = browser.page_memories().into_iter().max_by_key(|(_, bytes)| *bytes);
    let (id, bytes) = largest.context("the browser has no page process")?;
    Ok((id, bytes as f64))
}
