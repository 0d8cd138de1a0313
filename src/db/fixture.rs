//! Databases for tests: one cluster per test process, a migrated template, a clone per test.
//!
//! The cluster lies in the temporary directory, forces nothing to the disk, and ends with the test
//! process however that ends. For tests only: nothing in the server uses it.

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgPool};
use tokio::sync::{Mutex, OnceCell};

use super::cluster::{Cluster, blocking};
use super::{Config, MIGRATIONS, pool};

/// The connections that one test gets.
const POOL_SIZE: u32 = 8;
/// Tests wait for a connection longer than requests do: their machine may be busy.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
/// Cloning the template needs it alone; counts the clones.
static CLONES: Mutex<u32> = Mutex::const_new(0);

/// A migrated database of a test's own.
#[derive(Clone, Debug)]
pub struct Fixture {
    /// Connections to it, set up and guarded as the server's.
    pub pool: PgPool,
    /// Its address, for `DATABASE_URL` of a server under test.
    pub url: String,
}

/// A new migrated database. Panics when there is none to be had: the test cannot go on.
pub async fn fresh() -> Fixture {
    let (options, url) = create("template counterpart_template").await;
    let pool = pool::build(options, POOL_SIZE, PATIENCE).await.expect("the test's database takes connections");
    Fixture { pool, url }
}

/// A new database without any migration.
pub async fn empty() -> Fixture {
    let (options, url) = create("").await;
    let pool = pool::build(options, POOL_SIZE, PATIENCE).await.expect("the test's database takes connections");
    Fixture { pool, url }
}

async fn create(template: &str) -> (PgConnectOptions, String) {
    let cluster = CLUSTER.get_or_init(start).await;
    let mut clones = CLONES.lock().await;
    *clones += 1;
    let name = format!("test_{clones}");
    let mut connection = cluster.options("postgres").connect().await.expect("the tests' cluster answers");
    // Names of databases cannot be parameters; these are made of a counter and two constants.
    sqlx::query(AssertSqlSafe(format!("create database {name} {template}")))
        .execute(&mut connection)
        .await
        .expect("the tests' cluster makes a database");
    drop(connection.close().await);
    (cluster.options(&name), cluster.url(&name))
}

async fn start() -> Cluster {
    let config = Config {
        database_url: None,
        data_dir: None,
        db_bin: std::env::var_os("COUNTERPART_DB_BIN").map(Into::into),
        db_pool_size: POOL_SIZE,
        db_acquire_timeout_ms: 30_000,
    };
    let name = format!("counterpart-test-{}", std::process::id());
    let cluster = blocking(move || Cluster::passing(&config, &name)).await.expect("a cluster for the tests starts");
    let mut connection = cluster.options("postgres").connect().await.expect("the tests' cluster answers");
    sqlx::query("create database counterpart_template").execute(&mut connection).await.expect("the template is made");
    drop(connection.close().await);
    let mut template = cluster.options("counterpart_template").connect().await.expect("the template answers");
    MIGRATIONS.run(&mut template).await.expect("the migrations apply");
    template.close().await.expect("nobody else uses the template");
    cluster
}
