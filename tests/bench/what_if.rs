//! How long a what-if of ten scenarios with 200 sample paths over 96 steps takes, for an asset of four
//! signals; how much it costs over the bare batched forward pass of the same windows; how long a
//! goal seek with twelve knots takes; and how soon what is beyond the budget is refused.
//!
//! All are timed in turn in one run. CPU time counts every thread of the process, so it is what one
//! core would need. `cargo bench --bench what_if`

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that cannot go on stops, and prints its result")]

use std::time::Instant;

use chrono::TimeDelta;
use counterpart::clock::Clock;
use counterpart::db::fixture;
use counterpart::model::window::{CONTEXT, Window, future_steps};
use counterpart::model::{Base, trainee};
use counterpart::scenario::WhatIf;
use counterpart::scenario::seek::GoalSeek;
use counterpart::server::{self, Config, Rooms, RoomsConfig};
use nix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

const FRAMES: usize = 2_048;
const HORIZON: usize = 96;
const SCENARIOS: usize = 10;
const SAMPLES: usize = 200;
const ROUNDS: usize = 60;
const SEEKS: usize = 5;

/// Wall-clock and CPU milliseconds of a number of rounds.
#[derive(Default)]
struct Times {
    wall: Vec<f64>,
    cpu: Vec<f64>,
}

fn main() {
    counterpart::model::use_one_thread();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(compare());
}

async fn compare() {
    let db = fixture::fresh().await;
    let end = CancellationToken::new();
    let rooms = Rooms::new(db.pool.clone(), Clock::system(), end.clone(), &RoomsConfig::default()).unwrap();
    let config = Config::default();
    let listener = server::bind(&config).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let served = tokio::spawn({
        let (router, end) = (server::router(&rooms, &config), end.clone());
        async move { server::serve(listener, router, &config, end).await }
    });
    let client = reqwest::Client::new();
    fill(&client, &url).await;
    let scenarios: Vec<Value> = (0..SCENARIOS)
        .map(|index| json!({"overrides": [{"signal": "u0", "op": "set", "value": 0.05 + 0.09 * index as f64, "from": index}]}))
        .collect();
    let body = json!({"horizon": HORIZON, "samples": SAMPLES, "seed": 7, "scenarios": scenarios});
    let ask: WhatIf = serde_json::from_value(body.clone()).unwrap();
    let mut plain = body.clone();
    plain.as_object_mut().unwrap().remove("samples");
    let without: WhatIf = serde_json::from_value(plain).unwrap();

    let base = Base::shipped().unwrap();
    let windows: Vec<Window> = (0..2 * (SCENARIOS + 1)).map(window).collect();
    let windows: Vec<&Window> = windows.iter().collect();
    let (mut bare, mut whole, mut unsampled, mut over_http) =
        (Times::default(), Times::default(), Times::default(), Times::default());
    for round in 0..ROUNDS + 5 {
        let mut warm = [Times::default(), Times::default(), Times::default(), Times::default()];
        let times = if round < 5 { warm.each_mut() } else { [&mut bare, &mut whole, &mut unsampled, &mut over_http] };
        let [bare, whole, unsampled, over_http] = times;
        let start = (Instant::now(), cpu_ms());
        tokio::task::block_in_place(|| trainee::answer(&base, None, &windows)).unwrap();
        bare.take(start);
        let start = (Instant::now(), cpu_ms());
        let outcome = rooms.scenarios.what_if("plant", &ask).await.unwrap();
        whole.take(start);
        assert_eq!(outcome.scenarios.len(), SCENARIOS);
        let start = (Instant::now(), cpu_ms());
        rooms.scenarios.what_if("plant", &without).await.unwrap();
        unsampled.take(start);
        let start = (Instant::now(), cpu_ms());
        let answer = client.post(format!("{url}/v1/assets/plant/what-if")).json(&body).send().await.unwrap();
        assert!(answer.status().is_success());
        answer.bytes().await.unwrap();
        over_http.take(start);
    }
    println!(
        "{SCENARIOS} scenarios x {SAMPLES} samples x {HORIZON} steps, 2 inputs, 2 outputs, {ROUNDS} rounds in turn, ms"
    );
    println!("| | wall p50 | wall p95 | CPU p50 |");
    println!("|---|---|---|---|");
    bare.show("bare batched forward pass of the 22 windows");
    whole.show("whole what-if with samples");
    unsampled.show("whole what-if without samples");
    over_http.show("the same over HTTP, 4 MB of paths as JSON, with the client");
    println!("CPU of the whole what-if: {:.1} ms (goal <= 100)", at(&mut whole.cpu, 0.5));
    println!(
        "ratio to the bare pass, CPU: {:.2} (goal <= 1.5); without samples {:.2}",
        at(&mut whole.cpu, 0.5) / at(&mut bare.cpu, 0.5),
        at(&mut unsampled.cpu, 0.5) / at(&mut bare.cpu, 0.5)
    );

    let mut seek = Times::default();
    for seed in 0..SEEKS {
        let body = json!({
            "horizon": 64, "knots": 6, "seed": seed,
            "objective": {"goal": "track", "signal": "y0", "setpoint": 0.9},
            "constraints": [{"signal": "y1", "max": 1.2}],
        });
        let ask: GoalSeek = serde_json::from_value(body).unwrap();
        let start = (Instant::now(), cpu_ms());
        let found = rooms.seeks.seek("plant", &ask).await.unwrap();
        seek.take(start);
        assert!(found.search.evaluations >= 400);
    }
    println!(
        "goal seek, 12 knots, 64 steps, 400 evaluations: wall {:.0} ms, CPU {:.0} ms (goal <= 3000)",
        at(&mut seek.wall, 0.5),
        at(&mut seek.cpu, 0.5)
    );
    refusals(&client, &url).await;
    end.cancel();
    served.await.unwrap();
}

