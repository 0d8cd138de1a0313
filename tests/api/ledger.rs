//! The ledger of outcomes: predictions are scored once, when they have come true, and shown beside what
//! was measured.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::lives::{pump, with_history};
use crate::tester::{START, Server};

/// Where the pump stands at the end of `with_history(800)`.
fn stands() -> f64 {
    pump(799)
}

/// Sends frames of the seconds after [`START`], after the clock was set to the newest.
async fn measure(server: &Server, seconds: std::ops::RangeInclusive<i64>, frame: impl Fn(i64) -> (f64, f64)) {
    let begin = START.parse::<DateTime<Utc>>().unwrap();
    let newest = begin + TimeDelta::seconds(*seconds.end());
    server.clock.advance(newest - server.clock.now());
    let frames: Vec<Value> = seconds
        .map(|second| {
            let (pump, level) = frame(second);
            json!({"ts": begin + TimeDelta::seconds(second), "values": {"pump": pump, "level": level, "ambient": 20.0}})
        })
        .collect();
    assert_eq!(server.post("/v1/assets/tank-1/telemetry", json!(frames)).await.success()["rejected"], 0);
}

async fn settle(server: &Server) -> usize {
    server.rooms.forecasts.settle().await.unwrap()
}

async fn vintage(server: &Server, id: &Value) -> Value {
    server.get(&format!("/v1/assets/tank-1/predictions/{}", id.as_str().unwrap())).await.success()
}

