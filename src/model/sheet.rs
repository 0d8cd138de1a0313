//! Windows laid out as the network reads them: tokens and steps side by side, in plain numbers.
//!
//! What [`super::window::Batch`] and `network/` do with tensors, for answering alone; a test holds
//! one to the other.

use super::network::{P, SUMMARY, TAPS};
use super::window::{CONTEXT, PATCH, SLOTS, Window};

/// Numbers of a token.
pub(super) const TOKEN: usize = PATCH * (4 + SLOTS) + SLOTS + 1 + SUMMARY as usize;
/// Numbers of a step that the convolution reads.
pub(super) const ROWS: usize = SLOTS + 5;
const REACH: usize = TAPS as usize;

/// Windows of one shape.
#[derive(Debug)]
pub(super) struct Sheet {
    /// How many windows.
    pub(super) windows: i64,
    /// Tokens of a window: all but the last, which nothing looks back on.
    pub(super) tokens: i64,
    /// Steps ahead.
    pub(super) future: i64,
    /// `[windows, tokens, TOKEN]`
    pub(super) token: Vec<f32>,
    /// `[windows, future, TAPS, ROWS]`: for each step ahead the steps that the convolution reads.
    pub(super) steps: Vec<f32>,
    /// `[windows, SUMMARY]`
    pub(super) summary: Vec<f32>,
}

impl Sheet {
    /// Lays windows of one shape out.
    pub(super) fn new(windows: &[&Window]) -> Self {
        let (context, future) = windows.first().expect("a batch has a window").shape();
        let tokens = (context + future) / PATCH - 1;
        let mut sheet = Self {
            windows: windows.len() as i64,
            tokens: tokens as i64,
            future: future as i64,
            token: Vec::with_capacity(windows.len() * tokens * TOKEN),
            steps: Vec::with_capacity(windows.len() * future * REACH * ROWS),
            summary: Vec::with_capacity(windows.len() * SUMMARY as usize),
        };
        debug_assert_eq!(P as usize, PATCH, "one length of a patch");
        for window in windows {
            debug_assert_eq!(window.shape(), (context, future), "one shape a batch");
            sheet.lay(window, tokens);
        }
        sheet
    }

    fn lay(&mut self, window: &Window, tokens: usize) {
        let share = window.known.iter().sum::<f32>() / CONTEXT as f32;
        let summary = [window.scale.ln(), window.inputs.len() as f32 / SLOTS as f32, share];
        let restart = window.restart.unwrap_or(usize::MAX);
        let bank: Vec<f32> = window
            .bank
            .iter()
            .zip(&window.spread)
            .map(|(value, spread)| if *spread >= 0.0 { *value } else { 0.0 })
            .collect();
        for token in 0..tokens {
            self.token(window, &bank, restart, token * PATCH);
            self.token.extend(summary);
        }
        self.summary.extend(summary);
        let first = window.context + 1 - REACH;
        let rows: Vec<[f32; ROWS]> =
            (first..window.context + window.future).map(|step| row(window, &bank, restart, step)).collect();
        for reach in rows.windows(REACH) {
            self.steps.extend_from_slice(reach.as_flattened());
        }
    }

    /// One token but for its summary: the steps from `at`.
    fn token(&mut self, window: &Window, bank: &[f32], restart: usize, at: usize) {
        let span = at..at + PATCH;
        for past in [&window.target, &window.known] {
            match past.get(span.clone()) {
                Some(values) => self.token.extend_from_slice(values),
                None => self.token.extend([0.0; PATCH]),
            }
        }
        self.token.extend_from_slice(&bank[span.clone()]);
        self.token.extend_from_slice(&window.spread[span.clone()]);
        for slot in 0..SLOTS {
            match window.inputs.get(slot) {
                Some(values) => self.token.extend_from_slice(&values[span.clone()]),
                None => self.token.extend([0.0; PATCH]),
            }
        }
        self.token.extend((0..SLOTS).map(|slot| f32::from(slot < window.inputs.len())));
        self.token.push(span.filter(|step| *step >= restart).count() as f32 / PATCH as f32);
    }
}

/// What the convolution reads of a step: target and mask are those of the step before.
fn row(window: &Window, bank: &[f32], restart: usize, step: usize) -> [f32; ROWS] {
    let mut row = [0.0; ROWS];
    for (value, input) in row.iter_mut().zip(&window.inputs) {
        *value = input[step];
    }
    let past = |values: &[f32]| values.get(step - 1).copied().unwrap_or(0.0);
    row[SLOTS..].copy_from_slice(&[
        past(&window.target),
        past(&window.known),
        f32::from(step >= restart),
        bank[step],
        window.spread[step],
    ]);
    row
}
