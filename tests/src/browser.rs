//! Three real browser engines, each driven through its own WebDriver server.

use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::lab::Lab;
use crate::process::{Process, descendants};
use crate::tools::{self, Missing};
use crate::wait::{READY, free_port, until};
use crate::webdriver::Session;

/// A browser, by the engine inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// Chromium, headless, through `chromedriver`.
    Chromium,
    /// Firefox, headless, through `geckodriver`.
    Firefox,
    /// WebKitGTK's MiniBrowser on a virtual display, through `WebKitWebDriver`.
    WebKit,
}

/// A colour scheme that a page can be shown in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `prefers-color-scheme: light`.
    Light,
    /// `prefers-color-scheme: dark`.
    Dark,
}

/// Two frames, since what depends on the size is laid out again in the first, and the end of what moves meanwhile.
const SETTLED: &str = "new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))
    .then(() => Promise.allSettled(document.getAnimations()
      .filter(one => one.effect.getComputedTiming().iterations !== Infinity).map(one => one.finished)))
    .then(() => 1)";

/// A running browser with one window and a new, empty profile. It is also a [`Session`].
#[derive(Debug)]
pub struct Browser {
    session: Session,
    engine: Engine,
    driver: Process,
    _display: Option<Process>,
}

impl Deref for Browser {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl Browser {
    /// Start a browser. Certificates that nobody vouches for are accepted.
    pub fn start(lab: &Lab, engine: Engine) -> Result<Self> {
        let dir = lab.peer_dir("browser")?;
        let port = free_port()?;
        let display = (engine == Engine::WebKit).then(|| Display::start(lab)).transpose()?;
        let mut command = match engine {
            Engine::Chromium => Command::new(tools::program("chromedriver")?),
            Engine::Firefox => Command::new(tools::program("geckodriver")?),
            Engine::WebKit => Command::new(tools::program("WebKitWebDriver")?),
        };
        command.arg(format!("--port={port}")).current_dir(&dir);
        // What a browser keeps outside its profile stays in the lab, too.
        command.env("HOME", &dir).env("TMPDIR", &dir).env("XDG_CACHE_HOME", dir.join("cache"));
        command.env("MOZ_HEADLESS_WIDTH", "1280").env("MOZ_HEADLESS_HEIGHT", "800");
        if let Some(display) = &display {
            command.env("DISPLAY", &display.name).env("WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS", "1");
            // Neither a GPU nor a session bus is there to be found.
            command.env("LIBGL_ALWAYS_SOFTWARE", "1").env("GTK_A11Y", "none").env("NO_AT_BRIDGE", "1");
        }
        let mut driver = lab.spawn(&format!("{engine:?}").to_lowercase(), command)?;
        let url = format!("http://127.0.0.1:{port}");
        until("the WebDriver server", READY, || Session::driver_is_ready(&url).then_some(()))
            .or_else(|late| driver.still_running().and(Err(late)))?;
        let session = Session::start(&url, &capabilities(engine, &dir)?)?;
        Ok(Self { session, engine, driver, _display: display.map(|display| display.server) })
    }

    /// Returns the engine inside.
    #[must_use]
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// Show pages in a colour scheme from now on (Chromium only).
    pub fn prefer(&self, scheme: Scheme) -> Result<()> {
        let value = if scheme == Scheme::Dark { "dark" } else { "light" };
        let features = json!([{ "name": "prefers-color-scheme", "value": value }]);
        self.devtools("Emulation.setEmulatedMedia", &json!({ "features": features })).map(drop)
    }

    /// Make the page so large in CSS pixels, whatever the window's frame (Chromium only).
    pub fn viewport(&self, width: u32, height: u32) -> Result<()> {
        let metrics =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics).map(drop)
    }

    /// Take a picture of the page and keep it as `<name>.png` in `target/screenshots`; its path.
    pub fn picture(&self, name: &str) -> Result<PathBuf> {
        let dir = tools::root().join("target/screenshots");
        fs::create_dir_all(&dir)?;
        let path = dir.join(format!("{name}.png"));
        fs::write(&path, self.screenshot()?)?;
        Ok(path)
    }

