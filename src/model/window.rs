//! What the network sees of one target signal: a stretch of the past, the bank's answer, and the
//! inputs that are known or assumed ahead.
//!
//! Pretraining, fine-tuning and serving all build their windows here, so that no skew between
//! them can exist. Everything is in normalised units; the origin lies on a patch border.

use tch::{Device, Tensor};

use crate::expert::{Bank, History, Outlook};

/// Steps that one token covers.
pub const PATCH: usize = 16;
/// Inputs that the network can see; further ones reach the answer through the bank alone.
pub const SLOTS: usize = 8;
/// Steps of context that the network sees; the bank sees more.
pub const CONTEXT: usize = 448;
/// Marks steps at which the bank has no answer.
const NO_BANK: f32 = -1.0;
/// Targets beyond this many deviations say no more than that.
const TARGET_LIMIT: f64 = 12.0;

/// One target signal at one origin.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// Context steps, a multiple of [`PATCH`]; padded on the left where the history is shorter.
    pub context: usize,
    /// Future steps, a multiple of [`PATCH`].
    pub future: usize,
    /// `context` values; 0 where not known.
    pub target: Vec<f32>,
    /// `context` flags: 1 where the target is known.
    pub known: Vec<f32>,
    /// `context + future` values of the bank: its back-tests in the context, its forecast after.
    pub bank: Vec<f32>,
    /// How far the experts disagree at each step; -1 where the bank has no answer.
    pub spread: Vec<f32>,
    /// At most [`SLOTS`] rows of `context + future` values.
    pub inputs: Vec<Vec<f32>>,
    /// First step of the newest contiguous segment, when it lies inside the context.
    pub restart: Option<usize>,
    /// Back-test error of the bank: the unit of the network's corrections.
    pub scale: f32,
}

/// The steps that `horizon` needs: whole patches.
#[must_use]
pub fn future_steps(horizon: usize) -> usize {
    horizon.max(1).div_ceil(PATCH) * PATCH
}

impl Window {
    /// Builds the window at the end of `history`, with `context` steps of it.
    ///
    /// `bank` may have been fitted `since_fit` steps before the end of `history`; `outlook` is its
    /// answer over `future`, a row per input, whose length is a multiple of [`PATCH`].
    #[must_use]
    pub fn new(
        bank: &Bank,
        outlook: &Outlook,
        history: &History<'_>,
        since_fit: usize,
        future: &[Vec<f64>],
        context: usize,
    ) -> Self {
        let steps = outlook.mean.len();
        debug_assert!(steps.is_multiple_of(PATCH) && context.is_multiple_of(PATCH), "whole patches");
        let length = history.target.len();
        let used = length.min(context);
        let (start, pad) = (length - used, context - used);
        let total = context + steps;

        let mut target = vec![0.0; context];
        let mut known = vec![0.0; context];
        for (step, value) in history.target[start..].iter().enumerate() {
            if value.is_finite() {
                target[pad + step] = value.clamp(-TARGET_LIMIT, TARGET_LIMIT) as f32;
                known[pad + step] = 1.0;
            }
        }

        let mut answer = vec![0.0; total];
        let mut spread = vec![NO_BANK; total];
        for trace in bank.traces() {
            let back = trace.start_back + since_fit;
            for (ahead, value) in trace.values.iter().enumerate() {
                if back <= used && ahead < back {
                    answer[context - back + ahead] = *value as f32;
                    spread[context - back + ahead] = 0.0;
                }
            }
        }
        for step in 0..steps {
            answer[context + step] = outlook.mean[step] as f32;
            spread[context + step] = (outlook.disagreement[step] as f32).clamp(0.0, 4.0);
        }

        let inputs = history
            .inputs
            .iter()
            .zip(future)
            .take(SLOTS)
            .map(|(past, ahead)| {
                let first = past.get(start).copied().unwrap_or(0.0) as f32;
                let mut row = vec![first; pad];
                row.extend(past[start..length].iter().map(|value| *value as f32));
                row.extend(ahead[..steps].iter().map(|value| *value as f32));
                row
            })
            .collect();
        let restart = history.starts.last().filter(|first| **first > start).map(|first| first - start + pad);
        Self {
            context,
            future: steps,
            target,
            known,
            bank: answer,
            spread,
            inputs,
            restart,
            scale: (bank.scale() as f32).clamp(0.02, 1.5),
        }
    }

    /// Context and future steps; windows of one shape can share a batch.
    #[must_use]
    pub fn shape(&self) -> (usize, usize) {
        (self.context, self.future)
    }

    /// Whether every number is finite; nothing else may reach the network.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        let rows = [&self.target, &self.known, &self.bank, &self.spread];
        rows.into_iter().chain(&self.inputs).flatten().all(|value| value.is_finite()) && self.scale.is_finite()
    }
}

