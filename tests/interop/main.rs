//! Our parts against other people's programs: each file is named by the claim that it proves.

mod the_lab_has_a_plain_sshd;
mod two_tailscaled_meet_over_one_relay;
