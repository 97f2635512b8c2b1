//! Each state of the page fits a desktop's and a phone's width, in light and in dark; the pictures are in
//! `target/screenshots`, for people to look at.

use anyhow::{Result, ensure};
use dayfly_tests::tailnet::{MACHINE, on_shared_tailnet};
use dayfly_tests::{Browser, Engine, Page};

#[test]
fn in_chromium() -> Result<()> {
    on_shared_tailnet(|lab, tailnet| {
        let browser = Browser::start(lab, Engine::Chromium)?;
        let mut taken = Vec::new();

        let page = Page::open(&browser, &tailnet.page(&[]))?;
        page.until("join")?;
        page.wait("document.querySelector('#field-control').value !== ''")?;
        taken.extend(browser.pictures("join")?);
        page.act("join")?;
        page.until("needs-login")?;
        taken.extend(browser.pictures("needs-login")?);

        let page = Page::open(&browser, &tailnet.machines_page()?)?;
        page.until("machines")?;
        page.wait(&format!("document.querySelector('[data-machine={MACHINE}]')"))?;
        taken.extend(browser.pictures("machines")?);

        page.connect(MACHINE)?;
        page.until("terminal")?;
        page.command(
            "ls -l --color=always /; printf '\\e[1;35m%s\\e[0m %s\\n' 'bold magenta' '日本語 🦋 ünï'",
        )?;
        taken.extend(browser.pictures("terminal")?);
        page.type_text("exit 3\r")?;
        page.until("ended")?;
        taken.extend(browser.pictures("ended")?);

        let page = Page::open(&browser, &tailnet.page(&[("authkey", "wrong")]))?;
        page.error()?;
        taken.extend(browser.pictures("error")?);

        ensure!(taken.len() == 24, "not all pictures were taken: {taken:?}");
        Ok(())
    })
}
