//! A shell goes on when the relay that carries it is killed and comes back, and when it announces its restart.

use std::time::Duration;

use anyhow::Result;
use dayfly_node::RelayState;
use dayfly_ssh::Pty;
use dayfly_tests::native::ask;
use dayfly_tests::tailnet::MACHINE;
use dayfly_tests::{Tailnet, Via, scenario};

#[test]
fn that_is_killed_or_restarted() -> Result<()> {
    scenario(|lab| {
        let mut tailnet = Tailnet::start(lab, Via::OurRelay)?;
        let node = tailnet.join(lab, "steady")?;
        let session = node.ssh(MACHINE, "root")?;
        let mut shell = node.block_on(session.shell(Pty::new(80, 24)))??;
        node.block_on(ask(&mut shell, "echo $((40 + 1))", "41"))??;
        let relay = &mut tailnet.relay;
        let region = relay.region().id;

        let mark = node.mark();
        relay.kill();
        node.until_relay(mark, region, "lost", |state| *state != RelayState::Connected)?;
        let mark = node.mark();
        relay.restart(lab)?;
        node.block_on(ask(&mut shell, "echo $((40 + 2))", "42"))??;
        node.until_relay(mark, region, "connected", |state| *state == RelayState::Connected)?;

        let mark = node.mark();
        relay.process().terminate(Duration::from_secs(30))?;
        node.until_relay(mark, region, "restarting", |state| *state == RelayState::Restarting)?;
        relay.restart(lab)?;
        node.block_on(ask(&mut shell, "echo $((40 + 3))", "43"))?
    })
}
