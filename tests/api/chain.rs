//! Assets that feed each other: relationships, and what-ifs that go on downstream.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::tester::{START, Server};

/// A tank that a pump or the tank above fills: its level follows its inflow slowly.
fn stage(key: &str, interval: &str) -> Value {
    json!({"key": key, "interval": interval, "signals": [
        {"name": "valve", "unit": "%", "role": "control_input", "min": 0.0, "max": 100.0},
        {"name": "inflow", "unit": "m", "role": "disturbance"},
        {"name": "heat", "unit": "Cel", "role": "disturbance"},
        {"name": "level", "unit": "m", "role": "output", "min": 0.0, "max": 20.0},
    ]})
}

/// A chain of three tanks with so many seconds behind them; the last one reports every two seconds.
async fn chain(seconds: usize) -> Server {
    let server = Server::start().await;
    server.post("/v1/asset-types", stage("stage", "PT1S")).await.success();
    server.post("/v1/asset-types", stage("slow-stage", "PT2S")).await.success();
    for (key, of) in [("t1", "stage"), ("t2", "stage"), ("t3", "slow-stage")] {
        server.post("/v1/assets", json!({"key": key, "type": of})).await.success();
    }
    let begin = START.parse::<DateTime<Utc>>().unwrap() - TimeDelta::seconds(seconds as i64 - 1);
    let mut levels = [3.0, 3.0, 3.0];
    let mut frames: [Vec<Value>; 3] = Default::default();
    for second in 0..seconds {
        let valve = 20.0 + 15.0 * ((second / 41 * 7919) % 5) as f64;
        let inflows = [2.0, levels[0], levels[1]];
        levels[0] += 0.08 * (0.08 * valve - levels[0]);
        levels[1] += 0.12 * (inflows[1] - levels[1]);
        levels[2] += 0.12 * (inflows[2] - levels[2]);
        for (place, frames) in frames.iter_mut().enumerate() {
            let noise = 0.01 * (second as f64 * 12.989 + place as f64).sin();
            let own = if place == 0 { valve } else { 50.0 };
            let values = json!({"valve": own, "inflow": inflows[place], "heat": 20.0, "level": levels[place] + noise});
            // The newest frame of all lies at the start of the test.
            if place < 2 || (seconds - 1 - second).is_multiple_of(2) {
                frames.push(json!({"ts": begin + TimeDelta::seconds(second as i64), "values": values}));
            }
        }
    }
    for (key, frames) in ["t1", "t2", "t3"].iter().zip(frames) {
        for chunk in frames.chunks(1_000) {
            let receipt = server.post(&format!("/v1/assets/{key}/telemetry"), json!(chunk)).await.success();
            assert_eq!(receipt["rejected"], 0, "{receipt}");
        }
    }
    server
}

fn feed() -> Value {
    json!({"from_signal": "level", "to_signal": "inflow"})
}

