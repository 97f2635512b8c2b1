//! The paper's numbers, written out: sections 5.4 and 6.1.

use std::time::Duration;

use crate::constants::*;
use crate::message::{COOKIE_REPLY_LEN, INITIATION_LEN, RESPONSE_LEN};
use crate::{DATA_OFFSET, sealed_len};

#[test]
fn the_constants_are_the_papers() {
    assert_eq!(REKEY_AFTER_MESSAGES, 1_152_921_504_606_846_976);
    assert_eq!(REJECT_AFTER_MESSAGES, 18_446_744_073_709_543_423);
    assert_eq!(REKEY_AFTER_TIME, Duration::from_secs(120));
    assert_eq!(REJECT_AFTER_TIME, Duration::from_secs(180));
    assert_eq!(REKEY_ATTEMPT_TIME, Duration::from_secs(90));
    assert_eq!(REKEY_TIMEOUT, Duration::from_secs(5));
    assert_eq!(KEEPALIVE_TIMEOUT, Duration::from_secs(10));
    assert_eq!(REKEY_ON_RECEIVE, REJECT_AFTER_TIME - KEEPALIVE_TIMEOUT - REKEY_TIMEOUT);
    assert_eq!(SILENCE_TIMEOUT, KEEPALIVE_TIMEOUT + REKEY_TIMEOUT);
    assert_eq!(COOKIE_LIFETIME, Duration::from_secs(120));
}

#[test]
fn the_lengths_are_the_papers() {
    assert_eq!((INITIATION_LEN, RESPONSE_LEN, COOKIE_REPLY_LEN, DATA_OFFSET), (148, 92, 64, 16));
    for (packet, datagram) in [(0, 32), (1, 48), (16, 48), (17, 64), (1280, 1312)] {
        assert_eq!(sealed_len(packet), datagram, "a packet of {packet} bytes");
    }
}
