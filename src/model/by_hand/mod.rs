//! The loss of a head and its gradient, worked out by hand.
//!
//! Where head and decoder learn, or the head alone, a step is a few products of small matrices, and what libtorch does around
//! them (a node of the graph, a buffer and a pass over memory for every operation) takes longer than they do. Here the
//! passes between products are one each. What is computed is what [`super::network::Head::corrections`] and [`super::loss`] say, which the
//! tests hold it to; libtorch goes on to do it where more learns.
//!
//! All matrices lie row by row: a row for each step ahead of each window, or for each patch.

mod gelu;
mod last;
mod losses;

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use tch::{Kind, TchError, Tensor};

use super::engine::Quantiles;
use super::forward::quantiles;
use super::network::{Features, Head, P, SUMMARY, Size, TAPS};
use super::recipe::Recipe;
use gelu::gelu_with_slope;
pub(super) use last::Thoughts;
use losses::Losses;

const PATCH: usize = P as usize;
const REACH: usize = TAPS as usize;
const SAID: usize = SUMMARY as usize;
/// Windows that are read at a time where no gradient is wanted.
const TOGETHER: usize = 32;

/// What a head reads of windows of one shape, and what came of them.
pub(super) struct Reading {
    future: usize,
    width: usize,
    channels: usize,
    /// Window by window, patch by patch.
    states: Vec<f32>,
    /// Window by window, instant by instant: what the convolution reads, so that what it sees of one step lies in a row.
    steps: Vec<f32>,
    summaries: Vec<f32>,
    truths: Truths,
}

/// What came and what the bank said, in numbers that [`super::lesson::Material`] has as tensors.
pub(super) struct Truths {
    pub(super) bank: Vec<f32>,
    pub(super) scale: Vec<f32>,
    pub(super) truth: Vec<f32>,
    pub(super) known: Vec<f32>,
    pub(super) unit: Vec<f32>,
}

/// The numbers of a head, or a gradient of them. The convolution's weights lie tap by tap.
#[derive(Clone, Debug)]
struct Numbers {
    conv: Layer,
    film: Layer,
    patch: Layer,
    hidden: Layer,
    out: Layer,
}

/// One row of weights for each output, and biases.
#[derive(Clone, Debug)]
struct Layer {
    weights: Vec<f32>,
    biases: Vec<f32>,
}

/// The numbers of a tensor in its own order.
pub(super) fn numbers(tensor: &Tensor) -> Vec<f32> {
    let flat = tensor.detach().to_kind(Kind::Float).contiguous().view([-1]);
    let mut numbers = vec![0.0; flat.numel()];
    flat.copy_data(&mut numbers, flat.numel());
    numbers
}

impl Reading {
    pub(super) fn new(features: &Features, truths: Truths) -> Self {
        let (states, steps, summaries) = features.parts();
        let (states_size, steps_size) = (states.size(), steps.size());
        Self {
            future: steps_size[2] as usize + 1 - REACH,
            width: states_size[2] as usize,
            channels: steps_size[1] as usize,
            states: numbers(states),
            steps: numbers(&steps.transpose(1, 2)),
            summaries: numbers(summaries),
            truths,
        }
    }

    /// The mean loss of a head on all windows, as the recipe counts it.
    pub(super) fn mean_loss(&self, recipe: &Recipe, head: &Head) -> f64 {
        let (numbers, losses) = (Numbers::of(head), Losses::of(recipe));
        let all: Vec<usize> = (0..self.truths.scale.len()).collect();
        let (mut sum, mut counted) = (0.0, 0.0);
        for windows in all.chunks(TOGETHER) {
            let pass = Pass::forward(self, &numbers, head.size(), windows, None);
            let (of_some, of_them) = losses.sum(&self.truths, self.future, windows, &pass.said, None);
            (sum, counted) = (sum + of_some, counted + of_them);
        }
        sum / f64::max(counted, 1.0)
    }