fn numbers(row: &Value) -> Vec<f64> {
    row.as_array().unwrap_or_else(|| panic!("{row}")).iter().map(|value| value.as_f64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relationship_is_made_listed_and_ended() {
    let server = chain(40).await;
    let path = "/v1/assets/t1/relationships/feeds/t2";
    let made = server.put(path, feed()).await;
    assert_eq!(made.status, 201);
    let expected = json!({"source": "t1", "type": "feeds", "target": "t2", "from_signal": "level", "to_signal": "inflow",
        "created_at": START});
    assert_eq!(made.json(), expected);
    assert_eq!(server.put(path, feed()).await.status, 200, "saying it again changes nothing");
    assert_eq!(server.put("/v1/assets/t2/relationships/feeds/t3", feed()).await.status, 201);
    let listed = server.get("/v1/assets/t2/relationships").await.success();
    assert_eq!(listed["items"].as_array().unwrap().len(), 2, "from above and to below: {listed}");
    assert_eq!(listed["items"][0], expected);
    let page = server.get("/v1/assets/t2/relationships?limit=1").await.success();
    let next = server.get(&format!("/v1/assets/t2/relationships?cursor={}", page["next"].as_str().unwrap())).await;
    assert_eq!(next.success()["items"], json!([listed["items"][1]]));

    for circle in ["/v1/assets/t3/relationships/feeds/t1", "/v1/assets/t2/relationships/feeds/t1"] {
        server.put(circle, feed()).await.problem(409, "conflict");
    }
    server.put("/v1/assets/t1/relationships/feeds/t3", feed()).await.problem(409, "conflict");
    let itself = server.put("/v1/assets/t1/relationships/feeds/t1", feed()).await;
    assert_eq!(itself.problem(422, "invalid"), ["target"]);
    for (feed, pointer) in [
        (json!({"from_signal": "none", "to_signal": "inflow"}), "/from_signal"),
        (json!({"from_signal": "inflow", "to_signal": "inflow"}), "/from_signal"),
        (json!({"from_signal": "level", "to_signal": "level"}), "/to_signal"),
        (json!({"from_signal": "level", "to_signal": "heat"}), "/to_signal"),
        (json!({"from_signal": "level"}), "/to_signal"),
    ] {
        let answer = server.put("/v1/assets/t1/relationships/feeds/t2", feed.clone()).await;
        assert_eq!(answer.problem(422, "invalid"), [pointer], "{feed}");
    }
    server.put("/v1/assets/t1/relationships/feeds/none", feed()).await.problem(404, "not-found");
    server.put("/v1/assets/t1/relationships/likes/t2", feed()).await.problem(422, "invalid");

    assert_eq!(server.delete(path).await.status, 204);
    server.delete(path).await.problem(404, "not-found");
    // With its asset a relationship goes.
    server.delete("/v1/assets/t3").await.success();
    assert_eq!(server.get("/v1/assets/t2/relationships").await.success()["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_what_if_goes_on_in_the_assets_below() {
    let server = chain(900).await;
    for (source, target) in [("t2", "t3"), ("t1", "t2")] {
        server.put(&format!("/v1/assets/{source}/relationships/feeds/{target}"), feed()).await.success();
    }
    let change = json!({"signal": "valve", "op": "set", "value": 100.0, "from": 5});
    let body = json!({"horizon": 60, "downstream": true, "samples": 20, "scenarios": [
        {"name": "nothing"}, {"name": "open", "overrides": [change]}]});
    let answer = server.post("/v1/assets/t1/what-if", body.clone()).await.success();
    assert_eq!(answer, server.post("/v1/assets/t1/what-if", body.clone()).await.success());
    let below = answer["downstream"].as_array().unwrap();
    assert_eq!(below.iter().map(|one| one["asset"].as_str().unwrap()).collect::<Vec<_>>(), ["t2", "t3"]);
    assert_eq!(below[0]["fed_by"], json!([{"asset": "t1", "from_signal": "level", "to_signal": "inflow"}]));
    let all: Vec<&Value> = std::iter::once(&answer).chain(below).collect();
    for asset in &all {
        let gaps = |scenario: usize| numbers(&asset["scenarios"][scenario]["delta"]["level"]["0.5"]);
        assert!(gaps(0).iter().all(|gap| gap.to_bits() == 0), "nothing changed, nothing differs");
        assert!(gaps(1).last().unwrap() > &1.0, "{}: {:?}", asset["asset"], gaps(1));
        let first = gaps(1).iter().position(|gap| *gap != 0.0).unwrap();
        let step_s = if asset["asset"] == "t3" { 2 } else { 1 };
        assert!(first * step_s >= 5 - step_s, "{}: nothing differs before the change: {:?}", asset["asset"], gaps(1));
        assert_eq!(asset["scenarios"][1]["name"], "open");
        assert_eq!(asset["scenarios"][1]["paths"]["level"].as_array().unwrap().len(), 20);
    }
    // What feeds is what was answered above it.
    for scenario in 0..2 {
        let above = numbers(&answer["scenarios"][scenario]["signals"]["level"]["0.5"]);
        let inflow = &below[0]["scenarios"][scenario]["inputs"]["inflow"];
        assert_eq!((numbers(&inflow["values"]), &inflow["source"]), (above, &json!("fed")));
        let above = numbers(&below[0]["scenarios"][scenario]["signals"]["level"]["0.5"]);
        let every_other: Vec<f64> = above.iter().skip(1).step_by(2).copied().collect();
        assert_eq!(numbers(&below[1]["scenarios"][scenario]["inputs"]["inflow"]["values"]), every_other);
    }
    assert_eq!((&below[1]["frequency"], below[1]["timestamps"].as_array().unwrap().len()), (&json!("PT2S"), 30));
    let alone = json!({"horizon": 60, "scenarios": [{}]});
    assert_eq!(server.post("/v1/assets/t1/what-if", alone).await.success().get("downstream"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_asset_below_that_cannot_be_answered_is_named() {
    let server = chain(200).await;
    server.post("/v1/assets", json!({"key": "t4", "type": "stage"})).await.success();
    server.put("/v1/assets/t1/relationships/feeds/t4", feed()).await.success();
    let body = json!({"horizon": 10, "downstream": true, "scenarios": [{}]});
    let answer = server.post("/v1/assets/t1/what-if", body).await;
    assert_eq!(answer.problem(422, "invalid"), ["/downstream"]);
    assert!(answer.text.contains("t4: the asset has no readings"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_relationships_are_listed_filtered_and_paged() {
    let server = chain(40).await;
    server.patch("/v1/assets/t1", None, json!({"name": "First"})).await.success();
    server.put("/v1/assets/t1/relationships/feeds/t2", feed()).await.success();
    server.put("/v1/assets/t2/relationships/feeds/t3", feed()).await.success();
    let ends = async |query: &str| {
        let page = server.get(&format!("/v1/relationships{query}")).await.success();
        let end = |one: &Value| format!("{} {}", one["source"].as_str().unwrap(), one["target"].as_str().unwrap());
        let found: Vec<String> = page["items"].as_array().unwrap().iter().map(end).collect();
        (found, page["next"].as_str().map(str::to_owned))
    };
    assert_eq!(ends("").await, (vec!["t1 t2".to_owned(), "t2 t3".to_owned()], None));
    assert_eq!(ends("?type=feeds&source=t2").await.0, ["t2 t3"]);
    assert_eq!(ends("?target=t2").await.0, ["t1 t2"]);
    assert!(ends("?source=none").await.0.is_empty());
    let (first, next) = ends("?limit=1").await;
    let (second, last) = ends(&format!("?limit=1&cursor={}", next.unwrap())).await;
    assert_eq!((first, second, last), (vec!["t1 t2".to_owned()], vec!["t2 t3".to_owned()], None));
    let listed = server.get("/v1/relationships").await.success();
    assert_eq!((&listed["items"][0]["source_name"], listed["items"][0].get("target_name")), (&json!("First"), None));
    for wrong in ["?type=owns", "?cursor=abc", "?limit=0", "?colour=red"] {
        server.get(&format!("/v1/relationships{wrong}")).await.problem(422, "invalid");
    }
}

/// The third tank of a what-if that was answered.
fn third(answer: &Value) -> &Value {
    &answer["downstream"][1]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_the_third_tank_breaks_by_what_is_done_at_the_first() {
    let server = chain(900).await;
    for (source, target) in [("t1", "t2"), ("t2", "t3")] {
        server.put(&format!("/v1/assets/{source}/relationships/feeds/{target}"), feed()).await.success();
    }
    let change = json!({"signal": "valve", "op": "set", "value": 100.0, "from": 5});
    let scenarios = json!([{"name": "nothing"}, {"name": "open", "overrides": [change]}]);
    let plain = json!({"horizon": 60, "downstream": true, "scenarios": scenarios});
    let plain = server.post("/v1/assets/t1/what-if", plain).await.success();
    // Between where the third one ends by itself and where the open valve brings it.
    let last = |future: &Value| *numbers(&future["signals"]["level"]["0.5"]).last().unwrap();
    let (own, open) = (last(&third(&plain)["baseline"]), last(&third(&plain)["scenarios"][1]));
    assert!(open - own > 1.0, "{own} and {open}");
    let limit = f64::midpoint(own, open);
    let body = json!({"horizon": 60, "downstream": true, "scenarios": scenarios, "seed": 3,
        "constraints": [{"asset": "t3", "signal": "level", "max": limit, "probability": 0.6},
            {"signal": "level", "max": 20.0}, {"asset": "t3", "signal": "inflow", "max": limit}],
        "kpis": [{"name": "mean of t3", "asset": "t3", "signal": "level", "agg": "mean"},
            {"name": "end of t1", "asset": "t1", "signal": "level", "agg": "last"}],
        "rank_by": {"kpi": "mean of t3", "goal": "maximise"}});
    let answer = server.post("/v1/assets/t1/what-if", body.clone()).await.success();
    assert_eq!(answer, server.post("/v1/assets/t1/what-if", body).await.success());

    // Each asset answers for its own.
    let counts = |asset: &Value| asset["baseline"]["constraints"].as_array().map_or(0, Vec::len);
    assert_eq!((counts(&answer), counts(&answer["downstream"][0]), counts(third(&answer))), (1, 0, 2));
    assert!(answer["baseline"]["kpis"]["end of t1"]["mean"].is_number());
    assert_eq!(answer["baseline"]["kpis"].get("mean of t3"), None);
    assert_eq!((answer["downstream"][0].get("risk_samples"), &third(&answer)["risk_samples"]), (None, &json!(200)));

    let third = third(&answer);
    let (nothing, open) = (&third["scenarios"][0], &third["scenarios"][1]);
    let breach = |future: &Value, place: usize| numbers(&future["constraints"][place]["breach_probability"]);
    for place in 0..2 {
        assert!(*breach(&third["baseline"], place).last().unwrap() < 0.3, "{third}");
        assert!(*breach(open, place).last().unwrap() > 0.7, "{third}");
    }
    assert_eq!(
        (&third["baseline"]["constraints"][0]["met"], &open["constraints"][0]["met"]),
        (&json!(true), &json!(false))
    );
    assert!(open["constraints"][0]["time_to_limit"]["0.5"].as_f64().unwrap() > 5.0, "{open}");
    // The third one follows its inflow, so it breaks the limit later.
    assert!(breach(open, 0).iter().zip(breach(open, 1)).filter(|(level, inflow)| **level < *inflow).count() > 2);
    assert!(open["kpis"]["mean of t3"]["delta"]["mean"].as_f64().unwrap() > 0.2);

    // What changes nothing is the baseline, bit for bit.
    assert_eq!(nothing["constraints"], third["baseline"]["constraints"]);
    let (own, kpi) = (&third["baseline"]["kpis"]["mean of t3"], &nothing["kpis"]["mean of t3"]);
    assert_eq!((&kpi["mean"], &kpi["quantiles"]), (&own["mean"], &own["quantiles"]));
    let mut gaps = vec![kpi["delta"]["mean"].as_f64().unwrap()];
    gaps.extend(kpi["delta"]["quantiles"].as_object().unwrap().values().map(|gap| gap.as_f64().unwrap()));
    assert!(gaps.iter().all(|gap| gap.to_bits() == 0), "{kpi}");
    // More is better, but what breaks a limit two assets below comes last all the same.
    assert_eq!((&answer["scenarios"][0]["rank"], &answer["scenarios"][1]["rank"]), (&json!(1), &json!(2)));
    assert_eq!(nothing.get("rank"), None, "scenarios are ranked where they were asked");
    // Medians and bands are what they are without limits.
    assert_eq!(nothing["signals"], self::third(&plain)["scenarios"][0]["signals"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_uncertain_above_is_uncertain_below_sample_for_sample() {
    let server = chain(900).await;
    for (source, target) in [("t1", "t2"), ("t2", "t3")] {
        server.put(&format!("/v1/assets/{source}/relationships/feeds/{target}"), feed()).await.success();
    }
    let ask = |constraints: Value| json!({"horizon": 40, "downstream": true, "samples": 60, "seed": 8, "scenarios": [{}], "constraints": constraints});
    let plain = server.post("/v1/assets/t1/what-if", ask(json!([]))).await.success();
    let usual = *numbers(&plain["baseline"]["signals"]["level"]["0.5"]).last().unwrap();
    let limits = json!([{"signal": "level", "max": usual}, {"asset": "t2", "signal": "inflow", "max": usual}]);
    let answer = server.post("/v1/assets/t1/what-if", ask(limits)).await.success();
    let breach = |asset: &Value| numbers(&asset["baseline"]["constraints"][0]["breach_probability"]);
    let (above, below) = (breach(&answer), breach(&answer["downstream"][0]));
    assert_eq!(above, below, "the paths that the first tank makes are those that the second one takes");
    assert!(
        above.iter().any(|share| *share > 0.0 && *share < 1.0),
        "of a median it would be all or nothing: {above:?}"
    );
    // What is shown is what was judged; the third tank leads nowhere that is.
    let paths = |asset: &Value| asset["baseline"]["paths"]["level"].clone();
    assert_eq!(paths(&answer), paths(&plain));
    assert_ne!(paths(&answer["downstream"][0]), paths(&plain["downstream"][0]));
    assert_eq!(paths(third(&answer)), paths(third(&plain)));
    assert_eq!(paths(&answer["downstream"][0]).as_array().unwrap().len(), 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_on_an_asset_that_is_not_answered_is_refused() {
    let server = chain(200).await;
    server.put("/v1/assets/t1/relationships/feeds/t2", feed()).await.success();
    let limit = |asset: &str| json!({"asset": asset, "signal": "level", "max": 9.0});
    let kpi = |asset: &str| json!({"name": "k", "asset": asset, "signal": "level", "agg": "mean"});
    let ask = |constraints: Value, kpis: Value, downstream: bool| json!({"horizon": 10, "downstream": downstream, "scenarios": [{}], "constraints": constraints, "kpis": kpis});
    for (body, pointer) in [
        (ask(json!([limit("t1"), limit("t3")]), json!([]), true), "/constraints/1/asset"),
        (ask(json!([limit("none")]), json!([]), true), "/constraints/0/asset"),
        (ask(json!([limit("t2")]), json!([]), false), "/constraints/0/asset"),
        (ask(json!([]), json!([kpi("t3")]), true), "/kpis/0/asset"),
        (ask(json!([{"asset": "t2", "signal": "none", "max": 9.0}]), json!([]), true), "/constraints/0/signal"),
        (
            ask(json!([]), json!([{"name": "k", "asset": "t2", "signal": "none", "agg": "mean"}]), true),
            "/kpis/0/signal",
        ),
    ] {
        let answer = server.post("/v1/assets/t1/what-if", body.clone()).await;
        assert_eq!(answer.problem(422, "invalid"), [pointer], "{body}");
    }
    let itself = ask(json!([limit("t1")]), json!([kpi("t1")]), false);
    server.post("/v1/assets/t1/what-if", itself).await.success();
    let many = json!({"horizon": 10, "downstream": true, "samples": 1000, "scenarios": vec![json!({}); 9],
        "constraints": [limit("t2")]});
    let many = server.post("/v1/assets/t1/what-if", many).await;
    assert_eq!(many.json()["errors"][0]["pointer"], "/samples", "{many:?}");
    let saved = json!({"name": "kept", "constraints": [limit("t2")]});
    assert_eq!(server.post("/v1/assets/t1/scenarios", saved).await.problem(422, "invalid"), ["/constraints/0/asset"]);
    let seek = json!({"objective": {"goal": "minimise", "kpi": {"name": "k", "signal": "level", "agg": "mean"}},
        "constraints": [limit("t2")]});
    assert_eq!(server.post("/v1/assets/t1/goal-seek", seek).await.problem(422, "invalid"), ["/constraints/0/asset"]);
}
