//! A link with an ephemeral auth key leads to a shell on a real `tailscaled` through our relay, by Tailscale SSH alone.
//! The shell's exit status is told, and with the shell its node leaves Headscale at once.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use dayfly_tests::tailnet::{MACHINE, on_shared_tailnet, user};
use dayfly_tests::{Browser, Engine, Page};

/// The longest that a node which was closed properly may stay with Headscale.
const GONE: Duration = Duration::from_secs(2);

in_each_engine!(shell);

fn shell(engine: Engine) -> Result<()> {
    on_shared_tailnet(|lab, tailnet| {
        let browser = Browser::start(lab, engine)?;
        let page = Page::open_shell(&browser, &tailnet.shell_page(MACHINE)?)?;
        let node = page.node()?;
        ensure!(tailnet.has_node(&node)?, "Headscale does not know the page's node {node}");

        let shell = page.command("id -un; echo \"$TERM\"; tty; (exit 7)")?;
        let lines: Vec<&str> = shell.text.lines().collect();
        let [name, terminal, tty] = lines[..] else { bail!("the shell said {shell:?}") };
        ensure!(name == user() && terminal == "xterm-256color", "the shell said {shell:?}");
        ensure!(tty.starts_with("/dev/pts/"), "the shell said {shell:?}");
        ensure!(shell.status == 7, "the command's status came as {}", shell.status);

        let ending = Instant::now();
        page.type_text("exit 3\r")?;
        tailnet.until_gone(&node, GONE)?;
        let took = ending.elapsed();
        page.until("ended")?;
        ensure!(page.heading()? == "Shell ended with status 3", "the page says: {}", page.heading()?);
        page.wait("document.querySelector('[data-node=gone]')")?;
        ensure!(took <= GONE, "the node was gone only after {took:?}");
        Ok(())
    })
}
