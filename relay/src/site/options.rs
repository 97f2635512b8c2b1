//! The settings of the page on the command line.

use std::path::PathBuf;

use clap::Args;

use super::PageConfig;
use super::headers::{PageHeaders, is_source};

/// Settings of the page.
#[derive(Args, Debug)]
#[command(next_help_heading = "Page")]
pub(crate) struct PageArgs {
    /// Directory with the page. Read again on SIGHUP
    #[arg(long, value_name = "DIRECTORY")]
    www: Option<PathBuf>,
    /// File to serve as /config.json
    #[arg(long, value_name = "FILE")]
    page_config: Option<PathBuf>,
    /// Where the page may connect to besides this server (a source of its content security policy); anywhere by TLS
    /// when not given. May be given several times
    #[arg(long, value_name = "SOURCE", value_delimiter = ',', value_parser = source)]
    connect_src: Vec<String>,
    /// Origin that may show the page in a frame; none when not given. May be given several times
    #[arg(long, value_name = "SOURCE", value_delimiter = ',', value_parser = source)]
    frame_ancestors: Vec<String>,
}

impl PageArgs {
    /// Returns the settings that they make.
    pub(crate) fn config(self) -> PageConfig {
        PageConfig {
            www: self.www,
            config: self.page_config,
            headers: PageHeaders { connect_src: self.connect_src, frame_ancestors: self.frame_ancestors },
        }
    }
}

fn source(text: &str) -> Result<String, String> {
    if is_source(text) {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is not a source of a content security policy"))
    }
}
