//! The configuration file, as arguments that stand behind those of the command line.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches};
use thiserror::Error;

/// Reasons why the configuration file cannot be used.
#[derive(Debug, Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// It is not TOML.
    #[error("{} is not valid TOML: {source}", path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// The parser's error.
        source: toml::de::Error,
    },
    /// It has something that is no setting.
    #[error("{}: {name:?} {problem}", path.display())]
    Setting {
        /// The file.
        path: PathBuf,
        /// The setting's name.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// Makes arguments of what the file says and neither flags nor environment do.
pub(super) fn arguments(path: &Path, known: &[&Arg], given: &ArgMatches) -> Result<Vec<OsString>, FileError> {
    let text = fs::read_to_string(path).map_err(|source| FileError::Io { path: path.to_owned(), source })?;
    let table: toml::Table =
        toml::from_str(&text).map_err(|source| FileError::Toml { path: path.to_owned(), source })?;
    let mut arguments = Vec::new();
    for (name, value) in table {
        let wrong = |problem| FileError::Setting { path: path.to_owned(), name: name.clone(), problem };
        let argument = known.iter().find(|argument| argument.get_long() == Some(&name) && name != "config");
        let argument = argument.ok_or_else(|| wrong("is not a setting of this command"))?;
        let source = given.value_source(argument.get_id().as_str());
        if matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable)) {
            continue;
        }
        let is_flag = matches!(argument.get_action(), ArgAction::SetTrue);
        match value {
            toml::Value::Boolean(set) if is_flag => {
                if set {
                    arguments.push(format!("--{name}").into());
                }
            }
            _ if is_flag => return Err(wrong("has to be true or false")),
            toml::Value::Array(values) if matches!(argument.get_action(), ArgAction::Append) => {
                for value in values {
                    let text = scalar(value).ok_or_else(|| wrong("has to be a list of texts or numbers"))?;
                    arguments.push(format!("--{name}={text}").into());
                }
            }
            value => {
                let text = scalar(value).ok_or_else(|| wrong("has to be a text or a number"))?;
                arguments.push(format!("--{name}={text}").into());
            }
        }
    }
    Ok(arguments)
}

fn scalar(value: toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text),
        toml::Value::Integer(number) => Some(number.to_string()),
        _ => None,
    }
}
