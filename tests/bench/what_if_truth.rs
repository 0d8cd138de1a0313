//! What a what-if is worth where the truth is known: on three simulated plants a version is
//! fine-tuned on operating data as the product does it, asked 200 random overrides, and compared
//! with what the true plant does; beside it ARX and ridge on the same data. And whether support
//! ranks the errors. Seeds are fixed; the designs were made on another one.
//!
//! `cargo bench --bench what_if_truth`; with `-- SEED` for another seed.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that cannot go on stops, and prints its result")]

use std::time::Instant;

use counterpart::evaluate::truth::{REPORTED, TruePlant, find};

fn main() {
    counterpart::model::use_one_thread();
    let asked: Vec<u64> = std::env::args().filter_map(|word| word.parse().ok()).collect();
    let seeds = if asked.is_empty() { REPORTED.to_vec() } else { asked };
    println!("error: median over scenarios of the mean absolute error of the delta, in deviations of the output;");
    println!("sign: share of true effects beyond the noise at the end of the horizon; rank: Spearman of (1 - support)");
    println!("with the absolute error of the delta, and of the forecast itself.\n");
    println!(
        "| plant | seed | fine-tuned | without network | base | ARX | ridge | ours / better | sign ours, base, ARX, ridge | effects | rank delta, level | support q1, q2, q3 | s |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|---|");
    for plant in TruePlant::all() {
        for seed in &seeds {
            let began = Instant::now();
            let found = find(plant, *seed).unwrap();
            let [ours, studied, base, arx, ridge] = &found.methods[..] else { unreachable!("five methods") };
            let kind = if plant.is_nonlinear() { "nonlinear" } else { "linear" };
            println!(
                "| {} ({kind}) | {seed} | {:.4} | {:.4} | {:.4} | {:.4} | {:.4} | {:.2} | {:.3}, {:.3}, {:.3}, {:.3} | {} | {:.2}, {:.2} | {:.2}, {:.2}, {:.2} | {:.0} |",
                plant.name(),
                ours.error,
                studied.error,
                base.error,
                arx.error,
                ridge.error,
                ours.error / arx.error.min(ridge.error),
                ours.sign,
                base.sign,
                arx.sign,
                ridge.sign,
                found.effects,
                found.rank_delta,
                found.rank_level,
                found.support[0],
                found.support[1],
                found.support[2],
                began.elapsed().as_secs_f64(),
            );
        }
    }
}
