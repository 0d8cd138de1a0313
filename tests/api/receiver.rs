//! A receiver of webhooks of a test's own: a real server on a real port that does as it is told.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response, Uri};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_rustls::{TlsAcceptor, rustls};

/// What it was sent.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// How it answers.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

#[derive(Default)]
struct Script {
    replies: VecDeque<Reply>,
    heard: Vec<Heard>,
}

/// Answers 200, unless replies were laid out for it.
#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    script: Arc<Mutex<Script>>,
    /// Permits to answer; a receiver that hangs has none.
    gate: Arc<Semaphore>,
    count: watch::Sender<usize>,
}

impl Reply {
    pub(crate) fn of(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: format!("said {status}") }
    }
}

impl Heard {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Which of the signatures is that of a secret, as a receiver would check it.
    pub(crate) fn is_signed_with(&self, secret: &str) -> bool {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        let mut signed = format!("{}.{}.", self.header("webhook-id"), self.header("webhook-timestamp")).into_bytes();
        signed.extend_from_slice(&self.body);
        self.header("webhook-signature").split(' ').any(|signature| {
            let code = STANDARD.decode(signature.strip_prefix("v1,").unwrap()).unwrap();
            let mut expected = Hmac::<sha2::Sha256>::new_from_slice(&key).unwrap();
            expected.update(&signed);
            expected.verify_slice(&code).is_ok()
        })
    }
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        Self::answering(Semaphore::MAX_PERMITS).await
    }

    /// One that takes connections and requests, and says nothing.
    pub(crate) async fn hanging() -> Self {
        Self::answering(0).await
    }

    async fn answering(permits: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let script = Arc::default();
        let receiver = Self { address, script, gate: Arc::new(Semaphore::new(permits)), count: watch::channel(0).0 };
        let router = Router::new().fallback(Self::hear).with_state(receiver.clone());
        tokio::spawn(async move { axum_serve(listener, router).await });
        receiver
    }

    async fn hear(State(receiver): State<Self>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response<Body> {
        let reply = {
            let mut script = receiver.script.lock().unwrap();
            script.heard.push(Heard { path: uri.to_string(), headers, body });
            script.replies.pop_front().unwrap_or_else(|| Reply::of(200))
        };
        receiver.count.send_modify(|count| *count += 1);
        drop(receiver.gate.acquire().await.unwrap());
        let response = reply.headers.iter().fold(Response::builder(), |r, (name, value)| r.header(*name, value));
        response.status(reply.status).body(Body::from(reply.body)).unwrap()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Lays out the next replies.
    pub(crate) fn reply(&self, replies: impl IntoIterator<Item = Reply>) {
        self.script.lock().unwrap().replies.extend(replies);
    }

    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.script.lock().unwrap().heard.clone()
    }

    /// Waits until it was asked so often.
    pub(crate) async fn hears(&self, count: usize) -> Vec<Heard> {
        let mut seen = self.count.subscribe();
        let enough = seen.wait_for(|seen| *seen >= count);
        let enough = tokio::time::timeout(std::time::Duration::from_secs(20), enough).await;
        enough.unwrap_or_else(|_| panic!("heard {} of {count}", self.heard().len())).unwrap();
        self.heard()
    }
}

/// What axum's own server would do, for whoever connects.
pub(crate) async fn axum_serve(listener: TcpListener, router: Router) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        tokio::spawn(one_connection(stream, router.clone()));
    }
}

pub(crate) async fn one_connection<S>(stream: S, router: Router)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
{
    let service = hyper_util::service::TowerToHyperService::new(router);
    let connection = hyper::server::conn::http1::Builder::new();
    // A client that leaves is no fault.
    drop(connection.serve_connection(hyper_util::rt::TokioIo::new(stream), service).await);
}

/// What speaks TLS as `localhost` with a certificate of its own, which is written to a file.
pub(crate) fn certified(folder: &Path) -> (TlsAcceptor, PathBuf) {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let file = folder.join("ca.pem");
    std::fs::write(&file, own.cert.pem()).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), file)
}
