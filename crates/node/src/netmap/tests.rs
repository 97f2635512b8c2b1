use std::collections::BTreeMap;

use dayfly_sorted::SortedMap;
use dayfly_wire::control::{
    CapGrant, CapMap, Deferred, DerpMap, DerpRegion, DnsConfig, DnsRecord, FilterRule, Hostinfo, MapResponse,
    Node, PeerChange, RawJson, SshPolicy, SshRule, Timestamp, UserProfile,
};
use dayfly_wire::key::{DiscoPublic, NodePublic};
use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);

fn key(n: u8) -> NodePublic {
    NodePublic::from_bytes([n; 32])
}

fn node(id: i64, name: &str, address: &str) -> Node {
    Node {
        id,
        name: format!("{name}.tail.test."),
        key: key(u8::try_from(id).unwrap()),
        addresses: vec![format!("{address}/32").parse().unwrap()],
        ..Node::default()
    }
}

fn first(peers: Vec<Node>) -> MapResponse {
    let mut own = node(1, "page", "100.64.0.1");
    own.addresses.push("fd7a:115c:a1e0::1/128".parse().unwrap());
    MapResponse { node: Some(Box::new(own)), peers, ..MapResponse::default() }
}

fn joined(peers: Vec<Node>) -> NetMap {
    let mut map = NetMap::new();
    map.apply(first(peers), true, NOW);
    map
}

fn three() -> NetMap {
    joined(vec![node(2, "web-1", "100.64.0.2"), node(3, "web-2", "100.64.0.3"), node(4, "db", "100.64.0.4")])
}

fn ids(map: &NetMap) -> Vec<i64> {
    map.peers().map(|peer| peer.id()).collect()
}

#[test]
fn a_full_list_replaces_all_peers_and_makes_deltas_void() {
    let mut map = three();
    let message = MapResponse {
        peers: vec![node(3, "web-2", "100.64.0.3"), node(5, "new", "100.64.0.5")],
        peers_removed: vec![3],
        peers_changed: vec![node(6, "ignored", "100.64.0.6")],
        online_change: SortedMap::from([(3, true)]),
        ..MapResponse::default()
    };
    map.apply(message, false, NOW);
    assert_eq!(ids(&map), [3, 5]);
    assert_eq!(map.peer(3).unwrap().online(), None);
    assert!(map.peer_by_key(&key(2)).is_none() && map.peer_by_key(&key(4)).is_none());
    assert!(map.peer_by_address("100.64.0.2".parse().unwrap()).is_none());
}

#[test]
fn an_empty_list_changes_nothing_but_begins_a_stream_without_peers() {
    let mut map = three();
    map.apply(MapResponse::default(), false, NOW);
    assert_eq!(ids(&map), [2, 3, 4]);
    map.apply(first(vec![]), true, NOW);
    assert_eq!(map.peer_count(), 0);
}

#[test]
fn deltas_are_applied_in_order_removed_changed_seen_online_patched() {
    let mut map = three();
    let message = MapResponse {
        peers_removed: vec![2, 99],
        peers_changed: vec![node(2, "web-1b", "100.64.0.22")],
        peer_seen_change: SortedMap::from([(2, true), (3, false), (99, true)]),
        online_change: SortedMap::from([(2, true), (99, true)]),
        peers_changed_patch: vec![
            PeerChange { node_id: 2, online: Some(false), derp_region: 7, ..PeerChange::default() },
            PeerChange { node_id: 99, online: Some(true), ..PeerChange::default() },
        ],
        ..MapResponse::default()
    };
    map.apply(message, false, NOW);
    assert_eq!(ids(&map), [2, 3, 4]);
    let peer = map.peer(2).unwrap();
    assert_eq!(peer.name(), "web-1b.tail.test");
    assert_eq!(peer.last_seen(), Some(NOW));
    assert_eq!(peer.online(), Some(false));
    assert_eq!(peer.home_region(), Some(7));
    assert!(map.peer_by_address("100.64.0.2".parse().unwrap()).is_none());
    assert_eq!(map.peer_by_address("100.64.0.22".parse().unwrap()).unwrap().id(), 2);
}

