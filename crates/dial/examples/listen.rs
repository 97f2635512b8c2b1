//! A node that others reach: it joins a tailnet and sends back whatever comes to one of its ports.
//!
//! `cargo run -p dayfly-dial --example listen -- https://control.example AUTH_KEY 7`, and on another machine of the
//! tailnet `tailscale nc listener 7`.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use dayfly_dial::NativeDialer;
use dayfly_node::{Node, NodeKeys, NodeOptions};
use dayfly_wire::control::Hostinfo;

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = |name| arguments.next().with_context(|| format!("no {name}"));
    let (control, auth_key, port) =
        (argument("control server")?, argument("key")?, argument("port")?.parse()?);

    // The dialer is the node's way to the network, the options say who it is. Its keys are made anew here, and it is
    // ephemeral: soon after this program it is removed from the tailnet.
    let hostinfo = Hostinfo { hostname: "listener".to_owned(), ..Hostinfo::default() };
    let mut options = NodeOptions::new(NodeKeys::generate(), hostinfo);
    options.auth_key = Some(auth_key.into());
    let (node, _events) = Node::start(Arc::new(NativeDialer::new(&control)?), options);
    node.running().await?;

    let mut listener = node.listen(port)?;
    while let Some((stream, peer)) = listener.accept().await {
        println!("{} connects", peer.name);
        tokio::spawn(async move {
            let (mut from, mut to) = tokio::io::split(stream);
            tokio::io::copy(&mut from, &mut to).await
        });
    }
    Ok(())
}
