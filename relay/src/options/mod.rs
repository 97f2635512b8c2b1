//! The command line, the environment and the configuration file.
//!
//! Each setting is a flag, an environment variable or a line in one TOML file, in that order. A flag's name gives the
//! other two: `--key-file` is `DAYFLY_KEY_FILE` in the environment and `key-file` in the file, where a list stands for a
//! flag that is given several times. There is one parser: what the file says, and neither flags nor environment do, is
//! put among the arguments, which are then parsed again. So what one setting needs of another is checked after that, and
//! not by the parser. Each part of the process owns its settings (`options.rs` beside it); here they are put together.

mod file;
mod general;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use thiserror::Error;

pub use self::file::FileError;
use self::general::{GeneralArgs, LimitArgs, ListenArgs};
pub use self::general::{LogFormat, LogLevel};
use crate::config::Config;
use crate::derp::DerpArgs;
pub use crate::derp::KeyFileError;
use crate::gateway::GatewayArgs;
pub use crate::needs::Needs;
use crate::site::PageArgs;
use crate::stun::StunArgs;

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
    general: GeneralArgs,
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
    /// Amount of logging.
    pub log_level: LogLevel,
    /// Form of the log.
    pub log_format: LogFormat,
    /// File to write the addresses to.
    pub ready_file: Option<PathBuf>,
}

/// Reasons why the settings cannot be used.
#[derive(Debug, Error)]
pub enum OptionsError {
    /// The command line or the environment is wrong, or help was asked for: clap tells which.
    #[error(transparent)]
    Arguments(#[from] clap::Error),
    /// The configuration file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The key file cannot be used.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// A gateway was asked for that leads nowhere.
    #[error("a gateway has to lead somewhere: give --control, --derp-upstream or both")]
    Nowhere,
    /// A setting was given without another one that it means nothing without.
    #[error(transparent)]
    Needs(#[from] Needs),
}

impl Options {
    /// Reads the command line, the environment and the file that they name.
    ///
    /// # Errors
    /// When one of them cannot be used; or when help was asked for, which clap calls an error as well.
    pub fn read(arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Result<Settings, OptionsError> {
        let mut arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
        let command = command();
        let matches = command.clone().try_get_matches_from(&arguments)?;
        let Some((name, given)) = matches.subcommand() else {
            return Self::from_arg_matches(&matches)?.settings();
        };
        if let Some(path) = given.get_one::<PathBuf>("config") {
            let known: Vec<&Arg> =
                command.find_subcommand(name).into_iter().flat_map(clap::Command::get_arguments).collect();
            arguments.extend(file::arguments(path, &known, given)?);
        }
        Self::from_arg_matches(&command.try_get_matches_from(arguments)?)?.settings()
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
        listen.check()?;
        gateway.check()?;
        derp.as_ref().map(DerpArgs::check).transpose()?;
        let config = Config {
            limits: limits.limits(),
            derp: derp.map(DerpArgs::config).transpose()?,
            stun: stun.map(StunArgs::config).unwrap_or_default(),
            gateway: gateway.config(),
            page: page.config(),
            ..listen.config()
        };
        Ok(Settings {
            config,
            log_level: general.log_level,
            log_format: general.log_format,
            ready_file: general.ready_file,
        })
    }
}

/// The parser, with the environment's name of each flag that has a name of its own.
fn command() -> clap::Command {
    let variable = |argument: Arg| match argument.get_long() {
        Some(flag) => {
            let name = format!("DAYFLY_{}", flag.to_ascii_uppercase().replace('-', "_"));
            // clap keeps names for ever; there are some thirty, once.
            let name: &'static str = name.leak();
            argument.env(name)
        }
        None => argument,
    };
    Options::command().mut_subcommands(|command| command.mut_args(variable))
}

#[cfg(test)]
mod tests;
