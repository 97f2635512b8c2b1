//! A real Headscale: the control server that the tests' nodes join.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::lab::Lab;
use crate::process::{Process, run_to_end};
use crate::tools;
use crate::wait::{READY, free_port, until, until_listening};

/// The user that owns the nodes of every test.
pub const USER: &str = "ada";

/// The tag of machines that offer a shell, and the tag of browsers that join with a tagged key.
pub const SERVER_TAG: &str = "tag:server";
/// The tag of browsers' nodes, beside [`SERVER_TAG`].
pub const BROWSER_TAG: &str = "tag:browser";

/// Everybody of the tailnet may reach everything, and shells on one's own machines and on tagged ones, as root
/// or as any other user.
pub const OPEN_POLICY: &str = r#"{
  "tagOwners": { "tag:server": ["ada@"], "tag:browser": ["ada@"] },
  "acls": [{ "action": "accept", "src": ["*"], "dst": ["*:*"] }],
  "ssh": [
    { "action": "accept", "src": ["autogroup:member"], "dst": ["autogroup:self"], "users": ["root", "autogroup:nonroot"] },
    { "action": "accept", "src": ["autogroup:member", "tag:browser"], "dst": ["tag:server"], "users": ["root", "autogroup:nonroot"] }
  ]
}"#;

/// As [`OPEN_POLICY`], without any right to a shell.
pub const NO_SSH_POLICY: &str = r#"{
  "tagOwners": { "tag:server": ["ada@"], "tag:browser": ["ada@"] },
  "acls": [{ "action": "accept", "src": ["*"], "dst": ["*:*"] }],
  "ssh": []
}"#;

/// The region of the relay inside Headscale ([`HeadscaleOptions::embedded_derp`]).
pub const EMBEDDED_REGION: u16 = 999;

/// One relay region of the DERP map that Headscale hands out.
#[derive(Debug, Clone)]
pub struct Region {
    /// The region's number, 1 to 65535.
    pub id: u16,
    /// The TCP port of its one node on 127.0.0.1.
    pub derp_port: u16,
    /// The UDP port of its STUN server; `None` when it has none.
    pub stun_port: Option<u16>,
}

/// Options that a Headscale is started with.
#[derive(Debug, Clone)]
pub struct HeadscaleOptions {
    /// The relays that it names to its nodes.
    pub regions: Vec<Region>,
    /// Run Headscale's own relay too, as [`EMBEDDED_REGION`], with STUN.
    pub embedded_derp: bool,
    /// Serve HTTPS with a certificate of the lab's instead of plain HTTP.
    pub tls: bool,
    /// The policy file (HuJSON).
    pub policy: String,
    /// Time that an ephemeral node may be away before it is removed. Long, so that a test which sees a node
    /// removed has seen it log out.
    pub ephemeral_timeout: &'static str,
}

impl HeadscaleOptions {
    /// One relay, and the open policy.
    #[must_use]
    pub fn with_region(region: Region) -> Self {
        Self { regions: vec![region], ..Self::default() }
    }
}

impl Default for HeadscaleOptions {
    fn default() -> Self {
        Self {
            regions: Vec::new(),
            embedded_derp: false,
            tls: false,
            policy: OPEN_POLICY.to_owned(),
            ephemeral_timeout: "30m",
        }
    }
}

/// Properties of an auth key.
#[derive(Debug, Clone, Default)]
pub struct KeyOptions<'a> {
    /// The node is removed when it logs out or stays away.
    pub ephemeral: bool,
    /// The key can be used more than once.
    pub reusable: bool,
    /// For how long, in Go's notation (`"1h"`, `"1s"`); one hour when `None`.
    pub expiration: Option<&'a str>,
    /// Tags that the node gets; without any it belongs to [`USER`].
    pub tags: &'a [&'a str],
}

/// A node as Headscale lists it.
#[derive(Debug, Clone)]
pub struct NodeInfo {
    /// Headscale's number for it.
    pub id: String,
    /// The name that it is known by.
    pub name: String,
    /// State of its map stream: `true` while it is open.
    pub online: bool,
    /// Its addresses in the tailnet.
    pub addresses: Vec<String>,
    /// All that Headscale says of it.
    pub json: Value,
}

/// A running Headscale with one user.
#[derive(Debug)]
pub struct Headscale {
    process: Process,
    dir: PathBuf,
    url: String,
    address: SocketAddr,
    certificate: Option<PathBuf>,
    user: String,
}

