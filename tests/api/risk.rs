//! Risk in a what-if: limits, indicators and ranks, on joint sample paths that share their luck.

use serde_json::{Value, json};

use crate::lives::with_history;

fn numbers(row: &Value) -> Vec<f64> {
    row.as_array().unwrap_or_else(|| panic!("{row}")).iter().map(|value| value.as_f64().unwrap()).collect()
}

fn paths(of: &Value) -> Vec<Vec<f64>> {
    of["paths"]["level"].as_array().unwrap().iter().map(numbers).collect()
}

/// Scenarios that raise the pump, leave it, and lower it.
fn scenarios() -> Value {
    json!([
        {"name": "more", "overrides": [{"signal": "pump", "op": "ramp", "value": 70.0, "to": 4}]},
        {"name": "nothing"},
        {"name": "less", "overrides": [{"signal": "pump", "op": "ramp", "value": 30.0, "to": 4}]},
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_breach_is_as_likely_as_paths_that_break_the_limit() {
    let server = with_history(700).await;
    let body = json!({"horizon": 40, "samples": 150, "seed": 3, "scenarios": scenarios(),
        "constraints": [{"signal": "level", "max": 4.4, "probability": 0.9}, {"signal": "pump", "max": 69.0}]});
    let answer = server.post("/v1/assets/tank-1/what-if", body).await.success();
    assert_eq!(answer["risk_samples"], 150);
    let all = std::iter::once(&answer["baseline"]).chain(answer["scenarios"].as_array().unwrap());
    for of in all {
        let (paths, risk) = (paths(of), &of["constraints"][0]);
        let breach = numbers(&risk["breach_probability"]);
        assert_eq!(breach.len(), 40);
        assert!(breach.windows(2).all(|pair| pair[0] <= pair[1]), "it never falls: {breach:?}");
        for (step, found) in breach.iter().enumerate() {
            let broken = paths.iter().filter(|path| path[..=step].iter().any(|level| *level > 4.4)).count();
            assert!((found - broken as f64 / 150.0).abs() < 1e-9, "{found} at step {step}, {broken} of 150");
        }
        let within = breach[39];
        let times = &risk["time_to_limit"];
        assert!((times["not_within_horizon"].as_f64().unwrap() - (1.0 - within)).abs() < 1e-9);
        for (key, level) in [("0.1", 0.1), ("0.5", 0.5), ("0.9", 0.9)] {
            let first = breach.iter().position(|share| *share >= level - 1e-9).map(|step| (step + 1) as f64);
            assert_eq!(times[key].as_f64(), first, "{key} of {breach:?}");
        }
        assert_eq!(risk["met"], within <= 0.1 + 1e-9);
    }
    let more = &answer["scenarios"][0]["constraints"];
    assert!(numbers(&more[0]["breach_probability"])[39] > 0.9, "70 % fill the tank to 5.6 m: {more}");
    // The pump's own future is known.
    let pump = numbers(&more[1]["breach_probability"]);
    assert!(pump[..3].iter().all(|share| *share == 0.0) && pump[3..].iter().all(|share| *share == 1.0), "{pump:?}");
    assert_eq!(more[1]["time_to_limit"]["0.5"], 4.0);
    assert_eq!(more[1]["probability"], 0.95);
}

#[tokio::test(flavor = "multi_thread")]
async fn indicators_are_paired_with_the_baseline_and_rank_the_scenarios() {
    let server = with_history(700).await;
    let body = json!({"horizon": 40, "scenarios": scenarios(), "rank_by": {"kpi": "cost", "goal": "minimise"},
        "constraints": [{"signal": "level", "max": 4.9}],
        "kpis": [{"name": "mean level", "signal": "level", "agg": "mean"},
            {"name": "cost", "expression": "0.1 * pump + max(0, 3 - level) ^ 2", "agg": "integral"},
            {"name": "pumped", "signal": "pump", "agg": "integral"},
            {"name": "nonsense", "expression": "level / (pump - pump)", "agg": "mean"}]});
    let answer = server.post("/v1/assets/tank-1/what-if", body.clone()).await.success();
    assert_eq!(answer, server.post("/v1/assets/tank-1/what-if", body).await.success(), "asked again, the same answer");
    assert_eq!(answer["risk_samples"], 400);
    assert_eq!(answer["baseline"].get("paths"), None, "paths that nobody asked for are not shown");
    let baseline = &answer["baseline"]["kpis"];
    assert!((baseline["pumped"]["mean"].as_f64().unwrap() - 2_000.0).abs() < 1e-6, "50 % over 40 s: {baseline}");
    assert_eq!(baseline["mean level"].get("delta"), None);
    assert_eq!(baseline["nonsense"]["mean"], Value::Null);
    let of = |name: &str| answer["scenarios"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap();
    for kpi in ["mean level", "cost", "pumped"] {
        let delta = &of("nothing")["kpis"][kpi]["delta"];
        let mut values = delta["quantiles"].as_object().unwrap().values().chain([&delta["mean"]]);
        assert!(values.all(|value| value.as_f64().map(f64::to_bits) == Some(0)), "{kpi}: {delta}");
        assert_eq!(of("nothing")["kpis"][kpi]["quantiles"], baseline[kpi]["quantiles"]);
    }
    let change = |name: &str| of(name)["kpis"]["mean level"]["delta"]["quantiles"]["0.1"].as_f64().unwrap();
    assert!(change("more") > 0.3, "with 90 % it rises by more");
    assert!(of("less")["kpis"]["mean level"]["delta"]["quantiles"]["0.9"].as_f64().unwrap() < -0.3);
    // More water breaks the limit, so the dearer baseline comes before it.
    assert_eq!((&of("less")["rank"], &of("nothing")["rank"], &of("more")["rank"]), (&json!(1), &json!(2), &json!(3)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_order_of_scenarios_does_not_matter() {
    let server = with_history(700).await;
    let all: Vec<Value> = (0..7)
        .map(|place| {
            let change = json!({"signal": "pump", "op": "add", "value": f64::from(place) - 3.0, "from": place});
            let held = json!({"signal": "pump", "op": "set", "value": 45.0, "when": {"signal": "level", "gt": 3.9}});
            json!({"name": format!("s{place}"), "overrides": [change, held]})
        })
        .collect();
    let ask = async |scenarios: Vec<Value>| {
        let body = json!({"horizon": 64, "scenarios": scenarios, "limits": "clamp",
            "quantiles": [0.013, 0.5, 0.77], "constraints": [{"signal": "level", "max": 4.2}],
            "kpis": [{"name": "mean", "signal": "level", "agg": "mean"}], "rank_by": {"kpi": "mean", "goal": "maximise"}});
        let answer = server.post("/v1/assets/tank-1/what-if", body).await.success();
        let mut found = answer["scenarios"].as_array().unwrap().clone();
        found.sort_by_key(|scenario| scenario["name"].as_str().unwrap().to_owned());
        (answer["baseline"].clone(), found)
    };
    let expected = ask(all.clone()).await;
    for turn in [1, 3, 6] {
        let mut turned = all.clone();
        turned.rotate_left(turn);
        turned.swap(0, 2);
        assert_eq!(ask(turned).await, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_and_indicators_that_cannot_be_are_refused_where_they_are_wrong() {
    let server = with_history(100).await;
    for (member, value, pointer) in [
        ("constraints", json!([{"signal": "level"}]), "/constraints/0"),
        ("constraints", json!([{"signal": "level", "max": 1.0, "min": 2.0}]), "/constraints/0/max"),
        ("constraints", json!([{"signal": "level", "max": 1.0, "probability": 0.0}]), "/constraints/0/probability"),
        ("constraints", json!([{"signal": "boiler", "max": 1.0}]), "/constraints/0/signal"),
        ("constraints", json!([{"signal": "valve", "max": 1.0}]), "/constraints/0/signal"),
        ("constraints", json!([{"signal": "level", "most": 1.0}]), "/constraints/0/most"),
        ("kpis", json!([{"name": "a", "agg": "mean"}]), "/kpis/0/signal"),
        ("kpis", json!([{"name": "", "signal": "level", "agg": "mean"}]), "/kpis/0/name"),
        ("kpis", json!([{"name": "a", "signal": "level", "agg": "median"}]), "/kpis/0/agg"),
        ("kpis", json!([{"name": "a", "expression": "level +", "agg": "mean"}]), "/kpis/0/expression"),
        ("kpis", json!([{"name": "a", "expression": "boiler", "agg": "mean"}]), "/kpis/0/expression"),
        (
            "kpis",
            json!([{"name": "a", "signal": "level", "agg": "mean"}, {"name": "a", "signal": "level", "agg": "max"}]),
            "/kpis/1/name",
        ),
        ("rank_by", json!({"kpi": "a", "goal": "minimise"}), "/rank_by/kpi"),
    ] {
        let mut body = json!({"horizon": 10, "scenarios": [{}]});
        body[member] = value;
        let answer = server.post("/v1/assets/tank-1/what-if", body.clone()).await;
        assert_eq!(answer.problem(422, "invalid"), [pointer], "{body}");
    }
}
