//! What our node makes of it when something breaks: each file is named by the claim that it proves.

mod a_connection_that_fails_says_at_what;
mod a_node_that_is_rejected_says_why;
mod a_shell_outlives_its_control_server;
mod a_shell_outlives_its_relay;
mod control_that_is_down_is_tried_again;
