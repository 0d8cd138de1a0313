//! From windows to sorted quantiles: the one way that answers, and the ways that it was chosen from.
//!
//! `tests/bench/forward.rs` compares the ways; every number of them that is not [`Way::Lean`] in
//! [`Arithmetic::SERVING`] exists for that comparison alone. What libtorch has beyond these is not
//! to be reached from here: its binding exposes neither inference mode nor freezing of a traced
//! module.

use tch::{CModule, Tensor};

use super::base::Base;
pub use super::dense::Arithmetic;
use super::engine::{EngineError, Quantiles};
use super::lean;
use super::network::LEVELS;
use super::sheet::Sheet;
use super::window::{Batch, Window};

/// Windows in one forward pass; more are split.
const BATCH: usize = 64;

/// A way of computing answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The network as it is trained.
    Trained,
    /// The same without `no_grad`: what bookkeeping for gradients costs.
    Tracked,
    /// The network as it is trained, recorded once as `TorchScript` for a number of windows.
    Recorded,
    /// Laid out for answering.
    Lean(Arithmetic),
}

/// The shipped network, ready to answer one way.
#[derive(Debug)]
pub struct Forward {
    base: Base,
    way: Way,
    lean: (lean::Backbone, lean::Head),
    recorded: Option<CModule>,
}

impl Forward {
    /// Gets the shipped network ready. A recording is made with `example` and answers as many
    /// windows of the same shape.
    pub fn new(way: Way, example: &[&Window]) -> Result<Self, EngineError> {
        let mut base = Base::shipped()?;
        let arithmetic = if let Way::Lean(arithmetic) = way { arithmetic } else { Arithmetic::SERVING };
        let lean =
            (lean::Backbone::new(&base.backbone, arithmetic), lean::Head::new(&base.head, &base.backbone, arithmetic));
        let recorded = if way == Way::Recorded {
            // What still learns cannot be a constant of a recording.
            base.head.store_mut().freeze();
            Some(record(&base, example)?)
        } else {
            None
        };
        Ok(Self { base, way, lean, recorded })
    }

    /// Sorted quantiles of windows of one shape.
    pub fn answer(&self, windows: &[&Window]) -> Result<Vec<Quantiles>, EngineError> {
        let plain = |batch: &Batch| self.base.head.corrections(&self.base.backbone.features(batch), None);
        let numbers = match (self.way, &self.recorded) {
            (Way::Lean(_), _) => lean::corrections(&self.lean.0, &self.lean.1, &Sheet::new(windows)),
            (_, Some(module)) => tch::no_grad(|| {
                numbers(
                    &module
                        .forward_ts(&parts(&Batch::stack(windows, None)))
                        .map_err(|_| EngineError::NotFinite)
                        .ok()?,
                )
            }),
            (Way::Tracked, _) => numbers(&plain(&Batch::stack(windows, None)).detach()),
            _ => tch::no_grad(|| numbers(&plain(&Batch::stack(windows, None)))),
        };
        finish(windows, &numbers.ok_or(EngineError::NotFinite)?)
    }
}

fn numbers(corrections: &Tensor) -> Option<Vec<f32>> {
    Vec::<f32>::try_from(corrections.contiguous().reshape(-1)).ok()
}

/// A batch as a recording takes it.
fn parts(batch: &Batch) -> [Tensor; 9] {
    [
        &batch.target,
        &batch.known,
        &batch.bank,
        &batch.spread,
        &batch.inputs,
        &batch.used,
        &batch.segment,
        &batch.summary,
        &batch.scale,
    ]
    .map(Tensor::shallow_clone)
}

fn record(base: &Base, example: &[&Window]) -> Result<CModule, EngineError> {
    let batch = Batch::stack(example, None);
    let (context, future) = (batch.context, batch.future);
    let mut compute = |parts: &[Tensor]| {
        let [target, known, bank, spread, inputs, used, segment, summary, scale] =
            std::array::from_fn(|part| parts[part].shallow_clone());
        let batch = Batch { context, future, target, known, bank, spread, inputs, used, segment, summary, scale };
        vec![base.head.corrections(&base.backbone.features(&batch), None)]
    };
    tch::no_grad(|| CModule::create_by_tracing("corrector", "forward", &parts(&batch), &mut compute))
        .map_err(|_| EngineError::NotFinite)
}

/// Sorted quantiles of windows (of one shape), in batches, by a backbone and a head on it.
pub(super) fn forward(
    (backbone, head): (&lean::Backbone, &lean::Head),
    windows: &[&Window],
) -> Result<Vec<Quantiles>, EngineError> {
    let mut answers = Vec::with_capacity(windows.len());
    for chunk in windows.chunks(BATCH) {
        let numbers = lean::corrections(backbone, head, &Sheet::new(chunk)).ok_or(EngineError::NotFinite)?;
        answers.extend(finish(chunk, &numbers)?);
    }
    Ok(answers)
}

