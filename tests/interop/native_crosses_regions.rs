//! Our node and a `tailscaled` whose homes are two relays that know nothing of each other reach each other, in both
//! directions: each dials the other's.

use anyhow::{Result, ensure};
use dayfly_tests::native::{NativeNode, NativeOptions};
use dayfly_tests::tailnet::MACHINE;
use dayfly_tests::{
    Headscale, HeadscaleOptions, KeyOptions, Region, Relay, RelayOptions, Tailscaled, TailscaledOptions,
    scenario,
};

/// The regions that `tailscaled` and our node are at home in.
const THEIRS: u16 = 901;
const OURS: u16 = 902;

#[test]
fn both_ways() -> Result<()> {
    scenario(|lab| {
        let theirs = Relay::start(
            lab,
            RelayOptions { region: Some(Relay::reserve(THEIRS)?), ..RelayOptions::default() },
        )?;
        // What answers no STUN, `tailscaled` does not make its home.
        let silent = Region { stun_port: None, ..Relay::reserve(OURS)? };
        let ours = Relay::start(lab, RelayOptions { region: Some(silent), ..RelayOptions::default() })?;
        let options =
            HeadscaleOptions { regions: vec![theirs.region(), ours.region()], ..HeadscaleOptions::default() };
        let headscale = Headscale::start(lab, &options)?;
        let key = headscale.preauth_key(&KeyOptions::default())?;
        let machine = Tailscaled::join(lab, headscale.url(), &key, TailscaledOptions::machine(MACHINE))?;

        let options = NativeOptions::new("elsewhere", &headscale.ephemeral_key()?);
        let node = NativeNode::start(lab, headscale.url(), options)?;
        // A region that it can't dial, the node does not make its home either.
        node.cut_off(THEIRS, true);
        node.until_running()?;
        ensure!(node.node().status().home == Some(u32::from(OURS)), "{:?}", node.node().status());
        node.cut_off(THEIRS, false);
        node.until_sees(MACHINE)?;
        let home = node.node().with_netmap(|map| map.peers().find_map(|peer| peer.home_region()));
        ensure!(home == Some(u32::from(THEIRS)), "the machine's home is {home:?}");

        let session = node.ssh(MACHINE, "root")?;
        let ran = node.run(&session, "id -un", b"")?;
        ensure!(ran.text() == "root", "{ran:?}");
        machine.until_sees("elsewhere")?;
        let pong = machine.ping("elsewhere")?;
        ensure!(pong.contains("via DERP"), "{pong}");
        ensure!(node.node().status().home == Some(u32::from(OURS)), "{:?}", node.node().status());
        Ok(())
    })
}
