//! Why settings cannot be used, and which source they came from.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use thiserror::Error;

/// Reason why the settings cannot be used.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// The command line is wrong, or help was asked for: clap says which, and names the flag.
    #[error(transparent)]
    Arguments(#[from] clap::Error),
    /// An environment variable has a value that its setting does not take.
    #[error("the environment variable {name} {problem}")]
    Variable {
        /// Name of the variable.
        name: String,
        /// The problem with its value.
        problem: String,
    },
    /// The configuration file cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    File {
        /// Path of the file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The configuration file is not TOML; the source names the line.
    #[error("{} is not valid TOML: {source}", path.display())]
    Toml {
        /// Path of the file.
        path: PathBuf,
        /// The parser's error, with the line.
        source: toml::de::Error,
    },
    /// A line of the configuration file has something that is no setting, or a value that its setting does not take.
    #[error("{}, line {line}: {name:?} {problem}", path.display())]
    Line {
        /// Path of the file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: usize,
        /// Name of the setting.
        name: String,
        /// The problem with its name or its value.
        problem: String,
    },
    /// A setting was given without another one that it means nothing without.
    #[error(transparent)]
    Needs(#[from] Needs),
}

/// A setting was given without another one that it means nothing without.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("--{0} needs --{1}")]
pub struct Needs(pub &'static str, pub &'static str);

impl SettingsError {
    /// Prints the error as `program`'s, or the help or version that was asked for, and returns the exit status.
    #[must_use]
    pub fn report(&self, program: &str) -> ExitCode {
        if let Self::Arguments(error) = self {
            // Help and version come this way too, and go to standard output.
            let _: io::Result<()> = error.print();
            return u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from);
        }
        let _: io::Result<()> = writeln!(io::stderr(), "{program}: {self}");
        ExitCode::FAILURE
    }
}
