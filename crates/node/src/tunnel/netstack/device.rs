//! The TCP/IP stack's network device: one packet in, each packet out straight to a [`PacketSink`].

use smoltcp::phy::{self, Checksum, ChecksumCapabilities, DeviceCapabilities, Medium};
use smoltcp::time::Instant;

use super::MTU;

/// Takes the packets that the stack sends.
pub(crate) trait PacketSink {
    /// Returns `true` while one more packet may be made.
    fn is_free(&self) -> bool;
    /// Sends a packet of `len` bytes that `fill` writes.
    fn send<R>(&mut self, len: usize, fill: impl FnOnce(&mut [u8]) -> R) -> R;
}

/// The stack's device for one call: what has come in, and where answers go.
pub(super) struct Device<'a, S> {
    pub(super) packet: Option<&'a [u8]>,
    pub(super) sink: &'a mut S,
}

pub(super) struct RxToken<'a>(&'a [u8]);
pub(super) struct TxToken<'a, S>(&'a mut S);

impl phy::RxToken for RxToken<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

impl<S: PacketSink> phy::TxToken for TxToken<'_, S> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        self.0.send(len, f)
    }
}

impl<S: PacketSink> phy::Device for Device<'_, S> {
    type RxToken<'t>
        = RxToken<'t>
    where
        Self: 't;
    type TxToken<'t>
        = TxToken<'t, S>
    where
        Self: 't;

    fn receive(&mut self, _: Instant) -> Option<(RxToken<'_>, TxToken<'_, S>)> {
        Some((RxToken(self.packet.take()?), TxToken(self.sink)))
    }

    fn transmit(&mut self, _: Instant) -> Option<TxToken<'_, S>> {
        self.sink.is_free().then_some(TxToken(self.sink))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = MTU;
        // WireGuard has authenticated what comes in: a sum adds nothing.
        let mut checksum = ChecksumCapabilities::default();
        checksum.ipv4 = Checksum::Tx;
        checksum.tcp = Checksum::Tx;
        checksum.icmpv4 = Checksum::Tx;
        checksum.icmpv6 = Checksum::Tx;
        capabilities.checksum = checksum;
        capabilities
    }
}

/// Sink for making the interface, which only asks what a device can do.
pub(super) struct NoSink;

impl PacketSink for NoSink {
    fn is_free(&self) -> bool {
        false
    }

    fn send<R>(&mut self, len: usize, fill: impl FnOnce(&mut [u8]) -> R) -> R {
        fill(&mut vec![0; len])
    }
}
