//! IP packets, as far as routing and filtering look at them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IP protocol numbers (IANA).
pub(crate) mod protocol {
    pub(crate) const ICMP: u8 = 1;
    pub(crate) const TCP: u8 = 6;
    pub(crate) const UDP: u8 = 17;
    pub(crate) const ICMPV6: u8 = 58;
    pub(crate) const SCTP: u8 = 132;
}

const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

/// Header of an IP packet, as far as it is looked at, and its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packet<'a> {
    pub(crate) src: IpAddr,
    pub(crate) dst: IpAddr,
    /// IP protocol number. Extension headers of IPv6 are not followed: their number stands here then.
    pub(crate) protocol: u8,
    /// A fragment other than the first, which has no ports.
    pub(crate) later_fragment: bool,
    /// Bytes behind the IP header.
    pub(crate) payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Looks at a packet; `None` if its header is no IP header or is cut short.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        match bytes.first()? >> 4 {
            4 => Self::parse_v4(bytes),
            6 => Self::parse_v6(bytes),
            _ => None,
        }
    }

    fn parse_v4(bytes: &'a [u8]) -> Option<Self> {
        let header: &[u8; IPV4_HEADER] = bytes.first_chunk()?;
        let length = usize::from(header[0] & 0x0f) * 4;
        if length < IPV4_HEADER {
            return None;
        }
        let offset = u16::from_be_bytes([header[6], header[7]]) & 0x1fff;
        Some(Self {
            src: Ipv4Addr::new(header[12], header[13], header[14], header[15]).into(),
            dst: Ipv4Addr::new(header[16], header[17], header[18], header[19]).into(),
            protocol: header[9],
            later_fragment: offset != 0,
            payload: bytes.get(length..)?,
        })
    }

    fn parse_v6(bytes: &'a [u8]) -> Option<Self> {
        let (header, payload) = bytes.split_first_chunk::<IPV6_HEADER>()?;
        let address = |at: usize| {
            let octets = header.get(at..)?.first_chunk::<16>()?;
            Some(IpAddr::V6(Ipv6Addr::from(*octets)))
        };
        Some(Self {
            src: address(8)?,
            dst: address(24)?,
            protocol: header[6],
            later_fragment: false,
            payload,
        })
    }

    /// Source and destination port, where the protocol has them.
    pub(crate) fn ports(&self) -> Option<(u16, u16)> {
        if self.later_fragment || !matches!(self.protocol, protocol::TCP | protocol::UDP | protocol::SCTP) {
            return None;
        }
        let &[s0, s1, d0, d1] = self.payload.first_chunk::<4>()?;
        Some((u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1])))
    }

    /// Returns `true` for the first segment of a TCP connection: SYN without ACK (RFC 9293 section 3.5).
    pub(crate) fn opens_tcp(&self) -> bool {
        self.protocol == protocol::TCP && self.payload.get(13).is_none_or(|flags| flags & (SYN | ACK) == SYN)
    }

    /// Returns `true` for an answer to what was sent before: an echo reply or an error (RFC 792, RFC 4443).
    pub(crate) fn is_icmp_answer(&self) -> bool {
        let kind = self.payload.first().copied();
        match self.protocol {
            protocol::ICMP => matches!(kind, Some(0 | 3 | 11 | 12)),
            protocol::ICMPV6 => matches!(kind, Some(129 | 1..=4)),
            _ => false,
        }
    }
}

/// Makes an IP packet around `payload`, for what the TCP stack does not send itself. `None` for mixed families.
pub(crate) fn build(src: IpAddr, dst: IpAddr, protocol: u8, payload: &[u8]) -> Option<Vec<u8>> {
    let mut packet = Vec::with_capacity(IPV6_HEADER + payload.len());
    match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let total = u16::try_from(IPV4_HEADER + payload.len()).ok()?;
            packet.extend_from_slice(&[0x45, 0]);
            packet.extend_from_slice(&total.to_be_bytes());
            packet.extend_from_slice(&[0, 0, 0, 0, 64, protocol, 0, 0]);
            packet.extend_from_slice(&src.octets());
            packet.extend_from_slice(&dst.octets());
            let checksum = checksum(&packet).to_be_bytes();
            packet.get_mut(10..12)?.copy_from_slice(&checksum);
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            let length = u16::try_from(payload.len()).ok()?;
            packet.extend_from_slice(&[0x60, 0, 0, 0]);
            packet.extend_from_slice(&length.to_be_bytes());
            packet.extend_from_slice(&[protocol, 64]);
            packet.extend_from_slice(&src.octets());
            packet.extend_from_slice(&dst.octets());
        }
        _ => return None,
    }
    packet.extend_from_slice(payload);
    Some(packet)
}

/// The Internet checksum of an IPv4 header (RFC 1071).
fn checksum(header: &[u8]) -> u16 {
    let (words, _) = header.as_chunks::<2>();
    let mut sum: u32 = words.iter().map(|word| u32::from(u16::from_be_bytes(*word))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_header_as_others_write_it_has_their_checksum() {
        // An example that is passed around with RFC 1071's algorithm: 192.168.0.1 to 192.168.0.199, UDP.
        let header =
            [0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0, 0, 0xc0, 0xa8, 0, 1, 0xc0, 0xa8, 0, 0xc7];
        assert_eq!(checksum(&header), 0xb861);
    }

    #[test]
    fn only_a_syn_without_an_ack_opens_a_connection() {
        let segment = |flags: u8| {
            let mut tcp = vec![0; 20];
            tcp[13] = flags;
            build("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap(), protocol::TCP, &tcp).unwrap()
        };
        for (flags, opens) in [(0x02, true), (0x12, false), (0x10, false), (0x04, false), (0xc2, true)] {
            assert_eq!(Packet::parse(&segment(flags)).unwrap().opens_tcp(), opens, "{flags:#x}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_looked_at_without_harm(bytes: Vec<u8>) {
            if let Some(packet) = Packet::parse(&bytes) {
                let _ = (packet.ports(), packet.opens_tcp(), packet.is_icmp_answer());
            }
        }

        #[test]
        fn what_is_built_is_read_back(v6: bool, a: u128, b: u128, kind: u8, payload in prop::collection::vec(any::<u8>(), 0..100)) {
            let address = |bits: u128| -> IpAddr {
                if v6 { Ipv6Addr::from(bits).into() } else { Ipv4Addr::from(bits as u32).into() }
            };
            let built = build(address(a), address(b), kind, &payload).unwrap();
            let packet = Packet::parse(&built).unwrap();
            prop_assert_eq!((packet.src, packet.dst, packet.protocol), (address(a), address(b), kind));
            prop_assert_eq!(packet.payload, payload.as_slice());
        }
    }
}
