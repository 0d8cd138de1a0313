//! One request to a server over HTTP/1.1, plain or encrypted. Whoever shows a certificate that is not believed
//! is told nothing, the key least of all.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::access::Secret;
use crate::web::tls::{Connection, TrustError, connector};

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
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error("cannot be believed: {0}")]
    Tls(std::io::Error),
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
        (Some("http" | "https"), Some(_)) => Ok(uri),
        _ => Err("must begin with http:// or https:// and name a host".to_owned()),
    }
}

/// Whether an address asks for encryption.
fn is_encrypted(server: &Uri) -> bool {
    server.scheme_str() == Some("https")
}

/// Posts a document below the address of a server. Certificates may be signed with those of the file `ca`, too.
pub(super) async fn post(
    server: &Uri,
    ca: Option<&Path>,
    path: &str,
    key: Option<&Secret>,
    document: &Value,
) -> Result<Answer, ClientError> {
    let host = server.host().unwrap_or_default();
    let port = server.port_u16().unwrap_or(if is_encrypted(server) { 443 } else { 80 });
    let stream = tokio::time::timeout(CONNECTING, connect(server, (host, port), ca)).await;
    let stream = stream.map_err(|_| ClientError::Late)??;
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

async fn connect(
    server: &Uri,
    (host, port): (&str, u16),
    ca: Option<&Path>,
) -> Result<Box<dyn Connection>, ClientError> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    // What cannot be believed need not be reached.
    let tls = if is_encrypted(server) { Some(connector(ca.map(Path::to_owned)).await?) } else { None };
    let stream = TcpStream::connect((bare, port)).await.map_err(ClientError::Connect)?;
    let Some(tls) = tls else { return Ok(Box::new(stream)) };
    let name = ServerName::try_from(bare.to_owned()).map_err(|error| ClientError::Tls(std::io::Error::other(error)))?;
    Ok(Box::new(tls.connect(name, stream).await.map_err(ClientError::Tls)?))
}

async fn exchange(stream: Box<dyn Connection>, request: Request<Full<Bytes>>) -> Result<Answer, ClientError> {
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
    fn addresses_of_servers_are_http_or_https() {
        for right in ["http://127.0.0.1:8080", "http://localhost", "http://[::1]:80/twin/"] {
            assert!(!is_encrypted(&server(right).unwrap()));
        }
        for right in ["https://localhost", "https://[::1]/twin/", "HTTPS://twin.example:8443"] {
            assert!(is_encrypted(&server(right).unwrap()), "{right}");
        }
        for wrong in ["https://", "localhost:8080", "/v1", "", "ftp://localhost"] {
            assert!(server(wrong).is_err(), "{wrong:?} was taken");
        }
    }
}