/// The item of the ledger that a query gives, if there is exactly one.
async fn item(server: &Server, query: &str) -> Value {
    let outcomes = server.get(&format!("/v1/assets/tank-1/outcomes{query}")).await.success();
    let items = outcomes["items"].as_array().unwrap();
    assert_eq!(items.len(), 1, "{outcomes}");
    items[0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prediction_is_shown_beside_what_came_and_scored_once_it_is_whole() {
    let server = with_history(800).await;
    assert_eq!(server.forecast_once().await, 1);
    let listed = server.get("/v1/assets/tank-1/predictions").await.success();
    let id = &listed["items"][0]["id"];
    assert!(vintage(&server, id).await.get("outcome").is_none(), "nothing was measured yet");
    let level = |second: i64| 3.0 + 0.01 * second as f64;
    measure(&server, 1..=30, |second| (stands(), level(second))).await;
    let half = vintage(&server, id).await;
    let outcome = &half["outcome"];
    assert_eq!((&outcome["passed"], &outcome["inputs"]["applied"]), (&json!(30), &json!("underway")));
    assert_eq!(outcome["signals"]["level"]["measured"].as_array().unwrap().len(), 30);
    assert_eq!(outcome.get("scored_at"), None);
    assert_eq!(settle(&server).await, 0, "its last step has not been measured");
    assert_eq!(server.get("/v1/assets/tank-1/outcomes").await.success()["items"], json!([]));

    measure(&server, 31..=60, |second| (stands(), level(second))).await;
    assert_eq!((settle(&server).await, settle(&server).await), (1, 0), "once");
    let whole = vintage(&server, id).await;
    let outcome = &whole["outcome"];
    assert_eq!((&outcome["passed"], &outcome["inputs"]["applied"]), (&json!(60), &json!("applied")));
    assert_eq!(outcome["scored_at"], json!(server.clock.now()));
    // The scores are those of the medians and bands that were served.
    let row = |key: &str| {
        whole["signals"]["level"][key].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect::<Vec<_>>()
    };
    let (low, middle, high) = (row("0.1"), row("0.5"), row("0.9"));
    let truths: Vec<f64> = (1..=60).map(level).collect();
    let absolute: f64 = middle.iter().zip(&truths).map(|(median, truth)| (median - truth).abs()).sum::<f64>() / 60.0;
    let held = (0..60).filter(|step| (low[*step]..=high[*step]).contains(&truths[*step])).count() as f64 / 60.0;
    let ledger = item(&server, "?days=2&cause=refresh").await;
    for scores in [&outcome["signals"]["level"]["scores"], &ledger["overall"]] {
        assert_eq!(scores["truths"], 60);
        assert!((scores["mae"].as_f64().unwrap() - absolute).abs() < 1e-9, "{scores} for {absolute}");
        assert!((scores["coverage_80"].as_f64().unwrap() - held).abs() < 1e-9, "{scores} for {held}");
        assert!(scores["coverage_95"].as_f64().unwrap() >= held, "{scores}");
        assert!(scores["naive_mae"].as_f64().unwrap() > 0.0 && scores["vs_naive"].is_number(), "{scores}");
    }
    assert_eq!((&ledger["signal"], &ledger["unit"], &ledger["source"]), (&json!("level"), &json!("m"), &json!("base")));
    let leads = ledger["leads"].as_array().unwrap();
    let ends: Vec<u64> = leads.iter().map(|lead| lead["to_step"].as_u64().unwrap()).collect();
    assert_eq!(ends, [1, 2, 4, 8, 16, 32, 64]);
    assert_eq!(leads[6]["scores"]["truths"], 28);
    let first = (middle[0] - truths[0]).abs();
    assert!((leads[0]["scores"]["mae"].as_f64().unwrap() - first).abs() < 1e-9);
    let none = server.get("/v1/assets/tank-1/outcomes?cause=request").await.success();
    assert_eq!(none["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn however_many_look_every_prediction_is_counted_once() {
    let server = with_history(400).await;
    for _ in 0..5 {
        server.post("/v1/assets/tank-1/predict", json!({"horizon": 10})).await.success();
    }
    // Filed a moment after the answer.
    while server.get("/v1/assets/tank-1/predictions").await.success()["items"].as_array().unwrap().len() < 5 {
        tokio::task::yield_now().await;
    }
    measure(&server, 1..=12, |_| (pump(399), 3.5)).await;
    let forecasts = &server.rooms.forecasts;
    let (one, two, three) = tokio::join!(forecasts.settle(), forecasts.settle(), forecasts.settle());
    assert_eq!(one.unwrap() + two.unwrap() + three.unwrap(), 5);
    assert_eq!(settle(&server).await, 0);
    let ledger = item(&server, "?cause=request&version=0").await;
    assert_eq!((&ledger["overall"]["truths"], &ledger["predictions"]), (&json!(50), &json!(5)));
    assert_eq!(ledger["overall"]["coverage_95"], Value::Null, "no such band was served");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_after_other_inputs_is_counted_but_not_scored() {
    let server = with_history(800).await;
    let given = json!({"horizon": 20, "inputs": {"pump": vec![stands() + 5.0; 20]}});
    let as_given = server.post("/v1/assets/tank-1/predict", given).await.success();
    let held = server.post("/v1/assets/tank-1/predict", json!({"horizon": 20})).await.success();
    while server.get("/v1/assets/tank-1/predictions").await.success()["items"].as_array().unwrap().len() < 2 {
        tokio::task::yield_now().await;
    }
    measure(&server, 1..=25, |second| (if second <= 8 { stands() } else { stands() + 30.0 }, 4.0)).await;
    assert_eq!(settle(&server).await, 2);
    let held = vintage(&server, &held["id"]).await["outcome"].clone();
    assert_eq!((&held["inputs"]["applied"], &held["inputs"]["steps"]), (&json!("partly"), &json!(8)));
    let departure = &held["inputs"]["departures"][0];
    assert_eq!((&departure["signal"], &departure["step"]), (&json!("pump"), &json!(8)));
    assert_eq!(
        (departure["planned"].as_f64(), departure["measured"].as_f64()),
        (Some(stands()), Some(stands() + 30.0))
    );
    let scores = &held["signals"]["level"]["scores"];
    assert_eq!((&scores["truths"], &scores["inputs_differed"]), (&json!(8), &json!(12)));
    let given = vintage(&server, &as_given["id"]).await["outcome"].clone();
    assert_eq!(given["inputs"]["applied"], "not_applied");
    assert_eq!(given["signals"]["level"]["scores"]["mae"], Value::Null);
    let overall = item(&server, "").await["overall"].clone();
    assert_eq!((&overall["truths"], &overall["inputs_differed"]), (&json!(8), &json!(32)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prediction_from_a_past_instant_is_shown_but_not_scored() {
    let server = with_history(800).await;
    let begin = START.parse::<DateTime<Utc>>().unwrap() - TimeDelta::seconds(100);
    let body = json!({"horizon": 20, "as_of": begin});
    let answer = server.post("/v1/assets/tank-1/predict", body).await.success();
    while server.get("/v1/assets/tank-1/predictions").await.success()["items"].as_array().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(settle(&server).await, 0);
    assert_eq!(vintage(&server, &answer["id"]).await["outcome"]["passed"], 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn outcomes_that_cannot_be_asked_for_are_refused() {
    let server = Server::start().await;
    server.asset("tank-1").await;
    for (query, pointer) in [("?days=0", "days"), ("?days=401", "days"), ("?cause=luck", "cause")] {
        let answer = server.get(&format!("/v1/assets/tank-1/outcomes{query}")).await;
        assert_eq!(answer.problem(422, "invalid"), [pointer]);
    }
    server.get("/v1/assets/none/outcomes").await.problem(404, "not-found");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_before_an_instant_is_found() {
    let server = with_history(800).await;
    let begin = START.parse::<DateTime<Utc>>().unwrap();
    assert_eq!(server.forecast_once().await, 1);
    for round in 1..=3_i64 {
        measure(&server, round * 10 - 9..=round * 10, |_| (stands(), 3.5)).await;
        assert_eq!(server.forecast_once().await, 1);
    }
    // Somebody's question about the past is the newest vintage, but of an old state.
    let past = begin - TimeDelta::seconds(100);
    server.clock.advance(TimeDelta::seconds(1));
    server.post("/v1/assets/tank-1/predict", json!({"horizon": 5, "as_of": past})).await.success();
    let states = async |query: String| {
        let page = server.get(&format!("/v1/assets/tank-1/predictions{query}")).await.success();
        let state = |one: &Value| {
            let at = one["state"]["observed_at"].as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
            (at - begin).num_seconds()
        };
        (page["items"].as_array().unwrap().iter().map(state).collect::<Vec<_>>(), page["next"].clone())
    };
    while states(String::new()).await.0.len() < 5 {
        tokio::task::yield_now().await;
    }
    assert_eq!(states(String::new()).await.0, [-100, 30, 20, 10, 0], "as they were made");
    let at = |second: i64| (begin + TimeDelta::seconds(second)).to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let epoch = |second: i64| (begin + TimeDelta::seconds(second)).timestamp_millis();
    assert_eq!(states(format!("?before={}&limit=1", at(25))).await.0, [20]);
    assert_eq!(states(format!("?before={}&limit=1", epoch(20))).await.0, [10], "the end is not part of it");
    assert_eq!(states(format!("?after={}", at(10))).await.0, [30, 20, 10], "the begin is");
    assert_eq!(states(format!("?after={}&before={}", at(1), at(29))).await.0, [20, 10]);
    assert_eq!(states(format!("?before={}&limit=1&cause=request", at(99))).await.0, [-100]);
    assert_eq!(states("?cause=refresh&limit=1".to_owned()).await.0, [30]);
    let (first, next) = states(format!("?before={}&limit=3", at(99))).await;
    let rest = states(format!("?before={}&limit=3&cursor={}", at(99), next.as_str().unwrap())).await;
    assert_eq!((first, rest), (vec![30, 20, 10], (vec![0, -100], Value::Null)));
    for (wrong, pointer) in [("?before=soon", "before"), ("?after=1234", "after"), ("?cause=luck", "cause")] {
        let answer = server.get(&format!("/v1/assets/tank-1/predictions{wrong}")).await;
        assert_eq!(answer.problem(422, "invalid"), [pointer]);
    }
    let by_creation = server.get("/v1/assets/tank-1/predictions?limit=1").await.success();
    let cursor = by_creation["next"].as_str().unwrap();
    let mixed = server.get(&format!("/v1/assets/tank-1/predictions?before={}&cursor={cursor}", at(99))).await;
    assert_eq!(mixed.problem(422, "invalid"), ["cursor"]);
}
