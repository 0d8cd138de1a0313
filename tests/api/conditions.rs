//! Overrides that depend on what the scenario itself simulates, and overrides that bound.

use serde_json::{Value, json};

use crate::lives::with_history;
use crate::tester::Server;

const HORIZON: usize = 60;

fn numbers(row: &Value) -> Vec<f64> {
    row.as_array().unwrap_or_else(|| panic!("{row}")).iter().map(|value| value.as_f64().unwrap()).collect()
}

fn pump(scenario: &Value) -> Vec<f64> {
    numbers(&scenario["inputs"]["pump"]["values"])
}

fn level(scenario: &Value) -> Vec<f64> {
    numbers(&scenario["signals"]["level"]["0.5"])
}

/// Which steps an override is in force at, as the answer says.
fn in_force(scenario: &Value, index: usize) -> Vec<bool> {
    let mut steps = vec![false; HORIZON];
    for span in scenario["in_force"].as_array().into_iter().flatten().filter(|span| span["override"] == index) {
        let step = |member: &str| usize::try_from(span[member].as_u64().unwrap()).unwrap();
        steps[step("from")..step("to")].fill(true);
    }
    steps
}

async fn ask(server: &Server, overrides: Value) -> Value {
    let body = json!({"horizon": HORIZON, "limits": "clamp", "scenarios": [{"overrides": overrides}]});
    server.post("/v1/assets/tank-1/what-if", body).await.success()["scenarios"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn clamp_bounds_what_is_there() {
    let server = with_history(700).await;
    let bounded = ask(&server, json!([{"signal": "pump", "op": "clamp", "max": 45.0, "from": 10, "to": 20}])).await;
    let expected: Vec<f64> = (0..HORIZON).map(|step| if (10..20).contains(&step) { 45.0 } else { 50.0 }).collect();
    assert_eq!(pump(&bounded), expected);
    let after_others = json!([
        {"signal": "pump", "op": "ramp", "value": 70.0, "to": 20},
        {"signal": "pump", "op": "clamp", "min": 52.0, "max": 60.0},
    ]);
    let bounded = pump(&ask(&server, after_others).await);
    assert_eq!((bounded[0], bounded[4], bounded[19], bounded[59]), (52.0, 55.0, 60.0, 60.0));
    // Nothing is beyond the bounds, so nothing changes.
    let idle = ask(&server, json!([{"signal": "pump", "op": "clamp", "min": 10.0, "max": 90.0}])).await;
    assert!(numbers(&idle["delta"]["level"]["0.5"]).iter().all(|gap| gap.to_bits() == 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_follows_the_scenarios_own_future() {
    let server = with_history(700).await;
    // Fill until 4.6 m, and drain while above it.
    let found = ask(
        &server,
        json!([
            {"signal": "pump", "op": "set", "value": 75.0},
            {"signal": "pump", "op": "set", "value": 20.0, "when": {"signal": "level", "gt": 4.6}},
        ]),
    )
    .await;
    let (level, force) = (level(&found), in_force(&found, 1));
    assert!(force.contains(&true) && !force[0], "{found}");
    for step in 1..HORIZON {
        assert_eq!(force[step], level[step - 1] > 4.6, "at step {step}: {level:?}");
    }
    let first = force.iter().position(|on| *on).unwrap();
    let pump = pump(&found);
    assert!(pump[first] < pump[first - 1], "in force from step {first}: {pump:?}");
    assert!(force[first..].contains(&false), "what drains it lets it fall again: {force:?}");

    // Latched, it stays.
    let found = ask(
        &server,
        json!([
            {"signal": "pump", "op": "set", "value": 75.0},
            {"signal": "pump", "op": "set", "value": 20.0, "when": {"signal": "level", "gt": 4.6}, "latch": true},
        ]),
    )
    .await;
    let force = in_force(&found, 1);
    assert_eq!(force.iter().position(|on| *on), Some(first), "it begins as without the latch");
    assert!(force[first..].iter().all(|on| *on), "{force:?}");

    // A ramp begins when its condition does, and takes as long as its span.
    let found = ask(
        &server,
        json!([
            {"signal": "pump", "op": "set", "value": 75.0},
            {"signal": "pump", "op": "ramp", "value": 35.0, "to": 50, "when": {"signal": "level", "gt": 4.6}},
        ]),
    )
    .await;
    let pump = self::pump(&found);
    assert_eq!(pump[first - 1], 75.0);
    assert!((pump[first] - 74.2).abs() < 1e-4 && (pump[first + 9] - 67.0).abs() < 1e-4, "{pump:?}");
    assert_eq!(in_force(&found, 1).iter().position(|on| *on), Some(first));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_that_never_comes_true_changes_nothing() {
    let server = with_history(700).await;
    for op in [json!({"op": "set", "value": 90.0}), json!({"op": "ramp", "value": 90.0}), json!({"op": "hold"})] {
        let mut change = op;
        change["signal"] = json!("pump");
        change["when"] = json!({"signal": "level", "gt": 9.9});
        let body = json!({"horizon": HORIZON, "scenarios": [{"overrides": [change]}]});
        let answer = server.post("/v1/assets/tank-1/what-if", body).await.success();
        let scenario = &answer["scenarios"][0];
        assert_eq!(scenario["signals"], answer["baseline"]["signals"]);
        assert!(numbers(&scenario["delta"]["level"]["0.9"]).iter().all(|gap| gap.to_bits() == 0));
        assert_eq!(scenario["inputs"], answer["baseline"]["inputs"]);
        assert_eq!(scenario.get("in_force"), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_later_changes_nothing_before_conditions_included() {
    let server = with_history(700).await;
    let with = async |later: Option<(usize, f64)>| {
        let mut overrides = vec![
            json!({"signal": "pump", "op": "set", "value": 72.0}),
            json!({"signal": "pump", "op": "set", "value": 30.0, "when": {"signal": "level", "gt": 4.5}}),
            json!({"signal": "pump", "op": "clamp", "max": 71.0, "when": {"signal": "pump", "gt": 60.0}}),
        ];
        overrides
            .extend(later.map(|(from, value)| json!({"signal": "pump", "op": "set", "value": value, "from": from})));
        ask(&server, json!(overrides)).await
    };
    let unchanged = with(None).await;
    for (from, value) in [(1, 90.0), (7, 5.0), (19, 40.0), (33, 88.0), (59, 70.0)] {
        let changed = with(Some((from, value))).await;
        for level in ["0.1", "0.5", "0.9"] {
            let row = |of: &Value| numbers(&of["signals"]["level"][level]);
            assert_eq!(row(&unchanged)[..from], row(&changed)[..from], "before step {from}");
        }
        assert_eq!(pump(&unchanged)[..from], pump(&changed)[..from]);
        assert_ne!(pump(&unchanged)[from..], pump(&changed)[from..]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_that_cannot_be_are_refused() {
    let server = with_history(320).await;
    let ask = async |horizon: usize, change: Value| {
        let body = json!({"horizon": horizon, "scenarios": [{"overrides": [change]}]});
        server.post("/v1/assets/tank-1/what-if", body).await
    };
    let set = |when: Value| json!({"signal": "pump", "op": "set", "value": 60.0, "when": when});
    for (change, field) in [
        (set(json!({"signal": "level"})), "when"),
        (set(json!({"signal": "level", "gt": 1.0, "lt": 2.0})), "when"),
        (set(json!({"signal": "boiler", "gt": 1.0})), "when/signal"),
        (set(json!({"signal": "valve", "gt": 1.0})), "when/signal"),
        (set(json!({"signal": "level", "above": 1.0})), "when/above"),
        (json!({"signal": "pump", "op": "set", "value": 60.0, "latch": true}), "latch"),
        (json!({"signal": "pump", "op": "clamp"}), "min"),
        (json!({"signal": "pump", "op": "clamp", "min": 2.0, "max": 1.0}), "max"),
        (json!({"signal": "pump", "op": "clamp", "value": 1.0, "max": 1.0}), "value"),
        (json!({"signal": "pump", "op": "set", "value": 60.0, "min": 1.0}), "min"),
    ] {
        let answer = ask(20, change.clone()).await;
        assert_eq!(answer.problem(422, "invalid"), [format!("/scenarios/0/overrides/0/{field}")], "{change}");
    }
    // On and off at every step: settled for a short horizon, given up for a long one.
    let flutter = set(json!({"signal": "pump", "lt": 55.0}));
    let stands = server.get("/v1/assets/tank-1/state").await.success();
    assert!(stands.to_string().contains("pump"), "{stands}");
    ask(20, flutter.clone()).await.success();
    let answer = ask(500, flutter).await;
    assert_eq!(answer.problem(422, "invalid"), ["/scenarios/0/overrides/0/when"]);
    assert!(answer.text.contains("not settled") && answer.text.contains("latch"), "{answer:?}");
}
