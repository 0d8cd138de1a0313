//! Pretraining: the base model learns from synthetic plants how a bank's answer is to be corrected.
//!
//! Reproducible: plants, windows, weights and batches come from one seed, and the card says which.
//! Runs as `counterpart pretrain`, on its own; nothing of it is used while serving.

mod pool;
mod show;

use std::collections::BTreeMap;
use std::path::PathBuf;

use rand::{Rng as _, RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tch::nn::{self, OptimizerConfig as _};
use tch::{Kind, Tensor};

pub use self::pool::synthetic;
use self::pool::{Item, Pool};
pub use self::show::show;
use super::artefact;
use super::base::{BaseCard, FamilyFigures, hex};
use super::lesson::{Example, truths};
use super::loss::{masked_mean, pinball};
use super::network::{Backbone, Head, LEVELS, MEDIAN, quantiles};
use super::trainee::dropout_mask;
use super::window::{Batch, SLOTS, Window};

/// Settings of a pretraining run; the defaults are the shipped recipe.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Config {
    /// Folder that receives NAME.safetensors and NAME.json.
    #[arg(long, default_value = "src/model/base")]
    pub out: PathBuf,
    /// Name of the base model.
    #[arg(long, default_value = "small")]
    pub name: String,
    /// Windows to draw from synthetic plants.
    #[arg(long, default_value_t = 160_000)]
    pub windows: usize,
    /// Optimiser steps.
    #[arg(long, default_value_t = 8_000)]
    pub steps: usize,
    /// Windows in a step.
    #[arg(long, default_value_t = 48)]
    pub batch: usize,
    /// Highest learning rate.
    #[arg(long, default_value_t = 2.5e-3)]
    pub learning_rate: f64,
    /// Seed of everything.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Threads for data and for libtorch. Sums of more threads round otherwise, so the shipped
    /// recipe has one.
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// Revision of the source, for the card.
    #[arg(long, env = "COUNTERPART_PRETRAIN_COMMIT", hide = true)]
    pub commit: Option<String>,
}

/// Share of dropped channels while pretraining.
const DROPOUT: f64 = 0.05;
/// Weight of the loss on the difference of two futures from one state.
const PAIRED: f64 = 0.5;
/// Weight of the penalty on corrections, so that an excellent bank is left alone.
const ABSTAIN: f64 = 1e-3;
const WEIGHT_DECAY: f64 = 0.03;
const WARM_UP: f64 = 50.0;

/// What a run tells while it goes on.
#[derive(Debug)]
pub enum News<'a> {
    /// So many windows have been made of so many.
    Windows(usize, usize),
    /// Steps taken, steps in all, mean loss since the last news.
    Step(usize, usize, f64),
    /// Figures on plants it did not see.
    Validation(usize, &'a [FamilyFigures]),
}

