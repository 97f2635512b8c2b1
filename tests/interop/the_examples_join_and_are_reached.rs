//! The examples of `crates/dial` do what they show newcomers: one joins Headscale and is reached by `tailscale nc`, the
//! other reaches a machine.

use std::process::Command;

use anyhow::{Result, ensure};
use dayfly_tests::process::run_to_end;
use dayfly_tests::tailnet::MACHINE;
use dayfly_tests::wait::READY;
use dayfly_tests::{Tailnet, Via, scenario, tools};

/// The port that the first example listens on.
const PORT: &str = "7";

#[test]
fn by_a_real_tailscaled_and_reach_it() -> Result<()> {
    scenario(|lab| {
        // The examples speak TLS to relays, as a tailnet's map has it.
        let tailnet = Tailnet::start(lab, Via::Derper)?;

        let mut listen = Command::new(env!("CARGO_BIN_EXE_dayfly-example-listen"));
        listen.args([tailnet.headscale.url(), &tailnet.headscale.ephemeral_key()?, PORT]);
        let mut listener = lab.spawn("listener", listen)?;
        tailnet.machine.until_sees("listener")?;
        // `nc` ends with its input, and shows what is echoed before that.
        let nc = tailnet.machine.command()?;
        let mut echo = Command::new(tools::program("sh")?);
        echo.args(["-c", "(echo echoed; exec tail -f /dev/null) | \"$0\" \"$@\""]).arg(nc.get_program());
        echo.args(nc.get_args()).args(["nc", "listener", PORT]);
        let mut echo = lab.spawn("nc", echo)?;
        echo.line("echoed", READY)?;
        listener.line("connects", READY)?;
        echo.kill();
        listener.still_running()?;

        let mut connect = Command::new(env!("CARGO_BIN_EXE_dayfly-example-connect"));
        connect.args([tailnet.headscale.url(), &tailnet.headscale.ephemeral_key()?, MACHINE, "22"]);
        let printed = run_to_end(connect)?;
        ensure!(printed.starts_with("SSH-2.0-Tailscale"), "it printed {printed:?}");
        Ok(())
    })
}
