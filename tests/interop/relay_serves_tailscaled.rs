//! What two real `tailscaled` need of our relay besides carrying their packets: TLS with fast start, a restart that
//! they get over, and a check of who may use it.

use std::net::{Ipv4Addr, SocketAddr};
use std::thread;

use anyhow::{Result, anyhow, bail, ensure};
use dayfly_testkit::derp::{DerpClient, DerpClientError, Received};
use dayfly_tests::wait::{ANSWER, READY, run, until};
use dayfly_tests::{
    Headscale, HeadscaleOptions, KeyOptions, Lab, Region, Relay, RelayOptions, Tailscaled, TailscaledOptions,
    scenario,
};
use rustix::process::Signal;
use tokio::net::TcpStream;

#[test]
fn tls_with_fast_start_and_a_new_certificate() -> Result<()> {
    scenario(|lab| {
        let (certificate, key) = lab.certificate()?;
        let arguments = [
            "--tls-cert",
            &certificate.display().to_string(),
            "--tls-key",
            &key.display().to_string(),
            "--log-level",
            "debug",
        ];
        let mut relay = Relay::start(lab, options(None, &arguments))?;
        let headscale = Headscale::start(lab, &HeadscaleOptions::with_region(relay.region()))?;
        let (near, far) = join(lab, &headscale, false)?;
        ensure_relayed(&near, &far)?;
        // Which needs the relay's key from the second certificate of its chain.
        relay.process().line("fast start", READY)?;

        let mark = relay.process().mark();
        relay.process().signal(Signal::HUP)?;
        relay.process().line_after(mark, "certificate read again", READY)?;
        ensure_relayed(&near, &far)
    })
}

#[test]
fn a_restart_is_announced_and_survived() -> Result<()> {
    scenario(|lab| {
        let mut relay = Relay::start(lab, options(None, &[]))?;
        let headscale = Headscale::start(lab, &HeadscaleOptions::with_region(relay.region()))?;
        let (near, far) = join(lab, &headscale, true)?;
        ensure_relayed(&near, &far)?;
        let status = relay.process().terminate(READY)?;
        ensure!(status.success(), "the relay ended with {status}");
        let last = relay.process().line("down left=", READY)?;
        ensure!(last.contains("drained=true"), "connections were left: {last}");
        relay.restart(lab)?;
        ensure_relayed(&near, &far)
    })
}

#[test]
fn headscale_decides_who_is_admitted_and_nobody_is_while_it_is_down() -> Result<()> {
    scenario(|lab| {
        let region = Relay::reserve(901)?;
        let mut headscale = Headscale::start(lab, &HeadscaleOptions::with_region(region.clone()))?;
        let verify = format!("{}/verify", headscale.url());
        let mut relay = Relay::start(lab, options(Some(region), &["--verify-client-url", &verify]))?;
        let (near, far) = join(lab, &headscale, true)?;
        ensure_relayed(&near, &far)?;
        ensure_rejected(&mut relay, "does not allow it")?;

        headscale.kill();
        ensure_rejected(&mut relay, "could not be reached")?;
        // Those who are in stay in.
        ensure_relayed(&near, &far)
    })
}

fn options(region: Option<Region>, arguments: &[&str]) -> RelayOptions {
    let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
    RelayOptions { region, arguments, ..RelayOptions::default() }
}

/// Two machines that see each other.
fn join(lab: &Lab, headscale: &Headscale, plain_relay: bool) -> Result<(Tailscaled, Tailscaled)> {
    let key = headscale.preauth_key(&KeyOptions { reusable: true, ..KeyOptions::default() })?;
    let join = |name: &str| {
        let options = TailscaledOptions { plain_relay, ..TailscaledOptions::machine(name) };
        Tailscaled::join(lab, headscale.url(), &key, options)
    };
    let (near, far) = thread::scope(|scope| {
        let near = scope.spawn(|| join("near"));
        let far = join("far");
        (near.join().map_err(|_| anyhow!("joining panicked")), far)
    });
    let (near, far) = (near??, far?);
    near.until_sees("far")?;
    far.until_sees("near")?;
    Ok((near, far))
}

fn ensure_relayed(near: &Tailscaled, far: &Tailscaled) -> Result<()> {
    let pong = near.ping(&far.address()?)?;
    ensure!(pong.contains("via DERP(lab901)"), "the pong came another way: {pong}");
    Ok(())
}

/// Checks that the relay rejects a client with a key that no server knows, and that it does so for `reason`.
fn ensure_rejected(relay: &mut Relay, reason: &str) -> Result<()> {
    let mark = relay.process().mark();
    match run(connect(relay.region().derp_port)) {
        Err(DerpClientError::Rejected) => {}
        Err(error) => bail!("a stranger met something else than a rejection: {error}"),
        Ok(_) => bail!("a stranger was admitted"),
    }
    let line = relay.process().line_after(mark, "client rejected", READY)?;
    ensure!(line.contains(reason), "the relay rejected it for another reason: {line}");
    Ok(())
}

/// Connects a stranger to the relay on a port of 127.0.0.1.
async fn connect(port: u16) -> Result<DerpClient<TcpStream>, DerpClientError> {
    DerpClient::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), Some(ANSWER)).await
}

#[test]
fn a_flood_to_a_reader_that_stalls_costs_neither_memory_nor_others() -> Result<()> {
    scenario(|lab| {
        let mut relay = Relay::start(lab, options(None, &["--log-level", "debug"]))?;
        let port = relay.region().derp_port;
        run(async {
            let mut stalled = connect(port).await?;
            let (mut flooder, mut near, mut far) =
                (connect(port).await?, connect(port).await?, connect(port).await?);
            let before = resident(relay.process().id())?;
            let flood = async {
                // 192 MiB, which nobody reads.
                for _ in 0..3_072 {
                    flooder.send(&stalled.public(), &[0; 65_536]).await?;
                }
                anyhow::Ok(())
            };
            let others = async {
                for i in 0..1_000_u32 {
                    near.send(&far.public(), &i.to_be_bytes()).await?;
                    ensure!(far.packet().await?.1 == i.to_be_bytes(), "a packet of others was lost");
                }
                Ok(())
            };
            tokio::try_join!(flood, others)?;
            let grown = resident(relay.process().id())?.saturating_sub(before);
            ensure!(grown < 16 << 20, "the relay grew by {} KiB", grown >> 10);
            relay.process().line("the client read nothing for 2 s", READY)?;
            // What it can still read is what was on the way; the relay waits for nothing more of it.
            while stalled.next().await? != Received::Closed {}
            Ok(())
        })
    })
}

/// Returns the bytes of memory that a process holds.
fn resident(process: u32) -> Result<u64> {
    let pages = until("the relay's memory", READY, || {
        let text = std::fs::read_to_string(format!("/proc/{process}/statm")).ok()?;
        text.split(' ').nth(1)?.parse::<u64>().ok()
    })?;
    Ok(pages * 4096)
}
