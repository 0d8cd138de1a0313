//! The database: where it is, the pool, the migrations.
//!
//! `DATABASE_URL` names a server of the user's; without it a private cluster starts from installed
//! PostgreSQL programs in the data directory. Holds no SQL about the domain. The pool rolls back
//! whatever a cancelled request may have left open in a session before the session is used again
//! (sqlx 0.9.0 otherwise loses acknowledged writes, transact-rs/sqlx 4385).

mod binaries;
mod cluster;
pub mod fixture;
mod place;
mod pool;
mod residents;
#[cfg(test)]
mod tests;
mod tool;

use std::path::PathBuf;
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgQueryResult;

pub use tool::{psql, url};

use cluster::Cluster;

/// The migrations of this build, in the order in which they apply.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// Where the database is and how much of it the server takes.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Config {
    /// A PostgreSQL server (15 or newer) of yours, as a URL. Without it a private one starts in the
    /// data directory.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub database_url: Option<String>,

    /// Where the private database lives. Default: ~/.local/share/counterpart, for root
    /// /var/lib/counterpart.
    #[arg(long, env = "COUNTERPART_DB_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// Folder with PostgreSQL's programs (initdb, postgres) for the private database. Default: the
    /// newest that is found.
    #[arg(long, env = "COUNTERPART_DB_BIN", value_name = "DIR")]
    pub db_bin: Option<PathBuf>,

    /// Connections that the server holds at most.
    #[arg(long, env = "COUNTERPART_DB_POOL_SIZE", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub db_pool_size: u32,

    /// Milliseconds that a request waits for a free connection before it is refused.
    #[arg(long, env = "COUNTERPART_DB_ACQUIRE_TIMEOUT_MS", default_value_t = 2000, value_parser = clap::value_parser!(u64).range(1..=600_000))]
    pub db_acquire_timeout_ms: u64,
}

impl Config {
    /// What a command on this machine must be given to find the same database, as a shell takes it. A URL may
    /// hold a password, so that it is never shown.
    #[must_use]
    pub fn as_arguments(&self) -> String {
        match (self.database_url(), &self.data_dir) {
            (Some(_), _) => "--database-url \"$DATABASE_URL\"".to_owned(),
            (None, Some(dir)) => {
                let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.clone());
                format!("--data-dir {}", quoted(&dir.to_string_lossy()))
            }
            (None, None) => String::new(),
        }
    }

    /// The user's server, if one is named; an empty variable names none.
    fn database_url(&self) -> Option<&str> {
        self.database_url.as_deref().map(str::trim).filter(|url| !url.is_empty())
    }
}

/// Why there is no database. The texts are for the person who started the server.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// No PostgreSQL programs, no URL.
    #[error(
        "no PostgreSQL programs were found and DATABASE_URL is not set; one of these lines helps:\n  \
         sh docker/setup.sh\n  \
         sudo apt-get install -y postgresql\n  \
         export DATABASE_URL=postgres://user:password@localhost/counterpart"
    )]
    NoBinaries,
    /// The folder that was named holds no usable programs.
    #[error("no usable initdb and postgres in {} (COUNTERPART_DB_BIN)", .0.display())]
    NotBinaries(PathBuf),
    /// The data directory belongs to another major version of PostgreSQL.
    #[error(
        "the database in {} was made by PostgreSQL {data}, and only {installed} is installed; \
         install PostgreSQL {data} beside it (apt-get install postgresql-{data}), \
         or move the data with pg_dump and psql of version {data}, \
         or name an empty folder with --data-dir", dir.display()
    )]
    OtherMajor {
        /// The cluster's directory.
        dir: PathBuf,
        /// Major version that made it.
        data: u32,
        /// Major versions that are installed, as a list for people.
        installed: String,
    },
    /// PostgreSQL refuses to run as root, and nobody else can reach the directory.
    #[error("PostgreSQL does not run as root, and {0}; name another folder with --data-dir, or start as another user")]
    Root(String),
    /// A directory or file that cannot be used.
    #[error("cannot use {}", path.display())]
    File {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// One of PostgreSQL's programs failed.
    #[error("{program} failed:\n{output}")]
    Program {
        /// Which.
        program: &'static str,
        /// The end of what it said.
        output: String,
    },
    /// Another process holds the cluster's lock and its database does not get ready, or it cannot
    /// be stopped.
    #[error("the database in {} does not get ready: {reason}", dir.display())]
    Stuck {
        /// The cluster's directory.
        dir: PathBuf,
        /// What was waited for.
        reason: String,
    },
    /// Asked for the address of a database that does not run.
    #[error("no server runs on {}: start one, or use `counterpart db psql`, which starts the database for its time", .0.display())]
    NotRunning(PathBuf),
    /// The database does not answer, or not as expected.
    #[error("the database at {place} cannot be used")]
    Connect {
        /// Which database, without secrets.
        place: String,
        /// Why.
        source: sqlx::Error,
    },
    /// A migration failed, or the database has ones that this build does not know.
    #[error("the database at {place} cannot be migrated")]
    Migrate {
        /// Which database, without secrets.
        place: String,
        /// Why.
        source: sqlx::migrate::MigrateError,
    },
}

