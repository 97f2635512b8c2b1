//! The settings of a process that no part owns: its listeners and its bounds.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use dayfly_cli::{Needs, needs};
use dayfly_http::origin::HostName;
use dayfly_http::server::Limits;
use dayfly_http::tls::TlsFiles;

use crate::config::Config;

/// Settings of the listeners.
#[derive(Args, Debug)]
#[command(next_help_heading = "Listening")]
pub(super) struct ListenArgs {
    /// Address to serve HTTP or HTTPS on; port 0 takes a free one. May be given several times
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8443", value_delimiter = ',')]
    listen: Vec<SocketAddr>,
    /// Certificate for HTTPS, with those that lead to its authority (PEM). Read again on SIGHUP
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// The certificate's key (PEM)
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// Serve plain HTTP where others can reach it: only behind something that speaks TLS
    #[arg(long)]
    allow_plain_http: bool,
    /// Name by which a proxy in front asks for this server. Without TLS, requests on loopback are answered only when
    /// they name this machine, an allowed origin's host or one of these; once one is given, on all addresses. May be
    /// given several times
    #[arg(long, value_name = "HOST", value_delimiter = ',')]
    public_host: Vec<HostName>,
    /// Let a new process listen on the same ports while this one is going down (SO_REUSEPORT)
    #[arg(long)]
    reuse_port: bool,
    /// Address to serve /metrics and /healthz on
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics_listen: Option<SocketAddr>,
}

/// Bounds on what is served at once.
#[derive(Args, Debug)]
#[command(next_help_heading = "Limits")]
pub(super) struct LimitArgs {
    /// How many connections may be open at once
    #[arg(
        long, value_name = "COUNT", default_value_t = Limits::default().max_connections as u32,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    max_connections: u32,
    /// How many connections are accepted in a second
    #[arg(
        long, value_name = "COUNT", default_value_t = Limits::default().accept_per_second,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    accept_rate: u32,
    /// How many seconds connections get to end when this process is told to
    #[arg(long, value_name = "SECONDS", default_value_t = Limits::default().drain.as_secs())]
    drain: u64,
}

impl ListenArgs {
    /// Refuses settings without those that they need.
    pub(super) fn check(&self) -> Result<(), Needs> {
        needs("tls-cert", self.tls_cert.is_some(), "tls-key", self.tls_key.is_some())?;
        needs("tls-key", self.tls_key.is_some(), "tls-cert", self.tls_cert.is_some())
    }

    /// Returns the settings that they make, of a process without parts.
    pub(super) fn config(self) -> Config {
        Config {
            listen: self.listen,
            metrics_listen: self.metrics_listen,
            reuse_port: self.reuse_port,
            tls: self.tls_cert.zip(self.tls_key).map(|(certificate, key)| TlsFiles { certificate, key }),
            allow_plain_http: self.allow_plain_http,
            public_hosts: self.public_host,
            ..Config::default()
        }
    }
}

impl LimitArgs {
    /// Returns the bounds that they make.
    pub(super) const fn limits(&self) -> Limits {
        Limits {
            max_connections: self.max_connections as usize,
            accept_per_second: self.accept_rate,
            drain: Duration::from_secs(self.drain),
        }
    }
}
