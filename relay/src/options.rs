//! The command line, the environment and the configuration file.
//!
//! Each setting is a flag, an environment variable or a line in one TOML file, in that order. The file's names are the
//! flags' names without their dashes; a list stands for a flag that is given several times. There is one parser: what
//! the file says, and neither flags nor environment do, is put among the arguments, which are then parsed again.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{
    Arg, ArgAction, ArgMatches, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum,
};
use dayfly_platform::random::SystemRng;
use dayfly_wire::derp::{HEADER_LEN, MAX_PACKET_LEN};
use dayfly_wire::key::{KEY_LEN, NodePrivate, ParseKeyError};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::config::{
    ClientRate, Config, DerpConfig, GatewayConfig, Limits, OriginRule, PageConfig, PageHeaders, TlsFiles,
    UpstreamUrl,
};
use crate::www::is_source;

/// The least burst of a client's rate limit: one of the longest frames.
const MIN_BURST: u64 = (HEADER_LEN + KEY_LEN + MAX_PACKET_LEN) as u64;

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

#[derive(Args, Debug)]
struct CommonArgs {
    /// TOML file with settings: the names of these flags without their dashes
    #[arg(long, value_name = "FILE", env = "DAYFLY_CONFIG", help_heading = "General")]
    config: Option<PathBuf>,
    /// How much to log, to standard error
    #[arg(long, value_enum, default_value = "info", env = "DAYFLY_LOG_LEVEL", help_heading = "General")]
    log_level: LogLevel,
    /// How to log: a line of text or of JSON for each event
    #[arg(long, value_enum, default_value = "text", env = "DAYFLY_LOG_FORMAT", help_heading = "General")]
    log_format: LogFormat,
    /// Write where this process listens to a file (JSON), once it does
    #[arg(long, value_name = "FILE", env = "DAYFLY_READY_FILE", help_heading = "General")]
    ready_file: Option<PathBuf>,

    /// Address to serve HTTP or HTTPS on; port 0 takes a free one. May be given several times
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:8443",
        value_delimiter = ',',
        env = "DAYFLY_LISTEN",
        help_heading = "Listening"
    )]
    listen: Vec<SocketAddr>,
    /// Certificate for HTTPS, with those that lead to its authority (PEM). Read again on SIGHUP
    #[arg(
        long,
        value_name = "FILE",
        requires = "tls_key",
        env = "DAYFLY_TLS_CERT",
        help_heading = "Listening"
    )]
    tls_cert: Option<PathBuf>,
    /// The certificate's key (PEM)
    #[arg(
        long,
        value_name = "FILE",
        requires = "tls_cert",
        env = "DAYFLY_TLS_KEY",
        help_heading = "Listening"
    )]
    tls_key: Option<PathBuf>,
    /// Serve plain HTTP where others can reach it: only behind something that speaks TLS
    #[arg(long, env = "DAYFLY_ALLOW_PLAIN_HTTP", help_heading = "Listening")]
    allow_plain_http: bool,
    /// Let a new process listen on the same ports while this one is going down (SO_REUSEPORT)
    #[arg(long, env = "DAYFLY_REUSE_PORT", help_heading = "Listening")]
    reuse_port: bool,
    /// Address to serve /metrics and /healthz on
    #[arg(long, value_name = "ADDRESS:PORT", env = "DAYFLY_METRICS_LISTEN", help_heading = "Listening")]
    metrics_listen: Option<SocketAddr>,
    /// How many connections may be open at once
    #[arg(
        long, value_name = "COUNT", default_value_t = Limits::default().max_connections as u32,
        value_parser = clap::value_parser!(u32).range(1..), env = "DAYFLY_MAX_CONNECTIONS", help_heading = "Limits"
    )]
    max_connections: u32,
    /// How many connections are accepted in a second
    #[arg(
        long, value_name = "COUNT", default_value_t = Limits::default().accept_per_second,
        value_parser = clap::value_parser!(u32).range(1..), env = "DAYFLY_ACCEPT_RATE", help_heading = "Limits"
    )]
    accept_rate: u32,
    /// How many seconds connections get to end when this process is told to
    #[arg(
        long, value_name = "SECONDS", default_value_t = Limits::default().drain.as_secs(),
        env = "DAYFLY_DRAIN", help_heading = "Limits"
    )]
    drain: u64,

    /// Control server that the gateway leads to
    #[arg(long, value_name = "URL", env = "DAYFLY_CONTROL", help_heading = "Gateway")]
    control: Option<UpstreamUrl>,
    /// Relay that the gateway leads to, under /gateway/derp/REGION; without a region, for all that have none of
    /// their own. May be given several times
    #[arg(
        long, value_name = "[REGION=]URL", alias = "derp", value_delimiter = ',', value_parser = region_url,
        env = "DAYFLY_DERP_UPSTREAM", help_heading = "Gateway"
    )]
    derp_upstream: Vec<(u32, UpstreamUrl)>,
    /// Origin whose pages may use the gateway, besides this server's own; * for all. May be given several times
    #[arg(
        long,
        value_name = "ORIGIN",
        value_delimiter = ',',
        env = "DAYFLY_ALLOW_ORIGIN",
        help_heading = "Gateway"
    )]
    allow_origin: Vec<OriginRule>,
    /// Authorities to trust for upstreams' certificates, besides the system's, or upstreams' certificates themselves
    /// (PEM). May be given several times
    #[arg(
        long,
        value_name = "FILE",
        value_delimiter = ',',
        env = "DAYFLY_UPSTREAM_CA",
        help_heading = "Gateway"
    )]
    upstream_ca: Vec<PathBuf>,

    /// Directory with the page. Read again on SIGHUP
    #[arg(long, value_name = "DIRECTORY", env = "DAYFLY_WWW", help_heading = "Page")]
    www: Option<PathBuf>,
    /// File to serve as /config.json
    #[arg(long, value_name = "FILE", env = "DAYFLY_PAGE_CONFIG", help_heading = "Page")]
    page_config: Option<PathBuf>,
    /// Where the page may connect to besides this server (a source of its content security policy); anywhere by TLS
    /// when not given. May be given several times
    #[arg(
        long, value_name = "SOURCE", value_delimiter = ',', value_parser = source,
        env = "DAYFLY_CONNECT_SRC", help_heading = "Page"
    )]
    connect_src: Vec<String>,
    /// Origin that may show the page in a frame; none when not given. May be given several times
    #[arg(
        long, value_name = "SOURCE", value_delimiter = ',', value_parser = source,
        env = "DAYFLY_FRAME_ANCESTORS", help_heading = "Page"
    )]
    frame_ancestors: Vec<String>,
}