/// Asks for more than there can be, over HTTP.
async fn refusals(client: &reqwest::Client, url: &str) {
    let beyond = [
        json!({"horizon": 1_000_000_000_u64, "scenarios": [{}]}),
        json!({"scenarios": vec![json!({}); 1_001]}),
        json!({"horizon": 512, "scenarios": vec![json!({}); 64], "samples": 1_000}),
    ];
    let mut refused = Times::default();
    for body in beyond.iter().cycle().take(ROUNDS) {
        let start = (Instant::now(), cpu_ms());
        let answer = client.post(format!("{url}/v1/assets/plant/what-if")).json(body).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 422);
        answer.bytes().await.unwrap();
        refused.take(start);
    }
    println!(
        "refusal of more than the budget over HTTP: wall p50 {:.2} ms, p95 {:.2} ms (goal <= 10)",
        at(&mut refused.wall, 0.5),
        at(&mut refused.wall, 0.95)
    );
}

impl Times {
    fn take(&mut self, (began, cpu): (Instant, f64)) {
        self.wall.push(began.elapsed().as_secs_f64() * 1e3);
        self.cpu.push(cpu_ms() - cpu);
    }

    fn show(&mut self, name: &str) {
        println!(
            "| {name} | {:.1} | {:.1} | {:.1} |",
            at(&mut self.wall, 0.5),
            at(&mut self.wall, 0.95),
            at(&mut self.cpu, 0.5)
        );
    }
}

fn at(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(share * (values.len() - 1) as f64) as usize]
}

/// CPU time of all threads of this process.
fn cpu_ms() -> f64 {
    let time = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).unwrap();
    time.tv_sec() as f64 * 1e3 + time.tv_nsec() as f64 / 1e6
}

/// Makes the asset and its history: two lags that answer two inputs.
async fn fill(client: &reqwest::Client, url: &str) {
    let post = async |path: &str, body: Value| {
        let answer = client.post(format!("{url}{path}")).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    };
    let control = |name: &str| json!({"name": name, "unit": "1", "role": "control_input", "min": 0, "max": 1});
    let output = |name: &str| json!({"name": name, "unit": "1", "role": "output"});
    let signals = json!([control("u0"), control("u1"), output("y0"), output("y1")]);
    post("/v1/asset-types", json!({"key": "plant", "interval": "PT1S", "signals": signals})).await;
    post("/v1/assets", json!({"key": "plant", "type": "plant"})).await;
    let begin = Clock::system().now() - TimeDelta::seconds(FRAMES as i64 + 1);
    let mut state = [0.5; 2];
    let frames: Vec<Value> = (0..FRAMES)
        .map(|step| {
            let input = |index: usize| ((step / (17 + 9 * index) * 7919) % 11) as f64 / 10.0;
            state[0] += 0.05 * (input(0) + 0.5 * input(1) - state[0]);
            state[1] += 0.08 * (input(1) - state[1]);
            let noise = 0.01 * (step as f64 * 1.7).sin();
            let values = json!({"u0": input(0), "u1": input(1), "y0": state[0] + noise, "y1": state[1] - noise});
            json!({"ts": begin + TimeDelta::seconds(step as i64), "values": values})
        })
        .collect();
    for chunk in frames.chunks(512) {
        post("/v1/assets/plant/telemetry", json!(chunk)).await;
    }
}

/// A window of the shape that the what-if needs.
fn window(seed: usize) -> Window {
    let future = future_steps(HORIZON);
    let wave = |step: usize| ((step + seed) as f32 * 0.05).sin();
    let total = CONTEXT + future;
    Window {
        context: CONTEXT,
        future,
        target: (0..CONTEXT).map(wave).collect(),
        known: vec![1.0; CONTEXT],
        bank: (0..total).map(wave).collect(),
        spread: vec![0.1; total],
        inputs: vec![(0..total).map(wave).collect(); 2],
        restart: None,
        scale: 0.2,
    }
}