#[test]
fn a_patch_changes_just_what_it_names() {
    let mut map = three();
    let before = map.peer(4).unwrap().node().clone();
    let disco = DiscoPublic::from_bytes([9; 32]);
    let patch = PeerChange {
        node_id: 4,
        key: Some(key(40)),
        disco_key: Some(disco),
        cap: 100,
        cap_map: Some(CapMap::from_iter(["x".to_owned()])),
        endpoints: Some(vec!["192.0.2.1:1".to_owned()]),
        key_expiry: Some(NOW),
        ..PeerChange::default()
    };
    map.apply(MapResponse { peers_changed_patch: vec![patch], ..MapResponse::default() }, false, NOW);
    let after = map.peer_by_key(&key(40)).unwrap();
    assert!(map.peer_by_key(&key(4)).is_none());
    assert_eq!(after.disco_key(), Some(disco));
    assert!(after.has_cap("x"));
    let expected = Node {
        key: key(40),
        disco_key: disco,
        cap: 100,
        cap_map: CapMap::from_iter(["x".to_owned()]),
        endpoints: vec!["192.0.2.1:1".to_owned()],
        key_expiry: Some(NOW),
        ..before
    };
    assert_eq!(*after.node(), expected);
}

#[test]
fn a_stale_disco_key_does_not_replace_a_newer_one() {
    let mut map = three();
    let seen = MapResponse { peer_seen_change: SortedMap::from([(2, true)]), ..MapResponse::default() };
    map.apply(seen, false, NOW);
    let stale = PeerChange {
        node_id: 2,
        disco_key: Some(DiscoPublic::from_bytes([9; 32])),
        online: Some(false),
        last_seen: Some(Timestamp::from_unix(NOW.unix() - 1)),
        ..PeerChange::default()
    };
    let message = MapResponse { peers_changed_patch: vec![stale], ..MapResponse::default() };
    map.apply(message, false, NOW);
    assert_eq!(map.peer(2).unwrap().disco_key(), None);
    assert_eq!(map.peer(2).unwrap().online(), None);
}

#[test]
fn a_key_that_moves_to_another_number_removes_its_old_owner() {
    let mut map = three();
    let moved = Node { key: key(2), ..node(9, "web-1", "100.64.0.2") };
    map.apply(MapResponse { peers_changed: vec![moved], ..MapResponse::default() }, false, NOW);
    assert_eq!(ids(&map), [3, 4, 9]);
    assert_eq!(map.peer_by_key(&key(2)).unwrap().id(), 9);
    assert_eq!(map.peer_by_address("100.64.0.2".parse().unwrap()).unwrap().id(), 9);
}

#[test]
fn a_keep_alive_changes_nothing_but_the_clock() {
    let mut map = three();
    let time = Timestamp::from_unix(NOW.unix() + 90);
    let message = MapResponse {
        keep_alive: true,
        control_time: Some(time),
        peers_removed: vec![2],
        ..MapResponse::default()
    };
    map.apply(message, false, NOW);
    assert_eq!(map.peer_count(), 3);
    assert_eq!(map.control_time(NOW), time);
}

#[test]
fn a_node_that_is_not_said_to_be_authorized_needs_approval_unless_its_key_has_expired() {
    let mut map = NetMap::new();
    assert!(!map.needs_approval(), "nothing is known yet");
    for (machine_authorized, expired, needed) in
        [(false, false, true), (true, false, false), (false, true, false)]
    {
        let own = Node { machine_authorized, expired, ..node(1, "page", "100.64.0.1") };
        map.apply(MapResponse { node: Some(Box::new(own)), ..MapResponse::default() }, false, NOW);
        assert_eq!(map.needs_approval(), needed, "{machine_authorized} {expired}");
    }
}

#[test]
fn relays_stay_when_only_the_hints_about_them_change() {
    let mut map = three();
    let region = DerpRegion { region_id: 7, ..DerpRegion::default() };
    let regions = SortedMap::from([(7, Some(region)), (8, None)]);
    let full = DerpMap { regions: Some(regions), ..DerpMap::default() };
    map.apply(MapResponse { derp_map: Some(full), ..MapResponse::default() }, false, NOW);
    assert_eq!(map.derp_regions().map(|region| region.region_id).collect::<Vec<_>>(), [7]);
    let hints = DerpMap { home_params: Some(Default::default()), ..DerpMap::default() };
    map.apply(MapResponse { derp_map: Some(hints), ..MapResponse::default() }, false, NOW);
    assert!(map.derp_region(7).is_some());
    assert!(map.derp_map().home_params.is_some());
    let none = DerpMap { regions: Some(SortedMap::new()), ..DerpMap::default() };
    map.apply(MapResponse { derp_map: Some(none), ..MapResponse::default() }, false, NOW);
    assert!(map.derp_region(7).is_none());
}

