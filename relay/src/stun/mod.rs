//! The STUN server: tells nodes from which address their packets come.

mod options;

use std::net::SocketAddr;
use std::time::Duration;

use dayfly_http::listen;
use dayfly_http::metrics::{Counter, Registry};
use dayfly_http::server::BindError;
use dayfly_wire::stun;
use futures::future::join_all;
use tokio::net::UdpSocket;

pub(crate) use self::options::StunArgs;

/// The longest packet that is read, in bytes. Requests of nodes have 40.
const MAX_REQUEST: usize = 1500;

/// Settings of STUN.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct StunConfig {
    /// Addresses where it is served, by UDP. Port 0 takes a free one.
    pub listen: Vec<SocketAddr>,
}

/// The STUN server on all of its sockets.
#[derive(Debug)]
pub(crate) struct Stun {
    sockets: Vec<UdpSocket>,
    /// Requests that were answered.
    answered: Counter,
    /// Other packets.
    ignored: Counter,
}

impl Stun {
    /// Opens the sockets.
    ///
    /// # Errors
    /// When an address is taken.
    pub(crate) fn bind(
        config: &StunConfig,
        reuse_port: bool,
        registry: &Registry,
    ) -> Result<Self, BindError> {
        let open = |address: &SocketAddr| {
            let address = *address;
            listen::udp(address, reuse_port).map_err(|source| BindError::Listen { address, source })
        };
        Ok(Self {
            sockets: config.listen.iter().map(open).collect::<Result<Vec<_>, _>>()?,
            answered: registry.counter("stun_answered", "STUN requests answered"),
            ignored: registry.counter("stun_ignored", "other packets on the STUN port"),
        })
    }

    /// Addresses where it is served, with the ports that were taken for 0.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.sockets.iter().filter_map(|socket| socket.local_addr().ok()).collect()
    }

    /// Answers requests for ever.
    pub(crate) async fn serve(self) {
        if self.sockets.is_empty() {
            return std::future::pending().await;
        }
        join_all(self.sockets.iter().map(|socket| self.serve_socket(socket))).await;
    }

    /// Answers requests on one socket. Anything else is ignored, so that nothing can be reflected from here: an answer
    /// is no longer than 44 bytes, to a request of at least 40.
    async fn serve_socket(&self, socket: &UdpSocket) {
        let mut buffer = [0; MAX_REQUEST];
        loop {
            match socket.recv_from(&mut buffer).await {
                Ok((len, from)) => match answer(&buffer[..len], from) {
                    Some(response) => {
                        // A full send buffer loses the answer, as the network might; nodes ask again.
                        if socket.try_send_to(response.as_ref(), from).is_ok() {
                            self.answered.inc();
                        }
                    }
                    None => {
                        self.ignored.inc();
                    }
                },
                Err(error) => {
                    // Mostly an ICMP error about an earlier answer. Not in a tight loop, should it be something else.
                    tracing::debug!(%error, "STUN receive failed");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        }
    }
}

fn answer(packet: &[u8], from: SocketAddr) -> Option<stun::Response> {
    let tx_id = stun::parse_request(packet).ok()?;
    Some(stun::response(&tx_id, from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_requests_of_nodes_are_answered() {
        let from: SocketAddr = "[::ffff:192.0.2.1]:4242".parse().unwrap();
        let request = stun::request(&[7; 12]);
        let response = answer(&request, from).unwrap();
        let told = ([7; 12], "192.0.2.1:4242".parse().unwrap());
        assert_eq!(stun::parse_response(response.as_ref()), Ok(told));
        assert!(answer(&request[..20], from).is_none());
        assert!(answer(b"", from).is_none());
    }
}
