//! Tasks, timers, clocks and randomness that work natively (tokio) and in a browser.
//!
//! This is the one crate that asks which of the two it is built for. It holds no sockets: those differ in kind
//! between the two and live at the edges, behind [`ByteStream`].
//!
//! ```
//! use std::time::Duration;
//!
//! use dayfly_platform::time::{Clock, Moment};
//!
//! let clock = Clock::start();
//! let deadline = clock.now() + Duration::from_secs(5);
//! assert!(clock.now() < deadline && deadline - Moment::START >= Duration::from_secs(5));
//! ```

use std::time::Duration;

pub mod io;
pub mod random;

pub use io::{BoxByteStream, ByteStream};
pub use n0_future::boxed::BoxFuture;

/// `Send` natively, nothing in a browser, whose objects never leave their thread.
#[cfg(not(target_arch = "wasm32"))]
pub trait MaybeSend: Send {}
#[cfg(not(target_arch = "wasm32"))]
impl<T: Send + ?Sized> MaybeSend for T {}
/// `Send` natively, nothing in a browser, whose objects never leave their thread.
#[cfg(target_arch = "wasm32")]
pub trait MaybeSend {}
#[cfg(target_arch = "wasm32")]
impl<T: ?Sized> MaybeSend for T {}

/// `Sync` natively, nothing in a browser.
#[cfg(not(target_arch = "wasm32"))]
pub trait MaybeSync: Sync {}
#[cfg(not(target_arch = "wasm32"))]
impl<T: Sync + ?Sized> MaybeSync for T {}
/// `Sync` natively, nothing in a browser.
#[cfg(target_arch = "wasm32")]
pub trait MaybeSync {}
#[cfg(target_arch = "wasm32")]
impl<T: ?Sized> MaybeSync for T {}

/// Tasks of the surrounding runtime: tokio's natively, the event loop's in a browser.
pub mod task {
    pub use n0_future::task::{AbortHandle, AbortOnDropHandle, JoinHandle, spawn};
}

/// Timers and clocks. Natively these are tokio's, so that a paused test clock drives them.
pub mod time {
    use super::Duration;

    pub use dayfly_moment::Moment;
    pub use n0_future::time::{Instant, Sleep, sleep, sleep_until, timeout};

    /// Later than anything that is waited for (as in tokio, whose timers take no more).
    const FAR_FUTURE: Duration = Duration::from_secs(86400 * 365 * 30);

    /// Time since the Unix epoch by the wall clock, which may be wrong and may step back; never used for intervals.
    #[must_use]
    pub fn unix_now() -> Duration {
        n0_future::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default()
    }

    /// A monotonic clock, whose moments sans-IO code takes as `now`.
    #[derive(Clone, Copy, Debug)]
    pub struct Clock(Instant);

    impl Clock {
        /// Starts a clock at [`Moment::START`].
        #[must_use]
        pub fn start() -> Self {
            Self(Instant::now())
        }

        /// The present moment.
        #[must_use]
        pub fn now(&self) -> Moment {
            Moment::from_start(self.0.elapsed())
        }

        /// The point of the platform's clock that [`Clock::now`] reports as `at`, for [`sleep_until`]. What is beyond the
        /// platform's range is thirty years after the start.
        #[must_use]
        pub fn instant(&self, at: Moment) -> Instant {
            self.0.checked_add(at.since_start()).unwrap_or_else(|| self.0 + FAR_FUTURE)
        }
    }
}
