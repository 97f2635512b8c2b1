//! Dayfly's page and Tailscale's own browser client, measured in turn in one Chromium against the same servers.
//!
//! `cargo xtask bench` builds both and runs this. Headscale, `derper` (with TLS) and `tailscaled` with Tailscale SSH are
//! real; each client's page comes from a gateway of its own. A round is a visit with empty caches and one with full
//! ones, of each client in turn; the table shows medians and extremes over all rounds. Tailscale's client is given a
//! page without a terminal, so all that ours spends on drawing counts against us.
//!
//! Headscale applies what nodes ask for twice a second: joining waits for that three times, in either client.

mod clients;
mod options;
mod size;
mod table;
mod visit;

use anyhow::{Context as _, Result};
use dayfly_tests::{
    Browser, Derper, Engine, Gateway, GatewayOptions, Headscale, HeadscaleOptions, KeyOptions, Lab,
    Tailscaled, TailscaledOptions,
};

use crate::options::Options;
use crate::table::{Row, Target, Unit, print};
use crate::visit::{MACHINE, Site, Visit, Work};

fn main() -> Result<()> {
    let options = Options::parse(std::env::args().skip(1))?;
    let mut rows = Vec::new();
    if options.size {
        rows.extend(size::rows(&options.clients)?);
    }
    if options.start || options.stream {
        let lab = Lab::new("bench")?;
        rows.extend(live(&lab, &options).with_context(|| format!("logs are in {}", lab.logs().display()))?);
    }
    print(&options.clients, &rows);
    Ok(())
}

/// What was measured of one client.
#[derive(Debug, Default)]
struct Measured {
    cold: Vec<Visit>,
    warm: Vec<Visit>,
    work: Vec<Work>,
}

fn live(lab: &Lab, options: &Options) -> Result<Vec<Row>> {
    eprintln!("starting derper, Headscale, tailscaled and Chromium");
    let derper = Derper::start(lab, 900, true)?;
    let headscale = Headscale::start(lab, &HeadscaleOptions::with_region(derper.region()))?;
    let key = headscale.preauth_key(&KeyOptions::default())?;
    let machine = TailscaledOptions { plain_relay: false, ..TailscaledOptions::machine(MACHINE) };
    let _machine = Tailscaled::join(lab, headscale.url(), &key, machine)?;
    let key =
        headscale.preauth_key(&KeyOptions { ephemeral: true, reusable: true, ..KeyOptions::default() })?;

    let mut gateways = Vec::new();
    for client in &options.clients {
        gateways.push(Gateway::start(
            lab,
            &GatewayOptions {
                control: headscale.url().to_owned(),
                www: Some(client.www()?),
                ..GatewayOptions::default()
            },
        )?);
    }
    let browser = Browser::start(lab, Engine::Chromium)?;
    browser.open("data:text/html,<title>between visits</title>")?;

    let mut measured: Vec<Measured> = options.clients.iter().map(|_| Measured::default()).collect();
    for round in 1..=options.rounds {
        for ((client, gateway), measured) in options.clients.iter().zip(&gateways).zip(&mut measured) {
            let origin = gateway.url();
            let site = Site {
                browser: &browser,
                headscale: &headscale,
                client: *client,
                origin: &origin,
                key: &key,
                trace: options.trace,
            };
            eprintln!("round {round} of {}: {}", options.rounds, client.title());
            browser.devtools("Network.clearBrowserCache", &serde_json::json!({}))?;
            measured.cold.push(site.visit(false)?.0);
            let (visit, work) = site.visit(options.stream)?;
            measured.warm.push(visit);
            measured.work.extend(work);
        }
    }
    Ok(rows(options, &measured))
}

fn rows(options: &Options, measured: &[Measured]) -> Vec<Row> {
    let fifth = Some(Target::AtMost(1.0 / 5.0));
    let half = Some(Target::AtMost(1.0 / 2.0));
    let visits = |what: &str, unit, visits: fn(&Measured) -> &[Visit], value: fn(&Visit) -> f64, target| {
        let samples = |measured| visits(measured).iter().map(value).collect();
        Row::new(what, unit, measured.iter().map(samples).collect(), target)
    };
    let work = |what: &str, unit, value: fn(&Work) -> f64, target| {
        let samples = |measured: &Measured| measured.work.iter().map(value).collect();
        Row::new(what, unit, measured.iter().map(samples).collect(), target)
    };
    let cold: fn(&Measured) -> &[Visit] = |measured| &measured.cold;
    let warm: fn(&Measured) -> &[Visit] = |measured| &measured.warm;
    let mut rows = Vec::new();
    if options.start {
        for (what, value, target) in [
            ("navigation to ready", (|visit| visit.ready) as fn(&Visit) -> f64, fifth),
            ("ready to Running", |visit| visit.running, half),
            ("of that, without Headscale's time", |visit| visit.joining, half),
            ("Running to first prompt", |visit| visit.prompt, half),
        ] {
            rows.push(visits(&format!("{what}, cold"), Unit::Milliseconds, cold, value, target));
            rows.push(visits(&format!("{what}, warm"), Unit::Milliseconds, warm, value, target));
        }
    }
    if options.stream {
        rows.push(work("echo of a keystroke", Unit::Milliseconds, |work| work.echo, half));
        let eightfold = Some(Target::AtLeast(8.0));
        rows.push(work("output into the page", Unit::BytesPerSecond, |work| work.rate, eightfold));
    }
    rows.push(visits("page's process at the prompt", Unit::Bytes, warm, |visit| visit.process, half));
    rows.push(visits("WebAssembly memory at the prompt", Unit::Bytes, warm, |visit| visit.wasm, None));
    if options.stream {
        rows.push(work("page's process after the output", Unit::Bytes, |work| work.process, half));
        rows.push(work("WebAssembly memory after the output", Unit::Bytes, |work| work.wasm, None));
    }
    rows
}