impl Headscale {
    /// Start Headscale and make its user.
    pub fn start(lab: &Lab, options: &HeadscaleOptions) -> Result<Self> {
        let dir = lab.peer_dir("headscale")?;
        let port = free_port()?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let scheme = if options.tls { "https" } else { "http" };
        let url = format!("{scheme}://127.0.0.1:{port}");
        let tls = options.tls.then(|| lab.certificate()).transpose()?;

        fs::write(dir.join("policy.json"), &options.policy)?;
        // Headscale takes relays from files or addresses, and refuses to start with none at all.
        fs::write(dir.join("derp.yaml"), derp_map(&options.regions))?;
        let settings = Settings { port, url: &url, tls: tls.as_ref(), options };
        fs::write(dir.join("config.yaml"), settings.yaml(&dir)?)?;
        fs::set_permissions(dir.join("config.yaml"), fs::Permissions::from_mode(0o600))?;

        let process = lab.spawn("headscale", serve(&dir)?)?;
        let certificate = tls.map(|(certificate, _)| certificate);
        let mut headscale = Self { process, dir, url, address, certificate, user: String::new() };
        headscale.until_ready()?;
        headscale.user = headscale.create_user(USER)?;
        Ok(headscale)
    }

    /// The address for `--login-server`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the address that it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its certificate (PEM), when it serves HTTPS.
    #[must_use]
    pub fn certificate(&self) -> Option<&PathBuf> {
        self.certificate.as_ref()
    }

    /// The running server process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Make a user; returns its number.
    pub fn create_user(&self, name: &str) -> Result<String> {
        let user = self.cli(&["users", "create", name])?;
        text(&user["id"]).with_context(|| format!("no id in {user}"))
    }

    /// Makes a fresh auth key.
    pub fn preauth_key(&self, options: &KeyOptions<'_>) -> Result<String> {
        Ok(self.preauth_key_with_id(options)?.1)
    }

    /// A fresh auth key for one ephemeral node of [`USER`]: what a browser joins with.
    pub fn ephemeral_key(&self) -> Result<String> {
        self.preauth_key(&KeyOptions { ephemeral: true, ..KeyOptions::default() })
    }

    /// A fresh auth key and its number, which [`Headscale::expire_key`] takes.
    pub fn preauth_key_with_id(&self, options: &KeyOptions<'_>) -> Result<(String, String)> {
        let tags = options.tags.join(",");
        let mut arguments = vec!["preauthkeys", "create", "--expiration", options.expiration.unwrap_or("1h")];
        if options.tags.is_empty() {
            arguments.extend(["--user", &self.user]);
        } else {
            arguments.extend(["--tags", &tags]);
        }
        if options.ephemeral {
            arguments.push("--ephemeral");
        }
        if options.reusable {
            arguments.push("--reusable");
        }
        let key = self.cli(&arguments)?;
        match (text(&key["id"]), key["key"].as_str()) {
            (Some(id), Some(key)) => Ok((id, key.to_owned())),
            _ => bail!("no key in {key}"),
        }
    }

    /// Make a key unusable from now on, by its number.
    pub fn expire_key(&self, id: &str) -> Result<()> {
        self.cli(&["preauthkeys", "expire", "--id", id]).map(drop)
    }

    /// Lists all its nodes.
    pub fn nodes(&self) -> Result<Vec<NodeInfo>> {
        let nodes = self.cli(&["nodes", "list"])?;
        Ok(nodes.as_array().map(Vec::as_slice).unwrap_or_default().iter().map(NodeInfo::new).collect())
    }

    /// The node called `name`, when there is one.
    pub fn node(&self, name: &str) -> Result<Option<NodeInfo>> {
        Ok(self.nodes()?.into_iter().find(|node| node.name == name))
    }

    /// Wait until Headscale lists a node called `name` as online.
    pub fn until_online(&self, name: &str, limit: Duration) -> Result<NodeInfo> {
        until(&format!("node {name} online at Headscale"), limit, || {
            self.node(name).ok().flatten().filter(|node| node.online)
        })
    }

    /// Wait until Headscale has no node called `name` any more; how long that took.
    pub fn until_removed(&self, name: &str, limit: Duration) -> Result<Duration> {
        let start = std::time::Instant::now();
        until(&format!("node {name} removed from Headscale"), limit, || {
            matches!(self.node(name), Ok(None)).then_some(())
        })?;
        Ok(start.elapsed())
    }

    /// Remove a node, as an administrator does.
    pub fn delete_node(&self, id: &str) -> Result<()> {
        self.cli(&["nodes", "delete", "--identifier", id]).map(drop)
    }

    /// Make a node's key expire now.
    pub fn expire_node(&self, id: &str) -> Result<()> {
        self.cli(&["nodes", "expire", "--identifier", id]).map(drop)
    }

    /// Accept the login that a node's login URL (its last path segment is `id`) asks for.
    pub fn approve_login(&self, id: &str) -> Result<()> {
        self.cli(&["auth", "register", "--auth-id", id, "--user", USER]).map(drop)
    }

    /// Replaces the policy of a running Headscale, which notifies all nodes.
    pub fn set_policy(&self, policy: &str) -> Result<()> {
        fs::write(self.dir.join("policy.json"), policy)?;
        let mark = self.process.mark();
        self.process.signal(rustix::process::Signal::HUP)?;
        self.process.line_after(mark, "ACL policy", READY).map(drop)
    }

