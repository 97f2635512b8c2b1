//! What is answered by plain HTTP.

use std::fs;
use std::path::Path;

use dayfly_relay::config::{Config, DerpConfig, GatewayConfig, PageConfig, RelayRegion};
use tempfile::TempDir;

use super::running::{Running, body, get, header, request, status};

#[tokio::test]
async fn probes_are_for_every_page() {
    let relay = Running::relay();
    for path in ["/derp/probe", "/derp/latency-check"] {
        let answer = get(relay.http, path, "Origin: https://any.example\r\n").await;
        assert_eq!((status(&answer), body(&answer)), (200, ""));
        assert_eq!(header(&answer, "access-control-allow-origin"), Some("*"));
        let head = request(
            relay.http,
            &format!("HEAD {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
        )
        .await;
        assert_eq!(status(&head), 200);
        let post = request(
            relay.http,
            &format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
        )
        .await;
        assert_eq!((status(&post), header(&post, "allow")), (405, Some("GET, HEAD")));
    }
}

#[tokio::test]
async fn a_captive_portal_can_be_told_from_this_server() {
    let relay = Running::relay();
    let answer = get(relay.http, "/generate_204", "X-Tailscale-Challenge: ts_relay\r\n").await;
    assert_eq!(status(&answer), 204);
    assert_eq!(header(&answer, "x-tailscale-response"), Some("response ts_relay"));
    assert!(header(&answer, "cache-control").unwrap().contains("no-store"));
}

#[tokio::test]
async fn what_is_not_served_is_not_found() {
    let relay = Running::relay();
    for path in ["/bootstrap-dns?q=a.example", "/key?v=130", "/gateway/derp/1", "/metrics", "/config.json"] {
        assert_eq!(status(&get(relay.http, path, "").await), 404, "{path}");
    }
    assert_eq!(status(&get(relay.http, "/healthz", "").await), 200);
    assert_eq!(body(&get(relay.http, "/robots.txt", "").await), "User-agent: *\nDisallow: /\n");
}

#[tokio::test]
async fn metrics_are_for_this_machine_by_its_own_name() {
    let relay = Running::relay();
    let answer = get(relay.metrics.unwrap(), "/metrics", "").await;
    assert_eq!(header(&answer, "content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(body(&answer).contains("# TYPE dayfly_derp_clients gauge\ndayfly_derp_clients 0\n"));
    let rebound = request(
        relay.metrics.unwrap(),
        "GET /metrics HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
    );
    assert_eq!(status(&rebound.await), 421);
}

/// Every sample of a process that has just started, as dashboards know them; gauges first.
const SAMPLES: &[&str] = &[
    "connections",
    "derp_clients",
    "gateway_connections",
    "connections_total",
    "connections_refused_total",
    "tls_failed_total",
    "http_requests_total",
    "derp_clients_total",
    "derp_duplicates_total",
    "derp_duplicate_switches_total",
    "derp_received_bytes_total",
    "derp_sent_bytes_total",
    "derp_packets_received_total",
    "derp_packets_relayed_total",
    "derp_reads_delayed_total",
    "stun_answered_total",
    "stun_ignored_total",
    "gateway_connections_total",
    "gateway_failed_total",
    "gateway_forbidden_total",
    "derp_reject_total{reason=\"timeout\"}",
    "derp_reject_total{reason=\"closed\"}",
    "derp_reject_total{reason=\"protocol\"}",
    "derp_reject_total{reason=\"greeting\"}",
    "derp_reject_total{reason=\"not_allowed\"}",
    "derp_reject_total{reason=\"verifier_failed\"}",
    "derp_disconnect_total{reason=\"left\"}",
    "derp_disconnect_total{reason=\"duplicate\"}",
    "derp_disconnect_total{reason=\"io\"}",
    "derp_disconnect_total{reason=\"protocol\"}",
    "derp_disconnect_total{reason=\"write_timeout\"}",
    "derp_disconnect_total{reason=\"shutdown\"}",
    "derp_drop_total{reason=\"not_here\"}",
    "derp_drop_total{reason=\"queue_full\"}",
    "derp_drop_total{reason=\"disco_queue_full\"}",
    "derp_peer_gone_total{reason=\"disconnected\"}",
    "derp_peer_gone_total{reason=\"not_here\"}",
];

#[tokio::test]
async fn metrics_have_the_recorded_names_types_and_labels() {
    let relay = Running::start(Config::default());
    let answer = get(relay.metrics.unwrap(), "/metrics", "").await;
    let (mut types, mut samples) = (Vec::new(), Vec::new());
    for line in body(&answer).lines() {
        if let Some(of) = line.strip_prefix("# TYPE dayfly_") {
            types.push(of);
        } else if !line.starts_with("# HELP dayfly_") {
            samples.push(line.strip_prefix("dayfly_").unwrap().strip_suffix(" 0").unwrap());
        }
    }
    let name = |sample: &'static str| sample.split('{').next().unwrap();
    let kind = |name: &str| if name.ends_with("_total") { "counter" } else { "gauge" };
    let mut recorded: Vec<_> =
        SAMPLES.iter().map(|sample| format!("{0} {1}", name(sample), kind(name(sample)))).collect();
    recorded.sort_unstable();
    recorded.dedup();
    types.sort_unstable();
    assert_eq!(types, recorded);
    let mut recorded = SAMPLES.to_vec();
    recorded.sort_unstable();
    samples.sort_unstable();
    assert_eq!(samples, recorded);
}

#[tokio::test]
async fn heads_that_are_too_long_are_refused() {
    let relay = Running::relay();
    let long = format!("X-Long: {}\r\n", "a".repeat(20_000));
    assert_eq!(status(&get(relay.http, "/healthz", &long).await), 431);
    let many = "X-Many: 1\r\n".repeat(100);
    assert_eq!(status(&get(relay.http, "/healthz", &many).await), 431);
}

#[tokio::test]
async fn a_site_whose_name_points_here_gets_nothing() {
    let directory = page();
    let start = |public_hosts: &[&str]| {
        Running::start(Config {
            derp: Some(DerpConfig::default()),
            gateway: GatewayConfig {
                control: Some("http://127.0.0.1:1".parse().unwrap()),
                relays: vec![(
                    RelayRegion::One(900_u32.try_into().unwrap()),
                    "http://127.0.0.1:1".parse().unwrap(),
                )],
                allow_origins: vec!["https://page.example".parse().unwrap()],
                ..GatewayConfig::default()
            },
            page: PageConfig { www: Some(directory.path().to_owned()), ..PageConfig::default() },
            public_hosts: public_hosts.iter().map(|name| name.parse().unwrap()).collect(),
            ..Config::default()
        })
    };
    let ask = async |relay: &Running, host: &str, path: &str| {
        let head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
        status(&request(relay.http, &format!("{head}Origin: http://{host}\r\n\r\n")).await)
    };
    let (relay, public) = (start(&[]), start(&["relay.example"]));
    let port = relay.http.port();
    let evil = format!("evil.example:{port}");
    for path in ["/", "/config.json", "/key?v=130", "/ts2021", "/gateway/derp/900", "/derp"] {
        assert_eq!(ask(&relay, &evil, path).await, 421, "{path}");
        assert_eq!(ask(&public, &evil, path).await, 421, "{path}");
        assert_ne!(ask(&relay, &format!("localhost:{port}"), path).await, 421, "{path}");
        assert_ne!(ask(&relay, "page.example", path).await, 421, "{path}");
        assert_ne!(ask(&public, "relay.example", path).await, 421, "{path}");
    }
    let nameless = request(relay.http, "GET / HTTP/1.1\r\nConnection: close\r\n\r\n").await;
    assert_eq!(status(&nameless), 421);
}

fn page() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("index.html"), "<!doctype html><title>Dayfly</title>").unwrap();
    fs::write(directory.path().join("app-0123456789abcdef_bg.wasm"), b"\0asm").unwrap();
    directory
}

fn serving(www: &Path, control: Option<&str>, config: Option<&Path>) -> Running {
    let control = control.map(|url| url.parse().unwrap());
    serving_gateway(www, GatewayConfig { control, ..GatewayConfig::default() }, config)
}

fn serving_gateway(www: &Path, gateway: GatewayConfig, config: Option<&Path>) -> Running {
    Running::start(Config {
        derp: Some(DerpConfig::default()),
        gateway,
        page: PageConfig {
            www: Some(www.to_owned()),
            config: config.map(Path::to_owned),
            ..PageConfig::default()
        },
        ..Config::default()
    })
}

#[tokio::test]
async fn the_page_is_served_with_its_headers() {
    let directory = page();
    let relay = serving(directory.path(), None, None);
    let answer = get(relay.http, "/", "").await;
    assert_eq!((status(&answer), body(&answer)), (200, "<!doctype html><title>Dayfly</title>"));
    assert_eq!(header(&answer, "content-type"), Some("text/html; charset=utf-8"));
    assert!(header(&answer, "content-security-policy").unwrap().ends_with("; frame-ancestors 'none'"));
    let head = "HEAD /app-0123456789abcdef_bg.wasm HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let wasm = request(relay.http, head).await;
    assert_eq!(
        (header(&wasm, "content-type"), header(&wasm, "content-length")),
        (Some("application/wasm"), Some("4"))
    );
    assert_eq!(header(&wasm, "cache-control"), Some("public, max-age=31536000, immutable"));
    assert_eq!(body(&wasm), "");
    let raw = "GET /../Cargo.toml HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(status(&request(relay.http, raw).await), 404);
}

#[tokio::test]
async fn a_page_beside_a_gateway_finds_its_control_server_here() {
    let directory = page();
    let control = Some("http://127.0.0.1:1");
    let relay = serving(directory.path(), control, None);
    let answer = get(relay.http, "/config.json", "").await;
    assert_eq!(body(&answer), r#"{"controlUrl":"/"}"#);
    assert_eq!(header(&answer, "content-type"), Some("application/json"));
    assert_eq!(header(&answer, "cache-control"), Some("no-cache"));

    let key = format!("mkey:{}", "1a".repeat(32));
    let pinning = GatewayConfig {
        control: control.map(|url| url.parse().unwrap()),
        control_key: Some(key.parse().unwrap()),
        ..GatewayConfig::default()
    };
    let relay = serving_gateway(directory.path(), pinning, None);
    let pinned = format!(r#"{{"controlUrl":"/","controlKey":"{key}"}}"#);
    assert_eq!(body(&get(relay.http, "/config.json", "").await), pinned);

    let own = directory.path().join("config.json");
    fs::write(&own, r#"{"host":"box"}"#).unwrap();
    let relay = serving(directory.path(), control, None);
    assert_eq!(body(&get(relay.http, "/config.json", "").await), r#"{"host":"box"}"#);

    let elsewhere = tempfile::tempdir().unwrap();
    let other = elsewhere.path().join("settings");
    fs::write(&other, r#"{"user":"ada"}"#).unwrap();
    let relay = serving(directory.path(), control, Some(&other));
    assert_eq!(body(&get(relay.http, "/config.json", "").await), r#"{"user":"ada"}"#);
}

#[tokio::test]
async fn the_page_is_read_again_when_asked_to_and_kept_when_it_is_gone() {
    let directory = page();
    let relay = serving(directory.path(), None, None);
    let index = directory.path().join("index.html");
    fs::write(&index, "new").unwrap();
    assert_ne!(body(&get(relay.http, "/", "").await), "new");
    relay.reloader.reload();
    assert_eq!(body(&get(relay.http, "/", "").await), "new");
    fs::remove_file(&index).unwrap();
    relay.reloader.reload();
    assert_eq!(body(&get(relay.http, "/", "").await), "new");
}
