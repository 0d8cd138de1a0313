//! The role `key`: keys by hand, straight in the database. It works whether or not a server runs, and is
//! how the first key is made and how a lost one is replaced.

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

use super::secret::BEGINNING;
use super::{Access, AccessError, ApiKey, Filter, KeyForm, Role};
use crate::clock::Clock;
use crate::db;
use crate::ids::ApiKeyId;
use crate::web::page::Limit;

/// The end of the line that makes a key.
const CREATE: &str = "create --name NAME --role reader";

/// What to do with keys.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Command {
    /// Make a key. It is printed once, alone on the standard output.
    Create {
        /// Who or what will use it.
        #[arg(long)]
        name: String,
        /// What it may do.
        #[arg(long, value_enum)]
        role: Role,
        /// Days until it expires. Default: never.
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
        days: Option<u32>,
    },
    /// List keys, newest first. Secrets cannot be shown again.
    List,
    /// Refuse a key from now on.
    Revoke {
        /// Its id, or the twelve characters that it begins with.
        key: String,
        /// Revoke it even if it is the last active key of an admin.
        #[arg(long)]
        force: bool,
    },
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The database cannot be had.
    #[error(transparent)]
    Db(#[from] db::DbError),
    /// A name that is none.
    #[error("the name {0}")]
    Name(AccessError),
    /// The keys cannot be had or changed.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// A key that nobody made.
    #[error("there is no key {0}; `counterpart key list` shows which there are")]
    NotFound(String),
    /// The list cannot be read.
    #[error("the keys cannot be listed: {0}")]
    List(String),
}

/// What the role has to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// For the standard output.
    pub output: String,
    /// For the standard error: what a person should know.
    pub remark: String,
}

/// The line that makes a key for the database of a server, in a shell on its machine.
#[must_use]
pub fn line(db: &db::Config) -> String {
    let words = ["counterpart key", &db.as_arguments(), CREATE];
    words.into_iter().filter(|words| !words.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The same where it is not said which database.
pub(super) fn line_of_any() -> String {
    format!("counterpart key {CREATE}")
}

/// The role `key`.
pub async fn run(command: &Command, db: &db::Config) -> Result<Said, CommandError> {
    let database = db::open(db).await?;
    let clock = Clock::system();
    let said = act(command, &Access::new(database.pool.clone(), clock.clone()), &clock).await;
    database.close().await;
    said
}

async fn act(command: &Command, access: &Access, clock: &Clock) -> Result<Said, CommandError> {
    match command {
        Command::Create { name, role, days } => {
            let expires_at = days.map(|days| clock.now() + TimeDelta::days(i64::from(days)));
            let form = KeyForm { name: name.clone(), role: *role, expires_at };
            let (key, secret) = access.create(form).await.map_err(|error| match error {
                AccessError::Name => CommandError::Name(error),
                error => error.into(),
            })?;
            let end = key.expires_at.map_or_else(|| "for ever".to_owned(), |end| format!("until {}", text(end)));
            let remark = format!(
                "This is the only time that the key is shown. It may do what the role {} allows, {end}.\n\
                 Send it as: Authorization: Bearer {}_...\n",
                key.role.name(),
                key.prefix
            );
            Ok(Said { output: format!("{}\n", secret.reveal()), remark })
        }
        Command::List => Ok(Said { output: table(&every(access).await?, clock.now()), remark: String::new() }),
        Command::Revoke { key, force } => {
            let unknown = || CommandError::NotFound(key.clone());
            let id = if key.starts_with(BEGINNING) {
                // A whole key is as good as what it begins with.
                let prefix = key.get(..12).unwrap_or(key);
                access.named(prefix).await
            } else {
                Ok(ApiKeyId(key.parse().map_err(|_| unknown())?))
            };
            let revoked = match id {
                Ok(id) => access.revoke(id, *force).await,
                Err(error) => Err(error),
            };
            revoked.map_err(|error| match error {
                AccessError::NotFound => unknown(),
                error => error.into(),
            })?;
            let remark = "It is revoked; servers that run refuse it within seconds.\n".to_owned();
            Ok(Said { output: String::new(), remark })
        }
    }
}

async fn every(access: &Access) -> Result<Vec<ApiKey>, CommandError> {
    let mut keys = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = access.list(Filter::default(), Limit::default(), cursor.as_deref()).await;
        let page = page.map_err(|problem| CommandError::List(problem.detail.into_owned()))?;
        keys.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            return Ok(keys);
        }
    }
}

fn table(keys: &[ApiKey], now: DateTime<Utc>) -> String {
    if keys.is_empty() {
        return "There is no key. Make the first one: counterpart key create --name NAME --role admin\n".to_owned();
    }
    let at = |at: Option<DateTime<Utc>>| at.map_or_else(|| "never".to_owned(), text);
    let head = ["KEY", "NAME", "ROLE", "STANDING", "CREATED", "LAST USED", "EXPIRES", "ID"].map(str::to_owned);
    let rows = keys.iter().map(|key| {
        let standing = key.standing(now).name().to_owned();
        let (role, created) = (key.role.name().to_owned(), text(key.created_at));
        let (used, end, id) = (at(key.last_used_at), at(key.expires_at), key.id.to_string());
        [key.prefix.clone(), key.name.clone(), role, standing, created, used, end, id]
    });
    let rows: Vec<[String; 8]> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..8).map(width).collect();
    let mut table = String::new();
    for row in &rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        // Writing into memory does not fail.
        let _ = writeln!(table, "{}", cells.join("  ").trim_end());
    }
    table
}

fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
