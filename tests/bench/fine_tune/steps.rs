//! What an optimiser step of each freeze policy costs.

use std::ops::ControlFlow;

use counterpart::model::pretrain::synthetic;
use counterpart::model::trainee::{self, Example, Lesson};
use counterpart::model::{Base, Freeze, Recipe};

use super::cpu;

/// Windows of the lesson: to learn from, and to validate on.
const TAUGHT: usize = 256;
const VALIDATED: usize = 32;
/// Steps ahead, as in a fine-tune job.
const AHEAD: usize = 64;
/// Attempts of each length; the least time counts, as others only add to it.
const ATTEMPTS: usize = 3;
/// What a step of the whole network must cost at least, in steps of the head.
const GOAL_RATIO: f64 = 80.0;

/// What a step of each policy costs.
pub(crate) fn compare() {
    let base = Base::shipped().unwrap();
    let mut windows: Vec<Example> = synthetic(3, TAUGHT + VALIDATED, AHEAD);
    let validation = windows.split_off(TAUGHT);
    let lesson = Lesson { train: windows, validation, ..Lesson::default() };
    let policies = [
        ("head", Freeze::Head, [100, 2_100]),
        ("decoder", Freeze::Decoder, [50, 450]),
        ("last_block", Freeze::LastBlock, [10, 60]),
        ("adapters", Freeze::Adapters, [4, 24]),
        ("all", Freeze::All, [4, 24]),
    ];
    let costs: Vec<(&str, f64)> =
        policies.into_iter().map(|(name, freeze, lengths)| (name, step(&base, &lesson, freeze, lengths))).collect();
    let whole = costs.last().unwrap().1;
    println!("CPU time of an optimiser step on {} windows of {AHEAD} steps ahead", Recipe::default().batch);
    println!("| freeze | ms a step | share of `all` | `all` in steps of it |");
    println!("|---|--:|--:|--:|");
    for (name, cost) in &costs {
        println!("| {name} | {:.2} | {:.3} | {:.1} |", 1e3 * cost, cost / whole, whole / cost);
    }
    println!("a step of `all` in steps of `head`: {:.1} (goal >= {GOAL_RATIO})", whole / costs[0].1);
}

/// CPU-seconds of a step of a policy: the slope between two lengths.
fn step(base: &Base, lesson: &Lesson, freeze: Freeze, [short, long]: [u32; 2]) -> f64 {
    let least = |max_steps| {
        let recipe = Recipe {
            freeze: Some(freeze),
            learning_rate: Some(1e-3),
            max_steps,
            evaluate_every: 20_000,
            ..Recipe::default()
        };
        let attempt = || {
            let before = cpu();
            trainee::learn(base, lesson, &recipe, &mut |_| ControlFlow::Continue(())).unwrap();
            cpu() - before
        };
        (0..ATTEMPTS).map(|_| attempt()).fold(f64::INFINITY, f64::min)
    };
    (least(long) - least(short)) / f64::from(long - short)
}
