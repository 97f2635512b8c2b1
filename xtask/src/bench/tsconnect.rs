//! Tailscale's own browser client, built from its released module with the flags of its release build, in a page of ours.
//!
//! That build runs `wasm-opt -Oz` at the end. It takes four minutes here, makes the module 9 % smaller as it is and 0.6 %
//! larger by brotli, so it is left out.

use std::env;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::jobs::{self, Job};
use crate::paths::{self, find_program};
use crate::step::{output, run, run_logged, step};

/// The package that is the client.
const PACKAGE: &str = "tailscale.com/cmd/tsconnect/wasm";

/// The linker flags of the release build (`wasmbuild.ProdLDFlags`).
const LINKER_FLAGS: &str = "-s -w";

/// The directory with the page; the client in it is built unless it is up to date.
pub(crate) fn build() -> Result<PathBuf> {
    let dir = paths::cache()?.join("tsconnect");
    step("Tailscale's browser client, built from its sources with Go", || {
        let version = output(Command::new("go").arg("version"))?;
        let stamp = format!("{:016x}", fingerprint(&version)?);
        // Names with a hash are what lets a server mark files as immutable, as those of our page.
        let (wasm, runtime) = (format!("main-{stamp}.wasm"), format!("wasm_exec-{stamp}.js"));
        if fs::read_to_string(dir.join(".stamp")).is_ok_and(|old| old == stamp) {
            println!("    up to date");
        } else {
            if dir.exists() {
                fs::remove_dir_all(&dir).with_context(|| format!("cannot empty {}", dir.display()))?;
            }
            fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
            compile(&dir.join(&wasm))?;
            let root = output(Command::new("go").args(["env", "GOROOT"]))?;
            let source = Path::new(root.trim()).join("lib/wasm/wasm_exec.js");
            fs::copy(&source, dir.join(&runtime)).with_context(|| format!("no {}", source.display()))?;
            let node = find_program(&["node", "nodejs"]).context("no Node.js")?;
            run(Command::new(node).arg(paths::root().join("xtask/npm/precompress.mjs")).arg(&dir))?;
            fs::write(dir.join(".stamp"), &stamp).context("cannot stamp the client")?;
        }
        write_page(&dir, &wasm, &runtime)
    })?;
    Ok(dir)
}

/// The page around the client, anew each time: it is small, and what it is made of may have changed.
fn write_page(dir: &Path, wasm: &str, runtime: &str) -> Result<()> {
    for entry in fs::read_dir(dir)?.flatten() {
        if entry.file_name().to_string_lossy().starts_with("client-") {
            fs::remove_file(entry.path())?;
        }
    }
    let source = paths::root().join("tests/bench/tsconnect");
    let read = |name: &str| {
        let path = source.join(name);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    let script = read("client.js")?;
    let mut hasher = DefaultHasher::new();
    script.hash(&mut hasher);
    let client = format!("client-{:016x}.js", hasher.finish());
    fs::write(dir.join(&client), script)?;
    let html = read("index.html")?;
    let html = html.replace("MAIN.wasm", wasm).replace("WASM_EXEC.js", runtime).replace("client.js", &client);
    fs::write(dir.join("index.html"), html).context("cannot write the page")
}

fn module() -> PathBuf {
    paths::root().join("tests/peers/tsconnect")
}

fn compile(wasm: &Path) -> Result<()> {
    let go = || {
        let mut go = Command::new("go");
        go.current_dir(module()).env("GOFLAGS", "");
        go.env("CGO_ENABLED", env::var_os("CGO_ENABLED").unwrap_or_else(|| "0".into()));
        go
    };
    let tags = output(go().args(["run", "-mod=readonly", "."]))?;
    let mut build = go();
    build.args(["build", "-buildvcs=false", "-mod=readonly", "-trimpath"]);
    build.args(["-tags", tags.trim(), "-ldflags", LINKER_FLAGS, "-o"]).arg(wasm).arg(PACKAGE);
    build.env("GOOS", "js").env("GOARCH", "wasm");
    // A single job, for its word now and then.
    jobs::run(vec![Job {
        name: "tsconnect",
        title: "Tailscale's browser client".to_owned(),
        after: &[],
        cost: 240,
        work: Box::new(|| run_logged("tsconnect", &mut build)),
    }])
}

/// A number that changes with anything that the client is made of.
fn fingerprint(go_version: &str) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    (go_version, PACKAGE, LINKER_FLAGS).hash(&mut hasher);
    let module = ["go.mod", "go.sum", "main.go"].map(|name| module().join(name));
    for path in &module {
        fs::read(path).with_context(|| format!("cannot read {}", path.display()))?.hash(&mut hasher);
    }
    Ok(hasher.finish())
}
