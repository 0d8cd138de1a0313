//! The settings of all rooms, and the roles that use them.
//!
//! Each setting is a flag and an environment variable; a file `.env` in the working directory is
//! read first. `.env.example` lists them all, and a test keeps it so.

use clap::{Parser, Subcommand};

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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::{Command, CommandFactory as _};

    use super::*;

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
