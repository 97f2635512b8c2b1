use super::*;

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
fn half_of_tls_is_none() {
    assert!(read(&["derp", "--tls-cert", "cert.pem"]).is_err());
}
