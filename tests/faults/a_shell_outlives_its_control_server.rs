//! A shell goes on while the control server is dead, and when it is back the node hears of changes again.

use anyhow::Result;
use dayfly_ssh::Pty;
use dayfly_tests::native::ask;
use dayfly_tests::tailnet::MACHINE;
use dayfly_tests::{Tailnet, Via, scenario};

#[test]
fn and_the_node_is_told_of_changes_afterwards() -> Result<()> {
    scenario(|lab| {
        let mut tailnet = Tailnet::start(lab, Via::OurRelay)?;
        let node = tailnet.join(lab, "steady")?;
        let session = node.ssh(MACHINE, "root")?;
        let mut shell = node.block_on(session.shell(Pty::new(80, 24)))??;
        node.block_on(ask(&mut shell, "echo $((40 + 1))", "41"))??;

        let mark = node.mark();
        tailnet.headscale.kill();
        node.until_disconnected(mark)?;
        node.block_on(ask(&mut shell, "echo $((40 + 2))", "42"))??;
        // A second session needs the control server no more than the first.
        let second = node.ssh(MACHINE, "root")?;
        node.run(&second, "true", b"")?;

        tailnet.headscale.restart(lab)?;
        node.node().retry_now();
        let newcomer = tailnet.join(lab, "newcomer")?;
        node.until_sees("newcomer")?;
        newcomer.until_sees("steady")?;
        node.block_on(ask(&mut shell, "echo $((40 + 3))", "43"))?
    })
}
