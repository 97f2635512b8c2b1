//! A node that reaches others: it joins a tailnet, opens a TCP connection and prints the first line that comes.
//!
//! `cargo run -p dayfly-dial --example connect -- https://control.example AUTH_KEY box 22` prints what the SSH server of
//! the machine `box` calls itself.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use dayfly_dial::NativeDialer;
use dayfly_node::{Node, NodeKeys, NodeOptions};
use dayfly_wire::control::Hostinfo;
use tokio::io::{AsyncBufReadExt as _, BufReader};

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = |name| arguments.next().with_context(|| format!("no {name}"));
    let (control, auth_key) = (argument("control server")?, argument("key")?);
    let (host, port) = (argument("host")?, argument("port")?.parse()?);

    let dialer = Arc::new(NativeDialer::new(&control)?);
    let hostinfo = Hostinfo { hostname: "connector".to_owned(), ..Hostinfo::default() };
    let mut options = NodeOptions::new(NodeKeys::generate(), hostinfo);
    options.auth_key = Some(auth_key.into());
    let (node, _events) = Node::start(dialer, options);

    // Names are known once the node is in the tailnet.
    node.running().await?;
    let stream = node.connect(&host, port, |_| {}).await?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).await?;
    print!("{line}");
    node.logout().await?;
    Ok(())
}
