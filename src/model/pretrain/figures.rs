//! How a network does on plants that it did not see.

use std::collections::BTreeMap;

use tch::Kind;

use super::config::Config;
use super::replicas::Replica;
use super::stream::{CHUNK, chunk};
use super::windows::{FUTURES, Item};
use crate::model::base::FamilyFigures;
use crate::model::lesson::{Example, truths};
use crate::model::loss::pinball;
use crate::model::network::{Head, LEVELS, MEDIAN, quantiles};
use crate::model::window::{Batch, Window, sent};

/// Windows of plants that are not trained on, by shape.
#[derive(Debug)]
pub(super) struct Unseen(Vec<Vec<Item>>);

impl Unseen {
    /// As many as a run deserves: the same for every run of a seed that is not small.
    pub(super) fn of(config: &Config) -> Self {
        Self::draw(config.seed, (config.windows / 20).clamp(64, 3_000), config.threads + 1)
    }

    /// About `windows` windows, drawn on some threads.
    fn draw(seed: u64, windows: usize, threads: usize) -> Self {
        let seed = seed.wrapping_add(1 << 32);
        let chunks: Vec<usize> = (0..windows.div_ceil(CHUNK)).collect();
        let drawn: Vec<Item> = std::thread::scope(|scope| {
            let parts = chunks.chunks(chunks.len().div_ceil(threads.max(1)).max(1));
            let workers: Vec<_> = parts
                .map(|part| scope.spawn(move || part.iter().flat_map(|index| chunk(seed, *index)).collect::<Vec<_>>()))
                .collect();
            workers.into_iter().flat_map(|worker| worker.join().expect("drawing windows does not panic")).collect()
        });
        let mut shapes: Vec<Vec<Item>> = FUTURES.iter().map(|_| Vec::new()).collect();
        for item in drawn {
            let place = FUTURES.iter().position(|(future, _)| *future == item.example.window.future);
            shapes[place.expect("windows have the futures that are listed")].push(item);
        }
        Self(shapes)
    }
}

/// Loss and coverage per family on plants that were not trained on, bank beside network.
pub(super) fn figures(network: &Replica, unseen: &Unseen) -> Vec<FamilyFigures> {
    #[derive(Default)]
    struct Sums {
        windows: usize,
        bank: f64,
        network: f64,
        covered: f64,
    }
    let Replica { backbone, head } = network;
    let device = head.store().device();
    let untrained = Head::on(device, head.size());
    let mut families: BTreeMap<&'static str, Sums> = BTreeMap::new();
    tch::no_grad(|| {
        for shape in &unseen.0 {
            for items in shape.chunks(64) {
                let windows: Vec<&Window> = items.iter().map(|item| &item.example.window).collect();
                let batch = Batch::stack(&windows, None).map(|part| sent(part, device));
                let features = backbone.features(&batch);
                let examples: Vec<&Example> = items.iter().map(|item| &item.example).collect();
                let (truth, known) = truths(&examples);
                let (truth, known) = (sent(&truth, device), sent(&known, device));
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
