//! How many bytes a browser fetches.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::clients::Client;
use crate::table::{Row, Target, Unit};

/// A file's bytes as they are, by gzip and by brotli. A form that is not there was not smaller.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sizes {
    raw: u64,
    gzip: u64,
    brotli: u64,
}

/// The sizes of the WebAssembly, and of all files of the page together.
pub(crate) fn rows(clients: &[Client]) -> Result<Vec<Row>> {
    let mut modules = Vec::new();
    let mut pages = Vec::new();
    for client in clients {
        let www = client.www()?;
        let (module, page) =
            measure(&www).with_context(|| format!("cannot measure the files in {}", www.display()))?;
        modules.push(module);
        pages.push(page);
    }
    let row = |what: &str, sizes: &[Sizes], value: fn(&Sizes) -> u64, target| {
        let values = sizes.iter().map(|sizes| vec![value(sizes) as f64]).collect();
        Row::new(what, Unit::Bytes, values, target)
    };
    Ok(vec![
        row("WebAssembly, raw", &modules, |sizes| sizes.raw, None),
        row("WebAssembly, gzip", &modules, |sizes| sizes.gzip, None),
        row("WebAssembly, brotli", &modules, |sizes| sizes.brotli, Some(Target::AtMost(1.0 / 7.0))),
        row("whole page, brotli", &pages, |sizes| sizes.brotli, None),
    ])
}

fn measure(www: &Path) -> Result<(Sizes, Sizes)> {
    let (mut module, mut page) = (Sizes::default(), Sizes::default());
    for entry in fs::read_dir(www)? {
        let path = entry?.path();
        let is = |extension: &str| path.extension().is_some_and(|e| e == extension);
        if path.is_dir() || is("br") || is("gz") {
            continue;
        }
        let raw = fs::metadata(&path)?.len();
        let packed = |suffix| fs::metadata(with_suffix(&path, suffix)).map_or(raw, |about| about.len());
        let sizes = Sizes { raw, gzip: packed(".gz"), brotli: packed(".br") };
        page.add(sizes);
        if is("wasm") {
            module.add(sizes);
        }
    }
    if module.raw == 0 {
        anyhow::bail!("there is no WebAssembly");
    }
    Ok((module, page))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

impl Sizes {
    fn add(&mut self, other: Self) {
        self.raw += other.raw;
        self.gzip += other.gzip;
        self.brotli += other.brotli;
    }
}
