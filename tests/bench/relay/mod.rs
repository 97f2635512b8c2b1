//! Our relay beside Tailscale's own, `derper`: what it costs them to forward packets and to have clients that are idle,
//! with the same load on both.
//!
//! Processor time and memory are the kernel's figures of the relays' processes; what the load itself costs is not in
//! them. Each figure comes from a fresh process.

mod load;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use dayfly_tests::process::Process;
use dayfly_tests::wait::{READY, free_port, until_listening};
use dayfly_tests::{Derper, Lab};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use self::load::{Client, FORWARDED, Load};
use crate::idle::until_idle;
use crate::table::{Row, Unit};

/// The titles of the table's columns.
pub(crate) const TITLES: [&str; 2] = ["derper", "dayfly-relay"];

/// Clients that are idle at once.
const IDLE_CLIENTS: usize = 1000;
/// For how long they are: a relay writes to each once in it (every 60 to 65 s).
const IDLE: Duration = Duration::from_secs(65);
/// The kernel's ticks in a second (`USER_HZ`).
const TICKS: f64 = 100.0;

/// Measurements of one relay in one round.
#[derive(Debug, Clone, Copy, Default)]
struct Sample {
    /// Seconds of processor time for each gigabyte (10^9 bytes of packets) that arrived.
    forward: f64,
    /// The most memory that was resident meanwhile, in bytes.
    forward_memory: f64,
    /// Seconds of processor time to admit [`IDLE_CLIENTS`].
    connect: f64,
    /// Milliseconds of processor time for them in [`IDLE`].
    idle: f64,
    /// Bytes that more are resident with them.
    idle_memory: f64,
}

/// A relay that is under load.
enum Server {
    Derper(Derper),
    Dayfly { process: Process, port: u16 },
}

/// A relay with its idle clients.
struct Crowd {
    server: Server,
    clients: Vec<Client>,
    sample: Sample,
    /// Memory that was resident before they came, in bytes.
    memory: f64,
    /// Processor time until the last one had come, in seconds.
    computed: f64,
}

/// Measure both relays `rounds` times, with and without TLS.
pub(crate) fn rows(rounds: u32) -> Result<Vec<Row>> {
    raise_file_limit()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut samples = [[Vec::new(), Vec::new()], [Vec::new(), Vec::new()]];
    for round in 1..=rounds {
        let lab = Lab::new("bench-relay")?;
        eprintln!("round {round} of {rounds}: packets");
        let mut forwarded = Vec::new();
        for (tls, ours) in ways() {
            let server = Server::start(&lab, tls, ours)?;
            until_idle();
            let (before, load) = (server.computed()?, Load::new(server.port(), tls)?);
            runtime.block_on(load.forward())?;
            let forward = (server.computed()? - before) * 1e9 / FORWARDED as f64;
            let forward_memory = server.memory("VmHWM:")?;
            forwarded.push(Sample { forward, forward_memory, ..Sample::default() });
        }
        eprintln!("round {round} of {rounds}: idle clients");
        let mut crowds = Vec::new();
        for ((tls, ours), sample) in ways().into_iter().zip(forwarded) {
            let server = Server::start(&lab, tls, ours)?;
            until_idle();
            crowds.push(Crowd::come(&runtime, server, tls, sample)?);
        }
        let idle_since = Instant::now();
        while let Some(left) = IDLE.checked_sub(idle_since.elapsed()) {
            std::thread::park_timeout(left);
        }
        for ((tls, ours), crowd) in ways().into_iter().zip(crowds) {
            samples[usize::from(tls)][usize::from(ours)].push(crowd.measure()?);
        }
    }
    let [plain, tls] = samples;
    Ok([("TLS", tls), ("plain", plain)].iter().flat_map(|(how, samples)| of(how, samples)).collect())
}

/// Without and with TLS, theirs and ours.
const fn ways() -> [(bool, bool); 4] {
    [(false, false), (false, true), (true, false), (true, true)]
}

