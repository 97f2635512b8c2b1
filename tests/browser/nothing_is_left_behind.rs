//! A session leaves nothing in the browser: no key in the address bar or the history, nothing in any storage. Nothing
//! foreign is asked for, and the content security policy has nothing to object to.

use anyhow::{Result, ensure};
use dayfly_tests::page::STATE;
use dayfly_tests::tailnet::{MACHINE, on_shared_tailnet, user};
use dayfly_tests::wait::until;
use dayfly_tests::{Browser, Engine, Page};
use serde_json::json;

/// Everything that a page can keep, as one object; what an engine does not have is left out.
const STORED: &str = "Promise.all([
    indexedDB.databases?.() ?? [], globalThis.caches?.keys() ?? [],
    navigator.serviceWorker?.getRegistrations() ?? [], navigator.storage?.getDirectory?.().then(
      async root => { const names = []; for await (const name of root.keys()) names.push(name); return names; },
      () => []) ?? [],
  ]).then(([databases, caches, workers, files]) => ({
    local: localStorage.length, session: sessionStorage.length, cookies: document.cookie,
    databases: databases.length, caches: caches.length, workers: workers.length, files: files.length }))";

in_each_engine!(nothing);

fn nothing(engine: Engine) -> Result<()> {
    on_shared_tailnet(|lab, tailnet| {
        let browser = Browser::start(lab, engine)?;
        let key = tailnet.headscale.ephemeral_key()?;
        let url = tailnet.page(&[("authkey", &key), ("host", MACHINE), ("user", user())]);
        let page = Page::open_shell(&browser, &url)?;

        let bare = format!("{}/", tailnet.origin());
        ensure!(browser.address()? == bare, "the address bar shows {}", browser.address()?);
        let html = browser.evaluate("document.documentElement.outerHTML")?;
        ensure!(!html.as_str().unwrap_or(&key).contains(&key), "the key is in the document");

        page.command("echo $'\\e]0;a title\\a' $'\\e]8;;https://example.com\\e\\\\a link\\e]8;;\\e\\\\'")?;
        page.type_text("exit\r")?;
        page.until("ended")?;
        page.wait("document.querySelector('[data-node=gone]')")?;

        let stored = browser.resolve(STORED)?;
        let empty = json!({ "local": 0, "session": 0, "cookies": "", "databases": 0, "caches": 0, "workers": 0, "files": 0 });
        ensure!(stored == empty, "the page keeps {stored}");
        ensure!(browser.cookies()? == json!([]), "the page has cookies: {}", browser.cookies()?);

        let asked = "performance.getEntriesByType('resource').map(entry => entry.name)\
             .filter(name => !name.startsWith(location.origin + '/'))";
        ensure!(
            browser.evaluate(asked)? == json!([]),
            "other origins were asked: {}",
            browser.evaluate(asked)?
        );

        if engine == Engine::Chromium {
            let console = browser.console()?;
            ensure!(console.is_empty(), "the console shows {console:#?}");
        }
        // What is before it in the history is what was there before it, not the same page with a key.
        browser.run("history.back()", &[])?;
        let before =
            until("the page before", STATE, || browser.address().ok().filter(|address| *address != bare))?;
        ensure!(!before.contains(&key), "the history has the key: {before}");
        Ok(())
    })
}