    /// What a head says of the first windows, in ascending order; `None` where a number is not finite.
    pub(super) fn said(&self, head: &Head, windows: usize) -> Option<Vec<Quantiles>> {
        let numbers = Numbers::of(head);
        let all: Vec<usize> = (0..windows).collect();
        let mut said = Vec::with_capacity(windows);
        for windows in all.chunks(TOGETHER) {
            let pass = Pass::forward(self, &numbers, head.size(), windows, None);
            let each = pass.said.len() / windows.len();
            for (window, corrections) in windows.iter().zip(pass.said.chunks_exact(each)) {
                let bank = &self.truths.bank[window * self.future..(window + 1) * self.future];
                said.push(quantiles(corrections, bank, self.truths.scale[*window])?);
            }
        }
        Some(said)
    }

    /// The mean loss of a head on the chosen windows, and its gradient, variable by variable of [`variables`]. `mask` is that
    /// of [`Head::dropout_shape`].
    pub(super) fn gradient(
        &self,
        recipe: &Recipe,
        head: &Head,
        windows: &[usize],
        mask: Option<&[f32]>,
    ) -> (f64, Vec<Vec<f32>>) {
        let numbers = Numbers::of(head);
        let mut pass = Pass::forward(self, &numbers, head.size(), windows, mask);
        let (loss, slopes) = self.slopes(recipe, windows, &pass.said);
        let gradient = pass.backward(self, &numbers, windows, mask, &slopes);
        (loss, gradient.in_order(self.channels))
    }

    /// The mean loss of what is `said` of the chosen windows, and its slope by each number of it.
    fn slopes(&self, recipe: &Recipe, windows: &[usize], said: &[f32]) -> (f64, Vec<f32>) {
        let mut slopes = vec![0.0; said.len()];
        let losses = Losses::of(recipe);
        let (sum, counted) = losses.sum(&self.truths, self.future, windows, said, Some(&mut slopes));
        (sum / counted.max(1.0), slopes)
    }
}

/// The variables of a head in the order of gradients.
pub(super) fn variables(head: &Head) -> Vec<Tensor> {
    let linear = [&head.film, &head.patch, &head.hidden, &head.out];
    let conv = [Some(head.conv.ws.shallow_clone()), head.conv.bs.as_ref().map(Tensor::shallow_clone)];
    let linear = linear
        .into_iter()
        .flat_map(|layer| [Some(layer.ws.shallow_clone()), layer.bs.as_ref().map(Tensor::shallow_clone)]);
    conv.into_iter().chain(linear).flatten().collect()
}

/// The variables of a head's last layer in the order of gradients.
pub(super) fn last_variables(head: &Head) -> Vec<Tensor> {
    [Some(&head.out.ws), head.out.bs.as_ref()].into_iter().flatten().map(Tensor::shallow_clone).collect()
}

/// Puts the gradients of variables where optimisers look for them.
pub(super) fn put(variables: Vec<Tensor>, gradient: Vec<Vec<f32>>) -> Result<(), TchError> {
    for (variable, numbers) in variables.into_iter().zip(gradient) {
        let numbers = Tensor::from_slice(&numbers).view(variable.size().as_slice());
        let mut kept = variable.grad();
        if kept.defined() {
            tch::no_grad(|| kept.copy_(&numbers));
        } else {
            // Nobody but libtorch makes room for one: this is the function whose gradient it is.
            (variable * numbers).sum(Kind::Float).f_backward()?;
        }
    }
    Ok(())
}

impl Numbers {
    fn of(head: &Head) -> Self {
        let mut all = variables(head).into_iter();
        let mut layer = |change: fn(Tensor) -> Tensor| Layer {
            weights: numbers(&change(all.next().expect("a head has weights"))),
            biases: numbers(&all.next().expect("a head has biases")),
        };
        Self {
            conv: layer(|weights| weights.transpose(1, 2)),
            film: layer(|weights| weights),
            patch: layer(|weights| weights),
            hidden: layer(|weights| weights),
            out: layer(|weights| weights),
        }
    }

