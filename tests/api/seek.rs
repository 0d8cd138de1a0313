//! Goal seek: a schedule that serves an aim and keeps limits, judged anew; refusals with a reason.

use reqwest::{Method, header};
use serde_json::{Value, json};

use crate::lives::with_history;
use crate::tester::{Answer, Server};

fn numbers(row: &Value) -> Vec<f64> {
    row.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setpoint_is_reached_within_limits_and_what_was_seen() {
    let server = with_history(900).await;
    let body = json!({
        "horizon": 48, "seed": 3, "evaluations": 240,
        "objective": {"goal": "track", "signal": "level", "setpoint": 4.4},
        "constraints": [{"signal": "level", "max": 5.4, "probability": 0.9}],
        "controls": [{"signal": "pump", "knots": 4}],
    });
    let answer = server.post("/v1/assets/tank-1/goal-seek", body.clone()).await.success();
    assert_eq!(answer["met"], true, "{answer}");
    let best = &answer["best"];
    let pump = numbers(&best["inputs"]["pump"]["values"]);
    assert!(pump.iter().all(|value| (30.0..=70.0).contains(value)), "within what was seen: {pump:?}");
    let level = numbers(&best["signals"]["level"]["0.5"]);
    assert!((level[47] - 4.4).abs() < 0.15, "{level:?}");
    // The aim is kept over the horizon, not at its last step alone.
    let off: Vec<f64> = level[24..].iter().map(|level| (level - 4.4).powi(2)).collect();
    assert!((off.iter().sum::<f64>() / off.len() as f64).sqrt() < 0.15, "{level:?}");
    assert_eq!(best["constraints"][0]["met"], true);
    assert!(best["objective"]["mean"].as_f64() < answer["baseline"]["objective"]["mean"].as_f64());
    assert!(best["support"]["outside"].as_array().unwrap().is_empty(), "{best}");
    assert_eq!(answer["search"]["ended"], "evaluations");
    let again = server.post("/v1/assets/tank-1/goal-seek", body).await.success();
    assert_eq!(answer["best"], again["best"], "the seed decides all");
    for alternative in answer["alternatives"].as_array().unwrap() {
        assert_eq!(alternative["met"], true);
        assert_ne!(alternative["inputs"], best["inputs"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kpi_is_minimised_and_maximised_and_moves_cost() {
    let server = with_history(900).await;
    let ask = async |goal: &str, penalty: f64| {
        let body = json!({
            "horizon": 32, "evaluations": 160, "move_penalty": penalty, "knots": 4, "shape": "held",
            "objective": {"goal": goal, "kpi": {"name": "level", "signal": "level", "agg": "mean"}},
        });
        server.post("/v1/assets/tank-1/goal-seek", body).await.success()
    };
    let of = |answer: &Value| answer["best"]["objective"]["mean"].as_f64().unwrap();
    let (least, most) = (ask("minimise", 0.0).await, ask("maximise", 0.0).await);
    assert!(of(&least) < of(&most) - 0.5, "{} {}", of(&least), of(&most));
    let still = ask("maximise", 1e6).await;
    let pump = numbers(&still["best"]["inputs"]["pump"]["values"]);
    assert!(pump.iter().all(|value| (value - pump[0]).abs() < 0.5), "moving costs too much: {pump:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_cannot_be_kept_is_told_rather_than_hidden() {
    let server = with_history(900).await;
    let body = json!({
        "horizon": 24, "evaluations": 60,
        "objective": {"goal": "minimise", "kpi": {"name": "effort", "signal": "pump", "agg": "integral"}},
        "constraints": [{"signal": "level", "min": 9.0}],
    });
    let answer = server.post("/v1/assets/tank-1/goal-seek", body).await.success();
    assert_eq!(answer["met"], false);
    assert_eq!(answer["best"]["constraints"][0]["met"], false);
    assert!(answer["alternatives"].as_array().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn support_is_left_only_on_demand() {
    let server = with_history(900).await;
    let ask = async |allow: bool| {
        let body = json!({
            "horizon": 32, "evaluations": 120, "knots": 2, "allow_outside_support": allow,
            "objective": {"goal": "maximise", "kpi": {"name": "level", "signal": "level", "agg": "last"}},
        });
        let answer = server.post("/v1/assets/tank-1/goal-seek", body).await.success();
        numbers(&answer["best"]["inputs"]["pump"]["values"]).into_iter().fold(0.0, f64::max)
    };
    assert!(ask(false).await <= 70.0);
    assert!(ask(true).await > 90.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_sought_is_refused_with_a_pointer() {
    let server = with_history(200).await;
    let kpi = json!({"goal": "minimise", "kpi": {"name": "level", "signal": "level", "agg": "mean"}});
    let ask = async |change: Value| {
        let mut body = json!({"horizon": 10, "objective": kpi});
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        server.post("/v1/assets/tank-1/goal-seek", body).await
    };
    for (change, pointer) in [
        (json!({"horizon": 0}), "/horizon"),
        (json!({"horizon": -1}), "/horizon"),
        (json!({"evaluations": 1_000_000}), "/evaluations"),
        (json!({"evaluations": 1}), "/evaluations"),
        (json!({"samples": 5}), "/samples"),
        (json!({"samples": 100_000}), "/samples"),
        (json!({"alternatives": 4}), "/alternatives"),
        (json!({"knots": 0}), "/knots"),
        (json!({"knots": 65}), "/knots"),
        (json!({"deadline_s": 0}), "/deadline_s"),
        (json!({"deadline_s": 1000}), "/deadline_s"),
        (json!({"move_penalty": -1}), "/move_penalty"),
        (json!({"seed": -1}), "/seed"),
        (json!({"seed": 9_007_199_254_740_992_u64}), "/seed"),
        (json!({"controls": [{"signal": "boiler"}]}), "/controls/0/signal"),
        (json!({"controls": [{"signal": "level"}]}), "/controls/0/signal"),
        (json!({"controls": [{"signal": "ambient"}]}), "/controls/0/signal"),
        (json!({"controls": [{"signal": "pump"}, {"signal": "pump"}]}), "/controls/1/signal"),
        (json!({"controls": [{"signal": "pump", "min": 90.0}]}), "/controls/0/max"),
        (json!({"controls": [{"signal": "pump", "max_rate": 0.0}]}), "/controls/0/max_rate"),
        (json!({"controls": [{"signal": "pump", "knots": 0}]}), "/controls/0/knots"),
        (json!({"controls": vec![json!({"signal": "pump"}); 65]}), "/controls"),
        (json!({"constraints": [{"signal": "boiler", "max": 1.0}]}), "/constraints/0/signal"),
        (json!({"constraints": [{"signal": "level"}]}), "/constraints/0"),
        (json!({"constraints": [{"signal": "level", "max": 1.0, "probability": 1.5}]}), "/constraints/0/probability"),
        (json!({"objective": {"goal": "track", "signal": "pump", "setpoint": 3.0}}), "/objective/signal"),
        (json!({"objective": {"goal": "track", "signal": "level", "setpoint": [3.0, 4.0]}}), "/objective/setpoint"),
        (
            json!({"objective": {"goal": "track", "signal": "level", "setpoint": 3.0, "terminal": -1}}),
            "/objective/terminal",
        ),
        (
            json!({"objective": {"goal": "minimise", "kpi": {"name": "x", "signal": "boiler", "agg": "mean"}}}),
            "/objective/kpi",
        ),
        (
            json!({"objective": {"goal": "minimise", "kpi": {"name": "x", "expression": "level *", "agg": "mean"}}}),
            "/objective/kpi",
        ),
        (json!({"inputs": {"pump": vec![40.0; 10]}}), "/inputs/pump"),
        (json!({"quantiles": [2.0]}), "/quantiles/0"),
    ] {
        let answer = ask(change.clone()).await;
        assert_eq!(answer.problem(422, "invalid"), [pointer], "{change}");
    }
    let answer = ask(json!({"horizon": 1_000_000_000})).await;
    assert_eq!(answer.problem(422, "horizon-too-large"), ["/horizon"]);
    for body in [json!([]), json!({}), json!({"objective": 3}), json!({"objective": kpi, "colour": "red"})] {
        let answer = server.post("/v1/assets/tank-1/goal-seek", body).await;
        assert_eq!(answer.status.as_u16(), 422, "{answer:?}");
    }
    let body = json!({"objective": kpi});
    server.post("/v1/assets/none/goal-seek", body).await.problem(404, "not-found");
}

/// The events of a goal seek: their names and data, in order.
async fn listen(server: &Server, body: &Value) -> Vec<(String, Value)> {
    let request = server.request(Method::POST, "/v1/assets/tank-1/goal-seek").json(body);
    let answer = Answer::to(request.header(header::ACCEPT, "text/event-stream")).await;
    assert_eq!((answer.status.as_u16(), answer.header(header::CONTENT_TYPE)), (200, "text/event-stream"), "{answer:?}");
    let field = |event: &str, name: &str| {
        event.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned())
    };
    let events = answer
        .text
        .split("\n\n")
        .filter_map(|event| Some((field(event, "event:")?, serde_json::from_str(&field(event, "data:")?).unwrap())));
    events.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_tells_how_far_the_search_has_come() {
    let server = with_history(900).await;
    let body = json!({
        "horizon": 32, "seed": 3, "evaluations": 200, "knots": 3,
        "objective": {"goal": "track", "signal": "level", "setpoint": 4.4},
    });
    let events = listen(&server, &body).await;
    let (end, told) = events.split_last().unwrap();
    assert!(told.len() >= 2 && told.iter().all(|(name, _)| name == "progress"), "{events:?}");
    let tried: Vec<i64> = told.iter().map(|(_, data)| data["evaluations"].as_i64().unwrap()).collect();
    assert!(tried.is_sorted_by(|one, other| one < other) && tried[tried.len() - 1] >= 200, "{tried:?}");
    let objective: Vec<f64> = told.iter().map(|(_, data)| data["objective"].as_f64().unwrap()).collect();
    assert!(objective.is_sorted_by(|one, other| one >= other), "it never gets worse: {objective:?}");
    assert!(told.iter().all(|(_, data)| numbers(&data["inputs"]["pump"]).len() == 32));
    assert_eq!(end.0, "outcome");
    let answer = server.post("/v1/assets/tank-1/goal-seek", body).await.success();
    assert_eq!(end.1["best"], answer["best"], "the same as without a stream");

    let wrong = json!({"objective": {"goal": "track", "signal": "none", "setpoint": 1.0}});
    let request = server.request(Method::POST, "/v1/assets/tank-1/goal-seek").json(&wrong);
    let refused = Answer::to(request.header(header::ACCEPT, "text/event-stream")).await;
    assert_eq!(refused.problem(422, "invalid"), ["/objective/signal"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_young_asset_has_nothing_to_search_with() {
    let server = with_history(10).await;
    let body = json!({"horizon": 5, "allow_outside_support": true, "objective": {"goal": "minimise", "kpi": {"name": "x", "signal": "level", "agg": "mean"}}});
    server.post("/v1/assets/tank-1/goal-seek", body).await.problem(422, "insufficient-data");
}

#[tokio::test(flavor = "multi_thread")]
async fn hanging_up_ends_the_search_and_frees_its_place() {
    let server = with_history(900).await;
    let body = json!({
        "horizon": 64, "evaluations": 5000, "deadline_s": 20, "knots": 12,
        "objective": {"goal": "minimise", "kpi": {"name": "x", "signal": "level", "agg": "mean"}},
    });
    for _ in 0..3 {
        let asked = server.post("/v1/assets/tank-1/goal-seek", body.clone());
        let left = tokio::time::timeout(std::time::Duration::from_millis(400), asked).await;
        assert!(left.is_err(), "it takes longer than its caller waits: {left:?}");
    }
    // Two searches have room; a fourth one has, since the three before ended with their callers.
    let mut small = body;
    small["evaluations"] = json!(24);
    let began = std::time::Instant::now();
    while server.post("/v1/assets/tank-1/goal-seek", small.clone()).await.status == 503 {
        assert!(began.elapsed().as_secs() < 10, "the searches go on without a caller");
    }
}
