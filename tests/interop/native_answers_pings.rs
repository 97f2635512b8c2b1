//! A real `tailscaled` reaches our node through the relay by each kind of `tailscale ping`: disco, TSMP and ICMP.

use anyhow::{Context as _, Result, ensure};
use dayfly_tests::process::output_of;
use dayfly_tests::tailnet::on_shared_tailnet;
use dayfly_tests::wait::{READY, until};

#[test]
fn of_each_kind() -> Result<()> {
    on_shared_tailnet(|lab, tailnet| {
        let node = tailnet.join(lab, "pinged")?;
        let machine = &tailnet.machine;
        machine.until_sees("pinged")?;
        let addresses = node.node().with_netmap(|map| {
            let me = map.self_node()?;
            Some([me.ipv4()?.to_string(), me.ipv6()?.to_string()])
        });
        for address in addresses.context("the node has not both kinds of addresses")? {
            let pong = machine.ping(&address)?;
            ensure!(pong.contains("via DERP(lab901)"), "disco to {address}: {pong}");
            for (kind, name) in [("--tsmp", "TSMP"), ("--icmp", "ICMP")] {
                // The first packets may be lost while the tunnel is being set up.
                let pong = until(&format!("a {name} pong from {address}"), READY, || {
                    let mut command = machine.command().ok()?;
                    command.args(["ping", kind, "--c", "1", "--timeout", "2s", &address]);
                    let output = output_of(command, READY).ok()?;
                    let text = String::from_utf8_lossy(&output.stdout).into_owned();
                    text.lines().find(|line| line.starts_with("pong")).map(str::to_owned)
                })?;
                ensure!(pong.contains(&format!("via {name}")), "{name} to {address}: {pong}");
            }
        }
        Ok(())
    })
}
