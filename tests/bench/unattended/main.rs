//! A day of a fleet that nobody attends: 50 plants, drift, lying sensors, wrong labels and bad versions, with a
//! clock that is moved by hand, and what the server made of it.
//!
//! Every plant is a demo plant of its own seed with a frame every four seconds. Telemetry, labels and bad
//! promotions come in over HTTP as from any device; forecasts, jobs, verdicts, probations and roll-backs are the
//! server's own, by its own rules: nothing here asks for a job. At the end each promotion is judged once
//! more by asking the new version and the former about the hours after it, where no sensor lied.
//!
//! `cargo bench --bench unattended [-- --hours 24 --assets 50 --seed 1]`

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that cannot go on stops, and prints its result")]

mod report;
mod trouble;

use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use clap::Parser as _;
use counterpart::clock::Clock;
use counterpart::db::fixture;
use counterpart::forecast::refresher::Refresher;
use counterpart::server::{self, Config, Rooms, RoomsConfig};
use counterpart::training::teacher::Teacher;
use counterpart::training::{Step, Warden, Worker};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use report::{Injected, Skill};
use trouble::{Plan, STEP_S, Site, instant};

/// Steps between two looks of the server: five minutes.
const LOOK: usize = 75;
/// Frames of one asset in a request.
const CHUNK: usize = LOOK;

/// A day that nobody attends.
#[derive(Debug, clap::Parser)]
struct Settings {
    /// Hours that pass.
    #[arg(long, default_value_t = 24)]
    hours: usize,
    /// Plants.
    #[arg(long, default_value_t = 50)]
    assets: usize,
    /// Seed of plants and troubles.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Windows that each promotion is judged on afterwards, at most.
    #[arg(long, default_value_t = 120)]
    windows: usize,
    /// Jobs at the same time.
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Tells what was served by asset, version and output.
    #[arg(long)]
    details: bool,
    /// What `cargo bench` passes.
    #[arg(long, hide = true)]
    bench: bool,
}

/// A server with its fleet.
struct Day {
    rooms: Rooms,
    client: reqwest::Client,
    url: String,
    workers: Vec<Worker>,
    warden: Warden,
    refresher: Refresher,
}

fn main() {
    counterpart::model::use_one_thread();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    assert!(runtime.block_on(run(&Settings::parse())), "a promise was broken");
}

/// Whether every promise held.
async fn run(settings: &Settings) -> bool {
    let start = "2026-11-24T00:00:00Z".parse::<DateTime<Utc>>().unwrap();
    let steps = settings.hours * 3600 / STEP_S as usize;
    let mut sites = Plan { sites: settings.assets, steps, seed: settings.seed }.sites();
    let (clock, end) = (Clock::manual(start), CancellationToken::new());
    let db = fixture::fresh().await;
    let mut day = Day::begin(&db.pool, clock.clone(), end.clone(), settings.workers).await;
    day.found(&sites).await;
    let mut skills = vec![Skill::default()];
    let mut injected: Vec<Injected> = Vec::new();
    let began = Instant::now();
    for step in (0..steps).step_by(LOOK) {
        let newest = instant(start, step + LOOK - 1);
        clock.advance(newest - clock.now());
        day.tell(&mut sites, start, step).await;
        day.look().await;
        for site in &sites {
            if site.bad_version_at.is_some_and(|at| (step..step + LOOK).contains(&at)) {
                injected.extend(day.promote_a_bad_version(site, injected.len(), newest).await);
            }
        }
        if (step + LOOK).is_multiple_of(3600 / STEP_S as usize) {
            skills.push(report::served(&day.rooms.db).await);
            let hour = (step + LOOK) * STEP_S as usize / 3600;
            let said = report::progress(&day.rooms.db).await;
            println!("hour {hour:>2}: {said}; {:.0} s", began.elapsed().as_secs_f64());
        }
    }
    println!("\n{} plants, {} h, seed {}\n", settings.assets, settings.hours, settings.seed);
    report::jobs(&day.rooms.db).await;
    if settings.details {
        report::details(&day.rooms.db).await;
    }
    let judged = report::promotions(&day.rooms, &sites, &injected, (start, steps), settings.windows).await;
    let kept = [
        report::raised(&judged),
        report::drifts(&day.rooms, &judged, &sites, (start, steps), settings.windows).await,
        report::bad_versions(&day.rooms.db, &injected).await,
        report::skill(&skills, &sites),
    ];
    end.cancel();
    kept.iter().all(|kept| *kept)
}

impl Day {
    async fn begin(pool: &sqlx::PgPool, clock: Clock, end: CancellationToken, workers: usize) -> Self {
        let rooms = Rooms::new(pool.clone(), clock, end.clone(), &RoomsConfig::default()).unwrap();
        let config = Config::default();
        let listener = server::bind(&config).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (router, stop) = (server::router(&rooms, &config), end.clone());
        tokio::spawn(async move { server::serve(listener, router, &config, stop).await });
        let worker = || Worker::new(rooms.training.clone(), Arc::new(Teacher::default()), end.clone());
        Self {
            workers: (0..workers).map(|_| worker()).collect(),
            warden: Warden::new(rooms.training.clone(), rooms.forecasts.clone()),
            refresher: Refresher::new(rooms.forecasts.clone()),
            client: reqwest::Client::new(),
            rooms,
            url,
        }
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let response = self.client.post(format!("{}{path}", self.url)).json(body).send().await.unwrap();
        let (status, body) = (response.status(), response.json::<Value>().await.unwrap());
        assert!(status.is_success(), "{path}: {body}");
        body
    }

