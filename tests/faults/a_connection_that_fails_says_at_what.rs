//! Each way in which no shell comes about has an error of its own: no such machine, nobody listening, the policy, a
//! machine that takes no connections, no right to a shell, a relay that is down, a machine that is away.

use anyhow::{Context as _, Result, bail, ensure};
use dayfly_node::{RelayState, ResolveError, TcpError};
use dayfly_ssh::{ConnectError, Options, Unattended};
use dayfly_tests::native::{NativeNode, SSH};
use dayfly_tests::process::run_to_end;
use dayfly_tests::tailnet::MACHINE;
use dayfly_tests::wait::free_port;
use dayfly_tests::{HeadscaleOptions, Tailnet, Via, scenario};
use dayfly_wire::tsmp::RejectReason;

/// Connections to SSH and to one more port are allowed, and nobody gets a shell.
fn policy(open: u16) -> String {
    format!(
        r#"{{
          "tagOwners": {{ "tag:server": ["ada@"], "tag:browser": ["ada@"] }},
          "acls": [{{ "action": "accept", "src": ["*"], "dst": ["*:22,{open}"] }}],
          "ssh": []
        }}"#
    )
}

#[test]
fn at_the_name_the_port_the_policy_or_the_login() -> Result<()> {
    scenario(|lab| {
        let (open, closed) = (free_port()?, free_port()?);
        let options = HeadscaleOptions { policy: policy(open), ..HeadscaleOptions::default() };
        let tailnet = Tailnet::start_with(lab, Via::OurRelay, &options)?;
        let node = tailnet.join(lab, "unlucky")?;

        match error(&node, "bax", SSH)? {
            TcpError::Resolve(ResolveError::UnknownName { near, .. }) => {
                ensure!(near == [MACHINE], "{near:?}")
            }
            other => bail!("an unknown name: {other:?}"),
        }
        match error(&node, MACHINE, open)? {
            TcpError::Refused { port, .. } => ensure!(port == open),
            other => bail!("nobody listens: {other:?}"),
        }
        match error(&node, MACHINE, closed)? {
            TcpError::Rejected { reason, .. } => ensure!(reason == RejectReason::ACL, "{reason:?}"),
            other => bail!("the policy: {other:?}"),
        }

        let stream = node.connect(MACHINE, SSH)??;
        let mut ssh = Options::new("root", MACHINE);
        ssh.known_host_keys = node
            .node()
            .with_netmap(|map| map.peers().flat_map(|peer| peer.ssh_host_keys().to_vec()).collect());
        match node.block_on(dayfly_ssh::connect(stream, ssh, &mut Unattended))? {
            Err(ConnectError::Denied { banner, .. }) => {
                ensure!(banner.contains("policy does not permit"), "the banner is {banner:?}");
            }
            Err(other) => bail!("no right to a shell: {other:?}"),
            Ok(_) => bail!("a shell without the right to one"),
        }

        let mut command = tailnet.machine.command()?;
        command.args(["set", "--shields-up"]);
        run_to_end(command)?;
        match error(&node, MACHINE, open)? {
            TcpError::Rejected { reason, .. } => ensure!(reason == RejectReason::SHIELDS_UP, "{reason:?}"),
            other => bail!("shields up: {other:?}"),
        }
        Ok(())
    })
}

#[test]
fn at_the_relay_or_the_machine() -> Result<()> {
    scenario(|lab| {
        let mut tailnet = Tailnet::start(lab, Via::OurRelay)?;
        let node = tailnet.join(lab, "unlucky")?;
        // Errors are the same whether WireGuard has been spoken before or not.
        node.connect(MACHINE, SSH)??;
        // It takes Headscale ten seconds to call it off-line.
        tailnet.machine.process().kill();

        let relay = &mut tailnet.relay;
        let region = relay.region().id;
        let mark = node.mark();
        relay.kill();
        node.until_relay(mark, region, "failed", |state| matches!(state, RelayState::Failed { .. }))?;
        match error(&node, MACHINE, SSH)? {
            TcpError::Relay { region: down, code, .. } => {
                ensure!(down == u32::from(region) && code == "lab901", "region {down}, {code}");
            }
            other => bail!("a relay that is down: {other:?}"),
        }
        let mark = node.mark();
        relay.restart(lab)?;
        node.node().retry_now();
        node.until_relay(mark, region, "connected", |state| *state == RelayState::Connected)?;

        // Headscale reports that it is off-line, and since when, in two messages.
        node.until_map("the machine off-line since some time", |map| {
            let mut peers = map.peers().filter(|peer| peer.short_name() == MACHINE);
            peers.any(|peer| peer.online() == Some(false) && peer.last_seen().is_some()).then_some(())
        })?;
        match error(&node, MACHINE, SSH)? {
            TcpError::Offline { last_seen, .. } => {
                last_seen.context("it does not say when it was last seen")?;
            }
            other => bail!("a machine that is away: {other:?}"),
        }

        // It knows nothing of the session that it had.
        tailnet.machine.restart(lab)?;
        node.until_sees(MACHINE)?;
        node.connect(MACHINE, SSH)?.context("a machine that is back")?;
        Ok(())
    })
}

/// Returns the error that a connection fails with, whose text must name the host.
fn error(node: &NativeNode, host: &str, port: u16) -> Result<TcpError> {
    match node.connect(host, port)? {
        Ok(_) => bail!("{host} port {port} can be reached"),
        Err(error) => {
            ensure!(error.to_string().contains(host), "the error does not name {host}: {error}");
            Ok(error)
        }
    }
}
