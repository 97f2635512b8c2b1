//! From what a person types to the address of a machine.

use std::net::IpAddr;

use super::{NetMap, Peer};

/// Most suggestions that an error makes.
const MAX_SUGGESTIONS: usize = 3;

/// A machine that can be dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Address to dial.
    pub address: IpAddr,
    /// The peer that it is, or that routes to it.
    pub peer: i64,
}

/// Reason why a name or an address leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// No machine of that name is to be seen.
    #[error(
        "no machine called {host:?} is in this tailnet, or it may not be reached from here{}",
        suggestion(near)
    )]
    UnknownName {
        /// The name as it was typed.
        host: String,
        /// Names that look alike, the closest first.
        near: Vec<String>,
    },
    /// No machine has the address or routes to it.
    #[error("no machine of this tailnet has the address {0} or a route to it")]
    UnknownAddress(IpAddr),
    /// Several machines of other tailnets have this short name.
    #[error("several machines are called {host:?}: {}", names.join(", "))]
    Ambiguous {
        /// The name as it was typed.
        host: String,
        /// Their full names.
        names: Vec<String>,
    },
    /// It is this very node.
    #[error("{0:?} is this node itself")]
    ThisNode(String),
    /// The machine has no address of a family that this node has.
    #[error("{0} has no address that can be reached from here")]
    NoAddress(String),
}

fn suggestion(near: &[String]) -> String {
    if near.is_empty() { String::new() } else { format!("; is it {}?", near.join(" or ")) }
}

impl NetMap {
    /// Finds the machine that `host` means: an address (IPv6 with or without brackets), a full name with or without
    /// its trailing dot, or a name without the tailnet's domain, in any case.
    pub fn resolve(&self, host: &str) -> Result<Target, ResolveError> {
        let host = host.trim();
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if let Ok(address) = bare.parse() {
            return self.resolve_address(address, host);
        }
        let name = host.trim_end_matches('.');
        if self.self_node().is_some_and(|node| is_called(&node, name)) {
            return Err(ResolveError::ThisNode(host.to_owned()));
        }
        let exact = self.peers().find(|peer| peer.name().eq_ignore_ascii_case(name));
        if let Some(peer) = exact.or_else(|| self.peers().find(|peer| is_called(peer, name))) {
            return self.address_of(&peer);
        }
        if let Some(address) = self.extra_record(name) {
            return self.resolve_address(address, host);
        }
        // Machines shared from other tailnets go by their first label too, where that is unique.
        let shared: Vec<_> =
            self.peers().filter(|peer| first_label(peer).eq_ignore_ascii_case(name)).collect();
        match shared.as_slice() {
            [] => Err(ResolveError::UnknownName { host: host.to_owned(), near: self.near(name) }),
            [peer] => self.address_of(peer),
            several => Err(ResolveError::Ambiguous {
                host: host.to_owned(),
                names: several.iter().map(|peer| peer.name().to_owned()).collect(),
            }),
        }
    }

    fn resolve_address(&self, address: IpAddr, host: &str) -> Result<Target, ResolveError> {
        if self.self_node().is_some_and(|node| node.addresses().any(|own| own == address)) {
            return Err(ResolveError::ThisNode(host.to_owned()));
        }
        let peer = self.route(address).ok_or(ResolveError::UnknownAddress(address))?;
        Ok(Target { address, peer: peer.id() })
    }

    /// IPv4 where both sides have it, as MagicDNS answers.
    fn address_of(&self, peer: &Peer<'_>) -> Result<Target, ResolveError> {
        let own = |is_family: fn(&IpAddr) -> bool| {
            self.self_node().is_some_and(|node| node.addresses().any(|a| is_family(&a)))
        };
        let ipv4 = peer.ipv4().filter(|_| own(IpAddr::is_ipv4));
        let address = ipv4.or_else(|| peer.ipv6().filter(|_| own(IpAddr::is_ipv6)));
        let address = address.ok_or_else(|| ResolveError::NoAddress(peer.name().to_owned()))?;
        Ok(Target { address, peer: peer.id() })
    }

    fn extra_record(&self, name: &str) -> Option<IpAddr> {
        let is_wanted = |record: &&str| record.trim_end_matches('.').eq_ignore_ascii_case(name);
        let records = self.dns.extra_records.iter().filter(|record| is_wanted(&record.name.as_str()));
        records
            .filter(|record| matches!(record.kind.as_str(), "" | "A" | "AAAA"))
            .find_map(|record| record.value.parse().ok())
    }

    /// Names of peers that look like `name`, the closest first.
    fn near(&self, name: &str) -> Vec<String> {
        let name = name.to_ascii_lowercase();
        let label = name.split('.').next().unwrap_or_default();
        if label.is_empty() {
            return Vec::new();
        }
        let mut near: Vec<(usize, &str)> = Vec::new();
        for peer in self.peers() {
            let other = first_label(&peer).to_ascii_lowercase();
            let distance = distance(label, &other);
            let is_part = label.len() >= 2 && (other.contains(label) || label.contains(&other));
            if is_part || distance <= 1 + label.len() / 4 {
                near.push((distance, peer.short_name()));
            }
        }
        near.sort_unstable();
        near.into_iter().take(MAX_SUGGESTIONS).map(|(_, name)| name.to_owned()).collect()
    }
}

fn is_called(peer: &Peer<'_>, name: &str) -> bool {
    peer.name().eq_ignore_ascii_case(name) || peer.short_name().eq_ignore_ascii_case(name)
}

fn first_label<'a>(peer: &Peer<'a>) -> &'a str {
    peer.name().split('.').next().unwrap_or_default()
}

/// Insertions, deletions and replacements of bytes between two names.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, y) in row.iter_mut().skip(1).zip(b.bytes()) {
            let replaced = diagonal + usize::from(x != y);
            diagonal = *cell;
            left = replaced.min(diagonal + 1).min(left + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::distance;

    #[test]
    fn distances_are_counted() {
        for (a, b, expected) in
            [("", "", 0), ("abc", "abc", 0), ("", "ab", 2), ("kitten", "sitting", 3), ("ab", "ba", 2)]
        {
            assert_eq!(distance(a, b), expected, "{a} {b}");
            assert_eq!(distance(b, a), expected, "{b} {a}");
        }
    }
}
