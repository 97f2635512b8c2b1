//! A machine that is offline, a relay that is down and a control server that is down each end in an error that says
//! which it is, in each engine.

use std::{fs, thread};

use anyhow::{Context as _, Result, bail, ensure};
use dayfly_tests::tailnet::MACHINE;
use dayfly_tests::wait::READY;
use dayfly_tests::{
    Browser, Engine, Gateway, GatewayOptions, Headscale, HeadscaleOptions, KeyOptions, Lab, Page, Relay,
    RelayOptions, Tailscaled, TailscaledOptions, scenario, tools,
};

#[test]
fn in_all_engines() -> Result<()> {
    scenario(|lab| {
        let mut relay = Relay::start(lab, RelayOptions::default())?;
        let mut headscale = Headscale::start(lab, &HeadscaleOptions::with_region(relay.region()))?;
        let config = lab.peer_dir("page")?.join("config.json");
        fs::write(&config, r#"{ "controlUrl": "/", "joinByLink": true }"#)?;
        let options = GatewayOptions {
            control: headscale.url().to_owned(),
            www: Some(tools::dist()),
            arguments: vec!["--page-config".to_owned(), config.display().to_string()],
            ..GatewayOptions::default()
        };
        let gateway = Gateway::start(lab, &options)?;
        let page = gateway.url();
        let key = headscale.preauth_key(&KeyOptions::default())?;
        let mut machine = Tailscaled::join(lab, headscale.url(), &key, TailscaledOptions::machine(MACHINE))?;
        headscale.until_online(MACHINE, READY)?;
        let options = KeyOptions { ephemeral: true, reusable: true, ..KeyOptions::default() };
        let key = headscale.preauth_key(&options)?;
        let link = format!("{page}/#control={page}&authkey={key}");
        let to_machine = format!("{link}&host={MACHINE}&user=root");

        let browsers = start_browsers(lab)?;
        in_each(&browsers, |browser| Page::open(browser, &link)?.until("machines"))?;

        relay.kill();
        in_each(&browsers, |browser| {
            let page = Page::attach(browser);
            page.connect(MACHINE)?;
            page.error()?.expect("relay", "The relay of box can't be reached.", "lab901", "relay runs")
        })
        .context("a relay that went down")?;
        in_each(&browsers, |browser| {
            let page = Page::open(browser, &link)?;
            page.error()?.expect("relay", "The relay lab901 can't be reached.", "127.0.0.1", "it runs")
        })
        .context("a relay that is down")?;

        relay.restart(lab)?;
        machine.process().kill();
        in_each(&browsers, |browser| {
            let page = Page::open(browser, &link)?;
            page.until("machines")?;
            page.wait(&format!(
                "document.querySelector('[data-machine={MACHINE}][data-state=offline] button:disabled')"
            ))?;
            let page = Page::open(browser, &to_machine)?;
            page.error()?.expect("wireguard", "box is offline.", "control server", "Turn it on")
        })
        .context("a machine that is off")?;

        let address = headscale.url().to_owned();
        headscale.kill();
        in_each(&browsers, |browser| {
            let page = Page::open(browser, &to_machine)?;
            let error = page.error()?;
            error
                .expect("control", "The control server does not answer.", "502", "runs")
                .context("behind a gateway")?;
            let page = Page::open(browser, &format!("{}/#control={address}&authkey={key}", gateway.url()))?;
            page.act("confirm")?;
            page.error()?.expect("control", "The control server does not answer.", &address, "runs")
        })
        .context("a control server that is down")
    })
}

fn start_browsers(lab: &Lab) -> Result<Vec<Browser>> {
    let engines = [Engine::Chromium, Engine::Firefox, Engine::WebKit];
    engines.into_iter().map(|engine| Browser::start(lab, engine)).collect()
}

/// Do the same in each browser at once.
fn in_each(browsers: &[Browser], work: impl Fn(&Browser) -> Result<()> + Sync) -> Result<()> {
    let outcomes: Vec<Result<()>> = thread::scope(|scope| {
        let work = &work;
        let running: Vec<_> = browsers.iter().map(|browser| scope.spawn(move || work(browser))).collect();
        running.into_iter().map(|running| running.join().unwrap_or_else(|_| bail!("it panicked"))).collect()
    });
    ensure!(outcomes.len() == browsers.len(), "a browser was left out");
    for (browser, outcome) in browsers.iter().zip(outcomes) {
        outcome.with_context(|| format!("in {:?}", browser.engine()))?;
    }
    Ok(())
}