fn of(how: &str, samples: &[Vec<Sample>; 2]) -> Vec<Row> {
    let clients = format!("{IDLE_CLIENTS} idle clients");
    let row = |what: &str, unit, value: fn(&Sample) -> f64| {
        let samples = samples.iter().map(|samples| samples.iter().map(value).collect()).collect();
        Row::new(&format!("{what}, {how}"), unit, samples, None)
    };
    vec![
        row("processor time for a forwarded GB", Unit::Seconds, |sample| sample.forward),
        row("memory while forwarding", Unit::Bytes, |sample| sample.forward_memory),
        row(&format!("processor time to admit {clients}"), Unit::Seconds, |sample| sample.connect),
        row(&format!("processor time of {clients} in 65 s"), Unit::Milliseconds, |sample| sample.idle),
        row(&format!("memory of {clients}"), Unit::Bytes, |sample| sample.idle_memory),
    ]
}

impl Crowd {
    fn come(
        runtime: &tokio::runtime::Runtime,
        server: Server,
        tls: bool,
        mut sample: Sample,
    ) -> Result<Self> {
        let (memory, before) = (server.memory("VmRSS:")?, server.computed()?);
        let clients = runtime.block_on(Load::new(server.port(), tls)?.connect(IDLE_CLIENTS))?;
        // What the last one's handshake and the garbage of all leads to is still part of admitting them.
        until_idle();
        let computed = server.computed()?;
        sample.connect = computed - before;
        Ok(Self { server, clients, sample, memory, computed })
    }

    fn measure(self) -> Result<Sample> {
        let Self { server, clients, sample, memory, computed } = self;
        let idle = (server.computed()? - computed) * 1e3;
        let idle_memory = server.memory("VmRSS:")? - memory;
        drop(clients);
        Ok(Sample { idle, idle_memory, ..sample })
    }
}

impl Server {
    fn start(lab: &Lab, tls: bool, ours: bool) -> Result<Self> {
        if !ours {
            return Ok(Self::Derper(Derper::start(lab, 900, tls)?));
        }
        let program = std::env::var_os("DAYFLY_RELAY").map(PathBuf::from);
        let mut command = Command::new(program.context("DAYFLY_RELAY does not tell where our relay is")?);
        let port = free_port()?;
        command.args(["derp", "--listen", &format!("127.0.0.1:{port}")]);
        if tls {
            let (certificate, key) = lab.certificate()?;
            command.arg("--tls-cert").arg(certificate).arg("--tls-key").arg(key);
        }
        let mut process = lab.spawn("dayfly-relay", command)?;
        until_listening(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), READY)
            .or_else(|late| process.still_running().and(Err(late)))?;
        Ok(Self::Dayfly { process, port })
    }

    fn port(&self) -> u16 {
        match self {
            Self::Derper(derper) => derper.region().derp_port,
            Self::Dayfly { port, .. } => *port,
        }
    }

    fn file(&self, name: &str) -> Result<String> {
        let id = match self {
            Self::Derper(derper) => derper.id(),
            Self::Dayfly { process, .. } => process.id(),
        };
        let path = format!("/proc/{id}/{name}");
        fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
    }

    /// Returns the seconds that its threads have computed, in the kernel too.
    fn computed(&self) -> Result<f64> {
        let stat = self.file("stat")?;
        // The name before may have spaces.
        let (_, fields) = stat.rsplit_once(')').context("no name in it")?;
        let times: Vec<f64> =
            fields.split_whitespace().skip(11).take(2).filter_map(|time| time.parse().ok()).collect();
        Ok(times.iter().sum::<f64>() / TICKS)
    }

    /// Returns the bytes that are resident, now (`VmRSS:`) or at most since its start (`VmHWM:`).
    fn memory(&self, what: &str) -> Result<f64> {
        let status = self.file("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix(what)).context("no memory in it")?;
        let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib * 1024.0)
    }
}

/// Each client is an open file here, and the usual limit is 1,024.
fn raise_file_limit() -> Result<()> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).context("too few files may be open")
}
