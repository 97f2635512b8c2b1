use super::*;

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
    assert_eq!(config.gateway.relays[0].0, 900);
}

#[test]
fn a_gateway_leads_somewhere() {
    assert!(matches!(read(&["gateway"]), Err(OptionsError::Nowhere)));
    let config = read(&["gateway", "--derp", "https://relay.example"]).unwrap().config;
    assert!(config.derp.is_none());
    assert_eq!(config.gateway.relays[0].0, 0);
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
fn the_key_is_made_once_and_for_its_owner() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    let first = read_key(&path).unwrap();
    assert_eq!(read_key(&path).unwrap().as_bytes(), first.as_bytes());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    fs::write(&path, "something else").unwrap();
    assert!(matches!(read_key(&path), Err(OptionsError::Key { .. })));
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
        assert!(matches!(error, OptionsError::Needs(..)), "{error}");
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
        assert!(matches!(read(&given), Err(OptionsError::Arguments(_))), "{wrong:?}");
    }
}
