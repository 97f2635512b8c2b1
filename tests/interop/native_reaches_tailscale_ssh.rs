//! Our node reaches a real `tailscaled` through each kind of relay and gets a shell by Tailscale SSH, without key or
//! password; what is printed and typed there arrives whole.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use dayfly_ssh::Session;
use dayfly_tests::native::{Carrier, NativeNode, NativeOptions};
use dayfly_tests::tailnet::{MACHINE, on_shared_tailnet};
use dayfly_tests::{Lab, Tailnet, Via, scenario};

/// Bytes that are printed, and bytes that are typed.
const OUTPUT: usize = 20 << 20;
const INPUT: usize = 5 << 20;

#[test]
fn through_our_relay() -> Result<()> {
    on_shared_tailnet(|lab, tailnet| {
        let node = tailnet.join(lab, "through-ours")?;
        for host in names_of_the_machine(&node)? {
            has_a_shell(&node, &host)?;
        }
        Ok(())
    })
}

#[test]
fn through_our_relay_by_upgrade() -> Result<()> {
    on_shared_tailnet(|lab, tailnet| {
        let options = NativeOptions { carrier: Carrier::Upgrade, ..tailnet.options("through-ours-raw")? };
        let node = NativeNode::join(lab, tailnet.headscale.url(), options)?;
        node.until_sees(MACHINE)?;
        has_a_shell(&node, MACHINE).map(drop)
    })
}

#[test]
fn through_derper_with_tls() -> Result<()> {
    scenario(|lab| through(lab, Via::Derper))
}

#[test]
fn through_the_relay_inside_headscale() -> Result<()> {
    scenario(|lab| through(lab, Via::Embedded))
}

fn through(lab: &Lab, via: Via) -> Result<()> {
    let tailnet = Tailnet::start(lab, via)?;
    for (name, carrier) in [("as-page", Carrier::WebSocket), ("as-native", Carrier::Upgrade)] {
        let options = NativeOptions { carrier, ..tailnet.options(name)? };
        let node = NativeNode::join(lab, tailnet.headscale.url(), options)?;
        node.until_sees(MACHINE)?;
        has_a_shell(&node, MACHINE)?;
    }
    Ok(())
}

#[test]
fn and_long_output_and_input_arrive_whole() -> Result<()> {
    on_shared_tailnet(|lab, tailnet| {
        let node = tailnet.join(lab, "long")?;
        let session = node.ssh(MACHINE, "root")?;
        let dir = lab.peer_dir("files")?;
        let (printed, typed) = (dir.join("printed"), dir.join("typed"));

        let output = noise(OUTPUT);
        fs::write(&printed, &output)?;
        let ran = node.run(&session, &format!("cat {}", printed.display()), b"")?;
        ensure!(ran.status == Some(0), "cat ended with {:?}", ran.status);
        same(&ran.output, &output).context("output")?;

        let input = noise(INPUT);
        let ran = node.run(&session, &format!("cat > {}", typed.display()), &input)?;
        ensure!(ran.status == Some(0), "cat ended with {:?}", ran.status);
        same(&fs::read(&typed)?, &input).context("input")
    })
}

/// All that the machine goes by.
fn names_of_the_machine(node: &NativeNode) -> Result<Vec<String>> {
    let addresses = node.node().with_netmap(|map| {
        let machine = map.peers().find(|peer| peer.short_name() == MACHINE)?;
        Some([machine.ipv4()?.to_string(), machine.ipv6()?.to_string()])
    });
    let mut names = vec![MACHINE.to_owned(), "box.tail.test".to_owned()];
    names.extend(addresses.context("the machine has not both kinds of addresses")?);
    Ok(names)
}

fn has_a_shell(node: &NativeNode, host: &str) -> Result<Session> {
    let session = node.ssh(host, "root")?;
    let peer = session.server();
    ensure!(peer.software.starts_with("SSH-2.0-Tailscale"), "{host} is {:?}", peer.software);
    let ran = node.run(&session, "id -un; echo wrong >&2; exit 3", b"")?;
    ensure!(ran.text() == "root", "{host}: {ran:?}");
    ensure!(ran.errors == b"wrong\n", "{host}: {ran:?}");
    ensure!(ran.status == Some(3), "{host}: {ran:?}");
    Ok(session)
}

/// Bytes of every kind that repeat at no length of a packet (xorshift64).
fn noise(length: usize) -> Vec<u8> {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    let mut bytes: Vec<u8> = words.by_ref().take(length.div_ceil(8)).flatten().collect();
    bytes.truncate(length);
    bytes
}

fn same(got: &[u8], expected: &[u8]) -> Result<()> {
    let differs = got.iter().zip(expected).position(|(a, b)| a != b);
    ensure!(differs.is_none(), "it differs from byte {differs:?} on");
    ensure!(got.len() == expected.len(), "{} bytes of {} came", got.len(), expected.len());
    Ok(())
}
