//! The command line, the environment and the configuration file.
//!
//! Each setting is a flag, an environment variable or a line in one TOML file, in that order. The file's names are the
//! flags' names without their dashes; a list stands for a flag that is given several times. There is one parser: what
//! the file says, and neither flags nor environment do, is put among the arguments, which are then parsed again. So
//! what one setting needs of another is checked after that, and not by the parser.

mod args;

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use dayfly_platform::random::SystemRng;
use dayfly_wire::key::{NodePrivate, ParseKeyError};
use thiserror::Error;
use zeroize::Zeroizing;

use self::args::{CommonArgs, DerpArgs, MIN_BURST};
pub use self::args::{LogFormat, LogLevel};
use crate::config::{
    ClientRate, Config, DerpConfig, GatewayConfig, Limits, PageConfig, PageHeaders, TlsFiles,
};

/// A relay for tailnets: DERP, STUN, a gateway for browsers, and the page itself.
#[derive(Debug, Parser)]
#[command(name = "dayfly-relay", version, about, long_about = None, arg_required_else_help = true)]
#[command(
    after_help = "Every setting is a flag, an environment variable or a line in the file that --config names, in that order."
)]
pub struct Options {
    /// What to be.
    #[command(subcommand)]
    pub command: Command,
}

/// What a process is.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Relay packets between nodes (DERP), and be a gateway and host the page as well, if told to
    Derp(Box<DerpCommand>),
    /// Carry browsers' connections to a control server and to relays that they cannot reach themselves
    Gateway(Box<GatewayCommand>),
}

/// `dayfly-relay derp`.
#[derive(Args, Debug)]
pub struct DerpCommand {
    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    derp: DerpArgs,
}

/// `dayfly-relay gateway`.
#[derive(Args, Debug)]
pub struct GatewayCommand {
    #[command(flatten)]
    common: CommonArgs,
}

/// Everything that the command line, the environment and the file said.
#[derive(Debug)]
pub struct Settings {
    /// What to run.
    pub config: Config,
    /// How much to log.
    pub log_level: LogLevel,
    /// How to log.
    pub log_format: LogFormat,
    /// Where to tell the addresses.
    pub ready_file: Option<PathBuf>,
}

/// Why the settings cannot be used.
#[derive(Debug, Error)]
pub enum OptionsError {
    /// The command line or the environment is wrong, or help was asked for: clap tells which.
    #[error(transparent)]
    Arguments(#[from] clap::Error),
    /// The configuration file cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The configuration file is not TOML.
    #[error("{} is not valid TOML: {source}", path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// Why.
        source: toml::de::Error,
    },
    /// The configuration file has something that is no setting.
    #[error("{}: {name:?} {problem}", path.display())]
    Setting {
        /// The file.
        path: PathBuf,
        /// The setting's name.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The key file cannot be read or made.
    #[error("the key file {} cannot be used: {source}", path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The key file holds something else.
    #[error("the key file {} does not hold a key: {source}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ParseKeyError,
    },
    /// A gateway was asked for that leads nowhere.
    #[error("a gateway has to lead somewhere: give --control, --derp-upstream or both")]
    Nowhere,
    /// A setting was given without another one that it means nothing without.
    #[error("--{0} needs --{1}")]
    Needs(&'static str, &'static str),
}

impl Options {
    /// Reads the command line, the environment and the file that they name.
    ///
    /// # Errors
    /// When one of them cannot be used; or when help was asked for, which clap calls an error as well.
    pub fn read(arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Result<Settings, OptionsError> {
        let mut arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
        let command = Self::command();
        let matches = command.clone().try_get_matches_from(&arguments)?;
        let Some((name, given)) = matches.subcommand() else {
            return Self::from_arg_matches(&matches)?.settings();
        };
        if let Some(path) = given.get_one::<PathBuf>("config") {
            let known: Vec<&Arg> =
                command.find_subcommand(name).into_iter().flat_map(clap::Command::get_arguments).collect();
            arguments.extend(from_file(path, &known, given)?);
        }
        Self::from_arg_matches(&command.try_get_matches_from(arguments)?)?.settings()
    }

    fn settings(self) -> Result<Settings, OptionsError> {
        let (common, derp) = match self.command {
            Command::Derp(command) => (command.common, Some(command.derp)),
            Command::Gateway(command) => (command.common, None),
        };
        if derp.is_none() && common.control.is_none() && common.derp_upstream.is_empty() {
            return Err(OptionsError::Nowhere);
        }
        common.check()?;
        let tls = common.tls_cert.zip(common.tls_key).map(|(certificate, key)| TlsFiles { certificate, key });
        let config = Config {
            listen: common.listen,
            metrics_listen: common.metrics_listen,
            reuse_port: common.reuse_port,
            tls,
            allow_plain_http: common.allow_plain_http,
            public_hosts: common.public_host,
            derp: derp.map(DerpArgs::config).transpose()?,
            gateway: GatewayConfig {
                control: common.control,
                control_key: common.control_key,
                relays: common.derp_upstream,
                allow_origins: common.allow_origin,
                upstream_ca: common.upstream_ca,
            },
            page: PageConfig {
                www: common.www,
                config: common.page_config,
                headers: PageHeaders {
                    connect_src: common.connect_src,
                    frame_ancestors: common.frame_ancestors,
                },
            },
            limits: Limits {
                max_connections: common.max_connections as usize,
                accept_per_second: common.accept_rate,
                drain: Duration::from_secs(common.drain),
            },
        };
        Ok(Settings {
            config,
            log_level: common.log_level,
            log_format: common.log_format,
            ready_file: common.ready_file,
        })
    }
}

impl CommonArgs {
    fn check(&self) -> Result<(), OptionsError> {
        needs("tls-cert", self.tls_cert.is_some(), "tls-key", self.tls_key.is_some())?;
        needs("tls-key", self.tls_key.is_some(), "tls-cert", self.tls_cert.is_some())?;
        needs("control-key", self.control_key.is_some(), "control", self.control.is_some())
    }
}

impl DerpArgs {
    fn check(&self) -> Result<(), OptionsError> {
        let (verifies, limits) = (self.verify_client_url.is_some(), self.client_rate.is_some());
        let fails_open = self.verify_client_url_fail_open;
        needs("verify-client-url-fail-open", fails_open, "verify-client-url", verifies)?;
        needs("client-burst", self.client_burst.is_some(), "client-rate", limits)
    }

