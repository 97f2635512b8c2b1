//! A Headscale lets no page of another site read its answers, and the page says so. Through our gateway the same browser
//! gets a shell, over a relay behind the gateway: the page may connect to nothing else.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use dayfly_tests::tailnet::{MACHINE, user};
use dayfly_tests::wait::{READY, free_port};
use dayfly_tests::{
    Browser, Engine, Gateway, GatewayOptions, Headscale, HeadscaleOptions, KeyOptions, Lab, Page, Relay,
    RelayOptions, Tailscaled, TailscaledOptions, scenario, tools,
};

#[test]
fn in_all_engines() -> Result<()> {
    scenario(|lab| {
        let relay = Relay::start(lab, RelayOptions::default())?;
        let headscale = Headscale::start(lab, &HeadscaleOptions::with_region(relay.region()))?;
        let key = headscale.preauth_key(&KeyOptions::default())?;
        let _machine = Tailscaled::join(lab, headscale.url(), &key, TailscaledOptions::machine(MACHINE))?;
        headscale.until_online(MACHINE, READY)?;
        let gateway = start_gateway(lab, &headscale, &relay)?;
        for engine in [Engine::Chromium, Engine::Firefox, Engine::WebKit] {
            reach(&Browser::start(lab, engine)?, &headscale, &gateway.url())
                .with_context(|| format!("in {engine:?}"))?;
        }
        Ok(())
    })
}

/// A gateway to both, whose page is allowed to connect to the gateway itself and to try Headscale.
fn start_gateway(lab: &Lab, headscale: &Headscale, relay: &Relay) -> Result<Gateway> {
    let port = free_port()?;
    let config = lab.peer_dir("page")?.join("config.json");
    let relays = format!(r#"{{ "*": "ws://127.0.0.1:{port}" }}"#);
    let settings =
        format!(r#"{{ "controlUrl": "/", "relays": {relays}, "testHooks": true, "joinByLink": true }}"#);
    fs::write(&config, settings)?;
    let sources = format!("ws://127.0.0.1:{port},{}", headscale.url());
    let config = config.display().to_string();
    Gateway::start(
        lab,
        &GatewayOptions {
            port: Some(port),
            control: headscale.url().to_owned(),
            derp: Some(relay.url()),
            www: Some(tools::dist()),
            arguments: ["--page-config", &config, "--connect-src", &sources].map(str::to_owned).into(),
        },
    )
}

fn reach(browser: &Browser, headscale: &Headscale, gateway: &str) -> Result<()> {
    let key = headscale.ephemeral_key()?;
    let page = Page::open(browser, &format!("{gateway}/#control={}&authkey={key}", headscale.url()))?;
    page.act("confirm")?;
    let error = page.error()?;
    error.expect("control", "does not let this page in", headscale.url(), "gateway").context("without it")?;

    let url = format!("{gateway}/#authkey={key}&host={MACHINE}&user={}", user());
    let page = Page::open_shell(browser, &url).context("through the gateway")?;
    let shell = page.command("id -un")?;
    ensure!(shell.text == user(), "the shell said {shell:?}");
    page.type_text("exit 6\r")?;
    page.until("ended")?;
    ensure!(page.heading()? == "Shell ended with status 6", "the page says: {}", page.heading()?);
    page.wait("document.querySelector('[data-node=gone]')").map(drop)
}
