//! Settings from the command line, the environment and a file, in that order.
//!
//! There is one parser, clap's. A setting that no flag gives is looked up in the environment, then in the file, and put
//! among the arguments, which are then parsed as a whole. So what one setting needs of another is checked after that
//! ([`needs`]), and not by the parser.

use std::collections::HashMap;
use std::error::Error as _;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, Parser};

use crate::error::{Needs, SettingsError};
use crate::file;

/// The place that a setting was found in, besides the command line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Origin {
    Variable(String),
    Line(PathBuf, usize),
}

impl Origin {
    /// Says that the setting `name` has a `problem` there.
    pub(crate) fn error(self, name: &str, problem: impl Into<String>) -> SettingsError {
        let problem = problem.into();
        match self {
            Self::Variable(name) => SettingsError::Variable { name, problem },
            Self::Line(path, line) => SettingsError::Line { path, line, name: name.to_owned(), problem },
        }
    }
}

/// The arguments that say what the environment and the file say, and where each setting was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    arguments: Vec<OsString>,
    origins: HashMap<String, Origin>,
}

impl Found {
    pub(crate) fn has(&self, name: &str) -> bool {
        self.origins.contains_key(name)
    }

    /// Takes the values of a setting. A switch has the values `true` and `false`.
    pub(crate) fn add(
        &mut self,
        argument: &Arg,
        values: impl IntoIterator<Item = OsString>,
        origin: Origin,
    ) -> Result<(), SettingsError> {
        let name = argument.get_long().unwrap_or_default();
        for value in values {
            let mut flag = OsString::from(format!("--{name}"));
            match (is_switch(argument), value.to_str()) {
                (false, _) => {
                    flag.push("=");
                    flag.push(value);
                }
                (true, Some("true")) => {}
                (true, Some("false")) => continue,
                (true, _) => return Err(origin.error(name, "has to be true or false")),
            }
            self.arguments.push(flag);
        }
        self.origins.insert(name.to_owned(), origin);
        Ok(())
    }
}

/// Reads the settings of `P`: each is a flag, an environment variable or a line in one TOML file, in that order.
///
/// The flags are those of the innermost subcommand. The variable of a flag is `PREFIX_NAME_OF_FLAG`, unless it names
/// another by itself. The file is the one that the setting `config` names, if there is such a setting; its keys are the
/// flags' names without their dashes, and a list stands for a flag that is given several times.
///
/// # Errors
/// When a source cannot be used, which the error names: the flag, the variable, or the file and the line. Also when
/// help or the version was asked for, which clap calls an error: [`SettingsError::report`] prints either.
pub fn read<P: Parser>(
    prefix: &str,
    arguments: impl IntoIterator<Item = impl Into<OsString>>,
) -> Result<P, SettingsError> {
    read_with(prefix, arguments, |name| std::env::var_os(name))
}

/// Returns the command of `P` in which each flag has its variable, as its help shows it.
#[must_use]
pub fn command<P: Parser>(prefix: &str) -> Command {
    with_variables(P::command(), prefix)
}

/// Reads the settings of `P` with variables that `variable` looks up.
pub(crate) fn read_with<P: Parser>(
    prefix: &str,
    arguments: impl IntoIterator<Item = impl Into<OsString>>,
    variable: impl Fn(&OsStr) -> Option<OsString>,
) -> Result<P, SettingsError> {
    let mut arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
    let named = command::<P>(prefix);
    let bare = each_argument(named.clone(), |argument| argument.env(Resettable::Reset));
    // What is required may still come from elsewhere.
    let mut flags_only = each_argument(bare.clone(), |argument| argument.required(false));
    let flags = match flags_only.try_get_matches_from_mut(&arguments) {
        Ok(flags) => flags,
        // Help names the variables.
        Err(error) if error.exit_code() == 0 => {
            named.try_get_matches_from(&arguments)?;
            return Err(error.into());
        }
        Err(error) => return Err(error.into()),
    };

    let (command, given, at) = innermost(&flags_only, &flags, &arguments);
    let named = find(&named, &flags);
    let is_open = |argument: &Arg, found: &Found| {
        argument.get_long().is_some_and(|name| !found.has(name))
            && given.value_source(argument.get_id().as_str()) != Some(ValueSource::CommandLine)
    };
    let mut found = Found::default();
    let mut config = given.try_get_one::<PathBuf>("config").ok().flatten().cloned();
    for argument in named.iter().flat_map(|command| command.get_arguments()) {
        let Some(name) = argument.get_env().filter(|_| is_open(argument, &found)) else { continue };
        if let Some(value) = variable(name) {
            if argument.get_long() == Some("config") {
                config = Some(PathBuf::from(&value));
            }
            found.add(argument, [value], Origin::Variable(name.to_string_lossy().into_owned()))?;
        }
    }
    if let Some(path) = config {
        file::read(&path, command, is_open, &mut found)?;
    }
    arguments.splice(at..at, found.arguments);
    let parsed = bare.try_get_matches_from(arguments).and_then(|matches| P::from_arg_matches(&matches));
    parsed.map_err(|error| blame(error, &found.origins))
}

