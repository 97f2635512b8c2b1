//! A machine as the page lists it: `Machine` of `www/src/api.ts`.

use dayfly_node::{NetMap, Peer, Remote};
use dayfly_platform::time::unix_now;
use dayfly_wire::control::Timestamp;

/// One machine of the tailnet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Full name in MagicDNS, without the trailing dot.
    pub name: String,
    /// Name of the machine, without the tailnet's domain.
    pub short_name: String,
    /// Addresses of the machine in the tailnet.
    pub addresses: Vec<String>,
    /// Go's name of its operating system, or nothing.
    pub os: String,
    /// `true` while it is connected to the control server; `None` if the server does not say.
    pub online: Option<bool>,
    /// Set if the machine runs Tailscale SSH.
    pub ssh: bool,
    /// Login name of its owner; nothing for tagged machines.
    pub user: String,
    /// Tags of the machine, which own it in a person's place.
    pub tags: Vec<String>,
    /// Set once the key of the machine has expired.
    pub expired: bool,
}

impl Machine {
    fn new(peer: &Peer<'_>, now: Timestamp) -> Self {
        let owner = peer.user().filter(|_| peer.tags().is_empty());
        Self {
            name: peer.name().to_owned(),
            short_name: peer.short_name().to_owned(),
            addresses: peer.addresses().map(|address| address.to_string()).collect(),
            os: peer.os().to_owned(),
            online: peer.online(),
            ssh: peer.offers_ssh(),
            user: owner.map_or_else(String::new, |user| user.login_name.clone()),
            tags: peer.tags().to_vec(),
            expired: peer.expired(now),
        }
    }
}

/// The machines that this node may see, by name.
#[must_use]
pub fn machines(map: &NetMap) -> Vec<Machine> {
    let now = control_time(map);
    let mut machines: Vec<_> = map.peers().map(|peer| Machine::new(&peer, now)).collect();
    machines.sort_by(|a, b| a.short_name.cmp(&b.short_name));
    machines
}

/// This node, once the control server has described it.
#[must_use]
pub fn this_machine(map: &NetMap) -> Option<Machine> {
    Some(Machine::new(&map.self_node()?, control_time(map)))
}

/// The host keys that the machine at the other end of a connection publishes, as lines of `authorized_keys`; none for a
/// machine behind a subnet router, whose keys are another's. `None` where the peer that was dialled is not at that
/// address any more: then nothing is known, not even that it publishes no keys.
#[must_use]
pub fn host_keys(map: &NetMap, remote: &Remote) -> Option<Vec<String>> {
    let peer = remote.peer(map)?;
    let is_itself = peer.addresses().any(|own| own == remote.address);
    Some(if is_itself { peer.ssh_host_keys().to_vec() } else { Vec::new() })
}

fn control_time(map: &NetMap) -> Timestamp {
    let now = i64::try_from(unix_now().as_secs()).unwrap_or(i64::MAX);
    map.control_time(Timestamp::from_unix(now))
}

#[cfg(test)]
mod tests {
    use dayfly_wire::control::{MapResponse, from_json};
    use dayfly_wire::key::NodePublic;

    use super::*;