    /// Four pictures of the page in its present state: desktop and phone, light and dark (Chromium only).
    ///
    /// # Errors
    /// Also when the page is wider than its window, so that it would have to be scrolled sideways.
    pub fn pictures(&self, name: &str) -> Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        for (size, width, height) in [("desktop", 1280, 800), ("phone", 390, 844)] {
            self.viewport(width, height)?;
            for scheme in [Scheme::Light, Scheme::Dark] {
                self.prefer(scheme)?;
                self.resolve(SETTLED)?;
                if self.evaluate("document.documentElement.scrollWidth > innerWidth")? == true {
                    bail!("{name} is wider than the page at {size} width");
                }
                paths.push(self.picture(&format!("{name}-{size}-{scheme:?}").to_lowercase())?);
            }
        }
        self.devtools("Emulation.clearDeviceMetricsOverride", &json!({}))?;
        Ok(paths)
    }

    /// The memory of the page's process in bytes: its proportional share (PSS), the largest where there are several.
    pub fn page_memory(&self) -> Result<u64> {
        let pages = self.page_memories().into_iter().map(|(_, bytes)| bytes);
        pages.max().context("the browser has no page process")
    }

    /// The processes that run pages, each by its id with its proportional share (PSS) in bytes.
    #[must_use]
    pub fn page_memories(&self) -> Vec<(u32, u64)> {
        self.page_processes().into_iter().filter_map(|id| Some((id, pss(id)?))).collect()
    }

    /// Kill the processes that run the pages, as a tab that crashes.
    pub fn crash_page(&self) -> Result<()> {
        for id in self.page_processes() {
            if let Some(pid) = i32::try_from(id).ok().and_then(rustix::process::Pid::from_raw) {
                rustix::process::kill_process(pid, rustix::process::Signal::KILL)?;
            }
        }
        Ok(())
    }

    /// Kill the whole browser, as a machine that loses its power.
    pub fn kill(&mut self) {
        self.driver.kill();
    }

    fn page_processes(&self) -> Vec<u32> {
        let is_page = |id: &u32| {
            let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line);
            match self.engine {
                Engine::Chromium => line.contains("--type=renderer"),
                // The kind of a content process is its last word.
                Engine::Firefox => {
                    line.contains("-contentproc") && line.trim_end_matches('\0').ends_with("tab")
                }
                Engine::WebKit => line.contains("WebKitWebProcess"),
            }
        };
        descendants(self.driver.id()).into_iter().filter(is_page).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if self.driver.is_running() {
            let _ = self.session.quit();
        }
    }
}

/// A virtual X display.
struct Display {
    server: Process,
    name: String,
}

impl Display {
    fn start(lab: &Lab) -> Result<Self> {
        // Numbers are shared by the whole machine: leave the low ones to people, and spread the rest.
        let number = loop {
            let number = 1000 + RandomState::new().hash_one(0) % 50_000;
            if !Path::new(&format!("/tmp/.X{number}-lock")).exists() {
                break number;
            }
        };
        let name = format!(":{number}");
        let mut command = Command::new(tools::program("Xvfb")?);
        command.args([name.as_str(), "-screen", "0", "1600x1200x24", "-nolisten", "tcp"]);
        let mut server = lab.spawn("xvfb", command)?;
        let socket = format!("/tmp/.X11-unix/X{number}");
        until("the X display", READY, || Path::new(&socket).exists().then_some(()))
            .or_else(|late| server.still_running().and(Err(late)))?;
        Ok(Self { server, name })
    }
}

fn capabilities(engine: Engine, dir: &Path) -> Result<Value> {
    let profile = format!("--user-data-dir={}", dir.join("profile").display());
    Ok(match engine {
        Engine::Chromium => json!({
            "acceptInsecureCerts": true,
            "goog:loggingPrefs": { "browser": "ALL" },
            "goog:chromeOptions": {
                "binary": tools::program("chromium")?,
                "args": ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                    "--disable-background-networking", "--disable-component-update", "--disable-sync",
                    "--disable-dev-shm-usage", "--window-size=1280,800", profile],
            },
        }),
        Engine::Firefox => json!({
            "acceptInsecureCerts": true,
            "moz:firefoxOptions": {
                "binary": tools::program("firefox-esr").or_else(|_| tools::program("firefox"))?,
                "args": ["-headless"],
                "prefs": { "network.captive-portal-service.enabled": false, "app.update.enabled": false },
            },
        }),
        Engine::WebKit => json!({
            "acceptInsecureCerts": true,
            "webkitgtk:browserOptions": { "binary": mini_browser()?, "args": ["--automation"] },
        }),
    })
}

fn mini_browser() -> Result<PathBuf> {
    let libraries = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib", "/usr/libexec"];
    let versions = ["webkit2gtk-4.1", "webkit2gtk-4.0", "webkitgtk-6.0"];
    let mut places = libraries
        .iter()
        .flat_map(|dir| versions.iter().map(move |v| Path::new(dir).join(v).join("MiniBrowser")));
    let found = places.find(|path| path.is_file());
    found.ok_or_else(|| Missing { program: "MiniBrowser".to_owned() }.into())
}

fn pss(id: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).ok()?;
    let line = text.lines().find(|line| line.starts_with("Pss:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}
