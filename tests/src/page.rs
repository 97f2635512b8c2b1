//! Our page in a browser: where it is, what it says, and its shell. `www/README.md` names what is looked at.

use std::cell::Cell;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::tools;

/// Time that the page may take from one state to the next, on a machine that is busy with everything else too.
pub const STATE: Duration = Duration::from_secs(45);

/// The page, open in a browser's current tab.
#[derive(Debug)]
pub struct Page<'a> {
    browser: &'a Browser,
    commands: Cell<u32>,
}

/// An error as the page shows it.
#[derive(Debug, Clone)]
pub struct PageError {
    /// The step that failed.
    pub step: String,
    /// The heading: what failed.
    pub what: String,
    /// The observation that the error rests on.
    pub seen: String,
    /// The advice to the person at the page.
    pub todo: String,
}

/// Result of a command line in the shell.
#[derive(Debug, Clone)]
pub struct Output {
    /// The line that it printed, without its end.
    pub text: String,
    /// Exit status of the command.
    pub status: u32,
}

impl<'a> Page<'a> {
    /// Opens the page at `url`, anew even where it is open already.
    ///
    /// # Errors
    /// When the page has not been built, or the browser does not open it.
    pub fn open(browser: &'a Browser, url: &str) -> Result<Self> {
        let built = tools::dist().join("index.html").is_file();
        ensure!(built, "there is no page: run `cargo xtask dist`");
        // A page that gets nothing but another fragment would not be loaded again.
        browser.open("about:blank")?;
        browser.open(url)?;
        Ok(Self::attach(browser))
    }

    /// The page that a browser shows already.
    #[must_use]
    pub fn attach(browser: &'a Browser) -> Self {
        Self { browser, commands: Cell::new(0) }
    }

    /// Open the page, and wait for the shell that `url` asks for.
    pub fn open_shell(browser: &'a Browser, url: &str) -> Result<Self> {
        let page = Self::open(browser, url)?;
        page.until("terminal")?;
        Ok(page)
    }

    /// Wait until the page is in `state`.
    ///
    /// # Errors
    /// With what the page says, when it does not get there in time, or shows an error instead.
    pub fn until(&self, state: &str) -> Result<()> {
        let there = format!("['{state}', 'error'].includes(document.body.dataset.state)");
        self.browser.wait(&there, STATE).with_context(|| format!("waiting for the state {state}"))?;
        if state != "error" && self.state()? == "error" {
            bail!("the page shows an error instead of the state {state}: {:?}", self.shown_error()?);
        }
        Ok(())
    }

    /// The state that the page is in.
    pub fn state(&self) -> Result<String> {
        self.string("document.body.dataset.state")
    }

    /// Wait until the page shows an error.
    pub fn error(&self) -> Result<PageError> {
        self.until("error")?;
        self.shown_error()
    }

    fn shown_error(&self) -> Result<PageError> {
        let shown = "[...document.querySelectorAll('.stage[data-step]')].find(stage => stage.offsetParent)";
        let error = self.browser.wait(
            &format!(
                "(stage => stage && ({{ step: stage.dataset.step, what: stage.querySelector('h1')?.textContent, \
                 seen: stage.querySelector('.seen')?.textContent, \
                 todo: stage.querySelector('.todo')?.textContent }}))({shown})"
            ),
            STATE,
        )?;
        let part = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
        Ok(PageError { step: part("step"), what: part("what"), seen: part("seen"), todo: part("todo") })
    }

    /// Wait until an expression is true in the page; its value.
    pub fn wait(&self, expression: &str) -> Result<Value> {
        self.browser.wait(expression, STATE)
    }

    /// As [`Page::wait`], with another limit.
    pub fn wait_within(&self, expression: &str, limit: Duration) -> Result<Value> {
        self.browser.wait(expression, limit)
    }

    /// The heading of what is shown.
    pub fn heading(&self) -> Result<String> {
        self.string("[...document.querySelectorAll('h1')].find(h => h.offsetParent)?.textContent")
    }

    /// The name of the page's node in the tailnet.
    pub fn node(&self) -> Result<String> {
        let name = self.string("dayfly.tailnet?.self()?.shortName")?;
        ensure!(!name.is_empty(), "the page's node has no name");
        Ok(name)
    }

