//! What answers before there is a protocol: lines before the identification, servers that are busy, and others.

use dayfly_ssh::{ConnectError, Options, Phase, Unattended};
use tokio::io::AsyncWriteExt as _;

/// Connects to something that sends these bytes, and then closes or waits.
#[allow(clippy::unwrap_used, reason = "a fixture that fails fails its test")]
async fn answered_by(first: &[u8], closes: bool) -> ConnectError {
    let (near, mut far) = tokio::io::duplex(1 << 24);
    far.write_all(first).await.unwrap();
    if closes {
        far.shutdown().await.unwrap();
    }
    let options = Options::new("root", "host");
    dayfly_ssh::connect(near, options, &mut Unattended).await.unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn a_busy_server_is_not_a_broken_one() {
    for said in ["Exceeded MaxStartups", "Not allowed at this time"] {
        let error = answered_by(format!("{said}\r\n").as_bytes(), true).await;
        assert!(matches!(&error, ConnectError::Busy { said: text } if text == said), "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_without_a_word_claims_nothing() {
    let error = answered_by(b"", true).await;
    assert!(matches!(error, ConnectError::ClosedAtOnce), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_ssh_server_is_named_by_what_it_said() {
    for (said, seen) in [
        (&b"220 mail.example ESMTP\r\n"[..], "220 mail.example ESMTP"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "HTTP/1.1 400 Bad Request"),
        (b"SSH-1.5-old\r\n", "SSH-1.5-old"),
    ] {
        let error = answered_by(said, true).await;
        assert!(matches!(&error, ConnectError::VersionExchange { seen: text } if text == seen), "{error:?}");
    }
    // Far more, in one line, from something that does not close either.
    let error = answered_by(&vec![b'x'; 1 << 20], false).await;
    assert!(matches!(error, ConnectError::VersionExchange { .. }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_port_is_given_up_where_it_was_silent() {
    for (said, phase) in [
        (&b""[..], Phase::VersionExchange),
        (b"a notice\r\n", Phase::VersionExchange),
        (b"\nSSH-2.0-x\r\n", Phase::KeyExchange),
    ] {
        let error = answered_by(said, false).await;
        assert!(matches!(error, ConnectError::Timeout { phase: at, .. } if at == phase), "{error:?}");
    }
}
