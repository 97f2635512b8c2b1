//! Chromium, Firefox and WebKitGTK each start, open a page, take keys, change it, and tell what it then shows.

use std::time::Duration;

use anyhow::{Result, ensure};
use dayfly_tests::{Browser, Engine, scenario};

const PAGE: &str = "data:text/html,<title>t</title><input id=a autofocus><p id=b></p>";

fn drive(engine: Engine) -> Result<()> {
    scenario(|lab| {
        let browser = Browser::start(lab, engine)?;
        browser.open(PAGE)?;
        browser.type_into("#a", "grüße 你好")?;
        ensure!(browser.evaluate("document.querySelector('#a').value")? == "grüße 你好");
        browser.run("setTimeout(() => { document.querySelector('#b').textContent = 'later' }, 0)", &[])?;
        browser.wait("document.querySelector('#b').textContent === 'later'", Duration::from_secs(10))?;
        ensure!(browser.text("#b")? == "later");
        ensure!(browser.resolve("Promise.resolve(7)")? == 7);
        ensure!(browser.resolve("Promise.reject('no')").is_err());
        ensure!(browser.wait("false", Duration::from_millis(1)).is_err());
        ensure!(browser.page_memory()? > 1 << 20);
        let picture = browser.screenshot()?;
        ensure!(picture.starts_with(b"\x89PNG"), "the screenshot is no PNG");
        Ok(())
    })
}

#[test]
fn chromium() -> Result<()> {
    drive(Engine::Chromium)
}

#[test]
fn firefox() -> Result<()> {
    drive(Engine::Firefox)
}

#[test]
fn webkit() -> Result<()> {
    drive(Engine::WebKit)
}
