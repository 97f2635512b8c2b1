//! The packet filter for what comes in from the tunnel (`wgengine/filter/filter.go`, `Filter.RunIn` (tailscale v1.102.5)).
//!
//! What this node sends is not filtered, and what answers it comes in. Connections that others open have to match
//! one of the rules that the control server sends.

use std::net::IpAddr;

use dayfly_wire::control::{FilterRule, IpPrefix, NetPortRange};
use dayfly_wire::tsmp;

use crate::packet::{Packet, protocol};

/// Protocols that a rule without a list of them is about.
const DEFAULT_PROTOCOLS: [u8; 4] = [protocol::TCP, protocol::UDP, protocol::ICMP, protocol::ICMPV6];

/// The rules, compiled. Without any, nothing that others begin comes in.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    sources: Vec<Source>,
    destinations: Vec<Destination>,
    protocols: Vec<u8>,
}

#[derive(Debug)]
enum Source {
    Range(Range),
    /// Peers that have this capability.
    Capability(String),
}

#[derive(Debug)]
struct Destination {
    range: Range,
    first: u16,
    last: u16,
}

/// A set of addresses as rules write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Range {
    Any,
    Prefix(IpPrefix),
    Between(IpAddr, IpAddr),
}

/// Verdict on a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The packet is admitted.
    Accept,
    /// The packet is dropped in silence.
    Drop,
    /// The packet is dropped, and reported to its sender by TSMP: somebody waits for an answer to it.
    Reject,
}

impl Filter {
    /// Compiles rules. What can't be understood is left out, so that nothing more comes in for it.
    pub(crate) fn compile<'a>(rules: impl Iterator<Item = &'a FilterRule>) -> Self {
        let rules = rules.map(|rule| Rule {
            sources: rule.src_ips.iter().filter_map(|text| Source::parse(text)).collect(),
            destinations: rule.dst_ports.iter().filter_map(Destination::parse).collect(),
            protocols: if rule.ip_proto.is_empty() {
                DEFAULT_PROTOCOLS.to_vec()
            } else {
                rule.ip_proto.iter().filter_map(|&number| u8::try_from(number).ok()).collect()
            },
        });
        Self { rules: rules.collect() }
    }

    /// Judges a packet that came from the peer to which its source belongs. `is_own` knows this node's addresses, and
    /// `has_cap` the capabilities of that peer.
    pub(crate) fn check(
        &self,
        packet: &Packet<'_>,
        is_own: impl Fn(IpAddr) -> bool,
        has_cap: impl Fn(&str) -> bool,
    ) -> Verdict {
        if !is_own(packet.dst) {
            return Verdict::Drop;
        }
        if packet.later_fragment || packet.protocol == tsmp::IP_PROTOCOL || packet.is_icmp_answer() {
            return Verdict::Accept;
        }
        let matches = |port: Option<u16>| {
            self.rules.iter().any(|rule| {
                rule.protocols.contains(&packet.protocol)
                    && rule.sources.iter().any(|source| source.matches(packet.src, &has_cap))
                    && rule.destinations.iter().any(|to| to.matches(packet.dst, port))
            })
        };
        match packet.protocol {
            protocol::TCP if !packet.opens_tcp() => Verdict::Accept,
            protocol::TCP => match packet.ports() {
                Some((_, port)) if matches(Some(port)) => Verdict::Accept,
                Some(_) => Verdict::Reject,
                None => Verdict::Drop,
            },
            protocol::UDP | protocol::SCTP => match packet.ports() {
                Some((_, port)) if matches(Some(port)) => Verdict::Accept,
                _ => Verdict::Drop,
            },
            // Of ICMP any rule for these addresses will do.
            protocol::ICMP | protocol::ICMPV6 => {
                let any = self.rules.iter().any(|rule| {
                    rule.sources.iter().any(|source| source.matches(packet.src, &has_cap))
                        && rule.destinations.iter().any(|to| to.range.contains(packet.dst))
                });
                if any { Verdict::Accept } else { Verdict::Drop }
            }
            _ if matches(None) => Verdict::Accept,
            _ => Verdict::Drop,
        }
    }
}

/// Returns `true` where `address`, of a peer with the capabilities that `has_cap` knows, is a source of the rule.
pub(crate) fn is_source(rule: &FilterRule, address: IpAddr, has_cap: impl Fn(&str) -> bool) -> bool {
    let mut sources = rule.src_ips.iter().filter_map(|text| Source::parse(text));
    sources.any(|source| source.matches(address, &has_cap))
}

impl Source {
    fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("cap:") {
            Some(name) => Some(Self::Capability(name.to_owned())),
            None => Range::parse(text).map(Self::Range),
        }
    }

    fn matches(&self, address: IpAddr, has_cap: impl Fn(&str) -> bool) -> bool {
        match self {
            Self::Range(range) => range.contains(address),
            Self::Capability(name) => has_cap(name),
        }
    }
}

impl Destination {
    fn parse(rule: &NetPortRange) -> Option<Self> {
        let range = Range::parse(&rule.ip)?;
        Some(Self { range, first: rule.ports.first, last: rule.ports.last })
    }

    /// Protocols without ports (`None`) need a rule about all of them.
    fn matches(&self, address: IpAddr, port: Option<u16>) -> bool {
        let covered = match port {
            Some(port) => (self.first..=self.last).contains(&port),
            None => self.first == 0 && self.last == u16::MAX,
        };
        covered && self.range.contains(address)
    }
}

