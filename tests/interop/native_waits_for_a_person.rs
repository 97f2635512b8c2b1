//! Without an auth key our node reports where a person has to log in, and goes on by itself once that is done.

use anyhow::{Context as _, Result, ensure};
use dayfly_node::NodeEvent;
use dayfly_tests::wait::READY;
use dayfly_tests::{Headscale, HeadscaleOptions, NativeNode, NativeOptions, Relay, RelayOptions, scenario};

#[test]
fn to_log_in() -> Result<()> {
    scenario(|lab| {
        let relay = Relay::start(lab, RelayOptions::default())?;
        let headscale = Headscale::start(lab, &HeadscaleOptions::with_region(relay.region()))?;
        let options = NativeOptions { auth_key: None, ..NativeOptions::new("visitor", "") };
        let node = NativeNode::start(lab, headscale.url(), options)?;
        let url = node.event("AuthUrl", |event| match event {
            NodeEvent::AuthUrl(url) => Some(url.clone()),
            _ => None,
        })?;
        ensure!(url.starts_with(headscale.url()), "the login page is {url}");
        ensure!(headscale.nodes()?.is_empty(), "nobody has approved it yet");
        headscale.approve_login(url.rsplit('/').next().context("no id in the address")?)?;
        node.until_running()?;
        let registered = node.until_registered()?;
        ensure!(
            registered.user.display_name.contains("ada") || registered.login.login_name.contains("ada"),
            "{registered:?}"
        );
        headscale.until_online("visitor", READY)?;
        Ok(())
    })
}
