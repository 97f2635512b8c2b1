use core::time::Duration;

use dayfly_platform::random::SystemRng;
use proptest::prelude::*;

use super::*;
use crate::key::{NodePrivate, NodePublic};
use crate::nacl::OpenError;
use crate::testing::hex;

const KEY: NodePublic = NodePublic::from_bytes([0x11; 32]);
const OTHER: NodePublic = NodePublic::from_bytes([0x22; 32]);

/// Every frame as it is written, with its known bytes; keys are repeated bytes.
fn known() -> Vec<(Frame<'static>, Vec<u8>, String)> {
    let (k, o) = ("11".repeat(32), "22".repeat(32));
    let made = |build: &dyn Fn(&mut Vec<u8>)| {
        let mut out = Vec::new();
        build(&mut out);
        out
    };
    let address = "192.0.2.7:443".parse().unwrap();
    let (gone, flags) =
        (PeerGoneReason::NOT_HERE, PeerPresentFlags::REGULAR.union(PeerPresentFlags::NOT_IDEAL));
    let (soon, long) = (Duration::from_millis(1500), Duration::from_secs(60));
    vec![
        (
            Frame::ServerKey { key: KEY },
            made(&|b| put_server_key(b, &KEY)),
            format!("01 00000028 44455250f09f9491 {k}"),
        ),
        (
            Frame::SendPacket { dst: KEY, data: b"abc" },
            made(&|b| put_send_packet(b, &KEY, b"abc").unwrap()),
            format!("04 00000023 {k} 616263"),
        ),
        (
            Frame::RecvPacket { src: KEY, data: b"" },
            made(&|b| put_recv_packet(b, &KEY, b"").unwrap()),
            format!("05 00000020 {k}"),
        ),
        (Frame::KeepAlive, made(&|b| put_keep_alive(b)), "06 00000000".into()),
        (
            Frame::NotePreferred { home: true },
            made(&|b| put_note_preferred(b, true)),
            "07 00000001 01".into(),
        ),
        (
            Frame::PeerGone { peer: KEY, reason: gone },
            made(&|b| put_peer_gone(b, &KEY, gone)),
            format!("08 00000021 {k} 01"),
        ),
        (
            Frame::PeerPresent { peer: KEY, address: Some(address), flags },
            made(&|b| put_peer_present(b, &KEY, address, flags)),
            format!("09 00000033 {k} 00000000000000000000ffffc0000207 01bb 09"),
        ),
        (
            Frame::ForwardPacket { src: KEY, dst: OTHER, data: b"z" },
            made(&|b| put_forward_packet(b, &KEY, &OTHER, b"z").unwrap()),
            format!("0a 00000041 {k} {o} 7a"),
        ),
        (Frame::WatchConns, made(&|b| put_watch_conns(b)), "10 00000000".into()),
        (Frame::ClosePeer { peer: OTHER }, made(&|b| put_close_peer(b, &OTHER)), format!("11 00000020 {o}")),
        (Frame::Ping([1; 8]), made(&|b| put_ping(b, [1; 8])), "12 00000008 0101010101010101".into()),
        (Frame::Pong([2; 8]), made(&|b| put_pong(b, [2; 8])), "13 00000008 0202020202020202".into()),
        (Frame::Health(b"dup"), made(&|b| put_health(b, "dup")), "14 00000003 647570".into()),
        (
            Frame::Restarting { reconnect_in: soon, try_for: long },
            made(&|b| put_restarting(b, soon, long)),
            "15 00000008 000005dc 0000ea60".into(),
        ),
    ]
}

#[test]
fn every_frame_has_its_known_bytes() {
    for (frame, made, bytes) in known() {
        assert_eq!(made, hex(&bytes), "{frame:?}");
        for receiver in [Receiver::Client, Receiver::Server] {
            let decoded = decode(&made, receiver).unwrap().unwrap();
            assert_eq!(decoded, Decoded { frame, consumed: made.len() });
        }
    }
}

