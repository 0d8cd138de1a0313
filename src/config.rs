//! The settings of all rooms, and the roles that use them.
//!
//! Each setting is a flag and an environment variable; a file `.env` in the working directory is
//! read first. `.env.example` lists them all, and a test keeps it so.

use std::ffi::{OsStr, OsString};

use clap::parser::ValueSource;
use clap::{ArgMatches, Command, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::model::{pretrain, registry};
use crate::{access, db, demo, evaluate, ingest, observe, prior, reading, scenario, server};

/// A digital twin server that learns its asset.
#[derive(Clone, Debug, Parser)]
#[command(name = "counterpart", version, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub role: Role,
}

/// What the program can do.
#[derive(Clone, Debug, Subcommand)]
pub enum Role {
    /// Serve the API and the dashboard, and learn in the background.
    Serve(Box<Settings>),
    /// Serve, with a plant of our own that streams telemetry. Its data lies in ./data.
    Demo(Box<DemoSettings>),
    /// Import a file of history.
    Import(Box<ImportSettings>),
    /// Ask a running server what would be if inputs were set otherwise.
    WhatIf(Box<scenario::command::Command>),
    /// Bring the database's schema up to date, then end.
    Migrate {
        /// Which database.
        #[command(flatten)]
        db: db::Config,
    },
    /// Make, list and revoke API keys, straight in the database.
    Key {
        /// Which database.
        #[command(flatten)]
        db: db::Config,
        /// What to do.
        #[command(subcommand)]
        command: access::command::Command,
    },
    /// Fine-tune and backtest for servers that share the database, without serving.
    Work(Box<Settings>),
    /// The same for the server that starts this program so, until standard input ends.
    #[command(hide = true)]
    Child(Box<Settings>),
    /// Train the base model on synthetic plants. The shipped one was made so.
    Pretrain(Box<pretrain::Config>),
    /// Make a base model of your own ready for a server.
    Base {
        /// What to do with it.
        #[command(subcommand)]
        command: registry::command::Command,
    },
    /// Draw the synthetic plants that the base model learns from, as charts, and count their mix.
    Prior(prior::command::Config),
    /// Compare forecasters on sets with a protocol, or on a file of your own.
    Evaluate(Box<evaluate::Config>),
    /// Print the description of the API (OpenAPI 3.1).
    Openapi,
    /// Look at the database.
    Db {
        /// Which database.
        #[command(flatten)]
        db: db::Config,
        /// What to do with it.
        #[command(subcommand)]
        tool: DbTool,
    },
}

