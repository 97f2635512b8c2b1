//! The news that a process goes down.

use std::future::pending;

use tokio::sync::watch;

/// A watch on the end of a [`Server`](crate::Server), which may be copied to whoever has to end with it.
#[derive(Clone, Debug)]
pub struct Closing(watch::Receiver<bool>);

impl Closing {
    /// Makes a watch and the sender that sets it off.
    pub(crate) fn new() -> (watch::Sender<bool>, Self) {
        let (sender, receiver) = watch::channel(false);
        (sender, Self(receiver))
    }

    /// Waits until the process goes down.
    pub async fn wait(mut self) {
        if self.0.wait_for(|closing| *closing).await.is_err() {
            pending::<()>().await;
        }
    }
}
