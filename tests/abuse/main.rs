//! What our node makes of those who mean it harm: each file is named by the claim that it proves.

mod a_relay_that_alters_and_replays_changes_nothing;
mod strangers_at_the_relay_are_not_heard;
