//! An ephemeral node of ours is removed from Headscale when it logs out, at once, and not before: one that merely
//! vanishes stays until its time is over.

use std::time::Instant;

use anyhow::{Result, ensure};
use dayfly_tests::native::GONE;
use dayfly_tests::tailnet::on_shared_tailnet;
use dayfly_tests::wait::{READY, until};

#[test]
fn as_a_node_that_has_time_to_wait() -> Result<()> {
    on_shared_tailnet(|lab, tailnet| {
        let node = tailnet.join(lab, "logs-out")?;
        tailnet.headscale.until_online("logs-out", READY)?;
        let start = Instant::now();
        node.logout()?;
        tailnet.headscale.until_removed("logs-out", GONE.saturating_sub(start.elapsed()))?;
        ensure!(node.until_ended()?.is_none(), "the last event is not LoggedOut");
        Ok(())
    })
}

#[test]
fn as_a_page_that_is_closed() -> Result<()> {
    on_shared_tailnet(|lab, tailnet| {
        let node = tailnet.join(lab, "is-closed")?;
        tailnet.headscale.until_online("is-closed", READY)?;
        ensure!(node.logout_now()?, "there was no connection to log out on");
        tailnet.headscale.until_removed("is-closed", GONE)?;
        ensure!(!node.logout_now()?, "a second logout found a connection");
        Ok(())
    })
}

#[test]
fn but_not_when_it_vanishes() -> Result<()> {
    on_shared_tailnet(|lab, tailnet| {
        let node = tailnet.join(lab, "vanishes")?;
        tailnet.headscale.until_online("vanishes", READY)?;
        drop(node);
        until("the node to be away", READY, || {
            tailnet.headscale.node("vanishes").ok().flatten().filter(|node| !node.online)
        })
        .map(drop)
    })
}
