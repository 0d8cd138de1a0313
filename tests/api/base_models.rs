//! Base models of one's own: added, checked, named by a type, learned on, served, and deleted.

use std::collections::HashMap;
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use counterpart::db::fixture;
use counterpart::model::registry::command::pack;
use counterpart::model::{BaseCard, digest, hex};
use counterpart::server::Config;
use counterpart::training::Step;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::{Value, json};

use crate::backtests::backtest;
use crate::lives::{fill, pump, with_history};
use crate::tester::{Answer, START, Server, tank};

const PATH: &str = "/v1/base-models";

fn shipped() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/model/base/small-2.safetensors")
}

/// The shipped base model under another name, as it is brought.
fn copy(name: &str) -> Value {
    serde_json::to_value(pack(&shipped(), Some(name)).unwrap()).unwrap()
}

/// The shipped base model with each number of its tensors changed, packed honestly.
fn changed(name: &str, change: impl Fn(&str, f32) -> f32) -> Value {
    let bytes = std::fs::read(shipped()).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let document = SafeTensors::deserialize(&bytes).unwrap();
    let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = document
        .tensors()
        .into_iter()
        .map(|(name, view)| {
            let numbers = view.data().chunks_exact(4).map(|raw| f32::from_le_bytes(raw.try_into().unwrap()));
            let bytes = numbers.flat_map(|number| change(&name, number).to_le_bytes()).collect();
            (name, view.shape().to_vec(), bytes)
        })
        .collect();
    let views = tensors
        .iter()
        .map(|(name, shape, bytes)| (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
    let notes: Option<HashMap<String, String>> = header.metadata().clone();
    let weights = safetensors::serialize(views, notes).unwrap();
    let mut card: BaseCard = serde_json::from_slice(&std::fs::read(shipped().with_extension("json")).unwrap()).unwrap();
    card.sha256 = hex(&digest(&weights));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("changed.safetensors");
    std::fs::write(&file, weights).unwrap();
    std::fs::write(file.with_extension("json"), serde_json::to_vec(&card).unwrap()).unwrap();
    serde_json::to_value(pack(&file, Some(name)).unwrap()).unwrap()
}

/// Lets `tank-1` move to a version of its type that names a base model.
async fn stand_on(server: &Server, base: &str) {
    let mut document = tank("tank");
    document.as_object_mut().unwrap().remove("key");
    document["base_model"] = json!(base);
    let version = server.put("/v1/asset-types/tank", document).await.success()["version"].clone();
    server.patch("/v1/assets/tank-1", None, json!({"type_version": version})).await.success();
}

async fn predict(server: &Server) -> Value {
    server.post("/v1/assets/tank-1/predict", json!({"horizon": 30})).await.success()
}

/// The largest difference between two predictions' levels.
fn gap(one: &Value, other: &Value) -> f64 {
    let numbers = |answer: &Value| -> Vec<f64> {
        let bands = answer["signals"]["level"].as_object().unwrap().values();
        bands.flat_map(|band| band.as_array().unwrap().clone()).map(|value| value.as_f64().unwrap()).collect()
    };
    let (one, other) = (numbers(one), numbers(other));
    assert_eq!(one.len(), other.len());
    one.iter().zip(&other).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// Learns, and reads the job and the newest version.
async fn learn(server: &Server) -> (Value, Value) {
    let settings = json!({"asset": "tank-1", "recipe": {"max_steps": 40, "evaluate_every": 10}});
    let made = server.post("/v1/fine-tune-jobs", settings).await;
    let path = made.header("location").to_owned();
    assert!(matches!(server.learn_once().await, Step::Worked(..)));
    let job = server.get(&path).await.success();
    assert_eq!(job["status"], "succeeded", "{job}");
    (job, server.get("/v1/assets/tank-1/models").await.success()["items"][0].clone())
}

async fn delete(server: &Server, name: &str) -> Answer {
    server.delete(&format!("{PATH}/{name}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_copy_of_the_shipped_one_serves_and_learns_as_the_original_does() {
    let server = with_history(900).await;
    let original = predict(&server).await;
    assert_eq!(original["model"]["base"], "small-2");
    let made = server.post(PATH, copy("copy")).await;
    assert_eq!((made.status.as_u16(), made.header("location")), (201, "/v1/base-models/copy"), "{made:?}");
    assert_eq!(server.post(PATH, copy("copy")).await.status.as_u16(), 200, "the same once more");
    assert_eq!(server.get("/v1/base-models/copy").await.success(), made.json());

    stand_on(&server, "copy").await;
    let models = server.get("/v1/assets/tank-1/models").await.success();
    assert_eq!((&models["base"], &models["items"]), (&json!("copy"), &json!([])));
    let copied = predict(&server).await;
    assert_eq!((&copied["model"]["base"], &copied["model"]["source"]), (&json!("copy"), &json!("base")));
    assert!(gap(&original, &copied) < 1e-5, "{original} {copied}");
    let body = json!({"horizon": 20, "scenarios": [{}]});
    let answer = server.post("/v1/assets/tank-1/what-if", body).await.success();
    assert_eq!(answer["model"]["base"], "copy", "{answer}");

    let (_, version) = learn(&server).await;
    assert_eq!((&version["base"], &version["data"].get("bases")), (&json!("copy"), &None), "nothing was chosen");
    assert_eq!(version["data"]["without"], "copy");
    server.post("/v1/assets/tank-1/models/1/promote", json!({})).await.success();
    let tuned = predict(&server).await;
    assert_eq!((&tuned["model"]["version"], &tuned["model"]["base"]), (&json!(1), &json!("copy")), "{tuned}");
    let done = backtest(&server, json!({"windows": 3, "horizon": 10, "version": 1})).await;
    assert_eq!(done["status"], "succeeded", "{done}");

    // The type may move on: the version is still answered with its own.
    stand_on(&server, "small-1").await;
    assert_eq!(predict(&server).await["model"]["base"], "copy");
    server.post("/v1/assets/tank-1/models/0/promote", json!({})).await.success();
    let other = predict(&server).await;
    assert_eq!((&other["model"]["base"], &other["skill"]), (&json!("small-1"), &Value::Null), "another was judged");
    assert!(gap(&original, &other) > 1e-5, "another base model says something else");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_base_model_is_told_by_its_field() {
    let server = Server::start().await;
    let good = copy("mine");
    let refused = async |change: &dyn Fn(&mut Value)| {
        let mut document = good.clone();
        change(&mut document);
        server.post(PATH, document).await.problem(422, "invalid")
    };
    let set =
        |pointer: &'static str, value: Value| move |new: &mut Value| *new.pointer_mut(pointer).unwrap() = value.clone();
    assert_eq!(refused(&set("/card/name", json!("no key"))).await, ["/card/name"]);
    assert_eq!(refused(&set("/card/name", json!("auto"))).await, ["/card/name"]);
    assert_eq!(refused(&set("/card/sha256", json!("0".repeat(64)))).await, ["/card/sha256"]);
    assert_eq!(refused(&set("/card/parameters", json!(7))).await, ["/card/parameters"]);
    assert_eq!(refused(&set("/card/size/layers", json!(1_000_000))).await, ["/card/size/layers", "/card/size"]);
    assert_eq!(refused(&set("/weights", json!("not base64"))).await, ["/weights"]);
    assert_eq!(refused(&set("/golden/tolerance", json!(0.5))).await, ["/golden/tolerance"]);
    assert_eq!(refused(&set("/golden/input/future", json!(17))).await, ["/golden/input/future", "/golden/expected"]);
    // An answer that these weights do not give.
    assert_eq!(refused(&set("/golden/expected/3", json!(9.0))).await, ["/golden/expected"]);
    assert_eq!(refused(&|new| new["surplus"] = json!(1)).await.len(), 1);
    assert_eq!(refused(&|new| drop(new.as_object_mut().unwrap().remove("golden"))).await, ["/golden"]);

    // Whole documents whose hash is right.
    let of = |weights: &[u8]| {
        use base64::Engine as _;
        let mut document = good.clone();
        document["card"]["sha256"] = json!(hex(&digest(weights)));
        document["weights"] = json!(base64::engine::general_purpose::STANDARD.encode(weights));
        document
    };
    let whole = std::fs::read(shipped()).unwrap();
    let text = server.post(PATH, of(b"no safetensors")).await;
    assert_eq!(text.problem(422, "invalid"), ["/weights"]);
    assert_eq!(server.post(PATH, of(&whole[..whole.len() - 4])).await.problem(422, "invalid"), ["/weights"]);
    let mut endless = whole.clone();
    let end = endless.len();
    endless[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    let answer = server.post(PATH, of(&endless)).await;
    assert_eq!(answer.problem(422, "invalid"), ["/weights"]);
    assert!(answer.text.contains("not finite"), "{answer:?}");
    // The same number of weights under another name.
    let mut renamed = whole;
    let at = renamed.windows(15).position(|window| window == b"head.out.weight").unwrap();
    renamed[at..at + 15].copy_from_slice(b"head.out.weighs");
    let answer = server.post(PATH, of(&renamed)).await;
    assert_eq!(answer.problem(422, "invalid"), ["/weights"]);
    assert!(answer.text.contains("head.out.weighs"), "{answer:?}");
    let names = server.get(PATH).await.success()["items"].as_array().unwrap().len();
    assert_eq!(names, 2, "nothing was kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_stands_for_one_base_model_for_as_long_as_anything_needs_it() {
    let server = Server::start().await;
    let listed = server.get(PATH).await.success();
    let shipped = |place: usize| (listed["items"][place]["name"].clone(), listed["items"][place]["default"].clone());
    assert_eq!((shipped(0), shipped(1)), ((json!("small-2"), json!(true)), (json!("small-1"), json!(false))));
    server.post(PATH, copy("mine")).await.success();
    let other = changed("mine", |name, number| if name == "head.out.bias" { 0.5 * number } else { number });
    for taken in [other, copy("small-1")] {
        assert_eq!(server.post(PATH, taken).await.problem(409, "conflict"), ["/card/name"]);
    }
    delete(&server, "small-1").await.problem(409, "conflict");
    delete(&server, "none").await.problem(404, "not-found");
    server.get("/v1/base-models/none").await.problem(404, "not-found");

    for (name, pointer) in [("none", "/base_model"), ("no key", "/base_model")] {
        let mut document = tank("tank");
        document["base_model"] = json!(name);
        assert_eq!(server.post("/v1/asset-types", document).await.problem(422, "invalid"), [pointer]);
    }
    let mut document = tank("tank");
    document["base_model"] = json!("mine");
    assert_eq!(server.post("/v1/asset-types", document).await.success()["base_model"], "mine");
    let refused = delete(&server, "mine").await;
    refused.problem(409, "conflict");
    assert!(refused.text.contains("version 1 of the asset type tank needs it"), "{refused:?}");
    server.delete("/v1/asset-types/tank").await.success();

    // A job that chooses may be trying it.
    let mut document = tank("tank");
    document["base_model"] = json!("auto");
    server.post("/v1/asset-types", document).await.success();
    fill(&server, 10).await;
    let job = server.post("/v1/fine-tune-jobs", json!({"asset": "tank-1"})).await.success();
    let refused = delete(&server, "mine").await;
    refused.problem(409, "conflict");
    assert!(refused.text.contains("the unfinished fine-tune job of the asset tank-1 needs it"), "{refused:?}");
    server.post(&format!("/v1/fine-tune-jobs/{}/cancel", job["id"].as_str().unwrap()), json!({})).await.success();
    assert_eq!(delete(&server, "mine").await.success(), json!({"name": "mine"}));
    server.get("/v1/base-models/mine").await.problem(404, "not-found");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_auto_a_job_learns_on_the_base_model_that_validation_likes_best_and_says_so() {
    let server = with_history(900).await;
    // It moves medians the wrong way, and far.
    let scrambled =
        changed("scrambled", |name, number| if name.starts_with("head.out") { -8.0 * number } else { number });
    server.post(PATH, scrambled).await.success();
    stand_on(&server, "auto").await;
    assert_eq!(predict(&server).await["model"]["base"], "small-2", "before a job has chosen the default serves");
    let (job, version) = learn(&server).await;
    let tried = version["data"]["bases"].as_array().unwrap();
    let loss = |name: &str| tried.iter().find(|one| one["base"] == name).unwrap()["loss"].as_f64().unwrap();
    let names: Vec<&str> = tried.iter().map(|one| one["base"].as_str().unwrap()).collect();
    assert_eq!(names, ["small-2", "small-1", "scrambled"]);
    let best = if loss("small-2") <= loss("small-1") { "small-2" } else { "small-1" };
    assert!(loss("scrambled") > loss(best), "{version}");
    assert_eq!(version["base"], best, "{version}");
    let reason = job["verdict"]["reason"].as_str().unwrap();
    assert!(reason.contains(&format!("learned on the base model {best}, the best of 3 on the validation windows")));
    assert!(reason.contains(&format!("scrambled {:.4}", loss("scrambled"))), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_champion_of_another_base_model_is_what_a_candidate_must_beat() {
    let server = with_history(900).await;
    let (first, _) = learn(&server).await;
    server.post("/v1/assets/tank-1/models/1/promote", json!({})).await.success();
    stand_on(&server, "small-1").await;
    let (second, version) = learn(&server).await;
    assert_eq!(version["base"], "small-1");
    let crps = |job: &Value, who: &str| job["verdict"][who]["crps"].as_f64().unwrap();
    assert!(second["verdict"]["reason"].as_str().unwrap().contains("version 1"), "{second}");
    // Its bands know the holdout by now; apart from that it is judged as it was when it was the candidate.
    let (was, without) = (crps(&first, "candidate"), crps(&first, "champion"));
    let now = crps(&second, "champion");
    assert!((now - was).abs() < (now - without).abs(), "{now} is judged; it had {was}, the base model {without}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_model_whose_bytes_were_damaged_is_answered_for_by_the_fallback() {
    let db = fixture::fresh().await;
    let pool = db.pool.clone();
    {
        let server = Server::start_on(Config::default(), db.clone()).await;
        server.post(PATH, copy("mine")).await.success();
    }
    let damage = "update base_model set weights = set_byte(weights, 900000, get_byte(weights, 900000) # 1)
         where name = 'mine'";
    assert_eq!(sqlx::query(damage).execute(&pool).await.unwrap().rows_affected(), 1);
    let server = Server::start_on(Config::default(), db).await;
    let mut document = tank("tank");
    document["base_model"] = json!("mine");
    server.post("/v1/asset-types", document).await.success();
    fill(&server, 600).await;
    let answer = predict(&server).await;
    assert_eq!((&answer["model"]["source"], &answer["model"]["base"]), (&json!("fallback"), &json!("mine")));
    let reason = answer["model"]["reason"].as_str().unwrap();
    assert!(reason.contains("could not be loaded") && reason.contains("SHA-256"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bands_that_followed_one_base_model_begin_anew_with_another() {
    let server = with_history(800).await;
    server.post(PATH, copy("copy")).await.success();
    let answer =
        async || server.post("/v1/assets/tank-1/predict", json!({"horizon": 16, "as_of": START})).await.success();
    let original = answer().await;
    assert_eq!(server.forecast_once().await, 1);
    // Nothing of what was forecast comes true.
    let begin = START.parse::<DateTime<Utc>>().unwrap();
    let frame =
        |second: i64| json!({"ts": begin + TimeDelta::seconds(second), "values": {"pump": pump(799), "level": 9.9}});
    server.clock.advance(TimeDelta::seconds(61));
    let after: Vec<Value> = (1..=60).map(frame).collect();
    assert_eq!(server.post("/v1/assets/tank-1/telemetry", json!(after)).await.success()["rejected"], 0);
    assert_eq!(server.rooms.forecasts.look_back().await.unwrap(), 1);
    let wider = answer().await;
    let moved = gap(&original, &wider);
    assert!(moved > 2e-5, "{original} {wider}");
    stand_on(&server, "copy").await;
    assert!(gap(&original, &answer().await) < moved / 10.0, "the bands of another one were never followed");
    stand_on(&server, "small-2").await;
    assert!(gap(&wider, &answer().await) < moved / 10.0, "what was found of the first one holds for it");
}
