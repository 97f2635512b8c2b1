//! Sessions with a real OpenSSH server.

mod support;

use dayfly_ssh::{ConnectError, Pty, ShellEvent, Unattended};
use support::{Sshd, collect, read_until, within};

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_tells_its_size_and_its_exit_status() {
    let sshd = Sshd::new();
    let session = sshd.session().await;
    assert!(session.peer().software.starts_with("SSH-2.0-OpenSSH"), "{:?}", session.peer());
    let mut shell = within(session.shell(Pty::new(100, 30))).await.unwrap();
    shell.writer.write(b"stty size; echo =$TERM=\n").await.unwrap();
    let output = read_until(&mut shell.reader, "=xterm-256color=").await;
    assert!(output.contains("30 100"), "{output}");
    shell.writer.resize(132, 50, 0, 0).await.unwrap();
    shell.writer.write(b"stty size; exit 3\n").await.unwrap();
    let (output, _, events) = collect(&mut shell.reader).await;
    assert!(String::from_utf8_lossy(&output).contains("50 132"));
    assert_eq!(events, [ShellEvent::ExitStatus(3), ShellEvent::Closed]);
    within(session.close()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_a_key_is_accepted_so_nobody_is_turned_away() {
    let sshd = Sshd::new();
    let refused = within(dayfly_ssh::connect(sshd.dial().await, sshd.options(), &mut Unattended)).await;
    let Err(ConnectError::AuthExhausted { methods, attempts: 0, .. }) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(methods, [dayfly_ssh::Method::PublicKey]);
}
