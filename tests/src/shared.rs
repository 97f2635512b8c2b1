//! One tailnet for many tests.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use anyhow::Result;

use crate::lab::{Lab, scenario};

/// A tailnet that tests share. It lives for as long as any test uses it, so that tests which run one after the other,
/// two at a time, find it running.
#[derive(Debug)]
pub struct Shared<T> {
    running: Mutex<Weak<Running<T>>>,
}

/// A tailnet with the lab that it lives in. The tailnet ends first.
#[derive(Debug)]
struct Running<T> {
    tailnet: T,
    lab: Lab,
}

impl<T> Shared<T> {
    /// One that nobody uses yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { running: Mutex::new(Weak::new()) }
    }

    /// Run one test in a lab of its own and in the shared tailnet, which `start` starts in a lab called `name` if it
    /// does not run. When the test fails the logs of both labs are shown.
    pub fn test(
        &self,
        name: &str,
        start: impl FnOnce(&Lab) -> Result<T>,
        claim: impl FnOnce(&Lab, &T) -> Result<()>,
    ) -> Result<()> {
        scenario(|lab| {
            let running = self.running(name, start)?;
            claim(lab, &running.tailnet).inspect_err(|_| running.lab.print_logs())
        })
    }

    fn running(&self, name: &str, start: impl FnOnce(&Lab) -> Result<T>) -> Result<Arc<Running<T>>> {
        let mut current = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = current.upgrade() {
            return Ok(running);
        }
        let lab = Lab::new(name)?;
        let tailnet = start(&lab).inspect_err(|_| lab.print_logs())?;
        let started = Arc::new(Running { tailnet, lab });
        *current = Arc::downgrade(&started);
        Ok(started)
    }
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self::new()
    }
}
