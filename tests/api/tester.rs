//! A server of a test's own, spoken to in the words of the domain.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use counterpart::access::{KeyForm, Role};
use counterpart::backtest::{self, Bench};
use counterpart::clock::Clock;
use counterpart::db::fixture::{self, Fixture};
use counterpart::forecast::refresher::Refresher;
use counterpart::server::{self, Config, Rooms, RoomsConfig};
use counterpart::training::teacher::Teacher;
use counterpart::training::{Step, Worker};
use reqwest::{Method, RequestBuilder, StatusCode, header};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// When tests begin.
pub(crate) const START: &str = "2026-11-24T12:00:00Z";

/// A server with an empty database. Ends when it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// Stands at [`START`] until it is moved.
    pub(crate) clock: Clock,
    /// Ends the server.
    pub(crate) end: CancellationToken,
    pub(crate) db: Fixture,
    pub(crate) task: tokio::task::JoinHandle<()>,
    /// Its rooms; nothing works in the background unless a test says so.
    pub(crate) rooms: Rooms,
    client: reqwest::Client,
}

/// What the server said.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: header::HeaderMap,
    pub(crate) text: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_with(Config::default()).await
    }

    pub(crate) async fn start_with(config: Config) -> Self {
        Self::start_on(config, fixture::fresh().await).await
    }

    /// A server on a database that others may use too.
    pub(crate) async fn start_on(config: Config, db: Fixture) -> Self {
        Self::start_with_rooms(config, db, &RoomsConfig::default()).await
    }

    /// The same with settings of its rooms.
    pub(crate) async fn start_with_rooms(config: Config, db: Fixture, settings: &RoomsConfig) -> Self {
        let clock = Clock::manual(START.parse::<DateTime<Utc>>().unwrap());
        let end = CancellationToken::new();
        let rooms = Rooms::new(db.pool.clone(), clock.clone(), end.clone(), settings).unwrap();
        let listener = server::bind(&config).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (router, stop) = (server::router(&rooms, &config), end.clone());
        let task = tokio::spawn(async move { server::serve(listener, router, &config, stop).await });
        let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
        Self { address, clock, end, db, task, rooms, client }
    }

    /// The address of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.url(path))
    }

    /// A request with a key.
    pub(crate) fn with_key(&self, method: Method, path: &str, key: &str) -> RequestBuilder {
        self.request(method, path).bearer_auth(key)
    }

    /// Makes a key straight in the database, as the command line does.
    pub(crate) async fn key(&self, role: Role) -> String {
        let form = KeyForm { name: format!("the {}'s", role.name()), role, expires_at: None };
        self.rooms.access.create(form).await.unwrap().1.reveal().to_owned()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::to(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        Answer::to(self.request(Method::POST, path).json(&body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        Answer::to(self.request(Method::PUT, path).json(&body)).await
    }

    /// Sends a merge patch, for the version of `tag` if there is one.
    pub(crate) async fn patch(&self, path: &str, tag: Option<&str>, body: Value) -> Answer {
        let mut request = self
            .request(Method::PATCH, path)
            .header(header::CONTENT_TYPE, "application/merge-patch+json")
            .body(body.to_string());
        if let Some(tag) = tag {
            request = request.header(header::IF_MATCH, tag);
        }
        Answer::to(request).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        Answer::to(self.request(Method::DELETE, path)).await
    }

    /// Makes an asset of the type `tank`, which is made if need be.
    pub(crate) async fn asset(&self, key: &str) -> Value {
        self.post("/v1/asset-types", tank("tank")).await.success();
        self.post("/v1/assets", json!({"key": key, "type": "tank"})).await.success()
    }

    /// One round of the twins' own forecasts: how many were made.
    pub(crate) async fn forecast_once(&self) -> usize {
        Refresher::new(self.rooms.forecasts.clone()).step().await.unwrap()
    }

    /// All alarms, once every rule has been evaluated on what is there.
    pub(crate) async fn alarms(&self) -> Vec<Value> {
        while self.rooms.alarms.watch().await.unwrap() > 0 {}
        self.get("/v1/alarms").await.success()["items"].as_array().unwrap().clone()
    }

    /// One unit of a training worker's work.
    pub(crate) async fn learn_once(&self) -> Step {
        Worker::new(self.rooms.training.clone(), Arc::new(Teacher::default()), self.end.clone()).step().await.unwrap()
    }

    /// One unit of a backtest worker's work.
    pub(crate) async fn backtest_once(&self) -> backtest::Step {
        self.backtest_worker().step().await.unwrap()
    }

    /// A worker on backtests; ends with the server.
    pub(crate) fn backtest_worker(&self) -> backtest::Worker {
        backtest::Worker::new(self.rooms.backtests.clone(), Arc::new(Bench), self.end.clone())
    }

    /// Sends bytes as they are and reads until the server closes.
    pub(crate) async fn raw(&self, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        // A server that refuses a request early may reset the connection: what came before counts.
        drop(tokio::time::timeout(Duration::from_secs(15), stream.read_to_end(&mut answer)).await.expect("it closes"));
        String::from_utf8_lossy(&answer).into_owned()
    }
}

impl Answer {
    pub(crate) async fn to(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        Self { status, headers, text: response.text().await.unwrap() }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// The body of a 2xx.
    #[track_caller]
    pub(crate) fn success(&self) -> Value {
        assert!(self.status.is_success(), "{self:?}");
        self.json()
    }

    pub(crate) fn header(&self, name: impl header::AsHeaderName) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    pub(crate) fn tag(&self) -> &str {
        self.header(header::ETAG)
    }

    /// The pointers of a problem of this status and slug.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, slug: &str) -> Vec<String> {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        assert_eq!(self.header(header::CONTENT_TYPE), "application/problem+json", "{self:?}");
        let body = self.json();
        assert_eq!(body["type"], format!("/problems/{slug}"), "{self:?}");
        assert_eq!(body["status"], status, "{self:?}");
        for member in ["title", "detail"] {
            assert!(body[member].as_str().is_some_and(|text| !text.is_empty()), "{self:?}");
        }
        let errors = body["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().map(|error| error["pointer"].as_str().unwrap().to_owned()).collect()
    }
}

/// A type with one signal of each role.
pub(crate) fn tank(key: &str) -> Value {
    json!({
        "key": key, "interval": "PT1S", "health_classes": ["healthy", "leaking"],
        "signals": [
            {"name": "pump", "unit": "%", "role": "control_input", "min": 0.0, "max": 100.0, "max_rate": 10.0},
            {"name": "ambient", "unit": "Cel", "role": "disturbance"},
            {"name": "level", "unit": "m", "role": "output", "min": 0.0, "max": 10.0},
            {"name": "valve", "kind": "enum", "labels": ["shut", "open"], "role": "state"},
        ],
        "attributes": [
            {"name": "volume", "kind": "number", "unit": "m3"},
            {"name": "maker"},
        ],
    })
}
