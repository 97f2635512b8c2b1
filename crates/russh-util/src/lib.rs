//! The clock and the tasks that `russh` runs on, in place of the published `russh-util` 0.52.
//!
//! In a browser the published crate takes its [`time::Instant`] from the wall clock and panics when that has been set
//! back since the last key exchange: `russh` compares the two after every packet, whatever its limits are, so a laptop
//! that corrects its clock would end the session and, a panic being an abort there, the whole page. No setting avoids
//! that comparison. This crate has the same two modules over a monotonic clock, and needs no calendar for it.
//!
//! It is not a general runtime: it has what `russh` 0.65 asks for and nothing else. When `russh-util` becomes
//! monotonic in a browser, this crate and the workspace's `[patch.crates-io]` go.
//!
//! ```
//! use std::time::Duration;
//!
//! use russh_util::time::Instant;
//!
//! // The published crate panics here in a browser.
//! let later = Instant::now() + Duration::from_secs(60);
//! assert_eq!(Instant::now().duration_since(later), Duration::ZERO);
//! ```

/// The clock.
pub mod time {
    /// A point of a clock that never goes back; durations between its points are never negative.
    pub use dayfly_platform::time::Instant;
}

/// Tasks of the surrounding runtime.
pub mod runtime {
    use std::fmt;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use tokio::sync::oneshot;

    /// The task ended without a result: it panicked, or its runtime was shut down.
    #[derive(Debug)]
    pub struct JoinError;

    impl fmt::Display for JoinError {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the task ended without a result")
        }
    }

    impl std::error::Error for JoinError {}

    /// Resolves to what a task returned. Dropping it leaves the task running.
    #[derive(Debug)]
    pub struct JoinHandle<T: Send>(oneshot::Receiver<T>);

    impl<T: Send> Future for JoinHandle<T> {
        type Output = Result<T, JoinError>;

        fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
            Pin::new(&mut self.0).poll(context).map_err(|_| JoinError)
        }
    }

    /// Starts a task on the surrounding runtime: tokio's natively, the event loop's in a browser.
    pub fn spawn<F, T>(future: F) -> JoinHandle<T>
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        dayfly_platform::task::spawn(async move {
            // A result that nobody waits for is dropped.
            let _ = sender.send(future.await);
        });
        JoinHandle(receiver)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::runtime::spawn;
    use super::time::Instant;

    #[tokio::test]
    async fn a_task_hands_back_its_result() {
        assert_eq!(spawn(async { 3 }).await.unwrap(), 3);
    }

    #[tokio::test]
    async fn a_point_in_the_future_is_no_time_ago() {
        let later = Instant::now() + Duration::from_secs(60);
        assert_eq!(Instant::now().duration_since(later), Duration::ZERO);
    }
}
