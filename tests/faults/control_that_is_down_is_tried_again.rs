//! A control server that can't be reached is an error that says so; the node goes on trying, and joins when the server
//! is there.

use anyhow::{Result, bail, ensure};
use dayfly_node::{ControlError, DialError};
use dayfly_tests::{Headscale, HeadscaleOptions, NativeNode, NativeOptions, Relay, RelayOptions, scenario};

#[test]
fn until_it_is_there() -> Result<()> {
    scenario(|lab| {
        let relay = Relay::start(lab, RelayOptions::default())?;
        let mut headscale = Headscale::start(lab, &HeadscaleOptions::with_region(relay.region()))?;
        let options = NativeOptions::new("early", &headscale.ephemeral_key()?);
        headscale.kill();
        let node = NativeNode::start(lab, headscale.url(), options)?;
        for _ in 0..2 {
            let mark = node.mark();
            let error = node.until_disconnected(0)?;
            let (ControlError::KeyFetch(error) | ControlError::Dial(error)) = error else {
                bail!("it failed otherwise: {error:?}")
            };
            ensure!(matches!(error, DialError::Unreachable { .. }), "it failed otherwise: {error:?}");
            ensure!(error.to_string().contains(headscale.url()), "it does not name the server: {error}");
            node.node().retry_now();
            node.until_disconnected(mark)?;
        }
        headscale.restart(lab)?;
        node.node().retry_now();
        node.until_running()
    })
}
