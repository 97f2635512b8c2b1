//! What the system allows a process.

/// Raises the limit of open files as far as this process may.
///
/// Each connection is an open file, and the usual limit of 1,024 is for programs that use `select`. A limit that stays
/// as it is is logged.
pub fn raise_file_limit() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = getrlimit(Resource::Nofile);
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "the limit of open files stays as it is");
        }
    }
}
