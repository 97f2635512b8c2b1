//! The command line, the environment and the configuration file.
//!
//! Each setting is a flag, an environment variable or a line in one TOML file, in that order. A flag's name gives the
//! other two: `--key-file` is `DAYFLY_KEY_FILE` in the environment and `key-file` in the file, where a list stands for a
//! flag that is given several times. `dayfly-cli` reads all three. Each part of the process owns its settings
//! (`options.rs` beside it); here they are put together.

mod general;

use std::ffi::OsString;

use clap::{Args, Parser, Subcommand};
use dayfly_cli::{General, Needs, SettingsError};
use thiserror::Error;

use self::general::{LimitArgs, ListenArgs};
use crate::config::Config;
use crate::derp::DerpArgs;
pub use crate::derp::KeyFileError;
use crate::gateway::GatewayArgs;
use crate::site::PageArgs;
use crate::stun::StunArgs;

/// The first word of the name of each environment variable.
const PREFIX: &str = "DAYFLY";

/// A relay for tailnets: DERP, STUN, a gateway for browsers, and the page itself.
#[derive(Debug, Parser)]
#[command(name = "dayfly-relay", version, about, long_about = None, arg_required_else_help = true)]
#[command(
    after_help = "Every setting is a flag, an environment variable or a line in the file that --config names, in that order."
)]
pub struct Options {
    /// The parts that the process has.
    #[command(subcommand)]
    pub command: Command,
}

/// Commands of the binary, by the parts that they run.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Relay packets between nodes (DERP), and be a gateway and host the page as well, if told to
    Derp(Box<DerpCommand>),
    /// Carry browsers' connections to a control server and to relays that they cannot reach themselves
    Gateway(Box<GatewayCommand>),
}

/// Settings of `dayfly-relay derp`.
#[derive(Args, Debug)]
pub struct DerpCommand {
    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    derp: DerpArgs,
    #[command(flatten)]
    stun: StunArgs,
}

/// Settings of `dayfly-relay gateway`.
#[derive(Args, Debug)]
pub struct GatewayCommand {
    #[command(flatten)]
    common: CommonArgs,
}

/// Settings of every command.
#[derive(Args, Debug)]
struct CommonArgs {
    #[command(flatten)]
    general: General,
    #[command(flatten)]
    listen: ListenArgs,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    gateway: GatewayArgs,
    #[command(flatten)]
    page: PageArgs,
}

/// Everything that the command line, the environment and the file said.
#[derive(Debug)]
pub struct Settings {
    /// The process.
    pub config: Config,
    /// The log, and the file to write the addresses to.
    pub general: General,
}

/// Reasons why the settings cannot be used.
#[derive(Debug, Error)]
pub enum OptionsError {
    /// The command line, the environment or the file is wrong, or help was asked for.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The key file cannot be used.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// A gateway was asked for that leads nowhere.
    #[error("a gateway has to lead somewhere: give --control, --derp-upstream or both")]
    Nowhere,
}

impl Options {
    /// Reads the command line, the environment and the file that they name.
    ///
    /// # Errors
    /// When one of them cannot be used; or when help was asked for, which clap calls an error as well.
    pub fn read(arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Result<Settings, OptionsError> {
        dayfly_cli::read::<Self>(PREFIX, arguments)?.settings()
    }

    fn settings(self) -> Result<Settings, OptionsError> {
        let (common, derp, stun) = match self.command {
            Command::Derp(command) => (command.common, Some(command.derp), Some(command.stun)),
            Command::Gateway(command) => (command.common, None, None),
        };
        let CommonArgs { general, listen, limits, gateway, page } = common;
        if derp.is_none() && !gateway.leads_somewhere() {
            return Err(OptionsError::Nowhere);
        }
        check(&listen, &gateway, derp.as_ref()).map_err(SettingsError::from)?;
        let config = Config {
            limits: limits.limits(),
            derp: derp.map(DerpArgs::config).transpose()?,
            stun: stun.map(StunArgs::config).unwrap_or_default(),
            gateway: gateway.config(),
            page: page.config(),
            ..listen.config()
        };
        Ok(Settings { config, general })
    }
}

/// Refuses settings without those that they need.
fn check(listen: &ListenArgs, gateway: &GatewayArgs, derp: Option<&DerpArgs>) -> Result<(), Needs> {
    listen.check()?;
    gateway.check()?;
    derp.map_or(Ok(()), DerpArgs::check)
}

#[cfg(test)]
mod tests;
