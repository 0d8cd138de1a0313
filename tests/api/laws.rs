//! What must hold of every what-if, whatever is asked: nothing changed is exactly no difference,
//! and nothing differs before the step at which something changed.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::lives::with_history;

const HORIZON: usize = 48;
/// Requests; each holds several scenarios in one batch.
const REQUESTS: usize = 12;
/// Where the pump stands after 700 frames, in percent.
const STANDS: f64 = 50.0;
const LEVELS: [f64; 5] = [0.01, 0.1, 0.5, 0.93, 0.99];

/// An override of the pump that leaves it where it stands.
fn of_nothing(draw: &mut ChaCha8Rng) -> Value {
    let from = draw.random_range(0..HORIZON);
    match draw.random_range(0..6) {
        0 => json!({"signal": "pump", "op": "set", "value": STANDS, "from": from}),
        1 => json!({"signal": "pump", "op": "add", "value": 0.0, "from": from}),
        2 => json!({"signal": "pump", "op": "multiply", "value": 1.0, "from": from}),
        3 => json!({"signal": "pump", "op": "hold", "from": from}),
        4 => json!({"signal": "pump", "op": "ramp", "value": STANDS, "from": from}),
        _ => json!({"signal": "pump", "op": "series", "values": vec![STANDS; HORIZON - from], "from": from}),
    }
}

/// An override that changes the pump from a step on, and that step.
fn of_something(draw: &mut ChaCha8Rng) -> (Value, usize) {
    let from = draw.random_range(0..HORIZON);
    let value = draw.random_range(1.0..9.0) * if draw.random_bool(0.5) { 1.0 } else { -1.0 };
    (json!({"signal": "pump", "op": "add", "value": value, "from": from}), from)
}

fn values(bands: &Value) -> Vec<Vec<f64>> {
    let rows = bands.as_object().unwrap().values();
    rows.map(|row| row.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_difference_begins_where_a_scenario_does_and_not_before() {
    let server = with_history(700).await;
    let mut draw = ChaCha8Rng::seed_from_u64(11);
    for _ in 0..REQUESTS {
        // Where a scenario first differs; the horizon for one that never does.
        let (scenarios, begins): (Vec<Value>, Vec<usize>) = (0..draw.random_range(2..9))
            .map(|_| {
                let (change, from) =
                    if draw.random_bool(0.4) { (of_nothing(&mut draw), HORIZON) } else { of_something(&mut draw) };
                (json!({"overrides": [change]}), from)
            })
            .unzip();
        let body = json!({"horizon": HORIZON, "quantiles": LEVELS, "scenarios": scenarios});
        let answer = server.post("/v1/assets/tank-1/what-if", body.clone()).await.success();
        let unmodified = values(&answer["baseline"]["signals"]["level"]);
        for (scenario, from) in answer["scenarios"].as_array().unwrap().iter().zip(begins) {
            for row in values(&scenario["delta"]["level"]) {
                assert!(row[..from].iter().all(|gap| gap.to_bits() == 0), "before step {from}: {row:?} in {body}");
                assert!(from == HORIZON || row[from..].iter().any(|gap| *gap != 0.0), "from step {from} in {body}");
            }
            for (before, after) in unmodified.iter().zip(values(&scenario["signals"]["level"])) {
                assert_eq!(before[..from], after[..from]);
            }
        }
    }
}
