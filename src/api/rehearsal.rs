//! The start of an SSH session for practice, while the page waits for the control server anyway.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dayfly_platform::time::sleep;
use wasm_bindgen_futures::spawn_local;

/// Until what the control server is waited for has been asked, and the page shows so: two frames.
const DELAY: Duration = Duration::from_millis(30);

/// Set once the rehearsal has begun: what was compiled stays so as long as the page.
static BEGUN: AtomicBool = AtomicBool::new(false);

/// Has the browser compile what a session starts with, once per page.
///
/// It goes on in pieces of some milliseconds, between which all else has its turn. A session that starts meanwhile
/// needs the same code compiled, so it loses nothing by that.
pub(super) fn begin() {
    if !BEGUN.swap(true, Ordering::Relaxed) {
        // Nobody waits for it, so it goes without what a handle costs.
        spawn_local(async {
            sleep(DELAY).await;
            dayfly_ssh::rehearse().await;
        });
    }
}
