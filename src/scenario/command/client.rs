//! One request to a server, over plain HTTP/1.1.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::access::Secret;

/// How long a connection may take to be made.
const CONNECTING: Duration = Duration::from_secs(5);
/// How long the whole answer may take; the server itself gives up earlier.
const ANSWERING: Duration = Duration::from_mins(1);
/// Bytes of an answer at most.
const MAX_ANSWER: usize = 256 << 20;

/// What the server said.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    #[error("cannot be reached: {0}")]
    Connect(std::io::Error),
    #[error("did not answer in time")]
    Late,
    #[error("does not speak HTTP as it should: {0}")]
    Http(#[from] hyper::Error),
    #[error("gave no whole answer")]
    Body,
}

/// An address of a server from the command line.
pub(super) fn server(text: &str) -> Result<Uri, String> {
    let uri: Uri = text.parse().map_err(|error| format!("{error}"))?;
    match (uri.scheme_str(), uri.host()) {
        (Some("http"), Some(_)) => Ok(uri),
        (Some("https"), _) => {
            Err("https is not spoken here; name the server itself, or a proxy that takes plain HTTP".to_owned())
        }
        _ => Err("must begin with http:// and name a host".to_owned()),
    }
}

/// Posts a document below the address of a server.
pub(super) async fn post(
    server: &Uri,
    path: &str,
    key: Option<&Secret>,
    document: &Value,
) -> Result<Answer, ClientError> {
    let host = server.host().unwrap_or_default();
    let port = server.port_u16().unwrap_or(80);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let stream = tokio::time::timeout(CONNECTING, TcpStream::connect((bare, port))).await;
    let stream = stream.map_err(|_| ClientError::Late)?.map_err(ClientError::Connect)?;
    let prefix = server.path().trim_end_matches('/');
    let mut request = Request::post(format!("{prefix}{path}"))
        .header(HOST, format!("{host}:{port}"))
        .header(CONTENT_TYPE, "application/json")
        .header(ACCEPT, "application/json");
    if let Some(key) = key {
        request = request.header(AUTHORIZATION, format!("Bearer {}", key.reveal()));
    }
    let request = request.body(Full::new(Bytes::from(document.to_string()))).map_err(|_| ClientError::Body)?;
    tokio::time::timeout(ANSWERING, exchange(stream, request)).await.map_err(|_| ClientError::Late)?
}

async fn exchange(stream: TcpStream, request: Request<Full<Bytes>>) -> Result<Answer, ClientError> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // Ends with the connection, at the latest when the sender is dropped.
    let connection = tokio::spawn(connection);
    let response = sender.send_request(request).await?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await.map_err(|_| ClientError::Body)?;
    connection.abort();
    Ok(Answer { status, body: body.to_bytes() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_servers_are_plain_http() {
        for right in ["http://127.0.0.1:8080", "http://localhost", "http://[::1]:80/twin/"] {
            server(right).unwrap();
        }
        for wrong in ["https://localhost", "localhost:8080", "/v1", "", "ftp://localhost"] {
            assert!(server(wrong).is_err(), "{wrong:?} was taken");
        }
    }
}
