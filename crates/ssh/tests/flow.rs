//! Output that nobody reads, and much output, from a real OpenSSH server.

mod support;

use std::fs;
use std::time::Instant;

use dayfly_ssh::{Disconnect, MAX_UNREAD, Pty, Session, Shell, ShellEvent};
use support::{Sshd, collect, read_until, until, within};

/// Bytes that may be unread: the limit, and one packet more.
const BOUND: usize = MAX_UNREAD + 33 * 1024;

/// A shell whose output is not read, on a terminal that endlessly prints; what is typed ends up in the file `typed`.
#[allow(clippy::unwrap_used, reason = "a fixture that fails fails its test")]
async fn flooded(sshd: &Sshd, session: &Session) -> Shell {
    let command =
        format!("yes & read line; stty size > {0}/size; echo $line > {0}/typed; kill $!", sshd.dir.display());
    let shell = within(session.exec(&command, Some(Pty::new(80, 24)))).await.unwrap();
    until("the limit is reached", || session.unread() >= MAX_UNREAD).await;
    shell
}

#[tokio::test(flavor = "multi_thread")]
async fn output_is_gathered_into_one_piece_until_no_more_comes() {
    let sshd = Sshd::new();
    let session = sshd.session().await;
    // It waits before its end, too: sshd may tell an exit status before the last output.
    let command = "printf 12345; read line; printf 67890; read line";
    let mut shell = within(session.exec(command, None)).await.unwrap();
    within(shell.reader.gathered(5)).await;
    let (_, sent) =
        within(async { tokio::join!(shell.reader.gathered(10), shell.writer.write(b"\n")) }).await;
    sent.unwrap();
    assert_eq!(within(shell.reader.next()).await, Some(ShellEvent::Data("1234567890".into())));
    shell.writer.write(b"\n").await.unwrap();
    within(shell.reader.gathered(100)).await;
    assert_eq!(within(shell.reader.next()).await, Some(ShellEvent::ExitStatus(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_mebibytes_arrive_unchanged() {
    let sshd = Sshd::new();
    // Pseudo-random, so that nothing can be lost, doubled or swapped unseen.
    let mut state = 1_u64;
    let expected: Vec<u8> = (0..50 << 20)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect();
    fs::write(sshd.dir.join("file"), &expected).unwrap();
    let session = sshd.session().await;
    let started = Instant::now();
    let mut shell = within(session.exec(&format!("cat {}/file", sshd.dir.display()), None)).await.unwrap();
    let mut position = 0;
    let mut most = 0;
    while let Some(event) = within(shell.reader.next()).await {
        if let ShellEvent::Data(data) = event {
            assert!(expected[position..].starts_with(&data), "after {position} bytes");
            position += data.len();
        }
        most = most.max(session.unread());
    }
    assert_eq!(position, expected.len());
    assert!(most <= BOUND, "{most}");
    println!("50 MiB in {:?}, at most {most} bytes unread", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn unread_output_is_bounded_and_input_still_leaves() {
    let sshd = Sshd::new();
    let session = sshd.session().await;
    let mut shell = flooded(&sshd, &session).await;
    shell.writer.resize(101, 31, 0, 0).await.unwrap();
    shell.writer.write(b"typed\n").await.unwrap();
    assert!(session.unread() >= MAX_UNREAD, "nothing was read to let the key out");
    let typed = sshd.dir.join("typed");
    until("what was typed reaches the program", || fs::read(&typed).is_ok_and(|line| line == b"typed\n"))
        .await;
    assert_eq!(fs::read_to_string(sshd.dir.join("size")).unwrap(), "31 101\n");
    assert!(session.unread() <= BOUND, "{}", session.unread());
    let (output, _, events) = collect(&mut shell.reader).await;
    assert!(output.len() > MAX_UNREAD);
    assert!(matches!(events.last(), Some(ShellEvent::Closed)), "{events:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_stops_a_flood_that_nobody_reads() {
    let sshd = Sshd::new();
    let session = sshd.session().await;
    let mut shell = within(session.exec("yes", Some(Pty::new(80, 24)))).await.unwrap();
    until("the limit is reached", || session.unread() >= MAX_UNREAD).await;
    shell.writer.write(b"\x03").await.unwrap();
    let (_, _, events) = collect(&mut shell.reader).await;
    assert!(
        matches!(&events[..], [ShellEvent::ExitSignal { name, .. }, ShellEvent::Closed] if name == "INT"),
        "{events:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn input_leaves_even_while_keys_are_renewed_and_nobody_reads() {
    let sshd = Sshd::new();
    let session = sshd.session().await;
    let mut shell = flooded(&sshd, &session).await;
    session.renew_keys().await;
    // From here on nothing may be sent until the server's half of the exchange is read, behind all of its output.
    within(shell.writer.write(b"typed\n")).await.unwrap();
    let typed = sshd.dir.join("typed");
    until("what was typed reaches the program", || fs::read(&typed).is_ok_and(|line| line == b"typed\n"))
        .await;
    assert!(session.unread() <= MAX_UNREAD + (2 << 20) + 33 * 1024, "{}", session.unread());
    let (_, _, events) = collect(&mut shell.reader).await;
    assert!(matches!(events.last(), Some(ShellEvent::Closed)), "{events:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_renewed_under_load_by_either_side() {
    let sshd = Sshd::with("RekeyLimit 256K");
    let session = sshd.session().await;
    let mut shell = within(session.exec("seq 1 1000000", None)).await.unwrap();
    let renewing = async {
        for _ in 0..5 {
            session.renew_keys().await;
            session.ping().await.unwrap();
        }
    };
    let ((output, _, events), ()) = tokio::join!(collect(&mut shell.reader), within(renewing));
    let mut expected = String::new();
    for number in 1..=1_000_000 {
        expected.push_str(&number.to_string());
        expected.push('\n');
    }
    assert!(output == expected.into_bytes());
    assert_eq!(events.first(), Some(&ShellEvent::ExitStatus(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_that_is_not_read_any_more_holds_up_nobody() {
    let sshd = Sshd::new();
    let session = sshd.session().await;
    let shell = flooded(&sshd, &session).await;
    let Shell { writer, reader } = shell;
    drop(reader);
    let mut other = within(session.shell(Pty::new(80, 24))).await.unwrap();
    other.writer.write(b"echo $((6 * 7)); exit\n").await.unwrap();
    read_until(&mut other.reader, "42").await;
    writer.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_does_not_wait_for_output_that_nobody_reads() {
    let sshd = Sshd::new();
    let session = sshd.session().await;
    let mut shell = flooded(&sshd, &session).await;
    // Were it to wait for a reader, it would never end: nobody reads before it has.
    within(session.close()).await;
    until("the server has logged the disconnect", || sshd.log().contains("Received disconnect")).await;
    let (output, _, events) = collect(&mut shell.reader).await;
    assert!(output.len() > MAX_UNREAD / 2, "what had come can still be read: {}", output.len());
    assert_eq!(events, [ShellEvent::Disconnected(Disconnect::Local)]);
}
