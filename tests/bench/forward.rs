//! Which way through the network is fastest, and how far its numbers are from those of training.
//!
//! Batches of 1, 8 and 64 windows of one shape (64 steps ahead, two inputs) are answered every way
//! in turn, on one thread, so that only ratios within a run mean much. Accuracy is the change of the
//! pinball loss on the 64 windows, whose truths are known. `cargo bench --bench forward`

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that cannot go on stops, and prints its result")]

use std::time::{Duration, Instant};

use counterpart::expert::{Bank, History};
use counterpart::model::forward::{Arithmetic, Forward, Way};
use counterpart::model::window::{CONTEXT, Window};
use counterpart::model::{LEVELS, Quantiles};
use counterpart::score::interval::pinball;

const STEPS: usize = 64;
/// Windows in a batch, and rounds.
const BATCHES: [(usize, usize); 3] = [(1, 400), (8, 120), (64, 30)];
const WAYS: [(&str, Way); 6] = [
    ("as trained, fp32", Way::Trained),
    ("the same, tracking gradients", Way::Tracked),
    ("the same, recorded TorchScript", Way::Recorded),
    ("lean, fp32", Way::Lean(Arithmetic::Single)),
    ("lean, fp32 by oneDNN, weights packed", Way::Lean(Arithmetic::Packed)),
    ("lean, bf16 linear layers", Way::Lean(Arithmetic::Brain)),
];

fn main() {
    counterpart::model::use_one_thread();
    let largest = BATCHES.iter().map(|(count, _)| *count).max().unwrap();
    let (windows, truths): (Vec<Window>, Vec<Vec<f64>>) = (0..largest).map(window).unzip();
    println!(
        "| way | {} | change of loss |",
        BATCHES.map(|(count, _)| format!("batch {count}, ms p50 (p95)")).join(" | ")
    );
    println!("|---|---|---|---|---|");
    let mut cells: Vec<Vec<String>> = vec![Vec::new(); WAYS.len()];
    for (count, rounds) in BATCHES {
        let batch: Vec<&Window> = windows[..count].iter().collect();
        let ways: Vec<Forward> = WAYS.iter().map(|(_, way)| Forward::new(*way, &batch).unwrap()).collect();
        let mut times = vec![Vec::with_capacity(rounds); WAYS.len()];
        for round in 0..rounds + 10 {
            for (way, times) in ways.iter().zip(&mut times) {
                let began = Instant::now();
                way.answer(&batch).unwrap();
                // The first rounds warm up.
                if round >= 10 {
                    times.push(began.elapsed());
                }
            }
        }
        let losses: Vec<f64> = ways.iter().map(|way| loss(&way.answer(&batch).unwrap(), &truths)).collect();
        for ((cells, times), way_loss) in cells.iter_mut().zip(&mut times).zip(&losses) {
            cells.push(format!("{:.3} ({:.3})", ms(times, 0.5), ms(times, 0.95)));
            if count == largest {
                cells.push(format!("{:+.5} %", 100.0 * (way_loss / losses[0] - 1.0)));
            }
        }
    }
    for ((name, _), cells) in WAYS.iter().zip(cells) {
        println!("| {name} | {} |", cells.join(" | "));
    }
}

fn ms(times: &mut [Duration], share: f64) -> f64 {
    times.sort_unstable();
    times[(share * (times.len() - 1) as f64) as usize].as_secs_f64() * 1e3
}

/// Mean pinball loss over windows, steps and levels, in deviations.
fn loss(answers: &[Quantiles], truths: &[Vec<f64>]) -> f64 {
    let steps = answers.iter().zip(truths).flat_map(|(answer, truth)| answer.iter().zip(truth));
    let losses: Vec<f64> = steps
        .flat_map(|(row, truth)| LEVELS.iter().zip(row).map(|(level, value)| pinball(*level, *value, *truth)))
        .collect();
    losses.iter().sum::<f64>() / losses.len() as f64
}

/// A saturating lag that answers two inputs, disturbed: its window, and what came after.
fn window(seed: usize) -> (Window, Vec<f64>) {
    let length = 600 + 7 * seed;
    let mut state = seed as u32 + 1;
    let mut noise = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state >> 8) / f64::from(1_u32 << 24) - 0.5
    };
    let (mut inputs, mut drift, mut level) = ([0.0; 2], 0.0, 0.0);
    let mut rows = vec![Vec::new(); 3];
    for step in 0..length + STEPS {
        for (input, pace) in inputs.iter_mut().zip([19, 43]) {
            if step % pace == 0 {
                *input = 3.0 * noise();
            }
        }
        drift = 0.98 * drift + 0.1 * noise();
        level += ((inputs[0] + 0.6 * inputs[1]).tanh() + drift - level) / (3.0 + (seed % 11) as f64);
        for (row, value) in rows.iter_mut().zip([inputs[0], inputs[1], 1.4 * level + 0.05 * noise()]) {
            row.push(value);
        }
    }
    let target = rows.pop().unwrap();
    let future: Vec<Vec<f64>> = rows.iter().map(|row| row[length..].to_vec()).collect();
    let history = History { target: &target[..length], inputs: &rows, others: &[], starts: &[0], silent: &[] };
    let bank = Bank::fit(&history, STEPS);
    let window = Window::new(&bank, &bank.forecast(&history, &future), &history, 0, &future, CONTEXT);
    (window, target[length..].to_vec())
}