/// From corrections in units of each window's scale to its quantiles, in ascending order.
fn finish(windows: &[&Window], corrections: &[f32]) -> Result<Vec<Quantiles>, EngineError> {
    let (context, steps) = windows[0].shape();
    let answer = |(window, numbers): (&&Window, &[f32])| -> Result<Quantiles, EngineError> {
        quantiles(numbers, &window.bank[context..], window.scale).ok_or(EngineError::NotFinite)
    };
    windows.iter().zip(corrections.chunks_exact(steps * LEVELS.len())).map(answer).collect()
}

/// The quantiles of one window, in ascending order, from its corrections and the bank's answer, a row and a number for each
/// step; `None` where one is not finite.
pub(super) fn quantiles(corrections: &[f32], bank: &[f32], scale: f32) -> Option<Quantiles> {
    let rows = corrections.chunks_exact(LEVELS.len()).zip(bank);
    rows.map(|(row, bank)| {
        let mut quantiles: [f32; LEVELS.len()] = std::array::from_fn(|level| bank + scale * row[level]);
        quantiles.sort_unstable_by(f32::total_cmp);
        quantiles.iter().all(|value| value.is_finite()).then(|| quantiles.map(f64::from))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::window::CONTEXT;

    fn window(seed: usize, future: usize, inputs: usize) -> Window {
        let wave = |step: usize, pace: f32| ((step + 31 * seed) as f32 * pace).sin() * (1.0 + 0.3 * seed as f32);
        let row = |length: usize, pace: f32| (0..length).map(|step| wave(step, pace)).collect::<Vec<_>>();
        let total = CONTEXT + future;
        let unknown = 37 * seed;
        Window {
            context: CONTEXT,
            future,
            target: row(CONTEXT, 0.07)
                .into_iter()
                .enumerate()
                .map(|(k, v)| if k < unknown { 0.0 } else { v })
                .collect(),
            known: (0..CONTEXT).map(|step| f32::from(step >= unknown)).collect(),
            bank: row(total, 0.069),
            spread: (0..total).map(|step| if step % 97 < 40 { -1.0 } else { 0.1 * wave(step, 0.01).abs() }).collect(),
            inputs: (0..inputs).map(|slot| row(total, 0.02 * (slot + 1) as f32)).collect(),
            restart: (seed % 2 == 1).then_some(201),
            scale: 0.1 + 0.2 * seed as f32,
        }
    }

    /// The largest gap between two answers, in deviations of the target.
    fn gap(one: &[Quantiles], other: &[Quantiles]) -> f64 {
        let numbers = |answer: &[Quantiles]| answer.iter().flatten().flatten().copied().collect::<Vec<_>>();
        numbers(one).iter().zip(numbers(other)).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    }

    #[test]
    fn every_exact_way_gives_the_numbers_of_the_network_as_it_is_trained() {
        for (future, inputs) in [(16, 0), (64, 2), (512, 8)] {
            let windows: Vec<Window> = (0..3).map(|seed| window(seed, future, inputs)).collect();
            let windows: Vec<&Window> = windows.iter().collect();
            let answer = |way| Forward::new(way, &windows).unwrap().answer(&windows).unwrap();
            let trained = answer(Way::Trained);
            for way in [Way::Tracked, Way::Recorded, Way::Lean(Arithmetic::Single), Way::Lean(Arithmetic::Packed)] {
                let gap = gap(&trained, &answer(way));
                assert!(gap < 1e-4, "{way:?} is {gap} off with {future} steps and {inputs} inputs");
            }
            let base = Base::shipped().unwrap();
            let serving = forward((&base.lean, &base.lean_head), &windows).unwrap();
            assert!(gap(&trained, &serving) < 1e-4);
        }
    }

    #[test]
    fn more_windows_than_a_batch_holds_are_all_answered() {
        let windows: Vec<Window> = (0..BATCH + 3).map(|seed| window(seed % 5, 16, 1)).collect();
        let windows: Vec<&Window> = windows.iter().collect();
        let base = Base::shipped().unwrap();
        let answers = forward((&base.lean, &base.lean_head), &windows).unwrap();
        assert_eq!(answers.len(), windows.len());
        // The sixth window is the first again, and so is the one after the first batch.
        assert!(gap(&answers[..2], &answers[BATCH + 1..]) < 1e-4);
    }
}