    /// Click the button that `data-action` names; the one that can be seen, where there are several.
    pub fn act(&self, action: &str) -> Result<()> {
        self.click(&format!("[data-action={action}]"))
    }

    /// Click the first element that a selector names and that can be seen.
    pub fn click(&self, selector: &str) -> Result<()> {
        let visible = json!(selector);
        let find =
            format!("[...document.querySelectorAll({visible})].find(e => e.offsetParent && !e.disabled)");
        self.wait(&format!("!!({find})"))?;
        self.browser.run(&format!("({find}).click()"), &[]).map(drop)
    }

    /// Choose a machine from the list.
    pub fn connect(&self, machine: &str) -> Result<()> {
        self.click(&format!("[data-machine={machine}] [data-action=ssh]"))
    }

    /// Type into the shell in front, as the keyboard does; Enter is `\r`.
    pub fn type_text(&self, text: &str) -> Result<()> {
        self.browser.run("dayfly.sendText(arguments[0])", &[json!(text)]).map(drop)
    }

    /// All text of the terminal in front, scrollback first.
    pub fn text(&self) -> Result<String> {
        self.string("dayfly.terminalText()")
    }

    /// Wait until the terminal in front shows `text`.
    pub fn see(&self, text: &str) -> Result<()> {
        self.see_within(text, STATE)
    }

    /// As [`Page::see`], with another limit.
    pub fn see_within(&self, text: &str, limit: Duration) -> Result<()> {
        let text = json!(text);
        let seen = self.browser.poll(&format!("dayfly.terminalText().includes({text})"), limit);
        seen.map(drop).with_context(|| format!("the terminal shows: {}", self.tail()))
    }

    /// Run a command line in the shell in front, and wait for its end.
    pub fn command(&self, line: &str) -> Result<Output> {
        self.command_within(line, STATE)
    }

    /// As [`Page::command`], with another limit.
    pub fn command_within(&self, line: &str, limit: Duration) -> Result<Output> {
        let number = self.commands.get() + 1;
        self.commands.set(number);
        // What is typed is echoed: it must not look like what is waited for. One line, since a second one would be
        // echoed into the output.
        self.type_text(&format!(
            "printf '\\n%s-%s\\n' begin {number}; {line}; printf '\\n%s-%s:%s:\\n' end {number} $?\r"
        ))?;
        let end = format!("dayfly.terminalText().match(/^end-{number}:\\d+:$/m)?.[0]");
        let end = self.browser.poll(&end, limit);
        let end = end.with_context(|| format!("after `{line}` the terminal shows: {}", self.tail()))?;
        let end = end.as_str().unwrap_or_default();
        let all = self.text()?;
        let (before, _) = all.rsplit_once(&format!("\n{end}")).context("the end of the output is gone")?;
        let begin = format!("\nbegin-{number}\n");
        let (_, text) = before.rsplit_once(&begin).context("more was printed than the terminal keeps")?;
        let status = end.split(':').nth(1).and_then(|status| status.parse().ok());
        Ok(Output { text: text.trim_end().to_owned(), status: status.context("no exit status")? })
    }

    fn string(&self, expression: &str) -> Result<String> {
        Ok(self.browser.evaluate(expression)?.as_str().unwrap_or_default().to_owned())
    }

    fn tail(&self) -> String {
        let text = self.text().unwrap_or_default();
        let skipped = text.chars().count().saturating_sub(2000);
        text.chars().skip(skipped).collect()
    }
}

impl PageError {
    /// Check that it is about `step`, and that heading, observation and advice each contain what is expected.
    ///
    /// # Errors
    /// With the whole error, when one of them does not, or any is empty.
    pub fn expect(&self, step: &str, what: &str, seen: &str, todo: &str) -> Result<()> {
        ensure!(self.step == step, "another step than {step}: {self:?}");
        for (part, expected) in [(&self.what, what), (&self.seen, seen), (&self.todo, todo)] {
            ensure!(!part.is_empty() && part.contains(expected), "{expected:?} is not in {part:?}: {self:?}");
        }
        Ok(())
    }
}
