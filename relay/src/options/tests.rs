use std::fs;
use std::time::Duration;

use super::*;
use crate::derp::MIN_BURST;
use crate::gateway::RelayRegion;

/// A control server's key.
const KEY: &str = "mkey:1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a";

fn read(arguments: &[&str]) -> Result<Settings, OptionsError> {
    Options::read([&["dayfly-relay"], arguments].concat())
}

fn with_file(arguments: &[&str], toml: &str) -> Result<Settings, OptionsError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("relay.toml");
    fs::write(&path, toml).unwrap();
    read(&[arguments, &["--config", path.to_str().unwrap()]].concat())
}

#[test]
fn one_process_can_be_all() {
    let arguments = [
        "derp",
        "--listen",
        "127.0.0.1:0",
        "--www",
        "dist",
        "--control",
        "http://127.0.0.1:8080",
        "--stun-listen",
        "127.0.0.1:0",
        "--derp-upstream",
        "900=https://relay.example:8443",
    ];
    let config = read(&arguments).unwrap().config;
    assert!(config.derp.is_some());
    assert_eq!(config.gateway.control.unwrap().to_string(), "http://127.0.0.1:8080");
    assert_eq!(config.gateway.relays[0].0, RelayRegion::One(900_u32.try_into().unwrap()));
}

#[test]
fn a_gateway_leads_somewhere() {
    assert!(matches!(read(&["gateway"]), Err(OptionsError::Nowhere)));
    let config = read(&["gateway", "--derp", "https://relay.example"]).unwrap().config;
    assert!(config.derp.is_none());
    for wrong in ["0=https://relay.example", "x=https://relay.example"] {
        assert!(
            matches!(
                read(&["gateway", "--derp", wrong]),
                Err(OptionsError::Settings(SettingsError::Arguments(_)))
            ),
            "{wrong}"
        );
    }
    assert_eq!(config.gateway.relays[0].0, RelayRegion::Any);
}

#[test]
fn flags_come_before_the_file() {
    let toml =
        "listen = [\"127.0.0.1:1\", \"127.0.0.1:2\"]\ndrain = 9\nreuse-port = true\nclient-rate = 5000";
    let settings = with_file(&["derp", "--drain", "3"], toml).unwrap();
    assert_eq!(settings.config.listen.len(), 2);
    assert_eq!(settings.config.limits.drain, Duration::from_secs(3));
    assert!(settings.config.reuse_port);
    let rate = settings.config.derp.unwrap().client_rate.unwrap();
    assert_eq!((rate.bytes_per_second, rate.burst), (5000, MIN_BURST));
}

#[test]
fn the_file_has_only_settings() {
    let error = |toml: &str| with_file(&["gateway", "--control", "http://c"], toml).unwrap_err().to_string();
    assert!(error("lisen = \"127.0.0.1:1\"").contains("\"lisen\" is not a setting"));
    assert!(error("config = \"other.toml\"").contains("is not a setting"));
    assert!(error("key-file = \"key\"").contains("is not a setting of this command"));
    assert!(error("reuse-port = \"yes\"").contains("true or false"));
    assert!(error("listen = \"nowhere\"").contains("nowhere"));
    assert!(error("listen = ").contains("TOML"));
}

#[test]
fn settings_that_need_each_other_may_come_from_different_places() {
    for (flags, toml) in [
        (&["--tls-cert", "new.pem"][..], "tls-key = \"key.pem\""),
        (&["--tls-key", "new.pem"], "tls-cert = \"cert.pem\""),
        (&["--client-burst", "100000"], "client-rate = 5000"),
        (&["--verify-client-url-fail-open"], "verify-client-url = \"http://v\""),
        (&["--control", "http://c"], &format!("control-key = \"{KEY}\"")),
        (&["--control-key", KEY], "control = \"http://c\""),
    ] {
        let settings = with_file(&[&["derp"], flags].concat(), toml);
        assert!(settings.is_ok(), "{flags:?} {toml}: {:?}", settings.err());
    }
    let settings = with_file(&["derp", "--tls-cert", "new.pem"], "tls-key = \"key.pem\"").unwrap();
    let tls = settings.config.tls.unwrap();
    assert_eq!((tls.certificate, tls.key), ("new.pem".into(), "key.pem".into()));
}