#[test]
fn handshakes_prove_both_keys() {
    let [client, server, other] = [(); 3].map(|()| NodePrivate::generate(&mut SystemRng));
    let info = ClientInfo {
        mesh_key: MeshKey::parse(&"ab".repeat(32)),
        app_name: "test".into(),
        ..ClientInfo::default()
    };
    let mut out = Vec::new();
    put_client_info(&mut out, &client, &server.public(), &info, &mut SystemRng).unwrap();
    let Frame::ClientInfo { key, sealed } = decode(&out, Receiver::Server).unwrap().unwrap().frame else {
        panic!("not a ClientInfo");
    };
    assert_eq!(key, client.public());
    let shared = server.shared(&key);
    assert_eq!(open_client_info(&shared, sealed).unwrap(), info);
    assert!(matches!(
        open_client_info(&server.shared(&other.public()), sealed),
        Err(InfoError::Open(OpenError::Forged))
    ));

    let info = ServerInfo { bytes_per_second: 1000, ..ServerInfo::default() };
    let mut out = Vec::new();
    put_server_info(&mut out, &shared, &info, &mut SystemRng).unwrap();
    let Frame::ServerInfo { sealed } = decode(&out, Receiver::Client).unwrap().unwrap().frame else {
        panic!("not a ServerInfo");
    };
    assert_eq!(open_server_info(&client.shared(&server.public()), sealed).unwrap(), info);
}

