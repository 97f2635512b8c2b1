//! An auth key that is wrong, expired or used up ends in an error that says which of these it is.

use anyhow::{Context as _, Result, ensure};
use dayfly_tests::tailnet::on_shared_tailnet;
use dayfly_tests::{Browser, Engine, KeyOptions, Page, PageError};

in_each_engine!(keys);

fn keys(engine: Engine) -> Result<()> {
    on_shared_tailnet(|lab, tailnet| {
        let browser = Browser::start(lab, engine)?;
        let try_key = |key: &str| -> Result<PageError> {
            let page = Page::open(&browser, &tailnet.page(&[("authkey", key)]))?;
            let error = page.error()?;
            ensure!(!format!("{error:?}").contains(key), "the error shows the key itself");
            Ok(error)
        };

        let wrong = try_key(
            "hskey-auth-000000000000-0000000000000000000000000000000000000000000000000000000000000000",
        )?;
        wrong
            .expect("login", "does not know this auth key", "invalid pre auth key", "all of it was copied")
            .context("a wrong key")?;

        let options = KeyOptions { ephemeral: true, ..KeyOptions::default() };
        let (id, key) = tailnet.headscale.preauth_key_with_id(&options)?;
        tailnet.headscale.expire_key(&id)?;
        let expired = try_key(&key)?;
        expired
            .expect("login", "The auth key has expired.", "expired", "new one")
            .context("an expired key")?;

        let key = tailnet.headscale.ephemeral_key()?;
        Page::open(&browser, &tailnet.page(&[("authkey", &key)]))?.until("machines")?;
        let used = try_key(&key)?;
        used.expect("login", "The auth key is used up.", "used", "new one").context("a used key")?;

        let said = [&wrong.what, &expired.what, &used.what];
        ensure!(
            said.iter().enumerate().all(|(i, a)| !said[..i].contains(a)),
            "not each has its own: {said:?}"
        );
        Ok(())
    })
}