#[test]
fn settings_without_what_they_need_are_refused() {
    for (flags, toml, needed) in [
        (&["--tls-cert", "cert.pem"][..], "", "--tls-key"),
        (&[], "tls-key = \"key.pem\"", "--tls-cert"),
        (&["--client-burst", "100000"], "", "--client-rate"),
        (&[], "verify-client-url-fail-open = true", "--verify-client-url"),
        (&["--control-key", KEY], "", "--control"),
    ] {
        let error = with_file(&[&["derp"], flags].concat(), toml).unwrap_err();
        assert!(matches!(error, OptionsError::Settings(SettingsError::Needs(_))), "{error}");
        assert!(error.to_string().ends_with(&format!(" needs {needed}")), "{error}");
    }
}

#[test]
fn the_control_servers_key_and_the_names_of_a_proxy_are_read() {
    let toml = format!("control-key = \"{KEY}\"\npublic-host = [\"a.example\", \"b.example\"]");
    let config = with_file(&["gateway", "--control", "http://c"], &toml).unwrap().config;
    assert_eq!(config.gateway.control_key.unwrap().to_string(), KEY);
    assert_eq!(config.public_hosts.len(), 2);
    for wrong in [["--control-key", "nodekey:00"], ["--public-host", "https://a.example"]] {
        let given = ["gateway", "--control", "http://c", wrong[0], wrong[1]];
        assert!(
            matches!(read(&given), Err(OptionsError::Settings(SettingsError::Arguments(_)))),
            "{wrong:?}"
        );
    }
}

/// Every setting of before each part owned its own: the name, what stands for its value, and its heading.
const COMMON: &[(&str, &str, &str)] = &[
    ("config", "FILE", "General"),
    ("log-level", "LOG_LEVEL", "General"),
    ("log-format", "LOG_FORMAT", "General"),
    ("ready-file", "FILE", "General"),
    ("listen", "ADDRESS:PORT", "Listening"),
    ("tls-cert", "FILE", "Listening"),
    ("tls-key", "FILE", "Listening"),
    ("allow-plain-http", "", "Listening"),
    ("public-host", "HOST", "Listening"),
    ("reuse-port", "", "Listening"),
    ("metrics-listen", "ADDRESS:PORT", "Listening"),
    ("max-connections", "COUNT", "Limits"),
    ("accept-rate", "COUNT", "Limits"),
    ("drain", "SECONDS", "Limits"),
    ("control", "URL", "Gateway"),
    ("control-key", "KEY", "Gateway"),
    ("derp-upstream", "[REGION=]URL", "Gateway"),
    ("allow-origin", "ORIGIN", "Gateway"),
    ("upstream-ca", "FILE", "Gateway"),
    ("www", "DIRECTORY", "Page"),
    ("page-config", "FILE", "Page"),
    ("connect-src", "SOURCE", "Page"),
    ("frame-ancestors", "SOURCE", "Page"),
];

/// The same for `dayfly-relay derp` alone.
const RELAY: &[(&str, &str, &str)] = &[
    ("keep-alive", "SECONDS", "Relay"),
    ("key-file", "FILE", "Relay"),
    ("stun-listen", "ADDRESS:PORT", "Relay"),
    ("verify-client-url", "URL", "Relay"),
    ("verify-client-url-fail-open", "", "Relay"),
    ("client-rate", "BYTES", "Relay"),
    ("client-burst", "BYTES", "Relay"),
];

#[test]
fn each_command_has_the_recorded_settings_in_all_three_places() {
    let command = dayfly_cli::command::<Options>(PREFIX);
    for (name, recorded) in [("derp", [COMMON, RELAY].concat()), ("gateway", COMMON.to_vec())] {
        let command = command.find_subcommand(name).unwrap();
        let found = command.get_arguments().filter(|argument| argument.get_id() != "help").map(|argument| {
            let long = argument.get_long().unwrap();
            let variable = argument.get_env().unwrap().to_str().unwrap();
            assert_eq!(variable, format!("DAYFLY_{}", long.to_uppercase().replace('-', "_")));
            assert!(argument.get_help().is_some(), "{long} is not explained");
            let takes_value = argument.get_action().takes_values();
            let value = argument.get_value_names().filter(|_| takes_value).map_or("", |names| &names[0]);
            (long, value, argument.get_help_heading().unwrap())
        });
        let mut found: Vec<_> = found.collect();
        let mut recorded = recorded;
        found.sort_unstable();
        recorded.sort_unstable();
        assert_eq!(found, recorded, "{name}");
    }
    let alias = command.find_subcommand("gateway").unwrap();
    let alias = alias.get_arguments().find(|argument| argument.get_long() == Some("derp-upstream")).unwrap();
    assert_eq!(alias.get_all_aliases().unwrap(), ["derp"]);
}
