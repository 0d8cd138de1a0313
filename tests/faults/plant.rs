//! A server that only serves, and one asset with history for workers elsewhere to learn.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use counterpart::clock::Clock;
use counterpart::db::fixture::{self, Fixture};
use counterpart::server::{self, Config, Rooms, RoomsConfig};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

/// Longer than any job on a busy machine.
const PATIENCE: Duration = Duration::from_mins(8);
const FRAMES: usize = 1_200;
const NOW: &str = "2026-11-24T12:00:00Z";

pub(crate) struct Plant {
    address: SocketAddr,
    end: CancellationToken,
    pub(crate) db: Fixture,
    client: reqwest::Client,
}

impl Drop for Plant {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

impl Plant {
    pub(crate) async fn new() -> Self {
        let db = fixture::fresh().await;
        let end = CancellationToken::new();
        let clock = Clock::manual(NOW.parse::<DateTime<Utc>>().expect("an instant"));
        let rooms = Rooms::new(db.pool.clone(), clock, end.clone(), &RoomsConfig::default()).expect("the base model");
        let config = Config::default();
        let listener = server::bind(&config).await.expect("a free port");
        let address = listener.local_addr().expect("a bound port has an address");
        let (router, stop) = (server::router(&rooms, &config), end.clone());
        tokio::spawn(async move { server::serve(listener, router, &config, stop).await });
        let plant = Self { address, end, db, client: reqwest::Client::new() };
        plant.fill().await;
        // The first answer fits what later ones find fitted.
        plant.forecast().await;
        plant
    }

    async fn fill(&self) {
        let signal = |name: &str, role: &str| json!({"name": name, "unit": "1", "kind": "number", "role": role});
        let kind = json!({"key": "tank", "interval": "PT1S",
            "signals": [signal("pump", "control_input"), signal("level", "output")]});
        self.post("/v1/asset-types", &kind).await;
        self.post("/v1/assets", &json!({"key": "tank-1", "type": "tank"})).await;
        let frames = frames();
        for chunk in frames.chunks(1_000) {
            self.post("/v1/assets/tank-1/telemetry", &json!(chunk)).await;
        }
    }

    /// Asks for a job that learns for some seconds: its id.
    pub(crate) async fn ask(&self) -> String {
        let recipe = json!({"max_steps": 120, "evaluate_every": 10, "batch": 16, "patience": 12, "seed": 7});
        let job = self.post("/v1/fine-tune-jobs", &json!({"asset": "tank-1", "recipe": recipe})).await;
        job["id"].as_str().expect("a job has an id").to_owned()
    }

    pub(crate) async fn job(&self, id: &str) -> Value {
        let answer = self.client.get(format!("http://{}/v1/fine-tune-jobs/{id}", self.address)).send().await;
        answer.expect("the server answers").json().await.expect("JSON")
    }

    /// What what serves says of the newest state: every number of every quantile, as it was written.
    pub(crate) async fn forecast(&self) -> Value {
        let answer = self.post("/v1/assets/tank-1/predict", &json!({"horizon": 30})).await;
        json!([answer["model"]["version"], answer["signals"]])
    }

    /// Waits until something is so of a job.
    pub(crate) async fn until(&self, id: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let job = self.job(id).await;
            if is_so(&job) {
                return job;
            }
            assert!(begun.elapsed() < PATIENCE, "never {what}: {job}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// A job was done once, whatever befell its workers: one version, and at most one promotion, which serves.
    pub(crate) async fn done_once(&self, id: &str) -> Value {
        let job = self.until(id, "done", |job| ["succeeded", "failed"].contains(&text(job, "status"))).await;
        assert_eq!((text(&job, "status"), &job["model_version"]), ("succeeded", &json!(1)), "{job}");
        let promoted = job["verdict"]["promoted"].as_bool().expect("a verdict");
        let (versions, crowned) = counts(&self.db.pool).await;
        assert_eq!((versions, crowned), (1, i64::from(promoted)), "{job}");
        job
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let url = format!("http://{}{path}", self.address);
        let answer = self.client.post(url).json(body).send().await.expect("the server answers");
        let status = answer.status();
        let body = answer.text().await.unwrap_or_default();
        assert!(status.is_success(), "{path}: {status} {body}");
        serde_json::from_str(&body).expect("JSON")
    }
}

/// A member that is text.
pub(crate) fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

/// Versions, and those of them that serve.
pub(crate) async fn counts(db: &PgPool) -> (i64, i64) {
    sqlx::query_as("select (select count(*) from model_version), (select count(model_id) from champion)")
        .fetch_one(db)
        .await
        .expect("the database answers")
}

/// A tank that answers its pump slowly, and not quite in proportion.
fn frames() -> Vec<Value> {
    let begin = NOW.parse::<DateTime<Utc>>().expect("an instant") - TimeDelta::seconds(FRAMES as i64 - 1);
    let mut level = 1.0_f64;
    (0..FRAMES)
        .map(|step| {
            let pump = 1.0 + ((step / 29 * 7919) % 5) as f64;
            level += 0.04 * (pump - level * level.abs().sqrt());
            let noise = 0.05 * ((step * step % 977) as f64 / 488.0 - 1.0);
            json!({"ts": begin + TimeDelta::seconds(step as i64), "values": {"pump": pump, "level": level + noise}})
        })
        .collect()
}