    /// Kill it (SIGKILL), as a server that crashes.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Start it again on the same port with the same data, killing it first when it still runs.
    pub fn restart(&mut self, lab: &Lab) -> Result<()> {
        self.process.kill();
        self.process = lab.spawn("headscale", serve(&self.dir)?)?;
        self.until_ready()
    }

    fn until_ready(&mut self) -> Result<()> {
        until_listening(self.address, READY).or_else(|late| self.process.still_running().and(Err(late)))?;
        until("Headscale's command socket", READY, || self.cli(&["users", "list"]).ok()).map(drop)
    }

    /// Run Headscale's own command line against this server; what it answers as JSON.
    pub fn cli(&self, arguments: &[&str]) -> Result<Value> {
        let mut command = Command::new(tools::program("headscale")?);
        command.args(["--config".as_ref(), self.dir.join("config.yaml").as_os_str()]);
        command.args(["--output", "json", "--force"]).args(arguments).current_dir(&self.dir);
        let output = run_to_end(command)?;
        if output.trim().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&output).with_context(|| format!("headscale {arguments:?} answered {output}"))
    }
}

impl NodeInfo {
    fn new(json: &Value) -> Self {
        let addresses = json["ip_addresses"].as_array().into_iter().flatten();
        Self {
            id: text(&json["id"]).unwrap_or_default(),
            name: json["given_name"].as_str().unwrap_or_default().to_owned(),
            online: json["online"].as_bool().unwrap_or_default(),
            addresses: addresses.filter_map(|a| a.as_str().map(str::to_owned)).collect(),
            json: json.clone(),
        }
    }
}

/// Numbers are printed as numbers or as strings, as protobuf's JSON form has it.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn serve(dir: &std::path::Path) -> Result<Command> {
    let mut command = Command::new(tools::program("headscale")?);
    command.args(["--config".as_ref(), dir.join("config.yaml").as_os_str()]).arg("serve").current_dir(dir);
    Ok(command)
}

fn derp_map(regions: &[Region]) -> String {
    use std::fmt::Write as _;
    let mut yaml = String::from("regions:\n");
    for Region { id, derp_port, stun_port } in regions {
        let stun = stun_port.map_or(-1, i32::from);
        let _ = write!(
            yaml,
            "  {id}:\n    regionid: {id}\n    regioncode: lab{id}\n    regionname: Lab {id}\n    nodes:\n      \
             - name: {id}a\n        regionid: {id}\n        hostname: 127.0.0.1\n        ipv4: 127.0.0.1\n        \
             derpport: {derp_port}\n        stunport: {stun}\n        insecurefortests: true\n"
        );
    }
    yaml
}

struct Settings<'a> {
    port: u16,
    url: &'a str,
    tls: Option<&'a (PathBuf, PathBuf)>,
    options: &'a HeadscaleOptions,
}

impl Settings<'_> {
    fn yaml(&self, dir: &std::path::Path) -> Result<String> {
        let Self { port, url, tls, options } = self;
        let dir = dir.display();
        let (certificate, key) = match tls {
            Some((certificate, key)) => (certificate.display().to_string(), key.display().to_string()),
            None => Default::default(),
        };
        let paths = if options.regions.is_empty() { String::new() } else { format!("\"{dir}/derp.yaml\"") };
        let embedded = options.embedded_derp;
        let (metrics, grpc, stun) = (free_port()?, free_port()?, free_port()?);
        let timeout = options.ephemeral_timeout;
        Ok(format!(
            r#"server_url: "{url}"
listen_addr: 127.0.0.1:{port}
metrics_listen_addr: 127.0.0.1:{metrics}
grpc_listen_addr: 127.0.0.1:{grpc}
grpc_allow_insecure: true
tls_cert_path: "{certificate}"
tls_key_path: "{key}"
noise: {{ private_key_path: "{dir}/noise.key" }}
prefixes: {{ v4: 100.64.0.0/10, v6: "fd7a:115c:a1e0::/48", allocation: sequential }}
derp:
  server:
    enabled: {embedded}
    region_id: {EMBEDDED_REGION}
    region_code: headscale
    region_name: Headscale embedded
    verify_clients: true
    stun_listen_addr: "127.0.0.1:{stun}"
    private_key_path: "{dir}/derp.key"
    automatically_add_embedded_derp_region: true
    ipv4: 127.0.0.1
    ipv6: ""
  urls: []
  paths: [{paths}]
  auto_update_enabled: false
disable_check_updates: true
node: {{ expiry: 0, ephemeral: {{ inactivity_timeout: {timeout} }} }}
database: {{ type: sqlite, sqlite: {{ path: "{dir}/db.sqlite", write_ahead_log: true }} }}
log: {{ level: debug, format: text }}
policy: {{ mode: file, path: "{dir}/policy.json" }}
dns:
  magic_dns: true
  base_domain: tail.test
  override_local_dns: false
  nameservers: {{ global: [] }}
unix_socket: "{dir}/headscale.sock"
unix_socket_permission: "0700"
logtail: {{ enabled: false }}
"#
        ))
    }
}
