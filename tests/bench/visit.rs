//! One visit: a new tab, the client's page, a shell, and the way out of the tailnet again.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use dayfly_tests::wait::{READY, until};
use dayfly_tests::{Browser, Headscale, sshd};
use serde_json::{Value, json};

use crate::clients::Client;
use crate::table::median;

/// The machine that every visit opens a shell on.
pub(crate) const MACHINE: &str = "box";

/// Keeps hold of a page's WebAssembly memories.
const MEMORY: &str = include_str!("scripts/memory.js");
/// Sums the time for which a page waits for its coordination server.
const WAITS: &str = include_str!("scripts/waits.js");
/// Notes what a page asks for and gets, and when.
const TRACE: &str = include_str!("scripts/trace.js");
/// Types, and waits for each letter's echo.
const ECHO: &str = include_str!("scripts/echo.js");
/// Has the shell print, and waits for the last byte.
const STREAM: &str = include_str!("scripts/stream.js");

/// How many letters are typed, and how many of the first ones don't count.
const LETTERS: usize = 45;
const LETTERS_TO_WARM_UP: usize = 5;

/// What a visit finds there.
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
    /// Of that, what was not spent waiting for the coordination server.
    pub(crate) joining: f64,
    /// From there until the shell's first output.
    pub(crate) prompt: f64,
    /// The proportional share (PSS) of the process that runs the page.
    pub(crate) process: f64,
    /// The size of its WebAssembly memories.
    pub(crate) wasm: f64,
}

/// What was seen of the shell.
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

/// Whose shell is opened: somebody without dotfiles, where there is somebody, since those may take longer than all else.
fn user() -> &'static str {
    if sshd::has_user() { sshd::USER } else { "root" }
}

impl Site<'_> {
    /// Visit the page in a tab of its own, which is closed again, with its node gone and its process ended; work in the
    /// shell meanwhile, or only wait for its prompt.
    pub(crate) fn visit(&self, work: bool) -> Result<(Visit, Option<Work>)> {
        let (between, _) = self.browser.new_tab()?;
        let outcome = self.stay(work).with_context(|| format!("measuring {}", self.client.title()))?;
        let process = self.page_process()?.0;
        self.browser.close_tab()?;
        self.browser.switch_to(&between)?;
        // What is measured next must not share the machine with what was.
        until("the end of the tab's process", READY, || {
            let alive = self.browser.page_memories().iter().any(|(id, _)| *id == process);
            (!alive).then_some(())
        })?;
        Ok(outcome)
    }

    fn stay(&self, work: bool) -> Result<(Visit, Option<Work>)> {
        let Self { browser, client, origin, key, .. } = *self;
        browser.devtools("Page.addScriptToEvaluateOnNewDocument", &json!({ "source": MEMORY }))?;
        browser.devtools("Page.addScriptToEvaluateOnNewDocument", &json!({ "source": WAITS }))?;
        if self.trace {
            browser.devtools("Page.addScriptToEvaluateOnNewDocument", &json!({ "source": TRACE }))?;
        }
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
        let [ready, running, prompt] = client.marks().map(|mark| self.mark(mark));
        let (ready, running, prompt) = (ready?, running?, prompt?);
        let visit = Visit {
            ready,
            running: running - ready,
            joining: running - ready - self.number(&format!("controlWaits({ready}, {running})"))?,
            prompt: prompt - running,
            process: self.page_process()?.1,
            wasm: self.wasm_memory()?,
        };
        let work = if work { Some(self.work()?) } else { None };
        browser.resolve(client.leave())?;
        until("the node to be gone from Headscale", Duration::from_secs(20), || {
            let nodes = self.headscale.nodes().ok()?;
            nodes.iter().all(|node| node.name == MACHINE).then_some(())
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
        Ok(Work { echo, rate, process: self.page_process()?.1, wasm: self.wasm_memory()? })
    }

    /// When a mark was set, in milliseconds after navigation.
    fn mark(&self, name: &str) -> Result<f64> {
        let time = self.browser.evaluate(&format!("performance.getEntriesByName('{name}')[0]?.startTime"))?;
        time.as_f64().with_context(|| format!("the page has not set its mark {name}"))
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

    /// The process that runs the page, and its memory in bytes: the largest, since the others run empty pages.
    fn page_process(&self) -> Result<(u32, f64)> {
        let processes = self.browser.page_memories();
        let (id, bytes) = processes
            .into_iter()
            .max_by_key(|(_, bytes)| *bytes)
            .context("the browser has no page process")?;
        Ok((id, bytes as f64))
    }
}