#[test]
fn filters_are_patched_by_name_and_joined_in_order() {
    let mut map = three();
    let rule = |source: &str| FilterRule { src_ips: vec![source.to_owned()], ..FilterRule::default() };
    let sources = |map: &NetMap| map.filter_rules().map(|rule| rule.src_ips[0].clone()).collect::<Vec<_>>();
    let named = |entries: Vec<(&str, Option<Vec<FilterRule>>)>| MapResponse {
        packet_filters: entries.into_iter().map(|(name, rules)| (name.to_owned(), rules)).collect(),
        ..MapResponse::default()
    };
    let base = MapResponse { packet_filter: Some(vec![rule("1")]), ..MapResponse::default() };
    map.apply(base, false, NOW);
    assert_eq!(sources(&map), ["1"]);
    map.apply(named(vec![("z", Some(vec![rule("3")])), ("c", Some(vec![rule("2")]))]), false, NOW);
    assert_eq!(sources(&map), ["1", "2", "3"]);
    map.apply(named(vec![("c", None)]), false, NOW);
    assert_eq!(sources(&map), ["1", "3"]);
    map.apply(named(vec![("*", None), ("a", Some(vec![rule("4")]))]), false, NOW);
    assert_eq!(sources(&map), ["4"]);
    map.apply(MapResponse { packet_filter: Some(vec![]), ..MapResponse::default() }, false, NOW);
    assert_eq!(sources(&map), ["4"]);
    map.apply(first(vec![]), true, NOW);
    assert_eq!(map.filter_rules().count(), 0, "a new stream begins without filters");
}

#[test]
fn an_address_leads_to_whom_it_belongs_and_what_they_may_do() {
    let tagged = Node { user: 7, tags: vec!["tag:web".to_owned()], ..node(3, "web", "100.64.0.3") };
    let route = "10.1.0.0/16".parse().unwrap();
    let routed = Some(vec!["100.64.0.3/32".parse().unwrap(), route]);
    let can = ["https://tailscale.com/cap/ssh".to_owned()].into_iter().collect();
    let laptop = Node { user: 7, cap_map: can, ..node(2, "laptop", "100.64.0.2") };
    let mut map = joined(vec![laptop, Node { allowed_ips: routed, ..tagged }]);
    let ada = UserProfile { id: 7, login_name: "ada".to_owned(), ..UserProfile::default() };
    map.apply(MapResponse { user_profiles: vec![ada.clone()], ..MapResponse::default() }, false, NOW);

    let laptop = map.whois([100, 64, 0, 2].into()).unwrap();
    assert_eq!((&*laptop.name, &*laptop.short_name), ("laptop.tail.test", "laptop"));
    assert_eq!((laptop.key, laptop.user), (key(2), Some(ada)));
    assert!(laptop.capabilities.contains("https://tailscale.com/cap/ssh"));
    assert_eq!(laptop.addresses, [std::net::IpAddr::from([100, 64, 0, 2])]);
    let web = map.whois([10, 1, 2, 3].into()).unwrap();
    assert_eq!((web.id, web.user, &*web.tags), (3, None, &["tag:web".to_owned()][..]));
    assert!(map.whois([100, 64, 0, 9].into()).is_none());
}

#[test]
fn grants_are_those_of_the_rules_that_name_the_peer_and_this_node() {
    let prefix = |text: &str| text.parse().unwrap();
    let values = |json: &str| vec![RawJson::parse(json).unwrap()];
    let grant = |dst: &str, cap: &str, json: &str| {
        let mut cap_map = CapMap::default();
        cap_map.insert(cap, values(json));
        CapGrant { dsts: vec![prefix(dst)], cap_map, ..CapGrant::default() }
    };
    let rule = |src: &str, cap_grant| FilterRule {
        src_ips: vec![src.to_owned()],
        cap_grant,
        ..FilterRule::default()
    };
    let old = CapGrant { caps: vec!["old".to_owned()], ..grant("100.64.0.0/10", "x", "1") };
    let mut map = three();
    let rules = vec![
        rule("100.64.0.2", vec![old, grant("100.64.0.9/32", "elsewhere", "1")]),
        rule("cap:trusted", vec![grant("100.64.0.1/32", "x", "2")]),
        rule("100.64.0.3", vec![grant("100.64.0.1/32", "theirs", "1")]),
    ];
    let trusted = ["trusted".to_owned()].into_iter().collect();
    let web = Node { cap_map: trusted, ..node(2, "web-1", "100.64.0.2") };
    let message =
        MapResponse { packet_filter: Some(rules), peers_changed: vec![web], ..MapResponse::default() };
    map.apply(message, false, NOW);
    let grants = map.whois_key(&key(2)).unwrap().grants;
    assert_eq!(grants.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["old", "x"]);
    assert_eq!(grants.values("x").unwrap(), [values("1"), values("2")].concat());
    assert!(map.whois_key(&key(4)).unwrap().grants.is_empty());
}

