//! The pooled expert: one linear map from many lags to every step ahead, learned from all targets of
//! an asset that has no inputs.
//!
//! The map is the mean of six ridge regressions that differ in how a window is centred (on its last
//! value, on its mean), in the ridge, and in how far the target's own past counts beside that of all
//! targets: their errors differ, so the mean is a little better than the best of them (measured on
//! ETTh1-96 in numpy, learned from the training and validation months: MSE 0.354 of 24 such regressions,
//! 0.355 of the best one). Every map keeps a constant as it is.

use faer::Mat;
use serde::{Deserialize, Serialize};

use super::super::algebra::{dot, factorise, substitute_all, times};
use super::super::history::Context;
use super::super::long::{cross, gram};
use super::parts::{Fits, Parts};

/// Most and fewest lags; in between, a share of the samples that teach.
const LAGS: (usize, usize) = (512, 48);
const LAG_SHARE: usize = 6;
/// Windows that a part needs before it is left out or used alone.
const LEAST_WINDOWS: usize = 200;
/// Answers stay within this many deviations.
const LIMIT: f64 = 12.0;

/// What a window is measured from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Centre {
    Last,
    Mean,
}

/// One of the regressions whose mean is taken.
struct Kind {
    centre: Centre,
    /// Per window.
    ridge: f64,
    /// Weight of the target's own past; the rest is the mean of all targets.
    own: f64,
}

const KINDS: [Kind; 6] = [
    Kind { centre: Centre::Last, ridge: 0.05, own: 0.0 },
    Kind { centre: Centre::Last, ridge: 0.5, own: 0.3 },
    Kind { centre: Centre::Last, ridge: 1.8, own: 0.6 },
    Kind { centre: Centre::Mean, ridge: 0.05, own: 0.3 },
    Kind { centre: Centre::Mean, ridge: 0.5, own: 0.0 },
    Kind { centre: Centre::Mean, ridge: 1.8, own: 0.6 },
];

/// A linear map in the units of the study.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Pooled {
    lags: usize,
    /// One row of lags, oldest first, per step ahead.
    rows: Vec<f32>,
}

/// Sums over windows: lags with lags (the lower triangle), and lags with what followed.
#[derive(Clone)]
struct Sums {
    windows: usize,
    lags: Mat<f64>,
    ahead: Mat<f64>,
}

impl Sums {
    fn none(lags: usize, horizon: usize) -> Self {
        Self { windows: 0, lags: Mat::zeros(lags, lags), ahead: Mat::zeros(lags, horizon) }
    }

    fn add(&mut self, other: &Self) {
        self.windows += other.windows;
        self.lags += &other.lags;
        self.ahead += &other.ahead;
    }

    /// Over the windows whose future lies in `from..to`.
    fn of(context: &Context<'_>, from: usize, to: usize, lags: usize, horizon: usize) -> Self {
        let mut sums = Self::none(lags, horizon);
        for &(start, end) in &context.segments {
            let (first, last) = (start.max(from.saturating_sub(lags)), end.min(to));
            if last <= first || last - first < lags + horizon {
                continue;
            }
            let x = &context.target[first..last];
            let products = gram(x, lags, horizon);
            sums.ahead += cross(x, lags, horizon, products.col_as_slice(0));
            sums.lags += products;
            sums.windows += x.len() - lags - horizon + 1;
        }
        sums
    }
}

