//! Two real `tailscaled`, which never send by UDP, reach each other through one relay: first through Tailscale's own
//! `derper`, which proves the harness, then through ours alone.

use anyhow::{Result, ensure};
use dayfly_tests::{
    Derper, Headscale, HeadscaleOptions, KeyOptions, Lab, Region, Relay, RelayOptions, Tailscaled,
    TailscaledOptions, scenario,
};

#[test]
fn through_derper_with_tls() -> Result<()> {
    scenario(|lab| {
        let derper = Derper::start(lab, 900, true)?;
        meet(lab, derper.region(), false)
    })
}

#[test]
fn through_our_relay() -> Result<()> {
    scenario(|lab| {
        let relay = Relay::start(lab, RelayOptions::default())?;
        meet(lab, relay.region(), true)
    })
}

fn meet(lab: &Lab, region: Region, plain_relay: bool) -> Result<()> {
    let id = region.id;
    let options = HeadscaleOptions { regions: vec![region], ..HeadscaleOptions::default() };
    let headscale = Headscale::start(lab, &options)?;
    let key = headscale.preauth_key(&KeyOptions { reusable: true, ..KeyOptions::default() })?;
    let join = |name: &str| {
        let options = TailscaledOptions { plain_relay, ..TailscaledOptions::machine(name) };
        Tailscaled::join(lab, headscale.url(), &key, options)
    };
    let (near, far) = (join("near")?, join("far")?);
    near.until_sees("far")?;
    far.until_sees("near")?;

    let pong = near.ping(&far.address()?)?;
    ensure!(pong.contains(&format!("via DERP(lab{id})")), "the pong came another way: {pong}");

    let shell = near.ssh("root", "far", "id -un; exit 3")?;
    let said = String::from_utf8_lossy(&shell.stdout);
    ensure!(said.trim() == "root", "the shell said {said:?}: {}", String::from_utf8_lossy(&shell.stderr));
    ensure!(shell.status.code() == Some(3), "the shell's exit status came as {}", shell.status);

    let report = near.netcheck()?;
    ensure!(report["UDP"] == true, "no answer by STUN: {report}");
    ensure!(report["RegionLatency"][id.to_string()].is_number(), "no latency of region {id}: {report}");
    Ok(())
}
