//! Dayfly's page and Tailscale's own browser client, measured in turn in one Chromium against the same servers.
//!
//! `cargo xtask bench` builds both and runs this. Headscale, `derper` (with TLS) and `tailscaled` with Tailscale SSH are
//! real; each client's page comes from a gateway of its own. A round is a visit with empty caches and one with full
//! ones, of each client in turn; the table shows medians and extremes over all rounds. Tailscale's client is given a
//! page without a terminal, so all that ours spends on drawing counts against us.

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
    type FromVisit = fn(&Visit) -> f64;
    type FromWork = fn(&Work) -> f64;
    let half = Some(Target::AtMost(1.0 / 2.0));
    let mut rows = Vec::new();
    if options.start {
        let steps: [(&str, FromVisit, Option<Target>); 3] = [
            ("navigation to ready", |visit| visit.ready, Some(Target::AtMost(1.0 / 5.0))),
            ("ready to Running", |visit| visit.running, half),
            ("Running to first prompt", |visit| visit.prompt, half),
        ];
        for (what, value, target) in steps {
            for (temperature, visits) in [("cold", 0), ("warm", 1)] {
                let of = |measured: &Measured| {
                    let visits = if visits == 0 { &measured.cold } else { &measured.warm };
                    visits.iter().map(value).collect()
                };
                let what = format!("{what}, {temperature}");
                rows.push(Row::new(&what, Unit::Milliseconds, measured.iter().map(of).collect(), target));
            }
        }
    }
    if options.stream {
        let from_work: [(&str, FromWork, Unit, Option<Target>); 2] = [
            ("echo of a keystroke", |work| work.echo, Unit::Milliseconds, half),
            ("output into the page", |work| work.rate, Unit::BytesPerSecond, Some(Target::AtLeast(8.0))),
        ];
        for (what, value, unit, target) in from_work {
            let of = |measured: &Measured| measured.work.iter().map(value).collect();
            rows.push(Row::new(what, unit, measured.iter().map(of).collect(), target));
        }
    }
    let memory: [(&str, FromVisit, Option<Target>); 2] = [
        ("page's process at the prompt", |visit| visit.process, half),
        ("WebAssembly memory at the prompt", |visit| visit.wasm, None),
    ];
    for (what, value, target) in memory {
        let of = |measured: &Measured| measured.warm.iter().map(value).collect();
        rows.push(Row::new(what, Unit::Bytes, measured.iter().map(of).collect(), target));
    }
    if options.stream {
        let memory: [(&str, FromWork, Option<Target>); 2] = [
            ("page's process after the output", |work| work.process, half),
            ("WebAssembly memory after the output", |work| work.wasm, None),
        ];
        for (what, value, target) in memory {
            let of = |measured: &Measured| measured.work.iter().map(value).collect();
            rows.push(Row::new(what, Unit::Bytes, measured.iter().map(of).collect(), target));
        }
    }
    rows
}
