//! The settings of the command line, and how their values are read.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use dayfly_wire::derp::{HEADER_LEN, MAX_PACKET_LEN};
use dayfly_wire::key::{KEY_LEN, MachinePublic};

use crate::config::{HostName, Limits, OriginRule, UpstreamUrl};
use crate::www::is_source;

/// The least burst of a client's rate limit: one of the longest frames.
pub(super) const MIN_BURST: u64 = (HEADER_LEN + KEY_LEN + MAX_PACKET_LEN) as u64;

#[derive(Args, Debug)]
pub(super) struct CommonArgs {
    /// TOML file with settings: the names of these flags without their dashes
    #[arg(long, value_name = "FILE", env = "DAYFLY_CONFIG", help_heading = "General")]
    pub(super) config: Option<PathBuf>,
    /// How much to log, to standard error
    #[arg(long, value_enum, default_value = "info", env = "DAYFLY_LOG_LEVEL", help_heading = "General")]
    pub(super) log_level: LogLevel,
    /// How to log: a line of text or of JSON for each event
    #[arg(long, value_enum, default_value = "text", env = "DAYFLY_LOG_FORMAT", help_heading = "General")]
    pub(super) log_format: LogFormat,
    /// Write where this process listens to a file (JSON), once it does
    #[arg(long, value_name = "FILE", env = "DAYFLY_READY_FILE", help_heading = "General")]
    pub(super) ready_file: Option<PathBuf>,

    /// Address to serve HTTP or HTTPS on; port 0 takes a free one. May be given several times
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:8443",
        value_delimiter = ',',
        env = "DAYFLY_LISTEN",
        help_heading = "Listening"
    )]
    pub(super) listen: Vec<SocketAddr>,
    /// Certificate for HTTPS, with those that lead to its authority (PEM). Read again on SIGHUP
    #[arg(long, value_name = "FILE", env = "DAYFLY_TLS_CERT", help_heading = "Listening")]
    pub(super) tls_cert: Option<PathBuf>,
    /// The certificate's key (PEM)
    #[arg(long, value_name = "FILE", env = "DAYFLY_TLS_KEY", help_heading = "Listening")]
    pub(super) tls_key: Option<PathBuf>,
    /// Serve plain HTTP where others can reach it: only behind something that speaks TLS
    #[arg(long, env = "DAYFLY_ALLOW_PLAIN_HTTP", help_heading = "Listening")]
    pub(super) allow_plain_http: bool,
    /// Name by which a proxy in front asks for this server. Without TLS, requests on loopback are answered only when
    /// they name this machine, an allowed origin's host or one of these; once one is given, on all addresses. May be
    /// given several times
    #[arg(
        long,
        value_name = "HOST",
        value_delimiter = ',',
        env = "DAYFLY_PUBLIC_HOST",
        help_heading = "Listening"
    )]
    pub(super) public_host: Vec<HostName>,
    /// Let a new process listen on the same ports while this one is going down (SO_REUSEPORT)
    #[arg(long, env = "DAYFLY_REUSE_PORT", help_heading = "Listening")]
    pub(super) reuse_port: bool,
    /// Address to serve /metrics and /healthz on
    #[arg(long, value_name = "ADDRESS:PORT", env = "DAYFLY_METRICS_LISTEN", help_heading = "Listening")]
    pub(super) metrics_listen: Option<SocketAddr>,
    /// How many connections may be open at once
    #[arg(
        long, value_name = "COUNT", default_value_t = Limits::default().max_connections as u32,
        value_parser = clap::value_parser!(u32).range(1..), env = "DAYFLY_MAX_CONNECTIONS", help_heading = "Limits"
    )]
    pub(super) max_connections: u32,
    /// How many connections are accepted in a second
    #[arg(
        long, value_name = "COUNT", default_value_t = Limits::default().accept_per_second,
        value_parser = clap::value_parser!(u32).range(1..), env = "DAYFLY_ACCEPT_RATE", help_heading = "Limits"
    )]
    pub(super) accept_rate: u32,
    /// How many seconds connections get to end when this process is told to
    #[arg(
        long, value_name = "SECONDS", default_value_t = Limits::default().drain.as_secs(),
        env = "DAYFLY_DRAIN", help_heading = "Limits"
    )]
    pub(super) drain: u64,

    /// Control server that the gateway leads to
    #[arg(long, value_name = "URL", env = "DAYFLY_CONTROL", help_heading = "Gateway")]
    pub(super) control: Option<UpstreamUrl>,
    /// The control server's key, mkey:..., which the page is told to take no other for. It is in the control server's
    /// answer to /key?v=130
    #[arg(long, value_name = "KEY", env = "DAYFLY_CONTROL_KEY", help_heading = "Gateway")]
    pub(super) control_key: Option<MachinePublic>,
    /// Relay that the gateway leads to, under /gateway/derp/REGION; without a region, for all that have none of
    /// their own. May be given several times
    #[arg(
        long, value_name = "[REGION=]URL", alias = "derp", value_delimiter = ',', value_parser = region_url,
        env = "DAYFLY_DERP_UPSTREAM", help_heading = "Gateway"
    )]
    pub(super) derp_upstream: Vec<(u32, UpstreamUrl)>,
    /// Origin whose pages may use the gateway, besides this server's own; * for all. May be given several times
    #[arg(
        long,
        value_name = "ORIGIN",
        value_delimiter = ',',
        env = "DAYFLY_ALLOW_ORIGIN",
        help_heading = "Gateway"
    )]
    pub(super) allow_origin: Vec<OriginRule>,
    /// Authorities to trust for upstreams' certificates, besides the system's, or upstreams' certificates themselves
    /// (PEM). May be given several times
    #[arg(
        long,
        value_name = "FILE",
        value_delimiter = ',',
        env = "DAYFLY_UPSTREAM_CA",
        help_heading = "Gateway"
    )]
    pub(super) upstream_ca: Vec<PathBuf>,

    /// Directory with the page. Read again on SIGHUP
    #[arg(long, value_name = "DIRECTORY", env = "DAYFLY_WWW", help_heading = "Page")]
    pub(super) www: Option<PathBuf>,
    /// File to serve as /config.json
    #[arg(long, value_name = "FILE", env = "DAYFLY_PAGE_CONFIG", help_heading = "Page")]
    pub(super) page_config: Option<PathBuf>,
    /// Where the page may connect to besides this server (a source of its content security policy); anywhere by TLS
    /// when not given. May be given several times
    #[arg(
        long, value_name = "SOURCE", value_delimiter = ',', value_parser = source,
        env = "DAYFLY_CONNECT_SRC", help_heading = "Page"
    )]
    pub(super) connect_src: Vec<String>,
    /// Origin that may show the page in a frame; none when not given. May be given several times
    #[arg(
        long, value_name = "SOURCE", value_delimiter = ',', value_parser = source,
        env = "DAYFLY_FRAME_ANCESTORS", help_heading = "Page"
    )]
    pub(super) frame_ancestors: Vec<String>,
}

