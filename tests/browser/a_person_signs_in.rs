//! Without an auth key the page shows where to sign in, and goes on by itself when the login has been approved.

use anyhow::{Context as _, Result, ensure};
use dayfly_tests::tailnet::{MACHINE, on_shared_tailnet, user};
use dayfly_tests::{Browser, Engine, Page};

in_each_engine!(sign_in);

fn sign_in(engine: Engine) -> Result<()> {
    on_shared_tailnet(|lab, tailnet| {
        let browser = Browser::start(lab, engine)?;
        let page = Page::open(&browser, &tailnet.page(&[("user", user())]))?;
        page.until("join")?;
        page.wait("document.querySelector('#field-control').value !== ''")?;
        page.act("join")?;
        page.until("needs-login")?;
        let shown = page.wait("document.querySelector('[data-auth-url]').dataset.authUrl")?;
        let url = shown.as_str().context("no address to sign in at")?;
        let rest = url.strip_prefix(tailnet.headscale.url());
        ensure!(rest.is_some(), "the address to sign in at is not Headscale's: {url}");
        let (_, id) = url.rsplit_once('/').context("the address has no path")?;
        tailnet.headscale.approve_login(id)?;

        page.until("machines")?;
        page.connect(MACHINE)?;
        page.until("terminal")?;
        let shell = page.command("id -un")?;
        ensure!(shell.text == user(), "the shell said {shell:?}");
        Ok(())
    })
}
