//! A real OpenSSH server on loopback, and a person who has keys.

#![allow(dead_code, reason = "each test file uses a part")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a fixture that fails fails its test"
)]

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dayfly_platform::BoxFuture;
use dayfly_ssh::{
    HostKey, HostKeyAnswer, Interaction, KeyboardInteractive, Options, PasswordRequest, PrivateKey,
    PrivateKeyRequest, Secret, Session, ShellEvent, ShellReader,
};
use tokio::net::{TcpListener, TcpStream};

/// Longest wait for anything in a test: far beyond what a slow machine needs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// An `sshd` with keys and configuration of its own. Each connection gets its own process, by inetd mode (`sshd -i`).
pub(crate) struct Sshd {
    pub(crate) dir: PathBuf,
    program: PathBuf,
    /// Its process groups, one for each connection.
    groups: Mutex<Vec<u32>>,
}

impl Sshd {
    pub(crate) fn new() -> Self {
        Self::with("")
    }

    /// With further lines of configuration.
    pub(crate) fn with(config: &str) -> Self {
        let program = [
            "/usr/sbin/sshd",
            "/usr/local/sbin/sshd",
            "/usr/lib/ssh/sshd",
            "/run/current-system/sw/bin/sshd",
        ]
        .iter()
        .map(PathBuf::from)
        .find(|path| path.exists())
        .expect("these tests need OpenSSH's server: install it (Debian: apt install openssh-server)");
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("dayfly-sshd-{}-{count}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        if user() == "root" {
            // sshd, started by root, wants its empty directory, which its service unit makes otherwise.
            let _ = fs::create_dir("/run/sshd");
        }
        keygen(&dir.join("host_ed25519"), "ed25519", "");
        keygen(&dir.join("host_ecdsa"), "ecdsa", "");
        keygen(&dir.join("user"), "ed25519", "");
        keygen(&dir.join("locked"), "ed25519", "open sesame");
        keygen(&dir.join("stranger"), "ecdsa", "");
        let keys = ["user.pub", "locked.pub"].map(|name| fs::read_to_string(dir.join(name)).unwrap());
        fs::write(dir.join("authorized_keys"), keys.concat()).unwrap();
        let path = dir.display();
        fs::write(
            dir.join("config"),
            format!(
                "{config}\nHostKey {path}/host_ed25519\nHostKey {path}/host_ecdsa\nAuthorizedKeysFile {path}/authorized_keys\n\
                 StrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\n\
                 KbdInteractiveAuthentication no\nPidFile none\nLogLevel VERBOSE\n"
            ),
        )
        .unwrap();
        Self { dir, program, groups: Mutex::default() }
    }

    /// A connection to a new process of the server.
    pub(crate) async fn dial(&self) -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (client, accepted) =
            tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        let server = accepted.unwrap().0.into_std().unwrap();
        server.set_nonblocking(false).unwrap();
        let output: OwnedFd = server.try_clone().unwrap().into();
        let mut child = Command::new(&self.program)
            .args(["-i", "-f"])
            .arg(self.dir.join("config"))
            .arg("-E")
            .arg(self.dir.join("log"))
            .stdin(Stdio::from(OwnedFd::from(server)))
            .stdout(Stdio::from(output))
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        self.groups.lock().unwrap().push(child.id());
        std::thread::spawn(move || child.wait());
        let client = client.unwrap();
        client.set_nodelay(true).unwrap();
        client
    }

    /// Kills all of it, as a machine does that loses its power.
    pub(crate) fn kill(&self) {
        for group in self.groups.lock().unwrap().drain(..) {
            let mut kill = Command::new("kill");
            assert!(kill.args(["-KILL", "--", &format!("-{group}")]).status().unwrap().success());
        }
    }

    pub(crate) fn host_key(&self, kind: &str) -> String {
        fs::read_to_string(self.dir.join(format!("host_{kind}.pub"))).unwrap()
    }

    pub(crate) fn options(&self) -> Options {
        let mut options = Options::new(user(), "sshd.example");
        options.known_host_keys = vec![self.host_key("ed25519"), self.host_key("ecdsa")];
        options
    }

    /// The user's private key.
    pub(crate) fn key(&self, name: &str, passphrase: Option<&str>) -> PrivateKey {
        PrivateKey {
            pem: fs::read_to_string(self.dir.join(name)).unwrap().into(),
            passphrase: passphrase.map(|passphrase| passphrase.to_owned().into()),
        }
    }

    /// A person who has the right key.
    pub(crate) fn person(&self) -> Person {
        Person { keys: vec![self.key("user", None)], ..Person::default() }
    }

    pub(crate) async fn session(&self) -> Session {
        let stream = self.dial().await;
        match dayfly_ssh::connect(stream, self.options(), &mut self.person()).await {
            Ok(session) => session,
            Err(error) => panic!("{error}\n{}", self.log()),
        }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// The user who runs the tests.
pub(crate) fn user() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn keygen(path: &Path, kind: &str, passphrase: &str) {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", kind, "-N", passphrase, "-f"])
        .arg(path)
        .status()
        .expect("these tests need ssh-keygen: install it (Debian: apt install openssh-client)");
    assert!(made.success());
}

/// A person who has keys and no password, and who remembers what was shown and asked.
#[derive(Default)]
pub(crate) struct Person {
    pub(crate) keys: Vec<PrivateKey>,
    pub(crate) accepts_host_key: bool,
    pub(crate) seen: Seen,
}

/// What a person was shown and asked, in order.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    fn note(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }
}