/// What can be done with the database by hand.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum DbTool {
    /// Print its address.
    Url,
    /// Run PostgreSQL's own shell on it.
    Psql {
        /// What psql is called with, such as -c 'select 1'.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

/// What a server needs to know.
#[derive(Clone, Debug, clap::Args)]
pub struct Settings {
    /// The database.
    #[command(flatten)]
    pub db: db::Config,
    /// Logs.
    #[command(flatten)]
    pub observe: observe::Config,
    /// The address.
    #[command(flatten)]
    pub server: server::Config,
    /// The rooms.
    #[command(flatten)]
    pub rooms: server::RoomsConfig,
}

/// What the demo needs to know.
#[derive(Clone, Debug, clap::Args)]
pub struct DemoSettings {
    /// The plant.
    #[command(flatten)]
    pub demo: demo::Config,
    /// The server.
    #[command(flatten)]
    pub settings: Settings,
}

/// What an import needs to know.
#[derive(Clone, Debug, clap::Args)]
pub struct ImportSettings {
    /// What is imported where.
    #[command(flatten)]
    pub command: ingest::command::Command,
    /// The database.
    #[command(flatten)]
    pub db: db::Config,
    /// Logs.
    #[command(flatten)]
    pub observe: observe::Config,
    /// Readings.
    #[command(flatten)]
    pub reading: reading::Config,
    /// The way in.
    #[command(flatten)]
    pub ingest: ingest::Config,
}

impl Cli {
    /// Reads the command line and the environment. What is wrong with them ends the program, with words about it.
    #[must_use]
    pub fn read() -> Self {
        Self::read_from(std::env::args_os()).unwrap_or_else(|error| error.exit())
    }

    fn read_from(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let mut command = Self::command();
        let matches = command.try_get_matches_from_mut(arguments)?;
        let mut cli = Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
        if let Some((name, given)) = matches.subcommand()
            && let Some(role) = command.find_subcommand(name)
            && let Some(settings) = cli.role.of_a_server()
        {
            settings.server.flags = flags(role, given);
        }
        Ok(cli)
    }
}

impl Role {
    /// The settings, where it serves.
    fn of_a_server(&mut self) -> Option<&mut Settings> {
        match self {
            Self::Serve(settings) => Some(settings.as_mut()),
            Self::Demo(demo) => Some(&mut demo.settings),
            _ => None,
        }
    }
}

/// What a role was given as flags, as the environment variables that say the same, the address of the database
/// left out: it may hold a password, and whoever has opened the database knows it.
fn flags(role: &Command, given: &ArgMatches) -> Vec<(OsString, OsString)> {
    let settings = role.get_arguments().filter_map(|argument| Some((argument.get_id().as_str(), argument.get_env()?)));
    settings
        .filter(|(id, variable)| {
            *variable != "DATABASE_URL" && given.value_source(id) == Some(ValueSource::CommandLine)
        })
        .filter_map(|(id, variable)| {
            let values: Vec<&OsStr> = given.get_raw(id)?.collect();
            // What takes several values takes them so from its variable.
            Some((variable.to_owned(), values.join(OsStr::new(","))))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn read(arguments: &[&str]) -> Cli {
        Cli::read_from(arguments.iter().map(OsString::from)).unwrap()
    }

    #[test]
    fn flags_are_handed_on_as_the_variables_that_say_the_same() {
        let arguments = [
            "counterpart",
            "demo",
            "--database-url",
            "postgres://ada:secret@db/twin",
            "--insecure",
            "--demo-seed",
            "9",
            "--training-off-peak",
            "22:00-06:00",
            "--training-off-peak",
            "12:00-13:00",
            "--training-lease-s=7",
        ];
        let mut cli = read(&arguments);
        let settings = cli.role.of_a_server().unwrap();
        let said: BTreeSet<String> = settings
            .server
            .flags
            .iter()
            .map(|(name, value)| format!("{}={}", name.display(), value.display()))
            .collect();
        let expected = [
            "COUNTERPART_DEMO_SEED=9",
            "COUNTERPART_SERVER_INSECURE=true",
            "COUNTERPART_TRAINING_LEASE_S=7",
            "COUNTERPART_TRAINING_OFF_PEAK=22:00-06:00,12:00-13:00",
        ];
        assert_eq!(said, BTreeSet::from(expected.map(str::to_owned)));
        assert_eq!((settings.rooms.training.training_lease_s, settings.server.insecure), (7, true));
    }

    #[test]
    fn what_a_process_that_learns_may_be_told_has_a_variable() {
        let command = Cli::command();
        for argument in command.find_subcommand("child").unwrap().get_arguments() {
            assert!(argument.get_env().is_some(), "{}", argument.get_id());
        }
    }

    fn variables(command: &Command, found: &mut BTreeSet<String>) {
        let shown = command.get_arguments().filter(|argument| !argument.is_hide_set());
        found.extend(shown.filter_map(|argument| Some(argument.get_env()?.to_str()?.to_owned())));
        command.get_subcommands().for_each(|role| variables(role, found));
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_example_lists_all_variables() {
        let mut known = BTreeSet::new();
        variables(&Cli::command(), &mut known);
        let example = include_str!("../.env.example");
        let listed: BTreeSet<String> = example
            .lines()
            .filter_map(|line| line.trim_start_matches("# ").split_once('='))
            .map(|(name, _)| name.to_owned())
            .filter(|name| name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_' || byte.is_ascii_digit()))
            .collect();
        assert_eq!(listed, known);
    }

    #[test]
    fn variables_are_named_for_their_room() {
        let mut known = BTreeSet::new();
        variables(&Cli::command(), &mut known);
        for name in known {
            assert!(name == "DATABASE_URL" || name.starts_with("COUNTERPART_"), "{name}");
        }
    }
}
