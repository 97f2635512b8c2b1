//! Closing the tab, or going to another page in it, removes the node long before Headscale would miss it.

use std::time::Duration;

use anyhow::{Context as _, Result};
use dayfly_tests::tailnet::{MACHINE, on_shared_tailnet};
use dayfly_tests::{Browser, Engine, Page};

/// Headscale's inactivity timeout is half an hour here: a node that is gone within this time has said so.
const GONE: Duration = Duration::from_secs(10);

in_each_engine!(close);

fn close(engine: Engine) -> Result<()> {
    on_shared_tailnet(|lab, tailnet| {
        let browser = Browser::start(lab, engine)?;

        // Firefox closes WebSockets before it tells a page that another one takes its place: nothing can be sent then.
        if engine != Engine::Firefox {
            let page = Page::open_shell(&browser, &tailnet.shell_page(MACHINE)?)?;
            let node = page.node()?;
            browser.open("about:blank")?;
            tailnet.until_gone(&node, GONE).context("after another page was opened in the tab")?;
        }

        // The last tab's end would be the browser's.
        let (first, _) = browser.new_tab()?;
        let page = Page::open_shell(&browser, &tailnet.shell_page(MACHINE)?)?;
        let node = page.node()?;
        browser.close_tab()?;
        browser.switch_to(&first)?;
        tailnet.until_gone(&node, GONE).context("after the tab was closed")?;
        Ok(())
    })
}
