//! How much a whole prediction costs over the bare forward pass of the same network, and how much
//! memory a server takes that has loaded the model and does nothing.
//!
//! The asset has three outputs and four inputs; a prediction looks 60 steps ahead. Both are timed
//! in turn in one run, so that only their ratio means anything. `cargo bench --bench predict`

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that cannot go on stops, and prints its result")]

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use counterpart::clock::Clock;
use counterpart::db::fixture;
use counterpart::model::window::{CONTEXT, Window, future_steps};
use counterpart::model::{Base, trainee};
use counterpart::server::{self, Config, Rooms, RoomsConfig};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

const FRAMES: usize = 2_048;
const HORIZON: usize = 60;
const ROUNDS: usize = 400;
const OUTPUTS: usize = 3;
const INPUTS: usize = 4;

fn main() {
    counterpart::model::use_one_thread();
    // Two threads, as the machine has: one serves, one computes.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(compare());
    idle_memory();
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
    let predict = async || {
        let request = client.post(format!("{url}/v1/assets/plant/predict")).json(&json!({"horizon": HORIZON}));
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        assert_eq!(answer["model"]["source"], "base", "{answer}");
    };

    let bare_forward = bare_forward();
    let (mut whole, mut moved, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS + 20 {
        let began = Instant::now();
        predict().await;
        let predicted = began.elapsed();
        let (reply, computed) = tokio::sync::oneshot::channel();
        bare_forward.send(reply).unwrap();
        let computed = computed.await.unwrap();
        // The grid of a state that did not move is kept, so a state that has just moved is timed too.
        // Posting the frame itself is not.
        tell(&client, &url, round).await;
        let began = Instant::now();
        predict().await;
        let predicted_anew = began.elapsed();
        // The first rounds warm up.
        if round >= 20 {
            whole.push(predicted);
            moved.push(predicted_anew);
            bare.push(computed);
        }
    }
    end.cancel();
    served.await.unwrap();
    let ms = |times: &mut Vec<Duration>, share: f64| {
        times.sort_unstable();
        times[(share * (times.len() - 1) as f64) as usize].as_secs_f64() * 1e3
    };
    println!("{OUTPUTS} outputs, {INPUTS} inputs, {FRAMES} frames, horizon {HORIZON}, {ROUNDS} rounds in turn, ms");
    println!("| | p50 | p95 |");
    println!("|---|---|---|");
    println!("| bare forward | {:.2} | {:.2} |", ms(&mut bare, 0.5), ms(&mut bare, 0.95));
    println!("| whole prediction over HTTP | {:.2} | {:.2} |", ms(&mut whole, 0.5), ms(&mut whole, 0.95));
    println!("| the same, just after a new frame | {:.2} | {:.2} |", ms(&mut moved, 0.5), ms(&mut moved, 0.95));
    println!("ratio of the medians: {:.2} (goal <= 1.5)", ms(&mut whole, 0.5) / ms(&mut bare, 0.5));
    println!("just after a new frame: {:.2}", ms(&mut moved, 0.5) / ms(&mut bare, 0.5));
}

/// Computes a bare forward pass whenever it is asked to, and says how long it took. On a thread of its
/// own, as the server's engine: a runtime whose worker computes is another one afterwards.
fn bare_forward() -> std::sync::mpsc::Sender<tokio::sync::oneshot::Sender<Duration>> {
    let (ask, asked) = std::sync::mpsc::channel::<tokio::sync::oneshot::Sender<Duration>>();
    std::thread::spawn(move || {
        let base = Base::shipped().unwrap();
        let windows: Vec<Window> = (0..OUTPUTS).map(window).collect();
        let windows: Vec<&Window> = windows.iter().collect();
        for reply in asked {
            let began = Instant::now();
            trainee::answer(&base, None, &windows).unwrap();
            let _ = reply.send(began.elapsed());
        }
    });
    ask
}

/// Makes the asset and its history: three lags that answer four inputs.
async fn fill(client: &reqwest::Client, url: &str) {
    let post = async |path: &str, body: Value| {
        let answer = client.post(format!("{url}{path}")).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    };
    let signal = |name: String, role: &str| json!({"name": name, "unit": "1", "role": role});
    let inputs = (0..INPUTS).map(|index| signal(format!("u{index}"), "control_input"));
    let outputs = (0..OUTPUTS).map(|index| signal(format!("y{index}"), "output"));
    post(
        "/v1/asset-types",
        json!({"key": "plant", "interval": "PT1S", "signals": inputs.chain(outputs).collect::<Vec<_>>()}),
    )
    .await;
    post("/v1/assets", json!({"key": "plant", "type": "plant"})).await;
    let begin = Clock::system().now() - TimeDelta::seconds(FRAMES as i64 + 1);
    let mut state = [0.0; OUTPUTS];
    let frames: Vec<Value> = (0..FRAMES)
        .map(|step| {
            let input = |index: usize| f64::from(u8::from((step / (17 + 9 * index)).is_multiple_of(2)));
            let mut values = serde_json::Map::new();
            for index in 0..INPUTS {
                values.insert(format!("u{index}"), json!(input(index)));
            }
            for (index, level) in state.iter_mut().enumerate() {
                *level += 0.05 * (input(index) + 0.5 * input(index + 1) - *level);
                values.insert(format!("y{index}"), json!(*level + 0.01 * (step as f64 * 1.7).sin()));
            }
            json!({"ts": begin + TimeDelta::seconds(step as i64), "values": values})
        })
        .collect();
    for chunk in frames.chunks(512) {
        post("/v1/assets/plant/telemetry", json!(chunk)).await;
    }
}

/// Posts one more frame, later than all before.
async fn tell(client: &reqwest::Client, url: &str, round: usize) {
    let inputs = (0..INPUTS).map(|index| (format!("u{index}"), json!(1.0)));
    let outputs = (0..OUTPUTS).map(|index| (format!("y{index}"), json!(1.0)));
    let values: serde_json::Map<String, Value> = inputs.chain(outputs).collect();
    let ts = Clock::system().now() + TimeDelta::seconds(round as i64);
    let frame = json!({"ts": ts, "values": values});
    let answer = client.post(format!("{url}/v1/assets/plant/telemetry")).json(&frame).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
}

/// A window of the shape that the prediction needs.
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
        inputs: vec![(0..total).map(wave).collect(); INPUTS],
        restart: None,
        scale: 0.2,
    }
}

/// Starts the real server on an empty database and looks at its resident memory.
fn idle_memory() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_counterpart"))
        .args(["serve", "--bind", "127.0.0.1:0", "--data-dir"])
        .arg(folder.path().join("data"))
        .env_remove("DATABASE_URL")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
    // Background work has looked around by then.
    std::thread::sleep(Duration::from_secs(5));
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let resident = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    println!(
        "idle with the model loaded, {} (goal <= 250 MB = 244,140 kB)",
        resident.split_whitespace().collect::<Vec<_>>().join(" ")
    );
    let stop = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(stop, nix::sys::signal::Signal::SIGTERM).unwrap();
    child.wait().unwrap();
}
