//! One request to a receiver. It goes to an address that was checked, follows no redirect, and of the answer
//! only the beginning is read.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use url::Host;

use super::guard::{Guard, Refused, Target};
use crate::web::tls::{Connection, TrustError, connector};

/// Bytes of an answer that are kept.
pub(super) const MAX_ANSWER: usize = 1024;
const AGENT: &str = concat!("counterpart/", env!("CARGO_PKG_VERSION"));

/// How long a receiver is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// For a connection, its name and its encryption.
    pub(super) connecting: Duration,
    /// For everything.
    pub(super) whole: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { connecting: Duration::from_secs(5), whole: Duration::from_secs(10) }
    }
}

/// What is sent.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) id: String,
    /// Seconds since 1970.
    pub(super) timestamp: i64,
    /// `v1,...`, one for each secret, with blanks between.
    pub(super) signatures: String,
    pub(super) body: String,
}

/// What a receiver said.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// The beginning of the body.
    pub(super) text: String,
    /// Seconds that it asks to be left alone.
    pub(super) retry_after_s: Option<i64>,
}

/// Why there is no answer. The texts are for the admin who registered the receiver.
#[derive(Debug, thiserror::Error)]
pub(super) enum PostError {
    #[error("the address {0}")]
    Refused(#[from] Refused),
    #[error("no connection within {} s", .0.as_secs())]
    SlowConnection(Duration),
    #[error("no answer within {} s", .0.as_secs())]
    SlowAnswer(Duration),
    #[error("cannot be reached: {0}")]
    Connect(io::Error),
    #[error("the encryption failed: {0}")]
    Tls(io::Error),
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error("does not speak HTTP as it should: {0}")]
    Http(#[from] hyper::Error),
}

/// Sends requests.
#[derive(Clone, Debug, Default)]
pub(super) struct Postman {
    pub(super) guard: Guard,
    pub(super) patience: Patience,
    /// Certificates that are trusted beside those of the system.
    pub(super) trusted: Option<PathBuf>,
    tls: Arc<OnceCell<Tls>>,
}

#[derive(Clone)]
struct Tls(TlsConnector);

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

impl Postman {
    /// One that trusts the certificates of a file beside those of the system.
    pub(super) fn new(guard: Guard, trusted: Option<PathBuf>) -> Self {
        Self { guard, trusted, ..Self::default() }
    }

    /// Refuses an address that nothing would be sent to.
    pub(super) async fn check(&self, url: &str) -> Result<(), Refused> {
        let target = self.guard.target(url)?;
        let found = tokio::time::timeout(self.patience.connecting, self.guard.addresses(&target)).await;
        found.map_err(|_| Refused::Unresolved(target.host.to_string()))?.map(drop)
    }

    /// Posts a message.
    pub(super) async fn post(&self, url: &str, message: Message) -> Result<Answer, PostError> {
        let target = self.guard.target(url)?;
        let exchange = async {
            let connected = tokio::time::timeout(self.patience.connecting, self.connect(&target)).await;
            let stream = connected.map_err(|_| PostError::SlowConnection(self.patience.connecting))??;
            exchange(stream, request(&target, message)).await
        };
        let answered = tokio::time::timeout(self.patience.whole, exchange).await;
        answered.map_err(|_| PostError::SlowAnswer(self.patience.whole))?
    }

    async fn connect(&self, target: &Target) -> Result<Box<dyn Connection>, PostError> {
        let addresses = self.guard.addresses(target).await?;
        let stream = first(&addresses).await.map_err(PostError::Connect)?;
        if !target.tls {
            return Ok(Box::new(stream));
        }
        let name = match &target.host {
            Host::Domain(name) => ServerName::try_from(name.clone()).map_err(|_| Refused::Syntax)?,
            Host::Ipv4(address) => ServerName::from(std::net::IpAddr::V4(*address)),
            Host::Ipv6(address) => ServerName::from(std::net::IpAddr::V6(*address)),
        };
        let own = async || connector(self.trusted.clone()).await.map(Tls);
        let Tls(tls) = self.tls.get_or_try_init(own).await?;
        Ok(Box::new(tls.connect(name, stream).await.map_err(PostError::Tls)?))
    }
}

/// The first address that takes a connection.
async fn first(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn request(target: &Target, message: Message) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(Bytes::from(message.body)));
    *request.method_mut() = hyper::Method::POST;
    // A URL that was read is a valid address.
    *request.uri_mut() = target.path.parse().unwrap_or_default();
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    let mut put = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    put(HOST, &target.authority);
    put(HeaderName::from_static("webhook-id"), &message.id);
    put(HeaderName::from_static("webhook-timestamp"), &message.timestamp.to_string());
    put(HeaderName::from_static("webhook-signature"), &message.signatures);
    request
}

