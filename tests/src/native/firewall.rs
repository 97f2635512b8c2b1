//! A firewall between a node and its relays, which the test opens and closes.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dayfly_dial::NativeDialer;
use dayfly_node::{DerpAddress, DialError, Dialer};
use dayfly_platform::{BoxByteStream, BoxFuture};
use dayfly_wire::ts2021::INITIATION_LEN;

/// A [`NativeDialer`] that dials no relay of the regions that a test has closed. Copies are the same firewall.
#[derive(Clone, Debug)]
pub struct Firewall {
    dialer: NativeDialer,
    closed: Arc<Mutex<BTreeSet<u32>>>,
}

impl Firewall {
    /// A firewall that lets everything through.
    #[must_use]
    pub fn new(dialer: NativeDialer) -> Self {
        Self { dialer, closed: Arc::default() }
    }

    /// Makes the relays of a region unreachable from now on, or reachable again. Open connections stay.
    pub fn set_closed(&self, region: u32, is_closed: bool) {
        if is_closed {
            self.closed().insert(region);
        } else {
            self.closed().remove(&region);
        }
    }

    fn closed(&self) -> MutexGuard<'_, BTreeSet<u32>> {
        self.closed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Dialer for Firewall {
    fn control_url(&self) -> &str {
        self.dialer.control_url()
    }

    fn control_key(&self, version: u16) -> BoxFuture<Result<Vec<u8>, DialError>> {
        self.dialer.control_key(version)
    }

    fn control(&self, initiation: &[u8; INITIATION_LEN]) -> BoxFuture<Result<BoxByteStream, DialError>> {
        self.dialer.control(initiation)
    }

    fn derp(&self, address: &DerpAddress) -> BoxFuture<Result<BoxByteStream, DialError>> {
        if self.closed().contains(&address.region) {
            let url = format!("the relay {}:{}", address.host, address.port);
            let error = DialError::Unreachable { url, reason: "the test's firewall is closed".to_owned() };
            return Box::pin(std::future::ready(Err(error)));
        }
        self.dialer.derp(address)
    }
}