impl Range {
    /// Reads an address, a prefix, `first-last`, or `*`.
    fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Any);
        }
        if let Ok(address) = text.parse() {
            return Some(Self::Prefix(IpPrefix::host(address)));
        }
        if let Ok(prefix) = text.parse() {
            return Some(Self::Prefix(prefix));
        }
        let (first, last) = text.split_once('-')?;
        let (first, last): (IpAddr, IpAddr) = (first.parse().ok()?, last.parse().ok()?);
        (first.is_ipv4() == last.is_ipv4() && first <= last).then_some(Self::Between(first, last))
    }

    fn contains(&self, address: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::Prefix(prefix) => prefix.contains(address),
            Self::Between(first, last) => {
                first.is_ipv4() == address.is_ipv4() && (*first..=*last).contains(&address)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use dayfly_wire::control::PortRange;
    use proptest::prelude::*;

    use super::*;
    use crate::packet;

    const OWN: &str = "100.64.0.1";
    const PEER: &str = "100.64.0.2";

    fn rule(sources: &[&str], ip: &str, ports: (u16, u16), protocols: &[i32]) -> FilterRule {
        FilterRule {
            src_ips: sources.iter().map(|&text| text.to_owned()).collect(),
            dst_ports: vec![NetPortRange {
                ip: ip.to_owned(),
                ports: PortRange { first: ports.0, last: ports.1 },
            }],
            ip_proto: protocols.to_vec(),
            ..FilterRule::default()
        }
    }

    fn verdict(rules: &[FilterRule], kind: u8, payload: &[u8]) -> Verdict {
        let bytes = packet::build(PEER.parse().unwrap(), OWN.parse().unwrap(), kind, payload).unwrap();
        let packet = Packet::parse(&bytes).unwrap();
        let own: IpAddr = OWN.parse().unwrap();
        Filter::compile(rules.iter()).check(&packet, |address| address == own, |cap| cap == "known")
    }

    /// A TCP segment to port 22.
    fn tcp(flags: u8) -> Vec<u8> {
        let mut segment = vec![0; 20];
        segment[3] = 22;
        segment[13] = flags;
        segment
    }

    #[test]
    fn without_rules_only_answers_come_in() {
        assert_eq!(verdict(&[], protocol::TCP, &tcp(0x02)), Verdict::Reject);
        assert_eq!(verdict(&[], protocol::TCP, &tcp(0x12)), Verdict::Accept);
        assert_eq!(verdict(&[], protocol::ICMP, &[8, 0, 0, 0]), Verdict::Drop);
        assert_eq!(verdict(&[], protocol::ICMP, &[0, 0, 0, 0]), Verdict::Accept);
        assert_eq!(verdict(&[], protocol::UDP, &[0, 1, 0, 22]), Verdict::Drop);
        assert_eq!(verdict(&[], tsmp::IP_PROTOCOL, b"p"), Verdict::Accept);
        assert_eq!(verdict(&[], 47, &[]), Verdict::Drop);
    }

    #[test]
    fn rules_open_ports_for_sources() {
        for (sources, ip, ports, expected) in [
            (&["*"][..], "*", (22, 22), Verdict::Accept),
            (&["100.64.0.0/10"], OWN, (0, 65535), Verdict::Accept),
            (&["100.64.0.2-100.64.0.9"], "100.64.0.1/32", (20, 30), Verdict::Accept),
            (&["cap:known"], "*", (22, 22), Verdict::Accept),
            (&["cap:unknown"], "*", (22, 22), Verdict::Reject),
            (&["100.64.0.3"], "*", (22, 22), Verdict::Reject),
            (&["*"], "100.64.0.9", (22, 22), Verdict::Reject),
            (&["*"], "*", (23, 65535), Verdict::Reject),
            (&["no address", "1-2-3", "::1-10.0.0.1"], "*", (0, 65535), Verdict::Reject),
        ] {
            let rules = [rule(sources, ip, ports, &[])];
            assert_eq!(verdict(&rules, protocol::TCP, &tcp(0x02)), expected, "{sources:?} {ip} {ports:?}");
        }
        let udp_only = [rule(&["*"], "*", (0, 65535), &[17, 900])];
        assert_eq!(verdict(&udp_only, protocol::TCP, &tcp(0x02)), Verdict::Reject);
        assert_eq!(verdict(&udp_only, protocol::UDP, &[0, 1, 0, 22]), Verdict::Accept);
        assert_eq!(verdict(&udp_only, protocol::ICMP, &[8, 0, 0, 0]), Verdict::Accept);
        assert_eq!(verdict(&[rule(&["*"], "*", (0, 65535), &[47])], 47, &[]), Verdict::Accept);
        assert_eq!(verdict(&[rule(&["*"], "*", (1, 65535), &[47])], 47, &[]), Verdict::Drop);
    }

    #[test]
    fn nothing_for_other_addresses_comes_in() {
        let bytes = packet::build(PEER.parse().unwrap(), PEER.parse().unwrap(), protocol::TCP, &tcp(0x10));
        let bytes = bytes.unwrap();
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!(Filter::default().check(&packet, |_| false, |_| true), Verdict::Drop);
    }

    proptest! {
        #[test]
        fn any_text_is_a_range_or_not(text in "[0-9a-f.:/*-]{0,24}", address: IpAddr) {
            if let Some(range) = Range::parse(&text) {
                let _ = range.contains(address);
            }
        }
    }
}
