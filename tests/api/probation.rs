//! After a promotion: what served before is asked beside the new version, and serves again by itself
//! where the new one is worse.

use chrono::{DateTime, TimeDelta, Utc};
use counterpart::training::{Step, Warden};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::lives::pump;
use crate::stream::heard_all;
use crate::tester::{START, Server};

/// Frames before the first version is learned.
const HISTORY: usize = 800;

/// A tank that answers its pump slowly, a frame a second, with noise of a seed.
struct Tank {
    rng: ChaCha8Rng,
    level: f64,
    step: usize,
}

impl Tank {
    fn new(seed: u64) -> Self {
        Self { rng: ChaCha8Rng::seed_from_u64(seed), level: 3.0, step: 0 }
    }

    /// Sends the next frames, after the clock was moved to the newest of them.
    async fn run(&mut self, server: &Server, count: usize) {
        let begin = START.parse::<DateTime<Utc>>().unwrap() - TimeDelta::seconds(HISTORY as i64 - 1);
        let frames: Vec<Value> = (0..count)
            .map(|_| {
                let pump = pump(self.step);
                self.level += 0.05 * (0.08 * pump - self.level);
                let level = self.level + self.rng.random_range(-0.02..0.02);
                let ts = begin + TimeDelta::seconds(self.step as i64);
                self.step += 1;
                json!({"ts": ts, "values": {"pump": pump, "level": level, "ambient": 20.0}})
            })
            .collect();
        let newest = begin + TimeDelta::seconds(self.step as i64 - 1);
        if newest > server.clock.now() {
            server.clock.advance(newest - server.clock.now());
        }
        let receipt = server.post("/v1/assets/tank-1/telemetry", json!(frames)).await.success();
        assert_eq!(receipt["rejected"], 0, "{receipt}");
    }
}

/// A server with a tank that one version was learned on, which serves.
async fn learned(seed: u64) -> (Server, Tank) {
    let server = Server::start().await;
    server.asset("tank-1").await;
    let mut tank = Tank::new(seed);
    tank.run(&server, HISTORY).await;
    let settings = json!({"asset": "tank-1", "recipe": {"max_steps": 40, "evaluate_every": 10}, "promote": "manual"});
    server.post("/v1/fine-tune-jobs", settings).await.success();
    assert!(matches!(server.learn_once().await, Step::Worked(..)));
    (server, tank)
}

async fn promote(server: &Server, version: i32) {
    server.clock.advance(TimeDelta::milliseconds(1));
    server.post(&format!("/v1/assets/tank-1/models/{version}/promote"), json!({})).await.success();
}

/// Another version beside version 1: its weights, each changed.
async fn bred(server: &Server, mut change: impl FnMut(f32) -> f32) {
    let pool = &server.db.pool;
    let weights: Vec<u8> =
        sqlx::query_scalar("select weights from model_version where version = 1").fetch_one(pool).await.unwrap();
    let document = SafeTensors::deserialize(&weights).unwrap();
    let changed: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = document
        .tensors()
        .into_iter()
        .map(|(name, view)| {
            let bytes = match view.dtype() {
                Dtype::F32 => view
                    .data()
                    .chunks_exact(4)
                    .flat_map(|raw| change(f32::from_le_bytes(raw.try_into().unwrap())).to_le_bytes())
                    .collect(),
                _ => view.data().to_vec(),
            };
            (name, view.dtype(), view.shape().to_vec(), bytes)
        })
        .collect();
    let views = changed
        .iter()
        .map(|(name, dtype, shape, bytes)| (name.as_str(), TensorView::new(*dtype, shape.clone(), bytes).unwrap()));
    let weights = safetensors::serialize(views, None).unwrap();
    sqlx::query(
        "insert into model_version (id, asset_id, version, job_id, base, weights, sha256, recipe, calibration, scores,
             curve, promoted, reason, created_at, data_card)
         select gen_random_uuid(), asset_id, (select max(version) + 1 from model_version), job_id, base, $1, $2, recipe,
             calibration, scores, curve, false, 'bred by a test', created_at, data_card
         from model_version where version = 1",
    )
    .bind(&weights)
    .bind(Sha256::digest(&weights).to_vec())
    .execute(pool)
    .await
    .unwrap();
}

fn warden(server: &Server) -> Warden {
    Warden::new(server.rooms.training.clone(), server.rooms.forecasts.clone())
}

async fn models(server: &Server) -> Value {
    server.get("/v1/assets/tank-1/models").await.success()
}

fn probation(models: &Value, version: i64) -> Value {
    let items = models["items"].as_array().unwrap();
    items.iter().find(|item| item["version"] == version).unwrap()["probation"].clone()
}

