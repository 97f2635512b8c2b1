//! The STUN server: tells nodes from which address their packets come.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dayfly_wire::stun;
use tokio::net::UdpSocket;

use crate::metrics::Metrics;

/// Longer packets than this are no requests of nodes, which have 40 bytes.
const MAX_REQUEST: usize = 1500;

/// Answers requests for ever. Anything else is ignored, so that nothing can be reflected from here: an answer is no
/// longer than 44 bytes, to a request of at least 40.
pub(crate) async fn serve(socket: UdpSocket, metrics: Arc<Metrics>) {
    let mut buffer = [0; MAX_REQUEST];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((len, from)) => match answer(&buffer[..len], from) {
                Some(response) => {
                    // A full send buffer loses the answer, as the network might; nodes ask again.
                    if socket.try_send_to(response.as_ref(), from).is_ok() {
                        metrics.stun_answered.add(1);
                    }
                }
                None => metrics.stun_ignored.add(1),
            },
            Err(error) => {
                // Mostly an ICMP error about an earlier answer. Not in a tight loop, should it be something else.
                tracing::debug!(%error, "STUN receive failed");
                tokio::time::sleep(Duration::from_millis(10)).await;
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
