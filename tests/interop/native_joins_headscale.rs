//! Our node joins a real Headscale by an auth key, over an HTTP upgrade as over a WebSocket, in the clear as over
//! TLS, and sees the machines of the tailnet as they come and go.

use std::net::IpAddr;

use anyhow::{Context as _, Result, bail, ensure};
use dayfly_node::ControlError;
use dayfly_tests::native::{Carrier, NativeNode, NativeOptions};
use dayfly_tests::tailnet::{MACHINE, on_shared_tailnet};
use dayfly_tests::wait::READY;
use dayfly_tests::{Headscale, HeadscaleOptions, Relay, RelayOptions, scenario};

#[test]
fn by_upgrade_and_sees_the_machine() -> Result<()> {
    on_shared_tailnet(|lab, tailnet| {
        let options = NativeOptions { carrier: Carrier::Upgrade, ..tailnet.options("by-upgrade")? };
        sees_the_machine(&NativeNode::join(lab, tailnet.headscale.url(), options)?)
    })
}

#[test]
fn by_websocket_and_sees_the_machine() -> Result<()> {
    on_shared_tailnet(|lab, tailnet| {
        let options = NativeOptions { carrier: Carrier::WebSocket, ..tailnet.options("by-websocket")? };
        sees_the_machine(&NativeNode::join(lab, tailnet.headscale.url(), options)?)
    })
}

fn sees_the_machine(node: &NativeNode) -> Result<()> {
    let registered = node.until_registered()?;
    ensure!(registered.authorized, "{registered:?}");
    node.until_sees(MACHINE)?;
    node.node().with_netmap(|map| {
        let me = map.self_node().context("the map does not describe the node itself")?;
        ensure!(me.name().ends_with(".tail.test"), "its own name is {:?}", me.name());
        ensure!(map.magic_dns_suffix() == "tail.test", "the suffix is {:?}", map.magic_dns_suffix());
        let machine = map.peers().find(|peer| peer.short_name() == MACHINE).context("no machine")?;
        ensure!(machine.name() == "box.tail.test", "its name is {:?}", machine.name());
        ensure!(machine.online() == Some(true) && machine.offers_ssh() && machine.os() == "linux");
        ensure!(machine.home_region() == Some(901), "its relay is {:?}", machine.home_region());
        ensure!(
            machine.user().is_some_and(|user| user.login_name.starts_with("ada")),
            "{:?}",
            machine.user()
        );
        let (v4, v6) = (machine.ipv4().context("no IPv4")?, machine.ipv6().context("no IPv6")?);
        for host in [MACHINE, "BOX", "box.tail.test.", &v4.to_string(), &format!("[{v6}]")] {
            let target = map.resolve(host).with_context(|| host.to_owned())?;
            ensure!(target.peer == machine.id(), "{host} leads to {target:?}");
            ensure!([v4, v6].contains(&target.address) && target.address.is_ipv6() == host.contains(':'));
        }
        ensure!(map.peer_by_address(IpAddr::from([127, 0, 0, 1])).is_none());
        Ok(())
    })
}

#[test]
fn and_sees_others_come_and_go() -> Result<()> {
    on_shared_tailnet(|lab, tailnet| {
        let stays = tailnet.join(lab, "stays")?;
        let goes = tailnet.join(lab, "goes")?;
        stays.until_sees("goes")?;
        goes.until_sees("stays")?;
        goes.logout()?;
        stays.until_map("the other node gone", |map| {
            map.peers().all(|peer| peer.short_name() != "goes").then_some(())
        })
    })
}

#[test]
fn over_tls_if_it_trusts_the_certificate() -> Result<()> {
    scenario(|lab| {
        let relay = Relay::start(lab, RelayOptions::default())?;
        let options = HeadscaleOptions { tls: true, ..HeadscaleOptions::with_region(relay.region()) };
        let headscale = Headscale::start(lab, &options)?;
        let trust = headscale.certificate().cloned();
        for (name, carrier) in [("tls-upgrade", Carrier::Upgrade), ("tls-websocket", Carrier::WebSocket)] {
            let options = NativeOptions::new(name, &headscale.ephemeral_key()?);
            let options = NativeOptions { carrier, trust: trust.clone(), ..options };
            let node = NativeNode::join(lab, headscale.url(), options)?;
            headscale.until_online(name, READY)?;
            node.logout()?;
        }
        let options = NativeOptions::new("distrusts", &headscale.ephemeral_key()?);
        let node = NativeNode::start(lab, headscale.url(), options)?;
        let error = node.until_disconnected(0)?;
        let ControlError::KeyFetch(error) = error else { bail!("it failed otherwise: {error:?}") };
        ensure!(error.to_string().contains("certificate"), "it does not name the certificate: {error}");
        Ok(())
    })
}