#[test]
fn the_ssh_policy_stays_until_another_comes_or_a_stream_begins_without() {
    let mut map = three();
    let policy = SshPolicy { rules: vec![Some(SshRule::default())] };
    let message = |policy: &SshPolicy| MapResponse {
        ssh_policy: Some(Deferred::of(policy).unwrap()),
        ..MapResponse::default()
    };
    assert_eq!((map.ssh_policy(), map.ssh_policy_changes()), (None, 0));
    for _ in 0..2 {
        map.apply(message(&policy), false, NOW);
        map.apply(MapResponse::default(), false, NOW);
        assert_eq!(map.ssh_policy().unwrap().read().unwrap(), policy);
        assert_eq!(map.ssh_policy_changes(), 1);
    }
    map.apply(message(&SshPolicy::default()), false, NOW);
    assert_eq!(map.ssh_policy().unwrap().read().unwrap(), SshPolicy::default());
    map.apply(first(Vec::new()), true, NOW);
    assert_eq!((map.ssh_policy(), map.ssh_policy_changes()), (None, 3));
}

#[test]
fn users_are_kept_and_shown_with_their_nodes() {
    let mut map = joined(vec![Node { user: 7, ..node(2, "web", "100.64.0.2") }]);
    assert!(map.peer(2).unwrap().user().is_none());
    let ada = UserProfile { id: 7, login_name: "ada".to_owned(), ..UserProfile::default() };
    map.apply(MapResponse { user_profiles: vec![ada], ..MapResponse::default() }, false, NOW);
    assert_eq!(map.peer(2).unwrap().user().unwrap().login_name, "ada");
}

#[test]
fn a_peer_offers_ssh_when_it_publishes_host_keys() {
    let info = Hostinfo {
        os: "linux".to_owned(),
        ssh_host_keys: vec!["ssh-ed25519 AAAA".to_owned()],
        ..Hostinfo::default()
    };
    let map = joined(vec![
        Node { hostinfo: Some(info), ..node(2, "web", "100.64.0.2") },
        node(3, "b", "100.64.0.3"),
    ]);
    assert!(map.peer(2).unwrap().offers_ssh());
    assert_eq!(map.peer(2).unwrap().os(), "linux");
    assert!(!map.peer(3).unwrap().offers_ssh());
}

#[test]
fn keys_expire_by_the_servers_clock_and_zero_is_never() {
    let map = joined(vec![
        Node { key_expiry: Some(NOW), ..node(2, "a", "100.64.0.2") },
        Node { key_expiry: Some(Timestamp::default()), ..node(3, "b", "100.64.0.3") },
        Node { expired: true, ..node(4, "c", "100.64.0.4") },
    ]);
    let expired = |id, at| map.peer(id).unwrap().expired(at);
    assert!(!expired(2, NOW));
    assert!(expired(2, Timestamp::from_unix(NOW.unix() + 1)));
    assert!(!expired(3, NOW));
    assert!(expired(4, NOW));
}

#[test]
fn machines_are_found_by_address_full_name_and_short_name() {
    let mut six = node(5, "six", "100.64.0.5");
    six.addresses = vec!["fd7a:115c:a1e0::5/128".parse().unwrap()];
    let mut map = three();
    map.apply(MapResponse { peers_changed: vec![six], ..MapResponse::default() }, false, NOW);
    for host in ["db", "DB", "db.tail.test", "db.tail.test.", "Db.Tail.Test", "100.64.0.4", " db "] {
        let target = map.resolve(host).unwrap();
        assert_eq!(target, Target { address: "100.64.0.4".parse().unwrap(), peer: 4 }, "{host}");
    }
    for host in ["six", "fd7a:115c:a1e0::5", "[fd7a:115c:a1e0::5]"] {
        assert_eq!(
            map.resolve(host).unwrap().address,
            "fd7a:115c:a1e0::5".parse::<IpAddr>().unwrap(),
            "{host}"
        );
    }
}

#[test]
fn an_address_behind_a_subnet_router_leads_to_the_closest_one() {
    let routed = |id, name, address, route: &str| {
        let peer = node(id, name, address);
        let mut allowed = peer.addresses.clone();
        allowed.push(route.parse().unwrap());
        Node { allowed_ips: Some(allowed), ..peer }
    };
    let map = joined(vec![
        routed(2, "wide", "100.64.0.2", "10.0.0.0/8"),
        routed(3, "narrow", "100.64.0.3", "10.1.0.0/16"),
    ]);
    assert_eq!(map.resolve("10.1.2.3").unwrap().peer, 3);
    assert_eq!(map.resolve("10.2.2.3").unwrap().peer, 2);
    assert!(matches!(map.resolve("192.0.2.1"), Err(ResolveError::UnknownAddress(_))));
}