    fn config(self) -> Result<DerpConfig, OptionsError> {
        self.check()?;
        let key = match &self.key_file {
            Some(path) => read_key(path)?,
            None => NodePrivate::generate(&mut SystemRng),
        };
        let client_rate = self.client_rate.map(|bytes_per_second| ClientRate {
            bytes_per_second,
            burst: self.client_burst.unwrap_or_else(|| bytes_per_second.saturating_mul(2).max(MIN_BURST)),
        });
        Ok(DerpConfig {
            key,
            stun_listen: self.stun_listen,
            verify_url: self.verify_client_url,
            verify_fail_open: self.verify_client_url_fail_open,
            client_rate,
        })
    }
}

/// Refuses a setting that was given without one that it means nothing without.
fn needs(
    name: &'static str,
    is_given: bool,
    other: &'static str,
    other_is_given: bool,
) -> Result<(), OptionsError> {
    if is_given && !other_is_given { Err(OptionsError::Needs(name, other)) } else { Ok(()) }
}

/// The arguments that say what the file says, as far as nobody else does.
fn from_file(path: &Path, known: &[&Arg], given: &ArgMatches) -> Result<Vec<OsString>, OptionsError> {
    let text =
        fs::read_to_string(path).map_err(|source| OptionsError::File { path: path.to_owned(), source })?;
    let table: toml::Table =
        toml::from_str(&text).map_err(|source| OptionsError::Toml { path: path.to_owned(), source })?;
    let mut arguments = Vec::new();
    for (name, value) in table {
        let wrong = |problem| OptionsError::Setting { path: path.to_owned(), name: name.clone(), problem };
        let argument = known.iter().find(|argument| argument.get_long() == Some(&name) && name != "config");
        let argument = argument.ok_or_else(|| wrong("is not a setting of this command"))?;
        let source = given.value_source(argument.get_id().as_str());
        if matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable)) {
            continue;
        }
        let is_flag = matches!(argument.get_action(), ArgAction::SetTrue);
        match value {
            toml::Value::Boolean(set) if is_flag => {
                if set {
                    arguments.push(format!("--{name}").into());
                }
            }
            _ if is_flag => return Err(wrong("has to be true or false")),
            toml::Value::Array(values) if matches!(argument.get_action(), ArgAction::Append) => {
                for value in values {
                    let text = scalar(value).ok_or_else(|| wrong("has to be a list of texts or numbers"))?;
                    arguments.push(format!("--{name}={text}").into());
                }
            }
            value => {
                let text = scalar(value).ok_or_else(|| wrong("has to be a text or a number"))?;
                arguments.push(format!("--{name}={text}").into());
            }
        }
    }
    Ok(arguments)
}

fn scalar(value: toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text),
        toml::Value::Integer(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Reads the key in a file, or makes one that only its owner can read.
fn read_key(path: &Path) -> Result<NodePrivate, OptionsError> {
    let failed = |source| OptionsError::KeyFile { path: path.to_owned(), source };
    match fs::read_to_string(path).map(Zeroizing::new) {
        Ok(text) => text.trim().parse().map_err(|source| OptionsError::Key { path: path.to_owned(), source }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = NodePrivate::generate(&mut SystemRng);
            let mut options = fs::OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let mut file = options.open(path).map_err(failed)?;
            file.write_all(key.to_secret_text().as_bytes()).map_err(failed)?;
            file.write_all(b"\n").and_then(|()| file.sync_all()).map_err(failed)?;
            Ok(key)
        }
        Err(error) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests;