/// Checks that a setting is not given without another one that it means nothing without.
///
/// # Errors
/// When it is.
pub const fn needs(
    name: &'static str,
    is_given: bool,
    other: &'static str,
    other_is_given: bool,
) -> Result<(), Needs> {
    if is_given && !other_is_given { Err(Needs(name, other)) } else { Ok(()) }
}

/// Returns `true` for a flag without a value.
pub(crate) fn is_switch(argument: &Arg) -> bool {
    matches!(argument.get_action(), ArgAction::SetTrue)
}

/// Changes each argument of a command and of its subcommands.
fn each_argument(command: Command, change: fn(Arg) -> Arg) -> Command {
    command.mut_args(change).mut_subcommands(|command| each_argument(command, change))
}

/// Gives each flag its variable.
fn with_variables(command: Command, prefix: &str) -> Command {
    let named = command.mut_args(|argument| match argument.get_long() {
        Some("help" | "version") | None => argument,
        Some(_) if argument.get_env().is_some() => argument,
        Some(long) => {
            let name = format!("{prefix}_{}", long.replace('-', "_").to_uppercase());
            argument.env(name)
        }
    });
    named.mut_subcommands(|command| with_variables(command, prefix))
}

/// Finds the subcommand that was given, its matches, and where its own arguments begin.
fn innermost<'a>(
    command: &'a Command,
    matches: &'a ArgMatches,
    arguments: &[OsString],
) -> (&'a Command, &'a ArgMatches, usize) {
    let (mut command, mut matches, mut at) = (command, matches, 1.min(arguments.len()));
    while let Some((name, inner)) = matches.subcommand() {
        while let Some(argument) = arguments.get(at) {
            at += 1;
            let subcommand = command.find_subcommand(argument);
            if let Some(subcommand) = subcommand.filter(|subcommand| subcommand.get_name() == name) {
                command = subcommand;
                break;
            }
            at += usize::from(takes_next(command, argument));
        }
        matches = inner;
    }
    (command, matches, at.min(arguments.len()))
}

/// Returns `true` when the argument after `flag` is its value.
fn takes_next(command: &Command, flag: &OsStr) -> bool {
    let Some(flag) = flag.to_str() else { return false };
    let known = command.get_arguments().find(|argument| {
        let long = argument.get_long().is_some_and(|long| flag.strip_prefix("--") == Some(long));
        let short = argument.get_short().is_some_and(|short| flag == format!("-{short}"));
        long || short
    });
    known.is_some_and(|argument| argument.get_action().takes_values())
}

/// Finds the same subcommand in a command whose flags have their variables.
fn find<'a>(command: &'a Command, matches: &ArgMatches) -> Option<&'a Command> {
    match matches.subcommand() {
        Some((name, inner)) => find(command.find_subcommand(name)?, inner),
        None => Some(command),
    }
}

/// Names the source of a value that its setting does not take.
fn blame(error: clap::Error, origins: &HashMap<String, Origin>) -> SettingsError {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let flag = text(ContextKind::InvalidArg).and_then(|flag| flag.split([' ', '=']).next());
    let Some((name, origin)) = flag.and_then(|flag| origins.get_key_value(flag.trim_start_matches('-')))
    else {
        return error.into();
    };
    let value = text(ContextKind::InvalidValue).unwrap_or_default();
    let reason = match (error.source(), error.get(ContextKind::ValidValue)) {
        (Some(source), _) => source.to_string(),
        (None, Some(ContextValue::Strings(valid))) => format!("it can be {}", valid.join(", ")),
        _ => error.kind().to_string(),
    };
    origin.clone().error(name, format!("cannot be {value:?}: {reason}"))
}

/// A line's number in a text, from the offset of a byte in it.
pub(crate) fn line_at(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

/// Says that a line of a file has a problem.
pub(crate) fn at_line(path: &Path, text: &str, offset: usize) -> Origin {
    Origin::Line(path.to_owned(), line_at(text, offset))
}
