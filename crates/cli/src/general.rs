//! The settings that every program has.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// The settings that every program has, to be flattened into its own.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "General")]
pub struct General {
    /// TOML file with settings: the names of these flags without their dashes
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How much to log, to standard error
    #[arg(long, value_enum, default_value = "info")]
    pub log_level: LogLevel,
    /// How to log: a line of text or of JSON for each event
    #[arg(long, value_enum, default_value = "text")]
    pub log_format: LogFormat,
    /// Write where this process listens to a file (JSON), once it does
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
}

/// Amount of what is logged, from nothing to everything.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum LogLevel {
    /// Nothing at all.
    Off,
    /// Failures that keep the process from doing its work.
    Error,
    /// Warnings that somebody should look at.
    Warn,
    /// Events that happen seldom.
    Info,
    /// Events of each connection.
    Debug,
    /// Events inside of connections.
    Trace,
}

/// Look of the lines of the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum LogFormat {
    /// A line of text, for people.
    Text,
    /// A line of JSON, for programs.
    Json,
}