    const MAP: &str = r#"{
        "Node": { "ID": 1, "Name": "page.net.test.", "User": 1, "Addresses": ["100.64.0.1/32"] },
        "Peers": [
            { "ID": 3, "Name": "web.net.test.", "User": 2, "Key": "nodekey:3333333333333333333333333333333333333333333333333333333333333333",
              "Tags": ["tag:web"], "Online": true,
              "Addresses": ["100.64.0.3/32", "fd7a::3/128"], "AllowedIPs": ["100.64.0.3/32", "10.0.0.0/8"],
              "Hostinfo": { "OS": "linux", "sshHostKeys": ["ssh-ed25519 AAAA"] } },
            { "ID": 2, "Name": "old.net.test.", "User": 1, "Key": "nodekey:2222222222222222222222222222222222222222222222222222222222222222",
              "KeyExpiry": "2020-01-01T00:00:00Z",
              "Addresses": ["100.64.0.2/32"] }
        ],
        "UserProfiles": [{ "ID": 1, "LoginName": "ada@example.com" }, { "ID": 2, "LoginName": "tagged-devices" }]
    }"#;

    fn map() -> NetMap {
        let mut map = NetMap::new();
        let message: MapResponse = from_json(MAP.as_bytes()).unwrap();
        map.apply(message, true, Timestamp::from_unix(1_790_000_000));
        map
    }

    #[test]
    fn machines_are_listed_by_name() {
        let list = machines(&map());
        let [old, web] = list.as_slice() else { panic!("{list:?}") };
        assert_eq!((old.short_name.as_str(), old.user.as_str()), ("old", "ada@example.com"));
        assert!(old.expired && !old.ssh && old.online.is_none());
        assert_eq!((web.name.as_str(), web.user.as_str(), web.os.as_str()), ("web.net.test", "", "linux"));
        assert!(web.ssh && web.online == Some(true) && !web.expired);
        assert_eq!(web.addresses, ["100.64.0.3", "fd7a::3"]);
    }

    #[test]
    fn this_node_is_not_a_peer() {
        assert_eq!(this_machine(&map()).unwrap().short_name, "page");
        assert_eq!(this_machine(&NetMap::new()), None);
    }

    /// A connection to what has this address, made by the peer with this node key.
    fn remote(address: &str, key: u8) -> Remote {
        let address = address.parse().unwrap();
        Remote { address, key: NodePublic::from_bytes([key; 32]) }
    }

    fn change(map: &mut NetMap, json: &str) {
        let message: MapResponse = from_json(json.as_bytes()).unwrap();
        map.apply(message, false, Timestamp::from_unix(1_790_000_000));
    }

    #[test]
    fn a_routers_host_keys_are_not_those_of_what_is_behind_it() {
        let keys = Some(vec!["ssh-ed25519 AAAA".to_owned()]);
        assert_eq!(host_keys(&map(), &remote("100.64.0.3", 0x33)), keys);
        assert_eq!(host_keys(&map(), &remote("fd7a::3", 0x33)), keys);
        assert_eq!(host_keys(&map(), &remote("10.1.2.3", 0x33)), Some(Vec::new()));
        assert_eq!(host_keys(&map(), &remote("100.64.0.2", 0x22)), Some(Vec::new()));
    }

    #[test]
    fn what_left_the_tailnet_or_moved_in_it_is_not_taken_for_a_machine_without_host_keys() {
        let dialled = remote("100.64.0.3", 0x33);
        let mut gone = map();
        change(&mut gone, r#"{ "PeersRemoved": [3] }"#);
        assert_eq!(host_keys(&gone, &dialled), None);

        // Another machine has got its name and its address.
        let mut moved = map();
        change(
            &mut moved,
            r#"{ "PeersRemoved": [3], "PeersChanged": [{ "ID": 4, "Name": "web.net.test.", "User": 1,
                "Key": "nodekey:4444444444444444444444444444444444444444444444444444444444444444",
                "Addresses": ["100.64.0.3/32"] }] }"#,
        );
        assert_eq!(host_keys(&moved, &dialled), None);
        assert_eq!(host_keys(&moved, &remote("100.64.0.3", 0x44)), Some(Vec::new()));
    }

    #[test]
    fn a_name_that_goes_to_another_machine_leaves_the_host_keys_of_a_connection() {
        let mut renamed = map();
        change(
            &mut renamed,
            r#"{ "PeersChanged": [
                { "ID": 3, "Name": "old.net.test.", "User": 2, "Addresses": ["100.64.0.3/32"],
                  "Key": "nodekey:3333333333333333333333333333333333333333333333333333333333333333",
                  "Hostinfo": { "sshHostKeys": ["ssh-ed25519 BBBB"] } },
                { "ID": 2, "Name": "web.net.test.", "User": 1, "Addresses": ["100.64.0.2/32"],
                  "Key": "nodekey:2222222222222222222222222222222222222222222222222222222222222222" }] }"#,
        );
        let keys = Some(vec!["ssh-ed25519 BBBB".to_owned()]);
        assert_eq!(host_keys(&renamed, &remote("100.64.0.3", 0x33)), keys);
    }
}
