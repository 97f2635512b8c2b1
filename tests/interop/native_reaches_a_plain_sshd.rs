//! Our node reaches an OpenSSH server that stands behind a `tailscaled` without Tailscale SSH, and logs in there by a
//! private key; another host key than the known one is refused.

use std::fs;

use anyhow::{Context as _, Result, bail, ensure};
use dayfly_platform::BoxFuture;
use dayfly_ssh::{
    ConnectError, HostKey, HostKeyAnswer, Interaction, KeyboardInteractive, Options, PasswordRequest,
    PrivateKey, PrivateKeyRequest, Secret, Session, ShellEvent, Signal,
};
use dayfly_tests::native::NativeNode;
use dayfly_tests::sshd::{USER, has_user, make_key};
use dayfly_tests::tailnet::MACHINE;
use dayfly_tests::wait::READY;
use dayfly_tests::{Sshd, SshdOptions, Tailnet, Via, scenario, skip};
use tokio::net::TcpStream;

#[test]
fn by_key() -> Result<()> {
    scenario(|lab| {
        let tailnet = Tailnet::start(lab, Via::OurRelay)?;
        let path = lab.peer_dir("keys")?.join("id");
        let authorized_key = Some(make_key(&path)?);
        let mut sshd = Sshd::start(lab, SshdOptions { authorized_key, ..SshdOptions::default() })?;
        let pem = fs::read_to_string(&path)?;
        let node = tailnet.join(lab, "key-holder")?;

        let mut options = Options::new("root", MACHINE);
        options.known_host_keys = vec![sshd.host_key()?];
        let session = log_in(&node, sshd.port(), &options, &pem)?.context("logging in")?;
        ensure!(session.server().software.contains("OpenSSH"), "{:?}", session.server());
        let ran = node.run(&session, "id -un; exit 4", b"")?;
        ensure!(ran.text() == "root" && ran.status == Some(4), "{ran:?}");

        sshd.change_host_key(lab)?;
        match log_in(&node, sshd.port(), &options, &pem)? {
            Err(ConnectError::HostKeyMismatch { .. }) => Ok(()),
            Err(error) => bail!("it was refused for another reason: {error}"),
            Ok(_) => bail!("another host key was accepted"),
        }
    })
}

/// As a normal user: OpenSSH signals no program of root's.
#[test]
fn and_signals_a_program_there() -> Result<()> {
    if !has_user() {
        return skip(format_args!("the user {USER} is only in the tests' namespace"));
    }
    scenario(|lab| {
        let path = lab.peer_dir("keys")?.join("id");
        let authorized_key = Some(make_key(&path)?);
        let sshd = Sshd::start(lab, SshdOptions { authorized_key, ..SshdOptions::default() })?;
        let mut options = Options::new(USER, "sshd");
        options.known_host_keys = vec![sshd.host_key()?];
        let mut holder = KeyHolder(Some(fs::read_to_string(&path)?));
        let signal = async {
            let stream = TcpStream::connect(("127.0.0.1", sshd.port())).await?;
            let session = dayfly_ssh::connect(stream, options, &mut holder).await?;
            let command = "trap 'exit 5' INT; echo ready; while kill -0 $PPID; do sleep 0.01; done";
            let mut shell = session.exec(command, None).await?;
            let mut ready = Vec::new();
            while !ready.starts_with(b"ready") {
                match shell.reader.next().await {
                    Some(ShellEvent::Data(bytes)) => ready.extend_from_slice(&bytes),
                    other => bail!("{other:?} before it was ready"),
                }
            }
            shell.writer.signal(Signal::Int).await?;
            let ended = shell.reader.next().await;
            ensure!(ended == Some(ShellEvent::ExitStatus(5)), "{ended:?}");
            session.close().await;
            Ok(())
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async { tokio::time::timeout(READY, signal).await })?
    })
}

fn log_in(
    node: &NativeNode,
    port: u16,
    options: &Options,
    pem: &str,
) -> Result<Result<Session, ConnectError>> {
    let stream = node.connect(MACHINE, port)??;
    node.block_on(dayfly_ssh::connect(stream, options.clone(), &mut KeyHolder(Some(pem.to_owned()))))
}

/// Somebody with one private key.
struct KeyHolder(Option<String>);

impl Interaction for KeyHolder {
    fn banner(&mut self, _text: String) {}

    fn unknown_host_key(&mut self, _key: HostKey) -> BoxFuture<HostKeyAnswer> {
        Box::pin(std::future::ready(HostKeyAnswer::Refuse))
    }

    fn private_key(&mut self, _request: PrivateKeyRequest) -> BoxFuture<Option<PrivateKey>> {
        let key = self.0.take().map(|pem| PrivateKey { pem: pem.into(), passphrase: None });
        Box::pin(std::future::ready(key))
    }

    fn keyboard_interactive(&mut self, _request: KeyboardInteractive) -> BoxFuture<Option<Vec<Secret>>> {
        Box::pin(std::future::ready(None))
    }

    fn password(&mut self, _request: PasswordRequest) -> BoxFuture<Option<Secret>> {
        Box::pin(std::future::ready(None))
    }
}