async fn exchange(stream: Box<dyn Connection>, request: Request<Full<Bytes>>) -> Result<Answer, PostError> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // Ends when it is dropped: with the answer, or with whoever no longer waits for it.
    let connection = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(connection));
    let response = sender.send_request(request).await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = beginning(response).await;
    drop(connection);
    let retry_after_s = number(&headers, &RETRY_AFTER);
    Ok(Answer { status, text, retry_after_s })
}

fn number(headers: &HeaderMap, name: &HeaderName) -> Option<i64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// The beginning of a body, as text that a database takes. One that breaks off is as long as it is.
async fn beginning(response: Response<Incoming>) -> String {
    let mut body = response.into_body();
    let mut bytes = Vec::with_capacity(MAX_ANSWER);
    while bytes.len() < MAX_ANSWER {
        let Some(Ok(frame)) = body.frame().await else { break };
        if let Ok(data) = frame.into_data() {
            bytes.extend_from_slice(&data[..data.len().min(MAX_ANSWER - bytes.len())]);
        }
    }
    let mut text = String::from_utf8_lossy(&bytes).replace('\0', "\u{fffd}");
    // A character that was replaced is longer than what it stands for.
    text.truncate(text.floor_char_boundary(MAX_ANSWER));
    text
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    fn postman() -> Postman {
        let networks = vec!["127.0.0.0/8".parse().unwrap()];
        Postman { guard: Guard { allow_http: true, networks, ..Guard::default() }, ..Postman::default() }
    }

    fn message() -> Message {
        Message { id: "1".to_owned(), timestamp: 2, signatures: "v1,3".to_owned(), body: "{}".to_owned() }
    }

    /// A receiver that answers its first connection with these bytes, then says what it was sent.
    async fn receiver(answer: Vec<u8>) -> (String, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook?a=b", listener.local_addr().unwrap());
        let task = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut heard = vec![0; 4096];
            let count = stream.read(&mut heard).await.unwrap();
            stream.write_all(&answer).await.unwrap();
            if answer.is_empty() {
                // Says nothing until the other side leaves.
                drop(stream.read(&mut [0; 64]).await);
            }
            String::from_utf8_lossy(&heard[..count]).into_owned()
        });
        (url, task)
    }

    #[tokio::test]
    async fn a_request_carries_what_the_standard_asks_for() {
        let (url, heard) = receiver(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()).await;
        let answer = postman().post(&url, message()).await.unwrap();
        assert_eq!(answer, Answer { status: 204, text: String::new(), retry_after_s: None });
        let heard = heard.await.unwrap();
        assert!(heard.starts_with("POST /hook?a=b HTTP/1.1\r\n"), "{heard}");
        let host = url.split('/').nth(2).unwrap();
        for line in [
            &format!("host: {host}"),
            "content-type: application/json",
            "webhook-id: 1",
            "webhook-timestamp: 2",
            "webhook-signature: v1,3",
            "content-length: 2",
            "user-agent: counterpart/0.1.0",
        ] {
            assert!(heard.to_lowercase().contains(&format!("\r\n{line}\r\n")), "{line} is not in {heard}");
        }
    }

    #[tokio::test]
    async fn an_answer_without_end_is_cut() {
        let mut endless = b"HTTP/1.1 429 Slow Down\r\nretry-after: 7\r\ncontent-length: 900000\r\n\r\n\0\xff".to_vec();
        endless.extend(std::iter::repeat_n(b'x', 5_000));
        let (url, _) = receiver(endless).await;
        let answer = postman().post(&url, message()).await.unwrap();
        assert_eq!((answer.status, answer.retry_after_s), (429, Some(7)));
        assert!(answer.text.len() <= MAX_ANSWER && answer.text.starts_with("\u{fffd}\u{fffd}xxx"), "{answer:?}");
    }

    #[tokio::test]
    async fn silence_and_refusals_are_told_apart() {
        let patience = Patience { connecting: Duration::from_secs(5), whole: Duration::from_millis(100) };
        let (url, silent) = receiver(Vec::new()).await;
        let hurried = Postman { patience, ..postman() };
        assert!(matches!(hurried.post(&url, message()).await, Err(PostError::SlowAnswer(_))));
        silent.await.unwrap();
        // The listener is gone.
        assert!(matches!(postman().post(&url, message()).await, Err(PostError::Connect(_))));
        let (url, _) = receiver(b"SSH-2.0-OpenSSH_9.9\r\n".to_vec()).await;
        assert!(matches!(postman().post(&url, message()).await, Err(PostError::Http(_))));
        let strict = Postman::default();
        assert!(matches!(strict.post(&url, message()).await, Err(PostError::Refused(Refused::Plain))));
        let nowhere = Postman { trusted: Some("/none.pem".into()), ..postman() };
        let (url, _) = receiver(Vec::new()).await;
        let encrypted = url.replace("http:", "https:");
        assert!(matches!(nowhere.post(&encrypted, message()).await, Err(PostError::Trust { .. })));
    }
}
