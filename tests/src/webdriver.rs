//! A W3C WebDriver client, as much of it as the tests need.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

/// The longest that one command to a driver may take.
const COMMAND: Duration = Duration::from_secs(180);

/// One browser session at a WebDriver server.
#[derive(Debug)]
pub struct Session {
    agent: ureq::Agent,
    url: String,
}

/// The WebDriver key code of Ctrl, for [`Session::press`].
pub const CONTROL: char = '\u{e009}';
/// The WebDriver key code of Enter.
pub const ENTER: char = '\u{e007}';

impl Session {
    /// Start a browser through the driver at `driver` (`http://127.0.0.1:<port>`).
    pub fn start(driver: &str, capabilities: &Value) -> Result<Self> {
        let agent = agent();
        let asked = json!({ "capabilities": { "alwaysMatch": capabilities } });
        let answer = call(&agent, "POST", &format!("{driver}/session"), &asked)?;
        let id = answer["sessionId"].as_str().with_context(|| format!("no session id in {answer}"))?;
        let session = Self { url: format!("{driver}/session/{id}"), agent };
        session.post("timeouts", &json!({ "script": 150_000, "pageLoad": 60_000 }))?;
        Ok(session)
    }

    /// Returns `true` once the driver at `driver` takes sessions.
    #[must_use]
    pub fn driver_is_ready(driver: &str) -> bool {
        call(&agent(), "GET", &format!("{driver}/status"), &Value::Null).is_ok_and(|s| s["ready"] == true)
    }

    /// Open an address and wait until the page has loaded.
    pub fn open(&self, url: &str) -> Result<()> {
        self.post("url", &json!({ "url": url })).map(drop)
    }

    /// The address bar's content.
    pub fn address(&self) -> Result<String> {
        Ok(self.get("url")?.as_str().unwrap_or_default().to_owned())
    }

    /// Load the page again.
    pub fn reload(&self) -> Result<()> {
        self.post("refresh", &json!({})).map(drop)
    }

    /// Run a function's body in the page; what it returns.
    pub fn run(&self, body: &str, arguments: &[Value]) -> Result<Value> {
        self.post("execute/sync", &json!({ "script": body, "args": arguments }))
    }

    /// Evaluate an expression in the page.
    pub fn evaluate(&self, expression: &str) -> Result<Value> {
        self.run(&format!("return ({expression});"), &[])
    }

    /// Evaluate an expression whose value is a promise, and wait for what it resolves to.
    pub fn resolve(&self, expression: &str) -> Result<Value> {
        let body = format!(
            "const done = arguments[arguments.length - 1];\n\
             (async () => ({expression}))().then(value => done({{ value }}), error => done({{ error: String(error) }}));"
        );
        let answer = self.post("execute/async", &json!({ "script": body, "args": [] }))?;
        match answer["error"].as_str() {
            Some(error) => bail!("{expression}: {error}"),
            None => Ok(answer["value"].clone()),
        }
    }

    /// Wait until an expression is true in the page; its value. It is evaluated whenever the document changes.
    pub fn wait(&self, expression: &str, limit: Duration) -> Result<Value> {
        // The expression is part of the script, since the page's policy allows no evaluation of strings.
        let body = format!(
            "const done = arguments[arguments.length - 1];\n\
             const holds = () => {{ try {{ return ({expression}); }} catch {{ return null; }} }};\n\
             const first = holds();\n\
             if (first) {{ done({{ value: first }}); return; }}\n\
             let observer, timer, end;\n\
             const stop = answer => {{ observer.disconnect(); clearInterval(timer); clearTimeout(end); done(answer); }};\n\
             const look = () => {{ const value = holds(); if (value) stop({{ value }}); }};\n\
             observer = new MutationObserver(look);\n\
             observer.observe(document, {{ subtree: true, childList: true, attributes: true, characterData: true }});\n\
             timer = setInterval(look, 100);\n\
             end = setTimeout(() => stop({{ late: true }}), {});",
            limit.as_millis()
        );
        let answer = self.post("execute/async", &json!({ "script": body, "args": [] }))?;
        if answer["late"] == true {
            let seen = self.evaluate(
                "`${document.title} [${document.body?.dataset.state}] ${document.body?.innerText}`",
            );
            bail!(
                "the page did not reach `{expression}` within {limit:?}; it shows: {}",
                seen.unwrap_or_default()
            );
        }
        Ok(answer["value"].clone())
    }

    /// Wait until an expression is true in the page, asking every few milliseconds; its value.
    ///
    /// For pages that change so fast that looking at each change, as [`Session::wait`] does, would slow them down.
    pub fn poll(&self, expression: &str, limit: Duration) -> Result<Value> {
        let body = format!(
            "const done = arguments[arguments.length - 1];\n\
             const end = performance.now() + {};\n\
             const look = () => {{\n\
               let value = null;\n\
               try {{ value = ({expression}); }} catch {{ /* not there yet */ }}\n\
               if (value) done({{ value }});\n\
               else if (performance.now() > end) done({{ late: true }});\n\
               else setTimeout(look, 20);\n\
             }};\n\
             look();",
            limit.as_millis()
        );
        let answer = self.post("execute/async", &json!({ "script": body, "args": [] }))?;
        if answer["late"] == true {
            bail!("the page did not reach `{expression}` within {limit:?}");
        }
        Ok(answer["value"].clone())
    }

