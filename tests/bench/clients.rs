//! The two clients under measurement.

use std::env;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use dayfly_tests::tools;

/// A client that runs in a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Client {
    /// Tailscale's own, compiled from Go.
    Tsconnect,
    /// Ours.
    Dayfly,
}

impl Client {
    /// Both, the one that ours is compared with first.
    pub(crate) const BOTH: [Self; 2] = [Self::Tsconnect, Self::Dayfly];

    /// Its name on the command line and in the tailnet.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tsconnect => "tsconnect",
            Self::Dayfly => "dayfly",
        }
    }

    /// Its name for people.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Tsconnect => "Go's tsconnect",
            Self::Dayfly => "Dayfly",
        }
    }

    /// The directory that its page is served from.
    pub(crate) fn www(self) -> Result<PathBuf> {
        match self {
            Self::Tsconnect => env::var_os("DAYFLY_TSCONNECT")
                .map(PathBuf::from)
                .context("DAYFLY_TSCONNECT does not name Tailscale's client: run `cargo xtask bench`"),
            Self::Dayfly => Ok(tools::dist()),
        }
    }

    /// The object of its page that takes keys (`sendText`) and gives output (`tap`).
    pub(crate) const fn hooks(self) -> &'static str {
        match self {
            Self::Tsconnect => "window.tsconnect",
            Self::Dayfly => "window.dayfly",
        }
    }

    /// The performance marks that its page sets: API callable, in the tailnet, first output of the shell.
    pub(crate) const fn marks(self) -> [&'static str; 3] {
        match self {
            Self::Tsconnect => ["tsconnect:ready", "tsconnect:running", "tsconnect:prompt"],
            Self::Dayfly => ["dayfly:engine", "dayfly:running", "dayfly:prompt"],
        }
    }

    /// An expression that logs the node out.
    pub(crate) const fn leave(self) -> &'static str {
        match self {
            Self::Tsconnect => "window.tsconnect.leave()",
            Self::Dayfly => "window.dayfly.tailnet.close()",
        }
    }

    /// Bytes that a shell is made to print: some seconds' worth.
    pub(crate) const fn output(self) -> u32 {
        match self {
            Self::Tsconnect => 4 << 20,
            Self::Dayfly => 32 << 20,
        }
    }
}
