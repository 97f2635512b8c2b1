//! The way to the machine may lead over Tailscale's `derper`, with TLS as everywhere outside, or over the relay inside
//! Headscale.

use anyhow::{Context as _, Result, ensure};
use dayfly_tests::tailnet::{MACHINE, Tailnet, user};
use dayfly_tests::{Browser, Engine, Lab, Page, Via, scenario};

#[test]
fn derper_with_tls() -> Result<()> {
    scenario(|lab| shells(lab, Via::Derper))
}

#[test]
fn the_relay_inside_headscale() -> Result<()> {
    scenario(|lab| shells(lab, Via::Embedded))
}

fn shells(lab: &Lab, via: Via) -> Result<()> {
    let tailnet = Tailnet::start(lab, via)?;
    for engine in [Engine::Chromium, Engine::Firefox, Engine::WebKit] {
        shell(lab, &tailnet, engine).with_context(|| format!("in {engine:?}"))?;
    }
    Ok(())
}

fn shell(lab: &Lab, tailnet: &Tailnet, engine: Engine) -> Result<()> {
    let browser = Browser::start(lab, engine)?;
    let page = Page::open_shell(&browser, &tailnet.shell_page(MACHINE)?)?;
    // Many packets, so that acknowledgements come back over the relay as well, and no more lines than the terminal keeps.
    let shell =
        page.command("id -un; base64 /dev/zero | head -c 200000 | cksum; base64 /dev/zero | head -c 200000")?;
    ensure!(shell.text.starts_with(&format!("{}\n", user())), "the shell said {:.80}", shell.text);
    page.type_text("exit 5\r")?;
    page.until("ended")?;
    ensure!(page.heading()? == "Shell ended with status 5", "the page says: {}", page.heading()?);
    Ok(())
}
