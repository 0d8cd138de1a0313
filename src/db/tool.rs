//! `counterpart db`: the address of the database, and psql on it.

use std::process::Stdio;

use super::cluster::{Cluster, DATABASE};
use super::{Config, DbError};

/// The URL of the database: `DATABASE_URL`, or that of the private cluster that a server runs now.
pub async fn url(config: &Config) -> Result<String, DbError> {
    if let Some(url) = config.database_url() {
        return Ok(url.to_owned());
    }
    Ok(Cluster::running(config).await?.url(DATABASE))
}

/// Runs psql on the database with the given arguments and returns its exit code. A private cluster
/// that nobody runs is started for the time.
pub async fn psql(config: &Config, arguments: &[String]) -> Result<i32, DbError> {
    let (program, url, cluster) = if let Some(url) = config.database_url() {
        ("psql".into(), url.to_owned(), None)
    } else {
        let cluster = Cluster::open(config).await?;
        let own = cluster.bin.join("psql");
        // The npm fallback brings the server without psql.
        let program = if own.exists() { own } else { "psql".into() };
        (program, cluster.url(DATABASE), Some(cluster))
    };
    let status = tokio::process::Command::new(&program)
        .arg(url)
        .args(arguments)
        .stdin(Stdio::inherit())
        .status()
        .await
        .map_err(|source| DbError::File { path: program, source });
    if let Some(cluster) = cluster {
        cluster.stop().await;
    }
    Ok(status?.code().unwrap_or(1))
}