#[derive(Args, Debug)]
struct DerpArgs {
    /// File with the relay's key, made on first start; without one, each start has a new key
    #[arg(long, value_name = "FILE", env = "DAYFLY_KEY_FILE", help_heading = "Relay")]
    key_file: Option<PathBuf>,
    /// Address to serve STUN on (UDP); nodes expect port 3478. May be given several times
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        value_delimiter = ',',
        env = "DAYFLY_STUN_LISTEN",
        help_heading = "Relay"
    )]
    stun_listen: Vec<SocketAddr>,
    /// Ask this server whether a client may use the relay, as derper does; Headscale has it at /verify
    #[arg(long, value_name = "URL", env = "DAYFLY_VERIFY_CLIENT_URL", help_heading = "Relay")]
    verify_client_url: Option<UpstreamUrl>,
    /// Let clients in when that server cannot be asked
    #[arg(
        long,
        requires = "verify_client_url",
        env = "DAYFLY_VERIFY_CLIENT_URL_FAIL_OPEN",
        help_heading = "Relay"
    )]
    verify_client_url_fail_open: bool,
    /// How many bytes a second to read from one client; no limit when not given
    #[arg(
        long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1024..),
        env = "DAYFLY_CLIENT_RATE", help_heading = "Relay"
    )]
    client_rate: Option<u64>,
    /// How many bytes one client may send at once after a pause; two seconds' worth when not given
    #[arg(
        long, value_name = "BYTES", requires = "client_rate", value_parser = clap::value_parser!(u64).range(MIN_BURST..),
        env = "DAYFLY_CLIENT_BURST", help_heading = "Relay"
    )]
    client_burst: Option<u64>,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// What keeps the process from doing its work.
    Error,
    /// What somebody should look at.
    Warn,
    /// What happens seldom.
    Info,
    /// What happens to each connection.
    Debug,
    /// What happens inside of connections.
    Trace,
}

/// How lines of the log look.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
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
        let tls = common.tls_cert.zip(common.tls_key).map(|(certificate, key)| TlsFiles { certificate, key });
        let config = Config {
            listen: common.listen,
            metrics_listen: common.metrics_listen,
            reuse_port: common.reuse_port,
            tls,
            allow_plain_http: common.allow_plain_http,
            derp: derp.map(DerpArgs::config).transpose()?,
            gateway: GatewayConfig {
                control: common.control,
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

impl DerpArgs {
    fn config(self) -> Result<DerpConfig, OptionsError> {
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

fn region_url(text: &str) -> Result<(u32, UpstreamUrl), String> {
    let (region, url) = match text.split_once('=') {
        Some((region, url)) => {
            let number = region.parse().ok().filter(|region| *region > 0);
            (number.ok_or_else(|| format!("{region:?} is not the number of a region"))?, url)
        }
        None => (0, text),
    };
    url.parse().map(|url| (region, url)).map_err(|error: crate::config::UpstreamUrlError| error.to_string())
}

fn source(text: &str) -> Result<String, String> {
    if is_source(text) {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is not a source of a content security policy"))
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