#[test]
fn handshakes_have_tailscales_field_names() {
    assert_eq!(serde_json::to_string(&ClientInfo::default()).unwrap(), r#"{"version":2,"CanAckPings":true}"#);
    assert_eq!(serde_json::to_string(&ServerInfo::default()).unwrap(), r#"{"version":2}"#);
    let mesh = "cd".repeat(32);
    let read: ClientInfo =
        serde_json::from_str(&format!(r#"{{"meshKey":"{mesh}","version":2,"IsProber":true,"New":[]}}"#))
            .unwrap();
    assert_eq!(read.mesh_key, MeshKey::parse(&mesh));
    assert!(read.is_prober && !read.can_ack_pings);
    for none in [
        r#"{"meshKey":""}"#.to_owned(),
        r#"{"meshKey":null}"#.into(),
        format!(r#"{{"meshKey":"{}"}}"#, "0".repeat(64)),
    ] {
        assert_eq!(serde_json::from_str::<ClientInfo>(&none).unwrap().mesh_key, None);
    }
    assert!(serde_json::from_str::<ClientInfo>(r#"{"meshKey":"12"}"#).is_err());
    assert_eq!(format!("{:?}", read.mesh_key), "Some(MeshKey(secret))");
}

#[test]
fn long_frames_are_refused_by_their_header() {
    for (kind, receiver, max) in [
        (FrameType::SEND_PACKET, Receiver::Server, 65_568),
        (FrameType::FORWARD_PACKET, Receiver::Server, 65_600),
        (FrameType::CLIENT_INFO, Receiver::Server, 256 << 10),
        (FrameType::PING, Receiver::Server, 1000),
        (FrameType::NOTE_PREFERRED, Receiver::Server, 1),
        (FrameType::WATCH_CONNS, Receiver::Server, 0),
        (FrameType::RECV_PACKET, Receiver::Client, 65_568),
        (FrameType::SERVER_KEY, Receiver::Client, 1024),
        (FrameType::HEALTH, Receiver::Client, 1 << 20),
        (FrameType(0x99), Receiver::Client, 1 << 20),
    ] {
        let head = |len: u32| {
            let mut head = vec![kind.0];
            head.extend(len.to_be_bytes());
            head
        };
        let len = max + 1;
        assert_eq!(decode(&head(len as u32), receiver), Err(FrameError::TooLong { kind, len, max }));
        assert_eq!(Header { kind, len: max }.check(receiver), Ok(()));
    }
}

#[test]
fn short_frames_are_refused() {
    for (kind, receiver, min) in [
        (FrameType::SEND_PACKET, Receiver::Server, 32),
        (FrameType::PING, Receiver::Server, 8),
        (FrameType::CLOSE_PEER, Receiver::Server, 32),
        (FrameType::NOTE_PREFERRED, Receiver::Server, 1),
        (FrameType::CLIENT_INFO, Receiver::Server, 72),
        (FrameType::PEER_GONE, Receiver::Client, 32),
        (FrameType::RESTARTING, Receiver::Client, 8),
    ] {
        let len = min - 1;
        assert_eq!(Header { kind, len }.check(receiver), Err(FrameError::TooShort { kind, len, min }));
        assert_eq!(Frame::parse(kind, &vec![0; len]).is_err(), kind != FrameType::CLIENT_INFO);
    }
}

#[test]
fn packets_over_64_kib_are_not_written() {
    let mut out = Vec::new();
    let data = vec![0; MAX_PACKET_LEN + 1];
    assert_eq!(put_send_packet(&mut out, &KEY, &data), Err(PacketTooLong { len: 65_537 }));
    assert_eq!(put_recv_packet(&mut out, &KEY, &data), Err(PacketTooLong { len: 65_537 }));
    assert!(out.is_empty());
    put_send_packet(&mut out, &KEY, &data[1..]).unwrap();
    assert!(decode(&out, Receiver::Server).unwrap().is_some());
}

#[test]
fn a_send_packet_becomes_a_recv_packet_in_place() {
    let mut frame = Vec::new();
    put_send_packet(&mut frame, &OTHER, b"payload").unwrap();
    let head = recv_packet_head(&KEY, 7).unwrap();
    frame[..head.len()].copy_from_slice(&head);
    let mut expected = Vec::new();
    put_recv_packet(&mut expected, &KEY, b"payload").unwrap();
    assert_eq!(frame, expected);
}

#[test]
fn frames_of_older_and_newer_servers_are_read() {
    let old = hex(&format!("08 00000020 {}", "11".repeat(32)));
    let gone = Frame::PeerGone { peer: KEY, reason: PeerGoneReason::DISCONNECTED };
    assert_eq!(decode(&old, Receiver::Client).unwrap().unwrap().frame, gone);
    let old = hex(&format!("09 00000020 {}", "11".repeat(32)));
    let present = Frame::PeerPresent { peer: KEY, address: None, flags: PeerPresentFlags::default() };
    assert_eq!(decode(&old, Receiver::Client).unwrap().unwrap().frame, present);
    let new = hex("12 0000000a 0101010101010101 ffff");
    assert_eq!(decode(&new, Receiver::Client).unwrap().unwrap().frame, Frame::Ping([1; 8]));
    let new = hex("7f 00000002 abcd");
    let unknown = Frame::Unknown { kind: FrameType(0x7f), payload: &[0xab, 0xcd] };
    assert_eq!(decode(&new, Receiver::Client).unwrap().unwrap().frame, unknown);
}

#[test]
fn another_protocols_handshake_is_named() {
    let mut handshake = hex("01 00000028");
    handshake.extend([b'x'; 40]);
    assert_eq!(decode(&handshake, Receiver::Client), Err(FrameError::BadMagic));
}

proptest! {
    #[test]
    fn packets_round_trip(key: [u8; 32], data in prop::collection::vec(any::<u8>(), 0..2000)) {
        let dst = NodePublic::from_bytes(key);
        let mut out = Vec::new();
        put_send_packet(&mut out, &dst, &data).unwrap();
        let decoded = decode(&out, Receiver::Server).unwrap().unwrap();
        prop_assert_eq!(decoded.frame, Frame::SendPacket { dst, data: &data });
        prop_assert_eq!(decoded.consumed, out.len());
    }

    #[test]
    fn any_bytes_are_read_without_panic(kind in 0..0x18u8, len in 0..120u32, mut body: Vec<u8>) {
        let [a, b, c, d] = len.to_be_bytes();
        body.splice(0..0, [kind, a, b, c, d]);
        crate::fuzzing::derp_client_frames(&body);
        crate::fuzzing::derp_server_frames(&body);
    }

    #[test]
    fn a_stream_reads_the_same_however_it_is_cut(cuts in prop::collection::vec(1..60usize, 1..40)) {
        let frames = known();
        let stream: Vec<u8> = frames.iter().flat_map(|(_, bytes, _)| bytes.clone()).collect();
        let (mut buffer, mut fed, mut read) = (Vec::new(), 0, 0);
        let mut cuts = cuts.into_iter().cycle();
        while fed < stream.len() {
            let end = stream.len().min(fed + cuts.next().unwrap());
            buffer.extend_from_slice(&stream[fed..end]);
            fed = end;
            while let Some(decoded) = decode(&buffer, Receiver::Client).unwrap() {
                prop_assert_eq!(decoded.frame, frames[read].0);
                read += 1;
                let consumed = decoded.consumed;
                buffer.drain(..consumed);
            }
        }
        prop_assert_eq!((read, buffer.len()), (frames.len(), 0));
    }
}