#[test]
fn an_unknown_name_is_answered_with_names_that_look_like_it() {
    let map = three();
    let Err(ResolveError::UnknownName { near, .. }) = map.resolve("web") else { panic!() };
    assert_eq!(near, ["web-1", "web-2"]);
    let error = map.resolve("bd").unwrap_err();
    assert!(matches!(&error, ResolveError::UnknownName { near, .. } if near.is_empty()), "{error}");
    let Err(ResolveError::UnknownName { near, .. }) = map.resolve("wbe-1.tail.test") else { panic!() };
    assert_eq!(near.first().map(String::as_str), Some("web-1"));
    let error = map.resolve("web-3").unwrap_err().to_string();
    assert!(error.contains("is it web-1 or web-2?"), "{error}");
}

#[test]
fn oneself_is_not_dialled() {
    let map = three();
    for host in ["page", "page.tail.test", "100.64.0.1", "fd7a:115c:a1e0::1"] {
        assert!(matches!(map.resolve(host), Err(ResolveError::ThisNode(_))), "{host}");
    }
}

#[test]
fn shared_machines_go_by_their_label_where_it_is_unique() {
    let shared = |id, name: &str, address| Node { name: format!("{name}."), ..node(id, "", address) };
    let mut map = joined(vec![shared(2, "build.other.test", "100.64.0.2")]);
    assert_eq!(map.peer(2).unwrap().short_name(), "build.other.test");
    assert_eq!(map.resolve("build").unwrap().peer, 2);
    let another = vec![shared(3, "build.third.test", "100.64.0.3")];
    map.apply(MapResponse { peers_changed: another, ..MapResponse::default() }, false, NOW);
    assert!(matches!(map.resolve("build"), Err(ResolveError::Ambiguous { .. })));
    assert_eq!(map.resolve("build.third.test").unwrap().peer, 3);
}

#[test]
fn extra_records_lead_to_the_machine_behind_their_address() {
    let mut map = three();
    let record = DnsRecord {
        name: "wiki.tail.test.".to_owned(),
        value: "100.64.0.3".to_owned(),
        ..DnsRecord::default()
    };
    let dns = DnsConfig { extra_records: vec![record], ..DnsConfig::default() };
    map.apply(MapResponse { dns_config: Some(dns), ..MapResponse::default() }, false, NOW);
    assert_eq!(map.resolve("wiki.tail.test").unwrap().peer, 3);
}

/// The same state, kept without indexes.
#[derive(Default)]
struct Model(BTreeMap<i64, u8>);

proptest! {
    #[test]
    fn indexes_agree_with_a_simple_model(
        steps in prop::collection::vec(
            (prop::collection::vec((1..6_i64, 1..9_u8), 0..3), prop::collection::vec(1..6_i64, 0..3), any::<bool>()),
            1..12,
        )
    ) {
        let (mut map, mut model) = (NetMap::new(), Model::default());
        for (upserts, removals, full) in steps {
            let nodes: Vec<_> = upserts
                .iter()
                .map(|&(id, k)| Node { key: key(k), ..node(id, "n", &format!("100.64.1.{k}")) })
                .collect();
            let mut message = MapResponse::default();
            if full && !nodes.is_empty() {
                message.peers = nodes;
                model.0.retain(|id, _| upserts.iter().any(|(kept, _)| kept == id));
            } else {
                message.peers_changed = nodes;
                message.peers_removed = removals.clone();
                model.0.retain(|id, _| !removals.contains(id));
            }
            for (id, k) in upserts {
                model.0.retain(|other, other_key| *other == id || *other_key != k);
                model.0.insert(id, k);
            }
            map.apply(message, false, NOW);
            let seen: BTreeMap<_, _> = map.peers().map(|peer| (peer.id(), peer.key())).collect();
            let expected: BTreeMap<_, _> = model.0.iter().map(|(id, k)| (*id, key(*k))).collect();
            prop_assert_eq!(&seen, &expected);
            prop_assert_eq!(map.by_key.len(), seen.len());
            prop_assert_eq!(map.by_address.len(), seen.len());
            for (id, k) in model.0.iter() {
                prop_assert_eq!(map.peer_by_key(&key(*k)).map(|peer| peer.id()), Some(*id));
                let address = format!("100.64.1.{k}").parse().unwrap();
                prop_assert_eq!(map.peer_by_address(address).map(|peer| peer.id()), Some(*id));
            }
        }
    }
}
