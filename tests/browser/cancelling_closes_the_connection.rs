//! Whoever cancels an attempt to open a shell leaves no connection behind at the machine.

use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use dayfly_tests::native::SSH;
use dayfly_tests::tailnet::on_shared_tailnet;
use dayfly_tests::wait::{READY, until};
use dayfly_tests::{Browser, Engine, KeyOptions, Page, Tailscaled, TailscaledOptions, with_user};

/// The machine's name.
const SILENT: &str = "silent";

/// How long closing may take: far below what the page itself waits for a server that says nothing.
const CLOSED: Duration = Duration::from_secs(5);

#[test]
fn in_all_engines() -> Result<()> {
    // The port of SSH is free where the user is.
    with_user(|| {
        on_shared_tailnet(|lab, tailnet| {
            let options = TailscaledOptions { ssh: false, ..TailscaledOptions::machine(SILENT) };
            let key = tailnet.headscale.preauth_key(&KeyOptions::default())?;
            let _machine = Tailscaled::join(lab, tailnet.headscale.url(), &key, options)?;
            let node = tailnet.headscale.until_online(SILENT, READY)?;
            // What `tailscaled` hands on to: a server that accepts, and says nothing.
            let server = TcpListener::bind((Ipv4Addr::LOCALHOST, SSH))?;
            server.set_nonblocking(true)?;
            for engine in [Engine::Chromium, Engine::Firefox, Engine::WebKit] {
                let browser = Browser::start(lab, engine)?;
                let page = Page::open(&browser, &tailnet.machines_page()?)?;
                page.until("machines")?;
                page.connect(SILENT)?;
                closed(&page, &server).with_context(|| format!("in {engine:?}"))?;
            }
            tailnet.headscale.delete_node(&node.id)
        })
    })
}

fn closed(page: &Page<'_>, server: &TcpListener) -> Result<()> {
    let (mut connection, _) = until("a connection", READY, || server.accept().ok())?;
    connection.set_nonblocking(false)?;
    connection.set_read_timeout(Some(READY))?;
    let mut greeting = [0; 15];
    connection.read_exact(&mut greeting)?;
    ensure!(greeting.starts_with(b"SSH-2.0-Dayfly_"), "{greeting:?}");

    connection.set_read_timeout(Some(CLOSED))?;
    page.act("cancel")?;
    let mut rest = Vec::new();
    connection.read_to_end(&mut rest).context("the connection is not closed")?;
    page.until("machines")
}