/// Windows of one shape as tensors.
#[derive(Debug)]
pub(super) struct Batch {
    /// Context steps.
    pub(super) context: i64,
    /// Future steps.
    pub(super) future: i64,
    /// `[batch, steps]`, 0 where not known.
    pub(super) target: Tensor,
    /// `[batch, steps]`.
    pub(super) known: Tensor,
    /// `[batch, steps]`.
    pub(super) bank: Tensor,
    /// `[batch, steps]`.
    pub(super) spread: Tensor,
    /// `[batch, SLOTS, steps]`, 0 in empty slots.
    pub(super) inputs: Tensor,
    /// `[batch, SLOTS]`: 1 where a slot is used.
    pub(super) used: Tensor,
    /// `[batch, steps]`: 1 in the newest segment.
    pub(super) segment: Tensor,
    /// `[batch, 3]`: log scale, share of slots used, share of the context known.
    pub(super) summary: Tensor,
    /// `[batch]`.
    pub(super) scale: Tensor,
}

impl Batch {
    /// Stacks windows of one shape. `slots` places the inputs of each window; without it they keep
    /// their order.
    pub(super) fn stack(windows: &[&Window], slots: Option<&[[usize; SLOTS]]>) -> Self {
        let (context, future) = windows.first().expect("a batch has a window").shape();
        let steps = context + future;
        let count = windows.len();
        let mut rows: [Vec<f32>; 5] = std::array::from_fn(|_| Vec::with_capacity(count * steps));
        let mut inputs = vec![0.0; count * SLOTS * steps];
        let mut used = vec![0.0_f32; count * SLOTS];
        let mut summary = Vec::with_capacity(count * 3);
        let mut scale = Vec::with_capacity(count);
        for (index, window) in windows.iter().enumerate() {
            debug_assert_eq!(window.shape(), (context, future), "one shape a batch");
            let [target, known, bank, spread, segment] = &mut rows;
            target.extend_from_slice(&window.target);
            target.resize(target.len() + future, 0.0);
            known.extend_from_slice(&window.known);
            known.resize(known.len() + future, 0.0);
            bank.extend_from_slice(&window.bank);
            spread.extend_from_slice(&window.spread);
            let restart = window.restart.unwrap_or(steps);
            segment.extend((0..steps).map(|step| f32::from(step >= restart)));
            for (order, row) in window.inputs.iter().enumerate() {
                let slot = slots.map_or(order, |all| all[index][order]);
                let at = (index * SLOTS + slot) * steps;
                inputs[at..at + steps].copy_from_slice(row);
                used[index * SLOTS + slot] = 1.0;
            }
            let share = window.known.iter().sum::<f32>() / CONTEXT as f32;
            summary.extend([window.scale.ln(), window.inputs.len() as f32 / SLOTS as f32, share]);
            scale.push(window.scale);
        }
        let (b, t, s) = (count as i64, steps as i64, SLOTS as i64);
        let grid = |values: &[f32]| Tensor::from_slice(values).view([b, t]);
        Self {
            context: context as i64,
            future: future as i64,
            target: grid(&rows[0]),
            known: grid(&rows[1]),
            bank: grid(&rows[2]),
            spread: grid(&rows[3]),
            segment: grid(&rows[4]),
            inputs: Tensor::from_slice(&inputs).view([b, s, t]),
            used: Tensor::from_slice(&used).view([b, s]),
            summary: Tensor::from_slice(&summary).view([b, 3]),
            scale: Tensor::from_slice(&scale),
        }
    }

    /// Turns windows upside down: a plant with its signs changed is a plant. `target` holds a sign
    /// per window, `inputs` one per window and slot.
    pub(super) fn flip(&mut self, target: &[f32], inputs: &[f32]) {
        let b = target.len() as i64;
        let signs = |values: &[f32], shape: &[i64]| sent(&Tensor::from_slice(values), self.target.device()).view(shape);
        let (target, inputs) = (signs(target, &[b, 1]), signs(inputs, &[b, SLOTS as i64, 1]));
        self.target = &self.target * &target;
        self.bank = &self.bank * &target;
        self.inputs = &self.inputs * inputs;
    }

    /// The same windows with something done to each tensor.
    pub(super) fn map(&self, each: impl Fn(&Tensor) -> Tensor) -> Self {
        Self {
            context: self.context,
            future: self.future,
            target: each(&self.target),
            known: each(&self.known),
            bank: each(&self.bank),
            spread: each(&self.spread),
            inputs: each(&self.inputs),
            used: each(&self.used),
            segment: each(&self.segment),
            summary: each(&self.summary),
            scale: each(&self.scale),
        }
    }
}

/// A tensor on a device. Pages that do not move would be fetched faster, but to ask for them libtorch wants an
/// argument against which it warns each time.
pub(super) fn sent(tensor: &Tensor, device: Device) -> Tensor {
    tensor.to_device(device)
}
