//! Backtests as jobs: stopped, taken over, refused, and told by the stream.

use std::time::Duration;

use chrono::TimeDelta;
use counterpart::backtest::{Outcome, Step, lease};
use counterpart::db::fixture;
use counterpart::job::Ended;
use counterpart::server::Config;
use reqwest::Method;
use serde_json::{Value, json};

use crate::backtests::{PATH, backtest, start};
use crate::lives::{fill, with_history};
use crate::stream::heard_all;
use crate::tester::{Server, tank};

async fn until_running(server: &Server, path: &str) -> Value {
    for _ in 0..4_000 {
        let seen = server.get(path).await.success();
        if seen["status"] == "running" && seen["progress"].as_f64().unwrap() > 0.0 {
            return seen;
        }
        assert_ne!(seen["status"], "succeeded", "it was too fast to be met at work");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it never ran");
}

/// As much as makes a worker busy for a while.
fn long() -> Value {
    json!({"windows": 500, "horizon": 64, "step_size": 1})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backtest_that_waits_or_runs_can_be_cancelled() {
    let server = with_history(800).await;
    let made = server.post(PATH, long()).await;
    let path = made.header("location").to_owned();
    let cancel = format!("{path}/cancel");
    let cancelled = server.post(&cancel, json!({})).await;
    assert_eq!((cancelled.status.as_u16(), &cancelled.success()["status"]), (202, &json!("cancelled")));
    assert_eq!(server.post(&cancel, json!({})).await.success()["status"], "cancelled", "twice is once");
    assert_eq!(server.backtest_once().await, Step::Idle);

    let path = server.post(PATH, long()).await.header("location").to_owned();
    let worker = server.backtest_worker();
    let work = tokio::spawn(async move { worker.step().await });
    let running = until_running(&server, &path).await;
    assert!(running["started_at"].is_string() && running["result"].is_null(), "{running}");
    assert_eq!(server.post(&format!("{path}/cancel"), json!({})).await.success()["cancel_requested"], true);
    let step = work.await.unwrap().unwrap();
    assert!(matches!(step, Step::Worked(_, Outcome::Cancelled)), "{step:?}");
    let ended = server.get(&path).await.success();
    assert_eq!(
        (&ended["status"], &ended["result"], &ended["error"]),
        (&json!("cancelled"), &Value::Null, &Value::Null)
    );

    let done = backtest(&server, json!({"windows": 1, "horizon": 8})).await;
    let cancel = format!("{PATH}/{}/cancel", done["id"].as_str().unwrap());
    server.post(&cancel, json!({})).await.problem(409, "conflict");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_in_the_middle_leaves_it_to_another_which_ends_it_alike() {
    let db = fixture::fresh().await;
    let one = Server::start_on(Config::default(), db.clone()).await;
    one.post("/v1/asset-types", tank("tank")).await.success();
    fill(&one, 800).await;
    let other = Server::start_on(Config::default(), db.clone()).await;

    // One that ends in order gives it back untried.
    let path = one.post(PATH, long()).await.header("location").to_owned();
    let worker = one.backtest_worker();
    let work = tokio::spawn(async move { worker.step().await });
    until_running(&other, &path).await;
    one.end.cancel();
    let step = work.await.unwrap().unwrap();
    assert!(matches!(step, Step::Worked(_, Outcome::Gave(Ended::Again, _))), "{step:?}");
    let given_back = other.get(&path).await.success();
    assert_eq!(
        (&given_back["status"], &given_back["progress"], &given_back["attempts"]),
        (&json!("pending"), &json!(0.0), &json!(0))
    );
    other.post(&format!("{path}/cancel"), json!({})).await.success();

    // One that falls silent loses it when its lease has run out, by the database's clock.
    let ask = json!({"windows": 3, "horizon": 16});
    let path = other.post(PATH, ask.clone()).await.header("location").to_owned();
    let claim = lease::acquire(&db.pool, &other.clock, Duration::from_secs(30)).await.unwrap().unwrap();
    assert_eq!(other.backtest_once().await, Step::Idle, "somebody has it");
    sqlx::query("update backtest set lease_expires_at = now()").execute(&db.pool).await.unwrap();
    assert!(matches!(other.backtest_once().await, Step::Worked(id, Outcome::Succeeded) if id == claim.lease.backtest));
    let done = other.get(&path).await.success();
    assert_eq!((&done["status"], &done["attempts"]), (&json!("succeeded"), &json!(2)));
    let late = claim.lease.succeed(&db.pool, &json!({"late": true}), other.clock.now()).await.unwrap();
    assert_eq!(late, None, "its token no longer matches");
    assert_eq!(other.get(&path).await.success()["result"], done["result"]);
    assert_eq!(backtest(&other, ask).await["result"], done["result"], "as one that nobody disturbed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_asked_for_is_named() {
    let server = with_history(100).await;
    let cases = [
        (json!({"windows": 0}), "invalid", "/windows", Value::Null),
        (json!({"windows": 501}), "invalid", "/windows", json!(500)),
        (json!({"windows": -1}), "invalid", "/windows", Value::Null),
        (json!({"windows": "many"}), "invalid", "/windows", Value::Null),
        (json!({"horizon": 0}), "invalid", "/horizon", Value::Null),
        (json!({"horizon": 513}), "horizon-too-large", "/horizon", json!(512)),
        (json!({"horizon": 1.5}), "invalid", "/horizon", Value::Null),
        (json!({"horizon": 512, "windows": 98}), "invalid", "/windows", json!(97)),
        (json!({"step_size": 0}), "invalid", "/step_size", Value::Null),
        (json!({"step_size": 100_000, "windows": 2, "horizon": 100}), "invalid", "/step_size", json!(49_900)),
        (json!({"cutoff": "yesterday"}), "invalid", "/cutoff", Value::Null),
        (json!({"cutoff": "2026-11-24T12:00:00"}), "invalid", "/cutoff", Value::Null),
        (json!({"inputs": "guessed"}), "invalid", "/inputs", Value::Null),
        (json!({"version": "newest"}), "invalid", "/version", Value::Null),
        (json!({"window": 3}), "invalid", "/window", Value::Null),
    ];
    for (ask, slug, pointer, max) in cases {
        let answer = server.post(PATH, ask.clone()).await;
        assert_eq!(answer.problem(422, slug), [pointer], "{ask}");
        assert_eq!(answer.json()["max"], max, "{ask}");
    }
    server.post(PATH, json!([])).await.problem(422, "invalid");
    server.get(&format!("{PATH}?status=odd")).await.problem(422, "invalid");
    server.get(&format!("{PATH}/7")).await.problem(422, "invalid");
    server.get(&format!("{PATH}?cursor=x")).await.problem(422, "invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_not_found() {
    let server = with_history(100).await;
    server.post("/v1/assets/none/backtests", json!({})).await.problem(404, "not-found");
    server.get("/v1/assets/none/backtests").await.problem(404, "not-found");
    server.post(PATH, json!({"version": 3, "windows": 1, "horizon": 8})).await.problem(404, "not-found");
    let missing = "01890000-0000-7000-8000-000000000000";
    server.get(&format!("{PATH}/{missing}")).await.problem(404, "not-found");
    server.post(&format!("{PATH}/{missing}/cancel"), json!({})).await.problem(404, "not-found");
    // Another asset's is none of this one's.
    let made = server.post(PATH, json!({"windows": 1, "horizon": 8})).await.success();
    server.post("/v1/assets", json!({"key": "tank-2", "type": "tank"})).await.success();
    let other = format!("/v1/assets/tank-2/backtests/{}", made["id"].as_str().unwrap());
    server.get(&other).await.problem(404, "not-found");
    server.post(&format!("{other}/cancel"), json!({})).await.problem(404, "not-found");
}

#[tokio::test(flavor = "multi_thread")]
async fn too_little_history_says_how_much_is_still_needed() {
    let server = with_history(100).await;
    // 64 steps before the first window, and five windows of 20.
    let ask = json!({"windows": 5, "horizon": 20});
    let answer = server.post(PATH, ask.clone()).await;
    answer.problem(422, "insufficient-data");
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("100 steps of history") && detail.contains("64 further steps are needed"), "{detail}");
    let frame = |step: i64| json!({"ts": start() + TimeDelta::seconds(step), "values": {"pump": 40.0, "level": 3.0}});
    server.post("/v1/assets/tank-1/telemetry", json!((1..64).map(frame).collect::<Vec<_>>())).await.success();
    assert!(server.post(PATH, ask.clone()).await.text.contains("1 further steps"));
    server.post("/v1/assets/tank-1/telemetry", frame(64)).await.success();
    server.post(PATH, ask.clone()).await.success();
    let early = json!({"windows": 5, "horizon": 20, "cutoff": "2020-01-01T00:00:00Z"});
    assert!(server.post(PATH, early).await.text.contains("0 steps of history up to the cutoff"));
    server.post("/v1/assets", json!({"key": "tank-2", "type": "tank"})).await.success();
    server.post("/v1/assets/tank-2/backtests", ask).await.problem(422, "insufficient-data");
    // Inputs alone are nothing to predict.
    let pumps: Vec<Value> =
        (0..200).map(|step| json!({"ts": start() - TimeDelta::seconds(step), "values": {"pump": 1.0}})).collect();
    server.post("/v1/assets/tank-2/telemetry", json!(pumps)).await.success();
    let answer = server.post("/v1/assets/tank-2/backtests", json!({"windows": 1, "horizon": 8})).await;
    answer.problem(422, "insufficient-data");
    assert!(answer.text.contains("no signal with the role output"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_asset_has_only_so_many_unfinished_ones() {
    let server = with_history(100).await;
    let ask = json!({"windows": 1, "horizon": 8});
    for _ in 0..16 {
        server.post(PATH, ask.clone()).await.success();
    }
    server.post(PATH, ask.clone()).await.problem(409, "conflict");
    assert!(matches!(server.backtest_once().await, Step::Worked(..)));
    server.post(PATH, ask).await.success();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_tells_its_steps() {
    let server = with_history(200).await;
    let request = server.request(Method::GET, "/v1/stream?asset=tank-1");
    let before = (start() - TimeDelta::seconds(1)).timestamp_micros().to_string();
    server.clock.advance(TimeDelta::seconds(1));
    let made = backtest(&server, json!({"windows": 2, "horizon": 8})).await;
    let response = request.header("last-event-id", before).send().await.unwrap();
    let told = heard_all(response, &["event: backtest\n", "\"succeeded\""]).await;
    assert!(told.contains(made["id"].as_str().unwrap()) && !told.contains("\"origins\""), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_asset_that_goes_takes_its_backtests_along() {
    let server = with_history(200).await;
    server.post(PATH, json!({"windows": 2, "horizon": 8})).await.success();
    server.delete("/v1/assets/tank-1").await.success();
    assert_eq!(server.backtest_once().await, Step::Idle);
}