/// Learns a map for every context (one per target, on one grid); `None` where
/// there are inputs, or too little to learn from.
pub(super) fn learn(contexts: &[Context<'_>], parts: &Parts, horizon: usize) -> Option<Vec<Fits<Pooled>>> {
    if contexts.iter().any(|context| !context.inputs.is_empty()) || horizon == 0 {
        return None;
    }
    let lags = (parts.validation() / LAG_SHARE).min(LAGS.0);
    if lags < LAGS.1 {
        return None;
    }
    let own: Vec<Vec<Sums>> = contexts
        .iter()
        .map(|context| {
            let of_stretch = |stretch| {
                let mut sums = Sums::none(lags, horizon);
                let taught = parts.taught(stretch).into_iter();
                taught.for_each(|(from, to)| sums.add(&Sums::of(context, from, to, lags, horizon)));
                sums
            };
            (0..parts.count()).map(of_stretch).collect()
        })
        .collect();
    let pick = |sums: &[Sums], stretches: &[usize]| {
        let mut picked = Sums::none(lags, horizon);
        stretches.iter().for_each(|stretch| picked.add(&sums[*stretch]));
        picked
    };
    let fit = |place: usize| -> Option<Vec<Pooled>> {
        let known = parts.known_to(place);
        let own: Vec<Sums> = own.iter().map(|sums| pick(sums, &known)).collect();
        let mut all = Sums::none(lags, horizon);
        own.iter().for_each(|sums| all.add(sums));
        if all.windows < LEAST_WINDOWS * own.len() {
            return None;
        }
        let common = Common::of(&all)?;
        own.iter().map(|own| Pooled::fit(own, &all, &common)).collect()
    };
    let chosen = fit(parts.newest())?;
    let fitted = |place: usize| (place != parts.newest()).then(|| fit(place)).flatten();
    let by_place: Vec<Vec<Pooled>> =
        (0..=parts.count()).map(|place| fitted(place).unwrap_or_else(|| chosen.clone())).collect();
    Some((0..contexts.len()).map(|target| by_place.iter().map(|maps| maps[target].clone()).collect()).collect())
}

/// The maps of those regressions for which all targets are one.
struct Common(Vec<Option<Mat<f64>>>);

impl Common {
    fn of(all: &Sums) -> Option<Self> {
        let maps = KINDS.iter().map(|kind| match kind.own {
            0.0 => kind.map(all, all).map(Some),
            _ => Some(None),
        });
        maps.collect::<Option<_>>().map(Self)
    }
}

impl Kind {
    /// Its map for a target, from the target's own windows and those of all.
    fn map(&self, own: &Sums, all: &Sums) -> Option<Mat<f64>> {
        let (mine, theirs) = if own.windows == 0 {
            (0.0, 1.0 / all.windows as f64)
        } else {
            (self.own / own.windows as f64, (1.0 - self.own) / all.windows as f64)
        };
        let mixed = |own: &Mat<f64>, all: &Mat<f64>| {
            Mat::from_fn(own.nrows(), own.ncols(), |i, j| mine * own[(i, j)] + theirs * all[(i, j)])
        };
        ridge(mixed(&own.lags, &all.lags), mixed(&own.ahead, &all.ahead), self)
    }
}

impl Pooled {
    fn fit(own: &Sums, all: &Sums, common: &Common) -> Option<Self> {
        let (lags, horizon) = (own.lags.nrows(), own.ahead.ncols());
        let mut map: Mat<f64> = Mat::zeros(lags, horizon);
        for (kind, common) in KINDS.iter().zip(&common.0) {
            match common {
                Some(common) => map += common,
                None => map += kind.map(own, all)?,
            }
        }
        let share = 1.0 / KINDS.len() as f64;
        let rows = (0..horizon).flat_map(|h| (0..lags).rev().map(move |lag| (lag, h)));
        Some(Self { lags, rows: rows.map(|(lag, h)| (share * map[(lag, h)]) as f32).collect() })
    }

    /// Samples that an answer needs.
    pub(super) fn lags(&self) -> usize {
        self.lags
    }

    /// The answers for `steps` after `newest` (as long as the lags, oldest first), no more than were
    /// learned.
    pub(super) fn answer(&self, newest: &[f64], steps: usize) -> Vec<f64> {
        let mut row = vec![0.0; self.lags];
        self.rows
            .chunks_exact(self.lags)
            .take(steps)
            .map(|weights| {
                for (wide, weight) in row.iter_mut().zip(weights) {
                    *wide = f64::from(*weight);
                }
                dot(&row, newest).clamp(-LIMIT, LIMIT)
            })
            .collect()
    }
}

/// The map of one regression, in terms of windows that are not centred: one column per step ahead.
fn ridge(mut lags: Mat<f64>, mut ahead: Mat<f64>, kind: &Kind) -> Option<Mat<f64>> {
    let count = lags.nrows();
    // what a window is centred on, as weights on its lags; then C G C' and C (B - G c 1')
    let centre: Vec<f64> = match kind.centre {
        Centre::Last => (0..count).map(|lag| f64::from(u8::from(lag == 0))).collect(),
        Centre::Mean => vec![1.0 / count as f64; count],
    };
    let with_centre = times(&lags, &centre);
    let grand = dot(&with_centre, &centre);
    for h in 0..ahead.ncols() {
        let column = ahead.col_as_slice_mut(h);
        let mean = dot(column, &centre) - grand;
        for (value, expected) in column.iter_mut().zip(&with_centre) {
            *value -= expected + mean;
        }
    }
    for j in 0..count {
        for (value, centred) in lags.col_as_slice_mut(j)[j..].iter_mut().zip(&with_centre[j..]) {
            *value += grand - centred - with_centre[j];
        }
        lags[(j, j)] += kind.ridge;
    }
    factorise(&mut lags)?;
    substitute_all(&lags, &mut ahead);
    for h in 0..ahead.ncols() {
        let column = ahead.col_as_slice_mut(h);
        let rest = 1.0 - column.iter().sum::<f64>();
        for (value, share) in column.iter_mut().zip(&centre) {
            *value += rest * share;
        }
        if column.iter().any(|value| !value.is_finite()) {
            return None;
        }
    }
    Some(ahead)
}
