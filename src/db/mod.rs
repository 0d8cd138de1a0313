//! The database: where it is, the pool, the migrations.
//!
//! Holds no SQL about the domain. The pool rolls back whatever a cancelled request may have left
//! open in a session before the session is used again (sqlx 0.9.0 otherwise loses acknowledged
//! writes, transact-rs/sqlx 4385).

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
