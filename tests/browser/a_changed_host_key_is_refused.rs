//! A machine that proves another host key than it has published is refused: no question is asked, and nobody is logged
//! in.

use anyhow::{Context as _, Result, ensure};
use dayfly_tests::tailnet::{on_shared_tailnet, user};
use dayfly_tests::wait::READY;
use dayfly_tests::{Browser, Engine, KeyOptions, Page, Tailscaled, TailscaledOptions};

/// The machine's name.
const CHANGED: &str = "changed";

#[test]
fn in_all_engines() -> Result<()> {
    on_shared_tailnet(|lab, tailnet| {
        let options = TailscaledOptions { own_host_keys: true, ..TailscaledOptions::machine(CHANGED) };
        let key = tailnet.headscale.preauth_key(&KeyOptions::default())?;
        let mut machine = Tailscaled::join(lab, tailnet.headscale.url(), &key, options)?;
        let node = tailnet.headscale.until_online(CHANGED, READY)?;

        // The keys that it has published are the right ones until it gets others.
        let chromium = Browser::start(lab, Engine::Chromium)?;
        let page = Page::open_shell(&chromium, &tailnet.shell_page(CHANGED)?)?;
        ensure!(page.command("id -un")?.text == user());
        machine.forget_host_keys()?;

        let mark = machine.process().mark();
        refused(&chromium, &tailnet.shell_page(CHANGED)?).context("in Chromium")?;
        for engine in [Engine::Firefox, Engine::WebKit] {
            let browser = Browser::start(lab, engine)?;
            refused(&browser, &tailnet.shell_page(CHANGED)?).with_context(|| format!("in {engine:?}"))?;
        }
        let log = machine.process().output();
        let since: Vec<&str> = log.lines().skip(mark).filter(|line| line.contains("SSH login")).collect();
        ensure!(since.is_empty(), "somebody was logged in: {since:#?}");
        tailnet.headscale.delete_node(&node.id)
    })
}

fn refused(browser: &Browser, url: &str) -> Result<()> {
    let page = Page::open(browser, url)?;
    let error = page.error()?;
    error.expect(
        "host-key",
        "This is not the changed that the tailnet knows.",
        "SHA256:",
        "Do not log in.",
    )?;
    ensure!(error.seen.matches("SHA256:").count() >= 2, "both keys are to be shown: {}", error.seen);
    let asked = browser.evaluate("document.querySelector('dialog[open]') !== null")?;
    ensure!(asked == false, "a person was asked, who can't know");
    Ok(())
}
