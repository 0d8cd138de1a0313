//! Connections: how they are taken, and how they end.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Config, END};

/// A connection that sends no whole request head for so long is closed.
const HEAD: Duration = Duration::from_secs(5);
/// More headers than we take, so that the refusal is ours and a problem document.
const MAX_HEADERS: usize = 256;
/// After an error of the listener, such as too many open files.
const PAUSE: Duration = Duration::from_millis(50);

/// Serves until `end`, then finishes the requests in work, for [`END`] at most.
pub async fn serve(listener: TcpListener, router: Router, config: &Config, end: CancellationToken) {
    let builder = builder();
    let graceful = GracefulShutdown::new();
    let permits = Arc::new(Semaphore::new(config.max_connections as usize));
    let mut connections = JoinSet::new();
    loop {
        let accept = async {
            let permit = Arc::clone(&permits).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, stream) = tokio::select! {
            () = end.cancelled() => break,
            // Takes the finished ones out, so that the set does not grow.
            Some(_) = connections.join_next() => continue,
            (permit, accepted) = accept => match accepted {
                Ok((stream, _)) => (permit, stream),
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "cannot take a connection");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            },
        };
        prepare(&stream);
        let service = TowerToHyperService::new(router.clone());
        let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
        let connection = graceful.watch(connection);
        connections.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(error, "a connection broke");
            }
            drop(permit);
        });
    }
    drop(listener);
    tracing::info!(connections = connections.len(), "finishing requests");
    if tokio::time::timeout(END, graceful.shutdown()).await.is_err() {
        tracing::warn!(connections = connections.len(), "cutting connections that did not finish");
    }
    connections.shutdown().await;
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD).max_headers(MAX_HEADERS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10))
        .max_concurrent_streams(128)
        .max_header_list_size(64 << 10);
    builder
}

fn prepare(stream: &TcpStream) {
    // Small answers and events go out at once. Failing is no harm.
    drop(stream.set_nodelay(true));
}
