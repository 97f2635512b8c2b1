//! The page in real browsers: each file is named by the claim that it proves.

/// One test for each engine of a claim that is a function of the engine.
macro_rules! in_each_engine {
    ($claim:path) => {
        #[test]
        fn chromium() -> anyhow::Result<()> {
            $claim(dayfly_tests::Engine::Chromium)
        }

        #[test]
        fn firefox() -> anyhow::Result<()> {
            $claim(dayfly_tests::Engine::Firefox)
        }

        #[test]
        fn webkit() -> anyhow::Result<()> {
            $claim(dayfly_tests::Engine::WebKit)
        }
    };
}

mod a_changed_host_key_is_refused;
mod a_closed_tab_takes_its_node_along;
mod a_flood_of_output_is_bounded;
mod a_person_signs_in;
mod a_refused_key_says_why;
mod a_shell_needs_no_key_and_no_password;
mod a_shell_outlives_its_relay_and_its_control_server;
mod any_bytes_reach_the_screen;
mod any_relay_will_do;
mod cancelling_closes_the_connection;
mod every_state_has_its_picture;
mod no_right_to_a_shell_is_told;
mod nothing_is_left_behind;
mod one_node_carries_several_shells;
mod the_gateway_reaches_what_browsers_cannot;
mod three_engines_can_be_driven;
mod what_is_down_is_named;
