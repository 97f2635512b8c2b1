//! What failed, what was seen there, and what to do: one message for each thing that can go wrong.

mod control;
mod ssh;
mod tcp;

pub use control::{NO_CORS, of_control, of_relay};
pub use ssh::{of_cancel, of_connect, of_disconnect, of_full_input, of_move, of_open};
pub use tcp::of_tcp;

/// A failure as a person is told of it: `DayflyError` of `www/src/dayfly.ts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The step that failed, by its name in the page's API.
    pub step: &'static str,
    /// What failed, in one sentence.
    pub what: String,
    /// What was seen there, as it was seen.
    pub seen: String,
    /// What to do.
    pub todo: String,
}

impl Problem {
    /// A problem of a step.
    #[must_use]
    pub fn new(
        step: &'static str,
        what: impl Into<String>,
        seen: impl Into<String>,
        todo: impl Into<String>,
    ) -> Self {
        Self { step, what: what.into(), seen: seen.into(), todo: todo.into() }
    }
}

/// Whether `text` has one of these words or phrases, in any case.
fn says(text: &str, phrases: &[&str]) -> bool {
    let text = text.to_ascii_lowercase();
    phrases.iter().any(|phrase| text.contains(phrase))
}
