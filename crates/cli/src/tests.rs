use std::ffi::OsStr;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::settings::read_with;
use crate::{General, LogLevel, SettingsError, needs, write_ready_file};

/// Serves something.
#[derive(Debug, Parser)]
#[command(name = "server")]
struct Server {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve
    Serve(Serve),
    /// Run a program
    Run {
        #[command(flatten)]
        general: General,
        #[arg(trailing_var_arg = true)]
        program: Vec<String>,
    },
}

#[derive(Args, Debug)]
struct Serve {
    #[command(flatten)]
    general: General,
    /// Address to listen on
    #[arg(long, value_delimiter = ',', required = true)]
    listen: Vec<SocketAddr>,
    /// How many
    #[arg(long, env = "MANY")]
    count: Option<u32>,
    /// Be careful
    #[arg(long)]
    careful: bool,
}

fn read(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Server, SettingsError> {
    let variable =
        |name: &OsStr| variables.iter().find(|(known, _)| name == *known).map(|(_, value)| (*value).into());
    read_with("SERVER", [&["server"], arguments].concat(), variable)
}

fn serve(arguments: &[&str], variables: &[(&str, &str)], file: &str) -> Result<Serve, SettingsError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("server.toml");
    fs::write(&path, file).unwrap();
    let arguments = [&["serve"], arguments, &["--config", path.to_str().unwrap()]].concat();
    match read(&arguments, variables)?.command {
        Command::Serve(serve) => Ok(serve),
        Command::Run { .. } => panic!("another command"),
    }
}

#[test]
fn a_flag_comes_before_a_variable_and_that_before_the_file() {
    let file = "count = 1\nlisten = [\"127.0.0.1:1\", \"127.0.0.1:2\"]\ncareful = true\nlog-level = \"warn\"";
    let of_file = serve(&[], &[], file).unwrap();
    assert_eq!((of_file.count, of_file.listen.len(), of_file.careful), (Some(1), 2, true));
    assert_eq!(of_file.general.log_level, LogLevel::Warn);

    let variables = [
        ("MANY", "2"),
        ("SERVER_LISTEN", "127.0.0.1:3,127.0.0.1:4,127.0.0.1:5"),
        ("SERVER_CAREFUL", "false"),
    ];
    let of_environment = serve(&[], &variables, file).unwrap();
    assert_eq!(
        (of_environment.count, of_environment.listen.len(), of_environment.careful),
        (Some(2), 3, false)
    );

    let of_flags =
        serve(&["--count", "3", "--listen", "127.0.0.1:6", "--careful"], &variables, file).unwrap();
    assert_eq!((of_flags.count, of_flags.listen.len(), of_flags.careful), (Some(3), 1, true));
}

#[test]
fn the_file_may_be_named_by_a_variable() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("server.toml");
    fs::write(&path, "listen = \"127.0.0.1:1\"\ncount = 0x10").unwrap();
    let server = read(&["serve"], &[("SERVER_CONFIG", path.to_str().unwrap())]).unwrap();
    let Command::Serve(serve) = server.command else { panic!("another command") };
    assert_eq!((serve.count, serve.general.config), (Some(16), Some(path)));
}

#[test]
fn an_error_names_the_flag_the_variable_or_the_line() {
    let error = |arguments: &[&str], variables: &[(&str, &str)], file: &str| {
        serve(arguments, variables, file).unwrap_err().to_string()
    };
    let listen = "listen = \"127.0.0.1:1\"";
    assert!(error(&["--count", "many"], &[], listen).contains("'--count <COUNT>'"));
    let text = error(&[], &[("MANY", "lots")], listen);
    assert!(text.starts_with("the environment variable MANY cannot be \"lots\": "), "{text}");
    let text = error(&[], &[("SERVER_CAREFUL", "very")], listen);
    assert_eq!(text, "the environment variable SERVER_CAREFUL has to be true or false");
    let text = error(&[], &[], "\n\ncount = 1\nlisten = \"nowhere\"");
    assert!(text.contains("server.toml, line 4: \"listen\" cannot be \"nowhere\": invalid socket"), "{text}");
    let text = error(&[], &[], &format!("{listen}\nlog-level = \"loud\""));
    assert!(text.contains("line 2") && text.contains("it can be off, error, warn"), "{text}");
    for (line, problem) in [
        ("lisen = 1", "line 2: \"lisen\" is not a setting of this command"),
        ("config = \"other.toml\"", "line 2: \"config\" is not a setting of this command"),
        ("careful = \"yes\"", "line 2: \"careful\" has to be true or false"),
        ("count = [1]", "line 2: \"count\" has to be a text or a number"),
    ] {
        let text = error(&[], &[], &format!("{listen}\n{line}"));
        assert!(text.ends_with(problem), "{text}");
    }
    let text = error(&[], &[], "listen = ");
    assert!(text.contains("is not valid TOML") && text.contains("line 1"), "{text}");
}

#[test]
fn a_setting_that_is_required_may_come_from_anywhere_but_from_somewhere() {
    assert!(serve(&[], &[("SERVER_LISTEN", "127.0.0.1:1")], "").is_ok());
    let error = serve(&[], &[], "").unwrap_err();
    assert!(matches!(error, SettingsError::Arguments(_)), "{error}");
}

#[test]
fn settings_stay_in_front_of_a_program_that_is_run() {
    let server = read(&["run", "--ready-file", "run", "ls", "-l"], &[("SERVER_LOG_LEVEL", "debug")]).unwrap();
    let Command::Run { general, program } = server.command else { panic!("another command") };
    assert_eq!((general.log_level, general.ready_file), (LogLevel::Debug, Some(PathBuf::from("run"))));
    assert_eq!(program, ["ls", "-l"]);
}

#[test]
fn help_names_the_variables() {
    let Err(SettingsError::Arguments(help)) = read(&["serve", "--help"], &[]) else { panic!("no help") };
    let help = help.to_string();
    assert!(help.contains("[env: SERVER_READY_FILE=]") && help.contains("[env: MANY=]"), "{help}");
}

#[test]
fn what_needs_another_setting_is_refused_without_it() {
    assert_eq!(needs("a", true, "b", false).unwrap_err().to_string(), "--a needs --b");
    assert!(needs("a", true, "b", true).is_ok() && needs("a", false, "b", false).is_ok());
}

#[test]
fn a_ready_file_is_whole_and_replaces_the_last_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ready.json");
    for contents in ["{}", "{ \"http\": [] }"] {
        write_ready_file(&path, contents).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), contents);
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left beside it");
}
