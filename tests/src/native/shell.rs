//! Programs run through an SSH session of the native node.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use dayfly_ssh::{Session, Shell, ShellEvent};

/// Time that a running program may be silent where something is due from it.
const SILENCE: Duration = Duration::from_secs(30);

/// Remains of a program that has ended.
#[derive(Debug, Default)]
pub struct Ran {
    /// Bytes that it wrote to its standard output.
    pub output: Vec<u8>,
    /// Bytes that it wrote to its standard error.
    pub errors: Vec<u8>,
    /// Its exit status; `None` when a signal ended it.
    pub status: Option<u32>,
}

impl Ran {
    /// Its output as text, without white space around it.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.output).trim().to_owned()
    }
}

/// Runs `command` with `input` as its whole standard input.
pub async fn run(session: &Session, command: &str, input: &[u8]) -> Result<Ran> {
    let shell = session.exec(command, None).await.with_context(|| format!("starting {command}"))?;
    let Shell { writer, mut reader } = shell;
    let writing = async {
        writer.write(input).await?;
        writer.eof().await?;
        Ok::<_, anyhow::Error>(())
    };
    let reading = async {
        let mut ran = Ran::default();
        loop {
            let event = tokio::time::timeout(SILENCE, reader.next()).await;
            let event = event.with_context(|| {
                format!("{command}: silent for {SILENCE:?} after {} bytes", ran.output.len())
            })?;
            match event {
                Some(ShellEvent::Data(bytes)) => ran.output.extend_from_slice(&bytes),
                Some(ShellEvent::ExtendedData(bytes)) => ran.errors.extend_from_slice(&bytes),
                Some(ShellEvent::ExitStatus(status)) => ran.status = Some(status),
                Some(ShellEvent::Disconnected(reason)) => bail!("{command}: {reason}"),
                Some(ShellEvent::Closed) | None => return Ok(ran),
                Some(_) => {}
            }
        }
    };
    // A program may end without reading all of its input.
    let (written, ran) = tokio::join!(writing, reading);
    let ran = ran?;
    if let Err(error) = written
        && ran.status == Some(0)
        && !input.is_empty()
    {
        bail!("{command}: it ended well, but not all of its input was sent: {error}");
    }
    Ok(ran)
}

/// Types a line into a shell and waits until the answer, which must not be part of the line, comes back.
pub async fn ask(shell: &mut Shell, line: &str, answer: &str) -> Result<()> {
    ensure!(!line.contains(answer), "a terminal would echo {answer:?}");
    shell.writer.write(format!("{line}\n").as_bytes()).await?;
    let mut seen = Vec::new();
    loop {
        let event = tokio::time::timeout(SILENCE, shell.reader.next()).await;
        let shown = || String::from_utf8_lossy(&seen).into_owned();
        match event.with_context(|| format!("no {answer:?} after {line:?}; it said {:?}", shown()))? {
            Some(ShellEvent::Data(bytes)) => seen.extend_from_slice(&bytes),
            other => bail!("instead of {answer:?} came {other:?}, after {:?}", shown()),
        }
        if String::from_utf8_lossy(&seen).contains(answer) {
            return Ok(());
        }
    }
}