/// Lets minutes go by, one after the other, and looks after each of them. Minutes until `version` no longer
/// serves, or `None` if it did to the end.
async fn minutes_until_gone(server: &Server, tank: &mut Tank, minutes: usize, version: i32) -> Option<usize> {
    for minute in 1..=minutes {
        tank.run(server, 60).await;
        // A warden of its own each time: a restart changes nothing.
        while warden(server).step().await.unwrap() > 0 {}
        if models(server).await["champion"] != version {
            return Some(minute);
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_version_is_rolled_back_within_thirty_minutes_and_the_reason_is_told() {
    let (server, mut tank) = Box::pin(learned(1)).await;
    promote(&server, 1).await;
    assert_eq!(warden(&server).step().await.unwrap(), 0, "nothing came yet");
    bred(&server, |weight| 3.0 * weight).await;
    promote(&server, 2).await;
    let before = (server.clock.now()).timestamp_micros().to_string();
    let gone = minutes_until_gone(&server, &mut tank, 30, 2).await;
    assert!(gone.is_some_and(|minutes| minutes <= 30), "{gone:?}: {}", models(&server).await);
    let models = models(&server).await;
    assert_eq!(models["champion"], 1);
    let told = probation(&models, 2);
    assert_eq!(
        (&told["state"], &told["former"], &told["ended_at"]),
        (&json!("rolled_back"), &json!(1), &json!(server.clock.now()))
    );
    let why = told["reason"].as_str().unwrap();
    assert!(why.contains("version 1 forecasts ") && why.contains("of the naive forecast"), "{why}");
    assert_eq!(models["serving"]["version"], 1);
    assert_eq!(models["serving"]["reason"], format!("rolled back by the server from version 2: {why}"));
    assert!(told["bouts"].as_array().unwrap().len() >= 12, "{told}");
    // Version 1 was replaced before its own probation ended; now it is not on probation again.
    assert_eq!(probation(&models, 1)["state"], "replaced");
    let request = server.request(reqwest::Method::GET, "/v1/stream?asset=tank-1").header("last-event-id", before);
    let heard = heard_all(request.send().await.unwrap(), &["event: model\n", "rolled back by the server"]).await;
    assert!(heard.contains(r#""version":1"#), "{heard}");
    let predicted = server.post("/v1/assets/tank-1/predict", json!({"horizon": 8})).await.success();
    assert_eq!(predicted["model"]["version"], 1);
    assert_eq!(warden(&server).step().await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_cannot_answer_is_rolled_back_within_minutes() {
    let (server, mut tank) = Box::pin(learned(2)).await;
    bred(&server, |_| f32::NAN).await;
    promote(&server, 2).await;
    let gone = minutes_until_gone(&server, &mut tank, 10, 2).await;
    assert!(gone.is_some_and(|minutes| minutes <= 3), "{gone:?}");
    let models = models(&server).await;
    assert_eq!((&models["champion"], &models["serving"]["version"]), (&json!(0), &json!(0)));
    let told = probation(&models, 2);
    let why = told["reason"].as_str().unwrap();
    assert!(why.contains("could not be given or were not finite, and the base model gave them"), "{why}");
    assert_eq!(told["bouts"][0]["crps"], Value::Null);
    assert!(told["bouts"][0]["former_crps"].as_f64().unwrap() > 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_as_good_as_the_former_are_kept_whatever_the_noise() {
    let (server, mut tank) = Box::pin(learned(3)).await;
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    for seed in 0..4_i32 {
        // As near as the heads of two jobs on the same data.
        bred(&server, |weight| weight * (1.0 + rng.random_range(-0.01..0.01))).await;
        promote(&server, seed + 2).await;
        assert_eq!(minutes_until_gone(&server, &mut tank, 26, seed + 2).await, None, "{}", models(&server).await);
        let models = models(&server).await;
        let told = probation(&models, i64::from(seed) + 2);
        assert_eq!((&told["state"], &models["champion"]), (&json!("kept"), &json!(seed + 2)), "{told}");
        assert_eq!(told["bouts"].as_array().unwrap().len(), 48);
        assert_eq!(warden(&server).step().await.unwrap(), 0, "the former is no longer asked");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_compare_once_and_roll_back_once() {
    let (server, mut tank) = Box::pin(learned(4)).await;
    promote(&server, 1).await;
    bred(&server, |weight| 3.0 * weight).await;
    promote(&server, 2).await;
    let (one, two) = (warden(&server), warden(&server));
    let mut made = 0;
    while models(&server).await["champion"] == 2 {
        tank.run(&server, 60).await;
        loop {
            let (one, two) = tokio::join!(one.step(), two.step());
            let both = one.unwrap() + two.unwrap();
            made += both;
            if both == 0 {
                break;
            }
        }
    }
    let models = models(&server).await;
    let bouts = probation(&models, 2)["bouts"].as_array().unwrap().clone();
    assert_eq!((bouts.len(), &models["champion"]), (made, &json!(1)));
    let states: Vec<&str> = bouts.iter().map(|bout| bout["state_at"].as_str().unwrap()).collect();
    assert!(states.windows(2).all(|pair| pair[0] < pair[1]), "{states:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_rolls_back_ends_the_probation() {
    let (server, mut tank) = Box::pin(learned(5)).await;
    promote(&server, 1).await;
    tank.run(&server, 120).await;
    while warden(&server).step().await.unwrap() > 0 {}
    let compared = probation(&models(&server).await, 1);
    assert_eq!(compared["state"], "on_probation");
    assert_eq!(compared["bouts"].as_array().unwrap().len(), 2, "half a horizon apart: {compared}");
    server.clock.advance(TimeDelta::seconds(1));
    server.post("/v1/assets/tank-1/models/roll-back", json!({})).await.success();
    tank.run(&server, 120).await;
    assert_eq!(warden(&server).step().await.unwrap(), 0);
    let models = models(&server).await;
    let ended = probation(&models, 1);
    assert_eq!((&ended["state"], &models["champion"]), (&json!("replaced"), &json!(0)));
    assert!(ended["reason"].as_str().unwrap().starts_with("something else serves since; until then over 2 windows"));
}