/// An open database. Close it to stop a private cluster in good order; dropping it, or the death of
/// the process, stops the cluster too, only nobody waits for it.
#[derive(Debug)]
pub struct Database {
    /// The connections.
    pub pool: PgPool,
    cluster: Option<Cluster>,
}

impl Database {
    /// Where other processes of this machine find it, as a URL that may hold a password; the same settings opened
    /// it. It starts nothing: of a private cluster it is the address that it has now.
    #[must_use]
    pub fn url(&self, config: &Config) -> String {
        match &self.cluster {
            Some(cluster) => cluster.url(cluster::DATABASE),
            None => config.database_url().unwrap_or_default().to_owned(),
        }
    }

    /// Closes the connections and, when this process started it, stops the private cluster.
    pub async fn close(self) {
        self.pool.close().await;
        if let Some(cluster) = self.cluster {
            cluster.stop().await;
        }
    }
}

/// Finds or starts the database, fills the pool and applies the migrations.
pub async fn open(config: &Config) -> Result<Database, DbError> {
    let database = connect(config).await?;
    let place = database.cluster.as_ref().map_or_else(|| "DATABASE_URL".to_owned(), Cluster::place);
    MIGRATIONS.run(&database.pool).await.map_err(|source| DbError::Migrate { place, source })?;
    Ok(database)
}

/// As [`open`], but leaves the schema as it is.
async fn connect(config: &Config) -> Result<Database, DbError> {
    let (options, cluster, place) = if let Some(url) = config.database_url() {
        let options = pool::parse(url)?;
        let place = pool::describe(&options);
        tracing::info!(db.place = %place, "using the database of DATABASE_URL");
        (options, None, place)
    } else {
        let cluster = Cluster::open(config).await?;
        let place = cluster.place();
        if cluster.is_ours() {
            tracing::info!(db.place = %place, db.programs = %cluster.bin.display(), "started the private database; set DATABASE_URL to use a server of yours");
        } else {
            tracing::info!(db.place = %place, "joined the private database that another counterpart process runs");
        }
        (cluster.options(cluster::DATABASE), Some(cluster), place)
    };
    let timeout = Duration::from_millis(config.db_acquire_timeout_ms);
    let pool = pool::build(options, config.db_pool_size, timeout).await;
    match pool {
        Ok(pool) => Ok(Database { pool, cluster }),
        Err(source) => {
            if let Some(cluster) = cluster {
                cluster.stop().await;
            }
            Err(DbError::Connect { place, source })
        }
    }
}

/// A word of a shell's command.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

/// Whether a guarded update, whose condition names one row by its key, found it. `false` means
/// that the guard no longer holds: somebody else came first.
#[must_use]
pub fn touched_one(result: &PgQueryResult) -> bool {
    let rows = result.rows_affected();
    if rows > 1 {
        tracing::error!(db.rows = rows, "a guarded update touched several rows");
    }
    rows == 1
}

/// Whether an error means that the database is away or overloaded, rather than that we erred.
#[must_use]
pub fn is_away(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => true,
        // Class 57 is operator intervention, 53 insufficient resources, 08 connection trouble;
        // 25006 is a server that became read-only.
        sqlx::Error::Database(database) => database.code().is_some_and(|code| {
            code.starts_with("57") || code.starts_with("53") || code.starts_with("08") || code == "25006"
        }),
        _ => false,
    }
}