/// Why pretraining ended without a model.
#[derive(Debug, thiserror::Error)]
pub enum PretrainError {
    /// Too few windows for a batch.
    #[error("too few windows to fill a batch")]
    TooFew,
    /// The loss stopped being a finite number.
    #[error("the loss is not finite at step {0}")]
    NotFinite(usize),
    /// libtorch refused an operation.
    #[error("libtorch failed")]
    Torch(#[from] tch::TchError),
    /// The files could not be written.
    #[error("the model could not be written")]
    Write(#[from] std::io::Error),
}

/// Draws the windows, trains, and writes weights and card; returns the card.
pub fn run(config: &Config, news: &mut dyn FnMut(News<'_>)) -> Result<BaseCard, PretrainError> {
    tch::set_num_threads(config.threads as i32);
    tch::manual_seed(config.seed as i64);
    let pool = Pool::draw(config.seed, config.windows, config.threads, news);
    let unseen = Pool::draw(
        config.seed.wrapping_add(1 << 32),
        (config.windows / 20).clamp(64, 3_000),
        config.threads,
        &mut |_| {},
    );
    if pool.shapes().next().is_none() {
        return Err(PretrainError::TooFew);
    }
    let (backbone, head) = (Backbone::new(), Head::new());
    let adam = nn::AdamW { wd: WEIGHT_DECAY, beta2: 0.98, ..nn::AdamW::default() };
    let mut optimizers =
        [adam.build(backbone.store(), config.learning_rate)?, adam.build(head.store(), config.learning_rate)?];
    let mut draw = ChaCha8Rng::seed_from_u64(config.seed);
    let (mut sum, mut counted) = (0.0, 0);
    for step in 1..=config.steps {
        let rate = config.learning_rate * schedule(step, config.steps);
        let items = pool.batch(&mut draw, config.batch);
        let loss = loss(&backbone, &head, &items, &mut draw);
        let value = f64::try_from(loss.detach())?;
        if !value.is_finite() {
            return Err(PretrainError::NotFinite(step));
        }
        for optimizer in &mut optimizers {
            optimizer.set_lr(rate);
            optimizer.zero_grad();
        }
        loss.f_backward()?;
        for optimizer in &mut optimizers {
            optimizer.clip_grad_norm(1.0);
            optimizer.step();
        }
        sum += value;
        counted += 1;
        if step % 50 == 0 || step == config.steps {
            news(News::Step(step, config.steps, sum / f64::from(counted)));
            (sum, counted) = (0.0, 0);
        }
        if step % 1_000 == 0 && step < config.steps {
            news(News::Validation(step, &figures(&backbone, &head, &unseen)));
            let card = card(config, &backbone, &head, &unseen);
            write(config, &card.0, &card.1)?;
        }
    }
    let (card, weights) = card(config, &backbone, &head, &unseen);
    news(News::Validation(config.steps, &card.validation));
    write(config, &card, &weights)?;
    Ok(card)
}

fn card(config: &Config, backbone: &Backbone, head: &Head, unseen: &Pool) -> (BaseCard, Vec<u8>) {
    let weights = artefact::save(&[("backbone", backbone.store()), ("head", head.store())]);
    let size = |store: &nn::VarStore| store.variables().values().map(|value| value.numel() as i64).sum::<i64>();
    let (frozen, trained) = (size(backbone.store()), size(head.store()));
    let card = BaseCard {
        name: config.name.clone(),
        sha256: hex(&artefact::digest(&weights)),
        parameters: frozen + trained,
        head_parameters: trained,
        seed: config.seed,
        windows: config.windows,
        steps: config.steps,
        batch: config.batch,
        cpu_seconds: cpu_seconds(),
        commit: config.commit.clone(),
        validation: figures(backbone, head, unseen),
    };
    (card, weights)
}

/// Temporary file, sync, rename: a run that is killed leaves the old model whole.
fn write(config: &Config, card: &BaseCard, weights: &[u8]) -> Result<(), PretrainError> {
    use std::io::Write as _;
    std::fs::create_dir_all(&config.out)?;
    let text = serde_json::to_vec_pretty(card).map_err(std::io::Error::from)?;
    for (ending, bytes) in [("safetensors", weights), ("json", &text)] {
        let path = config.out.join(format!("{}.{ending}", config.name));
        let partial = path.with_extension("partial");
        let mut file = std::fs::File::create(&partial)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(partial, path)?;
    }
    Ok(())
}

fn schedule(step: usize, steps: usize) -> f64 {
    let cosine = 0.5 * (1.0 + (std::f64::consts::PI * step as f64 / steps as f64).cos());
    (step as f64 / WARM_UP).min(1.0) * (0.97 * cosine + 0.03)
}

/// CPU time of this process so far.
fn cpu_seconds() -> f64 {
    nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF).map_or(0.0, |usage| {
        let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
        seconds(usage.user_time()) + seconds(usage.system_time())
    })
}

/// Pinball loss over the future, the loss on paired differences, and the price of correcting.
fn loss(backbone: &Backbone, head: &Head, items: &[&Item], draw: &mut ChaCha8Rng) -> Tensor {
    let windows: Vec<&Window> = items.iter().map(|item| &item.example.window).collect();
    let slots: Vec<[usize; SLOTS]> = items.iter().map(|_| permutation(draw)).collect();
    let mut batch = Batch::stack(&windows, Some(&slots));
    let mut targets: Vec<f32> = items.iter().map(|_| sign(draw)).collect();
    let pairs: Vec<i64> =
        (1..items.len()).filter(|row| items[row - 1].partner_next).map(|row| row as i64 - 1).collect();
    for row in &pairs {
        // Two futures of one plant are turned together, or their difference would mean nothing.
        targets[*row as usize + 1] = targets[*row as usize];
    }
    let inputs: Vec<f32> = (0..items.len() * SLOTS).map(|_| sign(draw)).collect();
    batch.flip(&targets, &inputs);
    let examples: Vec<&Example> = items.iter().map(|item| &item.example).collect();
    let (truth, known) = truths(&examples);
    let truth = truth * Tensor::from_slice(&targets).unsqueeze(-1);
    let unit = Tensor::from_slice(&examples.iter().map(|example| example.unit).collect::<Vec<_>>());

    let mask = dropout_mask(draw, DROPOUT, items.len(), batch.future as usize);
    let corrections = head.corrections(&backbone.features(&batch), mask.as_ref());
    let answer = quantiles(&batch, &corrections);
    let mut loss = masked_mean(&pinball(&answer, &truth), &known, &unit);
    let median = |answer: &Tensor| answer.select(-1, MEDIAN as i64);
    loss += median(&corrections).square().mean(Kind::Float) * ABSTAIN;
    if !pairs.is_empty() {
        let (one, other) = (Tensor::from_slice(&pairs), Tensor::from_slice(&pairs) + 1);
        let gap = |values: &Tensor| values.index_select(0, &other) - values.index_select(0, &one);
        let both = known.index_select(0, &one) * known.index_select(0, &other);
        let error = (gap(&median(&answer)) - gap(&truth)).abs();
        loss += masked_mean(&error, &both, &unit.index_select(0, &one)) * PAIRED;
    }
    loss
}

fn sign(draw: &mut ChaCha8Rng) -> f32 {
    if draw.next_u32().is_multiple_of(2) { 1.0 } else { -1.0 }
}

fn permutation(draw: &mut ChaCha8Rng) -> [usize; SLOTS] {
    let mut slots = std::array::from_fn(|slot| slot);
    for last in (1..SLOTS).rev() {
        slots.swap(last, draw.random_range(0..=last));
    }
    slots
}

/// Loss and coverage per family on plants that were not trained on, bank beside network.
fn figures(backbone: &Backbone, head: &Head, unseen: &Pool) -> Vec<FamilyFigures> {
    #[derive(Default)]
    struct Sums {
        windows: usize,
        bank: f64,
        network: f64,
        covered: f64,
    }
    let untrained = Head::new();
    let mut families: BTreeMap<&'static str, Sums> = BTreeMap::new();
    tch::no_grad(|| {
        for shape in unseen.shapes() {
            for items in shape.chunks(64) {
                let windows: Vec<&Window> = items.iter().map(|item| &item.example.window).collect();
                let batch = Batch::stack(&windows, None);
                let features = backbone.features(&batch);
                let examples: Vec<&Example> = items.iter().map(|item| &item.example).collect();
                let (truth, known) = truths(&examples);
                let judge = |head: &Head| {
                    let (answer, _) = quantiles(&batch, &head.corrections(&features, None)).sort(-1, false);
                    let count = known.sum_dim_intlist(-1, false, Kind::Float);
                    let loss = (pinball(&answer, &truth) * &known).sum_dim_intlist(-1, false, Kind::Float) / &count;
                    let inside = truth
                        .ge_tensor(&answer.select(-1, level(0.1)))
                        .logical_and(&truth.le_tensor(&answer.select(-1, level(0.9))));
                    let covered =
                        (inside.to_kind(Kind::Float) * &known).sum_dim_intlist(-1, false, Kind::Float) / count;
                    (Vec::<f32>::try_from(loss).unwrap_or_default(), Vec::<f32>::try_from(covered).unwrap_or_default())
                };
                let ((bank, _), (network, covered)) = (judge(&untrained), judge(head));
                for (row, item) in items.iter().enumerate() {
                    let unit = f64::from(item.example.unit);
                    for family in [item.family, "all"] {
                        let sums = families.entry(family).or_default();
                        sums.windows += 1;
                        sums.bank += f64::from(bank[row]) / unit;
                        sums.network += f64::from(network[row]) / unit;
                        sums.covered += f64::from(covered[row]);
                    }
                }
            }
        }
    });
    families
        .into_iter()
        .map(|(family, sums)| {
            let n = sums.windows as f64;
            FamilyFigures {
                family: family.to_owned(),
                windows: sums.windows,
                bank_pinball: sums.bank / n,
                network_pinball: sums.network / n,
                coverage_80: sums.covered / n,
            }
        })
        .collect()
}

fn level(wanted: f64) -> i64 {
    LEVELS.iter().position(|level| (level - wanted).abs() < 1e-9).unwrap_or(MEDIAN) as i64
}
