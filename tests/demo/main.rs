//! The demo: Headscale, a machine with Tailscale SSH, our relay with the page and the gateway, all on loopback.
//!
//! Prints the address of the page with a fresh key in its fragment, and cleans up on Ctrl-C. `cargo xtask demo` has
//! built all of it before.

use std::{env, fs};

use anyhow::{Context as _, Result, bail};
use dayfly_tests::relay::RelayOptions;
use dayfly_tests::{
    Headscale, HeadscaleOptions, KeyOptions, Lab, Relay, Tailscaled, TailscaledOptions, tools,
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// The machine's name in the demo's tailnet.
const MACHINE: &str = "demo";

fn main() -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot wait for Ctrl-C")?;
    if !tools::dist().join("index.html").exists() {
        bail!("there is no page in {}: run `cargo xtask demo`", tools::dist().display());
    }
    let lab = Lab::new("demo")?;

    // The gateway leads to Headscale and Headscale names the relay: both of one process, hence its ports first.
    let region = Relay::reserve(901)?;
    println!("starting Headscale");
    let headscale = Headscale::start(&lab, &HeadscaleOptions::with_region(region.clone()))?;
    // Its link joins without a click: the key in it was made here, for this page.
    let config = lab.peer_dir("page")?.join("config.json");
    fs::write(&config, r#"{ "controlUrl": "/", "joinByLink": true }"#)?;
    println!("starting the relay with the page and the gateway");
    let mut relay = Relay::start(
        &lab,
        RelayOptions {
            region: Some(region),
            www: Some(tools::dist()),
            control: Some(headscale.url().to_owned()),
            arguments: vec!["--page-config".to_owned(), config.display().to_string()],
        },
    )?;
    println!("starting tailscaled with Tailscale SSH");
    let key = headscale.preauth_key(&KeyOptions::default())?;
    let mut machine = Tailscaled::join(&lab, headscale.url(), &key, TailscaledOptions::machine(MACHINE))
        .context("tailscaled did not come up; it needs a network interface with a default route")?;

    let key =
        headscale.preauth_key(&KeyOptions { ephemeral: true, reusable: true, ..KeyOptions::default() })?;
    let page = relay.url();
    let user = user();
    println!();
    println!("    {page}/#control={page}&authkey={key}&host={MACHINE}&user={user}");
    println!();
    println!("The key is good for an hour. Logs are in {}. Ctrl-C ends everything.", lab.logs().display());

    signals.forever().next();
    println!("\nending");
    machine.process().kill();
    relay.kill();
    Ok(())
}

/// The login name of the shell: root, when the demo runs as root, else the one user whom `tailscaled` can serve.
fn user() -> String {
    let is_root = rustix::process::getuid().is_root();
    let name = env::var("USER").ok().filter(|name| !name.is_empty());
    if is_root { "root".to_owned() } else { name.unwrap_or_else(|| "root".to_owned()) }
}