    /// Type text into what has the focus.
    pub fn type_text(&self, text: &str) -> Result<()> {
        let focused = self.get("element/active")?;
        self.send_keys(&focused, text)
    }

    /// Type text into the first element that a CSS selector names.
    pub fn type_into(&self, selector: &str, text: &str) -> Result<()> {
        let element = self.element(selector)?;
        self.send_keys(&element, text)
    }

    /// Press keys together, the first ones held: `&[CONTROL, 'c']`.
    pub fn press(&self, chord: &[char]) -> Result<()> {
        let key = |kind: &'static str| move |c: &char| json!({ "type": kind, "value": c.to_string() });
        let keys: Vec<Value> =
            chord.iter().map(key("keyDown")).chain(chord.iter().rev().map(key("keyUp"))).collect();
        self.post("actions", &json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": keys }] }))
            .map(drop)
    }

    /// Click the first element that a CSS selector names.
    pub fn click(&self, selector: &str) -> Result<()> {
        let element = self.element(selector)?;
        self.post(&format!("element/{}/click", element_id(&element)?), &json!({})).map(drop)
    }

    /// The text of the first element that a CSS selector names, as it is shown.
    pub fn text(&self, selector: &str) -> Result<String> {
        let element = self.element(selector)?;
        let text = self.get(&format!("element/{}/text", element_id(&element)?))?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// Make the window so large, in CSS pixels with its frame.
    pub fn resize(&self, width: u32, height: u32) -> Result<()> {
        self.post("window/rect", &json!({ "width": width, "height": height })).map(drop)
    }

    /// A picture of the window's contents (PNG).
    pub fn screenshot(&self) -> Result<Vec<u8>> {
        let picture = self.get("screenshot")?;
        BASE64_STANDARD.decode(picture.as_str().unwrap_or_default()).context("the screenshot is not base64")
    }

    /// Open a second tab and go to it; the handles of the old and of the new one.
    pub fn new_tab(&self) -> Result<(String, String)> {
        let old = self.get("window")?;
        let new = self.post("window/new", &json!({ "type": "tab" }))?;
        let (old, new) = (old.as_str().unwrap_or_default(), new["handle"].as_str().unwrap_or_default());
        self.switch_to(new)?;
        Ok((old.to_owned(), new.to_owned()))
    }

    /// Go to the tab with this handle.
    pub fn switch_to(&self, handle: &str) -> Result<()> {
        self.post("window", &json!({ "handle": handle })).map(drop)
    }

    /// Close the current tab, as a person does; the handles of those that are left.
    pub fn close_tab(&self) -> Result<Value> {
        call(&self.agent, "DELETE", &format!("{}/window", self.url), &Value::Null)
    }

    /// End the session, and with it the browser.
    pub fn quit(&self) -> Result<()> {
        call(&self.agent, "DELETE", &self.url, &Value::Null).map(drop)
    }

    /// The cookies that the page could see.
    pub fn cookies(&self) -> Result<Value> {
        self.get("cookie")
    }

    /// Takes what the page's console has shown since the last call: errors, and what a policy blocked (Chromium only).
    pub fn console(&self) -> Result<Vec<String>> {
        let entries = self.post("se/log", &json!({ "type": "browser" }))?;
        let entries = entries.as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(entries.iter().map(|entry| format!("{}: {}", entry["level"], entry["message"])).collect())
    }

    /// Send a command of the Chrome DevTools Protocol (Chromium only).
    pub fn devtools(&self, command: &str, parameters: &Value) -> Result<Value> {
        self.post("goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    fn element(&self, selector: &str) -> Result<Value> {
        self.post("element", &json!({ "using": "css selector", "value": selector }))
    }

    fn send_keys(&self, element: &Value, text: &str) -> Result<()> {
        self.post(&format!("element/{}/value", element_id(element)?), &json!({ "text": text })).map(drop)
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value> {
        call(&self.agent, "POST", &format!("{}/{path}", self.url), body)
    }

    fn get(&self, path: &str) -> Result<Value> {
        call(&self.agent, "GET", &format!("{}/{path}", self.url), &Value::Null)
    }
}

fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(COMMAND));
    config.proxy(None).build().into()
}

/// The one member of a web element reference, whose name is a constant of the standard.
fn element_id(element: &Value) -> Result<&str> {
    let members = element.as_object().into_iter().flat_map(serde_json::Map::values);
    members.filter_map(Value::as_str).next().with_context(|| format!("no element reference in {element}"))
}

fn call(agent: &ureq::Agent, method: &str, url: &str, body: &Value) -> Result<Value> {
    let answer = match method {
        "GET" => agent.get(url).call(),
        "DELETE" => agent.delete(url).call(),
        _ => agent.post(url).send_json(body),
    };
    let mut answer = answer.with_context(|| format!("{method} {url}"))?;
    // A screenshot of a large window is several megabytes of base64.
    let answer: Value = answer.body_mut().with_config().limit(64 << 20).read_json()?;
    let value = answer["value"].clone();
    match value["error"].as_str() {
        Some(error) => Err(anyhow!("{error}: {}", value["message"].as_str().unwrap_or_default())),
        None => Ok(value),
    }
}
