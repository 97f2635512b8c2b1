//! The list shows the machines as they are; shells opened from it are tabs that share one node, and end one by one.

use std::time::Duration;

use anyhow::{Result, ensure};
use dayfly_tests::tailnet::{MACHINE, on_shared_tailnet};
use dayfly_tests::{Browser, Engine, Page};

in_each_engine!(shells);

fn shells(engine: Engine) -> Result<()> {
    on_shared_tailnet(|lab, tailnet| {
        let browser = Browser::start(lab, engine)?;
        let page = Page::open(&browser, &tailnet.machines_page()?)?;
        page.until("machines")?;
        let node = page.node()?;
        page.wait(&format!(
            "document.querySelector('[data-machine={MACHINE}][data-state=online][data-ssh=true]')"
        ))?;
        let row =
            browser.evaluate(&format!("document.querySelector('[data-machine={MACHINE}]').textContent"))?;
        for part in ["box.tail.test", "Linux", "100.64.", "Tailscale SSH"] {
            ensure!(
                row.as_str().unwrap_or_default().contains(part),
                "{part} is not in the machine's row: {row}"
            );
        }

        page.connect(MACHINE)?;
        page.until("terminal")?;
        let first = page.command("x=first; tty")?.text;
        page.act("more")?;
        page.until("machines")?;
        page.connect(MACHINE)?;
        page.wait("document.querySelectorAll('.pane[data-state=open]').length === 2")?;
        let second = page.command("x=second; tty")?.text;
        ensure!(first.starts_with("/dev/pts/") && second.starts_with("/dev/pts/") && first != second);

        // Both go on, whichever is in front, while one of them floods.
        page.type_text("yes\r")?;
        page.click(".tab:first-child [role=tab]")?;
        ensure!(page.command("echo $x")?.text == "first", "the first tab shows another shell");
        page.type_text("exit 1\r")?;
        page.until("ended")?;
        ensure!(page.heading()? == "Shell ended with status 1", "the page says: {}", page.heading()?);
        page.act("back")?;
        page.until("terminal")?;
        page.type_text("\u{3}")?;
        ensure!(page.command("echo $x")?.text == "second", "the second tab shows another shell");

        page.type_text("exit 2\r")?;
        page.until("ended")?;
        ensure!(tailnet.has_node(&node)?, "the node left while the page still needs it");
        page.act("leave")?;
        tailnet.until_gone(&node, Duration::from_secs(2))?;
        page.wait("document.querySelector('[data-node=gone]')")?;
        Ok(())
    })
}
