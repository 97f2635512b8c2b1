//! What every program of Dayfly has: settings by flag, environment and file, a log, a ready file.
//!
//! A program says what its settings are in a [`clap::Parser`]; [`read`] fills it in. It knows no service and no name of
//! one: the prefix of environment variables is the program's to give.
//!
//! ```
//! use dayfly_cli::{General, SettingsError, clap};
//!
//! /// Counts to a number.
//! #[derive(Debug, clap::Parser)]
//! #[command(name = "counter")]
//! struct Settings {
//!     #[command(flatten)]
//!     general: General,
//!     /// Where to end
//!     #[arg(long, value_name = "NUMBER", default_value_t = 10)]
//!     limit: u32,
//! }
//!
//! // `--limit`, else COUNTER_LIMIT, else `limit` in the file that `--config` or COUNTER_CONFIG names, else 10.
//! let settings: Settings = dayfly_cli::read("COUNTER", ["counter", "--limit", "3"])?;
//! assert_eq!(settings.limit, 3);
//! # Ok::<(), SettingsError>(())
//! ```

mod error;
mod file;
mod general;
mod limits;
mod log;
mod ready;
mod settings;

pub use clap;

pub use error::{Needs, SettingsError};
pub use general::{General, LogFormat, LogLevel};
pub use limits::raise_file_limit;
pub use log::start_log;
pub use ready::write_ready_file;
pub use settings::{command, needs, read};

#[cfg(test)]
mod tests;
