//! Backtests: how good forecasters would have been on an asset's own history, asked as a job.

use chrono::{DateTime, TimeDelta, Utc};
use counterpart::backtest::{Outcome, Step};
use counterpart::training;
use serde_json::{Value, json};

use crate::health::{COUNT, label, learn, with_leaks};
use crate::lives::{pump, with_history};
use crate::tester::{START, Server};

pub(crate) const PATH: &str = "/v1/assets/tank-1/backtests";

pub(crate) fn start() -> DateTime<Utc> {
    START.parse().unwrap()
}

/// Asks for a backtest, works on it, and reads it.
pub(crate) async fn backtest(server: &Server, ask: Value) -> Value {
    let made = server.post(PATH, ask).await;
    assert_eq!(made.status.as_u16(), 202, "{made:?}");
    let path = made.header("location").to_owned();
    let step = server.backtest_once().await;
    let read = server.get(&path).await.success();
    assert!(matches!(step, Step::Worked(_, Outcome::Succeeded)), "{step:?} {read}");
    read
}

fn of<'a>(backtest: &'a Value, forecaster: &str) -> &'a Value {
    let all = backtest["result"]["forecasters"].as_array().unwrap();
    all.iter().find(|judged| judged["forecaster"] == forecaster).unwrap()
}

fn level(backtest: &Value, forecaster: &str, score: &str) -> f64 {
    of(backtest, forecaster)["all"]["scores"]["by_target"]["level"][score].as_f64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backtest_is_a_job_whose_result_repeats_number_for_number() {
    let server = with_history(700).await;
    assert_eq!(server.backtest_once().await, Step::Idle);
    let ask = json!({"windows": 5, "horizon": 20, "step_size": 12});
    let made = server.post(PATH, ask.clone()).await;
    let waiting = made.success();
    assert_eq!((made.status.as_u16(), &waiting["status"], &waiting["progress"]), (202, &json!("pending"), &json!(0.0)));
    assert_eq!(
        (&waiting["version"], &waiting["inputs"], &waiting["result"]),
        (&json!(0), &json!("held"), &Value::Null)
    );
    assert_eq!(
        (&waiting["cutoff"], &waiting["windows"], &waiting["step_size"]),
        (&json!(START), &json!(5), &json!(12))
    );
    let path = made.header("location").to_owned();
    assert!(matches!(server.backtest_once().await, Step::Worked(_, Outcome::Succeeded)));
    let done = server.get(&path).await.success();
    assert_eq!((&done["status"], &done["progress"], &done["attempts"]), (&json!("succeeded"), &json!(1.0), &json!(1)));
    let result = &done["result"];
    assert_eq!(result["step_s"], 1.0);
    let origins = result["origins"].as_array().unwrap();
    let at = |seconds: i64| {
        json!((start() - TimeDelta::seconds(seconds)).to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
    };
    assert_eq!((origins.len(), &origins[4]["until"], &origins[4]["at"]), (5, &at(0), &at(20)));
    assert_eq!(origins[0]["at"], at(20 + 4 * 12));
    let who = ["model", "naive", "seasonal_naive", "arx"];
    for judged in who.map(|who| of(&done, who)) {
        let scores = &judged["all"]["scores"];
        assert_eq!(scores["windows"], 5, "{judged}");
        for score in ["rmse", "mae", "mase", "pinball", "crps", "coverage_80", "coverage_95"] {
            let one = &scores["by_target"]["level"][score];
            assert!(scores[score].as_f64().is_some() && one.as_f64().is_some_and(|one| one >= 0.0), "{score} {judged}");
        }
        assert_eq!(judged["unseen"], Value::Null, "the base model learned from no asset");
    }
    assert_eq!(result["learned"]["seen_by_model"], 0);
    assert!(result["learned"]["summary"].as_str().unwrap().contains("the base model learned from no asset"));
    assert_eq!(result["fallbacks"], 0);
    assert_eq!(result["health"]["reason"], "no step of the windows has a label that names a health class");
    assert!(result["health"]["model"].is_null() && result["health"]["naive"].is_null());

    // Ids of one millisecond have no order.
    server.clock.advance(TimeDelta::milliseconds(1));
    let again = backtest(&server, ask).await;
    assert_ne!(again["id"], done["id"]);
    assert_eq!(&again["result"], result, "the same windows give the same numbers");
    let listed = server.get(&format!("{PATH}?limit=1")).await.success();
    assert_eq!(listed["items"][0]["id"], again["id"]);
    assert!(listed["items"][0]["result"]["origins"].is_null() && listed["items"][0]["result"]["learned"].is_object());
    let rest = server.get(&format!("{PATH}?limit=1&cursor={}", listed["next"].as_str().unwrap())).await.success();
    assert_eq!((&rest["items"][0]["id"], &rest["next"]), (&done["id"], &Value::Null));
    let cancelled = server.get(&format!("{PATH}?status=cancelled")).await.success();
    assert_eq!(cancelled["items"], json!([]));
}

/// The level of the tank of [`with_history`], from the readings as the server gives them back.
async fn levels(server: &Server, count: usize) -> Vec<f64> {
    let from = start() - TimeDelta::seconds(count as i64);
    let from = from.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let path = format!("/v1/assets/tank-1/history?from={from}&signals=level&limit=1000");
    let history = server.get(&path).await.success();
    history["values"]["level"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_naive_forecast_scores_what_the_raw_readings_say() {
    let server = with_history(600).await;
    let levels = levels(&server, 600).await;
    assert_eq!(levels.len(), 600);
    let (windows, horizon, step_size) = (7, 24, 15);
    let done = backtest(&server, json!({"windows": windows, "horizon": horizon, "step_size": step_size})).await;
    let (mut squares, mut absolute, mut scaled, mut count) = (0.0, 0.0, 0.0, 0.0);
    for window in 0..windows {
        let origin = 600 - horizon - window * step_size;
        let last = levels[origin - 1];
        let pace: f64 =
            levels[..origin].windows(2).map(|pair| (pair[1] - pair[0]).abs()).sum::<f64>() / (origin - 1) as f64;
        for value in &levels[origin..origin + horizon] {
            squares += (value - last).powi(2);
            absolute += (value - last).abs();
            scaled += (value - last).abs() / pace;
            count += 1.0;
        }
    }
    for (score, truth) in [("rmse", f64::sqrt(squares / count)), ("mae", absolute / count), ("mase", scaled / count)] {
        let told = level(&done, "naive", score);
        assert!((told - truth).abs() < 1e-9 * (1.0 + truth), "{score}: {told} is told and {truth} is so");
    }
    assert_eq!(of(&done, "naive")["all"]["scores"]["by_target"]["level"]["steps"], json!(windows * horizon));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_model_scores_what_a_prediction_as_of_then_says() {
    let server = with_history(600).await;
    let levels = levels(&server, 600).await;
    let done = backtest(&server, json!({"windows": 1, "horizon": 20})).await;
    let as_of = start() - TimeDelta::seconds(20);
    let body = json!({"horizon": 20, "as_of": as_of, "quantiles": [0.1, 0.5, 0.9]});
    let said = server.post("/v1/assets/tank-1/predict", body).await.success();
    let row = |key: &str| -> Vec<f64> {
        said["signals"]["level"][key].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
    };
    let truth = &levels[580..];
    let (low, median, high) = (row("0.1"), row("0.5"), row("0.9"));
    let mae = truth.iter().zip(&median).map(|(truth, said)| (truth - said).abs()).sum::<f64>() / 20.0;
    let inside = (0..20).filter(|step| (low[*step]..=high[*step]).contains(&truth[*step])).count() as f64 / 20.0;
    assert!((level(&done, "model", "mae") - mae).abs() < 1e-5, "{} and {mae}", level(&done, "model", "mae"));
    assert!((level(&done, "model", "coverage_80") - inside).abs() < 1e-9);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reading_that_lies_is_started_from_no_more_than_by_a_live_answer() {
    let server = with_history(600).await;
    let ask = json!({"windows": 1, "horizon": 20});
    let sound = backtest(&server, ask.clone()).await;
    let as_of = start() - TimeDelta::seconds(20);
    // Two steps before the window's start the sensor says nonsense for a moment.
    let spike = json!({"ts": as_of - TimeDelta::seconds(2), "values": {"level": 9.9}});
    server.post("/v1/assets/tank-1/telemetry", spike).await.success();
    server.clock.advance(TimeDelta::milliseconds(1));
    let lied = backtest(&server, ask).await;
    let body = json!({"horizon": 20, "as_of": as_of, "quantiles": [0.5]});
    let said = server.post("/v1/assets/tank-1/predict", body).await.success();
    let median = said["signals"]["level"]["0.5"].as_array().unwrap();
    let truth = &levels(&server, 600).await[580..];
    let errors = truth.iter().zip(median).map(|(truth, said)| (truth - said.as_f64().unwrap()).abs());
    let mae = errors.sum::<f64>() / 20.0;
    assert!((level(&lied, "model", "mae") - mae).abs() < 1e-5, "{} and {mae}", level(&lied, "model", "mae"));
    for who in ["model", "arx"] {
        let (before, after) = (level(&sound, who, "mae"), level(&lied, who, "mae"));
        assert!((after - before).abs() < 0.05, "{who}: {before} became {after}");
    }
    assert_eq!(level(&lied, "naive", "mae"), level(&sound, "naive", "mae"), "the newest reading is as it was");
}

#[tokio::test(flavor = "multi_thread")]
async fn readings_after_the_cutoff_change_nothing() {
    let server = with_history(700).await;
    let cutoff = start() - TimeDelta::seconds(100);
    let ask = json!({"windows": 4, "horizon": 20, "cutoff": cutoff});
    let before = backtest(&server, ask.clone()).await;
    assert_eq!(
        before["result"]["origins"][3]["until"],
        json!(cutoff.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
    );
    let wild: Vec<Value> = (1..=100)
        .map(|step| json!({"ts": cutoff + TimeDelta::seconds(step), "values": {"level": 0.1 * step as f64, "pump": 99.0}}))
        .collect();
    assert_eq!(server.post("/v1/assets/tank-1/telemetry", json!(wild)).await.success()["rejected"], 0);
    assert_eq!(backtest(&server, ask).await["result"], before["result"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_knows_the_plant_is_ahead_of_who_does_not() {
    // A tank of first order: what an ARX with its inputs is made for.
    let server = with_history(900).await;
    let ask = json!({"windows": 20, "horizon": 30, "step_size": 15, "inputs": "measured"});
    let done = backtest(&server, ask).await;
    let naive = level(&done, "naive", "rmse");
    for forecaster in ["model", "arx"] {
        let own = level(&done, forecaster, "rmse");
        assert!(own < 0.3 * naive, "{forecaster}: {own} against {naive}");
        let paired = &of(&done, forecaster)["all"]["vs_naive"];
        assert!(paired["low"].as_f64().unwrap() > 0.3, "{forecaster}: {paired}");
        assert_eq!(&of(&done, forecaster)["all"]["vs_naive_by_target"]["level"]["windows"], &json!(20));
        let covered = level(&done, forecaster, "coverage_95");
        assert!(covered > 0.8, "{forecaster} covers {covered}");
    }
    assert_eq!(of(&done, "naive")["all"]["vs_naive"], Value::Null);
    assert_eq!(done["result"]["seasons"]["level"], 5 * 37, "the pump's steps come again");
    // What is not known of the inputs costs those who follow them.
    let held = backtest(&server, json!({"windows": 20, "horizon": 30, "step_size": 15})).await;
    assert!(level(&held, "arx", "rmse") > 2.0 * level(&done, "arx", "rmse"));
    assert_eq!(level(&held, "naive", "rmse"), naive, "the naive forecast does not look at them");

    // A wave without inputs: what a season is.
    let server = Server::start().await;
    server
        .post(
            "/v1/asset-types",
            json!({"key": "buoy", "interval": "PT1S", "signals": [{"name": "level", "role": "output"}]}),
        )
        .await
        .success();
    server.post("/v1/assets", json!({"key": "tank-1", "type": "buoy"})).await.success();
    let frames: Vec<Value> = (0..600)
        .map(|step| {
            let noise = 0.05 * (f64::from(step) * 12.989).sin();
            let level = (f64::from(step) * std::f64::consts::TAU / 24.0).sin() + noise;
            json!({"ts": start() - TimeDelta::seconds(i64::from(599 - step)), "values": {"level": level}})
        })
        .collect();
    server.post("/v1/assets/tank-1/telemetry", json!(frames)).await.success();
    let done = backtest(&server, json!({"windows": 12, "horizon": 24, "step_size": 7})).await;
    assert_eq!(done["result"]["seasons"]["level"], 24);
    let (seasonal, naive) = (level(&done, "seasonal_naive", "crps"), level(&done, "naive", "crps"));
    assert!(seasonal < 0.2 * naive, "{seasonal} against {naive}");
    assert!(level(&done, "model", "crps") < 0.3 * naive);
}

#[tokio::test(flavor = "multi_thread")]
async fn windows_that_a_version_learned_from_are_told_and_scored_apart() {
    let server = with_history(800).await;
    let recipe = json!({"max_steps": 20, "evaluate_every": 10});
    server.post("/v1/fine-tune-jobs", json!({"asset": "tank-1", "recipe": recipe})).await.success();
    assert!(matches!(server.learn_once().await, training::Step::Worked(..)));
    server.post("/v1/assets/tank-1/models/1/promote", json!({})).await.success();
    server.clock.advance(TimeDelta::seconds(200));
    let mut level = 3.0;
    let after: Vec<Value> = (1..=200)
        .map(|step| {
            level += 0.05 * (0.08 * pump(step) - level);
            json!({"ts": start() + TimeDelta::seconds(step as i64), "values": {"pump": pump(step), "level": level, "ambient": 20.0}})
        })
        .collect();
    server.post("/v1/assets/tank-1/telemetry", json!(after)).await.success();

    // 15 windows on the last 300 of 1,000 steps; the version knows the first 100 of them.
    let done = backtest(&server, json!({"windows": 15, "horizon": 20, "inputs": "measured"})).await;
    assert_eq!(done["version"], 1, "the one that serves");
    let learned = &done["result"]["learned"];
    assert_eq!(
        (&learned["windows"], &learned["seen_by_model"], &learned["until"]),
        (&json!(15), &json!(5), &json!(START))
    );
    let summary = learned["summary"].as_str().unwrap();
    assert!(summary.contains("5 of the 15 windows") && summary.contains("better than they would be"), "{summary}");
    let seen: Vec<bool> = done["result"]["origins"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["seen_by_model"].as_bool().unwrap())
        .collect();
    assert_eq!(seen, [vec![true; 5], vec![false; 10]].concat());
    for who in ["model", "naive", "seasonal_naive", "arx"] {
        assert_eq!(of(&done, who)["unseen"]["scores"]["windows"], 10, "{who}");
    }
    let of_windows = |range: std::ops::Range<usize>| {
        let origins = &done["result"]["origins"].as_array().unwrap()[range];
        origins.iter().map(|one| one["crps"]["model"].as_f64().unwrap()).sum::<f64>() / origins.len() as f64
    };
    let unseen = of(&done, "model")["unseen"]["scores"]["crps"].as_f64().unwrap();
    assert!((unseen - of_windows(5..15)).abs() < 1e-9, "one output, all of it measured: the mean over the windows");

    let base = backtest(&server, json!({"version": 0, "windows": 15, "horizon": 20, "inputs": "measured"})).await;
    assert_eq!((&base["version"], &base["result"]["learned"]["seen_by_model"]), (&json!(0), &json!(0)));
    for score in ["rmse", "crps"] {
        assert_eq!(self::level(&base, "naive", score), self::level(&done, "naive", score), "whoever is examined");
    }
    assert_ne!(self::level(&base, "model", "crps"), self::level(&done, "model", "crps"));
    server.post(PATH, json!({"version": 2})).await.problem(404, "not-found");
    server.post(PATH, json!({"version": -1})).await.problem(404, "not-found");
}

#[tokio::test(flavor = "multi_thread")]
async fn named_classes_are_scored_on_the_labels_in_the_windows() {
    let server = with_leaks().await;
    for (class, from, to) in
        [("healthy", 0, 600), ("leaking", 600, 900), ("healthy", 900, 1_300), ("leaking", 1_300, COUNT)]
    {
        label(&server, class, from, to).await;
    }
    let ask = json!({"windows": 20, "horizon": 20, "step_size": 40});
    let base = backtest(&server, ask.clone()).await;
    let health = &base["result"]["health"];
    assert_eq!((&health["model"], &health["steps"]), (&Value::Null, &json!(400)));
    assert_eq!(health["reason"], "the examined version names no health classes: it was taught none");
    learn(&server).await;
    let done = backtest(&server, ask).await;
    assert_eq!(done["version"], 1, "it was promoted");
    let health = &done["result"]["health"];
    assert_eq!(
        (&health["steps"], &health["seen_by_model"], &health["reason"]),
        (&json!(400), &json!(400), &Value::Null)
    );
    let (model, naive) = (&health["model"], &health["naive"]);
    for score in ["accuracy", "macro_f1", "macro_precision", "macro_recall", "macro_roc_auc"] {
        let value = model[score].as_f64().unwrap();
        assert!((0.8..=1.0).contains(&value), "{score} is {value}: {model}");
    }
    assert!(model["ece"].as_f64().unwrap() < 0.2, "{model}");
    // 1,020 to 1,060 and so on: seven of the windows are healthy, and the naive says that all of them are.
    assert_eq!(model["classes"]["healthy"]["support"], 140);
    assert_eq!(naive["confusion"], json!([[140, 0], [260, 0]]));
    assert_eq!((&naive["accuracy"], &naive["macro_roc_auc"]), (&json!(0.35), &json!(0.5)));
    let confusion: u64 = model["confusion"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|row| row.as_array().unwrap())
        .map(|count| count.as_u64().unwrap())
        .sum();
    assert_eq!(confusion, 400);
}
