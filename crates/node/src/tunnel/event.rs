//! Events that a tunnel reports to its driver.

/// Change in a tunnel that its driver acts on or reports.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TunnelEvent {
    /// A region is wanted: open a connection to it.
    Dial(u32),
    /// A region is connected.
    Ready(u32),
    /// A region is this node's home from now on.
    Home(u32),
    /// The relay of a region is about to restart. Reported once in a connection.
    Restarting(u32),
    /// A region is no longer needed: close its connection.
    Close(u32),
    /// Something that a connection in the making waits for may have happened.
    Progress,
}