    /// In the order and the layout of the variables of a head.
    fn in_order(self, channels: usize) -> Vec<Vec<f32>> {
        let Self { mut conv, film, patch, hidden, out } = self;
        let mut by_channel = Vec::with_capacity(conv.weights.len());
        for row in conv.weights.chunks_exact(REACH * channels) {
            by_channel.extend((0..channels).flat_map(|channel| row[channel..].iter().step_by(channels).copied()));
        }
        conv.weights = by_channel;
        [conv, film, patch, hidden, out].into_iter().flat_map(|layer| [layer.weights, layer.biases]).collect()
    }
}

impl Layer {
    /// The last one of a head.
    fn last(head: &Head) -> Self {
        let biases = head.out.bs.as_ref().map(numbers).expect("a head has biases");
        Self { weights: numbers(&head.out.ws), biases }
    }

    /// Its outputs for rows of inputs.
    fn forward(&self, rows: &[f32]) -> Vec<f32> {
        let (across, count) = (self.biases.len(), rows.len() * self.biases.len() / self.weights.len());
        let mut outputs = self.biases.repeat(count);
        let inside = self.weights.len() / across;
        add(&mut outputs, matrix(rows, count, inside), matrix(&self.weights, across, inside).transpose());
        outputs
    }

    /// The gradient of its numbers by what it read and the slopes of its outputs.
    fn gradient(rows: &[f32], slopes: &[f32], inside: usize) -> Self {
        let count = rows.len() / inside;
        let across = slopes.len() / count;
        let mut weights = vec![0.0; across * inside];
        add(&mut weights, matrix(slopes, count, across).transpose(), matrix(rows, count, inside));
        let mut biases = vec![0.0; across];
        for row in slopes.chunks_exact(across) {
            biases.iter_mut().zip(row).for_each(|(sum, slope)| *sum += slope);
        }
        Self { weights, biases }
    }

    /// The slopes of what it read, by those of its outputs.
    fn back(&self, slopes: &[f32]) -> Vec<f32> {
        let (across, inside) = (self.biases.len(), self.weights.len() / self.biases.len());
        let count = slopes.len() / across;
        let mut read = vec![0.0; count * inside];
        add(&mut read, matrix(slopes, count, across), matrix(&self.weights, across, inside));
        read
    }
}

fn matrix(numbers: &[f32], rows: usize, columns: usize) -> MatRef<'_, f32> {
    MatRef::from_row_major_slice(numbers, rows, columns)
}

/// Adds a product to a matrix that lies row by row.
fn add(sums: &mut [f32], left: MatRef<'_, f32>, right: MatRef<'_, f32>) {
    let sums = MatMut::from_row_major_slice_mut(sums, left.nrows(), right.ncols());
    matmul(sums, Accum::Add, left, right, 1.0, Par::Seq);
}

/// What a head thinks of some windows on the way to its answer.
struct Pass {
    channels: usize,
    patch_features: usize,
    /// What the convolution reads for each step.
    seen: Vec<f32>,
    /// What comes of it, and its slope.
    found: Vec<f32>,
    found_slope: Vec<f32>,
    /// Of each patch: what found is scaled by, less 1, and moved by.
    film: Vec<f32>,
    states: Vec<f32>,
    joined: Vec<f32>,
    thought: Vec<f32>,
    thought_slope: Vec<f32>,
    /// Corrections for each step.
    said: Vec<f32>,
}

