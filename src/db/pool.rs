//! Connections: how a session is set up, and how it is cleaned before its next use.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, Executor as _, PgPool};

use super::DbError;

/// What every session begins with. Notices are off because the rollback after each use of a
/// connection would make one; a transaction that somebody forgot ends after ten seconds.
const SESSION: &str = "set client_min_messages = error; \
     set idle_in_transaction_session_timeout = '10s'; \
     set timezone = 'UTC'";

/// A connection that answered so short a time ago is not asked whether it still lives.
const TRUSTED: Duration = Duration::from_secs(1);

/// Reads the user's URL.
pub(super) fn parse(url: &str) -> Result<PgConnectOptions, DbError> {
    let options: PgConnectOptions =
        url.parse().map_err(|source| DbError::Connect { place: "DATABASE_URL".to_owned(), source })?;
    Ok(options.application_name("counterpart"))
}

/// The server and database that options name, without user and password.
pub(super) fn describe(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or_else(|| options.get_username());
    match options.get_socket() {
        Some(socket) => format!("{}/{database}", socket.display()),
        None => format!("{}:{}/{database}", options.get_host(), options.get_port()),
    }
}

/// A pool whose sessions are set up and guarded, with one connection made now so that a wrong
/// address shows at once.
pub(super) async fn build(
    options: PgConnectOptions,
    size: u32,
    acquire_timeout: Duration,
) -> Result<PgPool, sqlx::Error> {
    PgPoolOptions::new()
        .max_connections(size)
        .acquire_timeout(acquire_timeout)
        // sqlx would ask every connection whether it lives before each use: a round trip that a
        // connection which answered a moment ago does not need.
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for > TRUSTED {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .after_connect(|connection, _| Box::pin(async move { connection.execute(SESSION).await.map(|_| ()) }))
        // A request that is cancelled inside `begin` leaves its session in a transaction that nobody
        // will commit; without this the next user's writes would be part of it and vanish.
        .after_release(|connection, _| Box::pin(async move { connection.execute("rollback").await.map(|_| true) }))
        .connect_with(options)
        .await
}
