//! The configuration file.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use clap::{Arg, ArgAction, Command};
use toml::de::{DeTable, DeValue};

use crate::error::SettingsError;
use crate::settings::{Found, at_line, is_switch};

/// Adds the settings of the file at `path` that `is_open` says nobody has given yet.
pub(crate) fn read(
    path: &Path,
    command: &Command,
    is_open: impl Fn(&Arg, &Found) -> bool,
    found: &mut Found,
) -> Result<(), SettingsError> {
    let text =
        fs::read_to_string(path).map_err(|source| SettingsError::File { path: path.to_owned(), source })?;
    let table =
        DeTable::parse(&text).map_err(|source| SettingsError::Toml { path: path.to_owned(), source })?;
    for (key, value) in table.into_inner() {
        let origin = at_line(path, &text, key.span().start);
        let name = key.into_inner();
        let known = command.get_arguments().find(|argument| argument.get_long() == Some(&name));
        let Some(argument) = known.filter(|_| name != "config") else {
            return Err(origin.error(&name, "is not a setting of this command"));
        };
        let values =
            values(argument, value.into_inner()).map_err(|problem| origin.clone().error(&name, problem))?;
        if is_open(argument, found) {
            found.add(argument, values, origin)?;
        }
    }
    Ok(())
}

fn values(argument: &Arg, value: DeValue<'_>) -> Result<Vec<OsString>, &'static str> {
    let is_list = matches!(argument.get_action(), ArgAction::Append);
    match value {
        DeValue::Boolean(set) if is_switch(argument) => Ok(vec![set.to_string().into()]),
        _ if is_switch(argument) => Err("has to be true or false"),
        DeValue::Array(values) if is_list => {
            let texts = values.into_iter().map(|value| scalar(value.into_inner()));
            texts.collect::<Option<_>>().ok_or("has to be a list of texts or numbers")
        }
        value => scalar(value).map(|text| vec![text]).ok_or("has to be a text or a number"),
    }
}

fn scalar(value: DeValue<'_>) -> Option<OsString> {
    match value {
        DeValue::String(text) => Some(text.into_owned().into()),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).ok().map(|number| number.to_string().into())
        }
        _ => None,
    }
}
