//! Scenarios that are kept, inherited from and run again.

use chrono::{DateTime, TimeDelta, Utc};
use counterpart::training::Step;
use reqwest::{Method, header};
use serde_json::{Value, json};

use crate::lives::with_history;
use crate::tester::{Answer, START, Server};

const SCENARIOS: &str = "/v1/assets/tank-1/scenarios";

fn at(id: &Value) -> String {
    format!("{SCENARIOS}/{}", id.as_str().unwrap())
}

fn set(value: f64) -> Value {
    json!({"signal": "pump", "op": "set", "value": value, "from": 2})
}

/// The answer of a run as it was sent, byte for byte.
fn outcome(answer: &Answer) -> &str {
    let begin = answer.text.find("\"outcome\":").unwrap_or_else(|| panic!("{answer:?}"));
    &answer.text[begin..]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scenario_is_kept_changed_copied_and_deleted() {
    let server = with_history(60).await;
    let new = json!({"name": "half load", "description": "for the night", "tags": ["night", "pump"], "horizon": 20,
        "limits": "clamp", "overrides": [set(55.0)], "constraints": [{"signal": "level", "max": 9.5}]});
    let made = server.post(SCENARIOS, new.clone()).await;
    assert_eq!(made.status, 201);
    let kept = made.json();
    let path = at(&kept["id"]);
    assert_eq!(made.header(header::LOCATION), path);
    assert_eq!((&kept["asset"], &kept["revision"], &kept["created_at"]), (&json!("tank-1"), &json!(1), &json!(START)));
    let read = server.get(&path).await;
    assert_eq!((read.json(), read.tag()), (kept.clone(), made.tag()));
    let known = server.request(Method::GET, &path).header(header::IF_NONE_MATCH, made.tag());
    assert_eq!(Answer::to(known).await.status, 304);

    let changed = server.patch(&path, Some(made.tag()), json!({"name": "quarter", "description": null})).await;
    let after = changed.success();
    assert_eq!(
        (&after["name"], &after["description"], &after["revision"]),
        (&json!("quarter"), &Value::Null, &json!(2))
    );
    assert_eq!(after["overrides"], kept["overrides"], "what is not mentioned stays");
    server.patch(&path, Some(made.tag()), json!({"name": "late"})).await.problem(412, "precondition-failed");
    assert_eq!(server.patch(&path, None, json!({"name": "quarter"})).await.tag(), changed.tag(), "nothing to change");
    for (patch, pointer) in [
        (json!({"name": ""}), "/name"),
        (json!({"name": null}), "/name"),
        (json!({"revision": 7}), "/revision"),
        (json!({"overrides": [{"signal": "level", "op": "set", "value": 1.0}]}), "/overrides/0/signal"),
        (json!({"horizon": 0}), "/horizon"),
        (json!({"expires_at": "2020-01-01T00:00:00Z"}), "/expires_at"),
        (json!({"parent": kept["id"]}), "/parent"),
        (json!({"tags": [""]}), "/tags/0"),
    ] {
        assert_eq!(server.patch(&path, None, patch.clone()).await.problem(422, "invalid"), [pointer], "{patch}");
    }

    let copy = server.post(&format!("{path}/duplicate"), json!({})).await.success();
    assert_eq!((&copy["name"], &copy["overrides"]), (&json!("quarter (copy)"), &after["overrides"]));
    assert_ne!(copy["id"], kept["id"]);
    let named = server.post(&format!("{path}/duplicate"), json!({"name": "mine"})).await.success();
    assert_eq!(named["name"], "mine");

    let listed = server.get(SCENARIOS).await.success();
    let names: Vec<&str> =
        listed["items"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 3);
    let tagged = server.get(&format!("{SCENARIOS}?tag=night&limit=2")).await.success();
    assert_eq!(tagged["items"].as_array().unwrap().len(), 2);
    let rest =
        server.get(&format!("{SCENARIOS}?tag=night&cursor={}", tagged["next"].as_str().unwrap())).await.success();
    assert_eq!((rest["items"].as_array().unwrap().len(), &rest["next"]), (1, &Value::Null));
    assert_eq!(server.get(&format!("{SCENARIOS}?tag=day")).await.success()["items"], json!([]));

    let stale = server.request(Method::DELETE, &path).header(header::IF_MATCH, made.tag());
    Answer::to(stale).await.problem(412, "precondition-failed");
    assert_eq!(server.delete(&path).await.status, 204);
    server.get(&path).await.problem(404, "not-found");
    server.get("/v1/assets/none/scenarios").await.problem(404, "not-found");
    server.get(&format!("{SCENARIOS}/nonsense")).await.problem(422, "invalid");
    let beyond = server.post(SCENARIOS, json!({"name": "far", "horizon": 513})).await;
    assert_eq!(
        (beyond.problem(422, "horizon-too-large"), &beyond.json()["max"]),
        (vec!["/horizon".to_owned()], &json!(512))
    );
    // All of it goes with the asset.
    server.delete("/v1/assets/tank-1").await.success();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_inherits_and_there_are_no_circles() {
    let server = with_history(300).await;
    let make = async |name: &str, parent: Option<&Value>, more: Value| {
        let mut form = json!({"name": name, "parent": parent});
        for (member, value) in more.as_object().unwrap() {
            form[member] = value.clone();
        }
        server.post(SCENARIOS, form).await
    };
    let eldest = make(
        "eldest",
        None,
        json!({"horizon": 16, "limits": "clamp",
        "overrides": [{"signal": "pump", "op": "set", "value": 60.0}],
        "kpis": [{"name": "pumped", "signal": "pump", "agg": "mean"}]}),
    )
    .await
    .success()["id"]
        .clone();
    let child =
        make("child", Some(&eldest), json!({"overrides": [{"signal": "pump", "op": "clamp", "max": 58.0, "from": 8}]}))
            .await
            .success()["id"]
            .clone();
    let run = server.post(&format!("{}/runs", at(&child)), json!({"seed": 5})).await;
    assert_eq!(run.status, 201);
    let run = run.json();
    let pump: Vec<f64> = run["outcome"]["scenarios"][0]["inputs"]["pump"]["values"]
        .as_array()
        .unwrap()
        .iter()
        .map(|value| value.as_f64().unwrap())
        .collect();
    assert_eq!(
        (pump.len(), pump[7], pump[8], pump[15]),
        (16, 60.0, 58.0, 58.0),
        "the parent's before its own: {pump:?}"
    );
    assert!(run["outcome"]["scenarios"][0]["kpis"]["pumped"]["mean"].is_number(), "inherited: {run}");
    assert_eq!(run["request"]["scenarios"][0]["name"], "child");

    let below = server.get(&format!("{SCENARIOS}?parent={}", eldest.as_str().unwrap())).await.success();
    assert_eq!(below["items"][0]["id"], child);
    server.delete(&at(&eldest)).await.problem(409, "conflict");
    let circle = server.patch(&at(&eldest), None, json!({"parent": child})).await;
    assert_eq!(circle.problem(422, "invalid"), ["/parent"]);
    let stranger = make("stranger", Some(&json!("0190a6f0-0000-7000-8000-000000000000")), json!({})).await;
    assert_eq!(stranger.problem(422, "invalid"), ["/parent"]);

    // Eight generations and no more, from either end.
    let mut youngest = child;
    for generation in 3..=8 {
        youngest = make(&format!("{generation}"), Some(&youngest), json!({})).await.success()["id"].clone();
    }
    let ninth = make("9", Some(&youngest), json!({})).await;
    assert_eq!(ninth.problem(422, "invalid"), ["/parent"]);
    let above = make("above", None, json!({})).await.success()["id"].clone();
    let taller = server.patch(&at(&eldest), None, json!({"parent": above})).await;
    assert_eq!(taller.problem(422, "invalid"), ["/parent"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_scenario_is_not_shown_and_goes() {
    let server = with_history(60).await;
    let soon = START.parse::<DateTime<Utc>>().unwrap() + TimeDelta::minutes(5);
    let made = server.post(SCENARIOS, json!({"name": "short", "expires_at": soon})).await.success();
    server.get(&at(&made["id"])).await.success();
    server.clock.advance(TimeDelta::minutes(5));
    server.get(&at(&made["id"])).await.problem(404, "not-found");
    server.post(&format!("{}/runs", at(&made["id"])), json!({})).await.problem(404, "not-found");
    assert_eq!(server.get(SCENARIOS).await.success()["items"], json!([]));
    server.post(SCENARIOS, json!({"name": "next"})).await.success();
    let left: i64 = sqlx::query_scalar("select count(*) from scenario").fetch_one(&server.db.pool).await.unwrap();
    assert_eq!(left, 1, "what has expired goes when somebody writes");
}

async fn more_frames(server: &Server, from: i64, count: i64) {
    let begin = START.parse::<DateTime<Utc>>().unwrap();
    let frame = |second: i64| {
        let ts = begin + TimeDelta::seconds(from + second);
        json!({"ts": ts, "values": {"pump": 35.0, "level": 3.0 + 0.01 * second as f64, "ambient": 21.0}})
    };
    let frames: Vec<Value> = (0..count).map(frame).collect();
    assert_eq!(server.post("/v1/assets/tank-1/telemetry", json!(frames)).await.success()["rejected"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_repeated_later_has_the_same_bytes() {
    let server = with_history(700).await;
    server.put("/v1/assets/tank-1/desired", json!({"pump": 47.0})).await.success();
    let when = json!({"signal": "pump", "op": "set", "value": 40.0, "when": {"signal": "level", "gt": 3.8}});
    let made = server
        .post(SCENARIOS, json!({"name": "later", "horizon": 40, "limits": "clamp", "overrides": [set(61.7), when],
            "constraints": [{"signal": "level", "max": 4.3}], "kpis": [{"name": "m", "signal": "level", "agg": "mean"}]}))
        .await
        .success();
    let runs = format!("{}/runs", at(&made["id"]));
    let first = server.post(&runs, json!({"samples": 30, "seed": 11, "quantiles": [0.07, 0.5, 0.93]})).await;
    assert_eq!(first.status, 201, "{first:?}");
    let run = first.json();
    assert_eq!((&run["as_of"], &run["seed"], &run["repeat_of"]), (&json!(START), &json!(11), &Value::Null));
    assert_eq!(run["outcome"]["baseline"]["inputs"]["pump"]["source"], "desired", "as it was asked live");
    assert_eq!(run["input_hash"].as_str().unwrap().len(), 64);
    let path = format!("{runs}/{}", run["id"].as_str().unwrap());
    assert_eq!(first.header(header::LOCATION), path);
    assert_eq!(outcome(&server.get(&path).await), outcome(&first));

    // Live it is answered alike, up to the arithmetic of warm fits.
    let live = json!({"horizon": 40, "scenarios": [{"overrides": []}]});
    let live = server.post("/v1/assets/tank-1/what-if", live).await.success();
    assert_eq!(live["baseline"]["inputs"], run["outcome"]["baseline"]["inputs"]);

    // Time goes on: readings, forecasts that came true, another version, other wishes, another scenario.
    server.forecast_once().await;
    server.clock.advance(TimeDelta::seconds(90));
    more_frames(&server, 1, 90).await;
    server.rooms.forecasts.look_back().await.unwrap();
    server.forecast_once().await;
    server.put("/v1/assets/tank-1/desired", json!({"pump": 12.0})).await.success();
    let job = json!({"asset": "tank-1", "recipe": {"max_steps": 20, "evaluate_every": 10}, "promote": "manual"});
    server.post("/v1/fine-tune-jobs", job).await.success();
    assert!(matches!(server.learn_once().await, Step::Worked(..)));
    server.post("/v1/assets/tank-1/models/1/promote", json!({})).await.success();
    server.patch(&at(&made["id"]), None, json!({"overrides": []})).await.success();

    let again = server.post(&runs, json!({"repeat_of": run["id"]})).await;
    assert_eq!(again.status, 201, "{again:?}");
    assert_eq!(outcome(&again), outcome(&first), "byte for byte");
    assert_eq!((&again.json()["input_hash"], &again.json()["repeat_of"]), (&run["input_hash"], &run["id"]));
    let third = server.post(&runs, json!({"repeat_of": again.json()["id"]})).await;
    assert_eq!(outcome(&third), outcome(&first), "a repetition can be repeated");

    // A run of now differs, and can be repeated as well when the version is the champion no more.
    let tuned = server.post(&runs, json!({"seed": 1})).await;
    assert_eq!((&tuned.json()["outcome"]["model"]["version"], tuned.json()["model_id"].is_string()), (&json!(1), true));
    assert_ne!(outcome(&tuned), outcome(&first));
    server.post("/v1/assets/tank-1/models/0/promote", json!({})).await.success();
    more_frames(&server, 91, 3).await;
    assert_eq!(outcome(&server.post(&runs, json!({"repeat_of": tuned.json()["id"]})).await), outcome(&tuned));

    let listed = server.get(&runs).await.success();
    assert_eq!(listed["items"].as_array().unwrap().len(), 5, "{listed}");
    assert_eq!(listed["items"][4]["id"], run["id"]);
    assert_eq!(listed["items"][0].get("outcome"), None);
    let mixed = server.post(&runs, json!({"repeat_of": run["id"], "seed": 2})).await;
    assert_eq!(mixed.problem(422, "invalid"), ["/repeat_of"]);
    server.post(&runs, json!({"repeat_of": made["id"]})).await.problem(404, "not-found");

    // A reading that came late makes another past of it; its level alone, a spike, would be left out.
    let late = START.parse::<DateTime<Utc>>().unwrap() - TimeDelta::milliseconds(40_500);
    server
        .post("/v1/assets/tank-1/telemetry", json!({"ts": late, "values": {"level": 9.0, "pump": 58.0}}))
        .await
        .success();
    let refused = server.post(&runs, json!({"repeat_of": run["id"]})).await;
    refused.problem(409, "conflict");
    assert!(refused.text.contains("cannot be given again"), "{refused:?}");
    server.get(&path).await.success();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_from_the_past_starts_there() {
    let server = with_history(700).await;
    let made =
        server.post(SCENARIOS, json!({"name": "then", "overrides": [set(55.0)], "limits": "clamp"})).await.success();
    let runs = format!("{}/runs", at(&made["id"]));
    let past = START.parse::<DateTime<Utc>>().unwrap() - TimeDelta::milliseconds(99_400);
    let run = server.post(&runs, json!({"as_of": past, "horizon": 12})).await.success();
    assert_eq!(run["as_of"], json!(START.parse::<DateTime<Utc>>().unwrap() - TimeDelta::seconds(100)));
    assert_eq!(run["outcome"]["state"], json!({"observed_at": run["as_of"], "age_s": 0.0}));
    assert_eq!(run["outcome"]["timestamps"].as_array().unwrap().len(), 12);
    let before = START.parse::<DateTime<Utc>>().unwrap() - TimeDelta::days(9);
    server.post(&runs, json!({"as_of": before})).await.problem(422, "insufficient-data");
}
