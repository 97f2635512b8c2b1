//! Problems as the page shows them: what failed, what was seen there, and what to do.
//!
//! Each thing that can go wrong has a message of its own.

mod control;
mod ssh;
mod tcp;

use crate::names::Step;

pub use control::{NO_CORS, of_control, of_relay};
pub use ssh::{of_cancel, of_connect, of_disconnect, of_full_input, of_move, of_open};
pub use tcp::of_tcp;

/// A failure as a person reads of it: `DayflyError` of `www/src/api.ts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The step that failed.
    pub step: Step,
    /// The failure, in one sentence.
    pub what: String,
    /// The observation behind it, in the words it came in.
    pub seen: String,
    /// Advice on what to do.
    pub todo: String,
}

impl Problem {
    /// A problem of a step.
    #[must_use]
    pub fn new(
        step: impl Into<Step>,
        what: impl Into<String>,
        seen: impl Into<String>,
        todo: impl Into<String>,
    ) -> Self {
        Self { step: step.into(), what: what.into(), seen: seen.into(), todo: todo.into() }
    }
}

/// Returns `true` if `text` has one of these words or phrases, in any case.
fn says(text: &str, phrases: &[&str]) -> bool {
    let text = text.to_ascii_lowercase();
    phrases.iter().any(|phrase| text.contains(phrase))
}