    /// The type and the assets.
    async fn found(&self, sites: &[Site]) {
        self.post("/v1/asset-types", &asset_type()).await;
        for site in sites {
            self.post("/v1/assets", &json!({"key": site.key, "type": "two-tank-plant"})).await;
        }
    }

    /// What all plants say in the steps up to the next look.
    async fn tell(&self, sites: &mut [Site], start: DateTime<Utc>, from: usize) {
        let mut frames = Vec::with_capacity(sites.len() * CHUNK);
        for site in sites {
            let mut labels = Vec::new();
            for step in from..from + LOOK {
                let (frame, new) = site.next(instant(start, step));
                frames.push(frame);
                labels.extend(new);
            }
            if !labels.is_empty() {
                self.post(&format!("/v1/assets/{}/events", site.key), &Value::Array(labels)).await;
            }
        }
        // A reading beyond its type's limits is refused by itself; that is what a lying sensor earns.
        let response = self.client.post(format!("{}/v1/telemetry", self.url)).json(&frames).send().await.unwrap();
        assert!(response.status().is_success(), "{}", response.text().await.unwrap());
    }

    /// The server's own work until nothing is left to do.
    async fn look(&mut self) {
        while self.refresher.step().await.unwrap() > 0 {}
        self.rooms.forecasts.look_back().await.unwrap();
        while self.rooms.forecasts.settle().await.unwrap() > 0 {}
        loop {
            let steps = futures::future::join_all(self.workers.iter().map(Worker::step)).await;
            if steps.into_iter().all(|step| step.unwrap() == Step::Idle) {
                break;
            }
        }
        while self.warden.step().await.unwrap() > 0 {}
    }

    /// A version that is not what it should be begins to serve, promoted by a hand that did not look. `None`
    /// where nothing was learned yet.
    async fn promote_a_bad_version(&self, site: &Site, kind: usize, now: DateTime<Utc>) -> Option<Injected> {
        let db = &self.rooms.db;
        let known: Option<(uuid::Uuid, Vec<u8>)> = sqlx::query_as(
            "select m.id, m.weights from champion c join model_version m on m.id = c.model_id
             join asset a on a.id = c.asset_id where a.key = $1",
        )
        .bind(&site.key)
        .fetch_optional(db)
        .await
        .unwrap();
        let (from, weights) = known?;
        let change: fn(f32, usize) -> f32 = match kind % 3 {
            0 => |weight, _| 3.0 * weight,
            1 => |_, _| f32::NAN,
            _ => |weight, place| if place.is_multiple_of(2) { -weight } else { weight },
        };
        let weights = changed(&weights, change);
        let version: i32 = sqlx::query_scalar(
            "insert into model_version (id, asset_id, version, job_id, base, weights, sha256, recipe, calibration, scores,
                 curve, promoted, reason, created_at, data_card)
             select gen_random_uuid(), asset_id, (select max(version) + 1 from model_version o where o.asset_id = m.asset_id),
                 job_id, base, $2, $3, recipe, calibration, scores, curve, false, 'damaged by the bench', $4, data_card
             from model_version m where id = $1 returning version",
        )
        .bind(from)
        .bind(&weights)
        .bind(Sha256::digest(&weights).to_vec())
        .bind(now)
        .fetch_one(db)
        .await
        .unwrap();
        self.rooms.clock.advance(TimeDelta::milliseconds(1));
        self.post(&format!("/v1/assets/{}/models/{version}/promote", site.key), &json!({})).await;
        let kind = ["three times the weights", "not a number", "every other sign turned"][kind % 3];
        Some(Injected { asset: site.key.clone(), version, at: self.rooms.clock.now(), kind })
    }
}

/// A safetensors document with each of its numbers changed.
fn changed(weights: &[u8], change: fn(f32, usize) -> f32) -> Vec<u8> {
    let document = SafeTensors::deserialize(weights).unwrap();
    let tensors = document.tensors().into_iter().map(|(name, view)| {
        let numbers = view.data().chunks_exact(4).map(|raw| f32::from_le_bytes(raw.try_into().unwrap()));
        let bytes = match view.dtype() {
            Dtype::F32 => numbers.enumerate().flat_map(|(place, number)| change(number, place).to_le_bytes()).collect(),
            _ => view.data().to_vec(),
        };
        (name, view.dtype(), view.shape().to_vec(), bytes)
    });
    let tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = tensors.collect();
    let views = tensors
        .iter()
        .map(|(name, dtype, shape, bytes)| (name.as_str(), TensorView::new(*dtype, shape.clone(), bytes).unwrap()));
    // Banks and seen ranges travel among the notes.
    let (_, header) = SafeTensors::read_metadata(weights).unwrap();
    safetensors::serialize(views, header.metadata().clone()).unwrap()
}

fn asset_type() -> Value {
    let signal = |name: &str, unit: &str, role: &str, min: f64, max: f64| json!({"name": name, "unit": unit, "role": role, "min": min, "max": max});
    json!({
        "key": "two-tank-plant", "interval": "PT4S", "health_classes": ["sound", "leaking"],
        "signals": [
            signal("pump", "1", "control_input", 0.0, 1.0), signal("valve", "1", "control_input", 0.0, 1.0),
            signal("heater", "kW", "control_input", 0.0, 6.0), signal("ambient", "Cel", "disturbance", -40.0, 60.0),
            signal("level_1", "m", "output", -0.2, 4.9), signal("level_2", "m", "output", -0.2, 4.9),
            signal("temperature", "Cel", "output", -10.0, 400.0),
        ],
    })
}
