//! The settings of STUN on the command line.

use std::net::SocketAddr;

use clap::Args;

use super::StunConfig;

/// Settings of STUN.
#[derive(Args, Debug)]
#[command(next_help_heading = "Relay")]
pub(crate) struct StunArgs {
    /// Address to serve STUN on (UDP); nodes expect port 3478. May be given several times
    #[arg(long, value_name = "ADDRESS:PORT", value_delimiter = ',')]
    stun_listen: Vec<SocketAddr>,
}

impl StunArgs {
    /// Returns the settings that they make.
    pub(crate) fn config(self) -> StunConfig {
        StunConfig { listen: self.stun_listen }
    }
}
