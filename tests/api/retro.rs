//! Retro what-ifs: nothing changed gives what really happened, bit for bit; something changed gives what
//! the plant would have done; and what cannot be asked is refused with a reason.

use chrono::{DateTime, TimeDelta, Utc};
use counterpart::training::Step;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::lives::{pump, with_history};
use crate::tester::{START, Server};

const PATH: &str = "/v1/assets/tank-1/retro-what-if";
const FRAMES: usize = 900;

/// The instant of a frame of `with_history(FRAMES)`.
fn at(step: usize) -> DateTime<Utc> {
    START.parse::<DateTime<Utc>>().unwrap() - TimeDelta::seconds((FRAMES - 1 - step) as i64)
}

fn numbers(row: &Value) -> Vec<Option<f64>> {
    row.as_array().unwrap_or_else(|| panic!("{row}")).iter().map(Value::as_f64).collect()
}

fn bits(row: &[Option<f64>]) -> Vec<Option<u64>> {
    row.iter().map(|value| value.map(f64::to_bits)).collect()
}

/// What the server keeps of the level at the steps after frame `from`.
async fn kept(server: &Server, from: usize, steps: usize) -> Vec<Option<f64>> {
    let (from, to) = (at(from + 1), at(from + 1) + TimeDelta::seconds(steps as i64));
    let range = format!("from={}&to={}", from.format("%FT%TZ"), to.format("%FT%TZ"));
    let history = server.get(&format!("/v1/assets/tank-1/history?{range}&signals=level")).await.success();
    numbers(&history["values"]["level"])
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_change_it_is_what_really_happened_bit_for_bit() {
    let server = with_history(FRAMES).await;
    let mut draw = ChaCha8Rng::seed_from_u64(23);
    for round in 0..12 {
        let (from, steps) = (draw.random_range(100..700), draw.random_range(1..120));
        let level = kept(&server, from, steps).await;
        assert_eq!(level.len(), steps);
        let real: Vec<f64> = (from + 1..=from + steps).map(pump).collect();
        let begin = draw.random_range(0..steps);
        // What the pump did, said in other ways.
        let nothing = [
            json!([]),
            json!([{"signal": "pump", "op": "add", "value": 0.0, "from": begin}]),
            json!([{"signal": "pump", "op": "multiply", "value": 1.0, "from": begin}]),
            json!([{"signal": "pump", "op": "series", "values": real[begin..], "from": begin}]),
        ];
        let scenarios: Vec<Value> = nothing.iter().map(|overrides| json!({"overrides": overrides})).collect();
        let limits = if draw.random_bool(0.5) { "refuse" } else { "clamp" };
        // Beside scenarios that do change something, in the same batch.
        let mut all = vec![json!({"overrides": [{"signal": "pump", "op": "add", "value": 2.5}]})];
        all.extend(scenarios);
        let body = json!({"as_of": at(from), "horizon": steps, "scenarios": all, "limits": "clamp",
            "quantiles": [0.01, 0.1, 0.5, 0.77, 0.99]});
        let answer = server.post(PATH, body).await.success();
        assert_eq!(answer["state"]["observed_at"], json!(at(from)));
        assert_eq!(bits(&numbers(&answer["factual"]["observed"]["level"])), bits(&level), "round {round}");
        assert_eq!(numbers(&answer["factual"]["inputs"]["pump"]["values"]).len(), steps);
        for scenario in &answer["scenarios"].as_array().unwrap()[1..] {
            assert_eq!(bits(&numbers(&scenario["path"]["level"])), bits(&level), "round {round}: {scenario}");
            for band in scenario["signals"]["level"].as_object().unwrap().values() {
                assert_eq!(bits(&numbers(band)), bits(&level), "round {round}");
            }
            for gaps in scenario["delta"]["level"].as_object().unwrap().values() {
                assert!(numbers(gaps).iter().all(|gap| gap.unwrap().to_bits() == 0), "round {round}: {gaps}");
            }
            assert!(scenario.get("clamped").is_none(), "what really happened is not clamped: {scenario}");
        }
        assert_ne!(bits(&numbers(&answer["scenarios"][0]["path"]["level"])), bits(&level));
        let alone = server.post(PATH, json!({"as_of": at(from), "horizon": steps, "limits": limits})).await.success();
        assert_eq!(bits(&numbers(&alone["scenarios"][0]["path"]["level"])), bits(&level), "round {round}, alone");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_gives_what_the_plant_would_have_done() {
    let server = with_history(FRAMES).await;
    let (from, steps, change) = (700, 60, 12);
    // The plant is linear: the true effect of 8 % more from a step on does not depend on the rest.
    let mut effect = 0.0;
    let truth: Vec<f64> = (0..steps)
        .map(|step| {
            effect += 0.05 * (0.08 * if step >= change { 8.0 } else { 0.0 } - effect);
            effect
        })
        .collect();
    let body = json!({"as_of": at(from), "to": at(from + steps), "overrides": [
        {"signal": "pump", "op": "add", "value": 8.0, "from": at(from + 1 + change)},
    ], "limits": "clamp"});
    let answer = server.post(PATH, body.clone()).await.success();
    assert_eq!(answer["timestamps"].as_array().unwrap().len(), steps);
    assert_eq!(answer["factual"]["inputs"]["pump"]["source"], "measured");
    let scenario = &answer["scenarios"][0];
    let (path, gap) = (numbers(&scenario["path"]["level"]), numbers(&scenario["delta"]["level"]["0.5"]));
    let level = kept(&server, from, steps).await;
    for step in 0..steps {
        let (path, level) = (path[step].unwrap(), level[step].unwrap());
        assert!((path - level - truth[step]).abs() < 0.15, "step {step}: {} for {}", path - level, truth[step]);
        let band = |key: &str| scenario["signals"]["level"][key][step].as_f64().unwrap();
        assert!(band("0.1") <= band("0.5") && band("0.5") <= band("0.9"));
        if step < change {
            assert_eq!((path.to_bits(), gap[step]), (level.to_bits(), Some(0.0)), "before the change, step {step}");
        }
    }
    let fit = &answer["factual"]["fit"]["level"];
    assert_eq!(fit["steps"], steps);
    assert!(fit["vs_naive"].as_f64().unwrap() > 0.5, "{fit}");
    assert_eq!(answer["model"]["source"], "base");
    assert_eq!(answer, server.post(PATH, body).await.success(), "asked again, the same answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_was_measured_there_is_only_the_difference() {
    let server = with_history(FRAMES).await;
    server.clock.advance(TimeDelta::seconds(40));
    let begin = START.parse::<DateTime<Utc>>().unwrap();
    let frame = |second: i64| {
        let ts = begin + TimeDelta::seconds(second);
        if second == 5 {
            json!({"ts": ts, "values": {"pump": 52.0}})
        } else {
            json!({"ts": ts, "values": {"pump": 50.0, "level": 4.25}})
        }
    };
    // Second 9 is missing altogether.
    let frames: Vec<Value> = (1..=20).filter(|second| *second != 9).map(frame).collect();
    assert_eq!(server.post("/v1/assets/tank-1/telemetry", json!(frames)).await.success()["rejected"], 0);
    let body =
        json!({"as_of": START, "horizon": 20, "overrides": [{"signal": "pump", "op": "ramp", "value": 60.0, "to": 5}]});
    let answer = server.post(PATH, body).await.success();
    let observed = numbers(&answer["factual"]["observed"]["level"]);
    let path = numbers(&answer["scenarios"][0]["path"]["level"]);
    for (step, (observed, path)) in observed.iter().zip(&path).enumerate() {
        assert_eq!(
            (observed.is_none(), path.is_none()),
            ([4, 8].contains(&step), [4, 8].contains(&step)),
            "step {step}"
        );
    }
    assert!(numbers(&answer["scenarios"][0]["delta"]["level"]["0.5"])[8].unwrap() > 0.0, "{answer}");
    assert_eq!(answer["factual"]["fit"]["level"]["steps"], 18);
    let pump = numbers(&answer["factual"]["inputs"]["pump"]["values"]);
    assert_eq!((pump[4], pump[8]), (Some(52.0), Some(50.0)), "an input that was not measured keeps its value");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_asked_of_the_past_is_refused_with_a_reason() {
    let server = with_history(FRAMES).await;
    let tomorrow = at(FRAMES - 1) + TimeDelta::days(1);
    let change = |signal: &str, value: f64| json!([{"signal": signal, "op": "set", "value": value}]);
    let cases = [
        (json!({"as_of": tomorrow}), "/as_of"),
        (json!({"as_of": at(FRAMES - 1)}), "/as_of"),
        (json!({"as_of": at(0) - TimeDelta::seconds(1)}), "/as_of"),
        (json!({"as_of": at(20)}), "/as_of"),
        (json!({"as_of": at(500), "horizon": 0}), "/horizon"),
        (json!({"as_of": at(100), "horizon": 513}), "/horizon"),
        (json!({"as_of": at(100), "to": at(800)}), "/to"),
        (json!({"as_of": at(800), "horizon": 100}), "/horizon"),
        (json!({"as_of": at(800), "to": tomorrow}), "/to"),
        (json!({"as_of": at(800), "to": at(790)}), "/to"),
        (json!({"as_of": at(800), "to": at(850), "horizon": 50}), "/to"),
        (json!({"as_of": at(500), "quantiles": [0.5, 1.0]}), "/quantiles/1"),
        (json!({"as_of": at(500), "overrides": change("level", 1.0)}), "/overrides/0/signal"),
        (json!({"as_of": at(500), "overrides": change("pump", 101.0)}), "/overrides/0/value"),
        (
            json!({"as_of": at(500), "scenarios": [{}, {"overrides": change("ambient", 1.0)}]}),
            "/scenarios/1/overrides/0/signal",
        ),
        (json!({"as_of": at(500), "overrides": change("pump", 50.0), "scenarios": [{}]}), "/overrides"),
        (json!({"as_of": at(500), "scenarios": vec![json!({}); 65]}), "/scenarios"),
    ];
    for (body, pointer) in cases {
        let answer = server.post(PATH, body.clone()).await;
        assert_eq!(answer.problem(422, "invalid"), [pointer], "{body}");
    }
    let long = server.post(PATH, json!({"as_of": at(100), "to": at(800)})).await;
    assert!(long.text.contains("1 to 512"), "{long:?}");
    let beyond = server.post(PATH, json!({"as_of": at(800), "horizon": 100})).await;
    assert!(beyond.text.contains("only 99 have been measured"), "{beyond:?}");
    server.post(PATH, json!({"horizon": 3})).await.problem(422, "invalid");
    server.post("/v1/assets/none/retro-what-if", json!({"as_of": at(3)})).await.problem(404, "not-found");
    server.post("/v1/assets", json!({"key": "empty", "type": "tank"})).await.success();
    server.post("/v1/assets/empty/retro-what-if", json!({"as_of": at(3)})).await.problem(422, "insufficient-data");

    // A silence of an hour: what is known then is too old.
    server.clock.advance(TimeDelta::hours(1));
    let late = json!({"ts": at(FRAMES - 1) + TimeDelta::minutes(50), "values": {"pump": 50.0, "level": 4.0}});
    server.post("/v1/assets/tank-1/telemetry", late).await.success();
    let silent = server.post(PATH, json!({"as_of": at(FRAMES - 1) + TimeDelta::minutes(30)})).await;
    assert_eq!(silent.problem(422, "invalid"), ["/as_of"]);
    assert!(silent.text.contains("1800 steps before"), "{silent:?}");
    let nothing_after = server.post(PATH, json!({"as_of": at(FRAMES - 1), "horizon": 60})).await;
    assert_eq!(nothing_after.problem(422, "invalid"), ["/as_of"]);
    assert!(nothing_after.text.contains("no output was measured"), "{nothing_after:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_named_answers_and_still_nothing_changed_is_what_happened() {
    let server = with_history(FRAMES).await;
    let job = json!({"asset": "tank-1", "recipe": {"max_steps": 20, "evaluate_every": 10}, "promote": "manual"});
    server.post("/v1/fine-tune-jobs", job).await.success();
    assert!(matches!(server.learn_once().await, Step::Worked(..)));
    let (from, steps) = (700, 40);
    let ask = |version: Value| {
        json!({"as_of": at(from), "horizon": steps, "version": version, "limits": "clamp", "scenarios": [
            {}, {"overrides": [{"signal": "pump", "op": "add", "value": 8.0, "from": 5}]}]})
    };
    let level = kept(&server, from, steps).await;
    let answered = async |version: Value| {
        let answer = server.post(PATH, ask(version)).await.success();
        assert_eq!(bits(&numbers(&answer["scenarios"][0]["path"]["level"])), bits(&level));
        let gaps = numbers(&answer["scenarios"][0]["delta"]["level"]["0.5"]);
        assert!(gaps.iter().all(|gap| gap.unwrap().to_bits() == 0), "{gaps:?}");
        answer
    };
    let (base, tuned) = (answered(json!(0)).await, answered(json!(1)).await);
    assert_eq!((&base["model"]["version"], &base["model"]["source"]), (&json!(0), &json!("base")));
    assert_eq!((&tuned["model"]["version"], &tuned["model"]["source"]), (&json!(1), &json!("model")));
    // Who serves is asked when nobody is named, and naming it changes nothing.
    let serving = answered(Value::Null).await;
    assert_eq!(serving, base);
    server.post("/v1/assets/tank-1/models/1/promote", json!({})).await.success();
    let serving = answered(Value::Null).await;
    assert_eq!(serving, tuned);
    assert_eq!(answered(json!(0)).await["model"]["source"], "base");

    for none in [2, -1] {
        let refused = server.post(PATH, ask(json!(none))).await;
        refused.problem(404, "not-found");
        assert!(refused.text.contains(&format!("no model version {none}")), "{refused:?}");
    }
    assert_eq!(server.post(PATH, ask(json!("base"))).await.problem(422, "invalid"), ["/version"]);
}
