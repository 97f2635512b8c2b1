//! A shell goes on when the relay under it is killed and started again, and while the control server is down; the page
//! hears of changes again when that is back.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use dayfly_tests::tailnet::{MACHINE, Tailnet};
use dayfly_tests::wait::READY;
use dayfly_tests::{Browser, Engine, Lab, Page, Via, scenario};

/// Longest time that a way that was lost may take to be back: several attempts with growing pauses, at both of its ends.
const BACK: Duration = Duration::from_secs(60);

#[test]
fn in_all_engines() -> Result<()> {
    scenario(|lab| {
        let mut tailnet = Tailnet::start(lab, Via::OurRelay)?;
        let mut browsers = Vec::new();
        for engine in [Engine::Chromium, Engine::Firefox, Engine::WebKit] {
            browsers.push(Browser::start(lab, engine)?);
        }
        let mut pages = Vec::new();
        for browser in &browsers {
            let page = Page::open_shell(browser, &tailnet.shell_page(MACHINE)?)?;
            let shell = page.command("kept=$$; echo $$")?.text;
            pages.push((browser.engine(), page, shell));
        }

        tailnet.relay.kill();
        for (engine, page, _) in &pages {
            // Typed into a way that is gone: it has to arrive when there is one again.
            page.type_text(" printf '%s-%s\\n' typed meanwhile\r")
                .with_context(|| format!("in {engine:?}"))?;
        }
        tailnet.relay.restart(lab)?;
        for (engine, page, shell) in &pages {
            page.see_within("typed-meanwhile", BACK)
                .and_then(|()| same_shell(page, shell))
                .with_context(|| format!("after the relay was away, in {engine:?}"))?;
        }

        tailnet.headscale.kill();
        for (engine, page, shell) in &pages {
            page.wait("document.querySelector('#shells .chip').textContent === 'Reconnecting'")
                .and_then(|_| same_shell(page, shell))
                .with_context(|| format!("without the control server, in {engine:?}"))?;
        }
        back(lab, &mut tailnet, &pages)
    })
}

type Shell<'a> = (Engine, Page<'a>, String);

fn same_shell(page: &Page<'_>, shell: &str) -> Result<()> {
    let said = page.command("echo $kept")?;
    ensure!(said.text == shell, "it is another shell, or none: {said:?}");
    Ok(())
}

/// Bring Headscale back, and see that each page hears of a change and ends well.
fn back(lab: &Lab, tailnet: &mut Tailnet, pages: &[Shell<'_>]) -> Result<()> {
    tailnet.headscale.restart(lab)?;
    let machine = tailnet.headscale.until_online(MACHINE, READY)?;
    tailnet.headscale.cli(&["nodes", "rename", "--identifier", &machine.id, "renamed"])?;
    for (engine, page, shell) in pages {
        let renamed = "dayfly.tailnet.machines().some(machine => machine.shortName === 'renamed')";
        page.wait_within(renamed, BACK)
            .with_context(|| format!("after Headscale was away, in {engine:?}"))?;
        same_shell(page, shell)?;
        let node = page.node()?;
        page.type_text("exit\r")?;
        page.until("ended")?;
        tailnet.until_gone(&node, Duration::from_secs(5))?;
    }
    Ok(())
}
