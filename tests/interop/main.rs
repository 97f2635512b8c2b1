//! Our parts against other people's programs: each file is named by the claim that it proves.

mod control_server;
mod native_answers_pings;
mod native_crosses_regions;
mod native_edge_opens_connections;
mod native_is_removed_after_logout;
mod native_joins_headscale;
mod native_logs_in_by_password;
mod native_reaches_a_plain_sshd;
mod native_reaches_tailscale_ssh;
mod native_waits_for_a_person;
mod relay_gateway_reaches_headscale_and_derper;
mod relay_serves_tailscaled;
mod tailscaled_joins_over_our_ts2021;
mod the_examples_join_and_are_reached;
mod the_lab_has_a_plain_sshd;
mod two_tailscaled_meet_over_one_relay;
