//! Two real `tailscaled`, which never send by UDP, reach each other through one relay: through Tailscale's own
//! `derper` and through Headscale's, which prove the harness, and through ours alone.

use std::thread;

use anyhow::{Result, bail, ensure};
use dayfly_tests::{
    Derper, Headscale, HeadscaleOptions, KeyOptions, Lab, Relay, RelayOptions, Tailscaled, TailscaledOptions,
    headscale::EMBEDDED_REGION, scenario,
};

#[test]
fn through_derper_with_tls() -> Result<()> {
    scenario(|lab| {
        let derper = Derper::start(lab, 900, true)?;
        let headscale = Headscale::start(lab, &HeadscaleOptions::with_region(derper.region()))?;
        meet(lab, &headscale, 900, "lab900", false)
    })
}

#[test]
fn through_the_relay_inside_headscale() -> Result<()> {
    scenario(|lab| {
        let options = HeadscaleOptions { embedded_derp: true, ..HeadscaleOptions::default() };
        meet(lab, &Headscale::start(lab, &options)?, EMBEDDED_REGION, "headscale", true)
    })
}

#[test]
fn through_our_relay() -> Result<()> {
    scenario(|lab| {
        let relay = Relay::start(lab, RelayOptions::default())?;
        let headscale = Headscale::start(lab, &HeadscaleOptions::with_region(relay.region()))?;
        meet(lab, &headscale, 901, "lab901", true)
    })
}

fn meet(lab: &Lab, headscale: &Headscale, id: u16, code: &str, plain_relay: bool) -> Result<()> {
    let key = headscale.preauth_key(&KeyOptions { reusable: true, ..KeyOptions::default() })?;
    let join = |name: &str| {
        let options = TailscaledOptions { plain_relay, ..TailscaledOptions::machine(name) };
        Tailscaled::join(lab, headscale.url(), &key, options)
    };
    let (near, far) = thread::scope(|scope| {
        let near = scope.spawn(|| join("near"));
        let far = join("far");
        (near.join(), far)
    });
    let (Ok(near), far) = (near, far?) else { bail!("joining panicked") };
    let near = near?;
    near.until_sees("far")?;
    far.until_sees("near")?;

    let pong = near.ping(&far.address()?)?;
    ensure!(pong.contains(&format!("via DERP({code})")), "the pong came another way: {pong}");

    let shell = near.ssh("root", "far", "id -un; exit 3")?;
    let said = String::from_utf8_lossy(&shell.stdout);
    ensure!(said.trim() == "root", "the shell said {said:?}: {}", String::from_utf8_lossy(&shell.stderr));
    ensure!(shell.status.code() == Some(3), "the shell's exit status came as {}", shell.status);

    let report = near.netcheck()?;
    ensure!(report["UDP"] == true, "no answer by STUN: {report}");
    ensure!(report["RegionLatency"][id.to_string()].is_number(), "no latency of region {id}: {report}");
    Ok(())
}