#[derive(Args, Debug)]
pub(super) struct DerpArgs {
    /// File with the relay's key, made on first start; without one, each start has a new key
    #[arg(long, value_name = "FILE", env = "DAYFLY_KEY_FILE", help_heading = "Relay")]
    pub(super) key_file: Option<PathBuf>,
    /// Address to serve STUN on (UDP); nodes expect port 3478. May be given several times
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        value_delimiter = ',',
        env = "DAYFLY_STUN_LISTEN",
        help_heading = "Relay"
    )]
    pub(super) stun_listen: Vec<SocketAddr>,
    /// Ask this server whether a client may use the relay, as derper does; Headscale has it at /verify
    #[arg(long, value_name = "URL", env = "DAYFLY_VERIFY_CLIENT_URL", help_heading = "Relay")]
    pub(super) verify_client_url: Option<UpstreamUrl>,
    /// Let clients in when that server cannot be asked
    #[arg(long, env = "DAYFLY_VERIFY_CLIENT_URL_FAIL_OPEN", help_heading = "Relay")]
    pub(super) verify_client_url_fail_open: bool,
    /// How many bytes a second to read from one client; no limit when not given
    #[arg(
        long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1024..),
        env = "DAYFLY_CLIENT_RATE", help_heading = "Relay"
    )]
    pub(super) client_rate: Option<u64>,
    /// How many bytes one client may send at once after a pause; two seconds' worth when not given
    #[arg(
        long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(MIN_BURST..),
        env = "DAYFLY_CLIENT_BURST", help_heading = "Relay"
    )]
    pub(super) client_burst: Option<u64>,
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
