//! Dayfly's page and Tailscale's own browser client, measured in turn in one Chromium against the same servers.
//!
//! `cargo xtask bench` builds both and runs this. Headscale, `derper` (with TLS) and `tailscaled` with Tailscale SSH are
//! real; each client's page comes from a gateway of its own. A round is a visit with empty caches and one with full
//! ones, of each client in turn; the table shows medians and extremes over all rounds. Tailscale's client is given a
//! page without a terminal, so all that ours spends on drawing counts against us.
//!
//! Headscale applies what nodes ask for twice a second: joining waits for that four times, in either client.
//!
//! `cargo xtask bench relay` measures our relay beside `derper` instead.
//!
//! What is measured without either client is beside it: when an empty page's first script runs, and the same shell by
//! `tailscale ssh`. No client in a page can be expected to be faster.

mod clients;
mod idle;
mod native;
mod options;
mod relay;
mod size;
mod table;
mod visit;

use std::fs;

use anyhow::{Context as _, Result};
use dayfly_tests::{
    Browser, Derper, Engine, Gateway, GatewayOptions, Headscale, HeadscaleOptions, KeyOptions, Lab,
    Tailscaled, TailscaledOptions,
};

use crate::native::{Native, Seen};
use crate::options::Options;
use crate::table::{Row, Target, Unit, median, print};
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
    if !rows.is_empty() {
        print(&options.clients.iter().map(|client| client.title()).collect::<Vec<_>>(), &rows);
    }
    if options.relay {
        print(&relay::TITLES, &relay::rows(options.rounds)?);
    }
    Ok(())
}

/// Measurements of one client.
#[derive(Debug, Default)]
struct Measured {
    cold: Vec<Visit>,
    warm: Vec<Visit>,
    work: Vec<Work>,
}

/// Bounds that no client on this machine can beat.
#[derive(Debug, Default)]
struct Floors {
    /// From navigation until an empty page's first script runs, in milliseconds.
    page: Vec<f64>,
    /// The same shell without a browser.
    native: Vec<Seen>,
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
    let native = options.stream.then(|| Native::join(lab, &headscale, &key)).transpose()?;

    // Each visit looks at the page through them, the other client's page has its own.
    let config = lab.peer_dir("page")?.join("config.json");
    fs::write(&config, r#"{ "testHooks": true, "joinByLink": true }"#)?;
    let mut gateways = Vec::new();
    for client in &options.clients {
        gateways.push(Gateway::start(
            lab,
            &GatewayOptions {
                control: headscale.url().to_owned(),
                www: Some(client.www()?),
                arguments: vec!["--page-config".to_owned(), config.display().to_string()],
                ..GatewayOptions::default()
            },
        )?);
    }
    let empty = dayfly_tests::tools::root().join("tests/bench/empty");
    let empty = Gateway::start(
        lab,
        &GatewayOptions {
            control: headscale.url().to_owned(),
            www: Some(empty),
            ..GatewayOptions::default()
        },
    )?;
    let browser = Browser::start(lab, Engine::Chromium)?;
    browser.open("data:text/html,<title>between visits</title>")?;

    let mut floors = Floors::default();
    let mut measured: Vec<Measured> = options.clients.iter().map(|_| Measured::default()).collect();
    for round in 1..=options.rounds {
        eprintln!("round {round} of {}: without a client", options.rounds);
        if options.start {
            browser.devtools("Network.clearBrowserCache", &serde_json::json!({}))?;
            floors.page.push(Site::empty_page(&browser, &empty.url())?);
        }
        if let Some(native) = &native {
            floors.native.push(native.measure()?);
        }
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
    Ok(rows(options, &measured, &floors))
}

fn rows(options: &Options, measured: &[Measured], floors: &Floors) -> Vec<Row> {
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
    let empty = median(&floors.page).unwrap_or_default();
    let mut rows = Vec::new();
    if options.start {
        for (visited, of) in [("cold", cold), ("warm", warm)] {
            let (ready, beyond) = (
                format!("navigation to ready, {visited}"),
                format!("of that, beyond an empty page, {visited}"),
            );
            let row = visits(&ready, Unit::Milliseconds, of, |visit| visit.ready, fifth);
            rows.push(row.with_floor(floors.page.clone()));
            let samples = |measured| of(measured).iter().map(|visit| visit.ready - empty).collect();
            rows.push(Row::new(&beyond, Unit::Milliseconds, measured.iter().map(samples).collect(), fifth));
        }
        for (what, value) in [
            ("ready to Running", (|visit| visit.running) as fn(&Visit) -> f64),
            ("of that, without Headscale's time", |visit| visit.joining),
            ("Running to first prompt", |visit| visit.prompt),
        ] {
            rows.push(visits(&format!("{what}, cold"), Unit::Milliseconds, cold, value, half));
            rows.push(visits(&format!("{what}, warm"), Unit::Milliseconds, warm, value, half));
        }
    }
    if options.stream {
        let native = |value: fn(&Seen) -> f64| floors.native.iter().map(value).collect();
        let echo = work("echo of a keystroke", Unit::Milliseconds, |work| work.echo, half);
        rows.push(echo.with_floor(native(|seen| seen.echo)));
        let eightfold = Some(Target::AtLeast(8.0));
        let output = work("output into the page", Unit::BytesPerSecond, |work| work.rate, eightfold);
        rows.push(output.with_floor(native(|seen| seen.rate)));
    }
    rows.push(visits("page's process at the prompt", Unit::Bytes, warm, |visit| visit.process, half));
    rows.push(visits("WebAssembly memory at the prompt", Unit::Bytes, warm, |visit| visit.wasm, None));
    if options.stream {
        rows.push(work("page's process after the output", Unit::Bytes, |work| work.process, half));
        rows.push(work("WebAssembly memory after the output", Unit::Bytes, |work| work.wasm, None));
    }
    rows
}
