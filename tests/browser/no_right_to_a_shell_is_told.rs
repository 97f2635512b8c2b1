//! A node that the tailnet's policy gives no shell is told so, and so is one that asks for a user who is not to be had.

use anyhow::{Context as _, Result};
use dayfly_tests::headscale::SERVER_TAG;
use dayfly_tests::tailnet::{MACHINE, on_shared_tailnet};
use dayfly_tests::{Browser, Engine, KeyOptions, Page};

in_each_engine!(refused);

fn refused(engine: Engine) -> Result<()> {
    on_shared_tailnet(|lab, tailnet| {
        let browser = Browser::start(lab, engine)?;

        // Machines may reach each other by this policy, but none may open a shell on another.
        let options = KeyOptions { ephemeral: true, tags: &[SERVER_TAG], ..KeyOptions::default() };
        let key = tailnet.headscale.preauth_key(&options)?;
        let page =
            Page::open(&browser, &tailnet.page(&[("authkey", &key), ("host", MACHINE), ("user", "root")]))?;
        let policy = "tailnet policy does not permit you to SSH to this node";
        page.error()?
            .expect("auth", "policy does not let you into box as root", policy, "`ssh` rule")
            .context("no rule")?;

        let key = tailnet.headscale.ephemeral_key()?;
        let page =
            Page::open(&browser, &tailnet.page(&[("authkey", &key), ("host", MACHINE), ("user", "nosuch")]))?;
        page.error()?
            .expect("auth", "does not let you into box as nosuch", "as user \"nosuch\"", "another user")
            .context("no such user")?;

        // The node is still there, and the way back leads to the machines.
        page.act("back")?;
        page.until("machines")?;
        page.connect(MACHINE)?;
        page.error()?
            .expect("auth", "does not let you into box as nosuch", "as user \"nosuch\"", "another user")
            .context("from the list")
    })
}
