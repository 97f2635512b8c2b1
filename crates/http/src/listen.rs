//! Sockets that listen, with what servers need set on them.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UdpSocket};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// Listens for TCP connections. With `reuse_port`, other processes may listen on the same port.
///
/// # Errors
/// When the address is taken or is none of this machine.
pub fn tcp(address: SocketAddr, reuse_port: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    prepare(&socket, address, reuse_port)?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Opens a UDP socket. With `reuse_port`, other processes may open one on the same port.
///
/// # Errors
/// When the address is taken or is none of this machine.
pub fn udp(address: SocketAddr, reuse_port: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    prepare(&socket, address, reuse_port)?;
    UdpSocket::from_std(socket.into())
}

fn prepare(socket: &Socket, address: SocketAddr, reuse_port: bool) -> io::Result<()> {
    #[cfg(unix)]
    if reuse_port {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())
}