impl Pass {
    fn forward(reading: &Reading, head: &Numbers, size: Size, windows: &[usize], mask: Option<&[f32]>) -> Self {
        let (channels, patch_features) = (size.channels as usize, size.patch_features as usize);
        let (future, across) = (reading.future, reading.channels);
        let patches = future / PATCH;
        let mut seen = Vec::with_capacity(windows.len() * future * REACH * across);
        let mut states = Vec::with_capacity(windows.len() * patches * reading.width);
        for &window in windows {
            let steps = &reading.steps[window * (future + REACH - 1) * across..];
            (0..future).for_each(|step| seen.extend_from_slice(&steps[step * across..(step + REACH) * across]));
            let own = patches * reading.width;
            states.extend_from_slice(&reading.states[window * own..(window + 1) * own]);
        }
        let mut found = head.conv.forward(&seen);
        let found_slope = gelu_with_slope(&mut found);
        let (film, patch) = (head.film.forward(&states), head.patch.forward(&states));
        let width = channels + patch_features + SAID;
        let mut joined = Vec::with_capacity(found.len() / channels * width);
        for (place, found) in found.chunks_exact(PATCH * channels).enumerate() {
            let (scale, shift) = film[place * 2 * channels..(place + 1) * 2 * channels].split_at(channels);
            let own = &patch[place * PATCH * patch_features..(place + 1) * PATCH * patch_features];
            let summary = &reading.summaries[windows[place / patches] * SAID..][..SAID];
            let mask = mask.map(|mask| &mask[place * width..(place + 1) * width]);
            for (found, own) in found.chunks_exact(channels).zip(own.chunks_exact(patch_features)) {
                let from = joined.len();
                joined.extend(
                    found.iter().zip(scale).zip(shift).map(|((found, scale), shift)| found * (scale + 1.0) + shift),
                );
                joined.extend_from_slice(own);
                joined.extend_from_slice(summary);
                if let Some(mask) = mask {
                    joined[from..].iter_mut().zip(mask).for_each(|(value, mask)| *value *= mask);
                }
            }
        }
        let mut thought = head.hidden.forward(&joined);
        let thought_slope = gelu_with_slope(&mut thought);
        let said = head.out.forward(&thought);
        Self { channels, patch_features, seen, found, found_slope, film, states, joined, thought, thought_slope, said }
    }

    fn backward(
        &mut self,
        reading: &Reading,
        head: &Numbers,
        windows: &[usize],
        mask: Option<&[f32]>,
        slopes: &[f32],
    ) -> Numbers {
        let (channels, patch_features) = (self.channels, self.patch_features);
        let patches = reading.future / PATCH;
        let out = Layer::gradient(&self.thought, slopes, self.thought.len() / (windows.len() * reading.future));
        let mut thought = head.out.back(slopes);
        thought.iter_mut().zip(&self.thought_slope).for_each(|(slope, own)| *slope *= own);
        let width = channels + patch_features + SAID;
        let hidden = Layer::gradient(&self.joined, &thought, width);
        let joined = head.hidden.back(&thought);

        let mut found = std::mem::take(&mut self.found_slope);
        let mut film = vec![0.0; self.film.len()];
        let mut patch = Vec::with_capacity(windows.len() * patches * PATCH * patch_features);
        for (place, joined) in joined.chunks_exact(PATCH * width).enumerate() {
            let mask = mask.map(|mask| &mask[place * width..(place + 1) * width]);
            let scale = &self.film[place * 2 * channels..][..channels];
            let (scale_slope, shift_slope) =
                film[place * 2 * channels..(place + 1) * 2 * channels].split_at_mut(channels);
            for (step, joined) in joined.chunks_exact(width).enumerate() {
                let row = (place * PATCH + step) * channels;
                let (was, slope) = (&self.found[row..row + channels], &mut found[row..row + channels]);
                let masks =
                    mask.map_or(&[][..], |mask| &mask[..channels]).iter().copied().chain(std::iter::repeat(1.0));
                let films = scale_slope.iter_mut().zip(shift_slope.iter_mut()).zip(scale);
                let rows = joined.iter().zip(masks).zip(was.iter().zip(slope));
                for (((joined, mask), (was, slope)), ((scale_slope, shift_slope), scale)) in rows.zip(films) {
                    let moved = joined * mask;
                    *scale_slope += moved * was;
                    *shift_slope += moved;
                    *slope *= moved * (scale + 1.0);
                }
                let own = &joined[channels..channels + patch_features];
                match mask {
                    Some(mask) => patch.extend(own.iter().zip(&mask[channels..]).map(|(slope, mask)| slope * mask)),
                    None => patch.extend_from_slice(own),
                }
            }
        }
        Numbers {
            conv: Layer::gradient(&self.seen, &found, REACH * reading.channels),
            film: Layer::gradient(&self.states, &film, reading.width),
            patch: Layer::gradient(&self.states, &patch, reading.width),
            hidden,
            out,
        }
    }
}

#[cfg(test)]
mod tests;