fn first<T>(items: &mut Vec<T>) -> Option<T> {
    (!items.is_empty()).then(|| items.remove(0))
}

fn now<T: Send + 'static>(answer: T) -> BoxFuture<T> {
    Box::pin(std::future::ready(answer))
}

impl Interaction for Person {
    fn banner(&mut self, text: String) {
        self.seen.note(format!("banner {text}"));
    }

    fn unknown_host_key(&mut self, key: HostKey) -> BoxFuture<HostKeyAnswer> {
        self.seen.note(format!("host key {}", key.fingerprint));
        now(if self.accepts_host_key { HostKeyAnswer::Accept } else { HostKeyAnswer::Refuse })
    }

    fn private_key(&mut self, request: PrivateKeyRequest) -> BoxFuture<Option<PrivateKey>> {
        let problem = request.problem.map(|problem| problem.to_string());
        self.seen.note(format!("key? {}", problem.unwrap_or_default()));
        now(first(&mut self.keys))
    }

    fn keyboard_interactive(&mut self, request: KeyboardInteractive) -> BoxFuture<Option<Vec<Secret>>> {
        self.seen.note(format!("{request:?}"));
        now(None)
    }

    fn password(&mut self, request: PasswordRequest) -> BoxFuture<Option<Secret>> {
        self.seen.note(format!("{request:?}"));
        now(None)
    }
}

/// All output, and the events besides.
pub(crate) async fn collect(reader: &mut ShellReader) -> (Vec<u8>, Vec<u8>, Vec<ShellEvent>) {
    let (mut output, mut errors, mut events) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(event) = within(reader.next()).await {
        match event {
            ShellEvent::Data(data) => output.extend_from_slice(&data),
            ShellEvent::ExtendedData(data) => errors.extend_from_slice(&data),
            other => events.push(other),
        }
    }
    (output, errors, events)
}

/// Output until it contains `text`.
pub(crate) async fn read_until(reader: &mut ShellReader, text: &str) -> String {
    let mut output = String::new();
    while !output.contains(text) {
        match within(reader.next()).await {
            Some(ShellEvent::Data(data)) => output.push_str(&String::from_utf8_lossy(&data)),
            // sshd tells it when the program has ended, which may be before it has read the last of its output.
            Some(ShellEvent::ExitStatus(_)) => {}
            other => panic!("{other:?} instead of {text:?} after {output:?}"),
        }
    }
    output
}

/// Waits with the test's patience.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("in time")
}

/// Waits until something outside of this process is so.
pub(crate) async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let started = std::time::Instant::now();
    let mut tick = tokio::time::interval(Duration::from_millis(5));
    while !so() {
        assert!(started.elapsed() < PATIENCE, "{what}");
        tick.tick().await;
    }
}
